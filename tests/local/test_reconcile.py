"""What landed against what was published: when it adds up, and that each way not to is told."""

import gzip
import json
import time
import uuid
from pathlib import Path

import pytest

from local import reconcile


def event(number: int, minute: int = 0, message: str | None = None) -> bytes:
    """A landed line, published in that minute of the day."""
    about = {"messageId": message or f"id-{number}", "publishTime": at(minute), "attributes": {}}
    return line({"eventId": f"event-{number}", "doc": {"payload": "texto secreto"}, "pubsub": about})


def letter(number: int, minute: int = 0, reason: str = "malformed_json") -> bytes:
    about = {"reason": reason, "detail": "at 3", "messageId": f"id-{number}", "publishTime": at(minute)}
    return line(about | {"attributes": {}, "data": "dGV4dG8gc2VjcmV0bw=="})


def at(minute: int) -> str:
    return f"2026-11-01T{minute // 60:02}:{minute % 60:02}:30.000001Z"


def line(record: dict) -> bytes:
    return json.dumps(record).encode() + b"\n"


class Folders:
    """A landing folder and the dead letters beside it, in a local folder or a bucket."""

    def __init__(self, root: str, put):
        self.root, self.put = root, put

    def land(self, *lines: bytes, name: str = "a.jsonl") -> None:
        self.put(f"input/dt=2026-11-01/{name}", b"".join(lines))

    def bury(self, *letters: bytes, name: str = "a.jsonl") -> None:
        self.put(f"dead_letter/dt=2026-11-01/{name}", b"".join(letters))


