"""The official Pub/Sub emulator and the storage emulator: how they are started, and how one knows that they are up."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path


class Missing(Exception):
    """Something that the machine has to have is not there; the message names the command that installs it."""


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    """Returns when something listens on the port. Raises RuntimeError if the process ends or the time runs out."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with status {process.returncode} before it listened on {port}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args} did not listen on {port} within {seconds:g} s")


def pubsub_jar() -> Path:
    """The emulator's jar in the Google Cloud CLI. Raises Missing."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise Missing("the Google Cloud CLI is not installed; `make setup` says how to install it")
    # Asking gcloud itself takes a second; its own folder is two above the program, wherever links lead.
    root = Path(gcloud).resolve().parent.parent
    if not (root / "platform").is_dir():
        asked = subprocess.run(
            [gcloud, "info", "--format=value(installation.sdk_root)"],
            capture_output=True,
            text=True,
            check=True,
        )
        root = Path(asked.stdout.strip())
    jars = sorted((root / "platform" / "pubsub-emulator" / "lib").glob("cloud-pubsub-emulator-*-all.jar"))
    if not jars:
        raise Missing("the Pub/Sub emulator is not installed; `make setup` says how to install it")
    return jars[-1]


def pubsub_command(port: int) -> list[str]:
    """Starts the emulator on the port. Messages live in its memory. Raises Missing."""
    if shutil.which("java") is None:
        raise Missing("Java is not installed; `make setup` says how to install it")
    return ["java", "-jar", str(pubsub_jar()), "--host=127.0.0.1", f"--port={port}"]


def storage_command(port: int, folder: Path) -> list[str]:
    """Starts the storage emulator on the port; its buckets lie in `folder/.cloudstorage`."""
    return [sys.executable, "-m", "local.storage_emulator", f"--port={port}", f"--data_dir={folder}"]


def subscriber_client():
    """A client of the emulator named by PUBSUB_EMULATOR_HOST that takes answers of any size, as the service's does.

    Left to itself, google-cloud-pubsub opens the emulator's channel with gRPC's default of 4 MiB an answer.
    """
    import grpc
    from google.cloud import pubsub
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    options = [("grpc.max_receive_message_length", -1)]
    channel = grpc.insecure_channel(os.environ["PUBSUB_EMULATOR_HOST"], options=options)
    return pubsub.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


def pull(subscriber, subscription: str) -> list:
    """The messages that the subscription has at this moment, acknowledged; none when there are none."""
    from google.api_core.exceptions import DeadlineExceeded

    request = {"subscription": subscription, "max_messages": 1000, "return_immediately": True}
    try:
        pulled = subscriber.pull(request=request, timeout=5).received_messages
    except DeadlineExceeded:
        return []
    if pulled:
        subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id for received in pulled])
    return [received.message for received in pulled]
