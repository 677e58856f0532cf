"""How the schedule's loop behaves over many weeks: the decisions of the trigger, with everything around them drawn.

    python -m benchmarks.loop centuries              100 years of weekly calls, findings at random, trainings that fail
    python -m benchmarks.loop histories              6,000 histories of a year: models that get worse and recover

A century counts trainings: each period has to have one regular training that succeeds, and at most one ahead of time.
A history counts withdrawals: the model that was withdrawn must have been the worse one in truth on the events that it
was judged by, and no two things may be done within a week. A table for people on standard error, one line of JSON on
standard output. Exit status 1 when a target is missed. It starts nothing and needs a minute.
"""

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from benchmarks.loop_world import World, binomial, worse_by_chance
from benchmarks.sessions import concluded, say
from brigade.models.better import is_better
from brigade.models.history import EARLY
from brigade.schedule.decision import decide
from brigade.schedule.findings import Finding, Findings, Former, Performance
from brigade.schedule.loop import QUIET, Run, Verdict, early_training, withdrawal

ANCHOR = date(2026, 1, 5)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
MOST_WRONG = 0.01


# ---------------------------------------------------------------------------------------------- a century of calls


def findings_at_random(chance: random.Random, now: datetime, run: Run, former: Run) -> Findings | None:
    """Findings of any kind, mostly fresh, mostly about the model that serves."""
    if chance.random() < 0.1:
        return None
    verdict = chance.choice(("ok", "ok", "drift", "decay"))
    severity = chance.choice(("error", "warning"))
    drift = (Finding(severity, "drift", "payload", "word", "m"),) if verdict == "drift" else ()
    counts = chance.randrange(60), chance.randrange(200)
    worse = verdict == "decay"
    return Findings(
        created_at=now - chance.choice((timedelta(hours=4), timedelta(hours=4), 7 * DAY, 20 * DAY)),
        run=run if chance.random() < 0.9 else ("another", "r"),
        events=1000,
        labelled=chance.choice((0, 100, 500)),
        verdict=verdict,
        performance=Performance("accuracy", 0.9, 0.8 if worse else 0.9, worse, 1e-6 if worse else 0.5),
        former=Former(former, *counts, is_better(*counts), chance.random() < 0.7),
        stopped_by=("a class vanished",) if chance.random() < 0.2 else (),
        findings=drift,
    )


def century(seed: int, years: int = 100) -> dict:
    """Weekly calls, some missing, and some on other days, with trainings of which a third fails. Returns counts."""
    chance = random.Random(seed)
    world = World(chance)
    regular, extra, actions = Counter[int](), Counter[int](), list[date]()
    succeeded = Counter[int]()
    called: set[int] = set()
    for number in range(-14, years * 365):
        now = datetime.combine(ANCHOR + number * DAY, time(6), UTC)
        today = now.date()
        if chance.random() > (0.85 if today.weekday() == 0 else 0.05):
            continue  # a call that does not come, or a day on which nobody calls by hand
        decision = decide(now, ANCHOR, world.days)
        number = decision.period.number
        succeeds = chance.random() < 0.66
        if decision.start:
            called.add(number)
            regular[number] += 1
            if succeeds:
                succeeded[number] += 1
                world.add(today, 0.9, promoted=chance.random() < 0.7)
            continue
        models = world.seen()
        if today < ANCHOR or models.serving is None:
            continue
        found = findings_at_random(chance, now, models.serving, models.former or ("none", "r"))
        back, early = withdrawal(now, found, models), early_training(now, decision.period, found, models)
        if back.would:
            actions.append(today)
            world.note("withdrawn", now, models.serving[0])
            world.serving()[0].promoted = False
        elif early.would:
            actions.append(today)
            extra[number] += 1
            world.note(EARLY, now, f"doc-classification-model-{today}")
            if succeeds:
                world.add(today, 0.9, promoted=chance.random() < 0.7)
    return {
        "periods": len(called),
        "regular": sum(regular.values()),
        "most regular that succeed in a period": max(succeeded.values()),
        "extra": sum(extra.values()),
        "most extra in a period": max(extra.values(), default=0),
        "actions": len(actions),
        "within a week": within_a_week(actions),
    }


def within_a_week(actions: list[date]) -> int:
    """How many of the actions came less than QUIET after the one before."""
    return sum(second - first < QUIET for first, second in zip(actions, actions[1:], strict=False))


# -------------------------------------------------------------------------------------------- histories of models


