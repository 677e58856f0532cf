"""The record of a table, in `<output>/_conversion/`: its manifests, and the runs that are under way.

A manifest says which files are the table and its quarantine, and which runs made them. It is written last, in one step,
so that readers see the state before a run or after it. The one with the highest number is current. Two earlier ones
stay: a copy of one under the next number is current from then on.

A run registers itself in `run-….json` before it writes anything else, and is struck off after its commit. So what a
killed run has left can be told from what belongs to a manifest that is missing, which is never a reason to delete.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from shlex import quote
from typing import get_origin

from brigade.conversion.errors import ConversionError
from brigade.conversion.folder import Folder
from brigade.errors import one_line

RUN = r"\d{8}T\d{6}Z-[0-9a-f]{8}"
NAME = re.compile(r"manifest-(\d{8})\.json")
UNDER_WAY = re.compile(rf"run-({RUN})\.json")
REQUIRED = {"run", "runs", "query", "voided", "rows", "partitions", "quarantine"}


@dataclass(frozen=True)
class Manifest:
    """What an output holds. Without arguments: nothing."""

    run: str = ""
    runs: list[str] = field(default_factory=list)
    query: str = ""  # see Reading.fingerprint
    voided: list[list[str]] = field(default_factory=list)  # [file, run]: what that run read of it counts no longer
    rows: int = 0
    partitions: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)  # day → file → {"rows", "bytes"}
    quarantine: list[str] = field(default_factory=list)  # files, as whole paths
    number: int = 0  # with which it was written; in a file of another number it is a copy: somebody went back to it
    output: str = ""  # where the table lay then, as paths.resolved has it
    columns: dict = field(default_factory=dict)  # the schema of all its files together, as Spark writes it in JSON
    given_up: list[str] = field(default_factory=list)  # runs of a state that was lost; what they wrote is only kept

    def files(self) -> list[str]:
        """The table's files, relative to the output."""
        return [name for files in self.partitions.values() for name in files]


def manifest_name(number: int) -> str:
    return f"manifest-{number:08}.json"


def parsed(text: str) -> Manifest:
    """The manifest that a file holds. Raises ValueError if it holds something else."""
    try:
        content = json.loads(text)
        if missing := REQUIRED - content.keys():
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        place = content.pop("quarantine_path", None)  # earlier versions had one folder, and the names in it
        manifest = Manifest(**content)
        if place is not None:
            manifest.quarantine[:] = [f"{place}/{name}" for name in manifest.quarantine]
        wrong = [one.name for one in fields(Manifest) if not has_type(getattr(manifest, one.name), one.type)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} is of another type")
        if manifest.rows != sum(one["rows"] for day in manifest.partitions.values() for one in day.values()):
            raise ValueError("its rows are not those of its files")
        return manifest
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        raise ValueError(f"it is of another form: {type(error).__name__}") from None


def has_type(value: object, kind: object) -> bool:
    """Whether a value is of the type of a field, whatever it holds."""
    outer = get_origin(kind) or kind
    return isinstance(outer, type) and isinstance(value, outer) and not isinstance(value, bool)


