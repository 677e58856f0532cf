"""A table owns its files: those of others stay, and what it no longer needs goes."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest

from brigade.conversion.errors import ConversionError
from brigade.conversion.run import json_into_parquet
from brigade.conversion.schema import Reading
from brigade.conversion.table import Table, read_parquet
from tests.conversion.outputs import convert, days, files_below, quarantined, state
from tests.conversion.sample_events import line, written

FIELDS = "number STRING, total DOUBLE"
INVOICE = Reading("SELECT number AS eventId, total, 'x' AS dt FROM events", FIELDS, None)


def convert_invoices(spark, folder: Path, **settings) -> dict:
    """The second of two tables whose quarantine is one folder."""
    return json_into_parquet(spark, f"{folder}/invoices", f"{folder}/invoices_parquet", reading=INVOICE, **settings)


def bad_lines(folder: Path) -> list[str]:
    return sorted(one["line"] for one in quarantined(folder / "quarantine"))


def plain_rows(output: Path) -> int:
    """The rows that somebody finds who reads OUTPUT/**/*.parquet."""
    return sum(pyarrow.parquet.read_metadata(file).num_rows for file in output.rglob("*.parquet"))


def stops(*_) -> None:
    raise RuntimeError("killed")


@pytest.mark.long
def test_two_tables_with_one_quarantine_keep_the_lines_of_both_whoever_runs(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{bad event")
    written(tmp_path / "invoices" / "a.jsonl", json.dumps({"number": "r1", "total": 1.5}), "{bad invoice")
    convert(spark, tmp_path)
    convert_invoices(spark, tmp_path)
    assert bad_lines(tmp_path) == ["{bad event", "{bad invoice"]
    before = files_below(tmp_path)
    convert(spark, tmp_path)
    convert_invoices(spark, tmp_path)
    assert files_below(tmp_path) == before

    written(tmp_path / "input" / "b.jsonl", line("e2"), "{worse event")
    convert(spark, tmp_path)
    assert bad_lines(tmp_path) == ["{bad event", "{bad invoice", "{worse event"]
    written(tmp_path / "invoices" / "a.jsonl", json.dumps({"number": "r1", "total": 1.5}), "{other invoice")
    convert_invoices(spark, tmp_path)
    assert bad_lines(tmp_path) == ["{bad event", "{other invoice", "{worse event"]
    convert(spark, tmp_path, full=True)
    assert bad_lines(tmp_path) == ["{bad event", "{other invoice", "{worse event"]
    convert_invoices(spark, tmp_path, full=True)
    assert bad_lines(tmp_path) == ["{bad event", "{other invoice", "{worse event"]
    assert plain_rows(tmp_path / "parquet") == 2 and plain_rows(tmp_path / "invoices_parquet") == 1


@pytest.mark.long
def test_what_a_killed_run_left_goes_with_its_own_tables_next_run_and_with_no_other(spark, tmp_path, monkeypatch):
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{bad event")
    written(tmp_path / "invoices" / "a.jsonl", json.dumps({"number": "r1", "total": 1.5}), "{bad invoice")
    convert(spark, tmp_path)
    written(tmp_path / "input" / "b.jsonl", line("e2"), "{left behind")
    monkeypatch.setattr(Table, "commit", stops)
    with pytest.raises(RuntimeError, match="killed"):
        convert(spark, tmp_path)
    monkeypatch.undo()
    assert bad_lines(tmp_path) == ["{bad event", "{left behind"]
    convert_invoices(spark, tmp_path, full=True)
    assert bad_lines(tmp_path) == ["{bad event", "{bad invoice", "{left behind"]
    # Elsewhere: what the killed run left is found where that run wrote it.
    convert(spark, tmp_path, quarantine_path=f"{tmp_path}/bad")
    assert bad_lines(tmp_path) == ["{bad event", "{bad invoice"]
    assert [one["line"] for one in quarantined(tmp_path / "bad")] == ["{left behind"]


@pytest.mark.long
def test_files_that_look_like_a_conversions_but_are_not_the_tables_stay(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{bad")
    convert(spark, tmp_path)
    name = "20260101T000000Z-0123abcd"
    stranger = written(tmp_path / "quarantine" / f"quarantine-{name}-0.json", '{"line": "{of another"}')
    staged = written(tmp_path / "quarantine" / f"_staging-{name}" / "part-0.json", "{}")
    convert(spark, tmp_path, full=True)
    assert stranger.exists() and staged.exists()
    day = tmp_path / "parquet" / days(tmp_path / "parquet")[0]
    shutil.copy(next(day.glob("*.parquet")), day / f"{name}-00000.parquet")
    before = files_below(tmp_path)
    with pytest.raises(ConversionError, match=f"no manifest that names {day.name}/{name}-00000.parquet"):
        convert(spark, tmp_path)
    assert {path: at for path, at in files_below(tmp_path).items() if "_conversion" not in str(path)} == {
        path: at for path, at in before.items() if "_conversion" not in str(path)
    }


@pytest.mark.long
def test_a_copied_table_leaves_the_quarantine_of_the_first(spark, tmp_path):
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{bad event")
    convert(spark, tmp_path)
    shutil.copytree(tmp_path / "parquet", tmp_path / "copy")
    lines = files_below(tmp_path / "quarantine")
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{other event")
    json_into_parquet(spark, f"{tmp_path}/input", f"{tmp_path}/copy")
    json_into_parquet(spark, f"{tmp_path}/input", f"{tmp_path}/copy", full=True)
    assert lines.items() <= files_below(tmp_path / "quarantine").items()
    assert bad_lines(tmp_path) == ["{bad event", "{other event"]


@pytest.mark.long
def test_a_quarantine_that_changes_its_place_or_its_spelling_keeps_its_lines(spark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("quarantine")
    for number, path in enumerate(["quarantine", f"{tmp_path}/quarantine/", "bad", f"file:{tmp_path}/link", "./bad"]):
        written(tmp_path / "input" / f"{number}.jsonl", line(f"e{number}"), f"{{bad {number}")
        json_into_parquet(spark, "input", "parquet", path)
    assert bad_lines(tmp_path) == ["{bad 0", "{bad 1", "{bad 3"]
    assert sorted(one["line"] for one in quarantined(tmp_path / "bad")) == ["{bad 2", "{bad 4"]
    written(tmp_path / "input" / "0.jsonl", line("e0"), "{changed")
    json_into_parquet(spark, "input", "parquet", "bad")
    found = [*bad_lines(tmp_path), *(one["line"] for one in quarantined(tmp_path / "bad"))]
    assert sorted(found) == ["{bad 1", "{bad 2", "{bad 3", "{bad 4", "{changed"]


@pytest.mark.long
def test_lines_that_somebody_has_taken_out_of_the_quarantine_stop_no_run(spark, tmp_path, caplog):
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{bad")
    written(tmp_path / "input" / "b.jsonl", line("e2"), "{worse")
    convert(spark, tmp_path)
    shutil.rmtree(tmp_path / "quarantine")
    written(tmp_path / "input" / "a.jsonl", line("e1"), "{changed")
    convert(spark, tmp_path)
    assert bad_lines(tmp_path) == ["{changed"] and "no longer there" in caplog.text


@pytest.mark.long
def test_the_parquet_below_the_output_is_the_table_and_nothing_else(spark, tmp_path):
    output = tmp_path / "parquet"
    for number in range(3):
        published = f"2026-11-01T00:00:0{number}Z"
        written(
            tmp_path / "input" / f"{number}.jsonl",
            line(f"e{number}", published=published),
            line("e", published=published),
        )
        assert convert(spark, tmp_path)["rows"] == number + 2 == plain_rows(output)
    assert convert(spark, tmp_path, full=True)["rows"] == 4 == plain_rows(output)
    assert state(spark, tmp_path)[0]
    (output / "report.parquet").write_bytes(b"")
    with pytest.raises(ConversionError, match="found report.parquet; remove it"):
        convert(spark, tmp_path)


def as_formerly(folder: Path) -> None:
    """Gives a table the form that it had before runs registered themselves: one manifest, and Spark's own endings."""
    bookkeeping = folder / "parquet" / "_conversion"
    *earlier, newest = sorted(bookkeeping.glob("manifest-*.json"))
    content = json.loads(newest.read_text())
    for name in ("number", "output", "columns", "given_up"):
        content.pop(name, None)
    content |= {"quarantine_path": "quarantine", "quarantine": [Path(one).name for one in content["quarantine"]]}
    newest.write_text(json.dumps(content))
    for path in earlier:
        path.unlink()
    shutil.rmtree(bookkeeping / "former", ignore_errors=True)
    for kind in ("index", "files"):
        for path in bookkeeping.glob(f"{kind}/*/*.{kind}"):
            path.rename(path.with_name(f"part-{path.stem}-c000.snappy.parquet"))


@pytest.mark.long
def test_a_table_of_an_earlier_version_goes_on(spark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "input" / "a.jsonl", line("e1"), line("e2"), "{bad")
    convert(spark, tmp_path)
    as_formerly(tmp_path)
    assert plain_rows(tmp_path / "parquet") > 2
    assert convert(spark, tmp_path)["files"] == 0 and plain_rows(tmp_path / "parquet") == 2
    as_formerly(tmp_path)
    assert read_parquet(spark, "parquet").count() == 2
    written(
        tmp_path / "input" / "b.jsonl", line("e2", {"payload": "later"}, published="2026-11-01T00:00:00Z"), "{worse"
    )
    assert convert(spark, tmp_path) == dict(files=1, lines=2, converted=1, duplicates=0, replaced=1, rows=2)
    assert plain_rows(tmp_path / "parquet") == 2 and bad_lines(tmp_path) == ["{bad", "{worse"]
    as_formerly(tmp_path)
    with pytest.raises(ConversionError, match="payload: string there, int now"):
        query = "SELECT eventId, 1 AS payload, 'x' AS dt FROM events"
        written(tmp_path / "input" / "c.jsonl", line("e3"))
        convert(spark, tmp_path, reading=Reading(query))
