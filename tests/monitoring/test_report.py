"""The report: what comes first, what is escaped, and that it needs nothing beside it."""

from collections import Counter

import pytest

from brigade.monitoring.agreement import performance
from brigade.monitoring.findings import Touched, findings_of, verdict
from brigade.monitoring.report import report
from brigade.profiles.compare import differences
from brigade.profiles.profile import Profile
from brigade.profiles.thresholds import Thresholds
from tests.monitoring.made_up_days import DAYS, NAMES, agreement
from tests.training.parsed_page import Page

EVIL = "<script>alert(1)</script>"


def page(names: dict[str, str] = NAMES) -> str:
    source = {"eventSource": {"7": EVIL, "8": "doc.mail"}}
    reference = Profile({DAYS[0]: {"eventSource": {"value": Counter({"8": 5000, "7": 5000})}}}, source)
    current = Profile({day: {"eventSource": {"value": Counter({"8": 20, "7": 180})}} for day in DAYS[:7]}, source)
    drifted = differences(reference, current, Thresholds())
    usual = agreement(a_a=90, b_b=90, a_b=10, b_a=10)
    bad = dict.fromkeys(DAYS[:7], agreement(a_a=50, b_b=50, a_b=50, b_a=50))
    decayed = performance(usual["prediction"]["agreement"], bad, names, 0.001)
    touched = {("eventSource", "value", drifted[0].grown): Touched((EVIL, "e2"), 0.25)}
    findings = findings_of(drifted, decayed, None, touched)
    assert {one["kind"] for one in findings} == {"drift", "decay"}
    found = {
        "model": {"name": "doc-classification-model-2026-11-01", "runId": "r1"},
        "createdAt": "2026-11-08T03:00:00Z",
        "window": {"since": DAYS[0], "until": DAYS[6]},
        "events": 1400,
        "labelled": 1400,
        "verdict": verdict(findings),
        "performance": decayed.about(),
        "former": None,
        "findings": findings,
    }
    return report(found, decayed, drifted, reference, current)


def test_the_performance_comes_first_and_pictures_before_tables():
    text = page()
    places = [text.index(one) for one in ("Is the model still right?", "accuracy fell", "What changed in the data?")]
    assert places == sorted(places)
    assert text.index("<svg") < text.index("<table") and text.index("All findings") < text.rindex("<table")


def test_what_comes_from_the_data_is_escaped():
    text = page(NAMES | {"a": EVIL})
    assert EVIL not in text and text.count("&lt;script&gt;") >= 3


def test_the_page_needs_nothing_beside_it_and_is_whole():
    text = page()
    assert "http" not in text.replace("http-equiv", "") and "src=" not in text
    assert Page(text).all("h1")


@pytest.mark.parametrize("word", ["None", "nan", "undefined", "Undefined"])
def test_nothing_is_said_of_what_is_not_known(word):
    assert word not in page()
