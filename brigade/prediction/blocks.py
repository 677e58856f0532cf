"""Predicts block by block on Spark's workers, with the code that serves.

A block is a batch of rows as Arrow hands them over. What a model says of a row does not depend on the others of its
block: they only share the calls of numpy and XGBoost.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import DataFrame

from brigade.models.document_model import DocumentModel
from brigade.models.matrices import matrix_of
from brigade.models.table_model import TableModel
from brigade.prediction.model import Chosen, loaded

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch

BLOCK_ROWS = 1000
BLOCKS = {"spark.sql.execution.arrow.maxRecordsPerBatch": str(BLOCK_ROWS)}
TOP = 5  # classes with their scores, as serving tells them
KEPT = ("eventId", "dt", "file", "hash")  # columns that come out as they go in
KEPT_SCHEMA = "eventId STRING, dt STRING, file STRING, hash LONG, reason STRING"
CLASSIFIED = "label STRING, confidence DOUBLE, scores ARRAY<STRUCT<label: STRING, score: DOUBLE>>"
VALUES = "value DOUBLE, low DOUBLE, high DOUBLE"

Columns = dict[str, "Array"]


def predicted(rows: DataFrame, chosen: Chosen) -> DataFrame:
    """Rows → KEPT_SCHEMA, and of a classification CLASSIFIED, of a regression VALUES.

    rows: KEPT, `missing` (whether id or day is), and the features as f0, f1, …. `reason` is null, or says why there is
    no prediction; what stands beside it means nothing then. low and high are null if the model has no interval.
    """
    key, files, model = chosen.key, chosen.files, chosen.served.model
    is_regression = isinstance(model, TableModel) and model.task == "regression"
    names = [name.split()[0] for name in KEPT_SCHEMA.split(", ")]

    def predict(batches: Iterable["RecordBatch"]) -> Iterator["RecordBatch"]:
        import pyarrow

        own = loaded(key, files)
        by_kind: Callable = of_texts if isinstance(own, DocumentModel) else of_rows
        for batch in batches:
            if batch.num_rows:
                found = {name: batch.column(name) for name in KEPT} | by_kind(own, batch)
                order = [*names, *(name for name in found if name not in names)]
                yield pyarrow.RecordBatch.from_arrays([found[name] for name in order], names=order)

    return rows.mapInArrow(predict, f"{KEPT_SCHEMA}, {VALUES if is_regression else CLASSIFIED}")


def of_texts(model: DocumentModel, batch: "RecordBatch") -> Columns:
    """What a text model says of the texts in f0, and `reason` for a text that is none."""
    import pyarrow

    texts = [text if text and text.strip() else None for text in batch.column("f0").to_pylist()]
    reasons = [
        "missing_field" if missing else "empty_payload" if text is None else None
        for text, missing in zip(texts, batch.column("missing").to_pylist(), strict=True)
    ]
    likely = model.calibration.probabilities(model.block_scores([text or "" for text in texts]))
    return {"reason": pyarrow.array(reasons, pyarrow.string())} | classified(model.classes, likely)


def of_rows(model: TableModel, batch: "RecordBatch") -> Columns:
    """What a table model says of rows. Whatever a row lacks is missing to the trees, so each has a prediction."""
    import pyarrow

    reasons = ["missing_field" if missing else None for missing in batch.column("missing").to_pylist()]
    found = {"reason": pyarrow.array(reasons, pyarrow.string())}
    margins = model.margins(matrix_of(batch, model.features))
    if model.task == "classification":
        return found | classified(model.classes, model.calibration.probabilities(margins))
    if (around := model.interval) is None:
        none = pyarrow.nulls(len(margins), pyarrow.float64())
        return found | {"value": pyarrow.array(margins), "low": none, "high": none}
    bounds = {"low": pyarrow.array(margins - around.below), "high": pyarrow.array(margins + around.above)}
    return found | {"value": pyarrow.array(margins)} | bounds


def classified(classes: list[str], likely: np.ndarray) -> Columns:
    """The columns of CLASSIFIED for probabilities [n, C]; the likeliest class first, ties as serving breaks them."""
    import pyarrow

    order = np.argsort(-likely, axis=1, kind="stable")[:, :TOP]
    labels = pyarrow.array(classes, pyarrow.string()).take(pyarrow.array(order.ravel()))
    scores = pyarrow.array(np.take_along_axis(likely, order, 1).ravel())
    starts = pyarrow.array(np.arange(0, order.size + 1, order.shape[1], dtype=np.int32))
    first = pyarrow.array(np.arange(len(likely)) * order.shape[1])
    pairs = pyarrow.StructArray.from_arrays([labels, scores], names=["label", "score"])
    return {
        "label": labels.take(first),
        "confidence": scores.take(first),
        "scores": pyarrow.ListArray.from_arrays(starts, pairs),
    }
