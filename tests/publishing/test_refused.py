"""What nobody can have meant is told in one line with its place, and nothing is published."""

import bz2
import gzip
import io
import lzma
import os
import sqlite3
import subprocess
import sys
import tarfile
import uuid
import zipfile

import pytest

from brigade.publishing import sources
from tests.conftest import ROOT
from tests.publishing.door import EVENT, TABLE, Pipe, payloads, run, write

T = "text,label\n"
ROWS = "".join(f"a text {number},x\n" for number in range(1500))
MANY = "".join(f'"one, two\n\n{number},x\n",x\n' for number in range(300))
HONEST = '"Dear all,\n\nwe agree, all of us.\n""So be it"", they said\n",contract\n'


def refused(path, *flags) -> str:
    """The one line that tells why; a good file before it is not published either."""
    done = run(path, *flags, "--dry_run")
    assert done.status == 2 and done.lines == [] and done.summary is None
    (line,) = done.error.splitlines()
    return line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (T + 'a,x\n"b,y\n' + ROWS, "lines 3 to 1503: a quote is not closed"),
        (T + 'a,x\n"b,y\n' + ROWS + '"c",y\n', "lines 3 to 1504: a quote is not closed"),
        (T + 'a,x\n"b,x\n' + ROWS + '5",x\nc,x\n', "lines 3 to 1504 are one row"),
        ("label,text\nx,a\ny,\"b\nx,c\ny,5\"\nx,d\ny,e\n", "lines 3 to 5 are one row"),
        ('text,label\n"b,y\nc,x\n5",x\nd,y\n', "lines 2 to 4 are one row"),  # its labels come later
        ("id,text\n" + '1,"a\n' + "".join(f"{n},b\n" for n in range(20)) + '30,5"\n', "lines 2 to 23 are one row"),
        (T + 'a,x\n"b" c,y\n', "line 3: a quote is not closed, or a quote in a quoted field"),
        (T + "a,x\n\nb, or c,y\n", "line 4: expected 2 fields, as the header has, found 3"),
        (T + HONEST + "b, or c,y\n", "line 7: expected 2 fields, as the header has, found 3"),
        (T + "a,x\nb\n", "line 3: expected 2 fields, as the header has, found 1"),
        ("text,label,notes\nb,y\n", "line 2: expected 3 fields, as the header has, found 2"),
        ("text\na, b\n", "line 2: expected 1 fields, as the header has, found 2"),
        (T.replace("\n", "\r") + "a,x\rb,y\r", "line 1: a carriage return (CR) stands inside"),
        (T + "a,x\nb\rc,y\n", "line 3: a carriage return (CR) stands inside"),
        ('"text","label"\r"a","x"\r', "line 1: a carriage return (CR) stands inside"),
        ("text,text,label\na,b,x\n", "expected one column text, found 2 of this name"),
        ("label,text,label\nx,a,y\n", "expected one column label, found 2 of this name"),
        (T + "a\0b,x\n", "line 2 holds NUL bytes"),
        ("", "expected documents, found an empty file"),
        ("\ufeff\r\n \n", "expected documents, found an empty file"),
        ("text,label", "expected rows below the header, found none"),
        ("text,label\r\n\r\n \r\n", "expected rows below the header, found none"),
        ('{"text": "a", "label": "x"}\n', "expected a table, found JSON"),
        ('[{"text": "a", "label": "x"}]', "expected a table, found JSON"),
    ],
)  # fmt: skip
def test_a_table_that_nobody_can_have_meant_is_refused_with_its_line(folder, content, said):
    line = refused(write(folder, "mails.csv", content))
    assert said in line and f"{folder}/mails.csv" in line
    packed = refused(write(folder, "mails.csv.gz", gzip.compress(content.encode())))
    assert said in packed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"text": "a"}, {"text": "b"}]', "found an array in line 1"),
        ('\n[\n {"text": "a"},\n {"text": "b"}\n]\n', "found an array in line 2"),
        ('{\n "text": "a"\n}\n', "found one that goes on in line 2"),
        ('{"text": "a",\n "label": "x"}\n', "found one that goes on in line 2"),
        ('{"text": "a"}\n{\n\n"text": "b"}\n', "found one that goes on in line 4"),
        (T + "a,x\n", "expected a JSON object in each line, found none"),
        ("3\n4\n", "expected a JSON object in each line, found none"),
        ("\n \n", "found an empty file"),
        ('{"text": "a"}\r{"text": "b"}\r', "found a carriage return (CR) inside line 1"),
        ('{"text": "a"}\n{"text": "b"}\r{"text": "c"}\n', "found a carriage return (CR) inside line 2"),
        ('{"text": "a"}\n{"text": "b", "text": "c"}\n', "line 2: expected one member text, found 2"),
        ('{"text": "a", "label": "x", "label": "y"}\n', "line 1: expected one member label, found 2"),
        ('{"text": "a"}\n{"text": "b\0"}\n', "line 2 holds NUL bytes"),
        ('{"data": [{"text": "a"}]}', "expected the text in column text, found columns data"),
    ],
)
def test_json_that_is_not_json_lines_is_refused(folder, content, said):
    assert said in refused(write(folder, "rows.json", content))


