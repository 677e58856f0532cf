"""Whether the columns that a query yields can lie in one table with those that are there.

Spark reads the files of a table with all columns of any of them. It cannot if a column has two types.
"""

from pyspark.sql.types import DataType, StructField, StructType

from brigade.conversion.errors import ConversionError


def merged_columns(there: StructType, new: StructType) -> StructType:
    """The columns of both. Raises ConversionError if one has two types; names are compared without case, as in SQL."""
    conflicts: list[str] = []
    columns = merged(there, new, "", conflicts)
    if conflicts:
        raise ConversionError(
            f"expected the query's columns to have the types that the table has, found {'; '.join(conflicts)}. "
            "The table is as it was: keep the types, choose another output, or start over with --full"
        )
    return columns


def merged(there: StructType, new: StructType, path: str, conflicts: list[str]) -> StructType:
    """The fields of both; what does not fit is added to `conflicts`."""
    fields = {one.name.lower(): one for one in there.fields}
    for one in new.fields:
        before = fields.get(one.name.lower())
        kind: DataType = one.dataType
        if before and isinstance(before.dataType, StructType) and isinstance(kind, StructType):
            kind = merged(before.dataType, kind, f"{path}{before.name}.", conflicts)
        elif before and before.dataType.simpleString() != kind.simpleString():
            conflicts.append(f"{path}{one.name}: {before.dataType.simpleString()} there, {kind.simpleString()} now")
        fields[one.name.lower()] = StructField(before.name if before else one.name, kind)
    return StructType(list(fields.values()))
