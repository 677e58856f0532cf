"""The file of an environment: what it may hold, and what is said of a wrong one."""

import pytest
import yaml

import pipeline
from brigade.steps.environment import load, names
from tests.conftest import ROOT

DEV = yaml.safe_load((ROOT / "environments" / "dev.yaml").read_text("utf-8"))
ALONE = {"pipeline": "wine", "paths": dict.fromkeys(DEV["paths"], "here")}


def test_the_environments_that_come_with_the_project_are_whole():
    assert names() == ["dev", "local", "prod"]
    assert [load(name).dataproc is None for name in names()] == [False, True, False]
    dev, prod = load("dev"), load("prod")
    assert (dev.dataproc.workers, prod.dataproc.workers) == (0, 2)
    assert dev.paths.models == "gs://brigade-dev-ml-output/output/"
    assert prod.model_dump_json().count("brigade-dev") == 0


def test_a_file_of_one_s_own_is_taken_by_its_path(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(ALONE))
    found = load(f"{tmp_path}/mine.yaml")
    assert (found.pipeline, found.paths.models, found.dataproc) == ("wine", "here", None)


WRONG = {
    "a key that is none": (
        ALONE | {"paht": 1},
        "paht: expected one of pipeline, paths, dataproc, found no such key; did you mean paths?",
    ),
    "no paths": ({"pipeline": "wine"}, "paths: expected the paths of the steps, found nothing"),
    "a path that is missing": (
        {"paths": {**ALONE["paths"], "models": None}},
        "paths.models: expected the folder of the dated models, found nothing",
    ),
    "a path that is a number": (
        {"paths": {**ALONE["paths"], "input": 7}},
        "paths.input: expected the folder of the landed JSON lines, found 7",
    ),
    "no mapping": (["local"], "expected a mapping with the keys pipeline, paths, dataproc, found a list"),
    "a local path beside a cluster": (
        DEV | {"paths": DEV["paths"] | {"parquet": "parquet"}},
        "paths.parquet: expected gs://bucket/prefix beside dataproc, found parquet",
    ),
    "a local definition beside a cluster": (
        DEV | {"pipeline": "mine.yaml"},
        "pipeline: expected a name or a gs:// URI beside dataproc, found mine.yaml",
    ),
    "one worker": (
        DEV | {"dataproc": DEV["dataproc"] | {"workers": 1}},
        "dataproc.workers: expected 0 or at least 2, found 1",
    ),
    "code that lies here": (
        DEV | {"dataproc": DEV["dataproc"] | {"code": "build"}},
        'dataproc.code: expected a gs:// folder with the programs and brigade.zip, found "build"',
    ),
    "a key that is nearly one": (
        DEV | {"dataproc": DEV["dataproc"] | {"regoin": "x"}},
        "found no such key; did you mean region?",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_in_one_line_and_ends_with_status_2(name, tmp_path, capsys):
    document, message = WRONG[name]
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(document))
    assert pipeline.main(["--step=make_data", f"--environment={tmp_path}/e.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"pipeline.py: {tmp_path}/e.yaml: ") and line.endswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--step=train"], "argument --step: invalid choice: 'train' (choose from"),
        ([], "the following arguments are required: --step"),
        (["--step=all", "--environment=deb"], "deb: expected one of dev, local, prod, or a file that ends in .yaml, "),
        (["--step=all", "--environment=none.yaml"], "none.yaml: expected a file, found none"),
        (["--step=all", "--environment=tests/"], "tests/: expected a file, found"),
    ],
)
def test_an_unknown_step_or_environment_ends_with_status_2_and_a_line(arguments, message, capsys):
    try:
        status = pipeline.main(arguments)
    except SystemExit as ended:
        status = ended.code
    output = capsys.readouterr()
    assert (status, output.out) == (2, "")
    assert message in output.err.splitlines()[-1]
