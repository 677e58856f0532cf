"""A job whose subscription has lost its topic says so and ends; a job that waits for a service says for which."""

import logging
import signal
import threading
import time

import pytest
from google.api_core import exceptions

import pubsub_gcs
from brigade.landing import waiting, watch
from brigade.landing.watch import Watch
from tests.events.examples import event
from tests.landing.test_job import Job, lines_so_far


@pytest.fixture
def orphan(pubsub):
    """A subscription that holds three events, whose topic was deleted and created again."""
    topic = pubsub.topic(f"landing-orphan-{time.monotonic_ns()}")
    subscription = pubsub.subscription(topic, topic.rsplit("/", 1)[1])
    for number in range(3):
        pubsub.publisher.publish(topic, event(number)).result(timeout=60)
    pubsub.publisher.delete_topic(topic=topic)
    pubsub.publisher.create_topic(name=topic)
    return subscription


@pytest.fixture
def terminated():
    """An event that SIGTERM sets instead of ending this process."""
    came = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    yield came
    signal.signal(signal.SIGTERM, before)


def test_a_job_does_not_start_on_a_subscription_whose_topic_was_deleted(orphan, tmp_path, capsys):
    flags = [f"--input_subscription={orphan}", f"--output_path={tmp_path}/input", "--project=brigade-test"]
    assert pubsub_gcs.main(flags) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "deleted" in line]
    assert f"the topic of {orphan} was deleted" in line and "--without_topic" in line


@pytest.mark.long
def test_what_such_a_subscription_still_holds_lands_where_that_is_asked_for(orphan, tmp_path):
    job = Job(orphan, tmp_path, "--without_topic")
    job.wait_for(lambda: (tmp_path / "input").exists() and len(lines_so_far(tmp_path)) == 3)
    assert job.end(signal.SIGTERM)["landed"] == 3


def test_without_topic_is_for_subscriptions(capsys):
    flags = ["--input_topic=projects/brigade-test/topics/any", "--output_path=input", "--without_topic"]
    with pytest.raises(SystemExit) as ended:
        pubsub_gcs.main(flags)
    assert ended.value.code == 2 and "expected --input_subscription beside it" in capsys.readouterr().err


@pytest.mark.parametrize("lost", ["topic", "subscription"])
def test_a_running_job_is_stopped_when_its_topic_or_subscription_is_deleted(pubsub, terminated, monkeypatch, lost):
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.02)
    topic = pubsub.topic(f"landing-lost-{time.monotonic_ns()}")
    subscription = pubsub.subscription(topic, topic.rsplit("/", 1)[1])
    with Watch(subscription) as watched:
        assert not terminated.wait(0.2) and not watched.problem
        if lost == "topic":
            pubsub.publisher.delete_topic(topic=topic)
        else:
            pubsub.subscriber.delete_subscription(subscription=subscription)
        assert terminated.wait(30)
    assert subscription in watched.problem
    assert ("was deleted" if lost == "topic" else "does not exist") in watched.problem


@pytest.mark.parametrize("error", [exceptions.ServiceUnavailable("away"), exceptions.PermissionDenied("no")])
def test_a_look_that_fails_stops_no_job(terminated, monkeypatch, error):
    looks = threading.Semaphore(0)

    def fails(*_):
        looks.release()
        raise error

    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(watch, "check_subscription", fails)
    with Watch("projects/brigade-test/subscriptions/any") as watched:
        assert looks.acquire(timeout=30) and looks.acquire(timeout=30)
    assert not terminated.is_set() and not watched.problem


@pytest.mark.waits
def test_the_job_itself_ends_with_1_within_a_minute_of_the_topics_deletion(pubsub, tmp_path):
    topic = pubsub.topic("landing-topic-deleted")
    subscription = pubsub.subscription(topic, "landing-topic-deleted")
    job = Job(subscription, tmp_path)
    pubsub.publisher.publish(topic, event(1)).result(timeout=60)
    job.wait_for(lambda: (tmp_path / "input").exists() and len(lines_so_far(tmp_path)) == 1)
    pubsub.publisher.delete_topic(topic=topic)
    pubsub.publisher.create_topic(name=topic)
    output, _ = job.process.communicate(timeout=120)
    assert job.process.returncode == 1 and b'"landed": 1' in output
    assert f"the topic of {subscription} was deleted" in (tmp_path / "job.log").read_text()


def test_who_waits_says_for_what_and_since_when_and_when_it_was_over(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(waiting, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(waiting, "AGAIN_SECONDS", 0.05)
    end = time.monotonic() + 30
    with waiting.tells_when_it_waits("storage, to write gs://b/input/x.jsonl"):
        while len(caplog.records) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    first, second, *_, last = [record.getMessage() for record in caplog.records]
    assert first.startswith("waiting for storage, to write gs://b/input/x.jsonl since ") and " UTC, for " in first
    assert second.startswith("waiting for storage")
    assert last.startswith("waited ") and last.endswith(" s for storage, to write gs://b/input/x.jsonl")


def test_the_first_line_comes_within_ten_seconds_and_a_lost_topic_is_seen_within_a_minute():
    """The other tests shorten both."""
    assert waiting.FIRST_SECONDS <= 10 and watch.WATCH_SECONDS <= 45


def test_who_does_not_wait_says_nothing(caplog):
    caplog.set_level(logging.INFO)
    with waiting.tells_when_it_waits("storage"):
        pass
    assert not caplog.records
