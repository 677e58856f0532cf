"""The embedded Pub/Sub server next to the official emulator, in one run.

    python -m benchmarks.pubsub
    python -m benchmarks.pubsub --servers=embedded      where the Google Cloud CLI is not installed

Each is started, gets 10,000 messages of 1.5 kB by the client library, which are pulled and acknowledged, pushes 2,000
messages to an endpoint of this process, and at last holds 100,000 messages. Medians of several starts; a table for
people on standard error, one line of JSON on standard output. Exit status 1 when a target is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from google.cloud import pubsub

from local import emulators, guard

PROJECT = "projects/brigade-bench"
DATA = os.urandom(750).hex().encode()  # 1.5 kB
SECONDS = 300  # at most, for each of the works


class Server:
    """A running server and clients that speak with it."""

    def __init__(self, kind: str, log: Path):
        os.environ["PUBSUB"] = kind
        started = time.perf_counter()
        self.server = emulators.start_pubsub(log)
        with grpc.insecure_channel(f"127.0.0.1:{self.server.port}") as channel:
            answer = channel.unary_unary("/google.pubsub.v1.Publisher/ListTopics")
            answer(pubsub.types.ListTopicsRequest.serialize({"project": PROJECT}), wait_for_ready=True, timeout=60)
        self.start_seconds = time.perf_counter() - started  # until the first request is answered
        os.environ["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{self.server.port}"
        self.subscriber = emulators.subscriber_client()
        self.publisher = pubsub.PublisherClient(pubsub.types.BatchSettings(max_messages=500, max_bytes=5_000_000))

    def stop(self) -> None:
        self.publisher.stop()
        self.subscriber.close()
        guard.stop(self.server.process)

    def topic(self, name: str, **settings) -> tuple[str, str]:
        topic, subscription = f"{PROJECT}/topics/{name}", f"{PROJECT}/subscriptions/{name}"
        self.publisher.create_topic(name=topic)
        request = {"name": subscription, "topic": topic, "ack_deadline_seconds": 600, **settings}
        self.subscriber.create_subscription(request=request)
        return topic, subscription

    def publish(self, topic: str, count: int) -> float:
        """Seconds."""
        started = time.perf_counter()
        for future in [self.publisher.publish(topic, DATA, number=str(number)) for number in range(count)]:
            future.result(timeout=SECONDS)
        return time.perf_counter() - started

    def pull(self, subscription: str, count: int) -> float:
        """Seconds until all are acknowledged."""
        started, left = time.perf_counter(), count
        while left and time.perf_counter() < started + SECONDS:
            left -= len(emulators.pull(self.subscriber, subscription))
        if left:
            raise RuntimeError(f"{left} of {count} messages did not come")
        return time.perf_counter() - started

    def push(self, name: str, count: int) -> float:
        """Seconds from the first message's publication until the endpoint has all of them."""
        seen: set[bytes] = set()
        done = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                seen.add(json.loads(body)["message"]["messageId"])
                if len(seen) == count:
                    done.set()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=endpoint.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{endpoint.server_address[1]}/"
        topic, subscription = self.topic(name, push_config={"push_endpoint": url})
        started = time.perf_counter()
        self.publish(topic, count)
        if not done.wait(SECONDS):
            raise RuntimeError(f"{count - len(seen)} of {count} messages were not pushed")
        seconds = time.perf_counter() - started
        self.subscriber.delete_subscription(subscription=subscription)
        endpoint.shutdown()
        return seconds

    def resident_mib(self) -> float:
        children = subprocess.run(
            ["ps", "-A", "-o", "ppid=,rss="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        pairs = (line.split() for line in children)
        return sum(int(rss) for parent, rss in pairs if int(parent) == self.server.process.pid) / 1024


def measure(kind: str, arguments: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(kind, Path(folder, "server.log"))
        try:
            topic, subscription = server.topic("pulled")
            published = server.publish(topic, arguments.messages)
            pulled = server.pull(subscription, arguments.messages)
            pushed = server.push("pushed", arguments.pushes)
            topic, _ = server.topic("waiting")
            server.publish(topic, arguments.waiting)
            return {
                "start_seconds": server.start_seconds,
                "publish_seconds": published,
                "pull_seconds": pulled,
                "push_seconds": pushed,
                "resident_mib": server.resident_mib(),
            }
        finally:
            server.stop()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.pubsub", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--servers", default="embedded,official", help="default: embedded,official")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each server (default: 3)")
    parser.add_argument("--messages", type=int, default=10_000, help="published and pulled (default: 10000)")
    parser.add_argument("--pushes", type=int, default=2_000, help="messages pushed (default: 2000)")
    parser.add_argument("--waiting", type=int, default=100_000, help="messages held at the end (default: 100000)")
    arguments = parser.parse_args(argv)
    kinds = arguments.servers.split(",")
    runs: dict[str, list[dict]] = {kind: [] for kind in kinds}
    try:
        for number in range(arguments.rounds):
            for kind in kinds:
                runs[kind].append(measure(kind, arguments))
                print(f"round {number + 1}, {kind}: {runs[kind][-1]}", file=sys.stderr, flush=True)
    except emulators.Missing as missing:
        print(f"benchmarks.pubsub: {missing}", file=sys.stderr)
        return 1
    result = {
        kind: {name: round(statistics.median(run[name] for run in of_kind), 2) for name in of_kind[0]}
        for kind, of_kind in runs.items()
    }
    missed = []
    if {"embedded", "official"} <= result.keys():
        most = {"start_seconds": 1 / 3, "resident_mib": 1 / 2}  # and at least as fast
        for name, official in result["official"].items():
            if result["embedded"][name] > official * most.get(name, 1):
                missed.append(name)
    for name in next(iter(result.values())):
        print(f"  {name:<18}" + "".join(f"{kind} {result[kind][name]:<12}" for kind in kinds), file=sys.stderr)
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    print(json.dumps(result | {"targets_met": not missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
