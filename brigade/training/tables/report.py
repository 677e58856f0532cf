"""The run of a table as one HTML page: `page.html.j2`, its head as documents have it, and `table_report.html.j2`."""

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from brigade.training.evaluation import Evaluation
from brigade.training.gate import keeps_serving
from brigade.training.pictures import PAD, SIZE, calibration_picture, confusion_picture, frame
from brigade.training.report import RETRAIN, page_template
from brigade.training.tables.evaluation import Errors

MOST_SHOWN = 200  # classes or features in a table


def report(name: str, run: dict, figures: dict, test: Evaluation | Errors, pipeline: str, data: dict) -> str:
    """The page. run: the manifest. figures: the metrics. test: on the test rows. data: the data's version."""
    own, comparison, regression = figures["test"], figures["comparison"], isinstance(test, Errors)
    metric = "mae" if regression else "macroF1"
    rows = [] if not comparison else [(name, told(comparison[metric]))]
    if comparison:
        theirs = comparison["champion" + metric[0].upper() + metric[1:]]
        rows.append((comparison["champion"], told(theirs)))
    return page_template("table_report.html.j2").render(
        name=name,
        run=run,
        figures=figures,
        own=own,
        regression=regression,
        serves=run["promoted"] and not keeps_serving((figures["champion"] or {}).get("name"), name),
        metric="mean absolute error" if regression else "macro-F1",
        compared=rows,
        importance=figures["importance"][:MOST_SHOWN],
        worst=worst_errors(test),
        trials=[
            [one[key] for key in ("max_depth", "max_leaves", "trees", "loss", "seconds")]
            for one in figures["candidates"]
        ],
        rows=", ".join(f"{value:,} {key}" for key, value in figures["documents"].items()),
        files=len(data["files"]),
        mebibytes=sum(one["size"] for one in data["files"]) / 2**20,
        retrain=f"{RETRAIN} --pipeline={pipeline}",
        **(value_pictures(test, figures) if isinstance(test, Errors) else class_pictures(test, own)),
    )


def told(score: float | None) -> str:
    return "unknown" if score is None else f"{score:.6g}"


def worst_errors(test: Evaluation | Errors) -> list[tuple[str, str]]:
    """The worst errors: what each was, and its row."""
    if isinstance(test, Errors):
        return [(f"{label:g} → {guess:g}", text) for _, label, guess, text in test.worst]
    return [(f"{label} → {guess} ({sure:.2f})", text) for sure, label, guess, text in test.worst]


def class_pictures(test: Evaluation, own: dict) -> dict:
    """What the page shows of a classification alone."""
    classes = [
        [key, *(f"{one[column]:.3f}" for column in ("f1", "precision", "recall")), one["documents"]]
        for key, one in list(own["classes"].items())[:MOST_SHOWN]
    ]
    curve = calibration_picture(own["calibration"])
    return {"classes": classes, "confusion_matrix": confusion_picture(test), "calibration_curve": curve}


def value_pictures(test: Errors, figures: dict) -> dict:
    """What the page shows of a regression alone."""
    points = [(label, guess) for _, label, guess in test.points]
    return {"scatter": scatter_picture(points), "over_time": moments_picture(figures["moments"])}


def scatter_picture(points: list[tuple[float, float]]) -> Markup:
    """Predicted values over actual ones, on axes of the same scale."""
    low, high = min(map(min, points)), max(map(max, points))
    span = (high - low) or 1.0
    dots = Markup().join(
        Markup(
            '<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="#2f6db5" fill-opacity=".45">'
            "<title>{:g}, predicted {:g}</title></circle>"
        ).format(PAD + (x - low) / span * SIZE, PAD / 2 + (1 - (y - low) / span) * SIZE, x, y)
        for x, y in points
    )
    texts = Markup(
        '<text x="{}" y="{}" text-anchor="start">{:.4g}</text><text x="{}" y="{}" text-anchor="end">{:.4g}</text>'
        '<text x="{}" y="{}" text-anchor="middle">actual</text>'
    ).format(PAD, PAD / 2 + SIZE + 16, low, PAD + SIZE, PAD / 2 + SIZE + 16, high, PAD + SIZE / 2, PAD / 2 + SIZE + 32)
    return picture(SIZE + 2 * PAD, "predicted against actual", frame() + dots + texts)


def moments_picture(moments: list[dict]) -> Markup:
    """The mean error of each span of time as a bar up or down, and the mean absolute error as a grey one behind it."""
    most = max((one["mae"] for one in moments), default=0) or 1.0
    width, middle, half = 2 * SIZE, SIZE / 3 + PAD / 2, SIZE / 3
    step = width / max(1, len(moments))
    bars = Markup()
    for number, one in enumerate(moments):
        x, day = PAD + number * step, date_of(one["since"])
        title = f"since {day}: {one['rows']} rows, mean error {one['bias']:g}, mean absolute error {one['mae']:g}"
        for size, colour in ((one["mae"], "#ddd"), (one["bias"], "#2f6db5")):
            height = abs(size) / most * half
            bars += Markup(
                '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"><title>{}</title></rect>'
            ).format(x, middle - (height if size >= 0 else 0), 0.85 * step, height, colour, title)
    line = Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="#999"/>').format(PAD, middle, PAD + width, middle)
    ends = [date_of(one["since"]) for one in (moments[:1] + moments[-1:])]
    texts = Markup().join(
        Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, middle + half + 16, anchor, text)
        for x, anchor, text in zip((PAD, PAD + width), ("start", "end"), ends, strict=False)
    )
    return picture(width + 2 * PAD, "errors over time", bars + line + texts)


def date_of(microseconds: int) -> str:
    """The day of a moment; "" for one that is no date."""
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds):%Y-%m-%d}"
    except OverflowError:
        return ""


def picture(width: float, label: str, content: Markup) -> Markup:
    start = Markup('<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">')
    return start.format(width, SIZE + 2 * PAD, width, label) + content + Markup("</svg>")
