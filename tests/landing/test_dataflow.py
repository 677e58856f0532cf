"""The job as Dataflow gets it: built offline, its steps at work where this project and its tools are not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.events.examples import event
from tests.landing.landed import objects

BUILD = """
import sys
import apache_beam as beam
from apache_beam.internal.gcp import auth
auth._Credentials._credentials_init = True  # there are none; do not look for them for half a minute
from apache_beam.io import ReadFromPubSub
from apache_beam.runners.dataflow.internal import apiclient

from brigade import storage
from brigade.landing import run
from brigade.landing.arguments import parse_arguments
from brigade.landing.pipeline import build

arguments, options = parse_arguments(["--project=brigade-p", "--region=us-central1", "--runner=DataflowRunner",
    "--no_auth", "--temp_location=gs://ml_input/temp", f"--output_path={sys.argv[3]}/input",
    "--input_subscription=projects/brigade-p/subscriptions/sub-brigade"])
pipeline = beam.Pipeline(options=options)
build(pipeline, ReadFromPubSub(subscription=arguments.input_subscription, with_attributes=True),
    output_path=arguments.output_path, dead_letter_path=arguments.dead_letter_path, max_seconds=120,
    max_lines=1000, max_bytes=1 << 26)
storage.client()  # as the check of the buckets leaves it
run.send_code_along()
proto, _ = pipeline.to_runner_api(return_context=True)
open(sys.argv[1], "w").write(str(apiclient.Job(options, proto).proto))
open(sys.argv[2], "wb").write(proto.SerializeToString())
"""

# On a worker: Beam and what it brings, and nothing of this project or of what other stages need.
WORK = """
import json, sys
from datetime import UTC, datetime

ABSENT = {"brigade", "pubsub_gcs", "local", "pyspark", "mmh3", "flask", "sklearn", "safetensors"}


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"{name} is not on a worker", name=name)


sys.meta_path.insert(0, Absent())
from apache_beam.internal import pickler
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics.execution import MetricsContainer
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory

proto = beam_runner_api_pb2.Pipeline.FromString(open(sys.argv[1], "rb").read())
steps = {}
for transform in proto.components.transforms.values():
    if transform.spec.urn == "beam:transform:pardo:v1":
        payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
        step = pickler.loads(payload.do_fn.payload)[0]
        steps[type(step).__name__] = step

container = MetricsContainer("landing")
sampler = statesampler.StateSampler("landing", CounterFactory())
statesampler.set_current_tracker(sampler)
paths = []
with sampler.scoped_state("landing", "process", metrics_container=container):
    steps["Route"].start_bundle()
    steps["JoinLines"].start_bundle()
    for number, data in enumerate([sys.argv[2].encode(), b"no event"]):
        message = PubsubMessage(data, {}, str(number), datetime(2026, 11, 1, 23, 59, tzinfo=UTC))
        for routed in steps["Route"].process(message):
            list(steps["JoinLines"].process(routed))
    steps["Route"].finish_bundle()
    for chunk in steps["JoinLines"].finish_bundle():
        for staged in steps["StageFile"].process((chunk.value[0], [chunk.value[1]])):
            paths += steps["NameFile"].process(staged)
assert not ABSENT & set(sys.modules)
counted = {key.metric.name: value for key, value in container.get_cumulative().counters.items()}
print(json.dumps({"steps": sorted(steps), "paths": paths, "counted": counted}))
"""


@pytest.mark.long
def test_the_dataflow_job_is_built_offline_and_its_workers_need_nothing_of_this_folder(tmp_path, bucket):
    """Builds the job's graph for Dataflow in a fresh process, then lets its steps work where this project is not."""
    (tmp_path / "build_job.py").write_text(BUILD)
    (tmp_path / "work.py").write_text(WORK)
    job, graph = tmp_path / "job", tmp_path / "graph"
    run(tmp_path, "build_job.py", job, graph, f"gs://{bucket.name}", PYTHONPATH=str(ROOT))
    assert "JOB_TYPE_STREAMING" in job.read_text()
    worker = json.loads(run(tmp_path, "work.py", graph, event(1)).splitlines()[-1])
    assert {"Route", "JoinLines", "Batch", "StageFile", "NameFile"} <= set(worker["steps"])
    assert [line["eventId"] for line in objects(bucket, "input")] == ["event-1"]
    assert [line["reason"] for line in objects(bucket, "dead_letter")] == ["malformed_json"]
    assert len(worker["paths"]) == 2
    one_each = ("dead_lettered", "dead_lettered_malformed_json", "files_dead_lettered", "files_landed", "landed")
    assert {"received": 2, **dict.fromkeys(one_each, 1)}.items() <= worker["counted"].items()


def run(folder: Path, *command: object, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
