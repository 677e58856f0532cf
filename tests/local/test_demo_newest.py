"""The demo of a pipeline whose features look back: which events it holds out, and what PREDICT makes of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from brigade.pipelines.load import load
from local.demo_newest import hold_out_newest, time_of
from local.demo_progress import Failed
from local.demo_serving import Known
from tests.conftest import ROOT

SALES = load("sales")


class Programs:
    """What runs the publisher."""

    def __init__(self, folder: Path):
        self.folder, self.environment = folder, dict(os.environ)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def test_the_newest_weeks_are_held_out_and_no_other(tmp_path):
    source = ["--generate=1000", "--seed=3", "--pipeline=sales", "--malformed=0"]
    published = hold_out_newest(Programs(tmp_path), source, Known(SALES), 0.1, tmp_path / "unseen.jsonl")
    files = (published, tmp_path / "unseen.jsonl")
    old, new = ([json.loads(one) for one in file.read_text("utf-8").splitlines()] for file in files)
    assert len(old) + len(new) == 1010 and 80 <= len(new) <= 120
    assert max(one["eventTimestamp"] for one in old) < min(one["eventTimestamp"] for one in new)


def test_what_is_no_event_is_published_as_it_is():
    assert time_of(b'{"eventId": "1"}', Known(SALES)) is None


def test_a_publisher_that_fails_is_told(tmp_path):
    with pytest.raises(Failed, match="publisher.py ended with status 2; see .*publisher.log"):
        hold_out_newest(Programs(tmp_path), ["--generate=none"], Known(SALES), 0.1, tmp_path / "unseen.jsonl")


def test_without_the_local_cloud_make_predict_says_what_to_do(tmp_path, capsys, monkeypatch):
    from local import predict

    monkeypatch.setattr(predict, "ROOT", tmp_path)
    assert predict.main([]) == 1
    assert "`make up` starts it" in capsys.readouterr().err


@pytest.mark.long
def test_the_demo_of_sales_predicts_the_newest_weeks_by_the_query(tmp_path):
    command = [sys.executable, "-m", "local.demo", "--pipeline=sales", "--generate=1500", "--sample=10"]
    done = subprocess.run(
        [*command, f"--state={tmp_path / 'state'}"], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "state" / "demo.json").read_text())
    assert result["queried_mae"] < result["mae"] and "with them, by PREDICT" in done.stdout
    assert {"predict", "serve", "land"} <= set(result["seconds"])
