"""The columns of a conversion, as Spark's DDL: what is read of an event, what the query sees, what the parquet holds.

EVENT and QUERY convert this project's documents. Other documents have a schema and a query of their own.
"""

import hashlib
import re

# The fields that are read of an event. Only four are required, see lines.py. Fields that are not listed here stay in
# the landed files.
EVENT = """
    eventId STRING, eventTimestamp STRING, eventSource STRING, eventType STRING, eventVersion STRING,
    doc STRUCT<docId: STRING, payload: STRING, metadata: STRUCT<accountId: STRING, superTag01: STRING,
        superTag02: STRING, otherTags: ARRAY<STRUCT<tagName: STRING, tagValue: STRING>>>>
"""
LANDING = "pubsub STRUCT<messageId: STRING, publishTime: STRING>"  # what landing adds to every event

# The view `events` has a column for each field of the event, and three more: `line`, the whole JSON text; `eventTime`
# and `publishTime`, the event's two times as timestamps, null where there is none. The query yields one row a line. A
# line whose eventId or dt comes out as null is quarantined.
QUERY = """
SELECT eventId,
       eventTime AS eventTimestamp,
       eventSource,
       eventType,
       eventVersion,
       doc.docId,
       doc.metadata.accountId,
       doc.metadata.superTag01,
       doc.metadata.superTag02,
       array_join(transform(doc.metadata.otherTags,
                            tag -> concat(coalesce(tag.tagName, ''), ':', coalesce(tag.tagValue, ''))),
                  '|') AS concatOtherTags,
       doc.payload,
       pubsub.messageId,
       publishTime,
       date_format(coalesce(publishTime, eventTime), 'yyyy-MM-dd') AS dt
FROM events
"""
SCHEMA = """eventId STRING, eventTimestamp TIMESTAMP, eventSource STRING, eventType STRING, eventVersion STRING,
    docId STRING, accountId STRING, superTag01 STRING, superTag02 STRING, concatOtherTags STRING, payload STRING,
    messageId STRING, publishTime TIMESTAMP, dt STRING"""  # of the parquet
COLUMNS = tuple(column.split()[0] for column in SCHEMA.split(","))

# What a conversion keeps about each line, from parsing to the table.
ROW = """_row STRUCT<id: LONG, file: STRING, hash: LONG, reason: STRING, detail: STRING, line: STRING,
    publishTime: TIMESTAMP, messageId: STRING>"""


def with_landing(schema: str) -> str:
    """The schema, with LANDING unless it names `pubsub` itself."""
    return schema if re.search(r"(?i)\bpubsub\s", schema) else f"{schema}, {LANDING}"


def view_schema(schema: str) -> str:
    """The columns of the view `events`, and `_row`."""
    return f"{ROW}, {with_landing(schema)}, line STRING, eventTime TIMESTAMP, publishTime TIMESTAMP"


def is_default(query: str, schema: str) -> bool:
    """Whether documents are converted by this project's own query."""
    return (query, schema) == (QUERY, EVENT)


def fingerprint(query: str, schema: str) -> str:
    """Tells which query and schema made a table."""
    return hashlib.sha256(f"{schema}\n{query}".encode()).hexdigest()[:16]
