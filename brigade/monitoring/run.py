"""One look: what landed since the last one → its profile → drift, decay, the former model → findings and a report.

input ─► profile ─┬─► compared with the serving model's ──────────┐
                  └─► labels beside predictions, by day ──────────┼─► findings.json, report.html
          the former model on the same labelled events ──────────┘
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from pyspark.sql import DataFrame, SparkSession

from brigade.conversion.folder import place_of
from brigade.conversion.input_files import holds_files
from brigade.errors import one_line
from brigade.models.manifest import DOCUMENTS_PREFIX, PassedOver, split_name, utc_now
from brigade.models.table_model import TableModel
from brigade.models.verification import read_checked
from brigade.monitoring import agreement, amounts
from brigade.monitoring.findings import (
    ERROR,
    FINDINGS_FILE,
    FORMAT_VERSION,
    WARNING,
    Touched,
    findings_of,
    verdict,
)
from brigade.monitoring.former import Former, former_of
from brigade.monitoring.looks import FOLDER, Days, earlier_looks, labelled_before, window_of
from brigade.monitoring.performance import SHARE, Performance
from brigade.monitoring.report import REPORT_FILE, report
from brigade.monitoring.touched import Marked, touched_by
from brigade.monitoring.volume import Volume, volume
from brigade.paths import check_apart, sibling
from brigade.pipelines.definition import Definition
from brigade.prediction.input import Input, has_query, on_days, open_input
from brigade.prediction.model import Chosen, choose
from brigade.profiles.check import check, errors
from brigade.profiles.compare import Difference, differences
from brigade.profiles.measure import profile_of, rows_of
from brigade.profiles.profile import PREDICTION, PROFILE_FILE, Buckets, Day, Profile, ProfileError
from brigade.profiles.rules import Rules, rules_of
from brigade.profiles.watched import Watched, watched_in
from brigade.spark import separate_session
from brigade.storage import Folder, folder_at
from brigade.training.tables.columns import queried

log = logging.getLogger("monitor")

MOST_WITH_EXAMPLES = 20  # findings whose events are looked for


@dataclass(frozen=True)
class Seen:
    """The events of a look's days, their profile, and how it was measured. before: the days of earlier looks at the
    same model."""

    events: DataFrame
    profile: Profile
    watched: Watched
    before: dict[str, Day]

    @property
    def labelled(self) -> int:
        """How many events have a label."""
        return self.profile.total().get(self.watched.label, {}).get("presence", Buckets())["there"]


@dataclass(frozen=True)
class Judged:
    """What is said of the events. validation: what the check before training would say of a training now."""

    drifted: list[Difference]
    decayed: Performance | None
    amount: Volume | None
    touched: Mapping[tuple[str, str], Touched]
    former: Former | None
    validation: dict | None


def monitor(
    spark: SparkSession,
    input_path: str,
    models_uri: str,
    output_path: str,
    *,
    prefix: str = DOCUMENTS_PREFIX,
    definition: Definition | None = None,
    since: date | None = None,
    days: Days | None = None,
    parquet_path: str | None = None,
) -> dict:
    """Looks at the events below `input_path` and writes `<output_path>/monitor/YYYY-MM-DD/`.

    models_uri: the folder of the dated models; the latest promoted one of the prefix is looked at. definition: whose
    thresholds hold; None: the model's. since, days: see `looks.window_of`. parquet_path: where landed JSON is converted
    into; None: beside the input.
    Returns the summary. Raises a BrigadeError; there are no findings.json then.
    """
    places = {"input": place_of(spark, input_path), "models": place_of(spark, models_uri)}
    places["output"] = place_of(spark, f"{output_path.rstrip('/')}/{FOLDER}")
    if not holds_files(spark, places["input"], ".parquet"):
        places["parquet"] = place_of(spark, parquet_path or sibling(input_path, "parquet"))
    check_apart(places)
    chosen = choose(spark, models_uri, prefix, None)
    models, output = folder_at(models_uri), folder_at(output_path)
    with separate_session(spark, {}) as session:
        source = open_input(session, places["input"], places.get("parquet"), chosen.definition)
        reference = reference_of(models, chosen)
        looks = earlier_looks(output, prefix)
        window = window_of(days, since, looks, learned_until(chosen, reference))
        events = events_of(source, chosen, window)
        seen = see(session, events, chosen, lambda first: labelled_before(output, looks, run_of(chosen), first))
        judged = judge(session, seen, chosen, reference, models, prefix, definition or chosen.definition)
    about = {"pipeline": prefix, "window": span(window, seen.profile)}
    document, page = told(about, chosen, seen, judged, reference)
    folder = f"{FOLDER}/{document['createdAt'][:10]}"
    output.write(f"{folder}/{PROFILE_FILE}", seen.profile.text().encode())
    output.write(f"{folder}/{REPORT_FILE}", page.encode())
    output.write(f"{folder}/{FINDINGS_FILE}", json.dumps(document, ensure_ascii=False, indent=1).encode())
    return summary_of(document) | {"path": f"{output_path.rstrip('/')}/{folder}"}


def run_of(chosen: Chosen) -> tuple[str, str]:
    """The name and the run of the model that is looked at."""
    return chosen.served.name, chosen.served.manifest.run_id


def reference_of(models: Folder, chosen: Chosen) -> Profile | None:
    """The profile of what the model has learned; None with a warning if it has none: an older version trained it."""
    served = chosen.served
    try:
        if PROFILE_FILE not in served.manifest.files:
            raise PassedOver(f"the model has no {PROFILE_FILE}; train again to have one")
        return Profile.of(read_checked(models, served.name, served.manifest, PROFILE_FILE))
    except (PassedOver, ProfileError) as problem:
        log.warning("nothing to compare with, %s: %s", served.name, one_line(problem))
        return None


def learned_until(chosen: Chosen, reference: Profile | None) -> date | None:
    """The last day of what the model has learned; None if that is not known.

    Training counts the documents by the day on which they landed, and the rows of a table by their own time. So of a
    table it is the day of the training.
    """
    if isinstance(chosen.served.model, TableModel):
        return split_name(chosen.served.name)[1]
    return date.fromisoformat(max(reference.days)) if reference and reference.days else None


def events_of(source: Input, chosen: Chosen, window: Days) -> DataFrame:
    """The events of the window, each once; of a table with a second query the rows that this makes of all events."""
    events = source.events if source.is_unique else source.events.dropDuplicates(["eventId"])
    if has_query(chosen) and chosen.definition:
        rows = queried(events, chosen.definition.model)
        events = rows if "dt" in rows.columns else rows.join(events.select("eventId", "dt"), "eventId")
    return on_days(events, window)


def see(spark: SparkSession, events: DataFrame, chosen: Chosen, before: Callable[[str], dict[str, Day]]) -> Seen:
    """What the events look like, and what the model makes of them. before: see Seen, given the first day."""
    model = chosen.served.model
    watched = watched_in(events.schema, chosen.definition, model, label=chosen.served.manifest.label)
    profile = profile_of(spark, events, chosen.definition, model, watched=watched)
    log.info("%d events of %d days", profile.events, len(profile.days))
    return Seen(events, profile, watched, before(min(profile.days, default="")))


def judge(
    spark: SparkSession,
    seen: Seen,
    chosen: Chosen,
    reference: Profile | None,
    models: Folder,
    prefix: str,
    definition: Definition | None,
) -> Judged:
    """What is said of the events. definition: whose thresholds and rules hold."""
    rules = rules_of(definition, seen.watched.label)
    thresholds = rules.thresholds
    drifted = differences(reference, seen.profile, thresholds) if reference else []
    drifted = [replace(one, severity=WARNING) if is_late(one, seen.watched) else one for one in drifted]
    decayed = performance(chosen, reference, seen, SHARE * thresholds.alpha)
    former = None
    if decayed:
        sampled = seen.profile.sampled
        former = former_of(spark, seen.events, models, prefix, chosen.served, seen.watched, sampled)
    return Judged(
        drifted,
        decayed,
        volume(reference, seen.profile, thresholds.alpha) if reference and seen.watched.text else None,
        touch(spark, seen, chosen, reference, drifted, decayed),
        former,
        validation_of(reference, seen, rules) if reference else None,
    )


def is_late(one: Difference, watched: Watched) -> bool:
    """Whether labels are what is missing: they come later than the events, so it is never worth an error."""
    return (one.field, one.aspect) == (watched.label, "presence")


def validation_of(reference: Profile, seen: Seen, rules: Rules) -> dict:
    """What the check before training would say of a training now: it learns what the model has learned, and what has
    come since."""
    since = Profile(seen.before | seen.profile.days, seen.profile.names, reference.sampled)
    stopped = errors(check(reference + since, reference, rules))
    return {"stops": bool(stopped), "reasons": [one.message for one in stopped]}


def span(window: Days, profile: Profile) -> dict[str, str]:
    """The first and the last day that were looked at: those with events, where the window is open."""
    first, last = min(profile.days, default=None), max(profile.days, default=None)
    since = str(window[0]) if window[0] != date.min else first or str(datetime.now(UTC).date())
    until = str(window[1]) if window[1] != date.max else max(last or since, since)
    return {"since": since, "until": until}


def performance(chosen: Chosen, reference: Profile | None, seen: Seen, alpha: float) -> Performance | None:
    """How right the model is about labelled events, those of earlier looks with them."""
    days, model = seen.before | seen.profile.days, chosen.served.model
    own = reference.total() if reference else {}
    if isinstance(model, TableModel) and model.task == "regression":
        return amounts.performance(own, days, alpha)
    names = (reference.names.get(PREDICTION, {}) if reference else {}) | seen.profile.names.get(PREDICTION, {})
    return agreement.performance(own.get(PREDICTION, {}).get(agreement.ASPECT), days, names, alpha)


def touch(
    spark: SparkSession,
    seen: Seen,
    chosen: Chosen,
    reference: Profile | None,
    drifted: list[Difference],
    decayed: Performance | None,
) -> dict[tuple[str, str], Touched]:
    """The events of each finding; nothing is read if there is none."""
    first = min(seen.profile.days, default="")
    wanted = [Marked(one.field, one.aspect, one.grown, one.since or first) for one in drifted]
    for one in decayed.worse if decayed else ():
        if one.aspect not in [other.aspect for other in wanted if other.field == PREDICTION]:
            wanted.append(Marked(PREDICTION, one.aspect, one.grown, max(one.since, first)))
    if not wanted or reference is None:
        return {}
    rows = rows_of(
        spark,
        seen.events,
        chosen.definition,
        chosen.served.model,
        watched=seen.watched,
        sampled=seen.profile.sampled,
    )
    found = touched_by(rows, wanted[:MOST_WITH_EXAMPLES], reference)
    whole = {(one.field, one.aspect): one.distance for one in drifted if one.field == PREDICTION}
    return {key: replace(one, effect=whole.get(key, one.effect)) for key, one in found.items()}


def told(about: dict, chosen: Chosen, seen: Seen, judged: Judged, reference: Profile | None) -> tuple[dict, str]:
    """The content of findings.json and of the report; logs a line a finding. about: `pipeline` and `window`."""
    findings = findings_of(judged.drifted, judged.decayed, judged.amount, judged.touched)
    name, run_id = run_of(chosen)
    document = {
        "formatVersion": FORMAT_VERSION,
        "pipeline": about["pipeline"],
        "createdAt": utc_now(),
        "model": {"name": name, "runId": run_id},
        "window": about["window"],
        "events": seen.profile.events,
        "labelled": seen.labelled,
        "verdict": verdict(findings),
        "performance": judged.decayed and judged.decayed.about(),
        "former": judged.former and judged.former.about(),
        "validation": judged.validation,
        "findings": findings,
    }
    for one in findings:
        level = logging.ERROR if one["severity"] == ERROR else logging.WARNING
        log.log(level, "finding: %s, %s: %s", one["severity"], one["kind"], one["message"])
    return document, report(document, judged.decayed, judged.drifted, reference, seen.profile)


def summary_of(document: dict) -> dict:
    """The summary line of a look."""
    kept = ("pipeline", "model", "window", "events", "labelled", "verdict")
    summary = {key: document[key] for key in kept}
    for name, severity in (("errors", ERROR), ("warnings", WARNING)):
        summary[name] = sum(one["severity"] == severity for one in document["findings"])
    if found := document["performance"]:
        summary[found["metric"]] = found["now"]["value"]
    return summary
