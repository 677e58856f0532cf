"""The dashboard: that the API takes it, that it is laid out as it should be, and that its lines are the alarms'."""

import json
import re

import pytest
from google.cloud.monitoring_dashboard_v1.types import Dashboard
from google.protobuf.json_format import ParseDict, ParseError

from tests.terraform.monitoring_plan import ALARMS, dashboard, planned
from tests.terraform.terraform_run import Plan


@pytest.fixture(scope="module")
def values(terraform) -> Plan:
    return planned(terraform)


def tiles_of(values: Plan) -> list[dict]:
    return [{"xPos": 0, "yPos": 0} | tile for tile in dashboard(values)["mosaicLayout"]["tiles"]]


def test_the_dashboard_says_nothing_that_the_api_leaves_out_of_its_answer(values):
    """Google answers without what is 0; Google's provider would put it back in every plan, which never ends.
    https://github.com/hashicorp/terraform-provider-google/issues/24650"""
    (body,) = values.all_of("google_monitoring_dashboard")
    assert left_out(json.loads(body["dashboard_json"]), dashboard(values)) == []


def left_out(written: object, answered: object, where: str = "") -> list[str]:
    """Where something is written that an answer does not have, or has otherwise; what is in the answer alone, the
    provider passes over."""
    if isinstance(written, dict) and isinstance(answered, dict):
        return [one for key, value in written.items() for one in left_out(value, answered.get(key), f"{where}.{key}")]
    if isinstance(written, list) and isinstance(answered, list) and len(written) == len(answered):
        pairs = enumerate(zip(written, answered, strict=True))
        return [one for number, (value, other) in pairs for one in left_out(value, other, f"{where}[{number}]")]
    return [] if written == answered else [f"{where}: {written}"]


def test_the_dashboard_fills_its_columns_and_no_tile_lies_on_another(values):
    columns = dashboard(values)["mosaicLayout"]["columns"]
    places = [
        (x, y)
        for tile in tiles_of(values)
        for x in range(tile["xPos"], tile["xPos"] + tile["width"])
        for y in range(tile["yPos"], tile["yPos"] + tile["height"])
    ]
    assert len(set(places)) == len(places) and {x for x, _ in places} == set(range(columns)) == set(range(48))


def test_the_dashboard_follows_the_data_from_publication_to_classification(values):
    ordered = sorted(tiles_of(values), key=lambda tile: (tile["yPos"], tile["xPos"]))
    texts = [tile["widget"] for tile in ordered if "text" in tile["widget"]]
    assert [text["title"] for text in texts] == [
        "Brigade",
        "1 · Published",
        "2 · Landed",
        "3 · Trained",
        "4 · Classified",
        "5 · How well it serves",
        "6 · How right it is, and what is left over",
        "7 · Is it still the same",
    ]
    assert all("https://" in text["text"]["content"] for text in texts)
    assert "PROJECT_ID" not in json.dumps(ordered)
    for tile in ordered:
        assert len(tile["widget"].keys() & {"text", "xyChart", "incidentList"}) == 1, tile["widget"].get("title")
        for data_set in tile["widget"].get("xyChart", {}).get("dataSets", []):
            assert data_set["legendTemplate"]


def test_each_red_line_is_where_an_alarm_begins(values):
    thresholds = {metric: value for name in ALARMS for metric, value, _ in ALARMS[name]}
    days = int(ALARMS["old_model"][0][1].removeprefix("jsonPayload.modelAgeDays>="))
    thresholds["logging.googleapis.com/user/brigade_model_age_days"] = days
    drawn = 0
    for tile in tiles_of(values):
        chart = tile["widget"].get("xyChart", {})
        for line in chart.get("thresholds", []):
            query = chart["dataSets"][0]["timeSeriesQuery"]["timeSeriesFilter"]
            metric = re.search('metric.type = "([^"]+)"', query["filter"])[1]
            assert line.get("value", 0) == thresholds[metric], tile["widget"]["title"]
            drawn += 1
    assert drawn == 6


def test_a_word_that_the_dashboards_api_does_not_know_is_noticed(values):
    (body,) = values.all_of("google_monitoring_dashboard")
    for old, new in (("plotType", "plot"), ("STACKED_BAR", "BARS"), ("xPos", "x"), ("ALIGN_RATE", "ALIGN_RATES")):
        broken = body["dashboard_json"].replace(f'"{old}"', f'"{new}"')
        assert broken != body["dashboard_json"]
        with pytest.raises(ParseError):
            ParseDict(json.loads(broken), Dashboard.pb(Dashboard()))
