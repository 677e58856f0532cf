r"""The Google control planes that have no emulator, Dataproc, Cloud Scheduler and Vertex AI, in one local server.

    STORAGE_EMULATOR_HOST=http://127.0.0.1:9023 python -m local.control_plane --host 127.0.0.1 --port 9000 \
        --state_dir .local/control_plane --buckets_dir .local/.cloudstorage

Clients find it by CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC, …_CLOUDSCHEDULER and …_AIPLATFORM (`gcloud`), or by the
`api_endpoint` of their `client_options` with the transport "rest". It runs until SIGTERM, SIGINT or SIGHUP, and takes
the Spark job that runs and the deployed models with it.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from flask import Flask, jsonify
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.serving import make_server

from local.cloud_scheduler import CloudScheduler
from local.dataproc import Dataproc
from local.spark_jobs import SparkRunner
from local.vertex import Vertex

logger = logging.getLogger(__name__)

_STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 409: "ALREADY_EXISTS", 500: "INTERNAL", 503: "UNAVAILABLE"}


def create_app(runner: SparkRunner, scheduler: CloudScheduler, vertex: Vertex | None = None) -> Flask:
    """The APIs, Vertex AI's if it is given, with errors in the form that Google's clients read."""
    app = Flask(__name__)
    app.register_blueprint(Dataproc(runner).blueprint())
    app.register_blueprint(scheduler.blueprint())
    if vertex:
        app.register_blueprint(vertex.blueprint())
    app.get("/")(lambda: {"services": ["dataproc", "cloudscheduler", "aiplatform"]})

    @app.errorhandler(Exception)
    def to_google_error(error: Exception):
        if not isinstance(error, HTTPException):
            logger.exception("unexpected error")
            error = InternalServerError(f"{type(error).__name__}: {error}")
        status = getattr(error, "status", None) or _STATUS.get(error.code, "UNIMPLEMENTED")
        return jsonify(error={"code": error.code, "message": error.description, "status": status}), error.code

    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; return 0, or 2 for wrong arguments."""
    parser = argparse.ArgumentParser(description="Dataproc, Cloud Scheduler and Vertex AI on one machine.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--state_dir", type=Path, required=True, help="logs go to STATE_DIR/jobs and /vertex")
    parser.add_argument("--buckets_dir", type=Path, required=True, help="where the storage emulator keeps its buckets")
    parser.add_argument("--master", default="local[2]", help="the Spark master of the jobs")
    args = parser.parse_args(argv)
    if not os.environ.get("STORAGE_EMULATOR_HOST"):
        parser.error("STORAGE_EMULATOR_HOST is not set: it names the storage emulator, as http://HOST:PORT")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for every poll

    runner = SparkRunner(args.state_dir, args.buckets_dir, args.master)
    scheduler = CloudScheduler()
    scheduler.start()
    vertex = Vertex(args.state_dir / "vertex")
    server = make_server(args.host, args.port, create_app(runner, scheduler, vertex), threaded=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # shutdown() waits for serve_forever(), which this handler interrupts: it needs a thread of its own.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    logger.info("Dataproc, Cloud Scheduler and Vertex AI at http://%s:%d", args.host, args.port)
    server.serve_forever(poll_interval=0.1)
    scheduler.stop()
    vertex.stop()
    runner.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
