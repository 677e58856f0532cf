"""Checks, before the first message is taken, that the job can read its source and write its folders.

A message that is taken from Pub/Sub and cannot be written is at risk, so a job that cannot work does not start.
"""

import logging
import os
import uuid

from google.api_core import exceptions

from brigade.errors import CannotGoOn, one_line
from brigade.storage import client

log = logging.getLogger(__name__)

NEEDED = ["storage.objects.create", "storage.objects.get", "storage.objects.delete"]


def check_surroundings(source: str, *folders: str) -> None:
    """Raises CannotGoOn unless the topic or subscription exists and the folders can be written to."""
    check_source(source)
    for folder in folders:
        try:
            check_writable(folder)
        except CannotGoOn:
            raise
        except Exception as error:
            raise CannotGoOn(f"{folder} cannot be written to: {one_line(error)}") from error


def check_source(source: str) -> None:
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

    kind = source.split("/")[2]
    try:
        if kind == "subscriptions":
            with SubscriberClient() as subscriber:
                subscriber.get_subscription(subscription=source, timeout=30)
        else:
            with PublisherClient() as publisher:
                publisher.get_topic(topic=source, timeout=30)
    except exceptions.NotFound:
        raise CannotGoOn(f"{source} does not exist; create it with: gcloud pubsub {kind} create …") from None
    except exceptions.PermissionDenied:  # the permission to read a source does not include the one to look at it
        log.warning("cannot see whether %s exists", source)
    except Exception as error:  # credentials, connection: whatever it is, no message has been taken
        raise CannotGoOn(f"Pub/Sub cannot be reached: {one_line(error)}") from error


def check_writable(folder: str) -> None:
    if not folder.startswith("gs://"):
        os.makedirs(folder, exist_ok=True)
        trial = os.path.join(folder, f".{uuid.uuid4().hex}")
        with open(trial, "xb"):
            os.remove(trial)
        return
    bucket = folder.removeprefix("gs://").split("/", 1)[0]
    try:
        granted = client().bucket(bucket).test_iam_permissions(NEEDED)
    except exceptions.NotFound:
        hint = f"gcloud storage buckets create gs://{bucket}"
        raise CannotGoOn(f"gs://{bucket} does not exist; create it with: {hint}") from None
    if set(NEEDED) - set(granted):
        raise CannotGoOn(f"gs://{bucket} cannot be written to: this account lacks {' and '.join(NEEDED)} there")
