"""The result of the demo: whether its figures add up, and the table that shows them."""

from pathlib import Path

from local.demo_watched import MOST_FINDINGS, headline
from local.services import INPUT_BUCKET, OUTPUT_BUCKET


def off(result: dict) -> list[str]:
    """The sums that do not hold, a line each."""
    convert, train = result["convert"], result["train"]
    parts = train["trained_on"] + train["validated_on"] + train["tested_on"] + train["unlabelled"]
    sums = [
        (
            "published = landed + dead_lettered",
            result["published"],
            result["landed"] + result["dead_lettered"],
        ),
        (
            "landed = converted + duplicates + quarantined",
            result["landed"],
            convert["converted"] + convert["duplicates"] + convert["quarantined"],
        ),
        ("converted = trained_on + validated_on + tested_on + unlabelled", convert["converted"], parts),
        ("classified = unseen", result["classified"], result["unseen"]),
    ]
    lines = [f"{name} does not hold: {left} is not {right}" for name, left, right in sums if left != right]
    expected = [f"{train['model']}/{train['runId']}"]
    if result["models"] != expected:
        lines.append(f"expected every prediction by {expected[0]}, found {', '.join(result['models']) or 'none'}")
    return lines


def public(result: dict) -> dict:
    """What demo.json holds of the result."""
    names = ["published", "landed", "dead_lettered", "reasons", "held_out", "unseen", "classified"]
    names += [name for name in ("accuracy", "mae", "queried_accuracy", "queried_mae") if name in result] + [
        "p50_ms",
        "p99_ms",
    ]
    found = {name: result[name] for name in names}
    found |= {name: result["convert"][name] for name in ("converted", "duplicates", "quarantined")}
    found |= {name: result["train"][name] for name in ("trained_on", "unlabelled")}
    found |= {"seconds": result["seconds"]}
    if "watched" in result:
        found |= {"verdict": result["watched"]["verdict"], "findings": result["watched"]["found"]}
    return found | {"model": result["train"]["model"], "runId": result["train"]["runId"]}


def table(result: dict, folder: Path) -> str:
    """The run's figures as a table, and where its files lie."""
    seconds, rows, done = result["seconds"], rows_of(result), done_with(result)
    widths = [max(len(str(row[column])) for row in rows) for column in range(4)]
    lines = [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines += ["", *headlines(result)]
    lines += [
        f"{f'publication to {done} message':<35}p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms",
        f"in all                             {seconds['all']} s",
        "",
        *findings(result),
    ]
    return "\n".join(lines + places(result, folder))


def done_with(result: dict) -> str:
    """What the function has done with the unseen part."""
    return "classified" if "documents" in result["train"] else "predicted"


def rows_of(result: dict) -> list[tuple]:
    """The rows of the table: stage, in, out, seconds."""
    convert, train, seconds = result["convert"], result["train"], result["seconds"]
    what = "documents" if "documents" in train else "rows"
    held_back = result["held_out"] - result["unseen"]
    return [
        ("stage", "in", "out", "seconds"),
        ("publish, land", f"{result['published']:,} messages", f"{result['landed']:,} landed", seconds["land"]),
        ("", "", f"{result['dead_lettered']:,} dead letters", ""),
        *(("", "", f"  {count:,} {reason}", "") for reason, count in result["reasons"].items()),
        ("convert", f"{convert['lines']:,} lines", f"{convert['converted']:,} {what}", convert["seconds"]),
        ("", "", f"{convert['duplicates']:,} duplicates", ""),
        ("", "", f"{convert['quarantined']:,} quarantined", ""),
        ("train", f"{train[what]:,} {what}", f"{train['trained_on']:,} trained on", train["seconds"]),
        ("", "", f"{train['validated_on']:,} validated, {train['tested_on']:,} tested on", ""),
        ("", "", f"{train['unlabelled']:,} without a label", ""),
        *(
            ("predict", f"{one['events']:,} {what}", f"{one['predicted']:,} predicted", seconds["predict"])
            for one in result.get("in_bulk", [])
        ),
        ("serve", f"{result['unseen']:,} unseen", f"{result['classified']:,} {done_with(result)}", seconds["serve"]),
        ("", "", f"{held_back:,} more held out, not sent", ""),
        *watched_rows(result),
    ]


def watched_rows(result: dict) -> list[tuple]:
    """What MONITOR has seen of the unseen part, if it has looked at it."""
    if "watched" not in result:
        return []
    watched = result["watched"]
    said = headline(watched["verdict"], watched["found"])
    return [("monitor", f"{watched['events']:,} unseen", said, result["seconds"]["monitor"])]


def headlines(result: dict) -> list[str]:
    """How good the model is: on the unseen part, where their answers are known, and for tables in training's test."""
    train, unknown = result["train"], "no labels to compare with"
    if "documents" in train:
        accuracy = unknown if result["accuracy"] is None else f"{result['accuracy']:.4f}"
        return [f"accuracy on the unseen documents   {accuracy}"]
    found = {"accuracy": "accuracy on the unseen rows", "mae": "mean error on the unseen rows"}
    without = ", without the features that model.query computes" if result.get("computed") else ""
    lines = [f"{told:<35}{result[name]}{without}" for name, told in found.items() if result.get(name) is not None]
    for name, told in found.items():
        if result.get(f"queried_{name}") is not None:
            lines.append(f"{told:<35}{result[f'queried_{name}']}, with them, by PREDICT")
    if "macroF1" in train:
        lines.append(f"{'macro-F1 in the test':<35}{train['macroF1']:.4f}, accuracy {train['accuracy']:.4f}")
    else:
        others = [f"{name}'s {one['mae']:g}" for name, one in train["baselines"].items() if one]
        lines.append(f"{'mean error in the test':<35}{train['mae']:g}" + "".join(f", {other}" for other in others))
    return lines


def findings(result: dict) -> list[str]:
    """What MONITOR has found, a line each, and an empty one after them."""
    found = result.get("watched", {}).get("found", [])
    more = [f"… and {len(found) - MOST_FINDINGS} more"] if len(found) > MOST_FINDINGS else []
    return [*found[:MOST_FINDINGS], *more, ""] if found else []


def places(result: dict, folder: Path) -> list[str]:
    """Where the files of the run lie."""
    train, buckets = result["train"], folder / ".cloudstorage"
    model = buckets / f"{OUTPUT_BUCKET}/output/{train['model']}"
    return [
        f"landed files   {buckets / INPUT_BUCKET / 'input'}",
        f"dead letters   {buckets / INPUT_BUCKET / 'dead_letter'}",
        f"parquet        {buckets / INPUT_BUCKET / 'parquet'}",
        f"model          {model}",
        f"report         {model / 'runs' / train['runId'] / 'report.html'}",
        *watched_places(result, buckets),
        f"these figures  {folder.parent / 'demo.json'}",
    ]


def watched_places(result: dict, buckets: Path) -> list[str]:
    """Where MONITOR's report lies, if it has looked at the unseen part."""
    if "watched" not in result:
        return []
    return [f"findings       {buckets / OUTPUT_BUCKET / result['watched']['path'] / 'report.html'}"]
