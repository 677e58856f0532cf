"""The loop on the local cloud, by the real programs, functions and clients: a model decays and is trained anew ahead of
time; a bad model is withdrawn, and the one before serves again.

The clock is turned by the dates: what was learned lies weeks back, and what lands since then is new.
"""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from google.cloud import dataproc, storage
from google.protobuf import json_format

from brigade.models.history import EARLY, LOOP, read_history
from brigade.storage import folder_at
from local.demo import dataproc_clients
from local.services import INPUT_BUCKET, OUTPUT_BUCKET, PROJECT, REGION, ROOT, TEMPLATE, Services, wait_until_ready
from local.standing_job import run_job
from tests.training.made_up_documents import texts
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

TODAY = datetime.now(UTC).date()
INPUT, PARQUET, MODELS = f"gs://{INPUT_BUCKET}/input/", f"gs://{INPUT_BUCKET}/parquet/", f"gs://{OUTPUT_BUCKET}/output/"
QUICK = ["--alpha=1e-4", "--ngrams=1", "--hash_bits=12"]
SWAPPED = {"oil": "ship", "ship": "oil"}
PREFIX = "doc-classification-model"


def ago(days: int) -> date:
    return TODAY - timedelta(days)


def monday_before(day: date) -> date:
    return day - timedelta(day.weekday())


class Cloud:
    """The running services, the predict function, and what is done with them."""

    def __init__(self, services: Services):
        self.services, self.client = services, storage.Client(project=PROJECT)
        self.predict = self.trigger = ""

    def land(self, name: str, folder: str, days: list[date], count: int, seed: int, labels: dict[str, str]) -> None:
        """Puts labelled documents where landing would, as many on each of the days. labels: what they are called
        instead."""
        lines = []
        for number, (text, label) in enumerate(texts(count, seed)):
            at = f"{days[number * len(days) // count]}T09:{number % 60:02}:00Z"
            metadata = {"superTag01": labels.get(label, label)}
            event = {"eventId": f"{name}-{number}", "eventTimestamp": at, "eventSource": "doc.contract"}
            event |= {"doc": {"docId": f"{number}", "payload": text, "metadata": metadata}}
            lines.append(json.dumps(event | {"pubsub": {"messageId": f"{name}{number}", "publishTime": at}}))
        self.client.bucket(INPUT_BUCKET).blob(f"{folder}/{name}.jsonl").upload_from_string("\n".join([*lines, ""]))

    def train(self, day: date, *flags: str, source: str = "input") -> str:
        """Converts and trains; the name of the model."""
        parquet = PARQUET if source == "input" else f"gs://{INPUT_BUCKET}/{source}_parquet/"
        arguments = [f"gs://{INPUT_BUCKET}/{source}/", MODELS, f"--date={day}", f"--parquet_path={parquet}", *QUICK]
        return ended(run_job("train_ml_model.py", [*arguments, *flags]))["model"]

    def look(self) -> dict:
        """MONITOR's findings on what has landed since the last look."""
        done = ended(run_job("monitor.py", [INPUT, f"--models={MODELS}", f"--output=gs://{OUTPUT_BUCKET}/"]))
        place = done["path"].removeprefix(f"gs://{OUTPUT_BUCKET}/")
        return json.loads(self.client.bucket(OUTPUT_BUCKET).blob(f"{place}/findings.json").download_as_bytes())

    def call(self) -> dict:
        """What the trigger answers to Cloud Scheduler's weekly call."""
        with urllib.request.urlopen(urllib.request.Request(self.trigger, method="POST"), timeout=60) as answer:
            return json.load(answer)

    def serving(self) -> str:
        return wait_until_ready(f"{self.predict}/model")["name"]


def ended(done: dict) -> dict:
    assert "output" not in done, "\n".join(done["output"][-20:])
    return done


