"""Boosted trees on Spark: what XGBoost is given."""

from brigade.models.table_model import Feature
from brigade.spark import settings
from brigade.training.tables.boosting import TreeSettings, grow, spread


def test_batches_of_which_no_row_is_for_validation_or_none_is_learned_are_read_too(spark):
    """Of many rows such batches come by chance; here they are so small that most are of one kind."""
    rows = [(f"{n:03}", n, n % 4 == 0, float(n % 7), float(n % 7), float(n)) for n in range(60)]
    schema = "id string, place long, validation boolean, label double, f0 float, f1 float"
    features = [Feature("a", "number"), Feature("b", "number")]
    with settings(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": "2"}):
        own = spread(spark.createDataFrame(rows, schema), 1)
        try:
            grown = grow(own, features, TreeSettings(4, 0, 0.5), "regression", 0, 1, 0)
        finally:
            own.unpersist()
    assert grown.trees > 1 and grown.loss < 1
    assert grown.booster.feature_names is None, "a model's trees know their features by number alone"
