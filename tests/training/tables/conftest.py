"""The trainings of tables that several files of tests look at; each is run once."""

from datetime import date

import pytest

from brigade.training.run import train
from tests.training.tables.made_up_tables import definition, houses, written
from tests.training.whole_runs import quick_training


@pytest.fixture(scope="session")
def house_runs(spark, tmp_path_factory) -> dict:
    """Three runs: prices of houses, the newest of which test; the same once more into another folder; and whether a
    house is sold, with a second run that is compared with the first."""
    folder = tmp_path_factory.mktemp("houses")
    data = written(spark, folder / "parquet", houses(600))
    found = {"folder": folder, "data": data}
    with quick_training(folder / "ein Büro"):
        for name, kind, models, day in (
            ("price", definition(), "models", date(2026, 1, 5)),
            ("price again", definition(), "others", date(2026, 1, 5)),
            ("sold", definition("classification"), "models", date(2026, 1, 5)),
            ("sold again", definition("classification"), "models", date(2026, 2, 2)),
        ):
            found[name] = train(spark, data, str(folder / models), definition=kind, day=day)
    return found
