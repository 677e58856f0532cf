"""The command line of train_ml_model.py."""

import argparse
import re
from datetime import date

from brigade.cli import add_summary, path
from brigade.models.manifest import is_future
from brigade.pipelines.flag import add_pipeline
from brigade.storage import folder_at
from brigade.training.gate import TOLERANCE
from brigade.training.mixing import DOCUMENTS_A_PARTITION

DEFAULT = "default"  # as the pipeline's definition says: the workflow template must give each flag a value
BOUNDS = {"tolerance": (0, 1), "alpha": (1e-9, 1), "idf_power": (0, 3), "partitions": (1, 100_000)}


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments, checked. `date` is a date, or None for today. Ends the program with status 2 if one is wrong."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    for name in ("label_column", "split"):
        if getattr(arguments, name) == DEFAULT:
            setattr(arguments, name, None)
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d|today", arguments.date):
            raise ValueError(arguments.date)
        arguments.date = date.fromisoformat(arguments.date) if arguments.date != "today" else None
    except ValueError:
        parser.error(f"--date: expected YYYY-MM-DD or today, found {arguments.date!r}")
    if is_future(arguments.date):
        parser.error(f"--date: expected today, UTC, or an earlier date, found {arguments.date}, which is later")
    if arguments.hash_bits is not None and not 10 <= arguments.hash_bits <= 24:
        parser.error(f"--hash_bits: expected 10 to 24, found {arguments.hash_bits}")
    for name, (low, high) in BOUNDS.items():
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            parser.error(f"--{name}: expected {low:g} to {high:g}, found {value}")
    try:
        folder_at(arguments.output_path)
    except ValueError as problem:
        parser.error(f"OUTPUT: {problem}")
    return arguments


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train_ml_model.py",
        description="Trains a document classifier and writes it as doc-classification-model-YYYY-MM-DD, or what the "
        "pipeline says, under its name. What is not given is chosen on a validation part of the documents.",
        epilog="example:\n  spark-submit --py-files=build/brigade.zip train_ml_model.py \\\n"
        "      gs://ml_input/input/ gs://ml_output/output/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "input_path", type=path, metavar="INPUT",
        help="landed JSON lines (converted first), their parquet, or a model's data.json: the same model once more",
    )  # fmt: skip
    parser.add_argument(
        "output_path", type=path, metavar="OUTPUT", help="the folder of the dated models, gs:// or local"
    )
    parser.add_argument("--label_column", help="what to learn (default: the pipeline's label, superTag01)")
    parser.add_argument(
        "--test",
        type=path,
        metavar="PATH",
        help="a fixed test set, JSON or parquet (default: a tenth of the input, by its words)",
    )
    parser.add_argument(
        "--date", default="today", help="YYYY-MM-DD in the model's name, not later than today, UTC (the default)"
    )
    parser.add_argument(
        "--parquet_path", type=path, metavar="PATH", help="where converted JSON goes (default: parquet beside INPUT)"
    )
    parser.add_argument(
        "--split",
        choices=["random", "time", DEFAULT],
        help="time: the newest rows test, by the event's time (default: the pipeline's, random)",
    )
    add_pipeline(parser)
    add_summary(parser)
    gate = parser.add_argument_group("the gate")
    gate.add_argument(
        "--tolerance", type=share_or_default, metavar="X",
        help="by how much macro-F1 may be below the serving model's, or by what share the mean absolute error above it "
        f"(default: the pipeline's, {TOLERANCE})",
    )  # fmt: skip
    gate.add_argument(
        "--force",
        nargs="?",
        const="--force",
        metavar="REASON",
        help="promote whatever the figures say; kept as the reason",
    )
    gate.add_argument(
        "--accept_data", type=reason, metavar="REASON",
        help="learn data that do not pass the check before training; kept with the reason in the manifest",
    )  # fmt: skip
    fixed = parser.add_argument_group("instead of a choice by validation")
    fixed.add_argument("--ngrams", type=int, choices=[1, 2], help="1 for words, 2 for words and pairs")
    fixed.add_argument("--idf_power", type=float, metavar="X", help="how much rare words count for")
    fixed.add_argument("--alpha", type=float, metavar="X", help="regularisation beside the mean loss")
    rest = parser.add_argument_group("the computation")
    rest.add_argument("--seed", type=int, metavar="N", help="of the split and the order of learning (default: 0)")
    rest.add_argument("--hash_bits", type=int, help="2 to this power is the number of places, 10 to 24 (default: 20)")
    rest.add_argument(
        "--partitions", type=int, metavar="N",
        help=f"that learn side by side (default: the cores; each has at least {DOCUMENTS_A_PARTITION} documents)",
    )  # fmt: skip
    return parser


def reason(text: str) -> str:
    """The argparse type of a reason, which is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a reason, found none")
    return text.strip()


def share_or_default(text: str) -> float | None:
    """The argparse type of the tolerance: a number, or None for `default`."""
    return None if text == DEFAULT else float(text)


share_or_default.__name__ = "number"  # argparse puts it into its own messages
