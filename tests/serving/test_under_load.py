"""Models that change while requests run, and a function that is killed while Pub/Sub pushes to it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from brigade.models.manifest import change_marker
from local import emulators
from tests.conftest import ROOT
from tests.models.written_models import NEW, OLD, tiny_model, write_model
from tests.serving.pushed_messages import EVENT
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

TEXTS = ["some words", "Oil prices rose on Monday", "texto teste"]
SWAPS = 20


def test_no_request_fails_and_no_answer_is_mixed_while_models_change(serve, tmp_path):
    """A new run of the same date every time; whatever answers says which run it is, and is that run to the end."""
    write_model(tmp_path, NEW, run_id="run-0", seed=0)
    client = serve("predict", MODEL_REFRESH_SECONDS="0.01")
    app, store = client.application, client.store
    answers, over = [], threading.Event()

    def caller() -> None:
        client = app.test_client()
        while not over.is_set():
            answers.append(client.post("/", json={"instances": [{"payload": text} for text in TEXTS]}))

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for swap in range(1, SWAPS + 1):
            write_model(tmp_path, NEW, run_id=f"run-{swap}", seed=swap)
            (tmp_path / "changed.json").write_bytes(change_marker("trained", NEW, f"run-{swap}", done=True))
            wait_until(lambda run_id=f"run-{swap}": store.current().manifest.run_id == run_id)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    expected = {f"run-{seed}": [tiny_model(seed=seed).predict(text) for text in TEXTS] for seed in range(SWAPS + 1)}
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    for answer in answers:
        assert answer.json["predictions"] == expected[answer.json["model"]["runId"]]
    assert len({answer.json["model"]["runId"] for answer in answers}) > SWAPS // 2
    assert len(store.passed_over) == len(store.rejected) == 0


class Function:
    """`classify` in processes of its own, as functions-framework starts them, always on the same port."""

    def __init__(self, models: Path, topics: dict[str, str], log: Path):
        self.port = emulators.free_port()
        self.environment = os.environ | {"MODELS_URI": str(models), "PYTHONUNBUFFERED": "1"} | topics
        self.log = log
        self.start()

    def start(self) -> None:
        program = str(Path(sys.executable).with_name("functions-framework"))
        command = [program, "--source=cloud_function/main.py", "--target=classify", "--host=127.0.0.1"]
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                [*command, f"--port={self.port}"],
                env=self.environment,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        emulators.wait_for_port(self.port, self.process)

    def kill(self) -> None:
        """Ends it as a machine that fails does, in the middle of whatever it was doing."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def function(pubsub, tmp_path):
    write_model(tmp_path / "models", OLD, seed=1)
    results, dead = (pubsub.topic(f"{name}-{time.monotonic_ns()}") for name in ("killed-results", "killed-dead"))
    running = Function(
        tmp_path / "models", {"RESULT_TOPIC": results, "DEAD_LETTER_TOPIC": dead}, tmp_path / "function.log"
    )
    running.results = results
    yield running
    running.kill()


def test_every_document_is_classified_though_the_function_is_killed_in_the_middle(pubsub, function):
    number = time.monotonic_ns()
    topic = pubsub.topic(f"killed-{number}")
    results = pubsub.subscription(function.results, f"killed-results-{number}")
    pubsub.subscription(topic, f"killed-{number}", push_config={"push_endpoint": f"http://127.0.0.1:{function.port}/"})
    ids = [f"event-{index}" for index in range(200)]

    def publish(some: list[str]) -> None:
        for event_id in some:
            pubsub.publisher.publish(topic, json.dumps(EVENT | {"eventId": event_id}).encode())

    publish(ids[:100])
    messages = pubsub.pull_all(results, 20)
    function.kill()
    assert len(messages) >= 20
    publish(ids[100:])
    function.start()
    end = time.monotonic() + 90
    while {message.attributes["eventId"] for message in messages} != set(ids) and time.monotonic() < end:
        messages += pubsub.pull_all(results, 1, timeout=5)
    assert {message.attributes["eventId"] for message in messages} == set(ids)
    label = tiny_model(seed=1).predict(EVENT["doc"]["payload"])["label"]
    assert {json.loads(message.data)["classification"]["label"] for message in messages} == {label}
