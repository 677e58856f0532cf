"""HTTP requests: reads them within limits, refuses what is wrong in one line, and turns answers into JSON.

A request that is wrong, or that meets a bug, ends with one line of JSON and one log line. The process goes on.
"""

import logging
import traceback
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO

import flask
import orjson
from werkzeug.http import parse_options_header

from brigade.errors import BrigadeError, one_line
from brigade.events.event import NotAnEvent, check_event, json_type
from brigade.events.json_text import parse
from brigade.events.rules import MAX_EVENT_BYTES, MAX_LEVELS
from brigade.serving.logs import LogEntry

MAX_INSTANCES = 1000
UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")  # names of charsets that UTF-8 covers
GZIP = 31  # zlib's wbits for gzip's header and trailer
MEMBERS = ("instances", "parameters", "explain")  # of a prediction request
SIGNATURE, SIGNATURES = "signature_name", (None, "", "serving_default")  # TensorFlow Serving's; there is one alone


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
    post: Callable[[bytes, Mapping[str, str], LogEntry], dict],
) -> flask.Response:
    """Answers a request, and writes its log entry.

    limit: the largest body, in bytes. get: path → answer to GET and HEAD. post: body and headers → answer to POST.
    Both raise Refused. Whatever else they raise is a bug and answers 500, without its message, which may hold a
    document's text.
    """
    status, headers = 200, {}
    try:
        body = read_body(request, limit)
        if request.method in ("GET", "HEAD"):
            content = get(request.path, entry)
        elif request.method == "POST":
            content = post(body, dict(request.headers), entry)
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


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding, gzip or none. Raises Refused; 413 above `limit` bytes."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Refused(f"Content-Encoding: expected gzip or none, found {one_line(encoding)[:40]}", 415)
    pieces, size, rest = [], 0, body
    try:
        while rest:  # a body may be several gzip files, one after the other
            file = zlib.decompressobj(GZIP)
            pieces.append(file.decompress(rest, limit - size + 1))
            size += len(pieces[-1])
            if size > limit:
                raise Refused(f"expected a body of at most {limit} bytes when unpacked, found more", 413)
            if not file.eof:
                raise Refused("Content-Encoding: gzip: expected a whole body, found one that breaks off")
            rest = file.unused_data
    except zlib.error as error:
        raise Refused("Content-Encoding: gzip: expected a body in gzip, found something else") from error
    return b"".join(pieces)


def check_charset(content_type: str) -> None:
    """Raises Refused (415) if the Content-Type names a charset that is not UTF-8: JSON has no other."""
    charset = parse_options_header(content_type)[1].get("charset", "utf-8")
    if charset.lower() not in UTF8:
        raise Refused(f"Content-Type: expected charset=utf-8, found charset={one_line(charset)[:40]}", 415)


def read_instances(body: bytes, beyond_double: object = 0) -> tuple[list, bool]:
    """The instances of a prediction request, and whether to explain them. Raises Refused.

    Vertex AI's form has `explain` in `parameters`. beyond_double: what stands for a number beyond a double's range.
    """
    try:
        document = parse(body, MAX_LEVELS + 2, beyond_double)  # those of an event, and two around it
    except NotAnEvent as problem:
        raise Refused(f'expected a JSON object {{"instances": […]}}, found no JSON: {problem.detail}') from problem
    if not isinstance(document, dict):
        raise Refused(f'expected an object {{"instances": […]}}, found {json_type(document)}')
    if "instances" not in document:
        raise Refused('expected the key "instances", found none')
    for name in document:
        if name not in MEMBERS and name != SIGNATURE:
            raise Refused(f"expected the keys {', '.join(MEMBERS)}, found {one_line(name)[:40]!r}")
    if (signature := document.get(SIGNATURE, "")) not in SIGNATURES:
        found = repr(one_line(signature)[:40]) if isinstance(signature, str) else json_type(signature)
        raise Refused(f"{SIGNATURE}: expected serving_default, found {found}")
    instances = document["instances"]
    if not isinstance(instances, list):
        raise Refused(f"instances: expected an array, found {json_type(instances)}")
    if len(instances) > MAX_INSTANCES:
        raise Refused(f"instances: expected at most {MAX_INSTANCES}, found {len(instances)}")
    return instances, is_explained(document)


def is_explained(document: dict) -> bool:
    """Whether a prediction request asks for explanations, at its top or in `parameters`. Raises Refused."""
    parameters = document.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict):
        raise Refused(f"parameters: expected an object, found {json_type(parameters)}")
    for name in parameters:
        if name != "explain":
            raise Refused(f"parameters: expected the key explain alone, found {one_line(name)[:40]!r}")
    given = {"explain": document, "parameters.explain": parameters}
    values = {where: members["explain"] for where, members in given.items() if "explain" in members}
    for where, value in values.items():
        if not isinstance(value, bool):
            raise Refused(f"{where}: expected a boolean, found {json_type(value)}")
    return any(values.values())


def instance_text(where: str, instance: object) -> str:
    """The text of an event, of {"doc": {"payload": text}} or of {"payload": text}. Raises Refused; its message starts
    with `where`.

    What has an eventId is an event, and has to be one that landing would take too.
    """
    if not isinstance(instance, dict):
        raise Refused(f"{where}: expected an object, found {json_type(instance)}")
    if "eventId" in instance:
        return event_text(where, instance)
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


def event_text(where: str, event: dict) -> str:
    """The text of an event. Raises Refused with the reason that landing has for what is not one."""
    try:
        text = check_event(event)["doc"]["payload"]
        if len(text) > MAX_EVENT_BYTES:
            raise NotAnEvent("too_large", f"expected at most {MAX_EVENT_BYTES} bytes, found more")
    except NotAnEvent as problem:
        raise Refused(f"{where}: expected an event, found {problem}") from problem
    return text
