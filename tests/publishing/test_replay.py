"""Dead letters from a folder go out again as they came in, once for each message."""

import base64
import gzip
import os
import uuid
from pathlib import Path

import orjson
import pytest

from tests.publishing.door import EVENT, run, write

OWN_NAMES = {"topic": "t", "data": "d", "retry": "r"}  # attributes named as the client's own arguments


def letter(
    message_id: str, data: bytes, reason: str = "bad_timestamp", attributes: dict | None = None, **more
) -> bytes:
    record = {
        "reason": reason,
        "detail": "",
        "messageId": message_id,
        "publishTime": "2025-01-01T00:00:00Z",
        "attributes": attributes or {},
        "data": base64.b64encode(data).decode(),
    } | more
    return orjson.dumps(record) + b"\n"


@pytest.fixture
def dead(folder) -> Path:
    """Dead letters of two days: four messages, one of them twice, one line that tells nothing, a staged file."""
    for day in ("dt=2025-01-01", "dt=2025-01-02"):
        (folder / "dead_letter" / day).mkdir(parents=True)
    first = letter("1", b"\xff\xfe", "not_utf8", {"source": "scanner"})
    first += letter("2", b"{}", attributes=OWN_NAMES) + b"not a dead letter\n"
    write(folder / "dead_letter" / "dt=2025-01-01", "a.jsonl", first)
    second = letter("2", b"{}") + letter("3", EVENT) + letter("4", b"", "empty")
    write(folder / "dead_letter" / "dt=2025-01-02", "b.jsonl.gz", gzip.compress(second))
    write(folder / "dead_letter" / "dt=2025-01-02", ".c.jsonl.0123abcd.staged", letter("5", b""))
    return folder / "dead_letter"


def test_replay_sends_the_original_bytes_and_attributes_once_for_each_message(dead, topic):
    done = run(f"--replay={dead}/", f"--topic={topic.path}")
    pulled = {message.attributes["replayOf"]: message for message in topic.pull(4)}
    assert topic.pull(1, timeout=0.5) == []
    sent = {"1": b"\xff\xfe", "2": b"{}", "3": EVENT, "4": b""}
    assert {name: message.data for name, message in pulled.items()} == sent
    assert dict(pulled["1"].attributes) == {"source": "scanner", "replayOf": "1"}
    assert dict(pulled["2"].attributes) == OWN_NAMES | {"replayOf": "2"}
    told = {"read": 6, "sent": 4, "skipped_already_sent": 1, "unreadable": 1, "failed": 0, "too_large": 0}
    assert told.items() <= done.summary.items()
    assert done.status == 1  # one line could not be read


def test_a_replayed_message_has_its_ordering_key_again_and_keeps_its_place(folder, topic):
    letters = [letter(f"{n}", b"%d" % n, orderingKey="ab"[n % 2]) for n in range(20)]
    letters += [letter("20", b"20"), letter("21", b"21", attributes=OWN_NAMES, orderingKey="a")]
    odd = letter("22", b"", orderingKey=7) + letter("23", b"", orderingKey="k" * 1025)
    path = write(folder, "a.jsonl", b"".join(letters) + odd)
    done = run(f"--replay={path}", f"--topic={topic.path}")
    assert [done.summary[name] for name in ("read", "sent", "unreadable", "too_large")] == [24, 22, 1, 1]
    pulled = sorted(topic.pull(22), key=lambda message: int(message.message_id))
    keys = {message.ordering_key for message in pulled}
    found = {key: [message.data for message in pulled if message.ordering_key == key] for key in keys}
    evens, odds = ([b"%d" % n for n in range(first, 20, 2)] for first in (0, 1))
    assert found == {"a": [*evens, b"21"], "b": odds, "": [b"20"]}


def test_a_second_replay_skips_what_the_ledger_knows_whichever_part_is_asked_for(dead, topic, pubsub):
    one_day = run(f"--replay={dead}/dt=2025-01-02", f"--topic={topic.path}")
    assert (one_day.status, one_day.summary["sent"]) == (0, 3)
    ledger = [line for path in (dead / "replayed").iterdir() for line in path.read_bytes().splitlines()]
    assert {orjson.loads(line).get("messageId") for line in ledger} == {None, "2", "3", "4"}
    everything = run(f"--replay={dead}", f"--topic={topic.path}")
    assert (everything.summary["sent"], everything.summary["skipped_already_sent"]) == (1, 4)
    one_file = run(f"--replay={dead}/dt=2025-01-01/a.jsonl", f"--topic={topic.path}")
    assert (one_file.summary["sent"], one_file.summary["skipped_already_sent"]) == (0, 2)
    elsewhere = run(f"--replay={dead}", f"--topic={pubsub.topic('topic-' + uuid.uuid4().hex[:8])}")
    assert elsewhere.summary["sent"] == 4


