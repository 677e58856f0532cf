"""A run keeps the profile of its documents: of all of them, and of the test part what the new model makes of it."""

import pytest

from brigade.profiles.buckets import bucket_of_class
from brigade.profiles.measure import profile_of
from brigade.training.sources import load_events
from tests.training.made_up_documents import LABELS, WORDS
from tests.training.whole_runs import contents, profile_in


def test_all_documents_are_in_a_run_s_profile_and_of_predictions_the_test_part(spark, runs, second):
    found, figures = profile_in(second["folder"]), contents(second["folder"], "metrics.json")
    total, test = found.total(), figures["test"]
    parquet = f"{runs['folder']}/parquet"
    whole = profile_of(spark, load_events(spark, parquet, parquet).events).total()
    assert found.events == figures["documents"]["total"]
    assert all(total[name][aspect] == whole[name][aspect] for name in whole for aspect in whole[name])
    assert total["payload"]["unknown"].total() == total["prediction"]["label"].total() == test["documents"]
    right = sum(total["prediction"]["agreement"][f"{one}>{one}"] for one in map(bucket_of_class, LABELS))
    assert right / test["documents"] == pytest.approx(test["accuracy"], abs=1e-4)
    assert {found.names["prediction"][bucket] for bucket in total["prediction"]["label"]} <= {*LABELS}


def test_no_word_of_a_document_is_in_a_run_s_profile(second):
    text = (second["folder"] / "profile.json").read_text("utf-8")
    assert "oil" in text  # a label
    assert not [
        word for words in WORDS.values() for word in (*words, "zebra", "said") if word in text.replace("label", "")
    ]
