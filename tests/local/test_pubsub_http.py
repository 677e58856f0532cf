"""The API as JSON over HTTP: the embedded server and, with PUBSUB=official, the official emulator."""

import base64

import pytest
import requests
from google.pubsub_v1.services.publisher.transports.rest_base import _BasePublisherRestTransport
from google.pubsub_v1.services.subscriber.transports.rest_base import _BaseSubscriberRestTransport

from local.pubsub.methods import METHODS
from tests.local.pubsub_api import OFFICIAL, PROJECT, emulator_departs, numbers

TEXT = base64.b64encode(b"text").decode()


@pytest.fixture
def call(api):
    """call(verb, path, body, status): the answer's JSON."""

    def call(verb: str, path: str, body: dict | None = None, status: int = 200, **query) -> dict:
        response = requests.request(verb, f"{api.http}/{path}", json=body, params=query, timeout=30)
        assert response.status_code == status, response.text
        assert response.headers["content-type"].startswith("application/json")
        return response.json()

    return call


@pytest.fixture
def topic(call) -> str:
    name = f"{PROJECT}/topics/topic-{next(numbers)}"
    assert call("put", name, {})["name"] == name
    return name


@pytest.fixture
def subscription(call, topic) -> str:
    name = f"{PROJECT}/subscriptions/sub-{next(numbers)}"
    assert call("put", name, {"topic": topic, "ackDeadlineSeconds": 20})["ackDeadlineSeconds"] == 20
    return name


def test_a_message_goes_through(call, topic, subscription):
    message = {"data": TEXT, "attributes": {"a": "b"}, "orderingKey": "k"}
    (name,) = call("post", f"{topic}:publish", {"messages": [message]})["messageIds"]
    (received,) = call("post", f"{subscription}:pull", {"maxMessages": 5, "returnImmediately": True})[
        "receivedMessages"
    ]
    assert received["message"] | message == received["message"]
    assert received["message"]["messageId"] == name and received["message"]["publishTime"].endswith("Z")
    ids = [received["ackId"]]
    assert call("post", f"{subscription}:modifyAckDeadline", {"ackIds": ids, "ackDeadlineSeconds": 30}) == {}
    assert call("post", f"{subscription}:acknowledge", {"ackIds": ids}) == {}
    assert call("post", f"{subscription}:pull", {"maxMessages": 5, "returnImmediately": True}) == {}


def test_a_seek_and_its_time(call, topic, subscription):
    call("post", f"{topic}:publish", {"messages": [{"data": TEXT}]})
    assert call("post", f"{subscription}:seek", {"time": "2100-01-01T00:00:00Z"}) == {}
    assert call("post", f"{subscription}:pull", {"maxMessages": 5, "returnImmediately": True}) == {}


def test_lists_have_pages(call, topic):
    project = f"projects/brigade-{next(numbers)}"
    for letter in "abc":
        call("put", f"{project}/topics/topic-{letter}", {})
    first = call("get", f"{project}/topics", pageSize=2)
    assert len(first["topics"]) == 2
    second = call("get", f"{project}/topics", pageSize=2, pageToken=first["nextPageToken"])
    assert len(second["topics"]) == 1
    assert call("get", f"{topic}/subscriptions") == {}


def test_a_subscription_can_change_and_go(call, subscription):
    changed = {"subscription": {"ackDeadlineSeconds": 44}, "updateMask": "ackDeadlineSeconds"}
    assert call("patch", subscription, changed)["ackDeadlineSeconds"] == 44
    assert call("get", subscription)["ackDeadlineSeconds"] == 44
    assert call("delete", subscription) == {}
    assert call("get", subscription, status=404)["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    "verb, path, body, status, name",
    [
        ("get", f"{PROJECT}/topics/not-there", None, 404, "NOT_FOUND"),
        ("put", f"{PROJECT}/topics/x", {}, 400, "INVALID_ARGUMENT"),
        ("post", f"{PROJECT}/topics/not-there:publish", {"messages": [{"data": TEXT}]}, 404, "NOT_FOUND"),
        ("post", f"{PROJECT}/topics/topic:publish", {"messages": "none"}, 400, "INVALID_ARGUMENT"),
        ("post", f"{PROJECT}/topics/topic:publish", {"no_such_field": 1}, 400, "INVALID_ARGUMENT"),
    ],
)
def test_a_refusal_has_its_status_and_its_name(call, verb, path, body, status, name):
    error = call(verb, path, body, status)["error"]
    assert (error["code"], error["status"]) == (status, name) and error["message"]


def test_what_exists_is_a_conflict(call, topic):
    assert call("put", topic, {}, status=409)["error"]["status"] == "ALREADY_EXISTS"


def test_what_the_server_does_not_do_is_named(request, call):
    emulator_departs(request, True, "has snapshots")
    path = f"{PROJECT}/snapshots/snapshot"
    assert path in call("put", path, {}, status=501)["error"]["message"]


@pytest.mark.skipif(OFFICIAL, reason="a table of the embedded server's")
@pytest.mark.parametrize("name", METHODS)
def test_the_bindings_are_those_of_the_service(name):
    transports = (_BasePublisherRestTransport, _BaseSubscriberRestTransport)
    (generated,) = [getattr(one, f"_Base{name}") for one in transports if hasattr(one, f"_Base{name}")]
    options = generated._get_http_options()[0]
    verb, path, *body = METHODS[name].http.split()
    assert (verb, path, body) == (options["method"], options["uri"], [options["body"]] if "body" in options else [])
