"""What a Terraform provider takes and gives, from the npm package in which its schema is published, and what of the
project's files does not fit.

HashiCorp made `@cdktf/provider-…` from each provider's own schema. In a resource's `index.d.ts`, each argument is a
property of an interface, optional if it has a `?`, with the argument's true name in the link of its comment; nested
blocks are interfaces of their own. What can be read of a resource stands in `index.js`, in `get…Attribute('name')`.
"""

import base64
import difflib
import hashlib
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.terraform.terraform_files import Block, Configuration, Reference, references
from tests.terraform.terraform_values import Body, Unknown, Values

FOLDER = Path(__file__).parents[2] / ".local" / "npm"
# Provider → npm's name and version of its package, and npm's own checksum of it.
PACKAGES = {
    "google": (
        "@cdktf/provider-google",
        "16.12.1",
        "KqNA/5RiFT07r0PSZ6/07cJ2zESUgbj1JchVj21iBFBZVUbD+578xA/k8eq/r0cbyEgLmg9eYWeVslaYah4DCQ==",
    ),
    "archive": (
        "@cdktf/provider-archive",
        "11.0.1",
        "2Plwhj1hVUOYmQrxNbBvy2nrw/gyHZKnQFauPCwjhQX+MpRImF7cceKgX8zZgBPvB5YEP75MIFPbr4sjxDWeHw==",
    ),
}
# Arguments and blocks that Terraform itself adds to every resource and data source.
META = {"count", "for_each", "provider", "depends_on"}
META_BLOCKS = {"lifecycle", "connection", "provisioner"}
KINDS = {
    "string": (str, int, float, bool),
    "number": (int, float),
    "boolean | cdktf.IResolvable": (bool,),
    "string[]": (list,),
    "number[]": (list,),
}
# What is read by get…Attribute.
READ = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": "list",
    "NumberList": "numbers",
    "StringMap": "map",
}
DOWNLOAD_SECONDS = 300


class NotThere(Exception):
    """The package is not on this machine and cannot be fetched; the message says why."""


@dataclass
class Place:
    """What may stand inside a resource or one of its blocks, and what can be read there.

    arguments: name → (required, TypeScript's type). blocks: name → (required, repeatable, what may stand inside).
    gives: name → what can be read inside, or a plain value's type: string, number, bool, list, set, map, numbers.
    choices: argument → the values that its description lists as the possible ones. is_set: whether the block is a
    member of a set, which has no order.
    """

    arguments: dict[str, tuple[bool, str]] = field(default_factory=dict)
    blocks: dict[str, tuple[bool, bool, "Place"]] = field(default_factory=dict)
    gives: dict[str, "Place | str"] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    is_set: bool = False


# ------------------------------------------------------------------------------------------------ the package


def fetch(provider: str, folder: Path = FOLDER) -> Path:
    """The provider's package, downloaded once. Raises NotThere; ValueError if it is not what it was."""
    name, version, checksum = PACKAGES[provider]
    path = folder / f"{name.strip('@').replace('/', '-')}-{version}.tgz"
    if not path.is_file():
        npm = shutil.which("npm")
        if npm is None:
            raise NotThere(f"npm is not on PATH, so that {name}@{version} cannot be fetched")
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", f"{name}@{version}", f"--pack-destination={folder}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, cwd=folder)
        except subprocess.TimeoutExpired:
            raise NotThere(f"npm did not bring {name}@{version} within {DOWNLOAD_SECONDS} s") from None
        if done.returncode or not path.is_file():
            reason = [line for line in done.stderr.splitlines() if "error" in line]
            raise NotThere(f"npm could not bring {name}@{version}: {' '.join(reason[:2])[:200]}")
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != checksum:
        raise ValueError(f"{path}: expected sha512-{checksum}, found sha512-{found}; delete it and run again")
    return path


