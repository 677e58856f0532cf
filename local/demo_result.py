"""The result of the demo: whether its figures add up, and the table that shows them."""

from pathlib import Path

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


def table(result: dict, folder: Path) -> str:
    """The run's figures as a table, and where its files lie."""
    convert, train, seconds = result["convert"], result["train"], result["seconds"]
    buckets = folder / ".cloudstorage"
    model = f"{OUTPUT_BUCKET}/output/{train['model']}"
    held_back = result["held_out"] - result["unseen"]
    rows = [
        ("stage", "in", "out", "seconds"),
        (
            "publish, land",
            f"{result['published']:,} messages",
            f"{result['landed']:,} landed",
            seconds["land"],
        ),
        ("", "", f"{result['dead_lettered']:,} dead letters", ""),
        *(("", "", f"  {count:,} {reason}", "") for reason, count in result["reasons"].items()),
        ("convert", f"{convert['lines']:,} lines", f"{convert['converted']:,} documents", convert["seconds"]),
        ("", "", f"{convert['duplicates']:,} duplicates", ""),
        ("", "", f"{convert['quarantined']:,} quarantined", ""),
        (
            "train",
            f"{train['documents']:,} documents",
            f"{train['trained_on']:,} trained on",
            train["seconds"],
        ),
        ("", "", f"{train['validated_on']:,} validated, {train['tested_on']:,} tested on", ""),
        ("", "", f"{train['unlabelled']:,} without a label", ""),
        ("serve", f"{result['unseen']:,} unseen", f"{result['classified']:,} classified", seconds["serve"]),
        ("", "", f"{held_back:,} more held out, not sent", ""),
    ]
    widths = [max(len(str(row[column])) for row in rows) for column in range(4)]
    lines = [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    accuracy = "no labels to compare with" if result["accuracy"] is None else f"{result['accuracy']:.4f}"
    lines += [
        "",
        f"accuracy on the unseen documents   {accuracy}",
        f"publication to classified message  p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms",
        f"in all                             {seconds['all']} s",
        "",
        f"landed files   {buckets / INPUT_BUCKET / 'input'}",
        f"dead letters   {buckets / INPUT_BUCKET / 'dead_letter'}",
        f"parquet        {buckets / INPUT_BUCKET / 'parquet'}",
        f"model          {buckets / model}",
        f"report         {buckets / model / 'runs' / train['runId'] / 'report.html'}",
        f"these figures  {folder.parent / 'demo.json'}",
    ]
    return "\n".join(lines)
