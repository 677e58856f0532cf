"""gcp-demo against the local cloud: publishing, landing, training, classifying, with the real gcloud and Terraform."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from unittest import mock

import pytest
import yaml

from gcp import commands, demo
from local.services import (
    INPUT_BUCKET,
    OUTPUT_BUCKET,
    PROJECT,
    REGION,
    RESULT_TOPIC,
    ROOT,
    SUBSCRIPTION,
    TOPIC,
    Services,
)

pytestmark = [pytest.mark.gcloud, pytest.mark.terraform]

CLASSIFIED = f"projects/{PROJECT}/subscriptions/sub-brigade-classified"
OUTPUTS = {
    "project_id": PROJECT,
    "region": REGION,
    "topic": TOPIC,
    "classified_subscription": "sub-brigade-classified",
    "input_bucket": INPUT_BUCKET,
    "output_bucket": OUTPUT_BUCKET,
    "scheduler_job": "brigade-retrain",
}


@pytest.fixture
def gcloud_and_terraform():
    for name in ("gcloud", "terraform"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")


@pytest.fixture
def services(gcloud_and_terraform, tmp_path, monkeypatch):
    """What gcp-up and gcp-landing leave, on this machine; Terraform's state has nothing but the outputs."""
    for name in [name for name in os.environ if name.startswith("TF_")]:
        monkeypatch.delenv(name)
    own = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "own.json").write_text(json.dumps(own))
    folder = tmp_path / "terraform"
    folder.mkdir()
    outputs = (f"output {json.dumps(name)} {{ value = {json.dumps(value)} }}\n" for name, value in OUTPUTS.items())
    (folder / "outputs.tf").write_text("".join(outputs))
    monkeypatch.setattr(commands, "TERRAFORM", folder)
    monkeypatch.setattr(commands, "shown_lines", set())
    monkeypatch.setattr(demo, "POLL_SECONDS", 0.5)
    monkeypatch.setattr(demo, "TEACHING", 300)
    monkeypatch.setattr(demo, "UNSEEN", 12)
    monkeypatch.setattr(demo, "DOCUMENTS", tmp_path / "documents.jsonl")
    with mock.patch.dict(os.environ), Services(tmp_path / "cloud") as services:
        services.start_emulators()
        services.create_resources()
        more = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "own.json"), "CHECKPOINT_DISABLE": "1"}
        more["CLOUDSDK_CONFIG"] = str(tmp_path / "gcloud")
        os.environ.update(more)
        terraform = commands.Terraform(PROJECT)
        terraform.prepare()
        terraform.run("apply", "-auto-approve", "-input=false")
        yield services


def gcloud(*words: str) -> None:
    subprocess.run(["gcloud", *words], check=True, capture_output=True, cwd=ROOT)


def what_trains(services) -> None:
    """The workflow template and Cloud Scheduler's job that calls the private trigger."""
    template = services.folder / "template.yaml"
    template.write_text(yaml.safe_dump(yaml.safe_load((ROOT / "workflow_template.yaml").read_text())))
    gcloud("dataproc", "workflow-templates", "import", "brigade-retrain", f"--source={template}", f"--region={REGION}")
    url = f"http://127.0.0.1:{services.start_function('trigger')}/"
    schedule = ["--schedule=0 2 * * 1", "--time-zone=Etc/UTC", f"--uri={url}", "--http-method=POST"]
    gcloud("scheduler", "jobs", "create", "http", "brigade-retrain", f"--location={REGION}", *schedule)


def what_lands(services) -> None:
    flags = [f"--project={PROJECT}", f"--region={REGION}", "--runner=DirectRunner", "--window_size=0.1"]
    flags += [f"--input_subscription={SUBSCRIPTION}", f"--output_path=gs://{INPUT_BUCKET}/input", "--num_shards=1"]
    services.start("pubsub_gcs", [sys.executable, "pubsub_gcs.py", *flags])


def run(capfd, *flags: str) -> tuple[int, dict, str]:
    status = demo.main([f"--project={PROJECT}", "--json", *flags])
    told = capfd.readouterr()
    return status, json.loads(told.out or "{}"), told.err


def pulled(count: int) -> list[dict]:
    """The classified events that the subscription has, when there are so many."""
    from local import emulators

    with emulators.subscriber_client() as subscriber:
        found, end = {}, time.monotonic() + 120
        while len(found) < count and time.monotonic() < end:
            for message in emulators.pull(subscriber, CLASSIFIED):
                event = json.loads(message.data)
                found[event["eventId"]] = event
            time.sleep(0.2)
    return list(found.values())


def test_the_first_run_trains_and_every_document_comes_back_or_is_told_missing(services, capfd):
    from google.cloud import pubsub

    what_trains(services)
    what_lands(services)
    # No function hears of the documents yet.
    status, summary, told = run(capfd, "--seconds=3")
    assert (status, summary["trained"], summary["missing"], summary["ok"]) == (1, True, 12, False), told
    assert f"$ gcloud scheduler jobs run brigade-retrain --project={PROJECT} --location={REGION}" in told
    assert re.search(r"train-\w+: done after", told) and re.search(r"model-[\d-]+ serves, accuracy", told)
    assert "12 published = 0 classified + 12 missing" in told
    assert f"gcloud functions logs read classify --gen2 --project={PROJECT} --region={REGION}" in told

    # Now a model serves, so nothing is trained; and a message of somebody else's stays for him.
    services.push_to(services.start_function("classify"))
    with pubsub.PublisherClient() as publisher:
        publisher.publish(RESULT_TOPIC, b'{"eventId": "mine"}', eventId="mine").result()
    status, summary, told = run(capfd)
    assert (status, summary["trained"], summary["classified"], summary["others"]) == (0, False, 12, 1), told
    assert "scheduler jobs run" not in told and "1 classified documents of others were seen and left" in told
    rows = re.findall(r"^[0-9A-F-]{36}  (\S.*?)  +(\S.*?)  +(0\.\d+|1\.0000)  +(\d+)$", told, re.M)
    assert len(rows) == 12 and sum(label == found for label, found, _, _ in rows) == summary["agreed"] > 6
    assert "12 published = 12 classified + 0 missing" in told
    assert [event["eventId"] for event in pulled(1)] == ["mine"]
    with pubsub.SubscriberClient() as subscriber:
        names = [one.name.rsplit("/", 1)[1] for one in subscriber.list_subscriptions(project=f"projects/{PROJECT}")]
    assert not [name for name in names if name.startswith("demo-")]


def test_documents_that_nobody_lands_are_told(services, capfd, monkeypatch):
    monkeypatch.setattr(demo, "LAND_SECONDS", 3)
    monkeypatch.setattr(demo, "TEACHING", 20)
    status, summary, told = run(capfd)
    assert (status, summary) == (1, {})
    assert f"does landing run? make gcp-landing PROJECT={PROJECT} (0 of 20 messages landed)" in told


def test_a_trigger_that_starts_nothing_is_told(services, capfd, monkeypatch):
    from google.cloud import storage

    monkeypatch.setattr(demo, "STARTED_SECONDS", 5)
    monkeypatch.setattr(demo, "TEACHING", 20)
    # The four weeks have a model, which is damaged: the trigger starts no training, and nothing serves.
    today = datetime.now(UTC).date()
    manifest = f"output/doc-classification-model-{today}/manifest.json"
    storage.Client(project=PROJECT).bucket(OUTPUT_BUCKET).blob(manifest).upload_from_string("{}")
    what_trains(services)
    what_lands(services)
    status, _, told = run(capfd)
    assert status == 1
    assert "found no job; the trigger starts none while the four weeks have a model already" in told
