"""plan, up and down: with the real Terraform, on resources that need no provider, and a gcloud that only answers."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from gcp import commands, preflight, resources
from gcp.local_checks import MISSING, Check
from tests.conftest import ROOT

pytestmark = pytest.mark.terraform

ONE, TWO = "brigade-one", "brigade-two"
JOB = "2026-11-21_10_00_00-1234567890"
DRAIN = rf"^gcloud dataflow jobs drain {JOB}"
DESCRIBE = rf"^gcloud dataflow jobs describe {JOB}"


def up(project: str = ONE, *flags: str) -> int:
    return resources.main(["up", f"--project={project}", "--yes", *flags])


def down(project: str = ONE, *flags: str) -> int:
    return resources.main(["down", f"--project={project}", "--yes", *flags])


def state_of(project: str) -> dict[str, str]:
    """{address: id} of what Terraform has."""
    found = commands.Terraform(project).state()
    return {
        address: about["attributes"]["id"] for address, about in resources.managed(found).items() if about["attributes"]
    }


ROLE = "google_project_iam_custom_role.role"
EVERYTHING = {"needed", "input", "output", "logs", "code", "may_read", "function", "counted", "role", "may_start"}


def names(project: str) -> set[str]:
    return {re.sub(r"^\w+\.|\[.*", "", address) for address in state_of(project)}


def test_a_plan_creates_nothing_and_shows_its_commands(cloud_of, capfd):
    assert resources.main(["plan", f"--project={ONE}", "--json"]) == 0
    told = capfd.readouterr()
    folder = commands.TERRAFORM
    assert f"$ terraform -chdir={folder} workspace select -or-create {ONE}" in told.err
    variables = f"-var=project_id={ONE} -var=region=us-central1"
    assert f"$ TF_WORKSPACE={ONE} terraform -chdir={folder} plan -input=false {variables}" in told.err
    assert json.loads(told.out) == {"project": ONE, "region": "us-central1"}
    assert "will be created" in told.err and names(ONE) == set()


def test_each_project_has_a_state_of_its_own_whichever_workspace_is_selected(cloud_of):
    assert (up(ONE), up(TWO)) == (0, 0)
    one, two = state_of(ONE), state_of(TWO)
    assert one.keys() == two.keys() and not set(one.values()) & set(two.values())
    # A terminal that has selected another workspace, or asks for one by the environment, does not matter.
    os.environ["TF_WORKSPACE"] = TWO
    try:
        assert down(ONE) == 0
    finally:
        del os.environ["TF_WORKSPACE"]
    assert state_of(TWO) == two and names(ONE) == {"needed", "input", "output", "logs", "role"}


def test_down_keeps_the_data_buckets_and_a_later_up_goes_on_with_them(cloud_of, capfd):
    assert up() == 0
    before = state_of(ONE)
    assert names(ONE) == EVERYTHING
    capfd.readouterr()
    assert down(ONE, "--json") == 0
    told = capfd.readouterr()
    kept = ["brigade-one-ml-input", "brigade-one-ml-logs", "brigade-one-ml-output"]
    summary = json.loads(told.out)
    assert summary == {"project": ONE, "drained": [], "removed": 7, "kept": kept, "emptied": []}
    assert names(ONE) == {"needed", "input", "output", "logs", "role"}
    assert not cloud_of.calls("gcloud storage rm")
    assert f"make gcp-down PROJECT={ONE} BUCKETS={','.join(kept)}" in told.err
    assert up() == 0
    after = state_of(ONE)
    assert after.keys() == before.keys()
    same = {address for address in after if after[address] == before[address]}
    assert {re.sub(r"^\w+\.|\[.*", "", address) for address in same} == {"needed", "input", "output", "logs", "role"}


def test_a_bucket_that_is_named_goes_with_its_data_after_all_else(cloud_of):
    assert up() == 0
    cloud_of.forget()
    assert down(ONE, "--buckets=brigade-one-ml-input") == 0
    calls = [line for line in cloud_of.calls() if re.search(r"destroy|storage rm|state rm", line)]
    assert [re.match(r"\S+ \S+ \S+", line)[0] for line in calls] == [
        "terraform destroy -auto-approve",
        "gcloud storage rm",
        "terraform state rm",
    ]
    assert calls[1] == "gcloud storage rm --recursive gs://brigade-one-ml-input"
    assert names(ONE) == {"needed", "output", "logs", "role"}
    # What is gone already is not asked for twice.
    cloud_of.answer("^gcloud storage buckets describe", ("", "ERROR: gs://b not found: 404.", 1))
    cloud_of.forget()
    assert down(ONE, "--buckets=brigade-one-ml-output") == 0
    assert not cloud_of.calls("gcloud storage rm") and names(ONE) == {"needed", "logs", "role"}


def test_when_all_data_is_named_nothing_is_left_but_the_role_whose_id_a_later_up_needs(cloud_of, capfd):
    assert up() == 0
    role = state_of(ONE)[ROLE]
    assert down(ONE, "--buckets=brigade-one-ml-input,brigade-one-ml-output,brigade-one-ml-logs") == 0
    assert names(ONE) == {"needed", "role"} and len(cloud_of.calls("gcloud storage rm")) == 3
    assert f"nothing of the pipeline is left in {ONE} but a custom role" in capfd.readouterr().err
    assert up() == 0 and state_of(ONE)[ROLE] == role


@pytest.mark.parametrize(
    "name", ["brigade-two-ml-input", "brigade-one-ml-code", "ml_input", "gs://brigade-one-ml-input"]
)
def test_a_name_that_is_no_data_bucket_of_the_project_is_refused_before_anything_is_asked(cloud_of, name, capfd):
    assert up() == 0
    cloud_of.forget()
    assert down(ONE, f"--buckets=brigade-one-ml-input,{name}") == 2
    assert cloud_of.calls() == []
    assert f"found {name}; nothing was removed" in capfd.readouterr().err


def test_a_bucket_that_terraform_does_not_have_is_refused_before_anything_is_touched(cloud_of, capfd):
    assert up() == 0 and down(ONE, "--buckets=brigade-one-ml-input") == 0 and up(TWO) == 0
    before = state_of(ONE)
    cloud_of.forget()
    assert down(ONE, "--buckets=brigade-one-ml-input") == 1
    assert "expected brigade-one-ml-input in Terraform's state" in capfd.readouterr().err
    assert not cloud_of.calls("gcloud storage") and state_of(ONE) == before


def landing_runs(cloud_of, *states: str, drain: str = "Started draining job") -> None:
    cloud_of.answer("^gcloud dataflow jobs list", json.dumps([{"id": JOB, "state": "Running"}]))
    cloud_of.answer(DRAIN, ("", f"{drain} [{JOB}]\n", 0))
    cloud_of.answer(DESCRIBE, *(f"JOB_STATE_{state}\n" for state in states))


def test_landing_is_drained_before_anything_goes(cloud_of, capfd):
    assert up() == 0
    cloud_of.forget()
    landing_runs(cloud_of, "RUNNING", "DRAINING", "DRAINED")
    assert down(ONE, "--json") == 0
    told = capfd.readouterr()
    order = [line for line in cloud_of.calls() if re.search(r"jobs (drain|describe)|destroy", line)]
    assert [re.search(r"drain|describe|destroy", line)[0] for line in order] == ["drain", *["describe"] * 3, "destroy"]
    assert json.loads(told.out)["drained"] == [JOB]
    assert told.err.count(f"$ gcloud dataflow jobs describe {JOB}") == 1  # asked three times, shown once


@pytest.mark.parametrize(
    "states, drain, flags, said",
    [
        (["DRAINING"], "Started", ["--drain_seconds=0.1"], f"gcloud dataflow jobs cancel {JOB}"),
        (["RUNNING"], "Failed to drain job", [], f"Failed to drain job [{JOB}]"),
    ],
    ids=["does not end", "is not drained, which gcloud says with exit status 0"],
)
def test_nothing_goes_while_landing_runs_that(cloud_of, states, drain, flags, said, capfd):
    assert up() == 0
    before = state_of(ONE)
    cloud_of.forget()
    landing_runs(cloud_of, *states, drain=drain)
    assert down(ONE, *flags) == 1
    assert said in capfd.readouterr().err
    assert not [line for line in cloud_of.calls() if "destroy" in line] and state_of(ONE) == before


def test_nothing_goes_while_a_training_runs(cloud_of, capfd):
    assert up() == 0
    cloud_of.forget()
    cloud_of.answer("^gcloud dataproc clusters list", json.dumps([{"clusterName": "brigade-cluster-abc"}]))
    assert down() == 1
    assert "a training runs on cluster brigade-cluster-abc" in capfd.readouterr().err
    assert names(ONE) == EVERYTHING and not cloud_of.calls("gcloud dataflow")


def test_apis_that_are_off_have_no_jobs_to_end(cloud_of):
    assert up() == 0
    off = "ERROR: Dataflow API has not been used in project 1 before or it is disabled."
    for command in ("dataproc clusters list", "dataflow jobs list"):
        cloud_of.answer(f"^gcloud {command}", ("", off, 1))
    assert down() == 0
    cloud_of.answer("^gcloud dataflow jobs list", ("", "ERROR: (gcloud.dataflow.jobs.list) PERMISSION_DENIED", 1))
    assert up() == 0 and down() == 1


def test_down_without_a_state_says_where_it_looked(cloud_of, capfd):
    assert down() == 1
    assert f"found nothing in Terraform's state here ({commands.TERRAFORM}, workspace {ONE})" in capfd.readouterr().err
    assert not cloud_of.calls("gcloud data")


def test_another_region_is_refused_and_down_needs_none(cloud_of, capfd):
    assert up(ONE, "--region=europe-west1") == 0
    before = state_of(ONE)
    assert up(ONE) == 1
    assert f"{ONE} was created with REGION=europe-west1, found REGION=us-central1" in capfd.readouterr().err
    assert state_of(ONE) == before
    cloud_of.forget()
    assert down(ONE) == 0
    assert all("--region=europe-west1" in line for line in cloud_of.calls("gcloud data"))


def test_without_an_answer_to_terraform_s_question_nothing_is_created(cloud_of):
    with open(os.devnull) as nothing:
        before = os.dup(0)
        os.dup2(nothing.fileno(), 0)
        try:
            assert resources.main(["up", f"--project={ONE}"]) == 1
        finally:
            os.dup2(before, 0)
    assert names(ONE) == set()


def test_what_preflight_finds_missing_stops_up(cloud_of, monkeypatch, capfd):
    found = [Check("billing", MISSING, "expected it on, found it off", "gcloud billing projects link")]
    monkeypatch.setattr(preflight, "checks", lambda project, region, prefix: found)
    assert up() == 1
    assert "nothing was created" in capfd.readouterr().err and cloud_of.calls() == []


def test_nothing_runs_after_a_command_that_failed(cloud_of, capfd):
    (commands.TERRAFORM / "broken.tf").write_text("this is no configuration\n")
    assert up() == 1
    assert [line.split()[1] for line in cloud_of.calls("terraform")] == ["init"]
    assert "gcp-up: terraform init ended with status 1" in capfd.readouterr().err


FRESH_GRANT = """
resource "terraform_data" "grant" { input = "a role" }
resource "terraform_data" "built" {
  depends_on = [terraform_data.grant]
  provisioner "local-exec" {
    command = "test -e spread || { echo 'Build failed: permission denied' >&2; exit 1; }"
  }
}
"""


@pytest.mark.parametrize("fresh", ["grant", "switched_on"])
def test_a_new_grant_or_api_that_google_does_not_know_yet_is_waited_for(cloud_of, capfd, monkeypatch, fresh):
    (commands.TERRAFORM / "fresh.tf").write_text(re.sub(r"\bgrant\b(?! )", fresh, FRESH_GRANT))

    def spread(seconds: float) -> None:
        assert seconds == resources.SPREAD_SECONDS
        (commands.TERRAFORM / "spread").touch()

    monkeypatch.setattr(resources.time, "sleep", spread)
    assert up() == 0
    told = capfd.readouterr().err
    assert "Build failed: permission denied" in told and "Trying again in 150 s" in told
    assert "1 APIs and grants are new" in told
    assert len(cloud_of.calls("terraform apply")) == 2


def test_a_new_grant_is_waited_for_some_minutes_and_no_longer(cloud_of, monkeypatch):
    (commands.TERRAFORM / "fresh.tf").write_text(FRESH_GRANT)
    pauses: list[float] = []
    monkeypatch.setattr(resources.time, "sleep", pauses.append)
    assert up() == 1
    assert pauses == [resources.SPREAD_SECONDS] * 3


def test_an_up_that_was_left_half_done_goes_on_at_the_next_one(cloud_of, monkeypatch):
    (commands.TERRAFORM / "fresh.tf").write_text(FRESH_GRANT)
    monkeypatch.setattr(resources.time, "sleep", lambda _: None)
    assert up() == 1
    half = state_of(ONE)
    assert names(ONE) >= EVERYTHING
    (commands.TERRAFORM / "spread").touch()
    assert up() == 0
    whole = state_of(ONE)
    kept = {address: identity for address, identity in half.items() if not address.endswith(".built")}
    assert kept.items() <= whole.items() and "terraform_data.built" in whole


STUBBORN = """
resource "terraform_data" "stubborn" {
  provisioner "local-exec" {
    when    = destroy
    command = "test -e mended || { echo 'Error 409: in use' >&2; exit 1; }"
  }
}
"""


def test_a_down_that_was_left_half_done_goes_on_at_the_next_one_and_up_comes_back(cloud_of):
    (commands.TERRAFORM / "stubborn.tf").write_text(STUBBORN)
    assert up() == 0
    role = state_of(ONE)[ROLE]
    assert down() == 1
    assert names(ONE) == {"needed", "input", "output", "logs", "role", "stubborn"}
    (commands.TERRAFORM / "mended").touch()
    assert down() == 0 and down() == 0  # and once more, when nothing is left to do
    assert names(ONE) == {"needed", "input", "output", "logs", "role"}
    assert up() == 0 and state_of(ONE)[ROLE] == role


def test_a_bucket_whose_removal_broke_off_is_removed_by_the_next_down(cloud_of):
    assert up() == 0
    cloud_of.answer("^gcloud storage rm", ("", "ERROR: 503", 1), "")
    data = "--buckets=brigade-one-ml-input,brigade-one-ml-output,brigade-one-ml-logs"
    assert down(ONE, data) == 1 and {"input", "output", "logs"} <= names(ONE)
    assert down(ONE, data) == 0 and names(ONE) == {"needed", "role"}
    assert up() == 0 and names(ONE) == EVERYTHING


def test_what_fails_without_a_new_grant_fails_at_once(cloud_of, monkeypatch):
    monkeypatch.setattr(resources.time, "sleep", lambda _: pytest.fail("it waits"))
    (commands.TERRAFORM / "fresh.tf").write_text(re.sub(r"\bgrant\b(?! )", "other", FRESH_GRANT))
    assert up() == 1


RUN = """
import sys
from pathlib import Path
from gcp import commands, preflight, resources
from gcp.local_checks import OK, Check
commands.TERRAFORM = Path({folder!r})
preflight.checks = lambda project, region, prefix: [Check("project", OK, project)]
sys.exit(resources.main(["up", "--project=brigade-one", "--yes"]))
"""
SLOW = """
resource "terraform_data" "slow" {
  depends_on = [terraform_data.counted]
  provisioner "local-exec" {
    command = "trap '' INT; touch started; exec sleep 60" # only Terraform ends it, which then has seen the signal
  }
}
"""


@pytest.mark.parametrize("whom, number", [("all", signal.SIGINT), ("the program", signal.SIGTERM)])
def test_who_is_interrupted_lets_terraform_write_down_what_it_created(cloud_of, whom, number):
    (commands.TERRAFORM / "slow.tf").write_text(SLOW)
    program = RUN.format(folder=str(commands.TERRAFORM))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a script starts a job in the background
    )
    end = time.monotonic() + 60
    while not (commands.TERRAFORM / "started").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    # A terminal's Ctrl-C reaches every process of the group, a `kill` only one.
    (os.killpg if whom == "all" else os.kill)(process.pid, number)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130 and "gcp-up: stopped" in messages
    assert "Interrupt received" in messages  # Terraform was told, not killed
    assert names(ONE) >= {"needed", "counted"}
    (commands.TERRAFORM / "slow.tf").unlink()
    assert up() == 0 and names(ONE) == EVERYTHING  # the state is not locked
