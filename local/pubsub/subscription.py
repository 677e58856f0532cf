"""One subscription: where each of its messages stands.

A message waits, is leased to a subscriber for some seconds, and is then acknowledged; a lease that runs out or is given
back puts it among those that wait. Messages of one ordering key go through a lane of their own, in which one request
at a time holds some, in order. Nothing here locks: the broker's lock is held by whoever calls.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from google.pubsub_v1.types import pubsub

from local.pubsub import rules
from local.pubsub.filters import compile_filter

ANSWER_BYTES = 3_500_000  # clients of an emulator take at most 4 MiB an answer; a larger message comes alone
FRAME_BYTES = 64  # what an answer adds to each message, at the most
PubsubMessage = pubsub.PubsubMessage.pb()
_numbers = itertools.count(1)


class Message:
    """A published message, shared by all subscriptions that have it.

    `published` is in seconds since 1970; `data` is the whole PubsubMessage, which takes least memory this way.
    """

    __slots__ = ("number", "published", "data", "key")

    def __init__(self, number: int, published: float, data: bytes, key: str):
        self.number, self.published, self.data, self.key = number, published, data, key


class Delivery:
    """A message in one subscription."""

    __slots__ = ("message", "attempts", "ack_id", "deadline", "not_before", "acknowledged", "holder")

    def __init__(self, message: Message):
        self.message = message
        self.attempts = 0
        self.ack_id: str | None = None  # of the latest delivery
        self.deadline: float | None = None  # when the lease ends; None: nobody has it
        self.not_before = 0.0
        self.acknowledged = False
        self.holder: Holder | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes in an answer, at the most."""
        return len(self.message.data) + FRAME_BYTES


class Holder:
    """A streaming pull, or a push: what it has been sent and has not settled yet."""

    def __init__(self, max_messages: int = 0, max_bytes: int = 0):
        self.max_messages, self.max_bytes = max_messages, max_bytes  # 0: no limit
        self.messages = self.bytes = 0

    def room(self) -> tuple[int, int]:
        """How many messages and bytes it takes now."""
        messages = self.max_messages - self.messages if self.max_messages > 0 else rules.MAX_MESSAGES
        size = self.max_bytes - self.bytes if self.max_bytes > 0 else ANSWER_BYTES
        return min(messages, rules.MAX_MESSAGES), min(size, ANSWER_BYTES)


class Lane:
    """The messages of one ordering key: those that wait, and those that one request holds, both in order."""

    __slots__ = ("waiting", "sent", "offered")

    def __init__(self):
        self.waiting: deque[Delivery] = deque()
        self.sent: list[Delivery] = []
        self.offered: Delivery | None = None  # the first that waits, while it stands in the subscription's queue


