"""Runs a program as a job of the local cloud's Dataproc, on its standing cluster, as gcloud would submit it."""

import os
import time

from local.dataproc import STANDING_CLUSTER
from local.demo_progress import driver_output
from local.services import CODE_BUCKET, PROJECT, REGION


def run_job(program: str, arguments: list[str]) -> dict:
    """Submits the job and waits for its end; returns its summary, or {"output": what it said}."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import dataproc, storage

    options = {"api_endpoint": os.environ["DATAPROC_API_ENDPOINT"]}
    jobs = dataproc.JobControllerClient(transport="rest", credentials=AnonymousCredentials(), client_options=options)
    code = {
        "main_python_file_uri": f"gs://{CODE_BUCKET}/{program}",
        "python_file_uris": [f"gs://{CODE_BUCKET}/brigade.zip"],
        "args": arguments,
    }
    job = {"placement": {"cluster_name": STANDING_CLUSTER}, "pyspark_job": code}
    job = jobs.submit_job(project_id=PROJECT, region=REGION, job=job)
    while not job.done:
        time.sleep(0.5)
        job = jobs.get_job(project_id=PROJECT, region=REGION, job_id=job.reference.job_id)
    client = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
    return driver_output(client, job.driver_output_resource_uri)
