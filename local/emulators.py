"""The Pub/Sub server, the official emulator in its place, and the storage emulator: how they are started, and how one
knows that they are up."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from local import guard

ROOT = Path(__file__).parent.parent


class Missing(Exception):
    """Something that the machine has to have is not there; the message names the command that installs it."""


def free_port() -> int:
    """A loopback port that the kernel gives to nobody else for a minute.

    A connection that was opened and closed keeps it in TIME_WAIT, in which only a server that asks for this very port
    gets it.
    """
    with socket.socket() as server, socket.socket() as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first waits
        client.recv(1)
        return server.getsockname()[1]


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


class PubSub(NamedTuple):
    """A running Pub/Sub server."""

    process: subprocess.Popen
    port: int  # gRPC, for PUBSUB_EMULATOR_HOST
    http_port: int  # JSON, for gcloud


def start_pubsub(log: Path) -> PubSub:
    """Starts the embedded Pub/Sub server under a guard, or the official emulator where PUBSUB=official asks for it.
    Messages live in its memory. Raises Missing, and RuntimeError if it does not start."""
    if os.environ.get("PUBSUB", "embedded") == "official":
        port = free_port()
        command = ["java", "-jar", str(official_pubsub_jar()), "--host=127.0.0.1", f"--port={port}"]
        with open(log, "ab") as output:
            process = guard.start(command, stdout=output, stderr=subprocess.STDOUT)
        wait_for_port(port, process)
        return PubSub(process, port, port)
    command = [sys.executable, "-m", "local.pubsub", "--port=0", "--http_port=0"]
    environment = os.environ | {"MALLOC_ARENA_MAX": "1"}  # one heap for all threads: a tenth less memory
    with open(log, "ab") as errors:
        process = guard.start(command, env=environment, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT)
    with process.stdout as lines:
        ready = lines.readline()
    if not ready:
        raise RuntimeError(f"the Pub/Sub server ended with status {process.wait()}; see {log}")
    ports = json.loads(ready)
    return PubSub(process, ports["port"], ports["http_port"])


def official_pubsub_jar() -> Path:
    """The official emulator's jar in the Google Cloud CLI. Raises Missing."""
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        raise Missing("the official Pub/Sub emulator needs Java and the Google Cloud CLI: https://cloud.google.com/sdk")
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
        raise Missing(
            "the official Pub/Sub emulator is not installed: gcloud components install pubsub-emulator, or"
            " apt-get install google-cloud-cli-pubsub-emulator"
        )
    return jars[-1]


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
    request = {"subscription": subscription, "max_messages": 1000, "return_immediately": True}
    pulled = subscriber.pull(request=request, timeout=60).received_messages
    if pulled:
        subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id for received in pulled])
    return [received.message for received in pulled]