def test_replay_can_be_restricted_tried_and_shown_first(dead, topic):
    shown = run(f"--replay={dead}", "--dry_run")
    assert (shown.summary["sent"], len(shown.lines)) == (4, 4)
    assert not (dead / "replayed").exists()
    some = run(f"--replay={dead}", "--reason=not_utf8", f"--topic={topic.path}")
    assert (some.summary["sent"], some.summary["skipped_other_reason"]) == (1, 4)
    assert run(f"--replay={dead}", "--limit=1", f"--topic={topic.path}").summary["sent"] == 1
    assert run(f"--replay={dead}", "--limit=9", f"--topic={topic.path}").summary["sent"] == 2


def test_letters_without_data_are_told_as_such_and_acknowledged_by_their_reason(folder, topic, pubsub):
    letters = [letter(str(number), EVENT) for number in range(2)]
    bare = [{name: value for name, value in orjson.loads(letters[0]).items() if name != "data"} for _ in range(3)]
    about = ({"messageId": "5", "data": None}, {"messageId": "6", "data": ""}, {"messageId": "7"})
    lines = [orjson.dumps(one | {"reason": "too_large"} | more) + b"\n" for one, more in zip(bare, about, strict=True)]
    lines += [letter("8", b"x" * 100, "too_large"), orjson.dumps(bare[0] | {"messageId": "9"}) + b"\n"]
    write(folder, "a.jsonl", b"".join(letters + lines))

    def replay(*flags):
        done = run(f"--replay={folder}", *flags)
        told = ("sent", "acknowledged", "skipped_already_sent", "skipped_acknowledged", "data_left_out", "unreadable")
        rest = sum(done.summary[name] for name in ("skipped_other_reason", "failed", "too_large"))
        counts = [done.summary[name] for name in told]
        assert sum(counts) + rest == done.summary["read"] == 7
        return done.status, counts

    end = ["--reason=too_large", "--acknowledge"]
    assert replay("--dry_run") == (1, [3, 0, 0, 0, 3, 1])
    assert replay("--reason=bad_timestamp", f"--topic={topic.path}") == (1, [2, 0, 0, 0, 0, 1])
    assert replay(*end, "--dry_run") == (1, [0, 4, 0, 0, 0, 1])
    assert not any(b"acknowledged" in path.read_bytes() for path in (folder / "replayed").iterdir())
    assert replay(*end) == (1, [0, 4, 0, 0, 0, 1])
    assert replay(*end) == (1, [0, 0, 0, 4, 0, 1])
    assert replay(f"--topic={topic.path}") == (1, [0, 0, 2, 4, 0, 1])
    elsewhere = pubsub.topic("topic-" + uuid.uuid4().hex[:8])
    assert replay(f"--topic={elsewhere}") == (1, [2, 0, 0, 4, 0, 1])
    assert len(topic.pull(3, timeout=1)) == 2


def test_a_damaged_file_of_dead_letters_is_counted_and_the_others_are_replayed(dead, topic):
    whole = gzip.compress(b"".join(letter(f"x{n}", os.urandom(300)) for n in range(50)))
    write(dead / "dt=2025-01-01", "cut.jsonl.gz", whole[:-2000])
    write(dead / "dt=2025-01-01", "odd.jsonl", b'{"messageId": "5"}\n' + letter("6", b"x", attributes={"": "v"}))
    done = run(f"--replay={dead}", f"--topic={topic.path}")
    assert done.status == 1
    assert (done.summary["unreadable"], done.summary["too_large"]) == (3, 1)
    assert done.summary["sent"] > 4


def test_dead_letters_in_a_bucket_are_replayed_once(storage_emulator, topic):
    from google.cloud import storage

    bucket = storage.Client(project="brigade-test").create_bucket(f"bucket-{uuid.uuid4().hex[:8]}")
    bucket.blob("dead_letter/dt=2025-01-01/a.jsonl").upload_from_string(letter("1", b"a") + letter("2", b"b"))
    bucket.blob("dead_letter/dt=2025-01-02/b.jsonl.gz").upload_from_string(gzip.compress(letter("3", b"c")))
    bucket.blob("dead_letter_of_others/a.jsonl").upload_from_string(letter("4", b"d"))
    flags = [f"--replay=gs://{bucket.name}/dead_letter/", f"--topic={topic.path}"]
    first, second = run(*flags), run(*flags)
    assert (first.status, first.summary["sent"], second.summary["skipped_already_sent"]) == (0, 3, 3)
    assert second.status == 0 and second.summary["sent"] == 0
    assert sorted(message.data for message in topic.pull(3)) == [b"a", b"b", b"c"]
    bucket.blob("one/a.jsonl").upload_from_string(letter("5", b"e"))
    bucket.blob("one/a.jsonl.gz").upload_from_string(gzip.compress(letter("6", b"f")))
    assert run(f"--replay=gs://{bucket.name}/one/a.jsonl", "--dry_run").lines == [b"e"]
    held = f"gs://{bucket.name}/held.jsonl"
    run("--generate=20", "--hold_out=0.5", f"--hold_out_file={held}", "--dry_run")
    documents = bucket.blob("held.jsonl").download_as_bytes().splitlines()
    assert run(held, "--dry_run").summary["documents"] == len(documents) > 0
