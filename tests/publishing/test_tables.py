"""Tables and JSON lines become events; a line that is an event already goes out as it is."""

import csv
import gzip
import time
import uuid
from datetime import datetime

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brigade.events.labels import clean_label
from tests.conftest import real_data
from tests.publishing.door import EVENT, TABLE, Pipe, payloads, run, wild_text, write

wild_cell = wild_text.filter(lambda text: "\0" not in text)


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
    age = time.time() - datetime.fromisoformat(event["eventTimestamp"]).timestamp()
    assert event["eventTimestamp"].endswith("Z") and 0 <= age < 60
    assert done.summary["classes"] == {"contract": 2, "invoice": 1}


def test_the_same_table_again_gives_the_same_ids_and_each_row_its_own(folder):
    table = write(folder, "mails.csv", TABLE + "contract,Signed by both\n")
    (folder / "copy").mkdir()
    copy = write(folder / "copy", "mails.csv", table.read_bytes())
    ids = [[orjson.loads(line)["eventId"] for line in run(path, "--dry_run").lines] for path in (table, copy)]
    assert ids[0] == ids[1] and len(set(ids[0])) == 4


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(wild_cell, wild_cell), min_size=1, max_size=6), delimiter=st.sampled_from(",;\t|"))
def test_whatever_stands_in_a_table_comes_out_as_it_went_in(folder, rows, delimiter):
    with open(folder / "wild.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("label", "text"), *rows])
    done = run(folder / "wild.csv", "--dry_run")
    assert done.status == 0, done.error
    assert payloads(done.lines) == [text for _, text in rows]
    labels = [orjson.loads(line)["doc"]["metadata"].get("superTag01") for line in done.lines]
    assert labels == [clean_label(label) for label, _ in rows]


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
    done = run("-", "--dry_run", stdin=Pipe(b"text,label\na,x\ncaf\xe9,x\n"))
    assert done.status == 2 and "line 3 is not utf-8" in done.error
    assert payloads(done.lines) == ["a"] and done.summary["published"] == 1


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


def test_the_publisher_counts_classes_by_the_labels_that_training_reads(folder):
    rows = [{"text": f"text {n}", "label": label} for n, label in enumerate(["1", 1, " 1\u00a0", True, None, "", "  "])]
    own = orjson.loads(EVENT)
    rows += [own | {"doc": own["doc"] | {"metadata": {"superTag01": label}}} for label in (1, "1\t", {}, None)]
    done = run(write(folder, "rows.jsonl", b"\n".join(map(orjson.dumps, rows))), "--dry_run")
    assert done.summary["classes"] == {"1": 5, "true": 1}
    labels = [orjson.loads(line)["doc"]["metadata"].get("superTag01") for line in done.lines]
    assert labels == ["1", "1", "1", "true", None, None, None, 1, "1\t", {}, None]  # an event goes out as it came


# ------------------------------------------------------------------------------------ folders, encodings, nested names


def test_a_folder_is_all_its_files_in_the_order_of_their_names_without_hidden_ones(folder):
    (folder / "mails" / "2026").mkdir(parents=True)
    write(folder / "mails", "b.jsonl", '{"text": "from b", "label": "x"}\n')
    write(folder / "mails" / "2026", "a l'été.csv", TABLE)
    for hidden in ("_SUCCESS", ".part.csv"):
        write(folder / "mails", hidden, "no,table")
    done = run(folder / "mails", "--dry_run")
    assert (done.status, len(done.lines), payloads(done.lines)[-1]) == (0, 4, "from b"), done.error
    assert run(f"{folder}/mails/", "--dry_run").summary["documents"] == 4


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["mails.csv", "mails.csv.gz"])
def test_a_byte_order_mark_tells_the_encoding(folder, name, encoding):
    content = "text,label\nolá,x\n日本,y\n".encode(encoding)
    done = run(write(folder, name, gzip.compress(content) if name.endswith(".gz") else content), "--dry_run")
    assert (done.status, payloads(done.lines)) == (0, ["olá", "日本"]), done.error


def test_a_name_with_dots_is_the_way_into_nested_objects_unless_a_member_has_it(folder):
    rows = '{"mail": {"subject": {"text": "s1"}}, "a.b": "dots", "a": {"b": "nested"}, "kind": {"name": "x"}}\n'
    rows += '{"mail": {"subject": null}, "a": {"b": "nested"}, "kind": {"name": 7}}\n{"mail": "plain", "kind": "y"}\n'
    path = write(folder, "mails.jsonl", rows)
    done = run(path, "--text=mail.subject.text+a.b", "--label=kind.name", "--dry_run")
    assert (done.status, payloads(done.lines)) == (0, ["s1 dots", "nested", ""]), done.error
    assert [orjson.loads(line)["doc"]["metadata"].get("superTag01") for line in done.lines] == ["x", "7", None]
    refused = run(path, "--text=mail.body", "--dry_run")
    assert refused.status == 2 and "found columns mail, a.b, a, kind, mail.subject, mail.subject.text" in refused.error
