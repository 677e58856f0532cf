"""Finds, reads and checks the definition of a pipeline, in the door, before anything starts.

A name is that of a file in pipelines/, which lies beside the package in a checkout and in brigade.zip. All else is a
path or a gs:// URI.
"""

import importlib.resources
import json
from typing import Any

import yaml

from brigade.errors import WrongInput, one_line
from brigade.pipelines.check import cross_problems
from brigade.pipelines.definition import Definition
from brigade.pipelines.schema import did_you_mean, form_problems
from brigade.storage import open_to_read, storage_errors

MAX_BYTES = 1 << 20
MAX_LEVELS = 20  # of mappings and lists in one another; a definition has five
MAX_PROBLEMS = 50  # that are told at once
FOLDER = "pipelines"
ENDS = (".yaml", ".yml", ".json")
SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class WrongDefinition(WrongInput):
    """The definition does not fit. `problems` has a line for each thing that is wrong, and the message all of them."""

    def __init__(self, problems: list[str]):
        more = len(problems) - MAX_PROBLEMS
        shown = problems[:MAX_PROBLEMS] + ([f"… and {more} more problems"] if more > 0 else [])
        super().__init__("\n".join(shown))
        self.problems = problems


def load(name_or_uri: str) -> Definition:
    """The definition of a name or a URI. Raises WrongDefinition, with a line for each problem."""
    is_uri = "/" in name_or_uri or name_or_uri.endswith(ENDS)
    source = name_or_uri if is_uri else f"{name_or_uri}.yaml"
    try:
        data = read_uri(name_or_uri) if is_uri else read_name(name_or_uri)
        return checked(data, source)
    except WrongDefinition:
        raise
    except WrongInput as problem:
        raise WrongDefinition([f"{source}: {problem}"]) from None


def checked(data: bytes, source: str) -> Definition:
    """The definition in a file's bytes. Raises WrongDefinition; `source` names the file there."""
    try:
        document = parsed(data, source)
    except WrongInput as problem:
        raise WrongDefinition([f"{source}: {problem}"]) from None
    problems = form_problems(document) or cross_problems(document)
    if problems:
        raise WrongDefinition([problem.line(source) for problem in problems])
    return Definition.of(document)


def names() -> list[str]:
    """The names of the definitions that come with the package."""
    folder = shipped()
    found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def shipped() -> Any:
    """The folder pipelines/ beside the package: a path in a checkout, a zip file's path in brigade.zip."""
    package: Any = importlib.resources.files("brigade")
    return package.parent / FOLDER


def read_name(name: str) -> bytes:
    known = names()
    if name not in known:
        hint = did_you_mean(name, known)
        choices = f"one of {', '.join(known)}" if known else "a path or a URI, there are no names here"
        raise WrongDefinition(
            [f"{name}: expected {choices}, or a path that ends in .yaml, found no such name" + (hint and f"; {hint}")]
        )
    return (shipped() / f"{name}.yaml").read_bytes()


def read_uri(uri: str) -> bytes:
    """The bytes of a file, at most one more than MAX_BYTES. Raises WrongInput if it cannot be read."""
    try:
        with open_to_read(uri) as stream:
            return stream.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise WrongInput("expected a file, found a folder") from None
    except FileNotFoundError:
        raise WrongInput("expected a file, found none") from None
    except EOFError:
        raise WrongInput("expected a whole gzip file, found one that is cut off") from None
    except storage_errors() as error:
        found = "none" if type(error).__name__ == "NotFound" else f"one that cannot be read: {one_line(error)}"
        raise WrongInput(f"expected a file, found {found}") from None


def parsed(data: bytes, source: str) -> Any:
    """The value of a YAML or JSON text. Raises WrongInput for what no definition has: other bytes than UTF-8, more
    than one document, a key twice, anchors, tags, and more than MAX_BYTES."""
    if len(data) > MAX_BYTES:
        raise WrongInput(f"expected at most {MAX_BYTES:,} bytes, found more; is it a definition?")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise WrongInput(f"expected UTF-8, found a byte that is none at {error.start}") from None
    if not text.strip():
        raise WrongInput("expected a definition, found an empty file")
    if "\0" in text:
        raise WrongInput("expected a text, found NUL bytes")
    return from_json(text) if source.endswith(".json") else from_yaml(text)


def from_json(text: str) -> object:
    def members(pairs: list[tuple[str, object]]) -> dict:
        keys = [key for key, _ in pairs]
        if doubled := next((key for key in keys if keys.count(key) > 1), None):
            raise WrongInput(f"expected each key once, found {doubled} twice")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise WrongInput(f"line {error.lineno}: expected JSON, found a mistake: {error.msg}") from None
    except RecursionError:
        raise WrongInput(f"expected at most {MAX_LEVELS} levels, found more") from None


def from_yaml(text: str) -> object:
    try:
        check_events(text)
        check_keys(yaml.compose(text, Loader))
        return yaml.load(text, Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise WrongInput(f"{place}expected YAML, found a mistake: {one_line(error.problem or error.context)}") from None
    except (yaml.YAMLError, ValueError) as error:  # a number of 5,000 digits is a ValueError
        raise WrongInput(f"expected YAML, found a mistake: {one_line(error)}") from None


class Loader(SAFE_LOADER):
    """Reads values, and says where a date is that the calendar does not have, in the same words on every Python."""

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> object:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            line = node.start_mark.line + 1
            raise WrongInput(f"line {line}: expected a text or a date, found {node.value}, which is neither") from None


Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_timestamp)


def check_events(text: str) -> None:
    """Raises WrongInput for what YAML has and a definition has not. Anchors could make a cycle, or a billion values."""
    depth = documents = 0
    for event in yaml.parse(text, Loader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise WrongInput(f"line {line}: expected values alone, found an anchor or an alias (& or *)")
        if getattr(event, "tag", None):
            raise WrongInput(f"line {line}: expected values alone, found a tag ({event.tag})")
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_LEVELS:
            raise WrongInput(f"line {line}: expected at most {MAX_LEVELS} levels, found more")
        if documents > 1:
            raise WrongInput(f"line {line}: expected one document, found a second one (---)")


def check_keys(node: yaml.Node | None) -> None:
    """Raises WrongInput for a key that is twice in its mapping, of which a YAML parser keeps the last, and for one that
    YAML takes for another value than text, such as yes, no and on."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag != "tag:yaml.org,2002:str":
                found = key.value if isinstance(key, yaml.ScalarNode) else "another value"
                kind = key.tag.rpartition(":")[2]
                raise WrongInput(f"line {line}: expected a text as key, found {found} ({kind}); put it in quotes")
            if key.value in seen:
                raise WrongInput(f"line {line}: expected each key once, found {key.value} twice")
            seen.add(key.value)
    if isinstance(node, yaml.CollectionNode):
        for child in node.value:
            check_keys(child[1] if isinstance(child, tuple) else child)
