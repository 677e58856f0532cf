"""What a run of a table has found out, and how it is told: the figures, the model's files, the summary."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from brigade.models.table_model import TableModel
from brigade.pipelines.definition import Definition
from brigade.profiles.profile import PROFILE_FILE, Profile
from brigade.training.cautions import cautions
from brigade.training.data_check import Checked
from brigade.training.evaluation import Evaluation, headlines, macro_f1, majority, metrics, over_classes
from brigade.training.gate import MACRO_F1, MAE, judge
from brigade.training.options import Options
from brigade.training.outcome import which_model
from brigade.training.tables.comparison import TableComparison, scored
from brigade.training.tables.evaluation import Errors, Frame, baselines, rounded, value_metrics
from brigade.training.tables.parts import Split
from brigade.training.tables.report import report
from brigade.training.tables.selection import Fitted

FEW_ROWS_TESTED = 30  # of which one moves an error by some percent
NO_BETTER = 0.98  # of a baseline's error


@dataclass(frozen=True)
class TableOutcome:
    """A trained model of a table and how well it does.

    options: as they were used. counts: rows by part and label. test: the new model, evaluated on all test rows.
    comparison: with the serving model; None if no model serves. golden: the rows of golden.jsonl.
    profile: see `brigade.training.profiling`. checked: what the check of the data has found.
    """

    definition: Definition
    options: Options
    counts: dict[str, Counter]
    split: Split
    fitted: Fitted
    test: Evaluation | Errors
    frame: Frame
    comparison: TableComparison | None
    golden: list[dict]
    profile: Profile
    checked: Checked

    @property
    def model(self) -> TableModel:
        return self.fitted.model

    @property
    def champion_name(self) -> str | None:
        return self.comparison.champion["name"] if self.comparison else None

    @property
    def headline(self) -> str:
        """How good the model is, in a line of the log."""
        if isinstance(self.test, Evaluation):
            return (
                f"accuracy {self.test.accuracy:.4f}, macro-F1 {macro_f1(self.test):.4f} on {self.test.documents} rows"
            )
        return f"mean absolute error {self.test.mae:.6g} on {self.test.rows} test rows"

    @cached_property
    def learned(self) -> Counter:
        """How many rows the final model has learned, by label."""
        both = self.counts["train"] + self.counts["validation"]
        return Counter({label: count for label, count in both.items() if label in self.counts["train"]})

    @cached_property
    def left_out(self) -> Counter:
        """How many rows there are of the classes that no row in train has."""
        known = self.counts["train"] + self.counts["validation"] + self.counts["test"]
        return Counter({label: count for label, count in known.items() if label not in self.counts["train"]})

    @cached_property
    def tested(self) -> dict:
        """The figures of the test rows."""
        if isinstance(self.test, Evaluation):
            return metrics(self.test, self.model.classes)
        return value_metrics(self.test)

    @property
    def chosen(self) -> dict:
        """The best candidate, and its calibration or interval."""
        model = self.model
        more = asdict(model.calibration) if model.classes else asdict(model.interval)  # type: ignore[arg-type]
        return self.fitted.trials[0].about() | more

    @cached_property
    def figures(self) -> dict:
        """The content of metrics.json."""
        parts = {name: found.total() for name, found in sorted(self.counts.items())}
        found = {
            "task": self.model.task,
            "test": self.tested,
            "warnings": [*self.warnings(), *self.checked.warnings],
            "dataCheck": self.checked.about(),
            "champion": self.comparison.champion if self.comparison else None,
            "comparison": self.comparison.about() if self.comparison else None,
            "chosen": self.chosen,
            "candidates": [one.about() for one in self.fitted.trials],
            "validation": {"loss": self.fitted.trials[0].about()["loss"], "documents": self.fitted.validated},
            "importance": importance(self.model),
            "documents": {"total": sum(parts.values()), "trained": self.learned.total(), "unlabelled": 0} | parts,
            "leftOut": dict(self.left_out.most_common()),
            "alike": [],
        }
        if isinstance(self.test, Evaluation):
            return found | {"majority": headlines(majority(self.test, self.learned))}
        return found | {"baselines": baselines(self.test, self.definition.model.baseline), "moments": self.moments()}

    def warnings(self) -> list[str]:
        """What a reader of the headline figures has to know."""
        if isinstance(self.test, Evaluation):
            found = cautions(self.tested["classes"], self.learned, self.tested["accuracyInterval"])
            return [one.replace("documents", "rows") for one in found]
        found = []
        if self.test.rows < FEW_ROWS_TESTED:
            found.append(f"{self.test.rows} test rows say little")
        for name, one in baselines(self.test, self.definition.model.baseline).items():
            own = one.get("modelMae", self.tested["mae"])
            if own > NO_BETTER * one["mae"]:
                what = "the mean of what was learned" if name == "mean" else f"the column {name}"
                found.append(f"hardly better than {what}, with an error of {own:g} instead of {one['mae']:g}")
        return found

    def moments(self) -> list[dict]:
        """The errors of a regression over time: for each span with rows, its beginning, rows, bias and mean error."""
        assert isinstance(self.test, Errors)
        starts = np.linspace(self.frame.first, self.frame.last, len(self.test.moments) + 1)[:-1]
        return [
            {"since": int(start), "rows": int(count), "bias": rounded(total / count), "mae": rounded(size / count)}
            for start, (count, total, size) in zip(starts, self.test.moments, strict=True)
            if count
        ]

    def judged(self, tolerance: float | None, force: str | None) -> tuple[bool, str]:
        """Whether the model is promoted, and why; see `judge`."""
        metric = MACRO_F1 if self.model.task == "classification" else MAE
        allowed = self.definition.model.tolerance if tolerance is None else tolerance
        return judge(scored(self.test), self.comparison, allowed, force, metric)

    def version(self) -> dict:
        """What data.json holds beside the files and the options."""
        return {"splitRule": None, "split": self.split.about(), "pipeline": self.definition.about()}

    def save(self, folder: Path, name: str, run: dict, data: dict) -> None:
        """Writes the run's files into an existing local folder. data: the content of data.json."""
        self.model.save(folder)
        lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in map(self.golden_line, self.golden)]
        for file, text in {
            "metrics.json": json.dumps(self.figures, ensure_ascii=False, indent=1),
            "data.json": json.dumps(data, ensure_ascii=False, indent=1),
            "golden.jsonl": "".join(lines),
            PROFILE_FILE: self.profile.folded().text(),
            "report.html": report(name, run, self.figures, self.test, self.definition.name, data),
        }.items():
            (folder / file).write_text(text, "utf-8")

    def golden_line(self, row: dict) -> dict:
        if self.model.task == "regression":
            return {"row": row, "value": self.model.value(row)}
        return {"row": row, "probabilities": self.model.probabilities(row).tolist()}

    def summary(self, path: str, run: dict) -> dict:
        """The run in a few figures, for the summary that the program prints. path: of the dated model's folder."""
        test, rows, comparison = (self.figures[name] for name in ("test", "documents", "comparison"))
        about = which_model(path, run, self.champion_name)
        if isinstance(self.test, Evaluation):
            about |= {"accuracy": test["accuracy"], "macroF1": test["macroF1"]}
            about |= {"macroF1Over": over_classes(test["classes"])}
            about |= {"expectedCalibrationError": test["expectedCalibrationError"], "classes": len(self.model.classes)}
        else:
            about |= {key: test[key] for key in ("mae", "rmse", "wape", "r2", "coverage")}
            about |= {"baselines": self.figures["baselines"]}
        return about | {
            "rows": rows["total"],
            "trained_on": rows["train"],
            "validated_on": rows["validation"],
            "tested_on": rows["test"],
            "neither_learned": comparison and comparison["neitherLearned"],
            "compared": comparison and comparison["on"],
            "unlabelled": rows["unlabelled"],
            "trees": self.fitted.trials[0].trees,
            "workers": self.options.partitions,
            "warnings": self.figures["warnings"],
            "left_out": self.figures["leftOut"],
        }


def importance(model: TableModel) -> list[dict]:
    """What share of all that the trees gain each feature brings, the largest first; those that are unused are 0."""
    gains = model.booster.get_score(importance_type="total_gain")
    names = model.booster.feature_names or [f"f{number}" for number in range(len(model.features))]
    found = [float(gains.get(name, 0.0)) for name in names]  # type: ignore[arg-type]
    total = sum(found) or 1.0
    shares = [
        {"feature": one.name, "share": round(gain / total, 4)} for one, gain in zip(model.features, found, strict=True)
    ]
    return sorted(shares, key=lambda one: -one["share"])
