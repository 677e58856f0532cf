"""Push delivery to an endpoint of the test's own: the embedded server and, with PUBSUB=official, the official
emulator."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2

from tests.local.pubsub_api import data, emulator_departs, wait_until


class Push(NamedTuple):
    time: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> bytes:
        return base64.b64decode(json.loads(self.body)["message"].get("data", ""))


class Endpoint:
    """Takes pushes and answers each with what `answer(push)` says: a status; None closes the connection."""

    def __init__(self):
        self.pushes: list[Push] = []
        self.answer = lambda push: 200
        self.lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                push = Push(time.monotonic(), self.path, headers, body)
                with endpoint.lock:
                    endpoint.pushes.append(push)
                status = endpoint.answer(push)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/push?token=t"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int, seconds: float = 30) -> list[Push]:
        wait_until(lambda: len(self.pushes) >= count, seconds)
        return self.pushes


@pytest.fixture
def endpoint():
    endpoint = Endpoint()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()


@pytest.fixture
def pushed(api, endpoint):
    """pushed(**settings): a topic that is pushed to the endpoint, and the subscription; none of them stays."""
    names = []

    def create(wrapper: dict | None = None, **settings) -> tuple[str, str]:
        topic = api.topic()
        config = {"push_endpoint": endpoint.url} | (wrapper or {})
        names.append(api.subscription(topic, push_config=config, **settings))
        return topic, names[-1]

    yield create
    for name in names:
        api.subscriber.delete_subscription(subscription=name)


def test_a_push_is_the_documented_envelope(api, endpoint, pushed):
    topic, subscription = pushed()
    (name,) = api.publish(topic, {"data": b"\x00text", "attributes": {"a": "b"}})
    (push,) = endpoint.wait(1)
    envelope = json.loads(push.body)
    message = envelope["message"]
    assert push.path == "/push?token=t" and push.headers["content-type"] == "application/json"
    assert (envelope["subscription"], push.data, message["attributes"]) == (subscription, b"\x00text", {"a": "b"})
    assert message["messageId"] == message["message_id"] == name
    assert message["publishTime"] == message["publish_time"] and message["publishTime"].endswith("Z")
    assert "deliveryAttempt" not in envelope and "orderingKey" not in message


def test_a_push_has_its_ordering_key(request, api, endpoint, pushed):
    emulator_departs(request, True, "leaves the ordering key out")
    topic, _ = pushed(enable_message_ordering=True)
    api.publish(topic, {"data": b"x", "ordering_key": "k"})
    assert json.loads(endpoint.wait(1)[0].body)["message"]["orderingKey"] == "k"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_status_of_success_acknowledges(request, api, endpoint, pushed, status):
    emulator_departs(request, status == 202, "pushes again after a 202")
    topic, subscription = pushed()
    endpoint.answer = lambda push: status
    api.publish(topic, b"x")
    assert len(endpoint.wait(2, seconds=2)) == 1


@pytest.mark.parametrize("status", [203, 301, 400, 404, 429, 500, 503])
def test_any_other_status_brings_the_message_again(request, api, endpoint, pushed, status):
    emulator_departs(request, status == 203, "takes it for an acknowledgement")
    topic, _ = pushed()
    endpoint.answer = lambda push: 200 if len(endpoint.pushes) > 2 else status
    api.publish(topic, b"x")
    assert len(endpoint.wait(3, seconds=10)) == 3


def test_every_message_is_pushed_once_when_all_goes_well(api, endpoint, pushed):
    topic, _ = pushed()
    texts = [b"%d" % number for number in range(300)]
    api.publish(topic, *texts)
    assert sorted(push.data for push in endpoint.wait(300)) == sorted(texts)
    assert len(endpoint.wait(301, seconds=0.5)) == 300


def test_an_endpoint_that_refuses_everything_is_asked_less_and_less_often(request, api, endpoint, pushed):
    emulator_departs(request, True, "asks as fast as it can")
    topic, _ = pushed()
    endpoint.answer = lambda push: 503
    api.publish(topic, *[b"%d" % number for number in range(20)])
    endpoint.wait(4)
    time.sleep(4)
    assert 4 <= len(endpoint.pushes) < 30  # a machine that is busy pushes less, not more
    endpoint.answer = lambda push: 200
    assert wait_until(lambda: len({push.data for push in endpoint.pushes[-20:]}) == 20, seconds=60)


def test_a_connection_that_the_endpoint_closes_as_a_push_leaves_is_no_refusal(api, endpoint, pushed):
    most = duration_pb2.Duration(seconds=600)
    topic, _ = pushed(retry_policy={"minimum_backoff": most, "maximum_backoff": most})
    endpoint.answer = lambda push: None if len(endpoint.pushes) == 2 else 200
    api.publish(topic, b"leaves a connection open")
    endpoint.wait(1)
    api.publish(topic, b"x")
    assert [push.data for push in endpoint.wait(3)] == [b"leaves a connection open", b"x", b"x"]


def test_an_endpoint_that_is_not_there_yet_gets_the_message_when_it_is(api, endpoint):
    endpoint.server.shutdown()
    endpoint.server.server_close()
    topic = api.topic()
    subscription = api.subscription(topic, push_config={"push_endpoint": endpoint.url})
    api.publish(topic, b"x")
    time.sleep(0.5)
    later = Endpoint()
    request = {"subscription": subscription, "push_config": {"push_endpoint": later.url}}
    api.subscriber.modify_push_config(request=request)
    assert later.wait(1)[0].data == b"x"
    api.subscriber.delete_subscription(subscription=subscription)
    later.server.shutdown()
    later.server.server_close()


def test_messages_of_a_key_are_pushed_one_after_the_other(api, endpoint, pushed):
    topic, _ = pushed(enable_message_ordering=True)
    under_way, most = [], []

    def answer(push) -> int:
        under_way.append(push)
        most.append(len(under_way))
        time.sleep(0.01)
        under_way.remove(push)
        return 200 if push.data != b"3" or len([one for one in endpoint.pushes if one.data == b"3"]) > 1 else 500

    endpoint.answer = answer
    api.publish(topic, *[{"data": b"%d" % number, "ordering_key": "k"} for number in range(10)])
    pushes = [push.data for push in endpoint.wait(11)]
    assert pushes == [b"0", b"1", b"2", b"3", *[b"%d" % number for number in range(3, 10)]]
    assert max(most) == 1


def test_a_push_that_fails_too_often_becomes_a_dead_letter(request, api, endpoint, pushed):
    emulator_departs(request, True, "leaves the delivery attempt out")
    dead_topic = api.topic()
    dead = api.subscription(dead_topic)
    policy = {"dead_letter_topic": dead_topic, "max_delivery_attempts": 5}
    least = duration_pb2.Duration(nanos=100_000_000)
    topic, _ = pushed(dead_letter_policy=policy, retry_policy={"minimum_backoff": least, "maximum_backoff": least})
    endpoint.answer = lambda push: 500
    api.publish(topic, b"x")
    assert data(api.receive(dead, 1)) == [b"x"]
    assert [json.loads(push.body)["deliveryAttempt"] for push in endpoint.pushes] == [1, 2, 3, 4, 5]


def test_an_unwrapped_push_is_the_message_alone(api, endpoint, pushed):
    topic, _ = pushed(wrapper={"no_wrapper": {}})
    api.publish(topic, {"data": b'{"a": 1}', "attributes": {"own": "value"}})
    (push,) = endpoint.wait(1)
    assert push.body == b'{"a": 1}'
    assert "own" not in push.headers and "x-goog-pubsub-message-id" not in push.headers


def test_an_unwrapped_push_tells_the_rest_in_headers_where_asked_for(request, api, endpoint, pushed):
    emulator_departs(request, True, "leaves the ordering key out")
    topic, subscription = pushed(wrapper={"no_wrapper": {"write_metadata": True}}, enable_message_ordering=True)
    (name,) = api.publish(topic, {"data": b"x", "attributes": {"own": "value"}, "ordering_key": "k"})
    (push,) = endpoint.wait(1)
    assert push.body == b"x"
    assert push.headers["own"] == "value"
    assert push.headers["x-goog-pubsub-message-id"] == name
    assert push.headers["x-goog-pubsub-subscription-name"] == subscription
    assert push.headers["x-goog-pubsub-ordering-key"] == "k"
    assert push.headers["x-goog-pubsub-publish-time"].endswith("Z")


def test_what_is_pushed_cannot_be_pulled(request, api, pushed):
    emulator_departs(request, True, "lets it be pulled as well")
    _, subscription = pushed()
    with pytest.raises(exceptions.FailedPrecondition):
        api.subscriber.pull(subscription=subscription, max_messages=1, timeout=5)


def test_a_subscription_that_is_no_longer_pushed_can_be_pulled(api, endpoint, pushed):
    topic, subscription = pushed()
    api.publish(topic, b"pushed")
    endpoint.wait(1)
    api.subscriber.modify_push_config(request={"subscription": subscription, "push_config": {}})
    api.publish(topic, b"pulled")
    assert data(api.receive(subscription, 1)) == [b"pulled"]
    assert len(endpoint.pushes) == 1
