"""The report's pictures as SVG: the confusion matrix and the calibration curve.

They are Markup: what comes from the data is escaped here, and the template takes them as they are.
"""

from collections import Counter

from markupsafe import Markup

from brigade.training.evaluation import Evaluation

MOST_LABELS = 40  # of a confusion matrix
CELL = 30  # the size of a cell in pixels
LABEL_CHARACTERS = 28
RIGHT, WRONG = "47,109,181", "190,40,40"  # blue and red
SIZE, PAD = 300, 36  # of the calibration curve and around it, in pixels


def confusion_picture(evaluation: Evaluation) -> Markup:
    """The confusion matrix of the commonest labels: a row shows what a label's documents were taken for, in percent."""
    supports: Counter = Counter()
    for (label, _), count in evaluation.pairs.items():
        supports[label] += count
    names = sorted(name for name, _ in supports.most_common(MOST_LABELS))
    size, longest = CELL * len(names), 7 * max(len(cut(name)) for name in names)
    left, top = longest + 16, int(0.87 * longest) + 16  # the room for the labels
    width, height = left + size + longest // 2, top + size + 10
    parts = [
        Markup('<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="confusion matrix">').format(
            width, height, width
        )
    ]
    for row, label in enumerate(names):
        parts.append(label_texts(left, top, row, label))
        for column, guess in enumerate(names):
            count = evaluation.pairs[label, guess]
            title = f"{label}, taken for {guess}: {count} of {supports[label]}"
            x, y = left + column * CELL, top + row * CELL
            parts.append(confusion_cell(x, y, row == column, count / supports[label], title))
    return Markup().join([*parts, Markup("</svg>")])


def cut(label: str) -> str:
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"


def label_texts(left: int, top: int, row: int, label: str) -> Markup:
    """A label, left of its row and above its column; its whole text on hover."""
    whole = Markup("{}<title>{}</title>").format(cut(label), label) if cut(label) != label else label
    return Markup(
        '<text x="{}" y="{}" text-anchor="end">{}</text><text transform="translate({},{}) rotate(-60)">{}</text>'
    ).format(left - 6, top + row * CELL + 19, whole, left + row * CELL + 19, top - 6, whole)


def confusion_cell(x: int, y: int, is_right: bool, share: float, title: str) -> Markup:
    """A cell: the deeper its colour, the larger its share of the row. From half a percent on it is written."""
    colour = f"rgba({RIGHT if is_right else WRONG},{0.04 + 0.9 * share:.2f})"
    cell = Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}</title></rect>')
    found = cell.format(x, y, CELL - 1, CELL - 1, colour, title)
    if share >= 0.005:
        ink = Markup(' fill="#fff" style="fill:#fff"') if share > 0.55 else ""
        number = Markup('<text x="{}" y="{}" text-anchor="middle"{}>{}</text>')
        found += number.format(x + CELL / 2 - 0.5, y + 19, ink, f"{100 * share:.0f}")
    return found


def calibration_picture(bins: list[dict]) -> Markup:
    """The calibration curve: how often each confidence was right, beside the line on which the two are equal.

    bins: `calibration` of the metrics.
    """
    side = SIZE + 2 * PAD
    start = Markup('<svg viewBox="0 0 {} {}" width="420" role="img" aria-label="calibration">').format(side, side)
    return Markup().join([start, frame(), curve(bins), axes(), Markup("</svg>")])


def at(x: float, y: float) -> tuple[float, float]:
    """The place of a confidence and an accuracy, 0 to 1 each, in the picture."""
    return PAD + x * SIZE, PAD / 2 + (1 - y) * SIZE


def frame() -> Markup:
    """The area of the curve and the dashed diagonal."""
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    return Markup(
        '<rect x="{}" y="{}" width="{}" height="{}" fill="#fafafa" stroke="#ccc"/>'
        '<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="#999" stroke-dasharray="4"/>'
    ).format(x0, y1, SIZE, SIZE, x0, y0, x1, y1)


def curve(bins: list[dict]) -> Markup:
    """The points, larger for more documents, and the line through them."""
    most = max(one["documents"] for one in bins)
    points = [at(one["confidence"], one["accuracy"]) for one in bins]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    found = Markup('<polyline points="{}" fill="none" stroke="#2f6db5" stroke-width="2"/>').format(path)
    for (x, y), one in zip(points, bins, strict=True):
        radius = 3 + 9 * (one["documents"] / most) ** 0.5
        title = f"{one['documents']} documents: confidence {one['confidence']:.3f}, right {one['accuracy']:.3f}"
        found += Markup(
            '<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" fill="#2f6db5" fill-opacity=".6"><title>{}</title></circle>'
        ).format(x, y, radius, title)
    return found


def axes() -> Markup:
    """The numbers at 0, 0.5 and 1 of both axes, and the name of the lower one."""
    x0, y0 = at(0, 0)
    found = Markup()
    for tick in (0, 0.5, 1):
        x, y = at(tick, tick)
        found += Markup(
            '<text x="{}" y="{}" text-anchor="middle">{:g}</text><text x="{}" y="{}" text-anchor="end">{:g}</text>'
        ).format(x, y0 + 16, tick, x0 - 6, y + 4, tick)
    name = Markup('<text x="{}" y="{}" text-anchor="middle">confidence</text>')
    return found + name.format(PAD + SIZE / 2, y0 + 32)