def packed_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("mails.csv"))
    return buffer.getvalue()


def packed_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    return buffer.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE mails (text, label)")
        return connection.serialize()


KINDS = [
    ("a gzip file", gzip.compress(TABLE.encode())),
    ("a bzip2 file", bz2.compress(TABLE.encode())),
    ("an xz file", lzma.compress(TABLE.encode())),
    ("a tar archive", packed_tar()),
    ("xlsx", packed_zip()),
    ("an SQLite database", database()),
    ("a PDF file", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
    ("an Office file", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)),
    ("a PNG image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    ("a JPEG image", b"\xff\xd8\xff\xe0\0\x10JFIF"),
    ("an XML or HTML page", b"\n<!DOCTYPE html>\n<html lang=en>"),
]


@pytest.mark.parametrize(("kind", "content"), KINDS, ids=[kind for kind, _ in KINDS])
@pytest.mark.parametrize("name", ["mails.csv", "mails.jsonl", "mails", "mails.csv.gz"])
def test_a_file_of_another_kind_is_named(folder, kind, content, name):
    content = gzip.compress(content) if name.endswith(".gz") else content
    path = write(folder, name, content)
    assert f"expected a table (CSV, TSV) or JSON lines, found {kind}" in refused(path).replace("a zip archive (", "")
    assert f"found {kind}" in refused(path, "--encoding=latin-1").replace("a zip archive (", "")


def test_a_damaged_gzip_file_is_refused(folder):
    whole = gzip.compress((T + ROWS).encode())
    turned = bytearray(whole)
    turned[40] ^= 255
    wrong_sum = whole[:-8] + bytes(8)
    for broken in (whole[:-20], whole[:15], bytes(turned), wrong_sum, whole + b"rest"):
        assert "damaged or cut off after line" in refused(write(folder, "mails.csv.gz", broken))
    assert "the name says gzip, and it is none" in refused(write(folder, "mails.csv.gz", TABLE))


@pytest.mark.parametrize(
    ("content", "flags", "said"),
    [
        (
            (T + "á,x\n").encode("utf-16"),
            ["--encoding=utf-8"],
            "line 1 is not utf-8 (invalid start byte); try --encoding=utf-16",
        ),
        ((T + "á,x\n").encode("utf-32"), ["--encoding=utf-8"], "try --encoding=utf-32"),
        ((T + "á,x\n").encode("utf-16-le"), [], "line 1 holds NUL bytes"),
        ((T + "á,x\n").encode(), ["--encoding=utf-16"], "is not utf-16"),
        ((T + "á,x\n").encode(), ["--encoding=utf-32"], "is not utf-32"),
        ((T + "á,x\n").encode(), ["--encoding=ascii"], "line 2 is not ascii"),
    ],
)
def test_another_encoding_is_refused_with_one_to_try(folder, content, flags, said):
    assert said in refused(write(folder, "mails.csv", content), *flags)


def test_what_is_no_file_is_told_as_what_it_is(folder):
    reading, writing = os.pipe()
    for source, said in (
        (folder, "expected files with documents, found an empty folder"),
        (folder / "nowhere.csv", "there is no such file"),
        (f"/dev/fd/{reading}", "found a pipe or a device"),
        ("/dev/null", "found a pipe or a device"),
        ("https://example.org/mails.csv", "expected a local path or gs://bucket/object, found another URL"),
        ("s3://bucket/mails.csv", "found another URL"),
        (f"file://{folder}/mails.csv", "found another URL"),
        ("gs:///mails.csv", "expected gs://bucket/object"),
    ):
        assert said in refused(source)
    os.close(reading), os.close(writing)


def test_a_folder_of_a_bucket_is_read_and_its_beginning_is_no_name(storage_emulator):
    from google.cloud import storage

    bucket = storage.Client(project="brigade-test").create_bucket(f"bucket-{uuid.uuid4().hex[:8]}")
    bucket.blob("mails/a.csv").upload_from_string(TABLE)
    bucket.blob("mails/_SUCCESS").upload_from_string("")
    for uri in (f"gs://{bucket.name}/mails", f"gs://{bucket.name}/mails/", f"gs://{bucket.name}"):
        assert len(run(uri, "--dry_run").lines) == 3
    assert "there is no such file" in refused(f"gs://{bucket.name}/mail")
    assert "there is no such file" in refused("gs://no-such-bucket/mails.csv")


def test_the_empty_object_that_a_console_makes_of_a_new_folder_is_no_file(monkeypatch):
    names = ["mails/", "mails/2026/", "mails/2026/b.csv", "mails/a.csv"]
    found = [(f"gs://bucket/{name}", 0) for name in names]  # the emulator has no object of a folder's name
    monkeypatch.setattr(sources, "list_files", lambda uri: found)
    for uri in ("gs://bucket/mails", "gs://bucket"):
        assert sources.sources_in(uri) == ["gs://bucket/mails/2026/b.csv", "gs://bucket/mails/a.csv"]


def test_a_good_file_before_a_bad_one_is_not_published_either(folder, topic):
    good, bad = write(folder, "good.csv", TABLE), write(folder, "bad.csv", T + "a,x\nb\n")
    done = run(good, bad, f"--topic={topic.path}")
    assert done.status == 2 and done.summary is None
    assert topic.pull(1, timeout=0.5) == []


# ------------------------------------------------------------------------------------------------- what is meant


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (T + HONEST + "b,x\n", ['Dear all,\n\nwe agree, all of us.\n"So be it", they said\n', "b"]),
        ('label,text\nx,"Smith, J\nDoe, J\nRoe, R"\ny,"1\n2"\n', ["Smith, J\nDoe, J\nRoe, R", "1\n2"]),
        (T + 'a 5" pipe,x\n5" and 6",y\n', ['a 5" pipe', '5" and 6"']),
        (T + '"a\r\nb",x\r\n\r\n  \r\nc,y\r\n', ["a\r\nb", "c"]),
        ("id,id,,,text,label\n1,2,,,a,x\n", ["a"]),
        ("\n\ntext,label\na,x\n", ["a"]),
        ("text\na\n \n", ["a", " "]),
        (T + MANY, [f"one, two\n\n{n},x\n" for n in range(300)]),
    ],
)
def test_what_can_be_meant_is_published(folder, content, texts):
    done = run(write(folder, "mails.csv", content), "--dry_run")
    assert (done.status, payloads(done.lines)) == (0, texts), done.error


