"""The real job as its users start it, against a Pub/Sub server."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.events.examples import event
from tests.landing.landed import files


class Job:
    """pubsub_gcs.py as its users start it, against the emulator."""

    def __init__(self, source: str, folder: Path, *flags: str):
        self.folder = folder
        self.output = open(folder / "job.log", "ab")  # noqa: SIM115  it stays open as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "pubsub_gcs.py", "--project=brigade-test", "--region=us-central1"]
            + [
                f"--input_{'topic' if '/topics/' in source else 'subscription'}={source}",
                f"--output_path={folder}/input",
                "--runner=DirectRunner",
            ]
            + ["--window_size=0.02", "--num_shards=1", "--temp_location=gs://unused/temp", *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self.output,
        )

    def wait_for(self, done) -> None:
        end = time.monotonic() + 150
        while not done():
            assert self.process.poll() is None, (self.folder / "job.log").read_text()
            assert time.monotonic() < end, "nothing more lands"
            time.sleep(0.1)

    def end(self, number: int) -> dict:
        self.process.send_signal(number)
        output = self.process.communicate(timeout=60)[0]
        self.output.close()
        return json.loads(output.splitlines()[-1]) if output else {}


@pytest.mark.faults
def test_a_killed_local_job_loses_nothing_after_a_seek(pubsub, tmp_path):
    """The local runner acknowledges before it writes; a subscription that retains can be wound back."""
    from google.protobuf.timestamp_pb2 import Timestamp

    topic = pubsub.topic("landing-killed")
    subscription = pubsub.subscription(topic, "landing-killed", retain_acked_messages=True)
    sent = [
        *(event(number) for number in range(800)),
        b"no event",
        event(doc={"docId": "1", "payload": "x" * 9_000_000}),
    ]
    before = Timestamp(seconds=int(time.time()) - 60)
    assert len(sent) == 802
    for future in [pubsub.publisher.publish(topic, data) for data in sent]:
        future.result(timeout=60)

    first = Job(subscription, tmp_path, "--max_file_lines=50")  # so that it is killed before all of it has landed
    first.wait_for(lambda: (tmp_path / "input").exists() and len(lines_so_far(tmp_path)) > 0)
    assert first.end(signal.SIGKILL) == {}

    pubsub.subscriber.seek(request={"subscription": subscription, "time": before})
    second = Job(subscription, tmp_path)
    wanted = {f"event-{number}" for number in range(800)}
    second.wait_for(lambda: {line["eventId"] for line in lines_so_far(tmp_path)} == wanted)
    second.wait_for(lambda: len({line["messageId"] for line in lines_so_far(tmp_path, "dead_letter")}) == 2)
    summary = second.end(signal.SIGTERM)
    assert {line["eventId"] for line in lines_so_far(tmp_path)} == wanted
    assert {line["reason"] for line in lines_so_far(tmp_path, "dead_letter")} == {"malformed_json", "too_large"}
    # Winding back brings what had landed too: with the same messageIds, which conversion counts as duplicates, or in
    # the very same batch, which finds its own file and adds nothing.
    assert summary["received"] >= summary["landed"] + summary["dead_lettered"]


@pytest.mark.long
def test_a_local_job_that_reads_a_topic_leaves_no_subscription_behind(pubsub, tmp_path):
    topic = pubsub.topic("landing-topic")
    job = Job(topic, tmp_path)
    job.wait_for(lambda: list(pubsub.publisher.list_topic_subscriptions(topic=topic)))
    for number in range(3):
        pubsub.publisher.publish(topic, event(number)).result(timeout=60)
    job.wait_for(lambda: (tmp_path / "input").exists() and len(lines_so_far(tmp_path)) == 3)
    assert job.end(signal.SIGINT)["received"] == 3
    assert not list(pubsub.publisher.list_topic_subscriptions(topic=topic))


def lines_so_far(folder: Path, kind: str = "input") -> list[dict]:
    """The lines of finished files; one that is being written, or that a killed job left, has a hidden name."""
    finished = [path for path in files(folder, kind) if not path.name.startswith(".")]
    return [json.loads(line) for path in finished for line in path.read_text().splitlines()]
