"""Cloud Storage on one machine: `gcp-storage-emulator` from PyPI, with the guarantees of the real service
that the pipeline relies on.

    python -m local.storage_emulator --host 127.0.0.1 --port 9023 --data_dir .local

keeps every object as a plain file, DATA_DIR/.cloudstorage/BUCKET/OBJECT, and runs until SIGTERM or SIGINT.
Added to the emulator:

- Generation preconditions: `ifGenerationMatch=0` means "only if there is no such object",
  `ifGenerationMatch=N` "only if N is the live generation"; otherwise the answer is 412 in the service's own
  form. Check and change are one step, whatever other threads do. Source:
  https://cloud.google.com/storage/docs/request-preconditions
- A download says which generation it is (`X-Goog-Generation`): without that, the client forgets the one it
  knew.
- `gcloud` can upload: it writes a multipart boundary in single quotes, and has a path of its own for large
  files.
- An object's file is replaced in one step. The emulator writes into it, where Spark would read half an
  object.
- Deleting is deleting. The emulator would keep a copy for seven days (soft delete), and empty folders, which
  Spark sees and the service does not have.
- `POST /adopt/BUCKET/OBJECT` takes a file that Spark has put into a bucket's folder into the index, as it is. An
  upload would replace it, and what another job is writing into it at that moment would be lost.
- What an earlier emulator has left in DATA_DIR is there again, whatever its port was.
- Requests run in threads. The emulator serves one connection after another, so that one idle client stops all
  others.
"""

import argparse
import contextlib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path

from gcp_storage_emulator import server, storage
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

logger = logging.getLogger(__name__)

# Where a file grows before it takes its name. No bucket's name begins with an underscore.
WRITING_DIR = "_writing"

_lock = threading.Lock()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0."""
    parser = argparse.ArgumentParser(description="Cloud Storage on one machine.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9023)
    parser.add_argument("--data_dir", type=Path, required=True, help="objects go to DATA_DIR/.cloudstorage")
    args = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)  # a line for every missing object

    httpd = create_server(args.host, args.port, args.data_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever(), which this handler interrupts: it needs a thread of its own.
        signal.signal(number, lambda *_: threading.Thread(target=httpd.shutdown).start())
    logger.info("storage emulator at http://%s:%d, files in %s", args.host, args.port, args.data_dir)
    httpd.serve_forever(poll_interval=0.1)
    httpd.server_close()
    return 0


def create_server(host: str, port: int, data_dir: Path) -> ThreadingHTTPServer:
    """Return the emulator, bound and ready for `serve_forever`, with the additions above in place."""
    server.HANDLERS = tuple(
        (pattern, {method: _guarded(handler) for method, handler in methods.items()})
        for pattern, methods in (_ADOPTION, *_with_more_uploads(server.HANDLERS))
    )
    storage.Storage._bucket_soft_delete_retention_seconds = lambda self, bucket_name: 0
    storage._FileStore.write_bytes = _write_bytes
    storage._FileStore.remove_file = _remove_file
    store = storage.Storage(data_dir=str(data_dir.absolute()))
    httpd = _Server((host, port), partial(_RequestHandler, store))
    _move_links(store, f"http://{host}:{httpd.server_port}")
    return httpd


def _move_links(store: storage.Storage, base: str) -> None:
    """Let the links of what an earlier emulator has kept lead to this one: clients download by them."""
    objects_of_all = (kept for bucket in store.objects.values() for kept in bucket.values())
    for resource in (*store.buckets.values(), *objects_of_all):
        for name, link in resource.items():
            if name.endswith("Link"):
                resource[name] = re.sub(r"^https?://[^/]+", base, link)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # a burst of clients waits; the default of 5 turns them away


class _RequestHandler(server.RequestHandler):
    def parse_request(self) -> bool:
        """Read the request's head; `gcloud` writes a multipart boundary in single quotes, which the emulator
        cannot parse."""
        is_complete = super().parse_request()
        if is_complete and (content_type := self.headers.get("Content-Type")):
            plain = re.sub(r"(?<=boundary=)'([^']*)'", r'"\1"', content_type)
            self.headers.replace_header("Content-Type", plain)
        return is_complete


def _with_more_uploads(handlers: tuple) -> Iterator[tuple[str, dict]]:
    """Add the other paths of uploads: `…/o` without `/upload`, which the emulator's router lets past this
    table, and `/resumable/upload/…`, to which `gcloud storage cp` sends a large file, again and again if it
    is refused."""
    for pattern, methods in handlers:
        if methods.get(server.GET) is objects.ls:
            methods = {server.POST: objects.insert, **methods}
        yield pattern, methods
        if methods.get(server.POST) is objects.insert and pattern.startswith("^/upload/"):
            yield pattern.replace("^", "^/resumable", 1), methods


def _adopt(request, response, store) -> None:
    """Answer 404 if there is no such file."""
    bucket, name = request.params["bucket_name"], request.params["object_id"]
    path = store._store._disk_path(store._object_path(bucket, name))
    if bucket not in store.buckets or not path.is_file():
        response.status = HTTPStatus.NOT_FOUND
        return
    content = path.read_bytes()
    kind, size = "application/octet-stream", str(len(content))
    resource = objects._make_object_resource(request.base_url, bucket, name, kind, size)
    store.objects.setdefault(bucket, {})[name] = objects._checksums(content, resource)
    store._write_config_to_file()


_ADOPTION = (r"^/adopt/(?P<bucket_name>[-.\w]+)/(?P<object_id>.*[^/]+)$", {server.POST: _adopt})


def _guarded(handler: Callable) -> Callable:
    """Let `handler` run alone, and only if the request's generation preconditions hold."""

    @wraps(handler)
    def run(request, response, store, *args, **kwargs) -> None:
        _ = request.data  # read the body before taking the lock: a slow client must not stop the others
        with _lock:
            for location, wanted in _preconditions(handler, request, store):
                live = store.objects.get(location[0], {}).get(location[1], {}).get("generation", "0")
                if live != wanted:
                    _precondition_failed(response, wanted, live)
                    return
            handler(request, response, store, *args, **kwargs)
            if request.method == server.GET and "object_id" in request.params:
                live = store.objects.get(request.params["bucket_name"], {}).get(request.params["object_id"], {})
                response["X-Goog-Generation"] = live.get("generation", "0")

    return run


