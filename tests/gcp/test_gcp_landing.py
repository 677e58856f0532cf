"""How landing is started on Dataflow: by the real pubsub_gcs.py's own flags, and by a gcloud that only answers."""

import json
import os

import pytest

from brigade.landing.arguments import parse_arguments
from gcp import commands, demo, landing
from tests.gcp.stand_ins import StandIns

P = "brigade-test"
JOB = "2026-11-21_10_00_00-1234567890"
OUTPUTS = {
    "project_id": P,
    "region": "europe-west1",
    "landing_subscription": f"projects/{P}/subscriptions/sub-brigade",
    "input_bucket": f"{P}-ml-input",
    "temp_bucket": f"{P}-ml-temp",
    "landing_service_account": f"brigade-landing@{P}.iam.gserviceaccount.com",
    "subnetwork": f"projects/{P}/regions/europe-west1/subnetworks/brigade",
    "pipeline": "documents",
}


@pytest.fixture
def created(tmp_path, monkeypatch):
    """Stand-ins for a project in which everything is created and nothing runs."""
    stand_ins = StandIns(tmp_path / "stand-ins")
    for name in ("gcloud", "terraform", "python"):
        stand_ins.program(name)
    stand_ins.answer("^terraform version", json.dumps({"terraform_version": "1.11.4"}))
    stand_ins.answer("^terraform .*output", json.dumps({name: {"value": value} for name, value in OUTPUTS.items()}))
    stand_ins.answer("^gcloud dataflow jobs list", "[]")
    stand_ins.answer("^gcloud dataflow jobs describe", "JOB_STATE_PENDING\n", "JOB_STATE_RUNNING\n")
    stand_ins.answer("^python pubsub_gcs.py", json.dumps({"runner": "DataflowRunner", "job": JOB}) + "\n")
    own = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "own.json").write_text(json.dumps(own))
    monkeypatch.setenv("PATH", f"{stand_ins.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "own.json"))
    monkeypatch.setenv("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
    monkeypatch.setattr(landing, "python", lambda program, *flags: ["python", program, *flags])
    monkeypatch.setattr(landing, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(commands, "shown_lines", set())
    return stand_ins


def started(created) -> list[str]:
    return [line.split()[2:] for line in created.calls("python pubsub_gcs.py")]


def running(created, state: str = "Running") -> None:
    created.answer("^gcloud dataflow jobs list", json.dumps([{"id": JOB, "state": state}]))


def test_the_job_runs_as_its_own_account_in_its_own_network(created, capsys):
    assert landing.main([f"--project={P}", "--max_workers=5", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"project": P, "job": JOB, "started": True}
    assert f"https://console.cloud.google.com/dataflow/jobs/europe-west1/{JOB}?project={P}" in told.err
    (flags,) = started(created)
    own, beam = parse_arguments(flags)  # which refuses a flag that Beam does not know
    assert own.input_subscription == OUTPUTS["landing_subscription"]
    assert (own.output_path, own.dead_letter_path) == (f"gs://{P}-ml-input/input", f"gs://{P}-ml-input/dead_letter")
    found = beam.get_all_options()
    assert found["streaming"] and not found["use_public_ips"] and found["enable_streaming_engine"]
    wanted = {
        "runner": "DataflowRunner",
        "job_name": "brigade-landing",
        "region": "europe-west1",
        "temp_location": f"gs://{P}-ml-temp/dataflow",
        "service_account_email": OUTPUTS["landing_service_account"],
        "subnetwork": "regions/europe-west1/subnetworks/brigade",
        "autoscaling_algorithm": "THROUGHPUT_BASED",
        "max_num_workers": 5,
        "labels": ["app=brigade"],
    }
    assert {name: found.get(name) for name in wanted} == wanted and not found["update"]
    assert len(created.calls("gcloud dataflow jobs describe")) == 2  # until it runs


def test_a_second_pipeline_s_job_has_its_name_and_its_definition(created, capsys):
    second = {name: value.replace("brigade", "wine-brigade") for name, value in OUTPUTS.items()} | {"project_id": P}
    outputs = {name: {"value": value} for name, value in (second | {"pipeline": "wine"}).items()}
    created.answer("^terraform .*output", json.dumps(outputs))
    assert landing.main([f"--project={P}", "--prefix=wine"]) == 0
    (flags,) = started(created)
    own, beam = parse_arguments(flags)
    assert own.pipeline.name == "wine" and beam.get_all_options()["job_name"] == "wine-brigade-landing"
    (asked,) = created.calls("gcloud dataflow jobs list")
    assert "--filter=name=wine-brigade-landing" in asked
    assert f"next: make gcp-demo PROJECT={P} PREFIX=wine" in capsys.readouterr().err


def test_a_job_of_documents_has_the_flags_that_it_always_had(created):
    assert landing.main([f"--project={P}"]) == 0
    assert not any(flag.startswith("--pipeline") for flag in started(created)[0])


def test_a_job_that_runs_already_is_left_alone(created, capsys):
    running(created)
    assert landing.main([f"--project={P}"]) == 0
    assert started(created) == [] and "nothing was started; UPDATE=1" in capsys.readouterr().err


def test_an_update_hands_the_running_job_over_and_starts_one_where_none_runs(created, capsys):
    assert landing.main([f"--project={P}", "--update"]) == 0
    assert "--update" not in started(created)[0]
    assert "no brigade-landing runs that could be updated" in capsys.readouterr().err
    running(created)
    assert landing.main([f"--project={P}", "--update"]) == 0
    assert "--update" in started(created)[1]


def test_a_job_that_is_about_to_end_is_waited_for_by_nobody(created, capsys):
    running(created, "Draining")
    assert landing.main([f"--project={P}", "--update"]) == 1
    assert started(created) == [] and "is about to end" in capsys.readouterr().err


def test_a_job_that_does_not_come_to_run_is_told(created, capsys):
    created.answer("^gcloud dataflow jobs describe", "JOB_STATE_FAILED\n")
    assert landing.main([f"--project={P}"]) == 1
    told = capsys.readouterr().err
    assert "expected it to run, found JOB_STATE_FAILED; see why: gcloud logging read" in told


def test_a_job_that_cannot_be_submitted_is_asked_for_no_state(created, capsys):
    created.answer("^python pubsub_gcs.py", ("", "pubsub_gcs.py: the subscription does not exist\n", 1))
    assert landing.main([f"--project={P}"]) == 1
    assert "gcp-landing: python pubsub_gcs.py ended with status 1" in capsys.readouterr().err
    assert not created.calls("gcloud dataflow jobs describe")


def test_the_demo_of_documents_refuses_another_pipeline(created, capsys):
    outputs = {name: {"value": value} for name, value in (OUTPUTS | {"pipeline": "wine", "topic": "T"}).items()}
    created.answer("^terraform .*output", json.dumps(outputs))
    assert demo.main([f"--project={P}"]) == 1
    told = capsys.readouterr().err
    assert "expected the pipeline documents, of which the demo has events, found wine" in told
    assert "python publisher.py --pipeline=wine FILE --topic=T" in told
    assert not created.calls("python publisher.py") and not created.calls("gcloud scheduler")


@pytest.mark.parametrize("program", [landing, demo])
def test_before_anything_is_created_it_says_what_comes_first(created, capsys, program):
    created.answer("^terraform .*output", "{}")
    assert program.main([f"--project={P}"]) == 1
    assert f"make gcp-up PROJECT={P}" in capsys.readouterr().err
    assert started(created) == [] and not created.calls("gcloud dataflow")