class Schema:
    """The resources and data sources of one provider's package. wanted: the blocks whose schema will be asked for."""

    def __init__(self, provider: str, archive: Path, wanted: Iterable[Block]):
        self.provider = provider
        # The package's folders, storage-bucket, data-google-project, provider; and index.d.ts and index.js of some.
        self.names: set[str] = set()
        self.texts: dict[tuple[str, str], str] = {}
        self.places: dict[str, Place] = {}
        folders = {self.folder(block) for block in wanted} | {"provider"}
        with tarfile.open(archive) as members:
            for member in members:
                match = re.fullmatch(r"package/lib/([^/]+)/index\.(d\.ts|js)", member.name)
                if match:
                    self.names.add(match[1])
                    if match[1] in folders:
                        self.texts[match[1], match[2]] = members.extractfile(member).read().decode()

    def folder(self, block: Block) -> str:
        if block.kind == "provider":
            return "provider"
        name = block.labels[0].removeprefix(f"{self.provider}_").replace("_", "-")
        return name if block.kind == "resource" else f"data-{self.provider}-{name}"

    def version(self) -> str:
        """The provider's version of which this is the schema."""
        return re.search(r"providers/hashicorp/\w+/([\d.]+)/docs", self.texts["provider", "d.ts"])[1]

    def place(self, folder: str) -> Place:
        """What the resource takes and gives."""
        if folder not in self.places:
            self.places[folder] = self._place(folder)
        return self.places[folder]

    def _place(self, folder: str) -> Place:
        declared, made = self.texts[folder, "d.ts"], self.texts[folder, "js"]
        interfaces = dict(re.findall(r"^export interface (\w+)[^{\n]*\{\n(.*?)^\}", declared, re.S | re.M))
        top = re.search(r"^export interface (\w+Config) extends cdktf\.TerraformMetaArguments", declared, re.M)
        top_name = top[1] if top else next(name for name in interfaces if name.endswith("ProviderConfig"))
        place = takes(top_name, interfaces)
        classes = {
            match[1]: match[2] for match in re.finditer(r"^class (\w+) extends [^\n]+\{\n(.*?)^\}", made, re.S | re.M)
        }
        place.gives = gives(top_name.removesuffix("Config"), classes)
        return place


def takes(interface: str, interfaces: Mapping[str, str]) -> Place:
    """An interface's arguments and blocks."""
    place = Place()
    for comment, optional, kind in re.findall(
        r"    /\*\*\n(.*?)\*/\n    readonly \w+(\??): (.*?);\n(?=    /\*\*|$)", interfaces[interface], re.S
    ):
        name = re.search(r"\{@link \S+#(\w+) ", comment)[1]
        block = re.match(r"(\w+)(\[\])?(?= \||$)", kind)
        if block and block[1] in interfaces:
            place.blocks[name] = (not optional, bool(block[2]), takes(block[1], interfaces))
        else:
            place.arguments[name] = (not optional, kind)
            listed = re.search(r'Possible values: (\["\w.*?\]|[A-Z_]+(?:, [A-Z_]+)+)', comment)
            if listed:
                place.choices[name] = re.findall(r"\w+", listed[1])
    return place


def gives(name: str, classes: Mapping[str, str]) -> dict[str, Place | str]:
    """What can be read of an instance of that class."""
    body, found = classes.get(name, ""), {}
    for as_list, kind, attribute in re.findall(r"(tolist\()?this\.get(\w+)Attribute\('(\w+)'\)", body):
        found[attribute] = "set" if as_list and kind == "List" else READ.get(kind, kind)
    for inner, attribute, is_set in re.findall(r'= new (\S+?)\(this, "(\w+)"(?:, (true|false))?', body):
        inner = re.sub(r"List$", "OutputReference", inner)
        found[attribute] = Place(gives=gives(inner, classes), is_set=is_set == "true") if inner in classes else "map"
    return found


# ------------------------------------------------------------------------------------------ what does not fit


def problems(configuration: Configuration, schemas: Mapping[str, Schema]) -> list[str]:
    """Each thing in the files that the providers would refuse, as `file:line: what was expected and found`."""
    found = []
    checked = [*configuration.resources.values(), *configuration.of_kind("provider")]
    for block in checked:
        schema = schemas.get(provider_of(block))
        if schema is None:
            found.append(f"{block.where}: expected a provider whose schema is known, found {block.labels[0]}")
        elif schema.folder(block) not in schema.names:
            what = {"data": "data source"}.get(block.kind, block.kind)
            found.append(f"{block.where}: expected a {what} of {schema.provider}, found {block.labels[0]}")
        else:
            found += unfitting(block, schema.place(schema.folder(block)), outermost=True)
    for block in configuration.blocks:
        for reference in references(block):
            found += unreadable(reference, configuration, schemas)
    return found


