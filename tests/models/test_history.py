"""The history of decisions about models, and who answered, on a folder and on the storage emulator."""

import json
import logging
import random
import re
import shlex
from datetime import UTC, datetime, timedelta

import pyarrow
import pytest
from pyarrow import parquet

from brigade.models import decisions
from brigade.models.__main__ import main
from brigade.models.commands import decide, note_pin
from brigade.models.decisions import Promoted, Refused
from brigade.models.folder import write_run
from brigade.models.history import LOOP, read_history, rfc3339
from brigade.models.lineage import serving_at, who_answered
from brigade.models.manifest import DOCUMENTS_PREFIX
from brigade.models.store import ModelStore
from brigade.storage import folder_at
from tests.conftest import ROOT
from tests.models.written_models import MIDDLE, NEW, OLD, write_manifest, write_model

METRICS = {"test": {"accuracy": 0.91, "macroF1": 0.9}}
EVENTS, CHANGES = 1000, 20


def run_files(folder, seed: int, day: str) -> dict[str, bytes]:
    """The files of a run as training hands them on, which has learned from one file of a day."""
    write_model(folder / str(seed), OLD, seed=seed, metrics=METRICS)
    files = {path.name: path.read_bytes() for path in (folder / str(seed) / OLD / "runs" / "run-1").iterdir()}
    del files["manifest.json"]
    learned = {"file": f"gs://ml_input/parquet/dt={day}/a.parquet", "size": 10 + seed, "sha256": "0" * 64}
    return files | {"data.json": json.dumps({"parquet": "gs://ml_input/parquet", "files": [learned]}).encode()}


def run_of(run_id: str, promoted: bool = True, reason: str = "better", created: str = "2026-01-05T00:00:00Z") -> dict:
    about = {"formatVersion": 2, "runId": run_id, "createdAt": created, "promoted": promoted, "reason": reason}
    return about | {"label": "superTag01", "codeVersion": "0" * 12}


