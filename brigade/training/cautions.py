"""What a reader of the headline figures has to know: classes that the test says little about, and imbalance."""

from collections import Counter
from collections.abc import Collection, Sequence

FEW = 5  # test documents of a class; one of them moves its recall by a fifth or more
IMBALANCE = 100  # times as many documents as the rarest class has
NAMED = 10  # classes in a sentence
LABEL_CHARACTERS = 40
WIDE = 0.2  # an interval of the accuracy


def cautions(tested: dict[str, dict], learned: Counter, interval: Sequence[float] = ()) -> list[str]:
    """The warnings, each a sentence without its full stop.

    tested: what is known of each class of the model and of the test documents, see `per_class`. learned: how many
    documents the model has learned, by class. interval: of the accuracy.
    """
    found = []
    if interval and interval[1] - interval[0] > WIDE:
        found.append(
            f"{sum(one['documents'] for one in tested.values())} test documents say little: with 95 % confidence the "
            f"accuracy lies between {interval[0]:.2f} and {interval[1]:.2f}"
        )
    untested = sorted(name for name, one in tested.items() if not one["documents"])
    if untested:
        found.append(
            f"no test documents for {len(untested)} of {len(tested)} classes, so that no figure speaks of them: "
            + names(untested)
        )
    few = {name: one["documents"] for name, one in tested.items() if 0 < one["documents"] < FEW}
    if few:
        shown = [f"{quoted(name)} ({count})" for name, count in sorted(few.items(), key=lambda one: one[::-1])]
        found.append(
            f"fewer than {FEW} test documents for {len(few)} of {len(tested)} classes, whose figures say little: "
            + listed(shown)
        )
    (most, commonest), (least, rarest) = ((one, learned[one]) for one in extremes(learned))
    if commonest >= IMBALANCE * rarest:
        found.append(
            f"{quoted(most)} has {commonest:,} documents and {quoted(least)} has {rarest:,}: accuracy speaks of the "
            "common classes alone, so read the figures of each class"
        )
    return found


def extremes(learned: Counter) -> tuple[str, str]:
    """The commonest and the rarest class."""
    order = sorted(learned, key=lambda name: (-learned[name], name))
    return order[0], order[-1]


def names(labels: Collection[str]) -> str:
    return listed([quoted(one) for one in labels])


def listed(shown: list[str]) -> str:
    more = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
    return ", ".join(shown[:NAMED]) + more


def quoted(label: str) -> str:
    """A label in quotation marks, of a bounded length, on one line."""
    cut = label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"
    return repr(cut)
