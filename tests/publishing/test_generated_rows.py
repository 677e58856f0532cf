"""Made-up rows of a table's definition: events of its contract, the same for a seed, and with an answer to learn."""

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import pytest
from threadpoolctl import threadpool_limits

from brigade.events.event import NotAnEvent, read_event
from brigade.pipelines.load import load
from brigade.publishing.generated_rows import generated_rows
from tests.conftest import ROOT
from tests.publishing.door import run, write
from tests.publishing.test_fields import DEFINITION

ALL_TYPES = """\
name: parts
model_prefix: parts-model
event:
  id: key.id
  time: key.at
  fields:
    key.id: {type: string, required: true}
    key.at: {type: timestamp, required: true}
    size.width: {type: number, required: true, column: Width}
    size.count: integer
    Maker: {type: string, required: true}
    is_new: boolean
    note: text
    more: json
    tags: {type: list, required: true, items: {name: json}}
    made: {type: timestamp, required: true}
    broken: ANSWER
query: SELECT key.id AS eventId, *, date_format(key.at, 'yyyy-MM-dd') AS dt FROM events
model: {kind: table, task: classification, label: broken, features: [width, count, maker, is_new]}
"""
NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def definition(folder):
    """The definition of a name, or of a text."""

    def of(name):
        return load(name if "\n" not in name else str(write(folder, "own.yaml", name)))

    return of


def all_types(answer: str) -> str:
    return ALL_TYPES.replace("ANSWER", answer)


def named(pipeline: str) -> str:
    """A test's id: the pipeline's name, and the type of the answer."""
    kind = pipeline.partition("broken: ")[2].partition("\n")[0]
    return pipeline.partition("\n")[0].removeprefix("name: ") + (kind and f" {kind}")


