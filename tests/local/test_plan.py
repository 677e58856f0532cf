"""Somebody's own files are looked through before anything starts."""

import gzip
import json

import pytest

from local import demo, plan
from tests.conftest import real_data
from tests.publishing.test_parquet import parquet

ABOUT = ("soup and bread", "goals and teams")
ROWS = [(f"note {number} about {ABOUT[number % 2]}", f"k{number % 2}") for number in range(40)]


def table(rows, header: str = "text,label") -> str:
    return "\n".join([header, *(",".join(row) for row in rows), ""])


TABLE = table(ROWS)
OBJECTS = [{"text": text, "label": label} for text, label in ROWS]
LINES = "".join(json.dumps(one) + "\n" for one in OBJECTS)


def looked(folder, name: str, content: str | bytes, **form):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return plan.look([str(path)], form.pop("text", "text"), form.pop("label", "label"), **form)


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.csv", TABLE, {}),
        ("a.tsv", TABLE.replace(",", "\t"), {}),
        ("a.txt", TABLE.replace(",", "|"), {}),
        ("a.csv", TABLE.replace(",", ";"), {"delimiter": ";"}),
        ("a.csv", TABLE.replace(",", ":"), {"delimiter": ":"}),
        ("a.csv", TABLE.replace("\n", "\r\n"), {}),
        ("a.csv", TABLE.encode("utf-8-sig"), {}),
        ("a.csv", TABLE.encode("utf-16"), {}),
        ("a.csv", TABLE.replace("soup", "açaí").encode("latin-1"), {"encoding": "latin-1"}),
        ("a.csv.gz", gzip.compress(TABLE.encode()), {}),
        ("l'été mails.csv", TABLE, {}),
        ("a.csv", TABLE.replace("label", "Category"), {"label": "Category"}),
        ("a.csv", table([(t, "more", k) for t, k in ROWS], "title,body,label"), {"text": "title+body"}),
        ("a.jsonl", LINES, {}),
        ("a.json", LINES, {}),
        ("a.ndjson.gz", gzip.compress(LINES.encode()), {}),
        (
            "a.jsonl",
            LINES.replace('"text": ', '"mail": {"text": ').replace(', "label"', '}, "label"'),
            {"text": "mail.text"},
        ),
        ("a.jsonl", "".join(json.dumps({"text": t, "label": i % 3}) + "\n" for i, (t, _) in enumerate(ROWS)), {}),
        ("a.parquet", parquet({"text": [t for t, _ in ROWS], "label": [k for _, k in ROWS]}), {}),
        ("a.csv", parquet({"text": [t for t, _ in ROWS], "label": [k for _, k in ROWS]}), {}),
    ],
)
def test_every_row_of_a_file_that_fits_is_counted(tmp_path, name, content, form):
    found = looked(tmp_path, name, content, **form)
    assert (found.documents, found.labels.total(), found.unlabelled, found.empty, found.broken) == (40, 40, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "content", "form", "said"),
    [
        (
            "a.csv",
            TABLE,
            {"label": "Kind"},
            "in column Kind, found columns text, label; name the right one with LABEL=",
        ),
        ("a.csv", TABLE, {"text": "body"}, "found columns text, label (no body); name the right ones with TEXT="),
        (
            "a.csv",
            TABLE.replace("soup", "açaí").encode("latin-1"),
            {},
            "line 2 is not utf-8 (invalid continuation byte); try ENCO",
        ),
        ("a.csv", TABLE.encode("utf-16-le"), {}, "in UTF-16 there are such: ENCODING=utf-16"),
        ("a.csv", TABLE + "one,two,three\n", {}, "line 42: expected 2 fields, as the header has, found 3"),
        ("a.csv", TABLE.replace(",", ":"), {}, "expected the text in column text, found columns text:label"),
        ("a.csv", TABLE + '"open,k1\n' + TABLE, {}, "a quote is not closed"),
        ("a.json", json.dumps(OBJECTS), {}, "found an array in line 1; jq -c '.[]' makes lines of it"),
        ("a.json", json.dumps(OBJECTS, indent=1), {}, "found an array in line 1"),
        ("a.json", json.dumps(OBJECTS[0], indent=1), {}, "jq -c . makes a line of it"),
        ("a.jsonl", LINES, {"text": "subject.text"}, "in column subject.text, found columns text, label"),
        ("a.csv", b"PK\x03\x04" + bytes(60), {}, "found a zip archive (xlsx"),
        ("a.parquet", b"PAR1\x15\x04" + bytes(60), {}, "expected Parquet, found a damaged file"),
        ("a.csv", "", {}, "expected documents, found an empty file"),
        ("a.csv", "text,label\n", {}, "expected rows below the header, found none"),
        ("a.csv", TABLE.replace("k1", "k0"), {}, "expected at least two classes in label, found only 'k0'"),
        ("a.csv", table([(t, "") for t, _ in ROWS]), {}, "expected labels in label, found none on any of 40"),
        (
            "a.csv",
            table([(t, f"id-{i}") for i, (t, _) in enumerate(ROWS)]),
            {},
            "found 40 different labels on 40 documents",
        ),
        ("a.csv", table(ROWS[:10]), {}, "expected at least 20 documents with a label and a text, found 10"),
        ("a.csv", table([(" ", k) for _, k in ROWS]), {}, "expected labels in label, found none on any of 40"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_starts(tmp_path, name, content, form, said):
    with pytest.raises(plan.Unfit) as refused:
        looked(tmp_path, name, content, **form)
    assert said in str(refused.value) and "\n" not in str(refused.value) and "--" not in str(refused.value)


def test_what_becomes_of_rows_without_label_or_text_is_said(tmp_path):
    content = LINES + '{"text": "no label"}\n{"text": " ", "label": "k1"}\n{"text": "A note", "label": "K1"}\n{broken\n'
    found = looked(tmp_path, "a.jsonl", content)
    assert (found.documents, found.unlabelled, found.empty, found.broken) == (43, 1, 1, 1)
    told = "\n".join(found.lines())
    assert "43 documents" in told and "3 classes: 'k0' (20), 'k1' (20), 'K1' (1)" in told
    assert "1 documents have no label: they are classified and not trained on" in told
    assert "1 documents have no text: they become dead letters (empty_payload)" in told
    assert "1 lines are no JSON objects" in told and "though they look alike: K1 and k1" in told


def test_a_demo_of_a_file_that_does_not_fit_starts_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "Services", lambda folder: pytest.fail("services were started"))
    (tmp_path / "mails.csv").write_text("id,Category,text\n1,a,hello\n")
    assert demo.main([f"--docs={tmp_path}/mails.csv", f"--state={tmp_path}/state"]) == 1
    assert "found columns id, Category, text; name the right one with LABEL=COLUMN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--docs=https://example.com/mails.csv"], "found a URL: https://example.com/mails.csv; download it first"),
        (["--docs=/no/such"], "expected a file or folder, found none at /no/such"),
        (["--encoding=klingon"], "Python knows no text encoding klingon"),
        (["--delimiter=::"], "expected one character"),
        (["--rate=0"], "--rate"),
        (["--sample=-1"], "--sample"),
    ],
)
def test_wrong_settings_of_a_demo_are_one_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        demo.main(arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("path", "text", "documents", "classes"),
    [("sms_spam/sms_spam.csv", "text", 5574, 2), ("reuters_r8/r8_train.csv", "title+body", 5485, 8)],
)
def test_real_files_are_looked_through(path, text, documents, classes):
    found = plan.look([str(real_data(path))], text, "label")
    assert (found.documents, len(found.labels)) == (documents, classes)
