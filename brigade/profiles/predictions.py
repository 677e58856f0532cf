"""What a model makes of the events of a batch: the words that it does not know, its predictions, and how right it is.

The agreement of labelled events is the bucket `LABEL>PREDICTED`, both by `bucket_of_class`; a label that the model does
not know is `new`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from brigade.models.document_model import DocumentModel
from brigade.models.matrices import matrix_of
from brigade.models.table_model import TableModel
from brigade.profiles.buckets import LONGEST_NAME, Found, bucket_of_class, of_kinds, of_numbers
from brigade.profiles.profile import PREDICTION

if TYPE_CHECKING:
    from pyarrow import RecordBatch

TWENTIETHS = [*map(str, range(20))]  # the last one ends at 1
NEW = "new"
COVERED = ["no", "yes"]
Labels = Sequence[str | None]


def of_words(model: DocumentModel, name: str, events: np.ndarray, hashes: Sequence[np.ndarray]) -> Found:
    """The words that the model does not know. hashes: of each text's words, as the model reads them, [k]."""
    places = np.concatenate([*hashes, np.zeros(0, np.uint32)]).astype(np.int64) & (model.parameters.size - 1)
    _, known = model.known(places)
    sizes = np.array([len(one) for one in hashes], np.int64)
    owners = np.repeat(np.arange(len(hashes)), sizes)
    unknown = np.bincount(owners, ~known, len(hashes))
    share = np.where(sizes > 0, np.ceil(1000 * unknown / np.maximum(sizes, 1)), np.nan)
    return of_numbers(name, "unknown", events, share)


def of_texts(model: DocumentModel, texts: Sequence[str]) -> np.ndarray:
    """The probabilities, float64 [k, C], for at least one text."""
    return model.calibration.probabilities(model.block_scores(texts))


def of_rows(model: TableModel, batch: "RecordBatch") -> np.ndarray:
    """The probabilities, float64 [n, C], or values, float64 [n], for rows with the features as f0, f1, …."""
    margins = model.margins(matrix_of(batch, model.features))
    return margins if model.task == "regression" else model.calibration.probabilities(margins)


def of_classes(classes: list[str], events: np.ndarray, likely: np.ndarray, labels: Labels) -> list[Found]:
    """The predicted labels, how sure they are, and of labelled events how right. labels: None is none, [k]."""
    best = likely.argmax(axis=1)
    sure = np.minimum((likely.max(axis=1) * 20).astype(np.int64), 19)
    buckets = [bucket_of_class(one) for one in classes]
    names = {bucket: one[:LONGEST_NAME] for bucket, one in zip(buckets, classes, strict=True)}
    index = {one: number for number, one in enumerate(classes)}
    known = np.array([label is not None for label in labels], bool)
    true = np.array([index.get(label, len(classes)) for label in labels if label is not None], np.int64)
    pairs, codes = np.unique(true * len(classes) + best[known], return_inverse=True)
    agreement = [f"{[*buckets, NEW][pair // len(classes)]}>{buckets[pair % len(classes)]}" for pair in pairs.tolist()]
    return [
        Found(PREDICTION, "label", events, best, buckets, names),
        of_kinds(PREDICTION, "confidence", events, sure, TWENTIETHS),
        Found(PREDICTION, "agreement", events[known], codes, agreement),
    ]


def of_amounts(model: TableModel, events: np.ndarray, values: np.ndarray, labels: np.ndarray) -> list[Found]:
    """The predicted values, and of labelled events how wrong they are. labels: NaN is none, float64 [k]."""
    known = np.isfinite(labels)
    error = (values - labels)[known]
    found = [
        of_numbers(PREDICTION, "predicted", events, values),
        of_numbers(PREDICTION, "error", events[known], error),
    ]
    if model.interval:
        inside = (error <= model.interval.below) & (-error <= model.interval.above)
        found.append(of_kinds(PREDICTION, "covered", events[known], inside, COVERED))
    return found