def test_an_honest_text_of_two_lines_that_look_like_rows_is_published_with_a_warning(folder, caplog):
    done = run(write(folder, "mails.csv", 'label,text\nx,a\n1,"Good:\nx, cheap"\n1,b\n'), "--dry_run")
    assert payloads(done.lines) == ["a", "Good:\nx, cheap", "b"]
    assert sum("lines 3 to 4 are one row" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("name", ["mails.tsv", "mails.txt", "mails.tsv.gz"])
def test_tabs_part_plain_quotes_unless_quotes_are_balanced(folder, name, caplog):
    def texts(content):
        packed = gzip.compress(content.encode()) if name.endswith(".gz") else content
        done = run(write(folder, name, packed), "--dry_run")
        assert done.status == 0, done.error
        return payloads(done.lines)

    rows = "".join(f"a {number}\tx\n" for number in range(3000))
    for stray in ('"b\tx\n', '"b" c\tx\n', 'b "\tx\n', '"\tx\n', '"b\tx\n' + rows + '5"\tx\n'):
        content = f"text\tlabel\n{rows}{stray}{rows}"
        assert texts(content) == [line.split("\t")[0] for line in content.splitlines()[1:]]
    assert any("quotes are taken as plain characters" in record.message for record in caplog.records)
    assert texts('text\tlabel\n"a\nb ""c"""\tx\n"d\te"\ty\n') == ['a\nb "c"', "d\te"]


def test_a_tsv_that_fits_with_no_quoting_is_refused_for_its_first_fault(folder):
    line = refused(write(folder, "mails.tsv", 'text\tlabel\na\tx\n"b\ty\nc\n'))
    assert "lines 3 to 4: a quote is not closed" in line


def test_a_broken_line_among_json_lines_goes_out_as_it_came(folder):
    lines = [EVENT, EVENT[:-9], b'{"eventId":', EVENT, b'["x"]', b"no JSON", EVENT[:-1]]
    done = run(write(folder, "dump.jsonl", b"\n".join(lines)), "--dry_run")
    assert (done.status, done.lines, done.summary["malformed"]) == (0, lines, 5)


# ------------------------------------------------------------------------------------------------ standard input


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "standard input: expected documents, found an empty file"),
        (T, "standard input: expected rows below the header, found none"),
        (T + "a,x\nb\n", "standard input: line 3: expected 2 fields, as the header has, found 1"),
        (T + 'a,x\n"b,y\n' + ROWS, "standard input: the row of lines 3 to 1503: a quote is not closed"),
        ('{\n"text": "a"\n}\n', "standard input: expected a JSON object in each line, found one that goes on"),
        ('[{"text": "a"}]', "standard input: expected a JSON object in each line, found an array in line 1"),
        ("PAR1\x15", "standard input: expected a table (CSV, TSV) or JSON lines, found a Parquet file"),
    ],
)  # fmt: skip
def test_a_file_as_standard_input_is_checked_as_a_whole(folder, content, said):
    assert said in refused_from(write(folder, "mails.csv", content))