def classifier_f1(features: list[list], truth: list) -> tuple[float, float]:
    """The macro-F1 of gradient-boosted trees on the last quarter of the rows, and that of the commonest class."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import f1_score

    matrix, truth, cut = np.array(features, float), np.array(truth), len(truth) * 3 // 4
    with threadpool_limits(1):  # threads that wait for a busy machine take minutes
        model = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(matrix[:cut], truth[:cut])
    commonest = Counter(truth[:cut].tolist()).most_common(1)[0][0]
    guesses = model.predict(matrix[cut:]), np.full(len(truth) - cut, commonest)
    learned, majority = (f1_score(truth[cut:], guess, average="macro") for guess in guesses)
    return learned, majority


@pytest.mark.parametrize(
    "pipeline", ["wine", "sales", DEFINITION, *map(all_types, ("boolean", "integer", "string"))], ids=named
)
def test_every_row_is_an_event_of_its_contract(folder, definition, pipeline):
    one = definition(pipeline)
    name = pipeline if "\n" not in pipeline else folder / "own.yaml"
    done = run("--generate=400", f"--pipeline={name}", "--malformed=0", "--copies=0", "--dry_run")
    assert done.status == 0 and done.summary["published"] == 400 == len(done.lines)
    read = [read_event(line, contract=one.contract) for line in done.lines]
    assert len({orjson.dumps(event) for event in read}) == 400
    for path in one.contract.fields:
        values = [value_of(event, path.path) for event in read]
        assert any(value is not None for value in values), path.name
        assert None not in values or not path.required, path.name


def value_of(event: dict, path: tuple[str, ...]):
    for name in path:
        event = (event or {}).get(name)
    return event


@pytest.mark.parametrize("pipeline", ["wine", "sales"])
def test_a_seed_gives_the_same_rows_in_every_process_and_another_seed_others(pipeline):
    def told(seed, hash_seed):
        command = [sys.executable, "publisher.py", "--generate=300", f"--seed={seed}", f"--pipeline={pipeline}"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [*command, "--dry_run"], cwd=ROOT, env=environment, capture_output=True, check=True
        ).stdout

    def values(lines):
        found = [
            line.split(b",", 2) for line in lines.splitlines() if line.startswith(b'{"eventId"') and line[-1:] == b"}"
        ]
        return {id for id, *_ in found}, {own for *_, own in found}

    ids, own = values(told(1, "1"))  # without the times, which are another day's after midnight
    assert len(ids) > 290 and (ids, own) == values(told(1, "2"))
    other_ids, other_own = values(told(2, "1"))
    assert not ids & other_ids and not own & other_own


def test_a_good_wine_can_be_learned_from_its_measurements_but_not_too_easily(definition):
    wine = definition("wine")
    rows = list(generated_rows(wine, 4000, 1, NOW))
    good = [row["quality"] >= 7 for row in rows]
    assert 0.17 < np.mean(good) < 0.23 and {type(row["quality"]) for row in rows} == {int}
    assert {row["quality"] for row in rows} <= {*range(11)}
    colours = {name: number for number, name in enumerate(sorted({row.get("colour", "") for row in rows}))}
    numbers = [name for name in wine.model.features if name != "colour"]
    features = [[row.get(name, np.nan) for name in numbers] + [colours[row.get("colour", "")]] for row in rows]
    missing = np.isnan(np.array(features, float)).mean(axis=0)
    assert all(0.01 < share < 0.06 for share in missing[:-1])
    learned, majority = classifier_f1(features, good)
    assert majority < 0.5 and 0.75 < learned < 0.95


@pytest.mark.parametrize("answer", ["boolean", "integer", "number", "string"])
def test_a_label_that_is_a_field_can_be_learned(definition, answer):
    rows = list(generated_rows(definition(all_types(answer)), 3000, 1, NOW))
    truth = [str(row["broken"]) for row in rows]
    assert min(Counter(truth).values()) > 500 and len(set(truth)) == (2 if answer == "boolean" else 3)
    makers = {name: number for number, name in enumerate(sorted({row["Maker"] for row in rows}))}
    names = ["size.width", "size.count", "is_new"]
    features = [[row.get(name, np.nan) for name in names] + [makers[row["Maker"]]] for row in rows]
    learned, majority = classifier_f1(features, truth)
    assert learned > majority + 0.3


def test_what_the_query_makes_features_of_tells_the_label_too(definition):
    text = all_types("string").replace("features: [width, count, maker, is_new]", "features: [area]")
    rows = list(generated_rows(definition(text.replace("*,", "*, size.width * 2 AS area,")), 2000, 1, NOW))
    learned, majority = classifier_f1([[row["size.width"]] for row in rows], [row["broken"] for row in rows])
    assert learned > majority + 0.3


def test_times_go_back_from_today(definition):
    times = [datetime.fromisoformat(row["eventTimestamp"]) for row in generated_rows(definition("wine"), 300, 1, NOW)]
    assert times[0] == datetime(2026, 3, 4, tzinfo=UTC)
    assert {one - other for one, other in zip(times, times[1:], strict=False)} == {timedelta(minutes=10)}


def weekly(rows) -> dict[str, dict[datetime, float]]:
    found: dict[str, dict[datetime, float]] = {}
    for row in rows:
        found.setdefault(row["store"], {})[datetime.fromisoformat(row["eventTimestamp"])] = row["weekly_sales"]
    return found


def test_sales_are_weeks_of_each_store_without_a_gap_up_to_this_one(definition):
    rows = list(generated_rows(definition("sales"), 4000, 1, NOW))
    stores = weekly(rows)
    assert sum(map(len, stores.values())) == 4000 and len(stores) == 25
    assert list(stores)[:2] == ["store 1", "store 2"]
    for weeks in stores.values():
        assert {one - other for one, other in zip(list(weeks)[1:], weeks, strict=False)} == {timedelta(weeks=1)}
        assert max(weeks) == datetime(2026, 3, 2, tzinfo=UTC) and len(weeks) == 160


def test_a_week_later_the_same_weeks_have_the_same_ids_and_values(definition):
    first, second = (
        {row["eventId"]: row for row in generated_rows(definition("sales"), 1000, 1, NOW + timedelta(days=days))}
        for days in (0, 7)
    )
    assert len(first.keys() & second.keys()) == 1000 - 6
    assert all(first[id] == second[id] for id in first.keys() & second.keys())


def test_the_same_week_a_year_earlier_is_a_good_forecast_of_sales_and_a_model_a_better_one(definition):
    from sklearn.ensemble import HistGradientBoostingRegressor

    stores, week = weekly(generated_rows(definition("sales"), 4000, 1, NOW)), timedelta(weeks=1)
    table = []
    for weeks in stores.values():
        for time, sales in weeks.items():
            lags = [weeks.get(time - lag * week, np.nan) for lag in (12, 13, 51, 52, 53)]
            table.append([time.timestamp(), time.timetuple().tm_yday, *lags, np.mean(lags[2:]), sales])
    data = np.array([row for row in table if not np.isnan(row[:-1]).any()])
    is_test = data[:, 0] > data[:, 0].max() - 12 * week.total_seconds()
    model = HistGradientBoostingRegressor(loss="absolute_error", random_state=0)
    last_year, truth = data[:, 5], data[:, -1]
    with threadpool_limits(1):
        model.fit(data[~is_test, 1:-1], (truth / last_year)[~is_test])

    def wape(forecast, truth):
        return np.abs(forecast - truth).sum() / truth.sum()

    naive = wape(last_year[is_test], truth[is_test])
    learned = wape((model.predict(data[:, 1:-1]) * last_year)[is_test], truth[is_test])
    level = wape(np.full(is_test.sum(), truth[~is_test].mean()), truth[is_test])
    assert 0.03 < naive < 0.1 < level and learned < 0.9 * naive


@pytest.mark.parametrize("pipeline", ["wine", "sales", DEFINITION, all_types("number")], ids=named)
def test_copies_malformed_and_held_out_rows_add_up(folder, definition, pipeline):
    one = definition(pipeline)
    name = pipeline if "\n" not in pipeline else folder / "own.yaml"
    flags = ["--hold_out=0.25", f"--hold_out_file={folder}/held.jsonl", "--copies=7", "--malformed=18", "--dry_run"]
    done = run("--generate=400", f"--pipeline={name}", *flags)
    assert done.status == 0
    assert [done.summary[kind] for kind in ("read", "documents", "copies", "malformed")] == [425, 400, 7, 18]
    held = (folder / "held.jsonl").read_bytes().splitlines()
    assert len(held) == done.summary["held_out"] and 60 < len(held) < 140
    sent, reasons = [], Counter()
    for line in done.lines:
        try:
            read_event(line, contract=one.contract)
            sent.append(line)
        except NotAnEvent as problem:
            reasons[problem.reason] += 1
    assert len(sent) == 407 - len(held) and not set(sent) & set(held)
    assert len({*sent, *held}) == 400
    assert reasons.total() == 18 and reasons["malformed_json"] == 4
    assert {"wrong_type", "missing_field", "bad_timestamp", "not_an_object", "not_utf8"} <= reasons.keys()
    assert all(read_event(line, contract=one.contract) for line in held)


def test_documents_by_name_are_generated_as_without_a_pipeline(folder):
    without, by_name = (
        run("--generate=50", "--malformed=8", *flag, "--dry_run") for flag in ([], ["--pipeline=documents"])
    )
    assert len(without.lines) == len(by_name.lines) == 59

    def content(lines):
        return [line.partition(b'"eventId"')[2] or line for line in lines]

    assert content(without.lines) == content(by_name.lines)


def test_a_text_s_definition_of_its_own_has_no_made_up_rows(folder):
    text = all_types("string").replace("kind: table", "kind: text")
    text = text.replace("features: [width, count, maker, is_new]", "features: [note]")
    done = run("--generate=5", f"--pipeline={write(folder, 'own.yaml', text)}", "--dry_run")
    assert done.status == 2 and done.lines == []
    assert "--generate: expected a definition of kind table, found kind text in parts" in done.error
