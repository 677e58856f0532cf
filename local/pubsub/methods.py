"""The API's methods: a request in, an answer out, or Refused. gRPC and HTTP both call these.

METHODS says, for each, its messages and how it is called over HTTP, as google/pubsub/v1/pubsub.proto does.
"""

import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1.types import pubsub

from local.pubsub import rules
from local.pubsub.broker import Broker, check_is_pulled
from local.pubsub.errors import Refused, invalid, not_found, not_here
from local.pubsub.subscription import Holder

PULL_SECONDS = 1  # how long a pull waits for a message, as long as it is not told to return at once
PAGE_SIZE = 100
PUBLISHER, SUBSCRIBER = "google.pubsub.v1.Publisher", "google.pubsub.v1.Subscriber"
TOPIC, SUBSCRIPTION = "projects/*/topics/*", "projects/*/subscriptions/*"
Empty = empty_pb2.Empty


class Method(NamedTuple):
    service: str
    request: type
    http: str  # verb, path, and "*" where the rest of the request is the body


def _method(service: str, request: str, http: str) -> Method:
    return Method(service, getattr(pubsub, request).pb(), http)


METHODS = {
    "CreateTopic": _method(PUBLISHER, "Topic", f"put /v1/{{name={TOPIC}}} *"),
    "UpdateTopic": _method(PUBLISHER, "UpdateTopicRequest", f"patch /v1/{{topic.name={TOPIC}}} *"),
    "Publish": _method(PUBLISHER, "PublishRequest", f"post /v1/{{topic={TOPIC}}}:publish *"),
    "GetTopic": _method(PUBLISHER, "GetTopicRequest", f"get /v1/{{topic={TOPIC}}}"),
    "ListTopics": _method(PUBLISHER, "ListTopicsRequest", "get /v1/{project=projects/*}/topics"),
    "ListTopicSubscriptions": _method(
        PUBLISHER, "ListTopicSubscriptionsRequest", f"get /v1/{{topic={TOPIC}}}/subscriptions"
    ),
    "DeleteTopic": _method(PUBLISHER, "DeleteTopicRequest", f"delete /v1/{{topic={TOPIC}}}"),
    "CreateSubscription": _method(SUBSCRIBER, "Subscription", f"put /v1/{{name={SUBSCRIPTION}}} *"),
    "GetSubscription": _method(SUBSCRIBER, "GetSubscriptionRequest", f"get /v1/{{subscription={SUBSCRIPTION}}}"),
    "UpdateSubscription": _method(
        SUBSCRIBER, "UpdateSubscriptionRequest", f"patch /v1/{{subscription.name={SUBSCRIPTION}}} *"
    ),
    "ListSubscriptions": _method(SUBSCRIBER, "ListSubscriptionsRequest", "get /v1/{project=projects/*}/subscriptions"),
    "DeleteSubscription": _method(
        SUBSCRIBER, "DeleteSubscriptionRequest", f"delete /v1/{{subscription={SUBSCRIPTION}}}"
    ),
    "ModifyAckDeadline": _method(
        SUBSCRIBER, "ModifyAckDeadlineRequest", f"post /v1/{{subscription={SUBSCRIPTION}}}:modifyAckDeadline *"
    ),
    "Acknowledge": _method(SUBSCRIBER, "AcknowledgeRequest", f"post /v1/{{subscription={SUBSCRIPTION}}}:acknowledge *"),
    "Pull": _method(SUBSCRIBER, "PullRequest", f"post /v1/{{subscription={SUBSCRIPTION}}}:pull *"),
    "ModifyPushConfig": _method(
        SUBSCRIBER, "ModifyPushConfigRequest", f"post /v1/{{subscription={SUBSCRIPTION}}}:modifyPushConfig *"
    ),
    "Seek": _method(SUBSCRIBER, "SeekRequest", f"post /v1/{{subscription={SUBSCRIPTION}}}:seek *"),
}

PublishResponse = pubsub.PublishResponse.pb()
ListTopicsResponse = pubsub.ListTopicsResponse.pb()
ListTopicSubscriptionsResponse = pubsub.ListTopicSubscriptionsResponse.pb()
ListSubscriptionsResponse = pubsub.ListSubscriptionsResponse.pb()
PullResponse, SeekResponse = pubsub.PullResponse.pb(), pubsub.SeekResponse.pb()
StreamingPullRequest, StreamingPullResponse = pubsub.StreamingPullRequest.pb(), pubsub.StreamingPullResponse.pb()
UpdateSubscriptionRequest = pubsub.UpdateSubscriptionRequest.pb()


