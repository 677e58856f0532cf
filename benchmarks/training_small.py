"""TRAIN on few documents: draws of public data sets, next to scikit-learn's plain pipeline.

Each draw has a number of documents, of each class or in all, from the training part of a set; the test part is always
the same. Documents whose text the test part holds are not drawn. A draw is made three times, with seeds 0, 1 and 2.
"""

import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks import sessions
from benchmarks.sessions import say
from benchmarks.training_data import documents, read_csv, write_parquet

LOWER = 0.01  # by which a mean figure may be below the plain pipeline's
FEW, MOST_CALIBRATION_ERROR = 500, (0.10, 0.05)  # below FEW documents and from there on
SEEDS = 0, 1, 2
SMS_TESTED = 2000

Rows = list[tuple[str, str]]  # (label, text)


@dataclass(frozen=True)
class Draw:
    """documents: in all, of each class, or of the classes that are named."""

    set: str
    documents: int | dict[str, int]
    each: bool = False

    def rows(self, pool: Rows, seed: int) -> Rows:
        rows = random.Random(f"{self} {seed}").sample(pool, len(pool))
        if isinstance(self.documents, int) and not self.each:
            return rows[: self.documents]
        left = Counter(self.documents if isinstance(self.documents, dict) else {})
        if self.each:
            left = Counter({label: self.documents for label, _ in rows})
        taken = []
        for label, text in rows:
            if left[label]:
                left[label] -= 1
                taken.append((label, text))
        return taken


DRAWS = {
    "AG News, 10 a class": Draw("ag", 10, each=True),
    "AG News, 28 a class": Draw("ag", 28, each=True),
    "AG News, 50 a class": Draw("ag", 50, each=True),
    "AG News, 250 a class": Draw("ag", 250, each=True),
    "AG News, 1,000 a class": Draw("ag", 1000, each=True),
    "R8 titles, 300": Draw("r8 titles", 300),
    "R8 titles, 1,000": Draw("r8 titles", 1000),
    "SMS, 100": Draw("sms", 100),
    "SMS, 10 spam in 2,000": Draw("sms", {"spam": 10, "ham": 1990}),
    "20 Newsgroups, 10 a class": Draw("20ng", 10, each=True),
    "without spaces, 50 a class": Draw("without spaces", 50, each=True),
}


def without_spaces(text: str) -> str:
    """Each two letters as one Han character, blanks and punctuation dropped: nothing parts the words."""
    letters = "".join(one for one in text.lower() if one.isalnum())
    pairs = (letters[at : at + 2].ljust(2) for at in range(0, len(letters), 2))
    return "".join(chr(0x4E00 + (37 * ord(one) + ord(other)) % 2000) for one, other in pairs)


@cache
def parts(folder: str, name: str) -> tuple[Rows, Rows]:
    """The rows of a set that are drawn from, and its test part."""
    if name == "without spaces":
        train, test = ([(label, without_spaces(text)) for label, text in part] for part in parts(folder, "ag"))
    elif name == "r8 titles":
        train, test = (read_csv(folder, f"reuters_r8/r8_{part}.csv", ("title",)) for part in ("train", "test"))
    elif name == "sms":
        rows = read_csv(folder, "sms_spam/sms_spam.csv", ("text",))
        random.Random(0).shuffle(rows)
        train, test = rows[SMS_TESTED:], rows[:SMS_TESTED]
    else:
        train, test = (documents(folder, name, part) for part in (0, 1))
    held = {text for _, text in test}
    return [row for row in train if row[1] not in held], test


def plain(train: Rows, test: Rows, **vectorizer) -> tuple[float, float]:
    """Accuracy and macro-F1 of scikit-learn's plain pipeline."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    pipeline = make_pipeline(TfidfVectorizer(sublinear_tf=True, **vectorizer), LinearSVC())
    (labels, texts), (truth, unseen) = (zip(*rows, strict=True) for rows in (train, test))
    guesses = pipeline.fit(texts, labels).predict(unseen)
    return accuracy_score(truth, guesses), f1_score(truth, guesses, average="macro", zero_division=0)


def small(folder: str, names: list[str]) -> tuple[dict, list[str]]:
    """Targets: mean accuracy and mean macro-F1 at most .01 below the plain pipeline's; a mean calibration error of at
    most .10 below 500 documents, .05 from there on."""
    references: dict[str, list[tuple]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folders = []
        for number, name in enumerate(names):
            pool, test = parts(folder, DRAWS[name].set)
            held = f"{scratch}/test {DRAWS[name].set}"
            if not Path(held).exists():
                write_parquet(iter(test), held)
            for seed in SEEDS:
                train = DRAWS[name].rows(pool, seed)
                write_parquet(iter(train), f"{scratch}/{number} {seed}", files=1)
                folders.append((f"{scratch}/{number} {seed}", held))
                characters = {"analyzer": "char", "ngram_range": (1, 2)} if "spaces" in name else {}
                references.setdefault(name, []).append(plain(train, test, **characters))
        Path(scratch, "spark").mkdir()
        runs = sessions.in_session("training", "projects", f"{scratch}/spark", "1500m", folders=folders)
    found, missed = {}, []
    for number, name in enumerate(names):
        own = runs[number * len(SEEDS) : (number + 1) * len(SEEDS)]
        found[name] = figures = compared(own, references[name])
        missed += [f"{name}: {line}" for line in targets_missed(figures)]
        say("{:<27} {documents:>5} documents  accuracy {accuracy:.3f} ({plain_accuracy:.3f})  "
            "macro-F1 {macroF1:.3f} ({plain_macroF1:.3f})  calibration error {calibration_error:.3f}  "
            "{seconds:.1f} s".format(name, **figures))  # fmt: skip
    return {"small": found}, missed


def compared(runs: list[dict], references: list[tuple[float, float]]) -> dict:
    """The means of a draw's runs, and of the plain pipeline beside them."""

    def mean(values) -> float:
        return round(sum(values) / len(runs), 4)

    return {
        "documents": runs[0]["documents"],
        "accuracy": mean(one["accuracy"] for one in runs),
        "plain_accuracy": mean(accuracy for accuracy, _ in references),
        "macroF1": mean(one["macroF1"] for one in runs),
        "plain_macroF1": mean(macro_f1 for _, macro_f1 in references),
        "calibration_error": mean(one["expectedCalibrationError"] for one in runs),
        "calibration_errors": [one["expectedCalibrationError"] for one in runs],
        "seconds": mean(one["seconds"] for one in runs),
        "chosen": [[one["chosen"]["ngrams"], one["chosen"]["alpha"]] for one in runs],
    }


def targets_missed(figures: dict) -> list[str]:
    missed = [
        f"{name}: expected at least {figures[f'plain_{name}'] - LOWER:.4f}, found {figures[name]}"
        for name in ("accuracy", "macroF1")
        if figures[name] < figures[f"plain_{name}"] - LOWER
    ]
    most = MOST_CALIBRATION_ERROR[figures["documents"] >= FEW]
    if figures["calibration_error"] > most:
        missed.append(f"calibration error: expected at most {most}, found {figures['calibration_error']}")
    return missed
