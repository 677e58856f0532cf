"""PUBLISH through its own door: what main(argv) puts on a topic, keeps back, counts and says."""

import base64
import csv
import gzip
import io
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brigade.publishing import run as publisher
from tests.conftest import ROOT, real_data

TABLE = "label,text\ncontract,The parties agree\ninvoice,Please pay\ncontract,Signed by both\n"
EVENT = b'{"eventId":"e1",  "eventTimestamp":"2019-04-02T21:55:57Z","doc":{"docId":"d","payload":"\xc3\xa1"}}'
wild_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def run(*flags, stdin=b""):
    """main(flags) with its own streams: status, the lines of standard output, standard error, the summary."""
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = SimpleNamespace(buffer=stdin if isinstance(stdin, io.RawIOBase) else io.BytesIO(stdin))
    sys.stdout, sys.stderr = out, error = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    try:
        status = publisher.main([str(flag) for flag in flags])
    except SystemExit as end:
        status = end.code
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    out.flush()
    lines, told = out.buffer.getvalue().splitlines(), error.getvalue()
    last = (told.encode().splitlines() if "--dry_run" in flags else lines)[-1:]
    summary = json.loads(last[0]) if last and last[0].startswith(b'{"read"') else None
    return SimpleNamespace(status=status, lines=lines, error=told, summary=summary)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def payloads(lines) -> list[str]:
    return [orjson.loads(line)["doc"]["payload"] for line in lines]


@pytest.fixture
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("publisher")


@pytest.fixture
def topic(pubsub):
    """A new topic with a subscription: its path, and a function that pulls so many messages."""
    name = f"topic-{uuid.uuid4().hex[:8]}"
    path = pubsub.topic(name)
    subscription = pubsub.subscription(path, f"sub-{name}")
    return SimpleNamespace(path=path, pull=lambda count, **more: pubsub.pull_all(subscription, count, **more))


# ----------------------------------------------------------------------------------------------------- tables


def test_a_table_becomes_the_contracts_events(folder):
    done = run(write(folder, "mails.csv", TABLE), "--dry_run")
    event = orjson.loads(done.lines[0])
    assert done.status == 0
    assert event == {
        "eventTimestamp": event["eventTimestamp"],
        "eventId": event["eventId"],
        "eventSource": "doc.contract",
        "eventVersion": "1.0",
        "eventType": "DocSchedule",
        "doc": {
            "schemaVersion": "1.0",
            "docId": event["doc"]["docId"],
            "metadata": {"superTag01": "contract"},
            "payload": "The parties agree",
        },
    }
    assert len(event["eventId"]) == 40 and str(uuid.UUID(event["doc"]["docId"])).upper() == event["doc"]["docId"]
    age = time.time() - publisher.datetime.fromisoformat(event["eventTimestamp"]).timestamp()
    assert event["eventTimestamp"].endswith("Z") and 0 <= age < 60
    assert done.summary["classes"] == {"contract": 2, "invoice": 1}


def test_the_same_table_again_gives_the_same_ids_and_each_row_its_own(folder):
    table = write(folder, "mails.csv", TABLE + "contract,Signed by both\n")
    (folder / "copy").mkdir()
    copy = write(folder / "copy", "mails.csv", table.read_bytes())
    ids = [[orjson.loads(line)["eventId"] for line in run(path, "--dry_run").lines] for path in (table, copy)]
    assert ids[0] == ids[1] and len(set(ids[0])) == 4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(wild_text, wild_text), min_size=1, max_size=6), delimiter=st.sampled_from(",;\t|"))
