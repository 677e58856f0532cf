"""Runs the commands of a page of docs/ on this machine, as they stand, and keeps what they answer.

    python -m local.tutorial by_hand    → docs/tutorial.md
    python -m local.tutorial vertex     → docs/vertex_tutorial.md

They start from an empty project: only the emulators, the stand-ins and the trigger run. A
paragraph of commands that begins with "# on GCP only" needs Google's own machines and is left out. So that the
transcript is the same from run to run, times, ids, ports and folders in it are replaced by names.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from local import emulators
from local.services import ROOT, Services

DOCS = ROOT / "docs"


class Page(NamedTuple):
    """A page with commands, its transcript, and the transcript's title."""

    commands: Path
    transcript: Path
    title: str


PAGES = {
    "by_hand": Page(DOCS / "by_hand.md", DOCS / "tutorial.md", "The tutorial, on this machine"),
    "vertex": Page(DOCS / "vertex.md", DOCS / "vertex_tutorial.md", "Vertex AI, on this machine"),
}
ON_GCP_ONLY = "# on GCP only"
LONGEST = 40  # lines of an answer; of more, the first and the last are kept
CHANGING = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
    (r"\b[0-9a-f]{32}\b", "UUID"),
    (r"\b(brigade-cluster|convert|train)-[0-9a-f]{13}\b", r"\1-ID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?Z?", "TIME"),
    (r"\d\d/\d\d/\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"doc-classification-model-\d{4}-\d\d-\d\d", "doc-classification-model-DATE"),
    (r"\b\d{8}T\d{6}Z-\w+", "RUN"),
    (r'"seconds": [\d.]+', '"seconds": S'),
    (r"\[\d{19}\]\.*", "[OPERATION]..."),
    (r"^\.+done\.$", "...done."),
    (r"^(- ')?\d{9,}('?)$", r"\1MESSAGE\2"),
    (r"^(\s*|Average throughput: .*|.*\[\d+/\d+ files\].*)\n", ""),
)


class Failed(Exception):
    """A command failed; the message has its first line and its answer."""


def commands(page: str) -> tuple[list[str], list[str]]:
    """The commands of the page's code: those that run here, and those that need GCP. One may have several lines."""
    blocks = re.findall(r"^```\n(.*?)\n```$", page, re.S | re.M)
    here: list[str] = []
    there: list[str] = []
    for paragraph in "\n\n".join(blocks).split("\n\n"):
        found = there if paragraph.startswith(ON_GCP_ONLY) else here
        found += [line for line in re.split(r"(?<!\\)\n", paragraph) if not line.startswith("#")]
    return here, there


def answers(of: Iterable[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Runs the commands one after another on a new cloud in `folder`; yields each with its answer. Raises Failed."""
    with Services(folder) as services:
        services.start_emulators()
        url = f"http://127.0.0.1:{services.start_function('trigger')}/"
        environment = services.environment | {
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),  # not this user's own
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "PATH": f"{Path(sys.executable).parent}:{services.environment['PATH']}",
            "TRIGGER_URL": url,
        }
        for command in of:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            if done.returncode:
                raise Failed(f"{command.splitlines()[0]} ended with status {done.returncode}: {done.stdout.strip()}")
            yield command, done.stdout


def stable(text: str, folder: Path) -> str:
    """An answer without what changes from run to run, and not too long."""
    text = text.replace(str(folder), "FOLDER").replace(str(ROOT), "ROOT").replace("\r", "\n") + "\n"
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text, flags=re.M)
    lines = [line.rstrip() for line in text.splitlines()]
    if len(lines) > LONGEST:
        half = LONGEST // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half} more lines …", *lines[-half:]]
    return "\n".join(lines)


def transcript(page: Page, found: Iterable[tuple[str, str]], folder: Path) -> str:
    """The document."""
    name = page.commands.name
    parts = [
        f"# {page.title}\n",
        f"What the commands of [{name}]({name}) answer against the emulators and the stand-ins,\n"
        f'without those that it marks "{ON_GCP_ONLY}". `make tutorial` runs them and writes this file; times, ids,\n'
        "ports and folders got names.\n",
    ]
    for command, answer in found:
        parts.append(f"```console\n$ {command}\n{stable(answer, folder)}".rstrip() + "\n```\n")
    return "\n".join(parts)


def main(argv: list[str] | None = None) -> int:
    """Write the transcript; return 0, or 1 if a command failed."""
    parser = argparse.ArgumentParser(prog="local.tutorial", description=__doc__.split("\n\n")[0])
    parser.add_argument("page", choices=PAGES)
    parser.add_argument("--output", type=Path, help="default: the page's transcript in docs/")
    arguments = parser.parse_args(argv)
    page = PAGES[arguments.page]
    here, _ = commands(page.commands.read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix="brigade-tutorial-") as folder:
        try:
            found = []
            for number, (command, answer) in enumerate(answers(here, Path(folder)), 1):
                print(f"{number} of {len(here)}: {command.splitlines()[0]}", file=sys.stderr, flush=True)
                found.append((command, answer))
        except (Failed, RuntimeError, emulators.Missing) as problem:
            print(f"tutorial: {problem}", file=sys.stderr)
            return 1
        (arguments.output or page.transcript).write_text(transcript(page, found, Path(folder)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