class Methods:
    """Each method of METHODS under its name."""

    def __init__(self, broker: Broker):
        self.broker = broker

    # -------------------------------------------------------------------------------------------------- publisher

    def CreateTopic(self, request):
        return self.broker.create_topic(request)

    def UpdateTopic(self, request):
        return self.broker.update_topic(request.topic, request.update_mask.paths)

    def GetTopic(self, request):
        return self.broker.topic(request.topic).config

    def DeleteTopic(self, request):
        self.broker.delete_topic(request.topic)
        return Empty()

    def ListTopics(self, request):
        rules.check_project(request.project)
        names, token = _page(_below(request.project, self.broker.topics), request)
        return ListTopicsResponse(topics=[self.broker.topic(name).config for name in names], next_page_token=token)

    def ListTopicSubscriptions(self, request):
        names, token = _page(list(self.broker.topic(request.topic).subscriptions), request)
        return ListTopicSubscriptionsResponse(subscriptions=names, next_page_token=token)

    def Publish(self, request):
        rules.check_publish(request)
        return PublishResponse(message_ids=self.broker.publish(request.topic, request.messages))

    # ------------------------------------------------------------------------------------------------- subscriber

    def CreateSubscription(self, request):
        return self.broker.create_subscription(request)

    def GetSubscription(self, request):
        return self.broker.described(self.broker.subscription(request.subscription))

    def UpdateSubscription(self, request):
        return self.broker.update_subscription(request.subscription, request.update_mask.paths)

    def DeleteSubscription(self, request):
        self.broker.delete_subscription(request.subscription)
        return Empty()

    def ListSubscriptions(self, request):
        rules.check_project(request.project)
        names, token = _page(_below(request.project, self.broker.subscriptions), request)
        described = [self.broker.described(self.broker.subscription(name)) for name in names]
        return ListSubscriptionsResponse(subscriptions=described, next_page_token=token)

    def ModifyPushConfig(self, request):
        changed = UpdateSubscriptionRequest(update_mask={"paths": ["push_config"]})
        changed.subscription.name = request.subscription
        changed.subscription.push_config.CopyFrom(request.push_config)
        self.UpdateSubscription(changed)
        return Empty()

    def Pull(self, request):
        if request.max_messages <= 0:
            raise invalid(f"Invalid max_messages given ({request.max_messages}). It must be positive.")
        wait = 0 if request.return_immediately else PULL_SECONDS
        count = min(request.max_messages, rules.MAX_MESSAGES)
        return PullResponse(received_messages=self.broker.pull(request.subscription, count, wait))

    def Acknowledge(self, request):
        rules.check_ack_ids(request)
        self.broker.acknowledge(request.subscription, request.ack_ids)
        return Empty()

    def ModifyAckDeadline(self, request):
        rules.check_ack_ids(request)
        rules.check_deadline(request.ack_deadline_seconds)
        self.broker.modify(request.subscription, [(one, request.ack_deadline_seconds) for one in request.ack_ids])
        return Empty()

    def Seek(self, request):
        if request.WhichOneof("target") != "time":
            raise not_here("seeking to a snapshot") if request.snapshot else invalid("A seek needs a time.")
        self.broker.seek(request.subscription, request.time.ToNanoseconds() / 1e9)
        return SeekResponse()

    # --------------------------------------------------------------------------------------------- streaming pull

    def StreamingPull(self, requests: Iterator, is_open: Callable[[], bool], when_closed: Callable) -> Iterator:
        """Answers until the client closes the stream. `when_closed(call)` has `call()` called when it does."""
        first = next(requests, None)
        if first is None:
            return
        rules.check_deadline(first.stream_ack_deadline_seconds, least=10)
        stream = _Stream(self.broker, first)
        reader = threading.Thread(target=stream.read, args=(requests,), daemon=True)
        when_closed(stream.close)
        reader.start()
        while is_open() and (messages := stream.wait()) is not None:
            response = StreamingPullResponse(received_messages=messages)
            ordered = stream.subscription.config.enable_message_ordering
            response.subscription_properties.message_ordering_enabled = ordered
            yield response


class _Stream:
    """An open streaming pull: one thread reads what the client asks for, another waits for messages to send."""

    def __init__(self, broker: Broker, first):
        self.broker, self.name = broker, first.subscription
        self.subscription = broker.subscription(self.name)
        self.holder = Holder(first.max_outstanding_messages, first.max_outstanding_bytes)
        self.seconds = first.stream_ack_deadline_seconds
        self.closed = False
        self.refused: Refused | None = None
        check_is_pulled(self.subscription)
        self.obey(first)

    def obey(self, request) -> None:
        """Settles what a request of the client names."""
        if len(request.modify_deadline_ack_ids) != len(request.modify_deadline_seconds):
            raise invalid("modify_deadline_seconds and modify_deadline_ack_ids must have the same length.")
        for seconds in request.modify_deadline_seconds:
            rules.check_deadline(seconds)
        if request.ack_ids:
            self.broker.acknowledge(self.name, request.ack_ids)
        if request.modify_deadline_ack_ids:
            deadlines = zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True)
            self.broker.modify(self.name, deadlines)
        if request.stream_ack_deadline_seconds:
            rules.check_deadline(request.stream_ack_deadline_seconds, least=10)
            self.seconds = request.stream_ack_deadline_seconds

    def read(self, requests: Iterator) -> None:
        try:
            for request in requests:
                if request.subscription or request.max_outstanding_messages or request.max_outstanding_bytes:
                    raise invalid("Only the first request of a stream names a subscription and its flow control.")
                self.obey(request)
        except Refused as refused:
            self.refused = refused
        except grpc.RpcError:
            pass  # the client has gone, which is how streams end
        self.close()

    def close(self) -> None:
        with self.broker.lock:
            self.closed = True
            self.broker.changed.notify_all()

    def wait(self) -> list | None:
        """The messages to send next; None when the stream is closed. Raises Refused."""
        with self.broker.lock:
            while not self.closed:
                if self.broker.subscriptions.get(self.name) is not self.subscription:
                    raise not_found(self.name)
                check_is_pulled(self.subscription)
                messages = self.broker.take(self.subscription, self.holder, self.seconds)
                if messages:
                    return messages
                self.broker.changed.wait()
        if self.refused:
            raise self.refused
        return None


def _below(project: str, names) -> list[str]:
    return [name for name in list(names) if name.startswith(f"{project}/")]


def _page(names: list[str], request) -> tuple[list[str], str]:
    """The names that belong on the page that is asked for, and the next page's token: the last name before it."""
    if request.page_size < 0:
        raise invalid(f"Invalid page_size given ({request.page_size}). It must not be negative.")
    after = [name for name in sorted(names) if name > request.page_token]
    size = request.page_size or PAGE_SIZE
    return after[:size], after[size - 1] if len(after) > size else ""
