"""The trainings of tables that several files of tests look at; each is run once."""

from datetime import date

import pytest

from brigade.training.run import train
from tests.training.tables.made_up_tables import definition, houses, written
from tests.training.whole_runs import quick_training


@pytest.fixture(scope="session")
def house_runs(spark, tmp_path_factory) -> dict:
    """Four runs: prices of houses, the newest of which test; the same once more, from the first one's data.json; and
    whether a house is sold, with a second run that is compared with the first."""
    folder = tmp_path_factory.mktemp("houses")
    data = written(spark, folder / "parquet", houses(600))
    found = {"folder": folder, "data": data}
    with quick_training(folder / "ein Büro"):
        for name, kind, day in (
            ("price", definition(), date(2026, 1, 5)),
            ("sold", definition("classification"), date(2026, 1, 5)),
            ("sold again", definition("classification"), date(2026, 2, 2)),
        ):
            found[name] = train(spark, data, str(folder / "models"), definition=kind, day=day)
        first = f"{found['price']['path']}/runs/{found['price']['runId']}/data.json"
        found["price again"] = train(spark, first, str(folder / "others"), definition=definition())
    return found
