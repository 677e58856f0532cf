"""The manifest of an output: which files are the table and its quarantine, and which runs made them.

It is written last, in one step, so that readers see the state before a run or after it. The one with the highest
number is current.
"""

import json
import re
from dataclasses import dataclass, field

from brigade.conversion.folder import Folder

NAME = re.compile(r"manifest-(\d{8})\.json")


@dataclass(frozen=True)
class Manifest:
    """What an output holds. Without arguments: nothing."""

    run: str = ""
    runs: list[str] = field(default_factory=list)
    query: str = ""  # see schema.fingerprint
    voided: list[list[str]] = field(default_factory=list)  # [file, run]: what that run read of it counts no longer
    rows: int = 0
    partitions: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)  # day → file → {"rows", "bytes"}
    quarantine: list[str] = field(default_factory=list)
    quarantine_path: str = ""

    def files(self) -> list[str]:
        """The table's files, relative to the output."""
        return [name for files in self.partitions.values() for name in files]


def manifest_name(number: int) -> str:
    return f"manifest-{number:08}.json"


def read_manifest(folder: Folder) -> tuple[int, Manifest | None]:
    """The number and content of an output's current manifest; 0 and None if there is none."""
    numbers = [int(found[1]) for name in folder.names("_conversion") if (found := NAME.fullmatch(name))]
    if not numbers:
        return 0, None
    return max(numbers), Manifest(**json.loads(folder.read(f"_conversion/{manifest_name(max(numbers))}")))


def write_manifest(folder: Folder, number: int, manifest: Manifest) -> None:
    """Makes a manifest the current one. Raises ConversionError if there is one with that number."""
    folder.create_whole(f"_conversion/{manifest_name(number)}", json.dumps(vars(manifest), indent=1))
