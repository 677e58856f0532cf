"""An operator's commands, on a folder and on the storage emulator."""

import json

import pytest

from brigade.models.__main__ import main
from brigade.models.history import LOOP, parse_time, record, rfc3339
from brigade.models.store import ModelStore, NoModel
from brigade.storage import folder_at
from tests.models.written_models import (
    MIDDLE,
    NEW,
    OLD,
    break_one_bit_of_the_weights,
    manifest_of,
    serving,
    write_manifest,
    write_model,
)

METRICS = {"test": {"accuracy": 0.91, "macroF1": 0.9}}
LATER = "doc-classification-model-2026-03-30"


# ------------------------------------------------------------------------------------------------ list and show


def test_the_list_says_of_every_run_what_it_is(place, run):
    write_model(place.root, OLD, run_id="run-1", seed=1)
    write_model(place.root, OLD, run_id="run-2", seed=1, metrics=METRICS)  # takes the date
    manifest = write_model(place.root, MIDDLE, seed=2)
    write_manifest(place.root, MIDDLE, manifest | {"promoted": False, "reason": "withdrawn: wrong labels"})
    write_model(place.root, NEW, seed=3, promoted=False, reason="worse")
    write_model(place.root, LATER, seed=4)
    (place.root / LATER / "runs" / "run-1" / "weights.safetensors").write_bytes(b"half")
    place.sync()
    status, found, _ = run("list", "--json")
    assert status == 0
    states = [(row["model"], row["runId"], row["state"]) for row in found["models"]]
    assert states == [
        (LATER, "run-1", "damaged"),
        (NEW, "run-1", "rejected"),
        (MIDDLE, "run-1", "withdrawn"),
        (OLD, "run-2", "serving"),
        (OLD, "run-1", "replaced"),
    ]
    assert found["models"][0]["reason"].startswith("half-written: weights.safetensors")
    assert found["models"][1]["reason"] == "worse" and found["models"][1]["trainedAt"] == "2026-03-02T02:10:00Z"
    assert found["models"][2]["reason"] == "withdrawn: wrong labels"
    assert (found["models"][3]["accuracy"], found["models"][3]["macroF1"]) == (0.91, 0.9)


def test_the_list_marks_the_one_that_serves_and_has_its_figures(models, run):
    status, text, _ = run("list")
    lines = text.splitlines()
    assert status == 0 and lines[0].split() == ["model", "runId", "state", "trainedAt", "reason"]  # none has figures
    assert [line.split()[:3] for line in lines[1:]] == [
        [NEW, "run-1", "rejected"],
        [MIDDLE, "run-1", "serving"],
        [OLD, "run-1", "promoted"],
    ]
    assert "below the champion's .84" in lines[1]


def test_a_model_that_does_not_compute_what_training_did_is_listed_as_damaged(place, run):
    write_model(place.root, OLD)
    write_model(place.root, NEW, golden=1e-3)
    place.sync()
    _, found, _ = run("list", "--json")
    assert [row["state"] for row in found["models"]] == ["damaged", "serving"]
    assert "probabilities differ by 0.001" in found["models"][0]["reason"]


@pytest.mark.parametrize(
    "figures, columns",
    [({"accuracy": 0.91, "macroF1": 0.9}, ["accuracy", "macroF1"]), ({"mae": 784.2, "rmse": 990.0}, ["mae"])],
)
def test_the_list_and_a_run_have_the_figures_of_their_task(figures, columns, place, run):
    write_model(place.root, OLD, metrics={"test": figures})
    place.sync()
    _, text, _ = run("list")
    heads, cells = (line.split() for line in text.splitlines())
    assert heads == ["model", "runId", "state", "trainedAt", *columns, "reason"]
    assert cells[4 : 4 + len(columns)] == [str(figures[name]) for name in columns]
    _, found, _ = run("list", "--json")
    wanted = dict.fromkeys(("accuracy", "macroF1", "mae")) | {name: figures[name] for name in columns}
    assert {name: found["models"][0][name] for name in wanted} == wanted
    assert run("show", "--json")[1].items() >= {name: figures[name] for name in columns}.items()


