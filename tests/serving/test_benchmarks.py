"""What the figures of serving rest on: the open-loop client, the search for the highest rate, the mutations."""

import json
import math
import random
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import mutations
from benchmarks.open_loop import agrees, percentile
from benchmarks.serving import highest_rate
from tests.conftest import ROOT

PREDICTION = {"label": "a", "confidence": 0.75, "scores": {"a": 0.75, "b": 0.25}}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (1, 100)])
def test_a_percentile_is_one_of_the_values(share, expected):
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_no_values_have_an_infinite_percentile():
    assert percentile([], 0.5) == math.inf


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (PREDICTION, True),
        (PREDICTION | {"explanation": []}, True),
        (PREDICTION | {"confidence": 0.750001}, True),
        (PREDICTION | {"confidence": 0.75001}, False),
        (PREDICTION | {"label": "b"}, False),
        (PREDICTION | {"scores": {"a": 0.75}}, False),
        ({"label": "a"}, False),
        (None, False),
    ],
)
def test_an_answer_agrees_when_it_holds_all_that_is_expected(found, right):
    assert agrees([found], [PREDICTION]) is right


def test_an_answer_too_many_does_not_agree():
    assert not agrees([PREDICTION, PREDICTION], [PREDICTION])


@given(st.floats(1, 5000))
def test_the_highest_rate_is_found_to_10_percent_from_above_and_below(limit):
    found = highest_rate(lambda rate: rate <= limit, 200)
    assert found <= limit <= 1.1 * found


def test_nothing_that_holds_is_a_highest_rate_of_0():
    assert highest_rate(lambda rate: False, 200) == 0


class Answers(BaseHTTPRequestHandler):
    """Answers as the text of the one instance says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        (instance,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
        text = instance["payload"]
        self.server.connections[self.client_address] += 1
        if text == "closed":
            self.close_connection = True
            return
        prediction = PREDICTION if text == "right" else PREDICTION | {"label": "b"}
        body = json.dumps({"predictions": [prediction], "model": {"runId": "old" if text == "old" else "run"}}).encode()
        self.send_response(500 if text == "failed" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Nothing on the terminal."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.connections = Counter()
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


def offered(tmp_path, server, texts: list[str]) -> dict:
    """What the client says of 20 requests, in their order."""
    plan = {"port": server.server_port, "rate": 100, "seconds": 0.2, "texts": texts}
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"expected": {"run": [PREDICTION] * len(texts)}}))
    command = [sys.executable, "-m", "benchmarks.open_loop", tmp_path / "plan.json"]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def test_the_client_keeps_connections_and_finds_right_answers_right(tmp_path, server):
    run = offered(tmp_path, server, ["right"])
    assert (run["requests"], run["errors"], run["runs"]) == (20, {}, {"run": 20})
    assert server.connections.total() == 20 > len(server.connections)


def test_the_client_counts_each_kind_of_failure(tmp_path, server):
    run = offered(tmp_path, server, ["right", "wrong", "failed", "old", "closed"])
    expected = {"wrong answer": 4, "status 500": 4, "unknown run": 4, "IncompleteReadError": 4}
    assert (run["errors"], run["runs"]) == (expected, {"run": 8, "old": 4})
    assert run["p50_ms"] is not None and run["max_ms"] is None  # no answer is slower than any


EVENTS = [{"eventId": str(number), "doc": {"docId": "1", "payload": "texto teste"}} for number in range(3)]


@pytest.mark.parametrize("target", mutations.KINDS)
def test_mutations_are_the_same_for_the_same_seed_and_seldom_valid_nor_alike(target):
    def made(seed: int) -> list[mutations.Request]:
        rng = random.Random(seed)
        return [mutations.KINDS[target](rng, EVENTS) for _ in range(200)]

    assert made(1) == made(1)
    assert len({request.body for request in made(1)}) > 150
    assert {request.method for request in made(1)} > {"POST"}
