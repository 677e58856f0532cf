"""A job that cannot read its source or write its folders does not start, and says why in one line."""

import pytest

import pubsub_gcs


@pytest.mark.parametrize(
    "flags, words",
    [
        (
            ["--input_subscription=projects/brigade-test/subscriptions/nobody"],
            "does not exist; create it with",
        ),
        (["--input_topic=projects/brigade-test/topics/nothing"], "does not exist; create it with"),
    ],
)
def test_a_source_that_does_not_exist_is_one_line_and_status_1(pubsub, tmp_path, flags, words, capsys):
    assert pubsub_gcs.main([f"--output_path={tmp_path}/input", "--project=brigade-test", *flags]) == 1
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_bucket_that_does_not_exist_is_one_line_and_status_1(pubsub, storage_emulator, capsys):
    topic = pubsub.topic("landing-no-bucket")
    flags = [f"--input_topic={topic}", "--output_path=gs://no-such-bucket/input", "--project=brigade-test"]
    assert pubsub_gcs.main(flags) == 1
    assert "gs://no-such-bucket does not exist; create it with" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_cannot_be_written_is_one_line_and_status_1(pubsub, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    topic = pubsub.topic("landing-no-folder")
    flags = [f"--input_topic={topic}", f"--output_path={tmp_path}/file/input", "--project=brigade-test"]
    assert pubsub_gcs.main(flags) == 1
    assert "cannot be written to" in capsys.readouterr().err.splitlines()[-1]