@pytest.fixture
def cloud(tmp_path, monkeypatch) -> Iterator[Cloud]:
    """The local cloud, with the retraining template and no model."""
    for name in ("GOOGLE_CLOUD_PROJECT", "PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "DATAPROC_API_ENDPOINT"):
        monkeypatch.setenv(name, "")  # what the services set is taken back
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with Services(tmp_path / "cloud") as services:
        services.start_emulators()
        services.create_resources()
        templates, _ = dataproc_clients(services)
        message = dataproc.WorkflowTemplate()
        template = yaml.safe_load(Path(ROOT / "workflow_template.yaml").read_text("utf-8"))
        json_format.ParseDict(template | {"id": TEMPLATE.rsplit("/", 1)[1]}, message._pb)
        templates.create_workflow_template(parent=f"projects/{PROJECT}/regions/{REGION}", template=message)
        yield Cloud(services)


def watched(cloud: Cloud, model: str, **modes: str) -> None:
    """Starts the functions: predict, which serves the model, and the trigger, which may do what the modes say."""
    cloud.predict = f"http://127.0.0.1:{cloud.services.start_function('predict', MODEL_REFRESH_SECONDS='1')}"
    assert cloud.serving() == model
    anchor = f"{monday_before(ago(14))}"  # the period has its regular model
    findings = f"gs://{OUTPUT_BUCKET}/monitor/"
    port = cloud.services.start_function("trigger", SCHEDULE_ANCHOR=anchor, FINDINGS_URI=findings, **modes)
    cloud.trigger = f"http://127.0.0.1:{port}/"


def test_a_model_that_decays_is_trained_ahead_of_time_and_the_alarm_clears(cloud):
    cloud.land("old", "input", [ago(40 - day) for day in range(29)], 240, 1, {})
    first = cloud.train(ago(10))
    watched(cloud, first, EARLY_TRAINING="on", WITHDRAWAL="dry")
    assert cloud.call()["decision"] == "skip"  # nothing is known of what landed since
    cloud.land("new", "input", [ago(9 - day) for day in range(9)], 900, 2, SWAPPED)
    found = cloud.look()
    assert (found["verdict"], found["events"], found["labelled"]) == ("decay", 900, 900)
    assert found["performance"]["isWorse"] and found["performance"]["now"]["value"] < 0.6
    assert found["validation"]["stops"] is False
    answer = cloud.call()
    assert (answer["decision"], answer["acted"]) == ("start", EARLY) and answer["operation"], answer
    second = f"{PREFIX}-{TODAY}"
    wait_until(lambda: cloud.serving() == second, "that the new model serves")
    assert not cloud.call()["acted"]  # a training on the same day
    cloud.land("newest", "input", [TODAY], 300, 3, SWAPPED)
    after = cloud.look()
    assert (after["model"]["name"], after["verdict"]) == (second, "ok")
    assert after["performance"]["now"]["value"] > 0.9 and not after["performance"]["isWorse"]
    entries = [(one["what"], one["by"]) for one in read_history(folder_at(MODELS), PREFIX)]
    assert (EARLY, LOOP) in entries and entries.count(("promoted", "training")) == 2


def test_a_bad_model_is_withdrawn_and_the_one_before_serves(cloud):
    cloud.land("old", "input", [ago(40 - day) for day in range(25)], 240, 1, {})
    good = cloud.train(ago(14))
    cloud.land("bad", "bad", [ago(30 - day) for day in range(21)], 240, 4, SWAPPED)
    bad = cloud.train(ago(8), "--force=these labels are right", source="bad")
    watched(cloud, bad, EARLY_TRAINING="off", WITHDRAWAL="on")
    cloud.land("new", "input", [ago(7 - day) for day in range(7)], 300, 2, {})
    found = cloud.look()
    assert found["model"]["name"] == bad and found["verdict"] == "decay"
    assert found["former"]["name"] == good and found["former"]["isBetter"] and found["former"]["passes"]
    answer = cloud.call()
    assert (answer["decision"], answer["acted"]) == ("skip", "withdrawn"), answer
    wait_until(lambda: cloud.serving() == good, "that the former model serves")
    again = cloud.call()
    assert not again["acted"] and cloud.serving() == good
    (entry,) = [one for one in read_history(folder_at(MODELS), PREFIX) if one["what"] == "withdrawn"]
    assert (entry["model"], entry["by"]) == (bad, LOOP) and "formerBetter" in json.dumps(entry)
