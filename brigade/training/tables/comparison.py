"""What champion and challenger of a table are compared on: test rows that neither has learned.

A split by the rows' ids puts a row into the same part in every run, so a champion of the same split has learned none of
the challenger's test rows. What is newer than all that a champion of a split by time has learned is new to it too. Else
each model's own test counts, and the tolerance grows with the uncertainty of both.
"""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.models.table_model import TableModel
from brigade.training.champion import Champion
from brigade.training.comparison import MIN_DOCUMENTS, ONE_SIDED, Comparison
from brigade.training.evaluation import SURELY, Evaluation, headlines, macro_f1, metrics, variance
from brigade.training.gate import MACRO_F1, MAE
from brigade.training.tables.evaluation import Errors, Frame, evaluated, value_metrics
from brigade.training.tables.matrices import laid_out
from brigade.training.tables.parts import TABLE_SPLIT_RULE, Split

HEADLINES = ("mae", "rmse", "wape", "r2", "rows")


@dataclass(frozen=True)
class TableComparison(Comparison):
    """The same with the metric of the gate."""

    metric: str = MACRO_F1

    def about(self) -> dict:
        """The comparison in metrics.json."""
        found = super().about()
        if self.metric != MAE:
            return found
        scores = {"mae": self.challenger_score, "championMae": self.champion_score}
        return {key: value for key, value in found.items() if "F1" not in key} | scores


def unlearned(data: dict, split: Split) -> tuple[str, str | None]:
    """How it is known which test rows a champion has not learned, and the condition for them; None if none are known.

    data: the champion's data.json. split: the challenger's.
    """
    theirs = data.get("split")
    if not isinstance(theirs, dict) or theirs.get("rule") != TABLE_SPLIT_RULE:
        return "its data.json does not say which rows it has learned", None
    if theirs.get("by") == "time" and isinstance(theirs.get("testSince"), int):
        return "it has learned no row as new as its own test rows", f"moment >= {theirs['testSince']}"
    same = (split.by, theirs.get("by"), theirs.get("seed")) == ("random", "random", split.seed)
    if same and theirs.get("share", 0) >= split.share:
        return "the same hash of their ids kept these rows from it", "true"
    return "its rows were split in another way", None


def compare(
    champion: Champion, parts: DataFrame, split: Split, model: TableModel, test: Evaluation | Errors, frame: Frame
) -> TableComparison:
    """Compares the champion with a new model. parts: all rows, see `in_parts`. test: the new one's, on all for test."""
    rows = test.rows if isinstance(test, Errors) else test.documents
    how, condition = unlearned(champion.data, split)
    theirs = champion.model
    if not isinstance(theirs, TableModel) or theirs.task != model.task:
        return by_own_tests(champion, test, 0, f"the serving model is none of the same task ({model.task})", how)
    fair = parts.where("part = 'test'").where(F.expr(condition or "false"))
    count = fair.count() if condition else 0
    counted = f"neither model has learned {count:,} of the {rows:,} test rows"
    if count < min(MIN_DOCUMENTS, rows) or not count:
        return by_own_tests(champion, test, count, f"{counted}, fewer than a comparison needs", how)
    own, other = (evaluated(laid_out(fair, one.features), one, frame) for one in (model, theirs))
    return TableComparison(
        scored(own),
        scored(other),
        {"name": champion.name} | told(other),
        rows,
        count,
        how,
        "on the same rows",
        f"{counted}, and these decide",
        metric=MAE if model.task == "regression" else MACRO_F1,
    )


def scored(test: Evaluation | Errors) -> float:
    """The score that the gate compares."""
    return test.mae if isinstance(test, Errors) else macro_f1(test)


def told(test: Evaluation | Errors) -> dict:
    """The headline figures."""
    if isinstance(test, Evaluation):
        return headlines(test)
    return {key: value for key, value in value_metrics(test).items() if key in HEADLINES}


def by_own_tests(champion: Champion, test: Evaluation | Errors, count: int, counted: str, how: str) -> TableComparison:
    """The comparison of each model's own test. counted: why it is not that of the same rows."""
    regression = isinstance(test, Errors)
    metric, rows = (MAE, test.rows) if isinstance(test, Errors) else (MACRO_F1, test.documents)
    own, theirs = scored(test), champion.metrics.get("test") or {}
    try:
        score, margin = float(theirs["mae" if regression else "macroF1"]), margin_of(theirs, test)
    except (ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError):
        basis = f"{counted}, and it has no figures to compare with; --force promotes it all the same"
        return TableComparison(own, None, {"name": champion.name}, rows, count, how, "", basis, metric=metric)
    about = {"name": champion.name} | {key: theirs.get(key) for key in told(test)}
    basis = f"{counted}, so each model's own test decides (so {margin:g} more tolerance)"
    on = "each on its own test rows"
    return TableComparison(own, score, about, rows, count, how, on, basis, margin, metric)


def margin_of(theirs: dict, test: Evaluation | Errors) -> float:
    """What is added to the tolerance for the uncertainty of both tests: of a macro-F1, or a share of an error."""
    if isinstance(test, Evaluation):
        return round(ONE_SIDED * (variance(theirs["classes"]) + variance(metrics(test)["classes"])) ** 0.5, 4)
    errors = [(high - low) / 2 / SURELY for low, high in (theirs["maeInterval"], value_metrics(test)["maeInterval"])]
    return round(ONE_SIDED * float(sum(one**2 for one in errors)) ** 0.5 / float(theirs["mae"]), 4)
