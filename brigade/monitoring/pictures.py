"""The report's pictures as SVG: a figure by day, a share by day, and shares before and now.

They are Markup: what comes from the data is escaped here, and the template takes them as they are. They are narrow,
so that a phone shows them at nearly their size.
"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from brigade.monitoring.performance import Figure

WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 440, 180, 52, 30, 12
BAR, ROW = 13, 40  # pixels of a bar's height, and of a pair of them
LABEL = 150  # pixels of a bar's name
CHARACTERS = 20
BEFORE, NOW, BAD = "#9db4cc", "#2f6db5", "#be2828"
MOST_DAYS = 7  # that are written below a picture


def by_day(days: Mapping[str, Figure], then: Figure | None, since: str | None) -> Markup:
    """A figure by day with its interval, above the band of the test set's; the days since it got worse are red."""
    names = list(days)
    values = [one for figure in [*days.values(), *([then] if then else [])] for one in (figure.low, figure.high)]
    low, high = min(values), max(values)
    scale = Scale(names, low, high if high > low else low + 1)
    parts = [scale.frame("by day")]
    if then:
        band = Markup(
            '<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}" fill="{}" fill-opacity=".45"><title>{}</title></rect>'
        )
        top, bottom = scale.y(then.high), scale.y(then.low)
        title = f"in the test: {then.value:.4g}"
        parts.append(band.format(LEFT, top, WIDTH - LEFT - 8, max(bottom - top, 2), BEFORE, title))
    for name, one in days.items():
        x, colour = scale.x(name), BAD if since and name >= since else NOW
        title = f"{name}: {one.value:.4g} ({one.low:.4g} – {one.high:.4g}), {one.events:,} events"
        parts.append(
            Markup(
                '<g stroke="{}" fill="{}"><line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke-opacity=".5"/>'
                '<circle cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle></g>'
            ).format(colour, colour, x, scale.y(one.low), x, scale.y(one.high), x, scale.y(one.value), title)
        )
    return Markup().join([*parts, Markup("</svg>")])


def share_by_day(days: Mapping[str, tuple[int, int]], before: float, since: str | None) -> Markup:
    """The share of events of each day, (part, whole), and the reference's as a line; since a day in red."""
    shares = {name: part / whole for name, (part, whole) in days.items() if whole}
    scale = Scale(list(shares), 0.0, max([before, *shares.values(), 0.001]) * 1.05)
    wide = max(min((WIDTH - LEFT) / max(len(shares), 1) - 3, 40), 2)
    parts = [scale.frame("share by day", percent=True)]
    for name, share in shares.items():
        y, title = scale.y(share), f"{name}: {100 * share:.1f} % of {days[name][1]:,} events"
        parts.append(
            Markup(
                '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"><title>{}</title></rect>'
            ).format(scale.x(name) - wide / 2, y, wide, scale.y(0) - y, BAD if since and name >= since else NOW, title)
        )
    line = Markup(
        '<line x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}" stroke="#555" stroke-dasharray="5"><title>{}</title></line>'
    )
    y, title = scale.y(before), f"in the model's data: {100 * before:.1f} %"
    parts.append(line.format(LEFT, y, WIDTH - 8, y, title))
    return Markup().join([*parts, Markup("</svg>")])


def pairs(changes: Sequence[Sequence]) -> Markup:
    """Shares before (pale) and now, [what, before, now] each."""
    most = max([0.001, *(share for _, *both in changes for share in both)])
    parts = [
        Markup('<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="before and now">').format(
            WIDTH, ROW * len(changes) + 4, WIDTH
        )
    ]
    for number, (what, *both) in enumerate(changes):
        top, text = ROW * number + 4, str(what)
        cut = text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>').format(
                LABEL - 8, top + BAR + 5, cut, text
            )
        )
        for place, (share, colour) in enumerate(zip(both, (BEFORE, NOW), strict=True)):
            wide, y = max((WIDTH - LABEL - 60) * share / most, 1), top + place * (BAR + 1)
            parts.append(
                Markup(
                    '<rect x="{}" y="{}" width="{:.1f}" height="{}" fill="{}"/><text x="{:.1f}" y="{}">{}</text>'
                ).format(LABEL, y, wide, BAR, colour, LABEL + wide + 5, y + BAR - 3, f"{100 * share:.1f} %")
            )
    return Markup().join([*parts, Markup("</svg>")])


class Scale:
    """Where days and values lie in a picture."""

    def __init__(self, days: list[str], low: float, high: float):
        self.days, self.low, self.high = days, low, high
        self.step = (WIDTH - LEFT - 8) / max(len(days), 1)

    def x(self, day: str) -> float:
        return LEFT + (self.days.index(day) + 0.5) * self.step

    def y(self, value: float) -> float:
        return ABOVE + (self.high - value) / (self.high - self.low) * (HEIGHT - BELOW - ABOVE)

    def frame(self, name: str, percent: bool = False) -> Markup:
        """The start of the picture: its area, two values and some days."""
        parts = [
            Markup(
                '<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">'
                '<rect x="{}" y="{}" width="{}" height="{}" fill="#fafafa" stroke="#ccc"/>'
            ).format(WIDTH, HEIGHT, WIDTH, name, LEFT, ABOVE, WIDTH - LEFT - 8, HEIGHT - BELOW - ABOVE)
        ]
        for value in (self.low, self.high):
            text = f"{100 * value:.1f} %" if percent else f"{value:.3g}"
            parts.append(
                Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(LEFT - 5, self.y(value) + 4, text)
            )
        every = -(-len(self.days) // MOST_DAYS) or 1
        parts += [
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(self.x(day), HEIGHT - 10, day[5:])
            for day in self.days[::every]
        ]
        return Markup().join(parts)
