"""What a run has found out, and how it is told: the figures, the files of the model's folder, the summary.

The files are the model's own two, `metrics.json`, `data.json` (the data's version), `golden.jsonl` (texts with the
probabilities that training computed for them), `profile.json` (what the data look like) and `report.html`.
"""

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from brigade.models.manifest import FORMAT_VERSION
from brigade.profiles.profile import PROFILE_FILE, Profile
from brigade.training.cautions import cautions
from brigade.training.comparison import Comparison
from brigade.training.data_check import Checked
from brigade.training.data_version import code_version
from brigade.training.documents import Parts
from brigade.training.evaluation import Evaluation, headlines, macro_f1, majority, metrics, over_classes
from brigade.training.gate import TOLERANCE, judge, keeps_serving
from brigade.training.options import Options
from brigade.training.report import report
from brigade.training.selection import Fitted


@dataclass(frozen=True)
class Outcome:
    """A trained model and how well it does.

    total: the documents of the input. options: as they were used. test: the new model, evaluated on all test documents.
    comparison: with the serving model; None if no model serves. golden: the texts of golden.jsonl. words: by class,
    see `learned_words`. profile: see `profiling`. checked: what the check of the data has found.
    """

    total: int
    parts: Parts
    options: Options
    fitted: Fitted
    test: Evaluation
    comparison: Comparison | None
    golden: list[str]
    words: dict[str, list[str]]
    profile: Profile
    checked: Checked

    @cached_property
    def figures(self) -> dict:
        """The content of metrics.json."""
        trials, validation = self.fitted.trials, self.fitted.validation
        documents = {"total": self.total, "trained": self.parts.learned.total(), "unlabelled": 0, "repeated": 0}
        return {
            "test": self.tested,
            "warnings": [
                *cautions(self.tested["classes"], self.parts.learned, self.tested["accuracyInterval"]),
                *self.checked.warnings,
            ],
            "dataCheck": self.checked.about(),
            "majority": headlines(majority(self.test, self.parts.learned)),
            "champion": self.comparison.champion if self.comparison else None,
            "comparison": self.comparison.about() if self.comparison else None,
            "chosen": self.chosen,
            "candidates": [one.about() for one in trials],
            "validation": {
                "accuracy": round(validation.accuracy, 4),
                "macroF1": round(macro_f1(validation), 4),
                "documents": validation.documents,
            },
            "documents": documents | self.parts.counts,
            "leftOut": dict(self.parts.left_out.most_common()),
            "alike": self.parts.alike,
        }

    @property
    def champion_name(self) -> str | None:
        return self.comparison.champion["name"] if self.comparison else None

    @cached_property
    def tested(self) -> dict:
        """The figures of the test documents, with every class of the model."""
        return metrics(self.test, self.fitted.model.classes)

    @property
    def chosen(self) -> dict:
        """The best candidate and its calibration."""
        model = self.fitted.model
        return self.fitted.trials[0].about() | asdict(model.calibration) | {"features": len(model.places)}

    @property
    def headline(self) -> str:
        """How good the model is, in a line of the log."""
        test = self.test
        return f"accuracy {test.accuracy:.4f}, macro-F1 {macro_f1(test):.4f} on {test.documents} test documents"

    def judged(self, tolerance: float | None, force: str | None) -> tuple[bool, str]:
        """Whether the model is promoted, and why; see `judge`."""
        return judge(macro_f1(self.test), self.comparison, TOLERANCE if tolerance is None else tolerance, force)

    def version(self) -> dict:
        """What data.json holds beside the files and the options."""
        return {}

    def save(self, folder: Path, name: str, run: dict, data: dict) -> None:
        """Writes the run's files into an existing local folder. data: the content of data.json."""
        model, figures = self.fitted.model, self.figures
        model.save(folder)
        golden = [{"payload": text, "probabilities": model.probabilities(text).tolist()} for text in self.golden]
        lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in golden]
        for file, text in {
            "metrics.json": json.dumps(figures, ensure_ascii=False, indent=1),
            "data.json": json.dumps(data, ensure_ascii=False, indent=1),
            "golden.jsonl": "".join(lines),
            PROFILE_FILE: self.profile.folded().text(),
            "report.html": report(name, run, figures, self.test, self.words, data),
        }.items():
            (folder / file).write_text(text, "utf-8")

    def summary(self, path: str, run: dict) -> dict:
        """The run in a few figures, for the summary that the program prints. path: of the dated model's folder."""
        test, documents, comparison = (self.figures[name] for name in ("test", "documents", "comparison"))
        return which_model(path, run, self.champion_name) | {
            "accuracy": test["accuracy"],
            "macroF1": test["macroF1"],
            "macroF1Over": over_classes(test["classes"]),
            "expectedCalibrationError": test["expectedCalibrationError"],
            "documents": documents["total"],
            "trained_on": documents["train"],
            "validated_on": documents["validation"],
            "tested_on": documents["test"],
            "neither_learned": comparison and comparison["neitherLearned"],
            "compared": comparison and comparison["on"],
            "unlabelled": documents["unlabelled"],
            "repeated": documents["repeated"],
            "classes": len(self.fitted.model.classes),
            "warnings": self.figures["warnings"],
            "left_out": self.figures["leftOut"],
            "alike": self.figures["alike"],
        }


def which_model(path: str, run: dict, champion: str | None) -> dict:
    """The beginning of a run's summary: which model it has written, and which one serves now.

    path: of the dated model's folder. champion: the name of the model that served before.
    """
    name = path.rpartition("/")[2]
    serves = run["promoted"] and not keeps_serving(champion, name)
    return {
        "model": name,
        "runId": run["runId"],
        "path": path,
        "promoted": serves,
        "reason": run["reason"],
        "serving": name if serves else champion,
    }


def describe_run(started: datetime, promoted: bool, reason: str, options: Options) -> dict:
    """The manifest without its list of files."""
    return {
        "formatVersion": FORMAT_VERSION,
        "runId": f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        "createdAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "promoted": promoted,
        "reason": reason,
        "label": options.label_column,
        "codeVersion": code_version(),
    }