@dataclass
class Weather:
    """What happens to the events: by how much models are less right in a week, and how many events have labels."""

    kind: str
    chance: random.Random

    def loss(self, week: int, newest: bool) -> float:
        """What a model loses. newest: whether it is the one that was trained last."""
        if self.kind == "drift":  # all get worse, slowly
            return 0.003 * week
        if self.kind == "recovery":  # all are bad for a while
            return 0.15 if 10 <= week < 20 else 0.0
        if self.kind == "flapping":  # the newest is the worse one for two weeks, the better one for the next two
            return 0.06 if newest == (week // 2 % 2 == 0) else 0.0
        if self.kind == "bad model":
            return 0.12 if newest else 0.0
        return 0.0

    def labelled(self) -> int:
        """How many events between two looks have labels."""
        if self.kind == "missing labels":
            return self.chance.choice((0, 0, 5, 20, 60))
        return self.chance.randrange(100, 1250)


KINDS = ("noise", "drift", "recovery", "missing labels", "flapping", "bad model")


def look(world: World, weather: Weather, now: datetime, week: int) -> tuple[Findings | None, list[float]]:
    """What the monitoring finds between two looks, and how right the models that serve and served are in truth."""
    serving = world.serving()
    if not serving:
        return None, []
    newest = max(world.models, key=lambda one: one.name)
    true = [max(0.0, one.skill - weather.loss(week, one is newest)) for one in serving[:2]]
    events = weather.labelled()
    right = binomial(world.chance, events, true[0])
    p = worse_by_chance(serving[0].tested, right, events)
    worse = p < 0.001
    former = None
    if len(serving) > 1 and events:
        # Two models agree on most events; where they do not, the better one is right more often.
        differ = binomial(world.chance, events, abs(true[1] - true[0]) + 0.08)
        share = 0.5 + (true[1] - true[0]) / (2 * (abs(true[1] - true[0]) + 0.08))
        mine = binomial(world.chance, differ, share)
        as_right = worse_by_chance(serving[1].tested, binomial(world.chance, events, true[1]), events) > 0.01
        former = Former(serving[1].run, differ - mine, mine, is_better(differ - mine, mine), as_right)
    now_is = right / events if events else serving[0].tested
    performance = Performance("accuracy", serving[0].tested, now_is, worse, p) if events else None
    verdict = "decay" if worse else "ok"
    return Findings(now, serving[0].run, events, events, verdict, performance, former, (), ()), true


def history(kind: str, seed: int, weeks: int = 52) -> dict:
    """A year of looks at models, two a week, and of what follows. Returns counts."""
    chance = random.Random(f"{kind} {seed}")
    world, weather = World(chance), Weather(kind, chance)
    world.add(ANCHOR - 8 * WEEK, chance.uniform(0.8, 0.95))
    world.add(ANCHOR - 4 * WEEK, chance.uniform(0.8, 0.95))
    actions: list[date] = []
    withdrawn = wrong = extras = 0
    for half in range(2 * weeks):
        week, later = half // 2, half % 2 * 3 * DAY
        now = datetime.combine(ANCHOR + week * WEEK + later, time(6), UTC)
        today = now.date()
        decision = decide(now, ANCHOR, world.days)
        if decision.start:
            best = world.serving()[0].skill if world.serving() else 0.8
            skill = min(0.99, max(0.5, best + chance.uniform(-0.03, 0.03)))
            world.add(today, skill, promoted=skill > best - 0.01)
            continue
        found, true = look(world, weather, now, week)
        models = world.seen()
        back: Verdict = withdrawal(now, found, models)
        if back.would:
            actions.append(today)
            withdrawn += 1
            wrong += true[0] >= true[1]
            world.note("withdrawn", now, world.serving()[0].name)
            world.serving()[0].promoted = False
        elif early_training(now, decision.period, found, models).would:
            actions.append(today)
            extras += 1
            world.note(EARLY, now, f"doc-classification-model-{today}")
            best = world.serving()[0].skill
            world.add(today, best, promoted=chance.random() < 0.5)
    return {"withdrawn": withdrawn, "wrong": wrong, "extras": extras, "within a week": within_a_week(actions)}


# --------------------------------------------------------------------------------------------------- the command line


def centuries(count: int) -> tuple[list[dict], list[str]]:
    """The centuries' counts, and which targets they miss."""
    rows = [century(seed) for seed in range(count)]
    for number, row in enumerate(rows):
        say(f"century {number}: " + ", ".join(f"{name} {value}" for name, value in row.items()))
    missed = [
        f"{name}: expected at most {most}"
        for name, most in (
            ("most regular that succeed in a period", 1),
            ("most extra in a period", 1),
            ("within a week", 0),
        )
        if max(row[name] for row in rows) > most
    ]
    return rows, missed


def histories(count: int) -> tuple[list[dict], list[str]]:
    """The counts by kind of `count` histories in all, and which targets they miss."""
    rows = []
    for kind in KINDS:
        found = [history(kind, seed) for seed in range(-(-count // len(KINDS)))]
        total = {name: sum(one[name] for one in found) for name in found[0]}
        rows.append({"kind": kind, "histories": len(found), "wrongly": sum(one["wrong"] > 0 for one in found)} | total)
        say(", ".join(f"{name} {value}" for name, value in rows[-1].items()))
    missed = [
        f"{row['kind']}: the better model was withdrawn in {row['wrongly']} of {row['histories']}"
        for row in rows
        if row["wrongly"] > MOST_WRONG * row["histories"]
    ]
    return rows, missed + [f"{row['kind']}: two things within a week" for row in rows if row["within a week"]]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("centuries", "histories"))
    parser.add_argument("--count", type=int, help="default: 10 centuries, 6000 histories")
    flags = parser.parse_args(argv)
    rows, missed = centuries(flags.count or 10) if flags.what == "centuries" else histories(flags.count or 6000)
    return concluded(f"loop {flags.what}", {"rows": rows}, missed)


if __name__ == "__main__":
    sys.exit(main())
