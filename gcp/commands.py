"""How the programs of this room run others: each command is shown first, as a line that can be copied.

`gcloud`, `terraform` and this project's own programs do the work; nothing goes through a shell. Terraform keeps the
state of each project in a workspace of that name.
"""

import argparse
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
TERRAFORM = ROOT / "terraform"
REGION = "us-central1"
LANDING_JOB = "brigade-landing"
DEFAULT_PIPELINE = "documents"  # the pipeline that there is without another word
PROJECT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
PREFIX = re.compile(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?")  # as in terraform/variables.tf
REGION_NAME = re.compile(r"[a-z]+(-[a-z]+)+\d+")
LINES_OF_AN_ERROR = 3
STANDARD_ERROR = 2  # the file descriptor


class Failed(Exception):
    """A command failed, or something is not as expected. The message says what was expected, found, and what to do."""


class WrongArguments(Exception):
    """The arguments are wrong; the message says what was expected and found. Exit status 2."""


class Terminated(KeyboardInterrupt):
    """Somebody ended this program by SIGTERM."""


def say(text: str = "") -> None:
    """A line for people."""
    print(text, file=sys.stderr, flush=True)


shown_lines: set[str] = set()


def show(command: Sequence[str], extra: Mapping[str, str] | None = None) -> None:
    """The command as a line to copy; once, if it is run again and again to see how far something is."""
    line = as_line(command, extra)
    if line not in shown_lines:
        say(f"$ {line}")
    shown_lines.add(line)


def as_line(command: Sequence[str], extra: Mapping[str, str] | None = None) -> str:
    """The command as it is typed in the project's folder."""
    settings = [f"{name}={shlex.quote(value)}" for name, value in (extra or {}).items()]
    return " ".join([*settings, shlex.join(command)])


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment and `extra`, without arguments of Terraform that the shown line does not have, and
    without gcloud's questions, which nobody could answer while its output is read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_WORKSPACE", "TF_CLI_ARGS"))}
    return kept | {"CLOUDSDK_CORE_DISABLE_PROMPTS": "1"} | dict(extra or {})


def run(command: Sequence[str], extra: Mapping[str, str] | None = None) -> None:
    """Shows the command, runs it with this terminal, and returns when it has done its work. Raises Failed.

    What it writes goes to standard error: standard output is for the summary alone.
    """
    show(command, extra)
    status = wait(start(command, extra, stdout=STANDARD_ERROR))
    if status:
        raise Failed(f"{name_of(command)} ended with status {status}")


def ask(
    command: Sequence[str],
    extra: Mapping[str, str] | None = None,
    *,
    shown: bool = True,
    errors: int | None = subprocess.PIPE,
) -> str:
    """Shows the command, runs it, and returns what it wrote to standard output.

    errors: where its standard error goes: PIPE, of which a failure is told; None, this terminal; STDOUT, into what is
    returned. Raises Failed.
    """
    if shown:
        show(command, extra)
    process = start(command, extra, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
    with process:
        try:
            output, messages = process.communicate()
        except KeyboardInterrupt:
            process.terminate()  # it only looks, or starts what goes on without it
            raise
    if process.returncode:
        told = "see above" if errors is None else reason(messages or output)
        raise Failed(f"{name_of(command)} ended with status {process.returncode}: {told}")
    return output


def start(command: Sequence[str], extra: Mapping[str, str] | None = None, **streams) -> subprocess.Popen:
    try:
        return subprocess.Popen(command, env=environment(extra), cwd=ROOT, **streams)
    except OSError as error:
        raise Failed(f"cannot run {command[0]}: {error.strerror}; make preflight says what is missing") from None


def wait(process: subprocess.Popen) -> int:
    """Returns the exit status. A Ctrl-C at the terminal reaches the command too. It gets the time to end, because a
    killed Terraform may lose what it has just created."""
    interruption = None
    while True:
        try:
            status = process.wait()
            break
        except Terminated as signalled:  # to this process alone
            interruption = signalled
            process.send_signal(signal.SIGINT)
        except KeyboardInterrupt as signalled:
            interruption = signalled
    if interruption:
        raise interruption
    return status


def name_of(command: Sequence[str]) -> str:
    """The words of a command before its flags: `terraform apply`, `gcloud storage rm`."""
    words = [Path(command[0]).name]
    for word in command[1:]:
        if word.startswith("-chdir"):
            continue
        if not re.fullmatch(r"[a-z][\w.-]*(/[\w.]+)?", word) or len(words) > 4:
            break
        words.append(word)
    return " ".join(words)


def reason(messages: str) -> str:
    """The first lines of a program's own error, without frames and empty lines."""
    lines = [line.strip(" │╷╵") for line in messages.splitlines()]
    lines = [line for line in lines if line]
    first = next((at for at, line in enumerate(lines) if re.match(r"(ERROR|Error)\b", line)), 0)
    return " ".join(lines[first : first + LINES_OF_AN_ERROR]) or "it said nothing"


def ask_json(command: Sequence[str], extra: Mapping[str, str] | None = None, *, shown: bool = True) -> object:
    """What the command answers as JSON. Raises Failed."""
    answer = ask(command, extra, shown=shown)
    try:
        return json.loads(answer.strip() or "null")
    except json.JSONDecodeError:
        raise Failed(f"{name_of(command)}: expected JSON, found {answer[:60]!r}") from None


def python(program: str, *arguments: str) -> list[str]:
    """A command that runs a program of this project, or `-m` and a module, with the Python that runs this one."""
    own = Path(sys.executable)
    return [str(own.relative_to(ROOT)) if own.is_relative_to(ROOT) else str(own), program, *arguments]


# ------------------------------------------------------------------------------------------------------ Terraform


def named(name: str, prefix: str) -> str:
    """What something of the pipeline with this prefix is called on Google Cloud."""
    return f"{prefix}-{name}" if prefix else name


class Terraform:
    """Terraform in its folder, always with a workspace of the pipeline's own, whatever another terminal has selected.

    prefix: of the names of a second pipeline in the project; its state is another one.
    """

    def __init__(self, project: str, prefix: str = "", folder: Path | None = None):
        self.project, self.prefix, self.folder = project, prefix, folder or TERRAFORM
        self.workspace_name = f"{project}.{prefix}" if prefix else project
        self.workspace = {"TF_WORKSPACE": self.workspace_name}

    @property
    def settings(self) -> str:
        """What tells `make gcp-…` of this project and pipeline."""
        return f"PROJECT={self.project}" + (f" PREFIX={self.prefix}" if self.prefix else "")

    def bucket(self, suffix: str) -> str:
        """The name of the bucket with this ending, such as ml-input."""
        return f"{self.project}-{named(suffix, self.prefix)}"

    def command(self, *arguments: str) -> list[str]:
        folder = self.folder.relative_to(ROOT) if self.folder.is_relative_to(ROOT) else self.folder
        return ["terraform", f"-chdir={folder}", *arguments]

    def prepare(self, pipeline: str = "") -> None:
        """Builds what Terraform uploads, for that pipeline or for documents, fetches the providers, and makes the
        pipeline's workspace if there is none."""
        if not self.folder.is_dir():
            raise Failed(f"expected Terraform's files in {self.folder}, found no such folder")
        run(python("-m", "local.package", *[f"--pipeline={pipeline}"] * bool(pipeline)))
        run(self.command("init", "-input=false"))
        run(self.command("workspace", "select", "-or-create", self.workspace_name))

    def run(self, *arguments: str) -> None:
        run(self.command(*arguments), self.workspace)

    def variables(self, region: str, pipeline: str = "", model_prefix: str = "") -> list[str]:
        """The arguments that set Terraform's variables; what is empty is left to it."""
        given = {"project_id": self.project, "region": region, "prefix": self.prefix}
        given |= {"pipeline": pipeline, "model_prefix": model_prefix}
        return [f"-var={name}={value}" for name, value in given.items() if value]

    def outputs(self) -> dict[str, object]:
        """What Terraform has said of what it created, by name; nothing before the first `make gcp-up`."""
        found = ask_json(self.command("output", "-json"), self.workspace) or {}
        return {name: output["value"] for name, output in found.items()}

    def state(self) -> dict:
        """The state, or {} when there is none."""
        return ask_json(self.command("state", "pull"), self.workspace) or {}


def needed(outputs: Mapping[str, object], names: Sequence[str], terraform: Terraform) -> list[str]:
    """The named outputs, in this order. Raises Failed when Terraform has not said them."""
    if missing := [name for name in names if not outputs.get(name)]:
        raise Failed(
            f"expected Terraform's outputs of {terraform.project}, found no {', '.join(missing)}; create everything "
            f"first: make gcp-up {terraform.settings}"
        )
    return [str(outputs[name]) for name in names]


def check_home(outputs: Mapping[str, object], project: str, region: str) -> None:
    """Raises Failed when the workspace's state is of another project or region: Terraform would move everything, and
    buckets move by being removed."""
    for name, setting, wanted in (("project_id", "PROJECT", project), ("region", "REGION", region)):
        found = outputs.get(name)
        if found and found != wanted:
            raise Failed(f"{project} was created with {setting}={found}, found {setting}={wanted}; use {found}")


# ------------------------------------------------------------------------------------------------------- arguments


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Arguments that all programs of this room have."""
    arguments = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    arguments.add_argument("--project", default="", metavar="P", help="the Google Cloud project's id")
    arguments.add_argument("--region", default=REGION, metavar="R", help=f"default: {REGION}")
    arguments.add_argument("--prefix", default="", metavar="X", help="of the names of a second pipeline there")
    arguments.add_argument("--json", action="store_true", help="end with a line of JSON on standard output")
    return arguments


def parse(arguments: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, whose project may be missing but not malformed. Exits with status 2."""
    flags = arguments.parse_args(argv)
    if flags.project and not PROJECT_ID.fullmatch(flags.project):
        form = "6 to 30 lower-case letters, digits and hyphens, beginning with a letter"
        arguments.exit(2, f"PROJECT: expected a project's id, {form}; found {flags.project!r}\n")
    if flags.prefix and not PREFIX.fullmatch(flags.prefix):
        form = "1 to 12 lower-case letters, digits and hyphens, beginning with a letter, not ending with a hyphen"
        arguments.exit(2, f"PREFIX: expected {form}; found {flags.prefix!r}\n")
    if not REGION_NAME.fullmatch(flags.region):
        arguments.exit(2, f"REGION: expected a region such as {REGION}, found {flags.region!r}\n")
    return flags


def finish(work: Callable[[], dict], as_json: bool, program: str) -> int:
    """Does the work; returns its exit status. What fails is told in one line; what `work` returns is the summary."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    signal.signal(signal.SIGTERM, terminated)
    # A script's background jobs begin with SIGINT ignored. Terraform hears it all the same, and so does this program.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        summary = work()
    except WrongArguments as problem:
        say(f"{program}: {problem}")
        return 2
    except Failed as problem:
        say(f"{program}: {problem}")
        return 1
    except KeyboardInterrupt:
        say(f"{program}: stopped")
        return 130
    if as_json:
        print(json.dumps(summary), flush=True)
    return 0 if summary.get("ok", True) else 1


def terminated(number, frame):
    raise Terminated
