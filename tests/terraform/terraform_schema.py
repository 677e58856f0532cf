"""What a Terraform provider takes and gives, from the npm package in which its schema is published.

HashiCorp made `@cdktf/provider-…` from each provider's own schema. In a resource's `index.d.ts`, each argument is a
property of an interface, optional if it has a `?`, with the argument's true name in the link of its comment; nested
blocks are interfaces of their own. What can be read of a resource stands in `index.js`, in `get…Attribute('name')`.
"""

import base64
import hashlib
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
    """The resources and data sources of one provider's package. wanted: (resource or data, type) of
    those whose schema will be asked for."""

    def __init__(self, provider: str, archive: Path, wanted: Iterable[tuple[str, str]]):
        self.provider = provider
        # The package's folders, storage-bucket, data-google-project, provider; and index.d.ts and index.js of some.
        self.names: set[str] = set()
        self.texts: dict[tuple[str, str], str] = {}
        self.places: dict[str, Place] = {}
        folders = {self.folder(*one) for one in wanted} | {"provider"}
        with tarfile.open(archive) as members:
            for member in members:
                match = re.fullmatch(r"package/lib/([^/]+)/index\.(d\.ts|js)", member.name)
                if match:
                    self.names.add(match[1])
                    if match[1] in folders:
                        self.texts[match[1], match[2]] = members.extractfile(member).read().decode()

    def folder(self, kind: str, name: str) -> str:
        name = name.removeprefix(f"{self.provider}_").replace("_", "-")
        return name if kind == "resource" else f"data-{self.provider}-{name}"

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


def provider_of(kind: str) -> str:
    return kind.split("_", 1)[0]
