"""The gcloud commands of README.md and docs/, each run as it stands, and the transcripts of two of its pages."""

import json
import os
import re
from unittest import mock

import pytest
import requests

from local import services, tutorial, workflow_templates
from tests.conftest import ROOT
from tests.deploy.test_workflow_template import parsed
from tests.test_readme import BLOCKS, BY_HAND, INLINE

HERE, THERE = tutorial.commands(BY_HAND)
VERTEX_HERE, VERTEX_THERE = tutorial.commands(tutorial.PAGES["vertex"].commands.read_text("utf-8"))
# What no emulator and no stand-in can answer, and why.
NEEDS_GCP = {
    "python pubsub_gcs.py": "here Beam's DirectRunner lands the messages; --runner=DataflowRunner needs Dataflow",
    "gcloud dataflow": "there is no emulator of Dataflow",
    "gcloud auth": "there is nobody to log in as",
    "gcloud projects": "there is no emulator of projects",
    "gcloud billing": "there is no emulator of billing",
    "gcloud services": "there is no emulator of Google's list of APIs",
    "gcloud storage buckets add-iam-policy-binding": "the storage emulator has no IAM",
    "gcloud logging": "there is no emulator of Cloud Logging",
    "gcloud functions": "functions-framework runs the functions here; deploying them needs Cloud Build and Cloud Run",
    "TRIGGER_URL=": "it asks `gcloud functions`; here `make up` exports the address",
    "CLASSIFY_URL=": "it asks `gcloud functions`; here `make up` pushes to the function that it starts",
    "python scheduler/create_job.py": "it names a service account and an address that a deployed trigger has",
}


def in_code(text: str) -> list[str]:
    """The gcloud commands of a code block; one may have several lines."""
    return [line for line in re.split(r"(?<!\\)\n", text) if line.startswith("gcloud ")]


ELSEWHERE = [
    command
    for command in dict.fromkeys(
        (
            *(command for block in BLOCKS for command in in_code(block)),
            *(code for code in INLINE if code.startswith("gcloud ") and "…" not in code),
        )
    )
    if command not in HERE + THERE + VERTEX_HERE
]


def needs_gcp(command: str) -> bool:
    return command.startswith(tuple(NEEDS_GCP)) or re.search(r"--project=P(\s|$)", command)  # the reader's own project


def test_what_the_page_marks_is_what_needs_gcp():
    assert [command for command in THERE if not needs_gcp(command)] == []
    assert [command for command in HERE + VERTEX_HERE if needs_gcp(command)] == []
    assert all(" PROJECT=P" in command for command in VERTEX_THERE)
    for beginning in NEEDS_GCP:
        assert any(command.startswith(beginning) for command in THERE + ELSEWHERE), beginning


def test_the_tutorial_is_most_of_the_gcloud_commands():
    starts = " ".join(HERE)
    for group in ("pubsub topics", "storage cp", "workflow-templates import", "instantiate", "scheduler jobs run"):
        assert f" {group}" in starts, group


def test_the_command_that_starts_the_workflow_gives_each_parameter_the_template_s_own_value():
    (command,) = [command for command in HERE if "workflow-templates instantiate" in command]
    values = re.search(r'--parameters="([^"]+)"', command)[1].replace("\\\n", "")
    assert dict(pair.split("=", 1) for pair in values.split(",")) == workflow_templates.own_values(parsed())


def test_vertex_s_page_runs_the_commands_that_it_is_about():
    starts = " ".join(VERTEX_HERE)
    for command in ("models list", "endpoints raw-predict", "endpoints predict", "endpoints describe"):
        assert f"gcloud ai {command} " in starts, command
    for action in ("upload", "deploy", "list", "undeploy"):
        assert f"python -m gcp.vertex {action} " in starts, action


@pytest.mark.parametrize("name", tutorial.PAGES)
def test_a_transcript_has_its_page_s_commands(name):
    page = tutorial.PAGES[name]
    here, _ = tutorial.commands(page.commands.read_text("utf-8"))
    kept = page.transcript.read_text("utf-8")
    blocks = re.findall(r"^```console\n\$ (.*?)^```$", kept, re.S | re.M)
    assert len(blocks) == len(here)
    for command, block in zip(here, blocks, strict=True):
        assert block.startswith(command + "\n")
    # What stands around the answers is what the program writes.
    answers = [(command, block.removeprefix(command + "\n")) for command, block in zip(here, blocks, strict=True)]
    assert tutorial.transcript(page, answers, ROOT) == kept


