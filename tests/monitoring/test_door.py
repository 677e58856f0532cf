"""The command line of MONITOR: what it understands, and what it says of what it does not."""

from datetime import date

import pytest

import monitor

ARGUMENTS = ["landing/input", "--models=models", "--output=watched"]


def test_the_days_are_those_since_the_last_look_unless_something_else_is_said():
    usual = monitor.parse_arguments(ARGUMENTS)
    assert (usual.since, usual.dates, usual.fail_on, usual.pipeline) == (None, None, "never", None)
    assert usual.prefix == "doc-classification-model"
    assert monitor.parse_arguments([*ARGUMENTS, "--since=2026-11-01"]).since == date(2026, 11, 1)
    days = monitor.parse_arguments([*ARGUMENTS, "--dates=2026-11-01..2026-11-07", "--pipeline=sales"])
    assert (days.dates, days.prefix) == ((date(2026, 11, 1), date(2026, 11, 7)), "sales-model")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (ARGUMENTS[:2], "--output"),
        ([ARGUMENTS[0], ARGUMENTS[2]], "--models"),
        (["", *ARGUMENTS[1:]], "found nothing"),
        ([*ARGUMENTS, "--since=yesterday"], "--since: expected YYYY-MM-DD"),
        ([*ARGUMENTS, "--since=2026-11-01..2026-11-07"], "--dates takes two"),
        ([*ARGUMENTS, "--since=2026-11-01", "--dates=2026-11-01"], "not allowed with argument"),
        ([*ARGUMENTS, "--fail_on=all"], "--fail_on: invalid choice"),
        ([ARGUMENTS[0], "--models=s3://bucket/models", ARGUMENTS[2]], "expected gs://bucket/prefix or a local path"),
        ([ARGUMENTS[0], ARGUMENTS[1], "--output=s3://bucket"], "expected gs://bucket/prefix or a local path"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_say_why(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        monitor.main(arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]
