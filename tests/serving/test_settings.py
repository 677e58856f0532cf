"""The environment of the functions: what is wrong ends the start."""

import pytest

from tests.models.written_models import NEW, OLD


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"MODELS_URI": ""}, "MODELS_URI: expected gs://bucket/prefix or a local path, found ''"),
        ({"MODELS_URI": "s3://bucket/output"}, "MODELS_URI: expected gs://"),
        ({"MODELS_URI": "gs://"}, "MODELS_URI: expected gs://"),
        ({"MODEL_REFRESH_SECONDS": "soon"}, "MODEL_REFRESH_SECONDS: expected a number of seconds above 0"),
        (
            {"MODEL_REFRESH_SECONDS": "0"},
            "MODEL_REFRESH_SECONDS: expected a number of seconds above 0, found '0'",
        ),
        ({"MODEL_REFRESH_SECONDS": "nan"}, "MODEL_REFRESH_SECONDS"),
        (
            {"MODEL_PREFIX": "wine/model"},
            "MODEL_PREFIX: expected a model's name without its date, such as wine-model, found",
        ),
        ({"MODEL_PREFIX": "wine-model-2026-01-05"}, "MODEL_PREFIX: expected a model's name without its date"),
        ({"MODEL_PREFIX": "wine-model", "MODEL_PIN": OLD}, "MODEL_PIN: expected wine-model-YYYY-MM-DD"),
        ({"MODEL_PIN": "latest"}, "MODEL_PIN: expected doc-classification-model-YYYY-MM-DD"),
        ({"MODEL_PIN": "doc-classification-model-2026-02-30"}, "MODEL_PIN"),
        ({"MODEL_PIN": f"{OLD}/../{NEW}"}, "MODEL_PIN"),
        ({"MODEL_PIN": f"{OLD}/"}, "MODEL_PIN"),
        ({"MODELS_URI": "", "AIP_STORAGE_URI": "s3://copy"}, "AIP_STORAGE_URI: expected gs://"),
        (
            {"MODELS_URI": "", "AIP_STORAGE_URI": "gs://copy/1"},
            "MODEL_PIN: expected doc-classification-model-YYYY-MM-DD/RUN_ID, the run that lies in AIP_STORAGE_URI",
        ),
        ({"MODELS_URI": "", "AIP_STORAGE_URI": "gs://copy/1", "MODEL_PIN": OLD}, "MODEL_PIN: expected"),
        ({"RESULT_TOPIC": "results"}, "GOOGLE_CLOUD_PROJECT: expected the project of RESULT_TOPIC=results"),
        (
            {"DEAD_LETTER_TOPIC": "projects/p/subscriptions/s"},
            "DEAD_LETTER_TOPIC: expected projects/P/topics/T",
        ),
    ],
)
def test_a_wrong_setting_ends_the_start_with_what_was_expected(serve, environment, message):
    with pytest.raises(Exception, match=message) as problem:
        serve("predict", **environment)
    assert type(problem.value).__name__ == "SettingError"


def test_the_prefix_is_documents_unless_it_is_set(serve):
    for given, expected in ((None, "doc-classification-model"), (" ", "doc-classification-model"), ("wine", "wine")):
        client = serve("predict", **({"MODEL_PREFIX": given} if given else {}))
        assert client.environment.model_prefix == client.store.prefix == expected


def test_a_bare_topic_lies_in_the_project(serve):
    client = serve("predict", RESULT_TOPIC="results", GOOGLE_CLOUD_PROJECT="brigade-test")
    assert client.environment.result_topic == "projects/brigade-test/topics/results"
    client = serve("predict", RESULT_TOPIC="projects/other/topics/results")
    assert client.environment.result_topic == "projects/other/topics/results"
