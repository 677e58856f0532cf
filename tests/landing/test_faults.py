"""What happens when a step of writing fails: nothing is lost, and nothing is written twice."""

import os
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from brigade.landing.files import Files
from brigade.storage import blob
from tests.landing.landed import files, land, land_as_a_stream, message, objects


class FailingFiles(Files):
    """Files of which one step fails so often at one moment, as disks, networks and dying workers do."""

    def __init__(self, step: str, moment: str, counter: Path, times: int = 2):
        self.step, self.moment, self.counter, self.times = step, moment, counter, times

    def fails(self, step: str, moment: str) -> bool:
        if (step, moment) != (self.step, self.moment):
            return False
        # The runner pickles this with each bundle, so what it remembers lies in a file.
        count = len(self.counter.read_text()) if self.counter.exists() else 0
        self.counter.write_text("x" * (count + 1))
        return count < self.times

    def stage(self, path, pieces):
        if self.fails("stage", "before"):
            raise OSError("no connection")
        if self.fails("stage", "during"):
            super().stage(path, [pieces[0][: len(pieces[0]) // 2]])
            raise OSError("disk full")
        staged = super().stage(path, pieces)
        if self.fails("stage", "after"):
            raise OSError("the worker died before it could say that the file is written")
        return staged

    def name(self, staged, path, size, checksum):
        if self.fails("name", "before"):
            raise OSError("no connection")
        if self.fails("name", "during"):
            if path.startswith("gs://"):
                blob(path).rewrite(blob(staged))
            else:
                os.link(staged, path)
            raise OSError("the worker died between the two names")
        new = super().name(staged, path, size, checksum)
        if self.fails("name", "after"):
            raise OSError("the worker died before it could say that the file has its name")
        return new


@pytest.mark.parametrize("moment", ["before", "during", "after"])
@pytest.mark.parametrize("step", ["stage", "name"])
def test_a_bundle_that_is_run_again_loses_nothing_and_writes_nothing_twice(place, tmp_path, step, moment):
    uri, found = place
    attempts = tmp_path / "attempts"
    sent = [message(number) for number in range(30)] + [message(30, data=b"no event")]
    land_as_a_stream(sent, uri, max_lines=10, files=FailingFiles(step, moment, attempts))
    assert attempts.read_text().count("x") > 2, "nothing failed"
    identities = Counter(line["pubsub"]["messageId"] for line in found("input", hidden=step == "stage"))
    assert identities == Counter(f"id-{number}" for number in range(30))
    assert [line["messageId"] for line in found("dead_letter", hidden=step == "stage")] == ["id-30"]


def test_a_write_that_cannot_succeed_fails_the_job(tmp_path):
    failing = FailingFiles("stage", "before", tmp_path / "attempts", times=99)
    with pytest.raises(Exception, match="no connection"):
        land_as_a_stream([message(1)], tmp_path, max_lines=10, files=failing)
    assert not files(tmp_path)


def test_events_land_in_a_bucket_as_they_do_in_a_folder(bucket):
    sent = [message(number) for number in range(30)] + [message(30, data=b"no event")]
    for _ in range(2):  # the second time every file is found
        land(sent, f"gs://{bucket.name}", max_lines=10)
    assert Counter(line["pubsub"]["messageId"] for line in objects(bucket, "input")) == Counter(
        f"id-{number}" for number in range(30)
    )
    assert [line["messageId"] for line in objects(bucket, "dead_letter")] == ["id-30"]


@pytest.fixture
def outage(storage_emulator):
    """A storage service that answers 503 to all for 30 seconds from the first upload on; counts its refusals."""
    service = os.environ["STORAGE_EMULATOR_HOST"]

    class Proxy(BaseHTTPRequestHandler):
        ends, refused = None, 0

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "/upload/" in self.path:
                Proxy.ends = Proxy.ends or time.monotonic() + 30
            if Proxy.ends and time.monotonic() < Proxy.ends:
                Proxy.refused += 1
                return self.answer(503, b'{"error": {"code": 503, "message": "try later"}}', {})
            request = urllib.request.Request(service + self.path, body or None, method=self.command)
            for name in ("Content-Type", "X-Goog-Upload-Protocol"):
                if name in self.headers:
                    request.add_header(name, self.headers[name])
            try:
                with urllib.request.urlopen(request) as response:
                    self.answer(response.status, response.read(), response.headers)
            except urllib.error.HTTPError as error:
                self.answer(error.code, error.read(), error.headers)

        def answer(self, status, body, headers):
            self.send_response(status)
            self.send_header("Content-Type", headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = pass_on

        def log_message(self, *_):
            """Nothing: requests are counted."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{server.server_port}"
    yield Proxy
    os.environ["STORAGE_EMULATOR_HOST"] = service
    server.shutdown()
    server.server_close()


@pytest.mark.faults
def test_a_bucket_that_answers_503_for_half_a_minute_gets_every_line_once(bucket, outage, caplog):
    land([message(number) for number in range(30)], f"gs://{bucket.name}", max_lines=10)
    assert outage.refused >= 2
    assert Counter(line["pubsub"]["messageId"] for line in objects(bucket, "input")) == Counter(
        f"id-{number}" for number in range(30)
    )
    assert f"waiting for storage, to write gs://{bucket.name}/input/" in caplog.text