@pytest.fixture
def folders(tmp_path) -> Folders:
    def put(name: str, data: bytes) -> None:
        path = Path(tmp_path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return Folders(str(tmp_path), put)


@pytest.fixture
def bucket(storage_emulator) -> Folders:
    from google.cloud import storage

    bucket = storage.Client(project="brigade-test").create_bucket(f"reconcile-{time.monotonic_ns()}")
    return Folders(f"gs://{bucket.name}", lambda name, data: bucket.blob(name).upload_from_string(data))


@pytest.fixture
def run(capsys):
    """Runs the command; gives its status, the numbers of its one line of JSON, and what it says to people."""

    def run(folders: Folders, *flags: str) -> tuple[int, dict, str]:
        status = reconcile.main([f"--output_path={folders.root}/input/", *flags])
        output = capsys.readouterr()
        assert "secreto" not in output.out + output.err and "dGV4" not in output.out + output.err
        return status, json.loads(output.out), output.err

    return run


@pytest.mark.parametrize("place", ["folders", "bucket"])
def test_it_adds_up_when_every_message_is_in_one_folder(request, run, place):
    folders = request.getfixturevalue(place)
    folders.land(*(event(number) for number in range(7)))
    folders.land(gzip.compress(event(7) + event(8)), name="b.jsonl.gz")
    folders.land(b"half a li", name=".unfinished.jsonl")
    folders.bury(letter(9), letter(10, reason="empty_payload"), letter(11))
    folders.put("dead_letter/replayed/topic/ledger.jsonl", b'{"messageId": "id-9"}\n')
    folders.put("dead_letters_of_others/dt=2026-11-01/a.jsonl", letter(12))
    status, numbers, said = run(folders, "--published=12")
    assert status == 0 and numbers["adds_up"]
    assert (numbers["landed"], numbers["dead_lettered"], numbers["found"]) == (9, 3, 12)
    assert (numbers["files_landed"], numbers["lines_landed"], numbers["files_dead_lettered"]) == (2, 9, 1)
    assert numbers["bytes_dead_lettered"] == len(letter(9) + letter(10, reason="empty_payload") + letter(11))
    assert numbers["reasons"] == {"malformed_json": 2, "empty_payload": 1}
    assert said.splitlines()[-1] == "It adds up."


@pytest.mark.parametrize("place", ["folders", "bucket"])
def test_a_missing_line_is_told(request, run, place):
    folders = request.getfixturevalue(place)
    folders.land(event(1), event(2))
    folders.bury(letter(3))
    status, numbers, said = run(folders, "--published=4")
    assert status == 1 and not numbers["adds_up"]
    assert said.splitlines()[-1] == (
        "reconcile: found: expected 4 messages, found 3 (landed 2 + dead_lettered 1 - in_both 0): 1 missing"
    )


def test_a_duplicate_makes_up_for_no_missing_line(folders, run):
    folders.land(event(1), event(2), event(2))
    assert run(folders, "--published=2")[0] == 0
    status, numbers, said = run(folders, "--published=3")
    assert status == 1 and "1 missing" in said
    assert (numbers["duplicates_landed"], numbers["repeated_event_ids"]) == (1, 1)


def test_an_event_that_was_published_twice_is_two_messages(folders, run):
    folders.land(event(1, message="a"), event(1, message="b"))
    status, numbers, _ = run(folders, "--published=2")
    assert (status, numbers["duplicates_landed"], numbers["repeated_event_ids"]) == (0, 0, 1)


def test_more_than_was_published_is_told(folders, run):
    folders.land(event(1), event(2))
    status, _, said = run(folders, "--published=1")
    assert status == 1 and "1 more than published" in said


def test_a_message_that_landed_and_is_a_dead_letter_is_told(folders, run):
    folders.land(event(1), event(2))
    folders.bury(letter(2))
    status, numbers, said = run(folders, "--published=2")
    assert (status, numbers["in_both"], numbers["found"]) == (1, 1, 2)
    assert "in_both: expected 0, found 1" in said.splitlines()[-1]


def test_minutes_without_a_message_are_found_between_the_first_and_the_last(folders, run):
    folders.land(event(1, 0), event(2, 1), event(3, 4), event(4, 4))
    folders.bury(letter(5, 124))
    status, numbers, said = run(folders)
    assert status == 0 and numbers["minutes_without_a_message"] == 2 + 119
    assert numbers["gaps"] == [["2026-11-01T00:05Z", 119], ["2026-11-01T00:02Z", 2]]
    assert "from 2026-11-01T00:05Z 119 min" in said


@pytest.mark.parametrize(
    "broken",
    [
        event(2)[:40] + b"\n",
        b"3\n",
        line({"eventId": "event-2", "pubsub": {"messageId": "id-2", "publishTime": "soon, as they say"}}),
        line({"eventId": "event-2", "pubsub": {"publishTime": at(0)}}),
        line({"pubsub": {"messageId": "id-2", "publishTime": at(0)}}),
    ],
)
def test_a_broken_line_is_told_with_its_place(folders, run, broken):
    folders.land(event(1), broken, event(3))
    status, numbers, said = run(folders)
    assert (status, numbers["landed"], numbers["unreadable_lines"]) == (1, 2, 1)
    assert said.splitlines()[-1].endswith("/input/dt=2026-11-01/a.jsonl, line 2")


@pytest.mark.parametrize("place", ["folders", "bucket"])
def test_a_gzip_file_that_was_cut_off_is_told(request, run, place):
    folders = request.getfixturevalue(place)
    noise = [event(number, message=uuid.uuid4().hex) for number in range(500)]
    folders.land(gzip.compress(b"".join(noise))[:-2000], name="a.jsonl.gz")
    status, numbers, said = run(folders)
    assert status == 1 and numbers["unreadable_lines"] == 1
    assert "/input/dt=2026-11-01/a.jsonl.gz, after line" in said.splitlines()[-1]


def test_events_that_were_copied_into_the_folder_are_no_messages(folders, run):
    folders.land(event(1), line({"eventId": "by hand", "doc": {}}))
    status, numbers, _ = run(folders, "--published=1")
    assert (status, numbers["lines_not_from_pubsub"], numbers["lines_landed"]) == (0, 1, 2)


def test_what_was_published_may_be_the_publisher_s_own_summaries(folders, run, tmp_path):
    folders.land(*(event(number) for number in range(5)))
    summaries = tmp_path / "published.jsonl"
    summaries.write_bytes(line({"read": 4, "published": 4, "failed": 0}) + line({"read": 3, "sent": 1}))
    status, numbers, _ = run(folders, f"--published_file={summaries}")
    assert (status, numbers["published"]) == (0, 5)


def test_folders_with_nothing_in_them_add_up_only_if_nothing_was_published(folders, run):
    assert run(folders, "--published=0")[0] == 0
    assert run(folders, "--published=1")[0] == 1
    status, _, said = run(folders)
    assert status == 1 and "files: expected some, found none below" in said


def test_a_bucket_that_does_not_exist_is_one_line_and_status_1(storage_emulator, capsys):
    assert reconcile.main(["--output_path=gs://no-such-bucket/input"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_one_that_waits_ends_when_the_last_message_is_there(folders, run, monkeypatch):
    folders.land(event(1))
    looks = iter([lambda: folders.land(event(2), name="b.jsonl"), lambda: folders.bury(letter(3)), lambda: None])
    monkeypatch.setattr(reconcile.time, "sleep", lambda seconds: next(looks)())
    status, numbers, said = run(folders, "--published=3", "--wait=1000")
    assert (status, numbers["landed"], numbers["dead_lettered"]) == (0, 2, 1) and "2 of 3 messages are there" in said
    assert next(looks)  # it has looked three times, and slept between


def test_one_that_waits_gives_up_when_nothing_comes(folders, run):
    folders.land(event(1))
    status, numbers, said = run(folders, "--published=2", "--wait=0.1")
    assert (status, numbers["found"]) == (1, 1) and "1 missing" in said
    assert run(folders, "--published=0", "--wait=1000")[0] == 1  # more than were published: no wait helps


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "--output_path"),
        (["--output_path=x", "--published=many"], "expected a whole number, 0 or more, found many"),
        (["--output_path=x", "--published=1", "--published_file=y"], "found both"),
        (["--output_path=x", "--published_file=/nowhere/y"], "expected summaries of publisher.py"),
        (["--output_path=x", f"--published_file={__file__}"], "expected summaries of publisher.py"),
        (["--output_path=x", "--wait=3"], "--wait goes with --published or --published_file"),
        (["--output_path=x", "--published=1", "--wait=0"], "expected a number above 0, found 0"),
        (["--output_path=x", "--publish=1"], "--publish=1"),
        (["--output_path=s3://bucket/x"], "expected gs://bucket/prefix or a folder"),
        (["--output_path=x", "--dead_letter_path=x/dead"], "must lie outside"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_line_that_says_why(flags, words, capsys):
    with pytest.raises(SystemExit) as ended:
        reconcile.main(flags)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
