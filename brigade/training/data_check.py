"""The check of a run's data before they are learned: what comes of it, and why they are learned all the same."""

import logging
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.profiles.check import Problem, check, errors
from brigade.profiles.profile import Profile
from brigade.profiles.rules import Rules
from brigade.training.errors import TrainingError

log = logging.getLogger("train_ml_model")

NEARLY = 0.02  # the standard deviation of a number of different texts that is counted in one pass


class DataRefused(TrainingError):
    """The data do not pass the check. The message says why, and what to do."""


@dataclass(frozen=True)
class Checked:
    """Data that are learned. problems: what is wrong with them. accepted: why they are learned all the same, if that
    was said."""

    problems: tuple[Problem, ...] = ()
    accepted: str | None = None

    @property
    def warnings(self) -> list[str]:
        """What a reader of the report has to know."""
        return [f"the data: {one.message}" for one in self.problems]

    @property
    def remark(self) -> str:
        """What the decision's reason says of it."""
        return "" if self.accepted is None else f"; the data were accepted ({self.accepted})"

    def about(self) -> dict:
        """What metrics.json holds of it."""
        return {"problems": [one.about() for one in self.problems], "accepted": self.accepted}

    def in_manifest(self) -> dict:
        """What the manifest holds of it: the reason, and what was accepted with it."""
        if self.accepted is None:
            return {}
        stopped = [one.message for one in errors([*self.problems])]
        return {"acceptedData": {"reason": self.accepted, "problems": stopped}}


@dataclass(frozen=True)
class DataCheck:
    """What a run's data are checked by. champion: the profile of what the champion has learned, if it has one.
    accepted: the reason to learn them whatever is wrong."""

    champion: Profile | None = None
    accepted: str | None = None

    def check(self, profile: Profile, rules: Rules, repeated: float | None = None) -> Checked:
        """What is wrong with the data; see brigade.profiles.check. Raises DataRefused if they must not be learned."""
        problems = check(profile, self.champion, rules, repeated)
        for one in problems:
            log.warning("the data: %s", one.message)
        if (stopped := errors(problems)) and self.accepted is None:
            why = "; ".join(one.message for one in stopped)
            raise DataRefused(f'the data do not pass the check: {why}; --accept_data="reason" learns them all the same')
        return Checked(tuple(problems), self.accepted)


def repeated_in(documents: DataFrame) -> float | None:
    """The share of documents that repeat another one, about; None if there are none. documents: with the column
    `words`, a hash of what they hold."""
    row = documents.agg(F.count("*").alias("all"), F.approx_count_distinct("words", NEARLY).alias("different")).first()
    if row is None or not row["all"]:
        return None
    return max(0.0, 1 - row["different"] / row["all"])
