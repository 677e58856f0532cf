"""Which columns a definition's section `monitoring` adds to those that are looked at, and which it takes away."""

from dataclasses import replace

from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

from brigade.conversion.schema import COLUMNS
from brigade.pipelines.load import load
from brigade.profiles.watched import NUMBER, TEXT, VALUE, watched_in

DOCUMENTS = StructType([StructField(name, StringType()) for name in COLUMNS])


def test_a_definition_names_more_columns_and_fewer():
    documents = load("documents")
    monitoring = replace(documents.monitoring, ignore=("eventVersion", "payload"), categories=("accountId",))
    plain = watched_in(DOCUMENTS, documents).fields
    told = watched_in(DOCUMENTS, replace(documents, monitoring=monitoring)).fields
    assert plain["payload"] == told["payload"] == TEXT and "eventVersion" in plain  # the text is always looked at
    assert told.keys() == plain.keys() - {"eventVersion"} | {"accountId"} and told["accountId"] == VALUE
    assert watched_in(DOCUMENTS, None).fields == plain


def test_a_table_has_a_source_and_numbers_that_are_categories_if_its_definition_says_so():
    wine = load("wine")
    names = [*wine.model.features, "quality", "good"]
    kinds = {"colour": StringType(), "quality": LongType()}
    schema = StructType([StructField(name, kinds.get(name, DoubleType())) for name in names])
    plain = watched_in(schema, wine).fields
    assert plain["ph"] == NUMBER and "quality" not in plain
    monitoring = replace(wine.monitoring, source="quality", categories=("ph",))
    told = watched_in(schema, replace(wine, monitoring=monitoring)).fields
    assert told == plain | {"ph": VALUE, "quality": VALUE}
