"""An MLflow server on this machine, with the runs of this machine.

    python -m local.experiments                         the same as `make experiments`
    python -m local.experiments --models=gs://B/output/ the runs of another folder of models

It serves on a loopback port until Ctrl-C. Its database and files lie in .local/experiments and are there the next time.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from brigade.cli import log_to_stderr
from brigade.errors import BrigadeError
from brigade.models.manifest import split_name
from brigade.storage import folder_at
from brigade.tracking import client
from brigade.tracking.sync import sync
from local import emulators, guard

ROOT = Path(__file__).parent.parent
SERVER = ROOT / ".venv-tracking" / "bin" / "mlflow"
SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # seven processes less
# Where models of this machine lie. The aliases are those of the last folder that has any.
FOLDERS = (".local/demo/.cloudstorage/ml_output/output", ".local/up/.cloudstorage/ml_output/output", "models")


def start(folder: Path, port: int) -> subprocess.Popen:
    """Starts the server, and returns when it answers. Its log goes to folder/server.log. Raises RuntimeError."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [SERVER, "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/artifacts"]
    with open(folder / "server.log", "ab") as log:
        process = guard.start(command, env=os.environ | SETTINGS, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    emulators.wait_for_port(port, process)
    return process


def tell(models: str) -> int:
    """Tells the server of all pipelines' runs in a folder of models; returns how many there are."""
    count = 0
    for prefix in sorted({split_name(name)[0] for name in folder_at(models).folders()} - {""}):
        try:
            done = sync(models, prefix)
            found = f"{done['runs']} runs of {done['pipeline']}, champion: version {done['champion']}"
            print(f"{models}: {found}", file=sys.stderr)
            count += done["runs"]
        except BrigadeError as problem:
            print(f"{models}: {problem}", file=sys.stderr)
    return count


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.experiments", description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", action="append", metavar="URI", help="a folder of models, gs:// or local")
    parser.add_argument("--folder", type=Path, default=ROOT / ".local" / "experiments", help="where all files go")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    arguments = parser.parse_args(argv)
    log_to_stderr()
    if not SERVER.exists():
        print("experiments: there is no .venv-tracking; `make experiments` creates it", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port = arguments.port or emulators.free_port()
    os.environ[client.URI] = f"http://127.0.0.1:{port}"
    process = start(arguments.folder.absolute(), port)
    with contextlib.suppress(KeyboardInterrupt):
        folders = arguments.models or [str(ROOT / one) for one in FOLDERS]
        if not sum(tell(models) for models in folders):
            print(f"no runs in {', '.join(folders)}: `make demo` makes one", file=sys.stderr)
        print(f"MLflow: {os.environ[client.URI]}", flush=True)
        print(f"export {client.URI}={os.environ[client.URI]}    trainings log here; Ctrl-C ends it", file=sys.stderr)
        process.wait()
    return 0 if guard.stop(process) in (0, 143) else 1


if __name__ == "__main__":
    sys.exit(main())