def refused_from(path) -> str:
    with open(path, "rb") as file:
        done = subprocess.run(
            [sys.executable, "publisher.py", "-", "--dry_run"], cwd=ROOT, stdin=file, capture_output=True, text=True
        )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_a_file_as_standard_input_is_published_from_where_it_stands(folder):
    path = write(folder, "mails.csv", "a line that the shell has read\n" + TABLE)
    command = f"(IFS= read -r _; {sys.executable} publisher.py - --dry_run) < {path}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True)
    assert payloads(done.stdout.splitlines()) == ["The parties agree", "Please pay", "Signed by both"]


@pytest.mark.parametrize("content", ["", T, '{\n"text": "a"\n}\n', T + "a\n", T + '"a,x\n' + ROWS, "%PDF-1.7"])
def test_of_a_pipe_the_beginning_is_checked_before_the_first_message(content, topic):
    done = run("-", f"--topic={topic.path}", stdin=Pipe(content.encode()))
    assert done.status == 2 and done.summary is None and len(done.error.splitlines()) == 1
    assert topic.pull(1, timeout=0.2) == []


def test_of_a_pipe_no_row_is_sent_that_is_refused():
    done = run("-", "--dry_run", stdin=Pipe((T + 'a,x\n"b,y\n' + ROWS).encode()))
    assert (done.status, payloads(done.lines), done.summary["published"]) == (2, ["a"], 1)
    assert "the row of lines 3 to 1503" in done.error


def test_standard_input_is_given_once():
    done = run("-", "-", "--dry_run", stdin=TABLE.encode())
    assert (done.status, done.lines) == (2, []) and "expected - (standard input) once" in done.error