def test_the_list_has_what_the_loop_has_decided_beside_the_model(models, run):
    record(folder_at(models.uri), "trained early", LOOP, MIDDLE, "", "decay", {"now": 0.8})
    record(folder_at(models.uri), "trained early", LOOP, LATER, "", "a training that failed", {})
    _, text, _ = run("list")
    head, *lines = text.splitlines()
    assert head.split() == ["model", "runId", "state", "trainedAt", "loop", "reason"]
    assert ["trained early 20" in line and ": decay" in line for line in lines] == [False, True, False]
    rows = run("list", "--json")[1]["models"]
    assert [row["loop"] and row["loop"].partition(": ")[2] for row in rows] == [None, "decay", None]
    assert "trained early" in run("history")[1]


def test_where_there_are_no_models_the_list_says_so(place, run):
    status, _, error = run("list")
    assert status == 1 and error == f"list: expected models in {place.uri}, found none\n"


def test_a_run_is_shown_with_its_figures_and_files_and_verified(place, run):
    write_model(place.root, OLD, metrics=METRICS)
    place.sync()
    status, found, _ = run("show", "--json")
    assert status == 0 and found["problem"] is None
    assert (found["model"], found["runId"], found["promoted"]) == (OLD, "run-1", True)
    assert (found["accuracy"], found["macroF1"]) == (0.91, 0.9)
    sizes = {one["name"]: one["bytes"] for one in found["files"]}
    assert sizes["weights.safetensors"] == (place.root / OLD / "runs" / "run-1" / "weights.safetensors").stat().st_size
    status, text, _ = run("show", f"{OLD}/run-1")
    assert status == 0 and "verified" in text and "0.91" in text and "weights.safetensors" in text


def test_a_file_that_serving_does_not_need_is_verified_too(models, run):
    metrics = models.root / MIDDLE / "runs" / "run-1" / "metrics.json"
    metrics.write_bytes(b"[]")  # as long as {}
    models.sync()
    status, found, _ = run("show", MIDDLE, "--json")
    assert status == 1 and found["problem"].startswith("metrics.json is not the file of the manifest")


def test_a_run_that_is_not_there_is_named(models, run):
    assert run("show", f"{OLD}/run-9")[0::2] == (1, "show: no manifest.json of run run-9\n")
    assert run("show", LATER)[0::2] == (1, "show: no manifest.json\n")


# ------------------------------------------------------------------------------------------ promote and withdraw


def test_a_promoted_model_serves_and_says_why(models, run):
    status, text, _ = run("promote", NEW, "--reason=looked at it")
    assert status == 0
    assert text == f"{NEW}, run run-1 is now promoted\nserves from now on: {NEW}, run run-1\n"
    assert serving(models) == NEW
    manifest = manifest_of(models, NEW)
    assert (manifest["promoted"], manifest["reason"]) == (True, "promoted: looked at it")
    own = json.loads(models.read(f"{NEW}/runs/run-1/manifest.json"))
    assert manifest.pop("decidedBy") == "operator"
    at = manifest.pop("decidedAt")
    assert rfc3339(parse_time(at)) == at
    assert own["promoted"] is False and own == manifest | {"promoted": False, "reason": own["reason"]}


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_hadoops_checksum_of_the_manifest_before_goes_with_it(models, run):
    checksum = models.root / NEW / ".manifest.json.crc"
    checksum.write_bytes(b"crc of what training wrote")
    assert run("promote", NEW)[0] == 0
    assert not checksum.exists() and not list((models.root / NEW).glob(".*"))


def test_a_promotion_that_a_newer_model_outdoes_says_how_to_go_back(models, run):
    run("withdraw", MIDDLE)
    run("promote", NEW)
    status, text, _ = run("promote", MIDDLE)
    assert status == 0 and serving(models) == NEW
    assert f"serves from now on: {NEW}" in text
    assert f"python -m brigade.models withdraw {models.uri} {NEW}" in text


def test_an_earlier_run_of_a_date_is_promoted_by_the_manifest_that_it_kept(place, run):
    write_model(place.root, OLD, run_id="run-1", seed=1, promoted=False, reason="worse")
    write_model(place.root, OLD, run_id="run-2", seed=2)
    place.sync()
    status, found, _ = run("promote", f"{OLD}/run-1", "--json")
    assert status == 0 and found["serving"]["runId"] == "run-1" and found["changed"]
    assert ModelStore(place.uri).current().manifest.run_id == "run-1"
    run("promote", f"{OLD}/run-2")
    assert ModelStore(place.uri).current().manifest.run_id == "run-2"


