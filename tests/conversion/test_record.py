"""A record that is missing or damaged is never a reason to delete."""

import json
import shutil
from pathlib import Path

import pytest

import spark_sql
from brigade.conversion.errors import ConversionError
from brigade.conversion.manifest import parsed
from brigade.conversion.table import Table, read_parquet
from tests.conversion.outputs import convert, files_below, state
from tests.conversion.sample_events import line, written
from tests.conversion.test_ownership import as_formerly, plain_rows, stops

DAY = "2026-11-01T00:00:00Z"
GOOD = {
    **{"run": "r", "runs": ["r"], "query": "", "voided": [], "rows": 1, "quarantine": []},
    "partitions": {"x": {"dt=x/r-0.parquet": {"rows": 1, "bytes": 9}}},
}


def landed(folder: Path) -> None:
    written(folder / "input" / "a.jsonl", line("e1", published=DAY), "{bad")
    written(folder / "input" / "b.jsonl", line("e2", published=DAY))


def manifests(folder: Path) -> list[Path]:
    return sorted((folder / "parquet" / "_conversion").glob("manifest-*.json"))


def unchanged(folder: Path) -> dict:
    return {path: at for path, at in files_below(folder).items() if not path.name.startswith(("lock", ".lock"))}


def refused(spark, folder: Path, capsys, *words: str) -> str:
    """What the command line says of a damaged table, which it leaves as it is."""
    before = unchanged(folder)
    assert spark_sql.main([f"{folder}/input", f"{folder}/parquet"]) == 1
    said = capsys.readouterr().err.splitlines()
    (text,) = [one for one in said if one.startswith("spark_sql.py: ")]
    assert said[-1] == text and all(word in text for word in (*words, "--full", "Nothing was changed")), text
    assert unchanged(folder) == before
    return text


@pytest.mark.long
@pytest.mark.parametrize("formerly", [False, True])
def test_bookkeeping_without_a_manifest_is_a_damaged_table(spark, tmp_path, capsys, formerly):
    landed(tmp_path)
    convert(spark, tmp_path)
    if formerly:
        as_formerly(tmp_path)
    (tmp_path / "input" / "a.jsonl").unlink()
    for path in manifests(tmp_path):
        path.unlink()
    refused(spark, tmp_path, capsys, "1 runs", "no manifest", "restore the newest manifest")
    with pytest.raises(ConversionError, match="no manifest"):
        read_parquet(spark, f"{tmp_path}/parquet")
    was = {path.name for path in tmp_path.glob("parquet/dt=*/*.parquet")}
    assert convert(spark, tmp_path, full=True)["rows"] == 1 == plain_rows(tmp_path / "parquet")
    kept = {path.name.removesuffix(".former") for path in tmp_path.glob("parquet/_conversion/former/dt=*/2*")}
    assert kept == was, "the rows whose input is gone are lost"
    assert len(list(tmp_path.glob("quarantine/_former/q*"))) == 1 and not list(tmp_path.glob("quarantine/*.json"))
    assert convert(spark, tmp_path)["rows"] == 1


@pytest.mark.long
def test_parquet_of_a_conversion_without_any_bookkeeping_is_a_damaged_table(spark, tmp_path, capsys):
    landed(tmp_path)
    convert(spark, tmp_path)
    shutil.rmtree(tmp_path / "parquet" / "_conversion")
    refused(spark, tmp_path, capsys, "no manifest that names dt=2026-11-01/")
    assert convert(spark, tmp_path, full=True)["rows"] == 2 == plain_rows(tmp_path / "parquet")
    assert convert(spark, tmp_path)["rows"] == 2
    assert len(list(tmp_path.glob("parquet/_conversion/former/dt=*/2*.former"))) == 1


@pytest.mark.long
@pytest.mark.parametrize("kind", ["index", "files"])
def test_a_run_whose_bookkeeping_is_missing_is_told(spark, tmp_path, capsys, kind):
    landed(tmp_path)
    convert(spark, tmp_path)
    shutil.rmtree(tmp_path / "parquet" / "_conversion" / kind)
    refused(spark, tmp_path, capsys, "index or files of the run")


def test_a_file_of_the_table_that_is_missing_is_told(spark, tmp_path, capsys):
    landed(tmp_path)
    convert(spark, tmp_path)
    next(tmp_path.glob("parquet/dt=*/*.parquet")).unlink()
    refused(spark, tmp_path, capsys, "1 of the 1 files", "missing, such as dt=2026-11-01/")
    with pytest.raises(ConversionError, match="cannot be read"):
        read_parquet(spark, f"{tmp_path}/parquet")


