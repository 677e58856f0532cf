"""The columns of a conversion, as Spark's DDL: what is read of an event, what the query sees, what the parquet holds.

EVENT and QUERY convert this project's documents. Other documents have a schema and a query of their own.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from brigade.conversion.errors import SchemaError
from brigade.events.contract import DOCUMENTS, Contract

# The fields that are read of an event. Only four are required, see lines.py. Fields that are not listed here stay in
# the landed files.
EVENT = """
    eventId STRING, eventTimestamp STRING, eventSource STRING, eventType STRING, eventVersion STRING,
    doc STRUCT<docId: STRING, payload: STRING, metadata: STRUCT<accountId: STRING, superTag01: STRING,
        superTag02: STRING, otherTags: ARRAY<STRUCT<tagName: STRING, tagValue: STRING>>>>
"""
SQL_TYPES = {"number": "DOUBLE", "integer": "BIGINT", "boolean": "BOOLEAN"}  # of a field; of the others STRING
LANDING = "pubsub STRUCT<messageId: STRING, publishTime: STRING>"  # what landing adds to every event

# The view `events` has a column for each field of the event, and three more: `line`, the whole JSON text; `eventTime`
# and `publishTime`, the event's two times as timestamps, null where there is none. The query yields one row a line. A
# line whose eventId or dt comes out as null is quarantined, and one with a value that the query cannot compute.
ADDED = ("line", "eventTime", "publishTime")
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


def schema_of(contract: Contract) -> str:
    """The fields of a contract, as Spark's DDL."""
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in members_of(contract, ()).items())


def members_of(contract: Contract, path: tuple[str, ...]) -> dict[str, str]:
    """The SQL types of what an object of the contract holds, by name. path: the object's."""
    found: dict[str, str] = {}
    for one in contract.fields:
        if one.path[: len(path)] == path:
            name = one.path[len(path)]
            if len(one.path) > len(path) + 1:
                found[name] = struct(members_of(contract, (*path, name)))
            else:
                items = struct(dict.fromkeys(one.items, "STRING")) if one.type == "list" else ""
                found[name] = f"ARRAY<{items}>" if items else SQL_TYPES.get(one.type, "STRING")
    return found


def struct(members: dict[str, str]) -> str:
    return f"STRUCT<{', '.join(f'{quoted(name)}: {kind}' for name, kind in members.items())}>"


def fields_of(spark: SparkSession, schema: str) -> StructType:
    """The fields that are read of a line: those of the schema, and LANDING unless the schema has its own `pubsub`.

    Raises SchemaError if the schema is empty, or names a field twice or like a column of ADDED; and Spark's
    ParseException if it is not DDL.
    """
    fields = parsed(spark, schema)
    known = [name.lower() for name in ("_row", "_line", *ADDED)]
    for name in fields.names:
        if name.lower() in known:
            raise SchemaError(f"expected each field once, and none named {', '.join(ADDED)}; found {name}")
        known.append(name.lower())
    if "pubsub" not in known:
        return fields.add(parsed(spark, LANDING)["pubsub"])
    own = next(field.dataType for field in fields if field.name.lower() == "pubsub")
    if not isinstance(own, StructType) or not {"messageId", "publishTime"} <= {*own.names}:
        raise SchemaError(f"expected {LANDING}, found pubsub {own.simpleString()}")
    return fields


def parsed(spark: SparkSession, schema: str) -> StructType:
    """The fields of a schema in Spark's DDL. Raises SchemaError if it is empty; ParseException if it is not DDL."""
    if not schema.strip():
        raise SchemaError("expected fields as Spark's DDL, such as number STRING, total DOUBLE; found nothing")
    java: Any = spark._jvm
    fields = java.org.apache.spark.sql.types.StructType.fromDDL(schema)
    return StructType.fromJson(json.loads(fields.json()))


def quoted(name: str) -> str:
    """A column's name as SQL takes it, whatever it holds."""
    return f"`{name.replace('`', '``')}`"


@dataclass(frozen=True)
class Reading:
    """How lines become rows: the fields that are read of an event, what it must hold, and the query.

    schema: Spark's DDL. contract: None if an event need hold nothing.
    """

    query: str = QUERY
    schema: str = EVENT
    contract: Contract | None = DOCUMENTS

    @property
    def is_default(self) -> bool:
        """Whether documents are converted by this project's own query."""
        return (self.query, self.schema) == (QUERY, EVENT)

    @property
    def names_unknown_fields(self) -> bool:
        """Whether the fields of an event that the contract does not name are counted; those of documents are many."""
        return self.contract not in (None, DOCUMENTS)

    @property
    def fingerprint(self) -> str:
        """Tells which query and schema made a table."""
        return hashlib.sha256(f"{self.schema}\n{self.query}".encode()).hexdigest()[:16]


OWN = Reading()


def reading_of(query: str, contract: Contract) -> Reading:
    """How a pipeline's events become rows; OWN for documents and this project's query."""
    schema = EVENT if contract == DOCUMENTS else schema_of(contract)
    return Reading(QUERY if query.strip() == QUERY.strip() else query, schema, contract)