def test_whatever_stands_in_a_table_comes_out_as_it_went_in(folder, rows, delimiter):
    with open(folder / "wild.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("label", "text"), *rows])
    done = run(folder / "wild.csv", "--dry_run")
    assert done.status == 0, done.error
    assert payloads(done.lines) == [text for _, text in rows]
    labels = [orjson.loads(line)["doc"]["metadata"].get("superTag01") for line in done.lines]
    assert labels == [label.strip() or None for label, _ in rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_header(folder, delimiter):
    header = delimiter.join(["label", "a,b;c" if delimiter == "|" else "n", "text"])
    row = delimiter.join(["x", "1", "a text"])
    assert payloads(run(write(folder, "t.txt", f"{header}\n{row}\n"), "--dry_run").lines) == ["a text"]


def test_columns_of_the_text_are_joined_by_a_space_and_empty_ones_left_out(folder):
    table = write(folder, "t.csv", "title,body,label\nA,b c,x\nD,,x\n,e,x\n,,x\n")
    assert payloads(run(table, "--text=title+body", "--dry_run").lines) == ["A b c", "D", "e", ""]


def test_a_byte_order_mark_and_compression_and_utf_16_make_no_difference(folder):
    files = [
        write(folder, "bom.csv", b"\xef\xbb\xbftext,label\nol\xc3\xa1,x\n"),
        write(folder, "packed.csv.gz", gzip.compress("text,label\nolá,x\n".encode())),
    ]
    assert payloads(run(*files, "--dry_run").lines) == ["olá", "olá"]
    wide = write(folder, "wide.tsv", "text\tlabel\nolá\tx\n".encode("utf-16"))
    assert payloads(run(wide, "--encoding=utf-16", "--dry_run").lines) == ["olá"]


def test_standard_input_is_a_table_or_json_lines_by_its_first_byte():
    assert payloads(run("-", "--dry_run", stdin=TABLE.encode()).lines)[1] == "Please pay"
    assert payloads(run("-", "--dry_run", stdin=b'{"text": "a", "label": "x"}\n').lines) == ["a"]


def test_limit_and_rate_bound_what_is_read(folder):
    started = time.monotonic()
    done = run(write(folder, "t.csv", TABLE * 3), "--limit=5", "--rate=20", "--dry_run")
    assert done.summary["read"] == len(done.lines) == 5
    assert time.monotonic() - started >= 4 / 20


# ------------------------------------------------------------------------------------------------- JSON lines


def test_an_event_line_goes_out_byte_for_byte_and_so_does_a_broken_one(folder):
    lines = [EVENT, b'{"text": "a row", "label": "x"}', b"no JSON at all ", b"[1, 2]", b"", EVENT[:-9]]
    done = run(write(folder, "mixed.jsonl", b"\r\n".join(lines)), "--dry_run")
    assert [done.lines[0], *done.lines[2:]] == [EVENT, b"no JSON at all ", b"[1, 2]", EVENT[:-9]]
    assert payloads(done.lines[1:2]) == ["a row"]
    assert (done.summary["documents"], done.summary["malformed"], done.status) == (2, 3, 0)


def test_a_row_without_its_text_is_published_with_an_empty_payload(folder):
    rows = b'{"text": "a", "label": 7}\n{"label": "x"}\n{"text": null, "label": " "}\n{"text": 5}\n'
    done = run(write(folder, "rows.jsonl", rows), "--dry_run")
    assert payloads(done.lines) == ["a", "", "", "5"]
    assert [orjson.loads(line)["doc"]["metadata"] for line in done.lines] == [
        {"superTag01": "7"},
        {"superTag01": "x"},
        {},
        {},
    ]


def test_a_document_that_is_one_object_over_many_lines_is_refused(folder):
    done = run(write(folder, "one.json", '{\n "text": "a"\n}\n'), "--dry_run")
    assert done.status == 2 and "a JSON object in each line" in done.error


# -------------------------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "expected one of FILE"),
        (["a.csv", "--generate=3", "--dry_run"], "expected one of FILE"),
        (["--generate=3"], "expected --topic=projects/P/topics/T"),
        (
            ["--generate=3", "--topic=topic-brigade"],
            "expected projects/PROJECT/topics/NAME, found topic-brigade",
        ),
        (["--generate=0", "--dry_run"], "expected a number above 0, found 0"),
        (["--generate=3", "--copies=-1", "--dry_run"], "expected a whole number, 0 or more, found -1"),
        (["--generate=3", "--rate=nan", "--dry_run"], "expected a number above 0, found nan"),
        (["--generate=3", "--text=body", "--dry_run"], "--text goes with FILE"),
        (["a.csv", "--seed=1", "--dry_run"], "--seed goes with --generate"),
        (["a.csv", "--reason=x", "--dry_run"], "--reason goes with --replay"),
        (["a.csv", "--hold_out=0.2", "--dry_run"], "--hold_out and --hold_out_file go together"),
        (
            ["a.csv", "--hold_out=1", "--hold_out_file=h", "--dry_run"],
            "a fraction between 0 and 1, found 1.0",
        ),
        (["a.csv", "--encoding=klingon", "--dry_run"], "Python knows no text encoding klingon"),
        (["a.csv", "--delimiter=,,", "--dry_run"], "--delimiter: expected one character"),
        (["nowhere.csv", "--dry_run"], "nowhere.csv: there is no such file"),
        (["--replay=nowhere", "--dry_run"], "nowhere: there is no such folder or file"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_say_what_was_expected(flags, said):
    done = run(*flags)
    assert done.status == 2
    assert said in done.error.splitlines()[-1] or said in done.error.splitlines()[0]
    assert done.lines == []


def test_a_table_without_the_text_column_is_refused_before_anything_is_sent(folder):
    good, bad = write(folder, "good.csv", TABLE), write(folder, "bad.csv", "title,label\na,x\n")
    done = run(good, bad, "--dry_run")
    assert (done.status, done.lines) == (2, [])
    (line,) = done.error.splitlines()
    assert "expected the text in column text, found columns title, label" in line and "--text=COLUMN" in line


def test_a_label_column_that_was_asked_for_must_be_there_and_the_usual_one_need_not(folder, caplog):
    table = write(folder, "t.csv", "text\na\nb\n")
    done = run(table, "--label=topic", "--dry_run")
    assert done.status == 2 and "expected the label in column topic, found columns text" in done.error
    done = run(table, "--dry_run")
    assert done.status == 0 and payloads(done.lines) == ["a", "b"]
    assert sum("publishing without labels" in record.message for record in caplog.records) == 1


def test_a_file_of_another_encoding_is_refused_by_its_line_before_anything_is_sent(folder):
    table = write(folder, "old.csv", ("text,label\na,x\n" * 900 + "caf\xe9,x\n").encode("latin-1"))
    done = run(write(folder, "good.csv", TABLE), table, "--dry_run")
    assert (done.status, done.lines) == (2, [])
    (line,) = done.error.splitlines()
    assert "line 1801 is not utf-8" in line and "--encoding=latin-1" in line and "caf" not in line
    assert payloads(run(table, "--encoding=latin-1", "--dry_run").lines)[-1] == "café"


def test_standard_input_of_another_encoding_is_reported_at_the_point(folder):
    done = run("-", "--dry_run", stdin=b"text,label\na,x\ncaf\xe9,x\n")
    assert done.status == 2 and "line 3 is not utf-8" in done.error
    assert payloads(done.lines) == ["a"] and done.summary["published"] == 1


# --------------------------------------------------------------------------------------------------- hold-out


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.sampled_from("abcdefghij") | wild_text, max_size=40), fraction=st.floats(0.05, 0.95))
def test_a_held_out_text_is_never_published_and_nothing_is_lost(folder, texts, fraction):
    rows = b"".join(orjson.dumps({"text": text, "label": "x"}) + b"\n" for text in texts)
    held_file = folder / "held" / "out.jsonl"
    flags = [f"--hold_out={fraction}", f"--hold_out_file={held_file}"]
    done = run(write(folder, "rows.jsonl", rows), *flags, "--dry_run")
    held, sent = payloads(held_file.read_bytes().splitlines()), payloads(done.lines)
    assert not set(held) & set(sent)
    assert sorted(held + sent) == sorted(texts)
    assert done.summary["read"] == len(texts) == done.summary["held_out"] + done.summary["published"]
    assert [path.name for path in held_file.parent.iterdir()] == ["out.jsonl"]


def test_the_held_out_share_is_the_fraction_and_no_copy_of_it_gets_into_the_stream(folder):
    flags = ["--hold_out=0.3", f"--hold_out_file={folder}/held.jsonl", "--copies=300", "--malformed=80"]
    done = run("--generate=1000", "--seed=5", *flags, "--dry_run")
    held = set(payloads((folder / "held.jsonl").read_bytes().splitlines()))
    assert 240 < len(held) < 360
    assert not any(json.dumps(text, ensure_ascii=False).encode() in b"\n".join(done.lines) for text in held)
    assert done.summary["read"] == 1380 and done.summary["published"] == 1380 - done.summary["held_out"]


# ---------------------------------------------------------------------------------------- generated documents


def test_a_seed_gives_the_same_documents_in_every_process_and_another_seed_others():
    def told(seed, hash_seed):
        command = [sys.executable, "publisher.py", "--generate=40", f"--seed={seed}", "--dry_run"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        events = [line for line in done.stdout.splitlines() if line.startswith(b'{"eventTimestamp":"20')]
        return [line.split(b",", 1)[1] for line in events]

    first = told(1, "1")
    assert len(first) >= 40 and first == told(1, "2")
    assert not set(first) & set(told(2, "1"))


def test_noise_is_copies_byte_for_byte_and_messages_that_are_no_events():
    from brigade.landing.pipeline import NotAnEvent, read_event

    done = run("--generate=200", "--copies=7", "--malformed=16", "--dry_run")
    assert [done.summary[name] for name in ("documents", "copies", "malformed", "read")] == [200, 7, 16, 223]
    reasons, events, places = [], [], []
    for place, line in enumerate(done.lines):
        try:
            read_event(line)
            events.append(line)
        except NotAnEvent as problem:
            reasons.append(problem.reason)
            places.append(place)
    assert (len(events), len(set(events))) == (207, 200)
    expected = ["bad_timestamp", "empty_payload", "malformed_json", "malformed_json"]
    expected += ["missing_field", "not_an_object", "not_utf8", "wrong_type"]
    assert sorted(reasons) == sorted(expected * 2)
    assert min(places) < 60 and max(places) > 160  # spread, not heaped


def test_noise_is_one_in_a_hundred_unless_told_otherwise():
    def noise(*flags):
        summary = run(*flags, "--dry_run").summary
        return summary["copies"], summary["malformed"]

    assert noise("--generate=300") == (3, 3)
    assert noise("--generate=10") == (1, 1)
    assert noise("--generate=9") == (0, 0)
    assert noise("--generate=300", "--malformed=0", "--copies=0") == (0, 0)


def test_generated_documents_are_learnable_but_not_too_easily():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    from brigade.publishing.generated import CLASSES, generate

    documents = list(generate(2500, seed=1))
    texts, labels = [d.text for d in documents], [d.label for d in documents]
    assert set(labels) == set(CLASSES) and {d.language for d in documents} == {"en", "pt"}
    assert all(30 <= len(text.split()) <= 220 for text in texts)
    assert not any(sign in text for text in texts for sign in "{}[]|")  # every slot was filled
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LinearSVC().fit(features.fit_transform(texts[:2000]), labels[:2000])
    assert 0.90 < model.score(features.transform(texts[2000:]), labels[2000:]) < 0.98


# ------------------------------------------------------------------------------------------------- publishing


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


# ----------------------------------------------------------------------------------------------------- replay


OWN_NAMES = {"topic": "t", "data": "d", "retry": "r"}  # attributes named as the client's own arguments


def letter(message_id: str, data: bytes, reason: str = "bad_timestamp", attributes: dict | None = None) -> bytes:
    record = {
        "reason": reason,
        "detail": "",
        "messageId": message_id,
        "publishTime": "2025-01-01T00:00:00Z",
        "attributes": attributes or {},
        "data": base64.b64encode(data).decode(),
    }
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

    publisher.storage_client.cache_clear()
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
    publisher.storage_client.cache_clear()


# ------------------------------------------------------------------------------------------------- real files


def test_real_posts_come_out_whole(folder):
    path = real_data("20newsgroups/20ng_test.csv")
    flags = ["--hold_out=0.9", f"--hold_out_file={folder}/held.jsonl", "--dry_run"]
    done = run(path, *flags)
    assert done.summary["documents"] == 7532 and len(done.summary["classes"]) == 20
    held = payloads((folder / "held.jsonl").read_bytes().splitlines())
    assert max(map(len, payloads(done.lines) + held)) == 160_616


def test_real_briefs_keep_their_title_when_they_have_no_body():
    done = run(real_data("reuters_r8/r8_test.csv"), "--text=title+body", "--label=label", "--dry_run")
    assert (done.status, done.summary["documents"]) == (0, 2189)
    assert all(text and text == text.rstrip(" ") for text in payloads(done.lines[:200]))


def test_a_real_file_without_a_header_is_refused():
    done = run(real_data("ag_news/test.csv"), "--dry_run")
    assert done.status == 2 and "expected the text in column text, found columns 3, " in done.error