def _preconditions(handler: Callable, request, store) -> list[tuple[tuple[str, str], str]]:
    """Return ((bucket, object), generation that must be live) for each precondition of a request."""
    conditions = []
    if "ifGenerationMatch" in request.query:
        conditions.append((_target(handler, request, store), request.query["ifGenerationMatch"][0]))
    if "ifSourceGenerationMatch" in request.query and "object_id" in request.params:
        source = request.params["bucket_name"], request.params["object_id"]
        conditions.append((source, request.query["ifSourceGenerationMatch"][0]))
    return conditions


def _target(handler: Callable, request, store) -> tuple[str, str]:
    """Return the bucket and the name of the object that a request reads, writes or deletes."""
    params, query = request.params, request.query
    if "upload_id" in query:
        with contextlib.suppress(NotFound):
            begun = store.get_resumable_file_obj(query["upload_id"][0])
            return begun["bucket"], begun["name"]
    if "dest_object_id" in params:
        return params["dest_bucket_name"], params["dest_object_id"]
    if "object_id" in params:
        return params["bucket_name"], params["object_id"]
    if "name" in query:
        return params["bucket_name"], query["name"][0]
    body = request.data if isinstance(request.data, dict) else {}
    return params["bucket_name"], body.get("meta", body).get("name", "")


def _precondition_failed(response, wanted: str, live: str) -> None:
    message = "At least one of the pre-conditions you specified did not hold."
    detail = {"message": message, "domain": "global", "reason": "conditionNotMet"}
    detail |= {"locationType": "header", "location": "If-Match"}
    logger.info("412: generation %s is wanted, %s is live", wanted, live)
    response.status = HTTPStatus.PRECONDITION_FAILED
    response.json({"error": {"code": 412, "message": message, "errors": [detail]}})


def _write_bytes(self: storage._FileStore, rel: str, content: bytes) -> None:
    """Replace a file in one step; stands in for `_FileStore.write_bytes`. Callers hold the lock, so one
    growing file is enough."""
    path, growing = self._disk_path(rel), self._root / WRITING_DIR
    growing.parent.mkdir(parents=True, exist_ok=True)
    growing.write_bytes(content)
    for attempt in range(3):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(growing, path)
            return
        except FileNotFoundError:  # a Spark job's empty folders were tidied away between the two lines
            if attempt == 2:
                raise


def _remove_file(self: storage._FileStore, rel: str) -> None:
    """Delete a file and the folders that it leaves empty, but never the bucket's; stands in for
    `_FileStore.remove_file`."""
    path = self._disk_path(rel)
    if not path.is_file():
        raise FileNotFoundError(rel)
    path.unlink()
    for folder in path.parents:
        if folder.parent in (self._root, self._root.parent):
            return
        try:
            folder.rmdir()
        except OSError:  # not empty
            return


if __name__ == "__main__":
    sys.exit(main())
