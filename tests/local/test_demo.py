"""The whole way through, once, as `make demo` runs it; and that it leaves nothing behind when it is stopped."""

import copy
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from local import demo, demo_result, spark_classes
from tests.conftest import ROOT

RESULT = {
    "published": 12,
    "landed": 10,
    "dead_lettered": 2,
    "reasons": {"empty_payload": 2},
    "held_out": 5,
    "unseen": 3,
    "classified": 3,
    "models": ["doc-classification-model-2026-11-21/run-1"],
    "convert": {"lines": 10, "converted": 8, "duplicates": 1, "quarantined": 1},
    "train": {
        "model": "doc-classification-model-2026-11-21",
        "runId": "run-1",
        "trained_on": 5,
        "validated_on": 1,
        "tested_on": 1,
        "unlabelled": 1,
    },
}


def test_what_adds_up_is_not_off():
    assert demo_result.off(RESULT) == []


@pytest.mark.parametrize(
    "path, value, line",
    [
        (["published"], 13, "published = landed + dead_lettered does not hold: 13 is not 12"),
        (
            ["convert", "duplicates"],
            0,
            "landed = converted + duplicates + quarantined does not hold: 10 is not 9",
        ),
        (["train", "unlabelled"], 0, "converted = trained_on"),
        (["classified"], 2, "classified = unseen does not hold: 2 is not 3"),
        (["models"], ["doc-classification-model-2026-10-24/run-9"], "expected every prediction by"),
        (["models"], [], "found none"),
    ],
)
def test_a_number_that_is_off_is_named(path, value, line):
    result = copy.deepcopy(RESULT)
    target = result
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    (found,) = demo_result.off(result)
    assert line in found


def processes_of(folder) -> str:
    listed = subprocess.run(["ps", "-Aww", "-o", "pid,command"], capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in listed.splitlines() if str(folder) in line)


def test_the_whole_way_through_adds_up(tmp_path):
    table = tmp_path / "docs.csv"
    rows = ["category;title;body"]
    subjects = {
        "sport": "match goal team league",
        "food": "soup bread oven salt",
        "law": "court appeal judge clause",
    }
    for number in range(120):
        for name, words in subjects.items():
            word = words.split()[number % 4]
            rows.append(f'{name};"Note {number}";"The {word} of day {number}, {words.split()[number % 3]} and more"')
    rows.append('law;"";""')  # a row without text: a dead letter
    table.write_text("\n".join(rows) + "\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "local.demo", f"--docs={table}", "--text=title+body", "--label=category"]
        + [f"--state={tmp_path / 'state'}", "--sample=20"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "state" / "demo.json").read_text())
    assert result["published"] + result["held_out"] == 361 and result["reasons"] == {"empty_payload": 1}
    assert (result["dead_lettered"], result["duplicates"], result["quarantined"]) == (1, 0, 0)
    assert result["published"] == result["landed"] + 1 and result["landed"] == result["converted"]
    assert result["classified"] == result["unseen"] == min(result["held_out"], 20)
    assert "  1 empty_payload\n" in done.stdout and "more held out, not sent" in done.stdout
    assert result["accuracy"] > 0.9
    assert set(result["seconds"]) >= {"start", "land", "retrain", "serve", "convert", "train", "all"}
    assert "accuracy on the unseen documents" in done.stdout
    assert not processes_of(tmp_path)
    archive = spark_classes.archive()
    assert spark_classes.useful(archive) or not os.access(archive.parent, os.W_OK)  # what the conversion leaves


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_demo_that_is_stopped_leaves_no_process(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "local.demo", "--generate=200", f"--state={tmp_path / 'state'}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    for line in process.stderr:  # until the landing job and everything before it run
        if "messages published" in line:
            break
    assert len(processes_of(tmp_path).splitlines()) >= 5
    process.send_signal(number)
    assert process.wait(timeout=60) != 0
    process.stderr.close()
    end = time.monotonic() + 30
    while processes_of(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert not processes_of(tmp_path)


def test_a_file_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        demo.main(["--docs=/no/such/file.csv"])
    assert ended.value.code == 2
    assert "expected a file or folder, found none at /no/such/file.csv" in capsys.readouterr().err
