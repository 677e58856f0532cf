"""The run as one HTML page that needs nothing beside it: figures, pictures, mistakes, and how to train again.

The page is `page.html.j2`, its head, and `report.html.j2`; everything that comes from the data is escaped there. A
figure is added in the template.
"""

from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

from brigade.training.evaluation import Evaluation, over_classes
from brigade.training.gate import keeps_serving
from brigade.training.pictures import MOST_LABELS, calibration_picture, confusion_picture

RETRAIN = "spark-submit --py-files=build/brigade.zip train_ml_model.py data.json OUTPUT"
TRIAL_COLUMNS = ("ngrams", "idf_power", "alpha", "macroF1", "accuracy", "seconds")
MOST_CLASSES = 200  # in the table of classes


def report(name: str, run: dict, figures: dict, test: Evaluation, words: dict[str, list[str]], data: dict) -> str:
    """The page.

    run: the manifest. figures: the metrics. test: the evaluation on the test documents. words: see `learned_words`.
    data: the data's version.
    """
    own = figures["test"]
    return page_template().render(
        name=name,
        run=run,
        figures=figures,
        own=own,
        serves=run["promoted"] and not keeps_serving((figures["champion"] or {}).get("name"), name),
        over=over_classes(own["classes"]),
        compared=compared(name, figures["comparison"]),
        classes=list(own["classes"].items())[:MOST_CLASSES],
        left_out=list(figures["leftOut"].items())[:MOST_CLASSES],
        confusion_matrix=confusion_picture(test),
        most_labels=MOST_LABELS,
        calibration_curve=calibration_picture(own["calibration"]),
        word_rows=[[key, ", ".join(found)] for key, found in words.items()],
        mistakes=test.worst,
        trials=[[one[column] for column in TRIAL_COLUMNS] for one in figures["candidates"]],
        files=data["files"],
        mebibytes=sum(one["size"] for one in data["files"]) / 2**20,
        documents=", ".join(f"{value:,} {key}" for key, value in figures["documents"].items()),
        retrain=RETRAIN,
    )


def page_template(body: str = "report.html.j2") -> Template:
    """The page's head and body as one template; the package may be a folder or a zip."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    files = resources.files(__package__)
    return environment.from_string("".join(files.joinpath(name).read_text("utf-8") for name in ("page.html.j2", body)))


def compared(name: str, comparison: dict | None) -> list[tuple[str, str]]:
    """The rows of the comparison with the serving model: (model, macro-F1)."""
    if comparison is None:
        return []
    champion = comparison["championMacroF1"]
    own = (name, f"{comparison['macroF1']:.4f}")
    return [own, (comparison["champion"], "unknown" if champion is None else f"{champion:.4f}")]
