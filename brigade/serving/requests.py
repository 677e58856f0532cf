"""HTTP requests: reads them within limits, refuses what is wrong in one line, and turns answers into JSON.

A request that is wrong, or that meets a bug, ends with one line of JSON and one log line. The process goes on.
"""

import logging
import traceback
from collections.abc import Callable
from io import BytesIO

import flask
import orjson

from brigade.errors import BrigadeError, one_line
from brigade.events.event import json_problem, json_type
from brigade.serving.logs import LogEntry

MAX_INSTANCES = 1000


class Refused(BrigadeError):
    """A request that is not answered as asked. The message says what was expected and found.

    missing: what every such request lacks until it is there again, such as a model.
    """

    def __init__(self, message: str, http_status: int = 400, missing: str = ""):
        super().__init__(message)
        self.http_status, self.missing = http_status, missing


def answer(
    request: flask.Request,
    entry: LogEntry,
    limit: int,
    get: Callable[[str, LogEntry], dict],
    post: Callable[[bytes, LogEntry], dict],
) -> flask.Response:
    """Answers a request, and writes its log entry.

    limit: the largest body, in bytes. get: path → answer to GET and HEAD. post: body → answer to POST. Both raise
    Refused. Whatever else they raise is a bug and answers 500, without its message, which may hold a document's text.
    """
    status, headers = 200, {}
    try:
        body = read_body(request, limit)
        if request.method in ("GET", "HEAD"):
            content = get(request.path, entry)
        elif request.method == "POST":
            content = post(body, entry)
        else:
            headers["Allow"] = "GET, HEAD, POST"
            raise Refused(f"expected GET or POST, found {one_line(request.method)[:20]}", 405)
    except Refused as problem:
        status = problem.http_status
        content = entry.failed(problem, status, problem.missing)
    except Exception as error:  # a bug ends this request and not the process
        status, content = 500, {"error": "an error of this service; its log says more"}
        entry.severity = logging.ERROR
        stack = "".join(traceback.format_tb(error.__traceback__))
        entry.message = f"Traceback (most recent call last):\n{stack}{type(error).__name__}"
    entry.write(status)
    return flask.Response(orjson.dumps(content) + b"\n", status, headers, mimetype="application/json")


def read_body(request: flask.Request, limit: int) -> bytes:
    """The body. Raises Refused: 413 if it is too large, 400 if it breaks off.

    A body that is too large is read to its end all the same. Otherwise the framework would read the rest and keep it
    in memory.
    """
    chunks, size = [], 0
    try:
        while chunk := request.stream.read(1 << 16):
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
    except Exception as error:  # the server's own exceptions, for whatever is wrong with the rest of the body
        request.stream = BytesIO()  # the framework reads to the end, too
        raise Refused("expected a whole body, found one that breaks off") from error
    if size > limit:
        raise Refused(f"expected a body of at most {limit} bytes, found {size}", 413)
    return b"".join(chunks)


def read_instances(body: bytes) -> tuple[list, bool]:
    """The instances of a prediction request, and whether to explain them. Raises Refused."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        found = json_problem(error)
        raise Refused(f'expected a JSON object {{"instances": […]}}, found no JSON: {found}') from error
    if not isinstance(document, dict):
        raise Refused(f'expected an object {{"instances": […]}}, found {json_type(document)}')
    if "instances" not in document:
        raise Refused('expected the key "instances", found none')
    instances, explain = document["instances"], document.get("explain", False)
    if not isinstance(instances, list):
        raise Refused(f"instances: expected an array, found {json_type(instances)}")
    if len(instances) > MAX_INSTANCES:
        raise Refused(f"instances: expected at most {MAX_INSTANCES}, found {len(instances)}")
    if not isinstance(explain, bool):
        raise Refused(f"explain: expected a boolean, found {json_type(explain)}")
    return instances, explain


def instance_text(where: str, instance: object) -> str:
    """The text of an event or of {"payload": text}. Raises Refused; its message starts with `where`."""
    if not isinstance(instance, dict):
        raise Refused(f"{where}: expected an object, found {json_type(instance)}")
    if "doc" in instance:
        where, instance = f"{where}.doc", instance["doc"]
        if not isinstance(instance, dict):
            raise Refused(f"{where}: expected an object, found {json_type(instance)}")
    if "payload" not in instance:
        raise Refused(f'{where}: expected the key "payload", found none')
    if not isinstance(instance["payload"], str):
        raise Refused(f"{where}.payload: expected a string, found {json_type(instance['payload'])}")
    if not instance["payload"].strip():
        raise Refused(f"{where}.payload: expected a text, found an empty one")
    return instance["payload"]
