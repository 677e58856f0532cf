"""Counts the fields of a pipeline's events that its contract does not name. They stay in the landed files alone.

So a field that is added upstream is noticed, and nothing is dropped in silence.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from brigade.events.contract import Contract

MOST_OF_A_LINE, MOST = 100, 50  # names that are looked at of a line, and told of a run


def unknown_fields(contract: Contract) -> str:
    """An array of the dotted names of those fields of a line, `value`, that the contract does not name."""
    known: dict[tuple[str, ...], list[str]] = {(): ["pubsub"]}
    for one in contract.fields:
        for depth in range(len(one.path)):
            known.setdefault(one.path[:depth], []).append(one.path[depth])
    found = []
    for outer, names in known.items():
        place = "".join(f"[{text(name)}]" for name in outer)
        value = f"get_json_object(value, {text('$' + place)})" if outer else "value"
        keys = f"array_except(json_object_keys({value}), array({', '.join(map(text, dict.fromkeys(names)))}))"
        prefix = text("".join(f"{name}." for name in outer))
        found.append(f"transform(coalesce({keys}, array()), name -> concat({prefix}, name))")
    return f"slice(concat({', '.join(found)}), 1, {MOST_OF_A_LINE})"


def text(value: str) -> str:
    """A text as SQL writes it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def count_unknown(staged: DataFrame) -> dict[str, int]:
    """In how many of the staged events each unknown field occurs, the commonest first, up to MOST of them."""
    names = staged.where("_row.reason IS NULL").select(F.explode("_row.unknown").alias("name"))
    counted = names.groupBy("name").count().orderBy(F.desc("count"), "name").limit(MOST)
    return {row.name: row["count"] for row in counted.collect()}
