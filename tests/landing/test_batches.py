"""A batch closes when it is full or old enough, and no line is too late for one."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing import test_stream

from brigade.landing.batches import JoinLines
from brigade.landing.pipeline import build
from tests.landing.landed import files, land, lines, message


@pytest.mark.parametrize("max_lines, max_bytes", [(7, 1 << 20), (1000, 2000)])
def test_a_file_passes_neither_its_lines_nor_its_bytes(tmp_path, max_lines, max_bytes):
    land([message(number) for number in range(50)], tmp_path, max_lines=max_lines, max_bytes=max_bytes)
    assert sorted(line["eventId"] for line in lines(tmp_path)) == sorted(f"event-{number}" for number in range(50))
    for path in files(tmp_path):
        content = path.read_bytes()
        assert content.count(b"\n") <= max_lines and len(content) <= max_bytes
    assert len(files(tmp_path)) > 5


def test_no_element_is_too_late_and_files_close_on_time(tmp_path):
    """A watermark far ahead, elements long behind it, an idle hour, and a clock that jumps a day."""
    clock = FakeClock()
    stream = (
        test_stream.TestStream()
        .advance_processing_time(1000)
        .add_elements([message(1), message(2)])
        .advance_watermark_to(10_000_000_000)
        .add_elements([message(3)])
        .advance_processing_time(59)
        .add_elements([message(4)])
        .advance_processing_time(2)  # 61 s after the first: its file closes, whatever came since
        .advance_processing_time(3600)
        .add_elements([message(5)])
        .advance_processing_time(86_400)
        .add_elements([message(6)])
        .advance_processing_time(61)
        .advance_watermark_to_infinity()
    )
    written = []
    options = PipelineOptions(streaming=True)
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        build(
            pipeline,
            stream,
            output_path=f"{tmp_path}/input",
            dead_letter_path=f"{tmp_path}/dead_letter",
            max_seconds=60,
            max_lines=1000,
            max_bytes=1 << 20,
            num_shards=1,
            clock=clock,
        )
    written = [
        sorted(json.loads(line)["eventId"] for line in path.read_text().splitlines()) for path in files(tmp_path)
    ]
    assert written == [["event-1", "event-2", "event-3", "event-4"], ["event-5"], ["event-6"]]


def test_all_threads_of_a_worker_process_fill_the_same_file():
    def keys(number: int) -> list[str]:
        join = JoinLines(None, 1000, 1 << 20)
        join.start_bundle()
        assert not list(join.process(("input/dt=2026-11-01", (number, b"{}\n"))))
        return [found.value[0] for found in join.finish_bundle()]

    with ThreadPoolExecutor(4) as pool:
        found = {key for keys_of_one in pool.map(keys, range(40)) for key in keys_of_one}
    assert len(found) == 1


class FakeClock:
    """The processing time of the TestStream above: where the stream is, told by what Batch has asked so far."""

    times = (1000, 4661, 91061)

    def __init__(self):
        self.asked = Path(os.environ.get("TMPDIR", "/tmp"), f"clock-{os.getpid()}-{time.monotonic_ns()}")

    def __call__(self) -> float:
        # The runner pickles the clock with each bundle, so what it remembers lies in a file.
        count = len(self.asked.read_text()) if self.asked.exists() else 0
        self.asked.write_text("x" * (count + 1))
        return self.times[min(count, len(self.times) - 1)]
