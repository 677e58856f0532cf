"""The API as JSON over HTTP, for `gcloud pubsub` and curl."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import grpc
from google.protobuf import json_format

from local.pubsub.errors import Refused, invalid, not_here
from local.pubsub.methods import METHODS, Methods

STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.UNIMPLEMENTED: 501,
}
MAX_BODY_BYTES = 20_000_000  # base64 makes a third more of a request's ten million bytes
SYSTEM_PARAMETERS = {"alt", "$alt", "key", "prettyPrint", "quotaUser", "fields", "uploadType", "upload_protocol"}


def _route(http: str) -> tuple[str, re.Pattern, str]:
    """A verb, a pattern of paths with one group, and the request's field that the group's text goes to."""
    verb, path, *_ = http.split()
    before, field, template, after = re.fullmatch(r"(.*)\{([\w.]+)=([^}]+)\}(.*)", path).groups()
    names = re.escape(template).replace(r"\*", "[^/]+?")
    return verb.upper(), re.compile(f"{re.escape(before)}({names}){re.escape(after)}"), field


ROUTES = [(name, *_route(method.http)) for name, method in METHODS.items()]


def start(methods: Methods, host: str, port: int) -> tuple[ThreadingHTTPServer, int]:
    """Starts to serve on a thread; returns the server and its port. Raises OSError if the address is taken."""
    server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"methods": methods}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, server.server_address[1]


def call(methods: Methods, verb: str, target: str, body: bytes) -> dict:
    """Calls the method that a request names; returns its answer as JSON. Raises Refused."""
    url = urlsplit(target)
    path = unquote(url.path)
    for name, method_verb, pattern, field in ROUTES:
        match = pattern.fullmatch(path)
        if match and verb == method_verb:
            request = _request(METHODS[name].request, url.query, body)
            *parents, last = field.split(".")
            inner = request
            for parent in parents:
                inner = getattr(inner, parent)
            setattr(inner, last, match[1])
            return json_format.MessageToDict(getattr(methods, name)(request))
    raise not_here(f"{verb} {path}")


def _request(kind: type, query: str, body: bytes):
    """A request of the body's and the query's fields. Raises Refused."""
    request = kind()
    fields = {key: value for key, value in parse_qsl(query) if key not in SYSTEM_PARAMETERS}
    try:
        json_format.Parse(body or b"{}", request)
        json_format.ParseDict(fields, request)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    return request


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    methods: Methods

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            self.send(413, {"error": {"code": 413, "message": f"{length} bytes", "status": "INVALID_ARGUMENT"}})
            return
        body = self.rfile.read(length)
        try:
            self.send(200, call(self.methods, self.command, self.path, body))
        except Refused as refused:
            status = STATUS[refused.code]
            error = {"code": status, "message": refused.message, "status": refused.code.name}
            self.send(status, {"error": error})

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer

    def send(self, status: int, answer: dict) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        """Says nothing: requests hold documents' names."""
