"""Landing as its tests use it: messages to land, the graph over them, and what is in the files afterwards."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing import test_stream

from brigade.landing.pipeline import build
from tests.events.examples import event


def message(number: int = 0, data: bytes | None = None, day: int = 1, **attributes: str) -> PubsubMessage:
    published = datetime(2026, 11, day, 23, 59, 0, number % 1_000_000, tzinfo=UTC)
    return PubsubMessage(event(number) if data is None else data, attributes, f"id-{number}", published)


def land(messages, folder: Path, **shape) -> None:
    """Runs the graph over bounded messages; at their end, as at a drain, what is open closes."""
    shape = {"max_seconds": 60, "max_lines": 1000, "max_bytes": 1 << 20, "num_shards": 1} | shape
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        build(
            pipeline,
            beam.Create(messages, reshuffle=False),
            output_path=f"{folder}/input",
            dead_letter_path=f"{folder}/dead_letter",
            **shape,
        )


def land_as_a_stream(messages, folder: Path | str, **shape) -> None:
    """The same on the streaming local runner, which runs a failed bundle again: four times in all."""
    stream = test_stream.TestStream().add_elements(messages).advance_processing_time(61).advance_watermark_to_infinity()
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(streaming=True)) as pipeline:
        build(
            pipeline,
            stream,
            output_path=f"{folder}/input",
            dead_letter_path=f"{folder}/dead_letter",
            max_seconds=60,
            max_bytes=1 << 20,
            num_shards=1,
            clock=lambda: 0.0,
            **shape,
        )


def lines(folder: Path, kind: str = "input", hidden: bool = False) -> list[dict]:
    """The events or dead letters of a folder. Where a worker died while it staged a file there are `hidden` ones."""
    found = []
    for path in sorted((folder / kind).glob("dt=*/*")):
        if path.name.startswith("."):
            assert hidden, "a staged file was left"
            continue
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert content.endswith(b"\n")
        found += [json.loads(line) for line in content.splitlines()]
    return found


def files(folder: Path, kind: str = "input") -> list[Path]:
    return sorted((folder / kind).glob("dt=*/*"))


def objects(bucket, kind: str, hidden: bool = False) -> list[dict]:
    blobs = [blob for blob in bucket.list_blobs(prefix=f"{kind}/") if not (hidden and "/." in blob.name)]
    assert not [blob.name for blob in blobs if "/." in blob.name], "a staged file was left"
    return [json.loads(line) for blob in blobs for line in blob.download_as_bytes().splitlines()]
