"""A small version of `benchmarks.monitoring_power`: faults are found, and chance alone raises no alarm."""

import pytest

from benchmarks.monitoring_draws import Decays, Looks
from benchmarks.monitoring_faults import Set
from benchmarks.monitoring_power import DOCUMENT, SOURCES, Sample, doubled_in, pool_of
from tests.monitoring.made_up_looks import QUICK
from tests.training.made_up_documents import texts
from tests.training.whole_runs import quick_training

pytestmark = pytest.mark.long
FRESH, DRAWS = 300, 20
OTHER = ("another template for every letter that is written here", "dear customer thank you for what you have sent")


@pytest.fixture(scope="module")
def sample() -> Sample:
    rows = [
        {"eventId": f"e{at}", "dt": "2026-11-01", "eventSource": SOURCES[at % 3], "superTag01": label, "payload": text}
        for at, (text, label) in enumerate(texts(2400, seed=3))
    ]
    about = Set("superTag01", text="payload", category="eventSource", renamed=SOURCES[2], other=OTHER)
    return Sample(about, DOCUMENT, rows[:600], rows[600:])


@pytest.fixture(scope="module")
def measured(spark, sample, tmp_path_factory) -> tuple:
    folder = tmp_path_factory.mktemp("power")
    with quick_training(folder / "scratch"):
        return pool_of(spark, sample, str(folder), **QUICK)


def test_faults_are_found_in_their_field(measured, sample):
    pool, faults = measured
    looks, fields = Looks(pool, FRESH), vars(sample.about)
    assert {"language", "cut", "html", "empty", "vocabulary", "new class", "category renamed"} <= faults.keys()
    for name, fault in faults.items():
        if name == "mojibake":  # these texts have nothing that could be decoded wrongly
            continue
        found = [looks.findings(name, fault.share) for _ in range(DRAWS)]
        named = sum(any(one["field"] == fields[fault.of] for one in findings) for findings in found)
        assert named >= 0.95 * DRAWS, (name, named)


def test_a_class_that_is_doubled_is_found(measured):
    pool, _ = measured
    looks = Looks(pool, FRESH)
    found = [looks.findings(doubled=doubled_in(pool)) for _ in range(DRAWS)]
    assert sum(any(one["field"] == "superTag01" for one in findings) for findings in found) >= 0.95 * DRAWS


def test_labels_that_go_wrong_are_a_decay_by_the_next_week(measured):
    decays = Decays(measured[0])
    found = [decays.findings(0.1, 300, 10, 17, 0.0) for _ in range(DRAWS)]
    assert sum(any(one["kind"] == "decay" for one in findings) for findings in found) >= 0.95 * DRAWS
    assert not any(decays.findings(0.0, 300, 10, 17, 0.0) for _ in range(DRAWS))


def test_two_years_of_weekly_looks_without_a_change_raise_no_alarm(measured):
    looks = Looks(measured[0], FRESH, seed=1)
    assert [found for found in (looks.findings() for _ in range(104)) if found] == []
