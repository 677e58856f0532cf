"""The demo's last stage: unseen events are pushed to the function, and its answers compared with what is known."""

import json
import math
import statistics
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from brigade.events.contract import DOCUMENTS, Contract
from brigade.events.event import value_at
from brigade.events.labels import label_of, label_text
from brigade.models.event_fields import feature_fields
from brigade.pipelines.definition import Definition
from local import emulators
from local.demo_progress import Clock, publish, wait_for
from local.services import DEAD_LETTER_TOPIC, PROJECT, RESULT_TOPIC, TOPIC, Services, wait_until_ready

RESULTS = f"projects/{PROJECT}/subscriptions/demo-classified"
SENT = f"projects/{PROJECT}/subscriptions/demo-sent"
POISON = f"projects/{PROJECT}/subscriptions/demo-poison"


class Known:
    """What is known of the events beforehand: their ids and, if their fields have it, what is to be found out."""

    def __init__(self, definition: Definition | None):
        self.contract: Contract = definition.contract if definition else DOCUMENTS
        self.is_regression = definition is not None and definition.model.task == "regression"
        self.answer = ("doc", "metadata", "superTag01")
        if definition:
            fields = feature_fields(definition.about(), self.contract)
            self.answer = fields.get(definition.model.label, ())
        self.documents = definition is None

    def id_of(self, event: dict) -> str:
        return value_at(event, tuple(self.contract.id.split(".")))

    def day_of(self, event: dict) -> date:
        """The day that the event names, UTC."""
        time = value_at(event, tuple(self.contract.time.split(".")))
        return datetime.fromisoformat(time.upper()).astimezone(UTC).date()

    def answer_of(self, event: dict) -> str | float | None:
        """The label or the number that the event carries; None if it carries none."""
        if self.documents:
            return label_of(event, "superTag01")
        value = value_at(event, self.answer) if self.answer else None
        return value if self.is_regression else label_text(value)

    def compared(self, pairs: list[tuple]) -> dict[str, float | None]:
        """How good answers are: pairs of what was answered and what is known, None if it is not."""
        known = [(answer, expected) for answer, expected in pairs if expected is not None]
        if self.is_regression:
            errors = [abs(answer - expected) for answer, expected in known]
            return {"mae": round(statistics.fmean(errors), 4) if errors else None}
        right = sum(answer == expected for answer, expected in known)
        return {"accuracy": round(right / len(known), 4) if known else None}


def some_unseen(file: Path, most: int, known: Known) -> list[dict]:
    """Up to `most` events of the file, by their ids, so that those of all classes have the same chance. The file then
    holds these alone."""
    lines = {known.id_of(json.loads(line)): line for line in file.read_text("utf-8").splitlines()}
    chosen = [lines[name] for name in sorted(lines)[:most]]
    file.write_text("".join(f"{line}\n" for line in chosen), "utf-8")
    return [json.loads(line) for line in chosen]


def serve(
    clock: Clock,
    services: Services,
    events: list[dict],
    unseen_file: Path,
    rate: float,
    pipeline: list[str],
    definition: Definition | None,
) -> dict:
    """Publishes held-out events to the pushed function, and compares what comes back with what is known of them.

    events: those of the file. pipeline: the publisher's flags for events of the definition.
    """
    known = Known(definition)
    expected = {known.id_of(event): known.answer_of(event) for event in events}
    with emulators.subscriber_client() as subscriber:
        for name, topic in ((RESULTS, RESULT_TOPIC), (SENT, TOPIC), (POISON, DEAD_LETTER_TOPIC)):
            subscriber.create_subscription(name=name, topic=topic)
        ready = wait_until_ready(f"http://127.0.0.1:{services.start_function('predict')}/model")
        clock.say(f"function serves {ready['name']}")
        services.push_to(services.start_function("classify"))
        clock.say(
            f"{len(events):,} unseen {'documents' if known.documents else 'rows'} are published, {rate:g} a second"
        )
        results, times, poison = (Inbox(subscriber, name, known) for name in (RESULTS, SENT, POISON))
        with ThreadPoolExecutor(1) as beside:
            sent = beside.submit(publish, services, str(unseen_file), f"--rate={rate}", *pipeline)

            def classified() -> int:
                if sent.done():
                    sent.result()  # raises what publishing has raised
                return results.pull() + poison.pull()

            wait_for(clock, len(expected), classified, "answered", services, "classify")
        wait_for(clock, len(expected), times.pull, "times of publication", services, "classify")
    member, key = ("prediction", "value") if known.is_regression else ("classification", "label")
    answers = {name: json.loads(message.data)[member] for name, message in results.messages.items()}
    waits = sorted(
        (message.publish_time - times.messages[name].publish_time).total_seconds() * 1000
        for name, message in results.messages.items()
    )
    return {
        "unseen": len(expected),
        "computed": bool(definition and definition.model.query),  # features that the function has not
        "classified": len(answers),
        **known.compared([(answer[key], expected[name]) for name, answer in answers.items()]),
        "p50_ms": round(statistics.median(waits), 1) if waits else None,
        "p99_ms": round(waits[math.ceil(len(waits) * 0.99) - 1], 1) if waits else None,
        "models": sorted({f"{answer['model']}/{answer['runId']}" for answer in answers.values()}),
    }


class Inbox:
    """A subscription's messages, one for each event's id; Pub/Sub may bring one twice."""

    def __init__(self, subscriber, subscription: str, known: Known):
        self.subscriber, self.subscription, self.known = subscriber, subscription, known
        self.messages: dict[str, Any] = {}

    def pull(self) -> int:
        for message in emulators.pull(self.subscriber, self.subscription):
            key = message.attributes.get("eventId") or self.known.id_of(json.loads(message.data))
            self.messages.setdefault(key, message)
        return len(self.messages)