@pytest.mark.long
def test_a_manifest_that_is_damaged_is_one_line_and_full_starts_over(spark, tmp_path, capsys):
    landed(tmp_path)
    convert(spark, tmp_path)
    (manifest,) = manifests(tmp_path)
    good = manifest.read_bytes()
    for damaged in (b"{", b"", b"[]", b"{}", b"null", b"17", b"\x00\xff", good[: len(good) // 2]):
        manifest.write_bytes(damaged)
        refused(spark, tmp_path, capsys, "manifest-00000001.json is no manifest")
        with pytest.raises(ConversionError, match="is no manifest"):
            read_parquet(spark, f"{tmp_path}/parquet")
    (tmp_path / "input" / "a.jsonl").unlink()
    assert convert(spark, tmp_path, full=True)["rows"] == 1 == plain_rows(tmp_path / "parquet")
    assert convert(spark, tmp_path)["rows"] == 1
    assert manifest.read_bytes() == damaged


@pytest.mark.long
def test_a_damaged_manifest_and_its_files_are_never_tidied_away_and_can_come_back(spark, tmp_path):
    landed(tmp_path)
    convert(spark, tmp_path)
    (manifest,) = manifests(tmp_path)
    good = manifest.read_bytes()
    manifest.write_bytes(b"{")
    (tmp_path / "input" / "a.jsonl").unlink()
    for _ in range(5):
        assert convert(spark, tmp_path, full=True)["rows"] == 1
    assert manifest.read_bytes() == b"{"
    # The manifest comes back, from a backup say: it is current under the next number.
    manifest.with_name("manifest-00000007.json").write_bytes(good)
    assert convert(spark, tmp_path)["rows"] == 2 == plain_rows(tmp_path / "parquet")
    assert {row.eventId for row in state(spark, tmp_path)[0]} == {"e1", "e2"}
    written(tmp_path / "input" / "c.jsonl", line("e3"))
    assert convert(spark, tmp_path)["rows"] == 3 and convert(spark, tmp_path)["rows"] == 3
    assert {row.eventId for row in state(spark, tmp_path)[0]} == {"e1", "e2", "e3"}


@pytest.mark.long
def test_the_newest_manifest_is_missing_and_the_command_in_the_error_goes_back_to_the_one_before(
    spark, tmp_path, capsys
):
    landed(tmp_path)
    convert(spark, tmp_path)
    before = state(spark, tmp_path)
    written(tmp_path / "input" / "a.jsonl", line("e1", {"payload": "other"}, published=DAY), "{worse")
    convert(spark, tmp_path)
    manifests(tmp_path)[-1].unlink()
    text = refused(spark, tmp_path, capsys, "is the newest one missing?", "go back to the 2 rows")
    copy, source, target = text.partition("run 2")[2].partition(": ")[2].partition(";")[0].split()
    assert copy == "cp"
    shutil.copy(source, target)
    (tmp_path / "input" / "a.jsonl").unlink()
    assert convert(spark, tmp_path)["rows"] == 2
    assert state(spark, tmp_path) == before
    assert plain_rows(tmp_path / "parquet") == 2
    written(tmp_path / "input" / "c.jsonl", line("e3"))
    assert convert(spark, tmp_path)["rows"] == 3 and convert(spark, tmp_path)["rows"] == 3


@pytest.mark.long
def test_one_can_go_back_to_the_last_states_and_what_is_older_is_gone(spark, tmp_path):
    states = []
    written(tmp_path / "input" / "b.jsonl", line("e0"))
    for number in range(5):
        published = f"2026-11-0{number + 1}T00:00:00Z"
        written(tmp_path / "input" / "a.jsonl", line("e1", published=published), f"{{bad {'x' * number}")
        convert(spark, tmp_path, full=number == 2)
        states.append(state(spark, tmp_path))
    names = [path.name for path in manifests(tmp_path)]
    assert names == [f"manifest-{number:08}.json" for number in (3, 4, 5)]
    bookkeeping = tmp_path / "parquet" / "_conversion"
    assert len(list(bookkeeping.glob("former/dt=*/2*"))) == 2 == len(list(tmp_path.glob("quarantine/_former/q*")))
    assert len(list(bookkeeping.glob("index/*"))) == 3
    (tmp_path / "input" / "a.jsonl").unlink()
    for number in (3, 5):
        former, copy = (bookkeeping / f"manifest-{one:08}.json" for one in (number, number + 5))
        shutil.copy(former, copy)
        assert convert(spark, tmp_path)["files"] == 0
        assert state(spark, tmp_path) == states[number - 1]


@pytest.mark.long
def test_the_leftovers_of_a_first_run_are_no_damage(spark, tmp_path, monkeypatch):
    landed(tmp_path)
    monkeypatch.setattr(Table, "commit", stops)
    with pytest.raises(RuntimeError):
        convert(spark, tmp_path)
    monkeypatch.undo()
    assert read_parquet(spark, f"{tmp_path}/parquet").count() == 0
    assert convert(spark, tmp_path)["rows"] == 2 == plain_rows(tmp_path / "parquet")
    assert len(list(tmp_path.glob("quarantine/*.json"))) == 1
    assert not list(tmp_path.glob("parquet/_conversion/run-*.json"))


@pytest.mark.parametrize(
    "changes",
    [{"rows": 2}, {"rows": "1"}, {"rows": True}, {"partitions": []}, {"partitions": {"x": ["y"]}}, {"more": 1},
     {"runs": None}, {"voided": {}}, {"quarantine": 1}, {"quarantine": 1, "quarantine_path": "q"}],
)  # fmt: skip
def test_json_of_another_form_is_no_manifest(changes):
    assert parsed(json.dumps(GOOD)).rows == 1
    with pytest.raises(ValueError):
        parsed(json.dumps(GOOD | changes))
    for name in GOOD:
        with pytest.raises(ValueError, match=f"lacks {name}"):
            parsed(json.dumps({one: value for one, value in GOOD.items() if one != name}))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "NaN", "\ud800".encode("utf-8", "replace").decode()]
)
def test_text_that_is_no_json_object_is_no_manifest(text):
    with pytest.raises(ValueError):
        parsed(text)
