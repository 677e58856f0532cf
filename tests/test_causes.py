"""The cause of an error, in one line, from what Spark, Java, Google's clients and this machine say."""

import errno

import pytest
from google.api_core.exceptions import Forbidden, NotFound
from google.auth.exceptions import DefaultCredentialsError
from py4j.protocol import Py4JNetworkError

from brigade.causes import cause_of, cause_of_java, told
from brigade.errors import CannotGoOn, WrongInput

AT = "\tat org.apache.spark.SomeClass.method(SomeClass.scala:1)\n"


def trace(*errors: str) -> str:
    """A stack trace as Py4J gives it: the outermost error first."""
    first, *causes = errors
    causes = "".join(f"Caused by: {one}\n{AT}\t... 9 more\n" for one in causes)
    return f"An error occurred while calling o227.toRdd.\n: {first}\n{AT}{causes}"


JOB = (
    "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, most recent"
)
READ = "org.apache.spark.SparkException: [FAILED_READ_FILE] Encountered error while reading file gs://b/a.gz. x"
TRACES = [
    (trace(JOB, "java.io.IOException: No space left on device"), "no space left on device; free some, "),
    (trace(JOB, "org.apache.hadoop.fs.FSError: java.io.IOException: No space left on device"), "no space left"),
    (trace(JOB, READ, "java.io.EOFException: Unexpected end"), "gs://b/a.gz: expected a whole compressed file; copy"),
    (trace(READ.replace("a.gz", "a.txt"), "java.io.IOException: Stream closed"), "gs://b/a.txt: cannot be read:"),
    (trace("java.io.FileNotFoundException: /in/a.jsonl (Permission denied)"), "/in/a.jsonl: expected a place that"),
    (trace(JOB, "java.io.IOException: Mkdirs failed to create file:/out/x "), "file:/out/x: expected a"),
    (trace('java.io.IOException: {"message": "The specified bucket does not exist."}'), "expected a bucket"),
    (trace(JOB, "java.lang.OutOfMemoryError: Java heap space"), "Spark ran out of memory"),
    (trace(JOB, "org.apache.spark.SparkException: Python worker exited", "java.io.EOFException"), "want of memory"),
    (trace("java.net.UnknownHostException: nowhere"), "the service cannot be reached"),
    (trace(JOB, "java.net.ConnectException: x", "java.io.IOException: No space left on device"), "no space left"),
    (trace(JOB, "org.apache.spark.SparkDateTimeException: [CAST_INVALID_INPUT] 'secret'"), "the query fails on"),
]


@pytest.mark.parametrize("text, cause", TRACES)
def test_the_innermost_cause_of_a_stack_trace_is_told(text, cause):
    said = cause_of_java(text) or ""
    assert cause in said and len(said.splitlines()) == 1 and "o227" not in said and "secret" not in said


@pytest.mark.parametrize(
    "text",
    [trace("java.lang.NullPointerException"), trace(JOB, "java.lang.IllegalStateException: unexpected"), "x", ""],
)
def test_a_bug_has_no_cause(text):
    assert cause_of_java(text) is None


@pytest.mark.parametrize(
    "error, cause",
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "models/x"),
            "models/x: expected a place that this account",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "n"), "n: File name too long"),
        (NotFound("The specified bucket does not exist."), "NotFound: 404 The specified bucket does not exist."),
        (Forbidden("no access to the bucket"), "Forbidden: 403 no access to the bucket"),
        (DefaultCredentialsError("no credentials were found"), "DefaultCredentialsError: no credentials were found"),
        (ConnectionRefusedError(), "ConnectionRefusedError: no answer"),
        (Py4JNetworkError("Answer from Java side is empty"), "Spark's Java process has ended"),
        (ValueError("a bug"), None),
        (KeyError("a bug"), None),
    ],
)
def test_errors_of_files_and_of_google_are_told_and_bugs_are_not(error, cause):
    said = cause_of(error)
    assert said is None if cause is None else said.startswith(cause)


def test_what_can_be_mended_is_raised_as_one_line_and_a_bug_as_it_is():
    with pytest.raises(WrongInput, match="^x: expected a file, found none$"), told(WrongInput):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")
    with pytest.raises(ZeroDivisionError), told():
        raise ZeroDivisionError
    with pytest.raises(CannotGoOn, match="^as it is$"), told():
        raise CannotGoOn("as it is")
