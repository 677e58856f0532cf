"""Which part each document is in: train, validation or test.

Documents with the same words share a part, so no test document was seen in training. A random split is stratified: a
class with few texts has one in train first, then in test, then in validation. A split by time cuts between moments.
"""

from itertools import accumulate

import mmh3
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from brigade.training.errors import TrainingError

MAX_CLASSES = 5000
COUNTED = 1000  # texts of a class up to which its shares are counted out; beyond, the texts' hashes are even enough
STEPS = 200  # a split by time looks at the moments after each of so many equal shares of the texts


def split(documents: DataFrame, fractions: dict[str, float], by: str = "random", seed: int = 0) -> DataFrame:
    """Documents with their `part`; each part has about its fraction of the texts, see `by_class` and `by_time`.

    fractions: "train" is the last. Raises TrainingError if time is to split documents of one moment.
    """
    return by_time(documents, fractions, seed) if by == "time" else by_class(documents, fractions, seed)


def by_class(documents: DataFrame, fractions: dict[str, float], seed: int = 0) -> DataFrame:
    """Documents with their `part`, stratified by label: the order of a class's texts is that of `place`.

    Texts with several labels count for the rarest one.
    """
    pairs = documents.select("words", "place", "label").distinct()
    sizes = {row.label: row["count"] for row in pairs.groupBy("label").count().limit(MAX_CLASSES + 1).collect()}
    *names, rest = fractions
    if len(sizes) > MAX_CLASSES:  # which ends the run, see `check_enough`
        return documents.withColumn("part", F.lit(rest))
    taken = seats(sizes, [fractions[name] for name in names], seed)
    schema = ", ".join(["label string", "size long", *(f"{name} long" for name in names)])
    classes = documents.sparkSession.createDataFrame([(one, sizes[one], *taken[one]) for one in sizes], schema)
    rarest = F.min(F.struct("size", "label", *names)).alias("class")
    texts = pairs.join(F.broadcast(classes), "label").groupBy("words", "place").agg(rarest)
    texts = texts.select("words", "place", "class.*")
    # Of a class with many texts each text is a window of its own, so that no task has to sort all of them.
    alone = F.when(F.col("size") > COUNTED, F.col("words"))
    rank = F.row_number().over(Window.partitionBy("label", alone).orderBy("place")) - 1  # 0 is for train
    share = (F.col("place") / 2.0**64 + 0.5) * F.col("size")
    position = F.when(F.col("size") > COUNTED, share + 1).otherwise(rank)
    part, end = F.lit(rest), F.lit(1)
    for name in names:
        begin, end = end, end + F.col(name)
        part = F.when((position >= begin) & (position < end), name).otherwise(part)
    return documents.join(texts.select("words", part.alias("part")), "words")


def seats(sizes: dict[str, int], fractions: list[float], seed: int = 0) -> dict[str, list[int]]:
    """How many texts of each class each part takes, {label: [one number for each fraction]}; train has the others.

    A class has its fraction of each part, and at least one text if the part is large enough for all classes; if it is
    not, a share of the classes has one. One text of each class is left for train.
    """
    taken: dict[str, list[int]] = {label: [] for label in sizes}
    total = sum(sizes.values())
    order = sorted(sizes, key=lambda label: (mmh3.hash64(f"{seed} {label}"), label))
    for fraction in fractions if sizes else ():
        fraction = max(fraction, 1 / total)  # a part has one text at least
        usual = min(1.0, fraction * total / len(sizes))
        free = [max(0, sizes[label] - 1 - sum(taken[label])) for label in order]
        wanted = [
            min(float(most), max(fraction * sizes[label], usual)) for label, most in zip(order, free, strict=True)
        ]
        # The fractions are carried along from class to class, so that all classes together have what they should.
        ends = [int(end + 0.5) for end in accumulate(wanted, initial=0.0)]
        for label, most, begin, end in zip(order, free, ends, ends[1:], strict=False):
            taken[label].append(min(most, end - begin))
    return taken


def by_time(documents: DataFrame, fractions: dict[str, float], seed: int = 0) -> DataFrame:
    """Documents with their `part`; the newest are in the part that is named first.

    A text is as old as its first appearance. Texts of one moment share a part, so the parts have their fractions as
    nearly as moments allow. If there are fewer moments than parts, the oldest moment is split as `by_class` does.
    """
    # A document without a time counts as the oldest.
    moment = F.coalesce(F.unix_micros(F.min("time")), F.lit(-(2**60))).cast("double")
    texts = documents.groupBy("words").agg(moment.alias("moment"))
    newest = some_moments(texts)
    *names, rest = fractions
    if not newest:
        return documents.withColumn("part", F.lit(rest))
    if len(newest) == 1:
        raise TrainingError(
            "expected documents of several moments to split by time, found the same eventTimestamp (or publishTime) on "
            "all of them; time cannot split them, --split=random can"
        )
    by_moment = names[: len(newest) - 1]
    ends = cuts(counted(texts, newest), [fractions[name] for name in by_moment])
    part = F.lit(rest)
    for name, end in reversed(list(zip(by_moment, ends, strict=True))):
        part = F.when(F.col("moment") >= newest[end - 1], name).otherwise(part)
    parts = documents.join(texts.select("words", part.alias("part")), "words")
    if by_moment == names:
        return parts
    others = {name: fraction for name, fraction in fractions.items() if name not in by_moment}
    older = by_class(parts.where(F.col("part") == rest).drop("part"), others, seed)
    return parts.where(F.col("part") != rest).unionByName(older)


def some_moments(texts: DataFrame) -> list[float]:
    """Moments between which the texts can be cut, the newest first: all of them if they are few."""
    steps = [step / STEPS for step in range(STEPS + 1)]
    distinct = texts.select("moment").distinct()
    found = {moment for frame in (texts, distinct) for moment in frame.approxQuantile("moment", steps, 0.0005)}
    return sorted(found, reverse=True)


def counted(texts: DataFrame, newest: list[float]) -> list[int]:
    """How many texts are as old as each of the moments, or newer, and older than the one before it."""
    moment = F.col("moment")
    newer = F.size(F.filter(F.array(*map(F.lit, newest)), lambda one: one > moment))
    found = {row.newer: row["count"] for row in texts.groupBy(newer.alias("newer")).count().collect()}
    return [found.get(number, 0) for number in range(len(newest))]


def cuts(counts: list[int], fractions: list[float]) -> list[int]:
    """With how many of the moments each part ends, so that it has its fraction as nearly as can be.

    counts: texts by moment. One moment at least is left for each part, and for what remains after them.
    """
    sums, ends = list(accumulate(counts, initial=0)), [0]
    for number, fraction in enumerate(fractions):
        begin, last = ends[-1], len(counts) - len(fractions) + number
        wanted = sums[begin] + fraction * sums[-1]
        ends.append(min(range(begin + 1, last + 1), key=lambda end: abs(sums[end] - wanted)))
    return ends[1:]