@dataclass(frozen=True)
class Record:
    """What `_conversion/` of the output at `path` says."""

    path: str
    manifests: dict[int, Manifest]  # by number
    unreadable: dict[int, str]  # number → why
    under_way: dict[str, dict]  # run → {"output", "quarantine"}: not committed, or not struck off yet
    index: set[str]  # the runs that have an index
    files: set[str]  # the runs that have a list of input files

    @property
    def number(self) -> int:
        """The number of the current manifest; 0 if there is none."""
        return max([*self.manifests, *self.unreadable], default=0)

    @property
    def current(self) -> Manifest | None:
        """The current manifest; None if there is none, or it cannot be read."""
        return self.manifests.get(self.number)

    @property
    def went_back(self) -> bool:
        """Whether the current manifest is a copy of an earlier one, or of an earlier version of this program."""
        return self.current is not None and self.current.number != self.number

    @property
    def lost(self) -> set[str]:
        """The runs that have written bookkeeping and that no manifest names, though they were committed."""
        return (self.index | self.files) - self.known()

    @property
    def is_suspect(self) -> bool:
        """Whether a manifest that is lost may name what is under way."""
        return bool(self.unreadable or self.lost) if self.current is None else bool(self.went_back and self.unreadable)

    def known(self) -> set[str]:
        """All runs that a manifest names, or that are under way."""
        named = {run for one in self.manifests.values() for run in (*one.runs, *one.given_up)}
        return named | self.under_way.keys()

    def check(self) -> None:
        """Raises ConversionError if there is no telling what the table is."""
        if self.number in self.unreadable:
            raise self.damaged(f"{manifest_name(self.number)} is no manifest: {self.unreadable[self.number]}")
        lost = sorted(self.lost)
        if lost and not self.manifests:
            raise self.damaged(f"it is of {len(lost)} runs, and there is no manifest")
        if lost and not self.went_back:
            raise self.damaged(f"no manifest names the run {lost[-1]}; is the newest one missing?")
        runs = self.current.runs if self.current else []
        if gone := [run for run in runs if run not in self.index or run not in self.files]:
            raise self.damaged(f"index or files of the run {gone[0]} are missing")

    def damaged(self, found: str, again: str = "") -> ConversionError:
        """The error that says what was found, and the commands that restore or start over. again: another way."""
        folder = f"{self.path}/_conversion"
        copy = "gcloud storage cp" if self.path.startswith("gs://") else "cp" if self.path[0] == "/" else "hdfs dfs -cp"
        if self.manifests:
            number = max(self.manifests)
            one = self.manifests[number]
            names = (quote(f"{folder}/{manifest_name(n)}") for n in (number, self.number + 1))
            back = f"to go back to the {one.rows} rows after the run {one.run or 'none'}: {copy} {' '.join(names)}"
        else:
            back = f"to go on, restore the newest manifest in {folder} from a backup or the bucket's object versions"
        return ConversionError(
            f"expected the record of the table in {self.path} to be whole, found {found}. Nothing was changed; "
            f"{again}{back}; to start over from the input files: --full, which keeps the former files in "
            f"{folder}/former"
        )


def read_record(folder: Folder) -> Record:
    """What the bookkeeping of an output says, read now."""
    # First what a run writes after it has registered itself, since a run may begin meanwhile.
    index, files = (set(folder.names(f"_conversion/{kind}")) for kind in ("index", "files"))
    names = folder.names("_conversion")
    manifests: dict[int, Manifest] = {}
    unreadable: dict[int, str] = {}
    under_way: dict[str, dict] = {}
    for name in names:
        if match := NAME.fullmatch(name):
            try:
                manifests[int(match[1])] = parsed(folder.read(f"_conversion/{name}"))
            except FileNotFoundError:
                unreadable[int(match[1])] = "it is no file"
            except (OSError, ValueError) as error:
                unreadable[int(match[1])] = one_line(error)
        elif match := UNDER_WAY.fullmatch(name):
            under_way[match[1]] = registered(folder, name)
    return Record(folder.path, manifests, unreadable, under_way, index, files)


def registered(folder: Folder, name: str) -> dict:
    """What a run has said of itself; nothing if that is not written to its end, so before it wrote anything else."""
    try:
        content = json.loads(folder.read(f"_conversion/{name}"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_manifest(folder: Folder, number: int, manifest: Manifest) -> None:
    """Makes a manifest the current one. Raises ConversionError if there is one with that number."""
    folder.create_whole(f"_conversion/{manifest_name(number)}", json.dumps(asdict(manifest), indent=1))


def files_of(manifests: Iterable[Manifest]) -> set[str]:
    """The names of all files of some manifests."""
    return {name for one in manifests for name in one.files()}
