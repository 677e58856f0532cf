"""How good a table model is: what it predicts for rows whose labels are known, and the figures that follow from it.

Rows are evaluated in batches where they lie, and the results of the partitions are added up. Classifications have the
figures that documents have, see `brigade.training.evaluation`; regressions have those of `Errors`.
"""

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.serializers import CPickleSerializer
from pyspark.sql import DataFrame

from brigade.models.matrices import matrix_of
from brigade.models.table_model import TableModel
from brigade.profiles.buckets import Found
from brigade.profiles.predictions import of_amounts, of_classes
from brigade.profiles.profile import Profile
from brigade.profiles.tally import Tally, assembled
from brigade.training.evaluation import SURELY, WORST_MISTAKES, Evaluation

if TYPE_CHECKING:
    from pyarrow import RecordBatch

MOMENTS = 24  # equal spans of time for which errors are summed up
POINTS = 500  # rows that are drawn
RESULTS = CPickleSerializer()  # with which Spark brings the results of its own tasks to the driver


@dataclass
class Errors:
    """What a regression predicts for rows whose labels are known; those of partitions can be added.

    sums: of 1, |error|, error, error², |label|, label, label², and of 1 for labels in the model's interval. moments:
    for each span of time, [rows, sum of errors, sum of |errors|]. baseline: for the rows that have the baseline's
    column, [rows, sum of its |errors|, sum of the model's]; mean: sum of the |errors| of the mean that was learned.
    worst: (|error|, label, predicted, row as JSON). points: (place, label, predicted) of rows of the smallest places.
    profile: what the model makes of them.
    """

    sums: np.ndarray = field(default_factory=lambda: np.zeros(8))
    moments: np.ndarray = field(default_factory=lambda: np.zeros((MOMENTS, 3)))
    baseline: np.ndarray = field(default_factory=lambda: np.zeros(3))
    mean: float = 0.0
    worst: list[tuple] = field(default_factory=list)
    points: list[tuple] = field(default_factory=list)
    profile: Profile = Profile()

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.sums + other.sums,
            self.moments + other.moments,
            self.baseline + other.baseline,
            self.mean + other.mean,
            heapq.nlargest(WORST_MISTAKES, self.worst + other.worst),
            heapq.nsmallest(POINTS, self.points + other.points),
            self.profile + other.profile,
        )

    @property
    def rows(self) -> int:
        return int(self.sums[0])

    @property
    def mae(self) -> float:
        return float(self.sums[1] / self.sums[0])


@dataclass(frozen=True)
class Frame:
    """What the errors are set against: the mean that was learned, and the first and the last moment of the rows."""

    mean: float
    first: int
    last: int

    def spans(self, moments: np.ndarray) -> np.ndarray:
        """The number of the span in which each moment lies."""
        share = (moments - self.first) / max(1, self.last - self.first)
        return np.clip((share * MOMENTS).astype(int), 0, MOMENTS - 1)


def evaluated(rows: DataFrame, model: TableModel, frame: Frame) -> Evaluation | Errors:
    """Evaluates a model on rows that are `laid_out` for it, with the code that serving uses."""
    return evaluate_values(rows, model, frame) if model.task == "regression" else evaluate_classes(rows, model)


def evaluate_classes(rows: DataFrame, model: TableModel) -> Evaluation:
    """Evaluates a classification on `laid_out` rows."""
    index = {name: number for number, name in enumerate(model.classes)}

    def evaluated(batch: "RecordBatch") -> Evaluation:
        likely = model.calibration.probabilities(model.margins(matrix_of(batch, model.features)))
        best, labels = likely.argmax(axis=1).tolist(), batch.column("label").to_pylist()
        found = Evaluation()
        for at, (label, guess) in enumerate(zip(labels, best, strict=True)):
            own = float(likely[at, index[label]]) if label in index else 0.0
            text = "" if model.classes[guess] == label else row_text(batch, at, model)
            found.add(label, model.classes[guess], float(likely[at, guess]), own, text)
        profile = profile_in(of_classes(model.classes, np.arange(len(labels)), likely, labels))
        return replace(found, profile=profile)

    return added(rows, evaluated, Evaluation())


def evaluate_values(rows: DataFrame, model: TableModel, frame: Frame) -> Errors:
    """Evaluates a regression on `laid_out` rows."""

    def evaluated(batch: "RecordBatch") -> Errors:
        predicted = model.margins(matrix_of(batch, model.features))
        return errors_of(batch, predicted, model, frame)

    return added(rows, evaluated, Errors())


def errors_of(batch: "RecordBatch", predicted: np.ndarray, model: TableModel, frame: Frame) -> Errors:
    """The errors of the values [n] that were predicted for a batch."""
    label, moment = (batch.column(name).to_numpy(zero_copy_only=False) for name in ("label", "moment"))
    error = predicted - label
    size, inside = np.abs(error), np.zeros(len(label))
    if model.interval:
        inside = (error <= model.interval.below) & (-error <= model.interval.above)
    found = Errors(mean=float(np.abs(frame.mean - label).sum()))
    found.sums[:] = [
        len(label), size.sum(), error.sum(), (error**2).sum(), np.abs(label).sum(), label.sum(), (label**2).sum(),
        inside.sum(),
    ]  # fmt: skip
    spans = frame.spans(moment)
    for column, values in enumerate((np.ones(len(label)), error, size)):
        found.moments[:, column] = np.bincount(spans, values, MOMENTS)
    known = np.array(batch.column("baseline").to_numpy(zero_copy_only=False), np.float64)
    has = np.isfinite(known)
    found.baseline[:] = has.sum(), np.abs(known[has] - label[has]).sum(), size[has].sum()
    for at in np.argsort(-size, kind="stable")[:WORST_MISTAKES].tolist():
        found.worst.append((float(size[at]), float(label[at]), float(predicted[at]), row_text(batch, at, model)))
    places = batch.column("place").to_numpy()
    first = np.argsort(places, kind="stable")[:POINTS]
    found.points = [(int(places[at]), float(label[at]), float(predicted[at])) for at in first]
    found.profile = profile_in(of_amounts(model, np.arange(len(label)), predicted, label))
    return found


