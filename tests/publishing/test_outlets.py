"""Every message arrives on the topic, and one that does not is counted and told."""

import io
import time
import uuid

import orjson

from tests.publishing.door import payloads, run, write


def test_every_message_arrives_on_the_topic_as_the_dry_run_shows_it(topic):
    flags = ["--generate=300", "--seed=3", "--malformed=8"]
    shown = run(*flags, "--dry_run").lines
    done = run(*flags, f"--topic={topic.path}")
    pulled = [message.data for message in topic.pull(311)]

    def without_time(lines):
        return sorted(line.split(b'"eventId"')[-1] for line in lines)

    assert without_time(pulled) == without_time(shown) and len(pulled) == 311
    assert done.status == 0 and len(done.lines) == 1
    assert done.summary["published"] == done.summary["read"] == 311
    assert done.summary["bytes"] == sum(map(len, pulled)) and done.summary["topic"] == topic.path


def test_a_message_beyond_pubsubs_limit_is_counted_and_the_others_are_sent(folder, topic, pubsub):
    def published(topic_path, *texts):
        rows = b"".join(orjson.dumps({"text": text, "label": "x"}) + b"\n" for text in texts)
        done = run(write(folder, "rows.jsonl", rows), f"--topic={topic_path}")
        return done.status, [done.summary[name] for name in ("read", "published", "too_large", "failed")]

    assert published(topic.path, "before", "x" * 10_000_000, "after") == (1, [3, 2, 1, 0])
    assert sorted(payloads(message.data for message in topic.pull(2))) == ["after", "before"]
    nobodys = pubsub.topic(f"topic-{uuid.uuid4().hex[:8]}")
    assert published(nobodys, "before", "y" * 9_999_000, "after") == (0, [3, 3, 0, 0])


def test_a_topic_that_is_not_there_is_told_in_one_line_with_status_1(pubsub):
    done = run("--generate=3", f"--topic=projects/{pubsub.project}/topics/topic-nowhere")
    assert done.status == 1
    (line,) = done.error.splitlines()
    assert "topics/topic-nowhere does not exist" in line and "gcloud pubsub topics create" in line


def test_no_server_and_no_credentials_are_told_in_one_line_with_status_1(monkeypatch):
    flags = ["--generate=3", "--topic=projects/brigade-test/topics/topic-one"]
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    done = run(*flags)
    assert done.status == 1 and "cannot be reached" in done.error and len(done.error.splitlines()) == 1
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    done = run(*flags)
    assert done.status == 1 and "cannot be reached" in done.error and len(done.error.splitlines()) == 1


def test_messages_that_the_server_stops_taking_are_counted_as_failed(pubsub, topic):
    class Lines(io.RawIOBase):
        """A table whose third row comes when the topic is gone."""

        rows = iter([b"text,label\n", b"a,x\n", None, b"b,x\n", None, *[b"c,x\n"] * 9])

        def readable(self):
            return True

        def readinto(self, buffer):
            row = next(self.rows, b"")
            if row is None:
                time.sleep(0.5)  # what was sent before has its answer by now
                pubsub.publisher.delete_topic(topic=topic.path) if self.first else None
                self.first, row = False, next(self.rows)
            buffer[: len(row)] = row
            return len(row)

        first = True

    done = run("-", f"--topic={topic.path}", stdin=Lines())
    summary = done.summary
    assert done.status == 1 and "publishing failed" in done.error
    assert summary["published"] == 1 and summary["failed"] >= 1
    assert summary["read"] == summary["published"] + summary["failed"] < 11
