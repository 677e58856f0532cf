"""Checks, before the first message is taken, that the job can read its source and write its folders.

A message that is taken from Pub/Sub and cannot be written is at risk, so a job that cannot work does not start.
"""

import logging
import os
import uuid

from google.api_core import exceptions

from brigade.errors import CannotGoOn, one_line
from brigade.landing.waiting import tells_when_it_waits
from brigade.landing.watch import check_subscription
from brigade.storage import client

log = logging.getLogger(__name__)

NEEDED = ["storage.objects.create", "storage.objects.get", "storage.objects.delete"]


def check_surroundings(source: str, *folders: str, without_topic: bool = False) -> None:
    """Raises CannotGoOn unless the topic or subscription can be read and the folders can be written to.

    without_topic: whether a subscription may have lost its topic.
    """
    with tells_when_it_waits(f"Pub/Sub, to see whether {source} exists"):
        check_source(source, without_topic)
    for folder in folders:
        try:
            with tells_when_it_waits(f"storage, to see whether {folder} can be written to"):
                check_writable(folder)
        except CannotGoOn:
            raise
        except Exception as error:
            raise CannotGoOn(f"{folder} cannot be written to: {one_line(error)}") from error


def check_source(source: str, without_topic: bool = False) -> None:
    from google.cloud.pubsub_v1 import PublisherClient

    try:
        if "/subscriptions/" in source:
            check_subscription(source, without_topic)
        else:
            with PublisherClient() as publisher:
                publisher.get_topic(topic=source, timeout=30)
    except CannotGoOn:
        raise
    except exceptions.NotFound:
        raise CannotGoOn(f"{source} does not exist; create it with: gcloud pubsub topics create …") from None
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
