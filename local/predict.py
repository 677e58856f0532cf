"""Predicts what has landed in the local cloud's buckets, as a job of its Dataproc stand-in: what `make predict` does.

    python -m local.predict                               documents, by the model that serves
    python -m local.predict --pipeline=wine --missing     any flag of predict.py but for its paths

The job reads gs://ml_input/input/ and gs://ml_output/output/, and writes gs://ml_output/predictions/. Its summary is
printed on standard output, the program's own words on standard error.
"""

import json
import os
import sys

from local.services import INPUT_BUCKET, OUTPUT_BUCKET, ROOT, running
from local.spark_jobs import last_words
from local.standing_job import run_job

PATHS = [f"gs://{INPUT_BUCKET}/input/", f"gs://{OUTPUT_BUCKET}/predictions/", f"--models=gs://{OUTPUT_BUCKET}/output/"]


def predict(flags: list[str]) -> dict:
    """Submits the job and waits for its end; returns its summary, or {"output": what it said}."""
    return run_job("predict.py", [*PATHS, *flags])


def main(argv: list[str] | None = None) -> int:
    state = running(ROOT / ".local" / "up")
    if state is None or "exports" not in state:
        print("predict: expected the local cloud to run, found that it does not; `make up` starts it", file=sys.stderr)
        return 1
    os.environ.update(state["exports"])
    found = predict(sys.argv[1:] if argv is None else argv)
    if "output" in found:
        print(last_words("\n".join(found["output"])), file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
