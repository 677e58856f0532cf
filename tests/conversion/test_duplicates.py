"""Which row of an eventId is kept."""

import pytest
from pyspark.sql import functions as F

from brigade.conversion.duplicates import judged


def test_the_last_published_of_an_event_wins(spark):
    seen = [  # eventId, publishTime, messageId, file, hash, id
        ("a", None, "9", "f9", 9, 1),
        ("a", "2019-04-03 00:00:02", "1", "f0", 0, 2),
        ("a", "2019-04-03 00:00:01", "2", "f2", 0, 3),
        ("b", None, None, "f1", 9, 4),
        ("b", None, None, "f2", 1, 5),
        ("b", None, None, "f2", 2, 6),
        ("c", "2019-04-03 00:00:01", "7", "f2", 0, 7),
        ("c", "2019-04-03 00:00:01", "8", "f1", 0, 8),
        ("c", "2019-04-03 00:00:01", None, "f3", 0, 9),
        ("d", None, None, "f1", 0, None),
        ("d", None, None, "f1", 0, 10),
        *(("e", "2019-04-03 00:00:01", str(number), "f1", 0, 20 + number) for number in (10, 9, 12, 8, 11)),
        ("f", "2019-04-03 00:00:01", "9" * 30, "f2", 0, 40),
        ("f", "2019-04-03 00:00:01", "1" + "0" * 30, "f1", 0, 41),
        ("f", "2019-04-03 00:00:01", "0" * 9 + "8" * 30, "f2", 0, 42),
    ]
    names = "eventId string, publishTime string, messageId string, file string, hash long, id long"
    frame = spark.createDataFrame(seen, names)
    frame = frame.withColumn("publishTime", F.col("publishTime").cast("timestamp")).withColumn("dt", F.lit("d"))
    rows = judged(frame.withColumns({"new": F.lit(True), "gone": F.lit(False)})).collect()
    kept = {"a": 2, "b": 6, "c": 8, "d": 10, "e": 32, "f": 41}
    assert [(row.eventId, row.id) for row in sorted(rows, key=lambda row: row.eventId) if not row.lost] == list(
        kept.items()
    )
    assert not any(row.removed for row in rows)


OLD, VOID, NEW = (False, False), (False, True), (True, False)  # new, gone


@pytest.mark.parametrize(
    ("contenders", "kept", "removed"),
    [
        ([(1, OLD), (2, NEW)], [2], [1]),
        ([(2, OLD), (1, NEW)], [], []),
        ([(1, OLD), (2, OLD), (3, NEW)], [3], [2]),
        ([(2, VOID), (1, NEW)], [1], [2]),
        ([(2, VOID), (1, OLD)], [], [2]),  # whose file is read again, as it was
        ([(2, OLD), (1, VOID)], [], []),
        ([(2, VOID)], [], [2]),
        ([(3, NEW), (2, NEW), (1, VOID)], [3], [1]),
    ],
)
def test_which_row_of_the_table_has_to_go(spark, contenders, kept, removed):
    seen = [("a", str(number), number, *kind) for number, kind in contenders]
    frame = spark.createDataFrame(seen, "eventId string, messageId string, id long, new boolean, gone boolean")
    missing = {"publishTime": F.lit(None).cast("timestamp"), "file": F.lit("f"), "hash": F.lit(0), "dt": F.lit("d")}
    rows = judged(frame.withColumns(missing)).collect()
    staged = {number for number, (new, _) in contenders if new}
    assert [row.id for row in rows if row.id in staged and not row.lost] == kept
    assert [row.id for row in rows if row.removed] == removed
