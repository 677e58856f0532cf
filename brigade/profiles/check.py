"""The check before training: what is wrong with data that a model is about to learn.

Some rules look at the data alone, others set them beside those that the champion has learned. Data that look broken
are an error, which stops training. Data that have merely changed are a warning, since a model that learns them is the
cure; the definition may say otherwise.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from brigade.profiles.compare import differences
from brigade.profiles.profile import PREDICTION, Day, Profile
from brigade.profiles.rules import ONE_SOURCE, Rules

ERROR, WARNING, NOTHING = "error", "warning", "nothing"
ENOUGH = 10  # events to expect of what is said to be gone or new: by chance there is none of them once in 20,000 times
TYPES = {"number": "numbers", "value": "categories", "words": "texts"}  # aspects that tell what a column holds
BROKEN = ("presence", "damage")  # aspects of which more of the wrong kind is never meant
WRONG = {"presence": "missing or empty", "damage": "decoded wrongly"}
SOUND = {"presence": ("there",), "damage": ("fine",)}
MISSING = "missing"  # the bucket of no value
MOST_SHOWN = 5  # classes in a message


@dataclass(frozen=True)
class Problem:
    """What is wrong. severity: ERROR or WARNING. rule: which one found it. field: the column; "" for all events."""

    severity: str
    rule: str
    field: str
    message: str

    def about(self) -> dict:
        """The problem in JSON's types."""
        return {"severity": self.severity, "rule": self.rule, "field": self.field, "message": self.message}


def check(profile: Profile, champion: Profile | None, rules: Rules, repeated: float | None = None) -> list[Problem]:
    """What is wrong with the data, errors first.

    champion: the profile of what the champion has learned; None if there is none. repeated: the share of events that
    repeat another one; None if that is not known. Raises ProfileError if the two profiles cannot be compared.
    """
    now, before = profile.total(), champion.total() if champion else None
    found = [*alone(profile, now, rules, repeated), *source_problems(profile, now, before, rules)]
    if champion and before:
        columns = [*column_problems(now, before, rules)]
        found += [*columns, *class_problems(profile, champion, now, before, rules)]
        drift, known = drift_problems(profile, champion, now, before, rules), {one.field for one in columns}
        found += [one for one in drift if one.field not in known]
    told = [one for one in found if one.severity != NOTHING]
    return sorted(told, key=lambda one: one.severity != ERROR)


def errors(problems: list[Problem]) -> list[Problem]:
    """Those that stop training."""
    return [one for one in problems if one.severity == ERROR]


# ------------------------------------------------------------------------------------------- the data alone


def alone(profile: Profile, now: Day, rules: Rules, repeated: float | None) -> Iterator[Problem]:
    """What is wrong with the data, whatever was learned before: too few, too few labels, all the same."""
    events, section = profile.events, rules.section
    if events < section.least_events:
        yield Problem(ERROR, "least_events", "", f"expected at least {section.least_events:,} events, found {events:,}")
    if not events:
        return
    labelled = presence(now, rules.label)["there"] / events
    if labelled < section.least_labelled:
        expected = f"expected a label on at least {percent(section.least_labelled)} of the events"
        yield Problem(ERROR, "least_labelled", rules.label, f"{rules.label}: {expected}, found {percent(labelled)}")
    if repeated is not None and repeated > rules.most_repeated:
        expected = f"expected at most {percent(rules.most_repeated)} of the events to repeat others"
        yield Problem(ERROR, "most_duplicates", "", f"{expected}, found {percent(repeated)}")


def source_problems(profile: Profile, now: Day, before: Day | None, rules: Rules) -> Iterator[Problem]:
    """One source that gives nearly all: if the definition says how much it may give, or if it gave less before."""
    values = categories(now, rules.source)
    if not values:
        return
    (bucket, events), *_ = values.most_common(1)
    share, said = events / values.total(), rules.section.most_of_one_source
    most = ONE_SOURCE if said is None else said
    theirs = categories(before or {}, rules.source)
    former = theirs[bucket] / theirs.total() if theirs else None
    if share <= most or (said is None and (former is None or former > most)):
        return
    than = "" if former is None else f", {percent(former)} of what the champion has learned"
    name = named(profile, rules.source, bucket)
    told = f"expected at most {percent(most)} of the events from one source, found {percent(share)} from {name}{than}"
    yield Problem(ERROR, "most_of_one_source", rules.source, f"{rules.source}: {told}")


# ------------------------------------------------------------------------------- beside the champion's data


