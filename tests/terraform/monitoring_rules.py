"""What Cloud Monitoring takes: which aligner and reducer fit a metric, and which labels a metric and a resource have.

The metrics and resources themselves, each with its page, are in google_metrics.json.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import promql_parser

DOCUMENTED = json.loads((Path(__file__).parent / "google_metrics.json").read_text())
RESOURCES: dict[str, dict] = DOCUMENTED["resources"]

NUMBERS = {"INT64", "DOUBLE"}
# https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#Aligner:
# kinds, value types, and the aligned value's type, None if it stays.
ALIGNERS: dict[str, tuple[set[str], set[str], str | None]] = {
    "ALIGN_DELTA": ({"DELTA", "CUMULATIVE"}, NUMBERS | {"DISTRIBUTION"}, None),
    "ALIGN_RATE": ({"DELTA", "CUMULATIVE"}, NUMBERS, "DOUBLE"),
    "ALIGN_MAX": ({"GAUGE", "DELTA"}, NUMBERS, None),
    "ALIGN_MEAN": ({"GAUGE", "DELTA"}, NUMBERS, "DOUBLE"),
    "ALIGN_SUM": ({"GAUGE", "DELTA"}, NUMBERS | {"DISTRIBUTION"}, None),
    "ALIGN_PERCENTILE_99": ({"GAUGE", "DELTA"}, {"DISTRIBUTION"}, "DOUBLE"),
    "ALIGN_PERCENTILE_50": ({"GAUGE", "DELTA"}, {"DISTRIBUTION"}, "DOUBLE"),
}
# …#Reducer: likewise, of aligned values.
REDUCERS: dict[str, tuple[set[str], str | None]] = {
    "REDUCE_NONE": (NUMBERS | {"DISTRIBUTION"}, None),
    "REDUCE_MAX": (NUMBERS, None),
    "REDUCE_SUM": (NUMBERS | {"DISTRIBUTION"}, None),
    "REDUCE_MEAN": (NUMBERS | {"DISTRIBUTION"}, "DOUBLE"),
}
# PromQL's functions over a range, and the kind of metric that each is for.
OVER_RANGES = {"max_over_time": "GAUGE", "min_over_time": "GAUGE", "increase": "DELTA", "rate": "DELTA"}
TERM = re.compile(
    r'(?:(metric|resource)\.type = "([^"]+)"'
    r'|(metric|resource)\.labels\.(\w+) (?:=|!=) ("[^"]*"|one_of\("[^"]*"(?:, "[^"]*")*\)|starts_with\("[^"]*"\)))'
)


class Unreadable(Exception):
    """A filter that is not of the form that is used here; the message says which term."""


@dataclass(frozen=True)
class Asked:
    """One question to Cloud Monitoring. labels: (metric or resource, name, values). aggregation: None in PromQL."""

    where: str
    metric: str
    resource: str
    labels: tuple[tuple[str, str, tuple[str, ...]], ...]
    aggregation: Mapping | None
    function: str | None = None


def filtered(where: str, text: str, aggregation: Mapping) -> Asked:
    """The question of a filter and an aggregation. Raises Unreadable."""
    types: dict[str, str] = {}
    labels = []
    for term in text.split(" AND "):
        match = TERM.fullmatch(term)
        if not match:
            raise Unreadable(f"{where}: expected a type or a label and its value, found {term}")
        if match[1]:
            types[match[1]] = match[2]
        else:
            labels.append((match[3], match[4], tuple(re.findall(r'"([^"]*)"', match[5]))))
    if types.keys() != {"metric", "resource"}:
        raise Unreadable(f"{where}: expected the metric's type and the resource's, found {sorted(types)}")
    return Asked(where, types["metric"], types["resource"], tuple(labels), aggregation)


def in_promql(where: str, query: str) -> list[Asked]:
    """The questions of a PromQL expression, one for each of its selectors. Raises Unreadable."""
    try:
        expression = promql_parser.parse(query)
    except ValueError as error:
        raise Unreadable(f"{where}: {error}") from None
    found = []
    for function, selector in selectors(expression, None):
        matchers = [(matcher.name, matcher.value) for matcher in selector.matchers.matchers]
        names = dict(matchers)
        labels = tuple(
            ("any", name, (value,)) for name, value in matchers if name not in ("__name__", "monitored_resource")
        )
        found.append(
            Asked(where, names.get("__name__", ""), names.get("monitored_resource", ""), labels, None, function)
        )
    return found


def selectors(node: object, function: str | None) -> Iterator[tuple[str | None, promql_parser.VectorSelector]]:
    """The selectors below a node of the tree, each with the function around its range."""
    if isinstance(node, promql_parser.VectorSelector):
        yield function, node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield function, node.vector_selector
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from selectors(argument, node.func.name)
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from selectors(node.lhs, None)
        yield from selectors(node.rhs, None)
    elif isinstance(node, (promql_parser.AggregateExpr, promql_parser.ParenExpr)):
        yield from selectors(node.expr, None)
    elif not isinstance(node, promql_parser.NumberLiteral):
        raise Unreadable(f"expected an expression that the tests know, found {type(node).__name__}")


def problems(asked: Asked, own: Mapping[str, Mapping]) -> list[str]:
    """What Cloud Monitoring would not take or never answer. own: the log-based metrics, as google_metrics.json has
    others."""
    metric = DOCUMENTED["metrics"].get(asked.metric) or own.get(asked.metric)
    if metric is None:
        return [f"{asked.where}: {asked.metric}: neither a documented metric nor one of ours"]
    found = []
    if asked.resource not in metric["resources"]:
        found.append(f"{asked.metric}: expected one of {metric['resources']}, found {asked.resource}")
    known = {"metric": metric["labels"], "resource": RESOURCES.get(asked.resource, {}).get("labels", [])}
    known["any"] = known["metric"] + known["resource"]
    for side, name, _ in asked.labels:
        if name not in known[side]:
            found.append(f"{asked.metric}: expected a label of {known[side]}, found {name}")
    if asked.aggregation is None:
        if asked.function and OVER_RANGES.get(asked.function) != metric["kind"]:
            found.append(f"{asked.metric}: {asked.function} is not for a {metric['kind']}")
    else:
        found += misfits(metric, asked.aggregation)
        for field in asked.aggregation.get("groupByFields", ()):
            side, _, name = field.partition(".label.")
            if name not in known.get(side, ()):
                found.append(f"{asked.metric}: groups by {field}, which it does not have")
    return [f"{asked.where}: {problem}" for problem in found]


def misfits(metric: Mapping, aggregation: Mapping) -> Iterator[str]:
    aligner, reducer = aggregation["perSeriesAligner"], aggregation.get("crossSeriesReducer", "REDUCE_NONE")
    if aligner not in ALIGNERS or reducer not in REDUCERS:
        yield f"expected an aligner and a reducer that the tests know, found {aligner} and {reducer}"
        return
    kinds, types, aligned = ALIGNERS[aligner]
    if metric["kind"] not in kinds or metric["type"] not in types:
        yield f"{aligner} is not for a {metric['kind']} of {metric['type']}"
    if (aligned or metric["type"]) not in REDUCERS[reducer][0]:
        yield f"{reducer} is not for what {aligner} gives"
    if (REDUCERS[reducer][1] or aligned or metric["type"]) not in NUMBERS:
        yield f"{aligner} and {reducer} give a distribution, which is no line and has no threshold"
    if seconds(aggregation["alignmentPeriod"]) not in range(60, 25 * 3600 + 1, 60):
        yield f"alignment period: expected whole minutes up to 25 hours, found {aggregation['alignmentPeriod']}"


def seconds(duration: str) -> int:
    """Of "300s"."""
    match = re.fullmatch(r"(\d+)s", duration)
    if not match:
        raise Unreadable(f"expected seconds such as 300s, found {duration}")
    return int(match[1])