def printed(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main([*arguments])
    out, err = capsys.readouterr()
    return status, out, err


def told(entries: list[dict]) -> list[tuple]:
    return [(one["what"], one["by"], one["model"], one["runId"], one["why"]) for one in entries]


# ------------------------------------------------------------------------------------------------- the history


def test_every_decision_is_an_entry_with_who_when_why_and_the_figures(place, tmp_path_factory, capsys):
    models, files = folder_at(place.uri), run_files(tmp_path_factory.mktemp("made"), 1, "2026-01-04")
    began = rfc3339(datetime.now(UTC))
    write_run(models, OLD, run_of("a", reason="first model"), files)
    write_run(models, MIDDLE, run_of("b", promoted=False, reason="accuracy .81 below the champion's .84"), files)
    for arguments in (
        ("promote", place.uri, MIDDLE, "--reason=checked by hand"),
        ("pin", place.uri, f"{OLD}/a", "--reason=an audit"),
        ("unpin", place.uri),
        ("withdraw", place.uri, MIDDLE, "--reason=wrong labels"),
    ):
        assert printed(capsys, *arguments)[0] == 0
    entries = read_history(models, DOCUMENTS_PREFIX)
    assert told(entries) == [
        ("promoted", "training", OLD, "a", "first model"),
        ("rejected", "training", MIDDLE, "b", "accuracy .81 below the champion's .84"),
        ("promoted", "operator", MIDDLE, "b", "checked by hand"),
        ("pinned", "operator", OLD, "a", "an audit"),
        ("unpinned", "operator", OLD, "a", "by an operator"),
        ("withdrawn", "operator", MIDDLE, "b", "wrong labels"),
    ]
    times = [one["at"] for one in entries]
    assert began < times[0] and times == sorted(set(times)) and times[-1] < rfc3339(datetime.now(UTC))
    assert all("@" in one["who"] and one["figures"] == METRICS["test"] and one["recorded"] for one in entries)
    names = list(models.files("history"))
    assert len(names) == 6 and all(":" not in name for name in names)
    status, text, _ = printed(capsys, "history", place.uri)
    assert status == 0 and len(text.splitlines()) == 7 and "wrong labels" in text.splitlines()[-1]


def test_serving_and_listing_see_no_model_in_the_history(place, tmp_path_factory, capsys):
    models, files = folder_at(place.uri), run_files(tmp_path_factory.mktemp("made"), 1, "2026-01-04")
    write_run(models, OLD, run_of("a"), files)
    store = ModelStore(place.uri)
    assert store.current().name == OLD and store.passed_over == {}
    assert [row["model"] for row in json.loads(printed(capsys, "list", place.uri, "--json")[1])["models"]] == [OLD]


def test_an_entry_is_never_replaced_and_what_is_no_entry_is_passed_over(place, tmp_path_factory, caplog):
    models, files = folder_at(place.uri), run_files(tmp_path_factory.mktemp("made"), 1, "2026-01-04")
    write_run(models, OLD, run_of("a"), files)
    (first,) = models.files("history")
    for name, content in {
        "20260101T000000.000000Z-00000000.json": b"{",
        "20260101T000000.000000Z-00000001.json": b'{"at": 1}',
        "notes.json": b"{}",
    }.items():
        models.write(f"history/{name}", content)
    before = models.files("history")[first]
    with caplog.at_level(logging.WARNING):
        assert told(read_history(models, DOCUMENTS_PREFIX)) == [("promoted", "training", OLD, "a", "better")]
    assert len([one for one in caplog.records if "passed over history/" in one.getMessage()]) == 2
    assert models.files("history")[first] == before


def test_models_from_before_the_history_have_the_entries_that_their_manifests_tell(place):
    write_model(place.root, OLD)
    manifest = write_model(place.root, MIDDLE)
    write_manifest(place.root, MIDDLE, manifest | {"promoted": False, "reason": "withdrawn: wrong labels"})
    write_model(place.root, NEW, promoted=False, reason="worse")
    place.sync()
    models = folder_at(place.uri)
    entries = read_history(models, DOCUMENTS_PREFIX)
    assert told(entries) == [
        ("promoted", "training", OLD, "run-1", "better than the champion"),
        ("promoted", "training", MIDDLE, "run-1", "better than the champion"),
        ("withdrawn", "operator", MIDDLE, "run-1", "withdrawn: wrong labels"),
        ("rejected", "training", NEW, "run-1", "worse"),
    ]
    assert not any(one["recorded"] for one in entries)
    answer = who_answered(ModelStore(place.uri), "2026-05-01T00:00:00Z")["answers"][0]
    assert (answer["model"], answer["olderThanTheHistory"]) == (OLD, True)


def test_a_decision_whose_entry_was_lost_is_added_when_the_command_is_given_again(place, monkeypatch):
    write_model(place.root, OLD)
    write_model(place.root, MIDDLE)
    place.sync()
    store = ModelStore(place.uri)
    with monkeypatch.context() as patched:
        patched.setattr("brigade.models.decisions.record", lambda *_: (_ for _ in ()).throw(OSError("no answer")))
        with pytest.raises(OSError):
            decide(store, MIDDLE, "", False, "wrong labels")
    assert [one["recorded"] for one in read_history(store.models, DOCUMENTS_PREFIX)] == [False, False, False]
    assert decide(store, MIDDLE, "", False, "again")["changed"] is False
    last = read_history(store.models, DOCUMENTS_PREFIX)[-1]
    assert (last["what"], last["why"], last["recorded"]) == ("withdrawn", "wrong labels", True)
    decide(store, MIDDLE, "", False, "again")
    assert len(store.models.files("history")) == 1


def test_a_withdrawal_by_the_loop_whose_entry_was_lost_is_known_by_its_manifest(tmp_path, monkeypatch):
    """Or the loop would do the next thing on the same day."""
    write_model(tmp_path, OLD)
    write_model(tmp_path, MIDDLE)
    moment, store = datetime(2026, 2, 23, 6, tzinfo=UTC), Promoted(folder_at(str(tmp_path)), DOCUMENTS_PREFIX)

    def withdraw(reason: str) -> dict:
        return decisions.decide(store, MIDDLE, "", False, reason, print, by=LOOP, then=(OLD, "run-1"), at=moment)

    with monkeypatch.context() as patched:
        patched.setattr("brigade.models.decisions.record", lambda *_: (_ for _ in ()).throw(OSError("no answer")))
        with pytest.raises(OSError):
            withdraw("worse")
    last = read_history(store.models, DOCUMENTS_PREFIX)[-1]
    assert (last["what"], last["by"], last["at"]) == ("withdrawn", "loop", rfc3339(moment))
    assert withdraw("again")["changed"] is False
    last = read_history(store.models, DOCUMENTS_PREFIX)[-1]
    assert (last["what"], last["by"], last["why"], last["recorded"]) == ("withdrawn", "loop", "worse", True)


def test_a_withdrawal_is_refused_unless_the_run_that_was_meant_serves_then(tmp_path):
    for name in (OLD, MIDDLE, NEW):
        write_model(tmp_path, name)
    store = Promoted(folder_at(str(tmp_path)), DOCUMENTS_PREFIX)
    for then in ((OLD, "run-1"), (MIDDLE, "run-2")):
        with pytest.raises(Refused, match=f"expected {then[0]}/{then[1]} to serve after {NEW}, found another one"):
            decisions.decide(store, NEW, "", False, "worse", print, by=LOOP, then=then)
    assert ModelStore(str(tmp_path)).current().name == NEW and store.models.files("history") == {}


def test_a_training_whose_entry_cannot_be_written_serves_all_the_same(tmp_path, tmp_path_factory, monkeypatch, caplog):
    files = run_files(tmp_path_factory.mktemp("made"), 1, "2026-01-04")
    monkeypatch.setattr("brigade.models.folder.record", lambda *_: (_ for _ in ()).throw(OSError("no answer")))
    write_run(folder_at(str(tmp_path)), OLD, run_of("a"), files)
    assert "the decision is not in the history: OSError: no answer" in caplog.text
    assert ModelStore(str(tmp_path)).current().name == OLD
    assert told(read_history(folder_at(str(tmp_path)), DOCUMENTS_PREFIX))[0][:2] == ("promoted", "training")


# ------------------------------------------------------------------------------------------------- who answered


def changed_at_random(choose: random.Random, store: ModelStore, files: dict[int, dict], number: int) -> str:
    """One change: a training that is promoted or rejected, a promotion or a withdrawal; returns what it was."""
    names = [f"{DOCUMENTS_PREFIX}-2026-0{month}-01" for month in range(1, 7)]
    while True:
        what = choose.choice(["train", "promote", "promote", "withdraw"])
        name = choose.choice(names)
        if what == "train":
            promoted = choose.random() < 0.7
            write_run(store.models, name, run_of(f"run-{number}", promoted), files[number % len(files)])
            return "promoted" if promoted else "rejected"
        runs = store.models.folders(f"{name}/runs")
        if not runs:
            continue
        try:
            run_id = choose.choice(runs) if what == "promote" else ""
            if decide(store, name, run_id, what == "promote", f"change {number}")["changed"]:
                return what
        except Refused:  # the last one that serves, for example
            continue


def test_who_answered_is_right_for_a_thousand_events_over_twenty_changes(tmp_path, tmp_path_factory):
    root, landed = str(tmp_path / "models"), tmp_path / "classified" / "dt=2026-11-29"
    landed.mkdir(parents=True)
    made = tmp_path_factory.mktemp("made")
    files = {seed: run_files(made, seed, f"2026-01-0{seed + 1}") for seed in range(3)}
    store, choose = ModelStore(root), random.Random(2)
    write_run(store.models, OLD, run_of("run-0"), files[0])
    serving, changes, expected, published = ModelStore(root), [], {}, []
    for number in range(EVENTS):
        if number % (EVENTS // CHANGES) == 0:
            changes.append(changed_at_random(choose, store, files, number // (EVENTS // CHANGES) + 1))
            serving.look()
        about, now = serving.current().about(), rfc3339(datetime.now(UTC))
        said = {"label": "oil", "model": about["name"], "runId": about["runId"], "classifiedAt": now}
        expected[f"e{number}"] = (about["name"], about["runId"], now)
        line = {"eventId": f"e{number}", "pubsub": {"publishTime": now}}
        published.append(line)
        with (landed / f"part-{number // 50:02}.jsonl").open("a") as file:
            file.write(json.dumps(line | {"classification": said}) + "\n")
    assert len(changes) == CHANGES and {"promoted", "promote", "withdraw"} <= {*changes}
    assert len({run[:2] for run in expected.values()}) >= 6

    entries = read_history(store.models, DOCUMENTS_PREFIX)
    assert len(entries) == CHANGES + 1 and all(one["recorded"] for one in entries)
    wrong = []
    for event_id, (model, run_id, at) in expected.items():
        served = serving_at(entries, datetime.fromisoformat(at))[0]
        if (served["model"], served["runId"]) != (model, run_id):
            wrong.append((event_id, "by the history", served))
        (answer,) = who_answered(store, event_id, predictions=str(landed.parent))["answers"]
        if (answer["model"], answer["runId"], answer["at"], answer["by"]) != (model, run_id, at, "answer"):
            wrong.append((event_id, "by the message", answer))
        number = int(run_id.partition("-")[2])
        if answer["learnedFrom"]["days"] != [f"2026-01-0{number % 3 + 1}"] * 2:
            wrong.append((event_id, "learned from", answer))
    assert wrong == []


def test_an_event_s_answer_lies_in_parquet_and_without_one_the_history_answers(place, tmp_path_factory, capsys):
    models, made = folder_at(place.uri), tmp_path_factory.mktemp("made")
    write_run(models, OLD, run_of("a"), run_files(made, 1, "2026-01-04"))
    write_run(models, MIDDLE, run_of("b"), run_files(made, 2, "2026-01-05"))
    now = datetime.now(UTC)
    table, predictions = tmp_path_factory.mktemp("table") / "dt=2026-11-03", tmp_path_factory.mktemp("predictions")
    rows = {"eventId": ["e1", "e2", "old"], "publishTime": [now, now, now - timedelta(days=9000)]}
    write_parquet(table / "a.parquet", rows | {"payload": ["texto"] * 3})
    write_parquet(table.parent / "_conversion" / "a.parquet", {"eventId": ["e1"], "publishTime": [now]})
    said = {"eventId": ["e1"], "label": ["oil"], "predictedAt": [now]}
    write_parquet(predictions / f"model={OLD}" / "runId=a" / "dt=2026-11-03" / "p.parquet", said)
    where = [f"--events={table.parent}", f"--predictions={predictions}"]

    status, text, _ = printed(capsys, "who-answered", place.uri, "e1", *where, "--json")
    found = json.loads(text)
    assert status == 0 and [one["day"] for one in found["lies"]] == ["2026-11-03"]
    (answer,) = found["answers"]
    assert (answer["model"], answer["runId"], answer["by"], answer["at"]) == (OLD, "a", "answer", rfc3339(now))
    manifest = json.loads(place_read(models, f"{OLD}/manifest.json"))
    digest = next(one["sha256"] for one in manifest["files"] if one["name"] == "data.json")
    learned = {"dataVersion": digest, "parquet": "gs://ml_input/parquet", "files": 1, "bytes": 11}
    assert answer["learnedFrom"] == learned | {"days": ["2026-01-04", "2026-01-04"]}

    status, text, _ = printed(capsys, "who-answered", place.uri, "e2", *where)
    assert status == 0 and text.startswith(f"{MIDDLE}, run b, served at {rfc3339(now)}, says the history")
    assert f"until when {OLD}, run a, may have answered" in text and f"{table}/a.parquet, published" in text

    for event_id, found in (("e3", "none there"), ("old", "expected a model that served at 2002-")):
        status, text, error = printed(capsys, "who-answered", place.uri, event_id, *where)
        assert (status, text) == (1, "") and found in error and error.count("\n") == 1


def test_a_pin_that_was_noted_counts_and_a_name_that_leads_elsewhere_does_not(tmp_path, tmp_path_factory, capsys):
    store, made = ModelStore(str(tmp_path)), tmp_path_factory.mktemp("made")
    write_run(store.models, OLD, run_of("a"), run_files(made, 1, "2026-01-04"))
    write_run(store.models, MIDDLE, run_of("b", promoted=False), run_files(made, 2, "2026-01-05"))
    times = [datetime.now(UTC)]
    for name in (MIDDLE, ""):
        note_pin(store, name, "", "an audit")
        times.append(datetime.now(UTC))
    with pytest.raises(Refused, match="expected a pin"):
        note_pin(store, "", "", "again")
    answers = [who_answered(store, rfc3339(time))["answers"][0] for time in times]
    assert [one["runId"] for one in answers] == ["a", "b", "a"]

    evil = tmp_path_factory.mktemp("answers") / "a.jsonl"
    evil.write_text(json.dumps({"eventId": "e1", "classification": {"model": f"../{OLD}", "runId": "a"}}))
    assert printed(capsys, "who-answered", store.uri, "e1", f"--predictions={evil.parent}")[0] == 1
    with pytest.raises(SystemExit) as ended:
        main(["who-answered", store.uri, "e1"])
    assert ended.value.code == 2 and "expected --predictions or --events" in capsys.readouterr().err


def test_the_commands_of_the_page_about_doing_it_again_do_what_it_says(tmp_path, monkeypatch, capsys):
    for name in (OLD, f"{DOCUMENTS_PREFIX}-2026-11-21"):
        write_model(tmp_path / "models", name)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "doing_it_again.md").read_text("utf-8")
    commands = re.findall(r"^python -m brigade\.models (.*)$", page, re.M)
    assert [command.split()[0] for command in commands] == ["withdraw", "history", "who-answered"]
    done = [printed(capsys, *shlex.split(command)) for command in commands]
    assert [status for status, _, _ in done] == [0, 0, 0]
    assert done[0][1].splitlines()[1] == f"serves from now on: {OLD}, run run-1"
    assert "wrong labels" in done[1][1] and "2026-11-21, run run-1, served at 2026-11-21T10:00:00.000000Z" in done[2][1]


def write_parquet(path, columns: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)


def place_read(models, path: str) -> bytes:
    return models.read(path, 1 << 20)[0]