def test_what_changes_from_run_to_run_has_a_name_in_the_transcript(tmp_path):
    text = (
        f"see {tmp_path}/logs at 127.0.0.1:45123, 2026-11-21T20:14:00.310002Z\n\n"
        "Average throughput: 24.0MiB/s\n"
        "Job ID train-0123456789abc of 7f6b7b3e-1111-4222-8333-123456789abc\n"
    )
    assert tutorial.stable(text, tmp_path) == "see FOLDER/logs at 127.0.0.1:PORT, TIME\nJob ID train-ID of UUID"


def test_a_long_answer_is_cut_in_its_middle(tmp_path):
    lines = tutorial.stable("\n".join(map(str, range(100))), tmp_path).splitlines()
    assert (lines[0], lines[20], lines[-1]) == ("0", "… 60 more lines …", "99")


def test_an_empty_cloud_has_the_trigger_and_nothing_that_the_tutorial_creates(tmp_path, capsys):
    assert services.main(["up", "--empty", f"--folder={tmp_path / 'up'}"]) == 0
    exports = dict(re.findall(r"^export (\w+)=(\S+)$", capsys.readouterr().out, re.M))
    try:
        assert "PREDICT_URL" not in exports
        assert requests.get(exports["TRIGGER_URL"]).status_code == 405  # it takes POST only
        topics = f"{exports['CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB']}v1/projects/brigade-local/topics"
        assert requests.get(topics).json() == {}
        buckets = f"{exports['CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE']}b?project=brigade-local"
        assert not requests.get(buckets).json().get("items")
    finally:
        assert services.main(["down", f"--folder={tmp_path / 'up'}"]) == 0
    assert services.running(tmp_path / "up") is None


@pytest.mark.gcloud
def test_every_gcloud_command_runs_here_as_it_stands(tmp_path):
    elsewhere = [command for command in ELSEWHERE if not needs_gcp(command)]
    with mock.patch.dict(os.environ):  # the services name themselves there
        found = dict(tutorial.answers(HERE + elsewhere, tmp_path))
    assert list(found) == HERE + elsewhere
    (started,) = [answer for command, answer in found.items() if "workflow-templates instantiate" in command]
    assert re.search(r"Job ID convert-\w+ COMPLETED", started) and re.search(r"Job ID train-\w+ COMPLETED", started)
    (models,) = [answer for command, answer in found.items() if command.endswith("ls gs://ml_output/output/")]
    assert re.search(r"^gs://ml_output/output/doc-classification-model-\d{4}-\d\d-\d\d/$", models, re.M)


@pytest.mark.gcloud
def test_every_command_of_vertex_s_page_runs_here_as_it_stands(tmp_path):
    with mock.patch.dict(os.environ):
        found = dict(tutorial.answers(VERTEX_HERE, tmp_path))
    assert list(found) == VERTEX_HERE
    (raw,) = [answer for command, answer in found.items() if "raw-predict" in command]
    answer = json.loads(raw.splitlines()[-1])
    assert answer["predictions"][0]["label"] in ("true", "false")
    assert answer["model"]["name"] == "wine-model-2026-02-02"  # the newest one that was promoted
    (listed,) = [answer for command, answer in found.items() if "gcp.vertex list" in command]
    assert re.search(r"^wine-model@1  wine-model-2026-02-02/\S+  champion, default  deployed, 90 % of", listed, re.M)
    assert re.search(r"^wine-model@2  wine-model-2026-01-05/\S+  challenger  deployed, 10 % of", listed, re.M)


def test_a_command_that_fails_ends_the_tutorial_with_its_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tutorial, "commands", lambda readme: (["echo it went wrong >&2; exit 3"], []))
    monkeypatch.setattr(tutorial.Services, "start_emulators", lambda services: None)
    assert tutorial.main(["by_hand", f"--output={tmp_path / 'kept.md'}"]) == 1
    assert "ended with status 3: it went wrong" in capsys.readouterr().err
    assert not (tmp_path / "kept.md").exists()
