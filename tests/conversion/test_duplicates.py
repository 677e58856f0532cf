"""Which row of an eventId is kept."""

from pyspark.sql import functions as F

from brigade.conversion.duplicates import number_copies


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
    rows = number_copies(frame.withColumn("publishTime", F.col("publishTime").cast("timestamp"))).collect()
    assert {row.eventId: row.id for row in rows if row.copy == 1} == {"a": 2, "b": 6, "c": 8, "d": 10, "e": 32, "f": 41}
    assert sorted(row.copy for row in rows if row.eventId == "b") == [1, 2, 3]