def provider_of(block: Block) -> str:
    return block.labels[0].split("_", 1)[0]


def unfitting(block: Block, place: Place, outermost: bool = False) -> Iterator[str]:
    """What of a block and the blocks in it the schema does not have at this place, or wants and does not find."""
    name = block.labels[0] if block.labels else block.kind
    for argument in block.attributes:
        if argument in place.blocks:
            yield f"{block.where}: {name}: expected {argument} as a block, found an argument"
        elif argument not in place.arguments and not (outermost and argument in META):
            yield f"{block.where}: {name}: {unknown('argument', argument, place)}"
    given: dict[str, int] = {}
    for inner in block.blocks:
        kind, contents = inner.kind, [inner]
        if inner.kind == "dynamic":
            kind, contents = inner.labels[0], inner.inside("content")
        if kind in place.blocks:
            given[kind] = given.get(kind, 0) + 1
            for content in contents:
                yield from unfitting(content, place.blocks[kind][2])
        elif kind in place.arguments:
            yield f"{inner.where}: {name}: expected {kind} as an argument, found a block"
        elif not (outermost and kind in META_BLOCKS):
            yield f"{inner.where}: {name}: {unknown('block', kind, place)}"
    for argument, (required, _) in place.arguments.items():
        if required and argument not in block.attributes:
            yield f"{block.where}: {name}: expected the argument {argument}, found none"
    for kind, (required, repeatable, _) in place.blocks.items():
        if required and kind not in given:
            yield f"{block.where}: {name}: expected a block {kind}, found none"
        if not repeatable and given.get(kind, 0) > 1:
            yield f"{block.where}: {name}: expected one block {kind}, found {given[kind]}"


def unknown(what: str, name: str, place: Place) -> str:
    if name in place.gives:
        return f"expected an {what}, found {name}, which can only be read"
    near = difflib.get_close_matches(name, {**place.arguments, **place.blocks}, 3) or sorted(place.arguments)
    return f"expected an {what} such as {', '.join(near)}; found {name}"


def unreadable(reference: Reference, configuration: Configuration, schemas: Mapping[str, Schema]) -> Iterator[str]:
    """The reference's first attribute that its resource does not have."""
    block = configuration.resources.get(reference.address)
    schema = schemas.get(provider_of(block)) if block else None
    if schema is None or schema.folder(block) not in schema.names:
        return
    known: Place | str = schema.place(schema.folder(block))
    for name in reference.attribute:
        if isinstance(known, str):
            return  # inside a map
        if name not in known.gives:
            near = difflib.get_close_matches(name, known.gives, 3) or sorted(known.gives)
            yield f"{reference.where}: {reference}: expected an attribute such as {', '.join(near)}; found {name}"
            return
        known = known.gives[name]


def wrong_types(configuration: Configuration, schemas: Mapping[str, Schema], values: Values) -> list[str]:
    """Each argument whose value, with these variables, is of another type than its provider takes, or none of the
    values that it takes."""
    found = []
    for address, block in configuration.resources.items():
        schema = schemas[provider_of(block)]
        for body in values.instances(address).values():
            found += mistyped(body, schema.place(schema.folder(block)))
    return found


def mistyped(body: Body, place: Place) -> Iterator[str]:
    for name, (_, kind) in place.arguments.items():
        if name not in body.block.attributes:
            continue
        value, wanted = body.get(name), KINDS.get(kind, (dict,) if kind.startswith("{") else (object,))
        if not (value is None or isinstance(value, (Unknown, *wanted))) or (bool not in wanted and value is True):
            yield f"{body.block.where}: {name}: expected {kind.split(' |')[0]}, found {value!r}"
        choices = place.choices.get(name)
        if choices and isinstance(value, str) and not isinstance(value, Unknown) and value not in choices:
            yield f"{body.block.where}: {name}: expected one of {', '.join(choices)}; found {value}"
    for name, (_, _, inner) in place.blocks.items():
        for block in body.inside(name):
            yield from mistyped(block, inner)
