"""A game day: one failure after another on the local cloud under a light load. Each ends in sums that add up.

A sum adds up when every message that was ever published on this day is landed or a dead letter, and is classified or a
dead letter of classification. The tests share the day, so they run in the order in which they stand here, and each
leaves it whole. A further failure is a further function.
"""

import datetime
import json
import signal
import sys
import time

import pytest
import yaml

from local import emulators, guard
from local.services import OUTPUT_BUCKET, PROJECT, REGION, RESULT_TOPIC, ROOT, SUBSCRIPTION, TEMPLATE, TOPIC
from tests.local.game_day import EVERYTHING, LANDING, Day, day_on, recreate
from tests.models.written_models import MIDDLE, NEW, OLD, write_model
from tests.waiting import wait_until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    with day_on(tmp_path_factory.mktemp("game-day")) as day:
        yield day


def model_that_serves(day: Day) -> str:
    """The name of the model that classified the last document."""
    return [line["model"] for line in day.log("classify") if line.get("message") == "classified"][-1]


def wait_for_model(day: Day, name: str) -> None:
    wait_until(lambda: model_that_serves(day) == name, f"that {name} serves")


# -------------------------------------------------------------------------------------------------------- serving


def test_documents_wait_while_no_model_serves_and_few_lines_say_so(day, tmp_path):
    day.publish(200)
    wait_until(lambda: any(line.get("status") == 503 for line in day.log("classify")), "that a document is refused")
    day.publish(100, broken=True)
    write_model(tmp_path, OLD)
    day.upload_models(tmp_path)
    day.adds_up()
    assert len([line for line in day.log("classify") if line.get("status") == 503]) < 3
    (again,) = [line for line in day.log("classify") if line.get("missing") and "status" not in line]
    assert again["message"].startswith("a model is there again") and again["refused"] < 100


def test_the_function_is_killed_in_a_burst(day):
    day.publish(100)
    day.kill("classify")
    day.publish(100)
    day.classify()
    day.adds_up()


def test_the_function_hangs_in_a_burst(day):
    with day.hung("classify"):
        day.publish(100)
        time.sleep(2)  # some requests have been sent
    day.adds_up()


def test_the_topic_of_the_results_is_deleted_and_created_again(day):
    day.publisher.delete_topic(topic=RESULT_TOPIC)
    day.publish(50)
    wait_until(lambda: any(line.get("missing") == "RESULT_TOPIC" for line in day.log("classify")), "that it is noticed")
    day.services.stop("classify")  # what is published before there is a subscription is nobody's
    recreate(day, "topic-brigade-classified", "sub-brigade-classified")
    day.classify()
    day.adds_up()


def test_a_newer_model_is_damaged_and_the_one_before_it_serves(day, tmp_path):
    manifest = write_model(tmp_path, MIDDLE, seed=1)
    weights = tmp_path / MIDDLE / "runs" / manifest["runId"] / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    day.upload_models(tmp_path)
    day.publish(100)
    wait_until(lambda: any(MIDDLE in line["message"] for line in day.log("classify")), "that it is passed over")
    day.adds_up()
    assert model_that_serves(day) == OLD


def test_a_model_is_withdrawn_while_it_serves_and_the_one_before_it_takes_over(day, tmp_path):
    write_model(tmp_path, NEW, seed=2)
    day.upload_models(tmp_path)
    wait_for_model(day, NEW)
    command = ["-m", "brigade.models", "withdraw", f"gs://{OUTPUT_BUCKET}/output/", NEW, "--reason=wrong labels"]
    assert day.run(*command).returncode == 0
    day.publish(100)
    wait_for_model(day, OLD)
    day.adds_up()


# -------------------------------------------------------------------------------------------------------- landing


def test_landing_is_killed_in_a_burst_and_the_subscription_is_sought_back(day):
    moment, before = datetime.datetime.now(datetime.UTC), day.landed_lines()
    day.publish(400)
    wait_until(lambda: day.landed_lines() > before, "that landing has begun with them")
    day.kill(LANDING)
    day.publish(100)
    day.subscriber.seek(request={"subscription": SUBSCRIPTION, "time": moment})
    day.land()
    day.adds_up()


