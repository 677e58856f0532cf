"""A job that cannot read its source or write its folders does not start, and says why in one line."""

import pytest

import pubsub_gcs
from brigade.landing import checks, waiting
from tests.waiting import wait_until


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


@pytest.mark.parametrize(
    "slow, told",
    [
        ("check_source", "Pub/Sub, to see whether S exists"),
        ("check_writable", "storage, to see whether F can be written"),
    ],
)
def test_a_start_that_waits_says_for_what(monkeypatch, caplog, slow, told):
    """`tells_when_it_waits` is tested by itself; this is that a start is within it."""
    monkeypatch.setattr(waiting, "FIRST_SECONDS", 0.01)

    def until_it_is_told(*_) -> None:
        wait_until(lambda: f"waiting for {told}" in caplog.text)

    for name in ("check_source", "check_writable"):
        monkeypatch.setattr(checks, name, until_it_is_told if name == slow else lambda *_: None)
    checks.check_surroundings("S", "F")