class Subscription:
    """`dead_letter(delivery)` takes over a message that was tried too often; it returns False if it cannot."""

    def __init__(self, config, clock: Callable[[], float], dead_letter: Callable[["Subscription", Delivery], bool]):
        self.configure(config)
        self.clock, self.dead_letter = clock, dead_letter
        self.used = clock()
        self.acknowledged: dict[int, Message] = {}  # kept for a seek
        self.clear()

    def clear(self) -> None:
        self.waiting: deque[Delivery] = deque()  # of a lane, only its first message stands here
        self.later: list[tuple[float, int, Delivery]] = []  # heap: those that wait for their back-off
        self.leased: dict[str, Delivery] = {}  # by ack id; one that ran out stays until it is sent again
        self.deadlines: list[tuple[float, str]] = []  # heap; an entry counts if the lease still has this deadline
        self.lanes: dict[str, Lane] = {}

    def configure(self, config) -> None:
        self.config = config
        self.matches = compile_filter(config.filter)

    @property
    def retention(self) -> float:
        """Seconds."""
        return rules.seconds_of(self.config.message_retention_duration)

    # ------------------------------------------------------------------------------------------------- messages in

    def add(self, message: Message) -> None:
        """Takes a message that has been published, if the filter lets it pass."""
        if self.matches and not self.matches(PubsubMessage.FromString(message.data).attributes):
            return
        delivery = Delivery(message)
        if self.config.enable_message_ordering and message.key:
            self.lanes.setdefault(message.key, Lane()).waiting.append(delivery)
            self._resume(message.key)
        else:
            self.waiting.append(delivery)

    def _unacknowledged(self) -> Iterator[Delivery]:
        """All that is still to be settled; some come twice."""
        lanes = [queue for lane in self.lanes.values() for queue in (lane.waiting, lane.sent)]
        later = (delivery for _, _, delivery in self.later)
        everything = itertools.chain(self.waiting, later, self.leased.values(), *lanes)
        return (delivery for delivery in everything if not delivery.acknowledged)

    def seek(self, moment: float, of_topic: Iterable[Message]) -> None:
        """Messages published before the moment become acknowledged, those published since unacknowledged."""
        known = {message.number: message for message in of_topic} | self.acknowledged
        for delivery in list(self._unacknowledged()):
            known[delivery.message.number] = delivery.message
            self._let_go(delivery)
        self.clear()
        self.acknowledged = {}
        for number in sorted(known):
            if known[number].published >= moment:
                self.add(known[number])
            elif self.config.retain_acked_messages:
                self.acknowledged[number] = known[number]

    # ------------------------------------------------------------------------------------------------ messages out

    def take(
        self, count: int, seconds: float, holder: Holder | None = None, size: int = ANSWER_BYTES
    ) -> list[Delivery]:
        """Leases at most `count` messages of at most `size` bytes (one may be larger) for so many seconds."""
        taken: list[Delivery] = []

        def fits(delivery: Delivery) -> bool:
            return len(taken) < count and (not taken or delivery.size <= size)

        while self.waiting and fits(self.waiting[0]):
            delivery = self.waiting.popleft()
            lane = self.lanes.get(delivery.message.key)
            if delivery.acknowledged or (lane and lane.offered is not delivery):
                continue  # left behind when it was settled or given back meanwhile
            if lane is None:
                taken.append(self._lease(delivery, seconds, holder))
                size -= delivery.size
                continue
            lane.offered = None
            while lane.waiting and fits(lane.waiting[0]):
                delivery = lane.waiting.popleft()
                if not delivery.acknowledged:
                    lane.sent.append(delivery)
                    taken.append(self._lease(delivery, seconds, holder))
                    size -= delivery.size
        if taken:
            self.used = self.clock()
        return taken

    def _lease(self, delivery: Delivery, seconds: float, holder: Holder | None) -> Delivery:
        if delivery.ack_id:
            self.leased.pop(delivery.ack_id, None)
        delivery.attempts += 1
        delivery.ack_id = f"{delivery.message.number}-{next(_numbers)}"
        delivery.holder = holder
        if holder:
            holder.messages += 1
            holder.bytes += delivery.size
        self.leased[delivery.ack_id] = delivery
        self._set_deadline(delivery, seconds)
        return delivery

    def _set_deadline(self, delivery: Delivery, seconds: float) -> None:
        delivery.deadline = self.clock() + seconds
        heapq.heappush(self.deadlines, (delivery.deadline, delivery.ack_id))

    # ------------------------------------------------------------------------------------------- messages settled

    def acknowledge(self, ack_ids: Iterable[str]) -> None:
        """Ack ids of leases that ran out count until the message is sent again; unknown ones are passed over."""
        for ack_id in ack_ids:
            delivery = self.leased.get(ack_id)
            if delivery:
                self._finish(delivery, keep=self.config.retain_acked_messages)
        self.used = self.clock()

    def modify(self, ack_id: str, seconds: int) -> None:
        """Lets the lease end in so many seconds from now; 0 gives the message back."""
        delivery = self.leased.get(ack_id)
        if delivery is None or delivery.deadline is None:
            return
        if seconds:
            self._set_deadline(delivery, seconds)
        else:
            self.give_back(delivery)

    def give_back(self, delivery: Delivery) -> None:
        """A delivery failed: the message waits again, after its back-off, or becomes a dead letter."""
        if delivery.deadline is None:
            return
        self._let_go(delivery)
        policy = self.config.dead_letter_policy
        too_often = policy.dead_letter_topic and delivery.attempts >= policy.max_delivery_attempts
        if too_often and self.dead_letter(self, delivery):
            self._finish(delivery, keep=False)
            return
        delivery.not_before = self.clock() + self._back_off(delivery.attempts)
        lane = self.lanes.get(delivery.message.key)
        if lane is None:
            self._offer(delivery)
            return
        # With a message, all that came after it under its key is sent again, in order.
        first = lane.sent.index(delivery)
        for later in reversed(lane.sent[first:]):
            self._let_go(later)
            later.acknowledged = False
            self.acknowledged.pop(later.message.number, None)
            lane.waiting.appendleft(later)
        del lane.sent[first:]
        self._resume(delivery.message.key)

    def _finish(self, delivery: Delivery, keep: bool) -> None:
        """The message is done with."""
        self._let_go(delivery)
        self.leased.pop(delivery.ack_id, None)
        delivery.acknowledged = True
        if keep:
            self.acknowledged[delivery.message.number] = delivery.message
        lane = self.lanes.get(delivery.message.key)
        if lane:
            while lane.sent and lane.sent[0].acknowledged:
                lane.sent.pop(0)
            while lane.waiting and lane.waiting[0].acknowledged:
                lane.waiting.popleft()
            self._resume(delivery.message.key)

    def _resume(self, key: str) -> None:
        """Offers a lane's next message once none of it is held any more."""
        lane = self.lanes[key]
        if lane.sent:
            return
        if not lane.waiting:
            del self.lanes[key]
        elif lane.offered is not lane.waiting[0]:
            lane.offered = lane.waiting[0]
            self._offer(lane.offered)

    def _offer(self, delivery: Delivery) -> None:
        if delivery.not_before > self.clock():
            heapq.heappush(self.later, (delivery.not_before, delivery.message.number, delivery))
        else:
            self.waiting.append(delivery)

    def _let_go(self, delivery: Delivery) -> None:
        """Nobody has it any more."""
        delivery.deadline = None
        if delivery.holder:
            delivery.holder.messages -= 1
            delivery.holder.bytes -= delivery.size
            delivery.holder = None

    def _back_off(self, attempts: int) -> float:
        if not self.config.HasField("retry_policy"):
            return 0
        policy = self.config.retry_policy
        least, most = rules.seconds_of(policy.minimum_backoff), rules.seconds_of(policy.maximum_backoff)
        return min(most, least * 2 ** min(attempts - 1, 20))

    # ------------------------------------------------------------------------------------------------ time goes by

    def tick(self) -> bool:
        """Ends leases and back-offs whose time has come; returns whether a message waits that did not before."""
        now, before = self.clock(), len(self.waiting)
        while self.deadlines and self.deadlines[0][0] <= now:
            deadline, ack_id = heapq.heappop(self.deadlines)
            delivery = self.leased.get(ack_id)
            if delivery and delivery.deadline == deadline:
                self.give_back(delivery)
        while self.later and self.later[0][0] <= now:
            self.waiting.append(heapq.heappop(self.later)[2])
        return len(self.waiting) > before

    def forget_old(self) -> None:
        """Drops what is older than the retention."""
        oldest = self.clock() - self.retention
        for delivery in [one for one in self._unacknowledged() if one.message.published < oldest]:
            self._finish(delivery, keep=False)
        self.acknowledged = {number: one for number, one in self.acknowledged.items() if one.published >= oldest}

    def has_expired(self) -> bool:
        """Whether nobody has used the subscription for longer than its expiration policy allows."""
        policy = self.config.expiration_policy
        return policy.HasField("ttl") and self.clock() - self.used > rules.seconds_of(policy.ttl)
