"""What a step prints while it runs: people see it on standard error, and its summary is kept."""

import json
import re
import sys

from brigade.errors import BrigadeError

OWN_LINE = re.compile(r"\w+\.py: .+")  # with which a program says why it has failed


class StepFailed(BrigadeError):
    """A step has failed. The message is what its program said last, and `status` its exit status."""

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


class Output:
    """The output of a step, line by line. summary: what the program printed as one line of JSON; empty before that."""

    def __init__(self) -> None:
        self.summary: dict = {}
        self.last_words = ""
        self.rest = b""

    def add(self, content: bytes) -> None:
        """Takes what has come, which may end within a line."""
        *lines, self.rest = (self.rest + content).split(b"\n")
        for line in lines:
            self.line(line.decode("utf-8", "replace"))

    def line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
        if OWN_LINE.fullmatch(text):
            self.last_words = text
        if text.startswith("{") and text.endswith("}"):
            try:
                self.summary = json.loads(text)
            except ValueError:  # a line of Spark's log
                return
