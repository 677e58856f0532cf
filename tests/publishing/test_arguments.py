"""Wrong arguments end with status 2 and one line that says what was expected."""

import pytest

from tests.publishing.door import run


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "expected one of FILE"),
        (["a.csv", "--generate=3", "--dry_run"], "expected one of FILE"),
        (["--generate=3"], "expected --topic=projects/P/topics/T"),
        (
            ["--generate=3", "--topic=topic-brigade"],
            "expected projects/PROJECT/topics/NAME, found topic-brigade",
        ),
        (["--generate=0", "--dry_run"], "expected a number above 0, found 0"),
        (["--generate=3", "--copies=-1", "--dry_run"], "expected a whole number, 0 or more, found -1"),
        (["--generate=3", "--rate=nan", "--dry_run"], "expected a number above 0, found nan"),
        (["--generate=3", "--text=body", "--dry_run"], "--text goes with FILE"),
        (["a.csv", "--seed=1", "--dry_run"], "--seed goes with --generate"),
        (["--replay=x", "--pipeline=wine", "--dry_run"], "--pipeline goes with FILE or --generate"),
        (["--replay=x", "--acknowledge"], "--acknowledge goes with --replay and --reason"),
        (["a.csv", "--acknowledge", "--dry_run"], "--acknowledge goes with --replay and --reason"),
        (["a.csv", "--reason=x", "--dry_run"], "--reason goes with --replay"),
        (["a.csv", "--hold_out=0.2", "--dry_run"], "--hold_out and --hold_out_file go together"),
        (
            ["a.csv", "--hold_out=1", "--hold_out_file=h", "--dry_run"],
            "a fraction between 0 and 1, found 1.0",
        ),
        (["a.csv", "--encoding=klingon", "--dry_run"], "Python knows no text encoding klingon"),
        (["a.csv", "--encoding=", "--dry_run"], "Python knows no text encoding"),
        (["a.csv", "--encoding=hex", "--dry_run"], "Python knows no text encoding hex"),
        (["a.csv", "--encoding=undefined", "--dry_run"], "Python knows no text encoding undefined"),
        (["a.csv", "--encoding=utf\0", "--dry_run"], "Python knows no text encoding utf"),
        (["a.csv", "--delimiter=,,", "--dry_run"], "--delimiter: expected one character"),
        (["a.csv", "--delimiter=\\t", "--dry_run"], "a tab is $'\\t' in bash"),
        (["a.csv", "--delimiter=", "--dry_run"], "--delimiter: expected one character"),
        (["a.csv", '--delimiter="', "--dry_run"], "no quote and no line end"),
        (["a.csv", "--delimiter=\r", "--dry_run"], "no quote and no line end"),
        (["nowhere.csv", "--dry_run"], "nowhere.csv: there is no such file"),
        (["--replay=nowhere", "--dry_run"], "nowhere: there is no such folder or file"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_say_what_was_expected(flags, said):
    done = run(*flags)
    assert done.status == 2
    assert said in done.error.splitlines()[-1] or said in done.error.splitlines()[0]
    assert done.lines == []
