"""Airflow's settings in the tests of the DAG, under the name that Airflow looks for in AIRFLOW_HOME/config.

The Google provider's hooks speak gRPC to the region's own address, and no connection changes that. The stand-in speaks
REST: here, and nowhere else, the client of workflow templates is led to it. Nothing waits between two attempts.
"""

import os
from datetime import timedelta

from google.cloud.dataproc_v1 import WorkflowTemplateServiceClient

connect = WorkflowTemplateServiceClient.__init__


def connect_to_the_stand_in(self, *, client_options=None, **options) -> None:
    endpoint = {"api_endpoint": os.environ["DATAPROC_API_ENDPOINT"]}
    connect(self, transport="rest", client_options=endpoint, **options)


WorkflowTemplateServiceClient.__init__ = connect_to_the_stand_in


def task_policy(task) -> None:
    task.retry_delay = timedelta(0)
    if task.task_id == "model":
        task.poke_interval, task.timeout = 0.1, 1
