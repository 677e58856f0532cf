"""One run of the publisher: reads what was asked for, sends it, and counts what became of every message.

The counts add up, also if the run ends early: what was read was published, held out, skipped, or has failed.
"""

import argparse
import hashlib
import itertools
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, cast

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from brigade.errors import BrigadeError, WrongInput
from brigade.events.contract import DOCUMENTS
from brigade.publishing import subscription
from brigade.publishing.columns import Columns
from brigade.publishing.documents import Message
from brigade.publishing.files import Form, documents
from brigade.publishing.noise import with_noise
from brigade.publishing.outlets import Nowhere, Outlet, StandardOutput, Topic, paced
from brigade.publishing.replay import replay
from brigade.storage import write_whole

log = logging.getLogger(__name__)

# Problems of the surroundings, which are told in one line. Any other exception is a bug.
EXPECTED = (BrigadeError, KeyboardInterrupt, OSError, GoogleAPIError, GoogleAuthError)

# What becomes of dead letters that are not published again.
LETTERS = ["acknowledged", "skipped_already_sent", "skipped_acknowledged", "skipped_other_reason"]
LETTERS += ["data_left_out", "unreadable"]

Noise = Callable[[Iterable[bytes]], Iterator[tuple[str, bytes]]]


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `summary` is None if it did not get as far as its topic; `problem` is what ended it early."""

    status: int
    summary: dict | None
    problem: BaseException | None


def run(flags: argparse.Namespace) -> Outcome:
    """Does what the flags ask for, and tells how it ended."""
    started = time.monotonic()
    outlet: Outlet | None = None
    problem: BaseException | None = None
    counts: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    try:
        columns = columns_of(flags)
        messages, noise = documents_to_publish(flags, columns)
        outlet = outlet_of(flags)
        if flags.replay:
            is_subscription = subscription.NAME.fullmatch(flags.replay)
            again = subscription.replay_subscription if is_subscription else replay
            again(flags.replay, flags.reason, outlet, flags.rate, flags.limit, counts)
        else:
            hold_out = flags.hold_out or 0.0
            publish(messages, noise, outlet, flags.rate, hold_out, flags.hold_out_file, counts, classes)
    except EXPECTED as error:
        problem = error
    status = problem.status if isinstance(problem, BrigadeError) else int(problem is not None)
    if outlet is None:
        return Outcome(status, None, problem)
    counts.update(outlet.counts)
    became = ["published", "failed", "too_large", *(LETTERS if flags.replay else ["held_out"])]
    if not status and counts["read"] != sum(counts[name] for name in became):
        log.error("the counts do not add up")
        status = 1
    if counts["data_left_out"]:
        log.warning(
            "%d dead letters hold no data: their messages were too large to go with them, and are among landing's dead "
            "letters; --reason=too_large --acknowledge is the end of those here",
            counts["data_left_out"],
        )
    if any(counts[name] for name in ("failed", "too_large", "unreadable", "data_left_out")):
        status = status or 1
    told = ["read", *became] + ([] if flags.replay else ["documents", "copies", "malformed"])
    summary: dict = {"sent" if flags.replay and name == "published" else name: counts[name] for name in told}
    summary |= columns.summary()
    summary |= {"bytes": counts["bytes"], "seconds": round(time.monotonic() - started, 2), "topic": flags.topic}
    return Outcome(status, summary if flags.replay else summary | {"classes": dict(classes.most_common(50))}, problem)


def outlet_of(flags: argparse.Namespace) -> Outlet:
    if flags.acknowledge:
        return Nowhere(keeps_ledger=not flags.dry_run)
    return StandardOutput(flags.topic or "") if flags.dry_run else Topic(flags.topic)


def columns_of(flags: argparse.Namespace) -> Columns:
    """The columns of the rows: those of --text and --label, or of a pipeline's fields. Raises WrongInput."""
    if flags.pipeline is not None:
        from brigade.pipelines.load import load  # pydantic and PyYAML, which documents need not wait for
        from brigade.publishing.fields import Fields

        definition = load(flags.pipeline)
        if definition.contract != DOCUMENTS:
            if given := [f"--{name}" for name in ("text", "label") if getattr(flags, name) is not None]:
                hint = f"--pipeline={flags.pipeline} names the columns"
                raise WrongInput(f"{' and '.join(given)}: expected no columns here, found some; {hint}")
            return Fields.of(definition)
    text = tuple((flags.text or "text").split("+"))
    return Columns(text, flags.label or "label", label_is_required=flags.label is not None)


def documents_to_publish(flags: argparse.Namespace, columns: Columns) -> tuple[Iterator[Message], Noise | None]:
    """The documents, and what adds noise to them. Raises WrongInput."""
    if flags.generate:
        n = min(flags.generate, flags.limit or flags.generate)
        usual = max(1, n // 100) if n >= 10 else 0
        seed = 1 if flags.seed is None else flags.seed
        copies, malformed = (usual if k is None else k for k in (flags.copies, flags.malformed))
        expected = n * (1 - (flags.hold_out or 0))
        noise = partial(with_noise, copies=copies, malformed=malformed, seed=seed, contract=columns.contract)
        return columns.generated(n, seed), partial(noise, expected=expected)
    form = Form(columns, flags.encoding, flags.delimiter)
    return itertools.islice(documents(flags.files, form), flags.limit), None


def publish(
    messages: Iterable[Message],
    noise: Noise | None,
    outlet: Outlet,
    rate: float | None,
    hold_out: float,
    hold_out_file: str | None,
    counts: Counter,
    classes: Counter,
) -> None:
    """Sends what is not held out. `counts` tells what was read, `outlet.counts` what became of what was sent."""

    def kept(held_out: BinaryIO) -> Iterator[tuple[str, bytes]]:
        for message in messages:
            if message.label:
                classes[message.label] += 1
            if message.text and is_held_out(message.text, hold_out):
                held_out.write(message.data + b"\n")
                counts.update(read=1, documents=1, held_out=1)
            else:
                yield "malformed" if message.text is None else "documents", message.data

    with tempfile.TemporaryFile() as file:
        held_out = cast(BinaryIO, file)
        try:
            stream = kept(held_out)
            stream = noise(data for _, data in stream) if noise else stream
            for kind, data in paced(stream, rate):
                outlet.send(data, {}, lambda message_id: None)
                counts.update({"read": 1, kind: 1})
        finally:
            outlet.close()
        if hold_out_file:
            write_whole(hold_out_file, held_out)


def is_held_out(text: str, fraction: float) -> bool:
    """Decided by the text alone, so that equal texts fall on the same side in every run."""
    # Salted, so that it is independent of other splits that use a hash of the text.
    digest = hashlib.sha256(b"hold out " + text.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64
