"""What pays in TRAIN: the default and variants of it, each changed in one point, on held-out parts of training sets.

Nothing is read of a test part. The features and the learner are those of the package, without Spark.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from types import SimpleNamespace

import numpy as np

from benchmarks.sessions import say
from benchmarks.training_small import Rows, parts

HELD_OUT = {"r8": 5, "sms": 5, "ag": 2, "20ng": 1}  # folds of five that are held out in turn


@dataclass(frozen=True)
class Variant:
    """How a model is trained.

    words: how they are counted, where not as training does it. scale: from the root of a log-count ratio to a scale.
    strength: alpha is the default's, times 3 / strength. learners: so many learn a share of the documents each, and
    their weights are averaged. epochs: of SGDClassifier, in place of LinearSVC.
    """

    ngrams: int = 2
    words: tuple[tuple[str, int], ...] = ()
    idf_power: float = 1.0
    scale: Callable[[np.ndarray], np.ndarray] = np.copy
    strength: float = 3.0
    learners: int = 1
    epochs: int = 0


VARIANTS = {
    "the default": Variant(),
    "words alone": Variant(ngrams=1),
    "words of two characters at least": Variant(words=(("shortest", 2),)),
    "no beginnings of words": Variant(words=(("beginning", 0),)),
    "beginnings of six characters": Variant(words=(("beginning", 6),)),
    "without scales": Variant(scale=np.ones_like),
    "scales: the ratios, not their roots": Variant(scale=np.square),
    "idf to the power of 1.5": Variant(idf_power=1.5),
    "a third of alpha": Variant(strength=9.0),
    "three times alpha": Variant(strength=1.0),
    "two learners, averaged": Variant(learners=2),
    "four learners, averaged": Variant(learners=4),
    "12 epochs of SGDClassifier": Variant(epochs=12),
    "12 epochs of SGDClassifier, without scales": Variant(epochs=12, scale=np.ones_like),
}


def folds_of(folder: str, name: str, words: dict[str, int]) -> Iterator[tuple[list, list, list[str]]]:
    """(blocks to learn, held-out blocks, classes) for each fold that is held out."""
    from brigade.training.features import COUNTED, count_features

    rows: Rows = list(parts(folder, name)[0])
    random.Random(0).shuffle(rows)
    classes = sorted({label for label, _ in rows})
    index = {label: number for number, label in enumerate(classes)}
    given = (SimpleNamespace(payload=text, label=label, fold=at % 5) for at, (label, text) in enumerate(rows))
    blocks = list(count_features(given, replace(COUNTED, **words), index))
    for fold in range(HELD_OUT[name]):
        own = [block for block in blocks if block.fold == fold]
        yield [block for block in blocks if block.fold != fold], own, classes


def accuracy_of(variant: Variant, own: list, held: list, classes: list[str]) -> float:
    from brigade.training.features import COUNTED, document_frequencies, joined, scores_of, weigh
    from brigade.training.mixing import Weights, learn, plan_of, with_weights
    from brigade.training.options import Settings
    from brigade.training.selection import candidates
    from brigade.training.tally import Tally

    frequencies = reduce(add, (one for both in document_frequencies(own, COUNTED) for one in both))
    settings = Settings(variant.ngrams, idf_power=variant.idf_power)
    plan = plan_of(frequencies, classes, COUNTED, settings)
    matrices = [weigh(block, plan) for block in own]
    scales = variant.scale(Tally.of(matrices, len(classes), len(plan.places)).scales())
    alpha = candidates(frequencies.documents, {})[0].alpha * 3 / variant.strength
    matrix, learned = joined(matrices), []
    for number in range(variant.learners):
        share = rows_of(matrix, number, variant.learners)
        found = learn_by_sgd(share, scales, variant.epochs) if variant.epochs else learn(share, scales, alpha, 0)
        learned.append(found * (len(share.classes) / len(matrix.classes)))
    model = with_weights(plan, reduce(add, learned).floating() if len(learned) > 1 else Weights(*learned[0].parts))
    right = [scores_of(weigh(block, plan), model).argmax(axis=1) == block.classes for block in held]
    return float(np.concatenate(right).mean())


def rows_of(matrix, number: int, step: int):
    """Every `step`-th document of a matrix."""
    features = matrix.sparse(int(matrix.columns.max()) + 1)[number::step]
    return replace(
        matrix, starts=features.indptr, columns=features.indices, values=features.data,
        classes=matrix.classes[number::step],
    )  # fmt: skip


def learn_by_sgd(matrix, scales: np.ndarray, epochs: int):
    """What TRAIN did before: hinge loss, alpha 1e-4."""
    from sklearn.linear_model import SGDClassifier

    from brigade.training.mixing import Weights

    features, coefficients, intercepts = matrix.sparse(scales.shape[1]), [], []
    for row, scale in enumerate(scales):
        own = matrix.classes == row + (len(scales) == 1)
        one = SGDClassifier(alpha=1e-4, max_iter=epochs, tol=None, random_state=0).fit(features.multiply(scale), own)
        coefficients.append(one.coef_[0] * scale)
        intercepts.append(one.intercept_[0])
    return Weights(np.float32(coefficients), np.float32(intercepts))


def variants(folder: str, sets: list[str]) -> tuple[dict, list[str]]:
    """No targets: the mean accuracy of each variant on the held-out documents."""
    found: dict[str, dict] = {}
    for name in sets:
        counted: dict[tuple, list] = {}
        for title, variant in VARIANTS.items():
            if variant.words not in counted:
                counted[variant.words] = list(folds_of(folder, name, dict(variant.words)))
            folds = counted[variant.words]
            started = time.process_time()
            mean = sum(accuracy_of(variant, *fold) for fold in folds) / len(folds)
            found.setdefault(name, {})[title] = round(mean, 4)
            say(f"{name:<5} {title:<42} {mean:.4f}   {(time.process_time() - started) / len(folds):.1f} s of CPU")
    return {"variants": found}, []