def test_a_run_is_promoted_when_its_dates_manifest_is_lost_or_damaged(place, run):
    write_model(place.root, OLD)
    (place.root / OLD / "manifest.json").unlink()
    place.sync()
    assert run("promote", OLD)[0] == 1
    assert run("promote", f"{OLD}/run-1")[0] == 0 and serving(place) == OLD


def test_a_model_that_is_not_whole_is_not_promoted(models, run):
    break_one_bit_of_the_weights(models)
    models.sync()
    before = models.read(f"{NEW}/manifest.json")
    status, _, error = run("promote", NEW)
    assert status == 1 and error.startswith("promote: weights.safetensors is not the file of the manifest")
    assert models.read(f"{NEW}/manifest.json") == before


def test_a_withdrawal_reaches_a_warm_instance_and_lets_the_one_before_serve(models, run):
    store = ModelStore(models.uri)
    assert store.current().name == MIDDLE
    status, text, _ = run("withdraw", MIDDLE, "--reason=wrong\nlabels")
    assert status == 0
    assert text == f"{MIDDLE}, run run-1 is now withdrawn\nserves from now on: {OLD}, run run-1\n"
    assert manifest_of(models, MIDDLE)["reason"] == "withdrawn: wrong labels"
    store.look()
    assert store.current().name == OLD


def test_the_last_model_is_withdrawn_by_force_only(models, run):
    run("withdraw", MIDDLE)
    before = models.read(f"{OLD}/manifest.json")
    status, _, error = run("withdraw", OLD)
    assert status == 1 and error.startswith(f"withdraw: {OLD} is the only model that may serve")
    assert models.read(f"{OLD}/manifest.json") == before
    status, found, _ = run("withdraw", OLD, "--force", "--json")
    assert status == 0 and found["serving"] is None
    with pytest.raises(NoModel):
        serving(models)


def test_a_model_that_cannot_serve_does_not_count_as_one_that_is_left(models, run):
    (models.root / OLD / "runs" / "run-1" / "golden.jsonl").write_text("{}")
    models.sync()
    assert run("withdraw", MIDDLE)[0] == 1
    assert serving(models) == MIDDLE


def test_another_run_than_the_dates_is_not_withdrawn(place, run):
    write_model(place.root, OLD, run_id="run-1", seed=1)
    write_model(place.root, OLD, run_id="run-2", seed=2)
    write_model(place.root, NEW, seed=3)
    place.sync()
    status, _, error = run("withdraw", f"{OLD}/run-1")
    assert status == 1 and error.startswith(f"withdraw: {OLD}/run-1 does not serve")


@pytest.mark.parametrize(("command", "name"), [("promote", MIDDLE), ("withdraw", NEW)])
def test_what_is_so_already_stays_as_it_is(models, run, command, name):
    before = models.read(f"{name}/manifest.json")
    status, found, _ = run(command, name, "--json")
    assert status == 0 and found["changed"] is False and found["serving"]["name"] == MIDDLE
    assert models.read(f"{name}/manifest.json") == before
    assert "nothing to change" in run(command, name)[1]


def test_every_decision_leaves_a_marker_that_is_done(models, run):
    contents = set()
    for command, name in (("promote", NEW), ("withdraw", NEW), ("withdraw", NEW)):
        run(command, name)
        contents.add(models.read("changed.json"))
        marker = json.loads(models.read("changed.json"))
        assert (marker["model"], marker["runId"], marker["done"]) == (NEW, "run-1", True)
        assert marker["what"] == ("promoted" if command == "promote" else "withdrawn")
    assert len(contents) == 3


# ----------------------------------------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "s3://bucket/output"], "expected gs://bucket/prefix or a local path, found 's3://bucket/output'"),
        (["promote", "models", "latest"], "expected doc-classification-model-YYYY-MM-DD"),
        (["promote", "models", f"{OLD}/../{NEW}"], "expected doc-classification-model-YYYY-MM-DD"),
        (["withdraw", "models"], "the following arguments are required: model"),
        (["promote", "models", OLD, "--force"], "unrecognized arguments: --force"),
        ([], "the following arguments are required"),
    ],
)
def test_wrong_arguments_are_told_what_was_expected(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_a_bucket_that_is_not_there_is_one_line(storage_emulator, capsys):
    assert main(["list", "gs://there-is-no-such-bucket/output"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("list: gs://there-is-no-such-bucket/output: NotFound")


def test_help_teaches_the_four_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(command in text for command in ("list", "show", "promote", "withdraw", "MODEL_REFRESH_SECONDS"))