def profile_in(found: Iterable[Found]) -> Profile:
    """The profile, without days, of what a model makes of a batch of rows."""
    tally = Tally()
    for one in found:
        tally.add_undated(one)
    return assembled(tally.rows())


def added(rows: DataFrame, evaluated: Callable[["RecordBatch"], Any], nothing: Any) -> Any:
    """The sum of what a function finds in each batch of the rows; `nothing` if there are none."""

    def partition(batches: Iterable["RecordBatch"]) -> Iterator["RecordBatch"]:
        import pyarrow

        total = nothing
        for batch in batches:
            if batch.num_rows:
                total = total + evaluated(batch)
        yield pyarrow.RecordBatch.from_arrays([pyarrow.array([RESULTS.dumps(total)], pyarrow.binary())], ["found"])

    found = rows.mapInArrow(partition, "found binary").rdd.map(lambda row: RESULTS.loads(row.found))
    return found.treeReduce(lambda one, other: one + other) if found.getNumPartitions() else nothing


def row_values(batch: "RecordBatch", at: int, model: TableModel) -> dict:
    """A row of a batch as it is sent to be predicted: {feature: value}, None for what is missing."""
    (row,) = batch.slice(at, 1).to_pylist()
    values = {one.name: row[f"f{number}"] for number, one in enumerate(model.features)}
    return {name: value if value == value else None for name, value in values.items()}


def row_text(batch: "RecordBatch", at: int, model: TableModel) -> str:
    known = {name: value for name, value in row_values(batch, at, model).items() if value is not None}
    return json.dumps(known, ensure_ascii=False)


def some_margins(rows: DataFrame, model: TableModel, most: int) -> tuple[np.ndarray, list]:
    """The margins [n, C] or values [n] of the first rows of each partition, `most` of all, and the rows' labels."""
    each = -(-most // max(1, rows.rdd.getNumPartitions()))

    def partition(batches: Iterable["RecordBatch"]) -> Iterator["RecordBatch"]:
        import pyarrow

        left = each
        for batch in batches:
            if left > 0 and batch.num_rows:
                part = batch.slice(0, left)
                left -= part.num_rows
                found = model.margins(matrix_of(part, model.features)), part.column("label").to_pylist()
                yield pyarrow.RecordBatch.from_arrays(
                    [pyarrow.array([RESULTS.dumps(found)], pyarrow.binary())], ["found"]
                )

    found = [RESULTS.loads(row.found) for row in rows.mapInArrow(partition, "found binary").collect()]
    return np.concatenate([one for one, _ in found]), [label for _, labels in found for label in labels]


def value_metrics(errors: Errors) -> dict:
    """All figures of a regression: in the label's own unit, and as shares."""
    count, absolute, total, squares, sizes, labels, label_squares, inside = errors.sums
    spread = label_squares - labels**2 / count
    deviation = max(0.0, squares / count - errors.mae**2) ** 0.5
    half = SURELY * deviation / count**0.5
    return {
        "mae": rounded(errors.mae),
        "maeInterval": [rounded(max(0.0, errors.mae - half)), rounded(errors.mae + half)],
        "rmse": rounded((squares / count) ** 0.5),
        "bias": rounded(total / count),
        "wape": rounded(absolute / sizes) if sizes else None,
        "r2": rounded(1 - squares / spread) if spread > 1e-12 * max(label_squares, 1e-300) else None,
        "coverage": round(float(inside / count), 4),
        "rows": errors.rows,
    }


def baselines(errors: Errors, name: str | None) -> dict:
    """The errors of simple forecasts: of the learned mean, and of the definition's column on the rows that have it."""
    found: dict[str, Any] = {"mean": {"mae": rounded(errors.mean / errors.rows), "rows": errors.rows}}
    count, theirs, own = errors.baseline
    if name and count:
        found[name] = {
            "mae": rounded(theirs / count),
            "modelMae": rounded(own / count),
            "ratio": rounded(own / theirs) if theirs else None,
            "rows": int(count),
        }
    return found


def rounded(number: float) -> float:
    """To six digits, whatever the label's unit."""
    return float(f"{number:.6g}")


def residual_bounds(values: np.ndarray, labels: Sequence[float], coverage: float) -> tuple[float, float]:
    """How far below and above a prediction the labels lie in `coverage` of all cases (split conformal prediction).

    The ranks are those of Lei et al. (2018), for each side one half of what may lie outside: of n + 1 rows of one kind,
    the new one is as likely at each rank.
    """
    residuals = np.sort(np.asarray(labels, np.float64) - values)
    rank = int(np.ceil((len(residuals) + 1) * (1 + coverage) / 2)) - 1
    at = min(rank, len(residuals) - 1)
    return max(0.0, -float(residuals[len(residuals) - 1 - at])), max(0.0, float(residuals[at]))