def test_two_landing_jobs_share_the_subscription(day):
    day.land("second-landing")
    day.publish(300)
    day.adds_up()
    day.goes_on.clear()
    with day.idle:  # with nothing under way it can be ended
        day.services.stop("second-landing")
    day.goes_on.set()
    day.adds_up()


def test_storage_dies_under_landing_and_comes_back(day):
    port = int(day.services.environment["STORAGE_EMULATOR_HOST"].rsplit(":", 1)[1])
    day.publish(100)
    day.kill("storage-emulator")
    day.publish(100)
    process = day.services.start("storage-emulator", emulators.storage_command(port, day.services.folder))
    emulators.wait_for_port(port, process)
    day.adds_up()


def test_storage_hangs_for_some_seconds(day):
    with day.hung("storage-emulator"):
        day.publish(100)
        time.sleep(3)  # landing closes a file meanwhile
    day.adds_up()


# -------------------------------------------------------------------------------------------------------- Pub/Sub


def test_pubsub_hangs_for_some_seconds(day):
    with day.hung("pubsub"):
        time.sleep(3)  # the load waits for its answer
    day.publish(100)
    day.adds_up()


def test_a_publisher_is_killed_and_runs_again(day):
    command = ["publisher.py", "--generate=200", "--seed=5", "--rate=50", "--copies=0", "--malformed=0"]
    environment = day.services.environment
    before = len(day.inboxes[EVERYTHING])
    first = guard.start([sys.executable, *command, f"--topic={TOPIC}"], env=environment, cwd=ROOT)

    def has_begun() -> bool:
        day.pull()
        messages = list(day.inboxes[EVERYTHING].values())[before:]
        return any(b'"event-' not in message.data for message in messages)

    wait_until(has_begun, "that it publishes")
    guard.stop(first)
    done = day.run(*command, f"--topic={TOPIC}")
    assert done.returncode == 0, done.stderr
    day.adds_up()
    good, _ = day.good_and_broken()
    assert len([event_id for event_id in good if not event_id.startswith("event-")]) == 200


def test_many_messages_are_broken(day):
    for _ in range(5):
        day.publish(20)
        day.publish(40, broken=True)
    day.adds_up()


# -------------------------------------------------------------------------------------------------- control plane


def test_the_control_plane_forgets_its_template_and_the_trigger_says_how_to_import_it(day):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import dataproc
    from google.protobuf import json_format

    assert day.services.processes["control-plane"].poll() is None
    missing = day.run("scheduler/main.py", "--dry_run")
    assert (missing.returncode, missing.stdout) == (1, "")
    (line,) = [line for line in missing.stderr.splitlines() if line.startswith("ERROR")]
    command = "gcloud dataproc workflow-templates import brigade-retrain --source=workflow_template.yaml"
    assert line == (
        f"ERROR scheduler: {TEMPLATE} does not exist; import it with: {command} --region={REGION} --project={PROJECT}"
    )
    client = dataproc.WorkflowTemplateServiceClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": day.services.environment["DATAPROC_API_ENDPOINT"]},
    )
    template = dataproc.WorkflowTemplate()
    content = yaml.safe_load((ROOT / "workflow_template.yaml").read_text("utf-8")) | {"id": "brigade-retrain"}
    json_format.ParseDict(content, template._pb)
    client.create_workflow_template(parent=f"projects/{PROJECT}/regions/{REGION}", template=template)
    found = day.run("scheduler/main.py", "--dry_run")
    assert (found.returncode, json.loads(found.stdout)["decision"]) == (0, "start"), found.stderr
    day.signal("control-plane", signal.SIGSTOP)  # neither landing nor serving needs it
    day.publish(50)
    day.adds_up()
    day.signal("control-plane", signal.SIGCONT)
