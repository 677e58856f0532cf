"""Predicts what has landed in the local cloud's buckets, as a job of its Dataproc stand-in: what `make predict` does.

    python -m local.predict                               documents, by the model that serves
    python -m local.predict --pipeline=wine --missing     any flag of predict.py but for its paths

The job reads gs://ml_input/input/ and gs://ml_output/output/, and writes gs://ml_output/predictions/. Its summary is
printed on standard output, the program's own words on standard error.
"""

import json
import os
import sys
import time

from local.dataproc import STANDING_CLUSTER
from local.demo_progress import driver_output
from local.services import CODE_BUCKET, INPUT_BUCKET, OUTPUT_BUCKET, PROJECT, REGION, ROOT, running
from local.spark_jobs import last_words

PATHS = [f"gs://{INPUT_BUCKET}/input/", f"gs://{OUTPUT_BUCKET}/predictions/", f"--models=gs://{OUTPUT_BUCKET}/output/"]


def predict(flags: list[str]) -> dict:
    """Submits the job and waits for its end; returns its summary, or {"output": what it said}."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import dataproc, storage

    options = {"api_endpoint": os.environ["DATAPROC_API_ENDPOINT"]}
    jobs = dataproc.JobControllerClient(transport="rest", credentials=AnonymousCredentials(), client_options=options)
    program = {
        "main_python_file_uri": f"gs://{CODE_BUCKET}/predict.py",
        "python_file_uris": [f"gs://{CODE_BUCKET}/brigade.zip"],
        "args": [*PATHS, *flags],
    }
    job = {"placement": {"cluster_name": STANDING_CLUSTER}, "pyspark_job": program}
    job = jobs.submit_job(project_id=PROJECT, region=REGION, job=job)
    while not job.done:
        time.sleep(0.5)
        job = jobs.get_job(project_id=PROJECT, region=REGION, job_id=job.reference.job_id)
    client = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
    return driver_output(client, job.driver_output_resource_uri)


def main(argv: list[str] | None = None) -> int:
    state = running(ROOT / ".local" / "up")
    if state is None or "exports" not in state:
        print("predict: expected the local cloud to run, found that it does not; `make up` starts it", file=sys.stderr)
        return 1
    os.environ.update(state["exports"])
    found = predict(sys.argv[1:] if argv is None else argv)
    if "output" in found:
        print(last_words("\n".join(found["output"])), file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