def column_problems(now: Day, before: Day, rules: Rules) -> Iterator[Problem]:
    """Columns that are gone, have no values any more, or hold something else."""
    learned = (*rules.features, rules.label)
    for field in sorted(before):
        severity = ERROR if field in learned else WARNING
        if field not in now:
            if presence(before, field):
                told = f"{field}: expected this column, as the champion's data have it, found none"
                yield Problem(WARNING, "columns", field, told)
            continue
        then, here = presence(before, field), presence(now, field)
        if then.total() and not here["there"] and then["there"] / then.total() * here.total() >= ENOUGH:
            told = f"{field}: expected values, as {percent(then['there'] / then.total())} of the champion's events have"
            yield Problem(severity, "columns", field, f"{told}, found none")
            continue
        was, held = (kinds(one[field]) for one in (before, now))
        if was and held and was != held:
            told = f"{field}: expected {' and '.join(was)}, as in the champion's data, found {' and '.join(held)}"
            yield Problem(severity, "columns", field, told)


def class_problems(profile: Profile, champion: Profile, now: Day, before: Day, rules: Rules) -> Iterator[Problem]:
    """Classes that are no more, and those that are new."""
    if not rules.is_class:
        return
    label = rules.label
    then, here = categories(before, label), categories(now, label)
    if not then or not here:
        return
    gone = [key for key in then if not here[key] and enough(then, key, here)]
    new = [key for key in here if not then[key] and enough(here, key, then)]
    if gone:
        told = f"{label}: expected the classes that the champion has learned, found none of"
        yield Problem(
            rules.section.vanished_class, "vanished_class", label, f"{told} {some(gone, then, champion, label)}"
        )
    if new:
        told = f"{label}: expected the classes that the champion has learned, found new ones:"
        yield Problem(rules.section.new_class, "new_class", label, f"{told} {some(new, here, profile, label)}")


def some(keys: list[str], counts: Counter[str], profile: Profile, field: str) -> str:
    """Classes with their events, the commonest first, and how many more there are."""
    keys = sorted(keys, key=lambda key: (-counts[key], key))
    names = [f"{named(profile, field, key)} ({counts[key]:,} of {counts.total():,})" for key in keys[:MOST_SHOWN]]
    return ", ".join(names) + (f" and {len(keys) - MOST_SHOWN} more" if len(keys) > MOST_SHOWN else "")


def enough(counts: Counter[str], key: str, other: Counter[str]) -> bool:
    """Whether a bucket has so many events that the other data would have some too, were they alike."""
    return counts[key] >= ENOUGH and counts[key] / counts.total() * other.total() >= ENOUGH


def drift_problems(profile: Profile, champion: Profile, now: Day, before: Day, rules: Rules) -> Iterator[Problem]:
    """Strong drift, which is an error where a feature has more of what is broken. What the model makes of the data
    is left out: that of the new ones is not known yet."""
    for one in differences(without_model(champion), without_model(profile), rules.thresholds):
        if one.severity != ERROR:
            continue
        shares = [sound(found.get(one.field, {}), one.aspect) for found in (before, now)]
        broken = one.aspect in BROKEN and one.field in rules.features and shares[1] < shares[0]
        told = f"{one.field}: {one.aspect} differs from the champion's data, stability index {one.psi:.2f}"
        if one.aspect in BROKEN:
            told += f", {percent(1 - shares[0])} {WRONG[one.aspect]} before and {percent(1 - shares[1])} now"
        severity = ERROR if broken and rules.section.drift != NOTHING else rules.section.drift
        yield Problem(severity, "drift", one.field, told)


# ------------------------------------------------------------------------------------------------- counts


def without_model(profile: Profile) -> Profile:
    """The profile without what a model makes of the events."""
    days = {
        day: {
            name: {aspect: found for aspect, found in aspects.items() if aspect != "unknown"}
            for name, aspects in fields.items()
            if name != PREDICTION
        }
        for day, fields in profile.days.items()
    }
    return Profile(days, profile.names, profile.sampled)


def categories(fields: Day, field: str) -> Counter[str]:
    """How many events a column's values have, those without one left out."""
    found = fields.get(field, {}).get("value", Counter())
    return Counter({key: count for key, count in found.items() if key != MISSING})


def presence(fields: Day, field: str) -> Counter[str]:
    return fields.get(field, {}).get("presence", Counter())


def sound(aspects: dict[str, Counter[str]], aspect: str) -> float:
    """The share of events of which the aspect says nothing bad; 1 if there are none."""
    found = aspects.get(aspect, Counter())
    return sum(found[key] for key in SOUND.get(aspect, ())) / found.total() if found else 1.0


def kinds(aspects: dict[str, Counter[str]]) -> list[str]:
    """What a column holds."""
    return [told for aspect, told in TYPES.items() if aspects.get(aspect)]


def named(profile: Profile, field: str, bucket: str) -> str:
    """The category of a bucket, as far as its name is kept."""
    name = profile.names.get(field, {}).get(bucket)
    return repr(name) if name is not None else "one without a name"


def percent(share: float) -> str:
    """A share, with as many digits as tell it from none and from all."""
    text = f"{100 * share:.1f}"
    if text in ("0.0", "100.0") and share not in (0.0, 1.0):
        return "less than 0.1 %" if text == "0.0" else "more than 99.9 %"
    return f"{text.removesuffix('.0')} %"
