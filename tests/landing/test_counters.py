"""What landing counts, in Beam's metrics and in its own process."""

from collections import Counter
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from brigade.landing.counters import counted
from brigade.landing.pipeline import build
from tests.landing.landed import files, land_as_a_stream, message


def test_beam_s_metrics_count_every_message(tmp_path):
    sent = [message(number) for number in range(30)] + [message(30, data=b"no event"), message(31, data=b"[]")]
    pipeline = beam.Pipeline(runner=FnApiRunner())
    build(
        pipeline,
        beam.Create(sent, reshuffle=False),
        output_path=f"{tmp_path}/input",
        dead_letter_path=f"{tmp_path}/dead_letter",
        max_seconds=60,
        max_lines=20,
        max_bytes=1 << 20,
        num_shards=1,
    )
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("landing"))
    counters = {metric.key.metric.name: metric.result for metric in found["counters"]}
    size = sum(path.stat().st_size for path in files(tmp_path))
    dead_size = sum(path.stat().st_size for path in files(tmp_path, "dead_letter"))
    assert counters == {
        "received": 32,
        "landed": 30,
        "dead_lettered": 2,
        "dead_lettered_malformed_json": 1,
        "dead_lettered_not_an_object": 1,
        "files_landed": len(files(tmp_path)),
        "files_dead_lettered": 1,
        "bytes_landed": size,
        "bytes_dead_lettered": dead_size,
    }
    (delay,) = (one.result for one in found["distributions"] if one.key.metric.name == "publish_to_landed_ms")
    since = (datetime.now(UTC) - datetime(2026, 11, 1, 23, 59, tzinfo=UTC)).total_seconds() * 1000
    assert since - 60_000 < delay.min <= delay.max < since + 60_000


def test_what_any_step_counts_is_in_the_local_summary(tmp_path):
    """The local runner pickles the steps too, by reference: all of them count in one place."""
    before = Counter(counted())
    land_as_a_stream([*map(message, range(5)), message(5, data=b"no event")], tmp_path, max_lines=10)
    added = Counter(counted()) - before
    one_each = ("dead_lettered", "dead_lettered_malformed_json", "files_landed", "files_dead_lettered")
    assert {"received": 6, "landed": 5, **dict.fromkeys(one_each, 1)}.items() <= added.items()
