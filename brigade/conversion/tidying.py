"""Tidies an output and its quarantine: what a run finds there, and what it leaves.

Whether a file is the table's own is known from the record: a manifest names it, or a run that registered itself wrote
it. What a killed run left is removed. What the current manifest no longer names is set aside, under another ending, and
removed with the last manifest that names it: so one can go back to the manifests that are kept. Nothing is removed
because a record is missing.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import replace

from brigade.conversion.errors import ConversionError
from brigade.conversion.folder import Folder
from brigade.conversion.manifest import RUN, files_of, manifest_name
from brigade.conversion.table import Table

log = logging.getLogger(__name__)

QUARANTINED = re.compile(rf"quarantine-({RUN})-\d+\.json")
CONVERTED = re.compile(rf"({RUN})-\d+\.parquet")
KEPT = 3  # manifests
FORMER, FORMER_QUARANTINE = "_conversion/former/", "_former/"  # where files are set aside
ENDING = ".former"


def tidy(table: Table) -> None:
    """Makes the output and the quarantine hold what the current manifest names, before a run and after its commit.

    Before a full run only what killed runs left is removed. Raises ConversionError, and changes nothing, if the output
    holds parquet that no conversion wrote, or that a manifest which is missing may name, or lacks files.
    """
    killed = killed_runs(table)
    present, leftovers, superseded = sorted_out(table, killed)
    for name in leftovers:
        table.folder.delete(name)
    remove_leftovers(table, killed)
    if table.full and not table.committed:
        return
    bring_back(table.folder, FORMER, missing_files(table, present))
    set_aside(table.folder, FORMER, superseded)
    for day in {name.partition("/")[0] for name in (*leftovers, *superseded)}:
        delete_if_empty(table.folder, day)
    tidy_quarantine(table)
    forget_oldest(table)


# ---------------------------------------------------------------------------------------------------- killed runs


def killed_runs(table: Table) -> set[str]:
    """The runs that are under way and that no manifest names: their process has ended, since this one has the lock.

    None if a manifest that is lost might name them.
    """
    record = table.record
    committed = {run for one in record.manifests.values() for run in one.runs}
    return set() if record.is_suspect else record.under_way.keys() - committed - table.given_up


def remove_leftovers(table: Table, killed: set[str]) -> None:
    """Removes what killed runs left beside the days, and strikes all runs off that are no longer under way."""
    folder, record = table.folder, table.record
    for name in folder.names("_staging"):
        if re.fullmatch(RUN, name):
            folder.delete(f"_staging/{name}")
    delete_if_empty(folder, "_staging")
    for name in folder.names("_conversion"):
        if name.endswith(".half"):
            folder.delete(f"_conversion/{name}")
    for run in list(record.under_way):
        if run in killed:
            about = record.under_way[run]
            if about.get("output") == folder.path and isinstance(about.get("quarantine"), str):
                remove_quarantined(Folder(table.spark, about["quarantine"]), run)
            for kind in ("index", "files"):
                folder.delete(f"_conversion/{kind}/{run}")
        elif record.is_suspect:
            table.given_up.add(run)
            continue
        folder.delete(f"_conversion/run-{run}.json")
        del record.under_way[run]
    if table.full or record.went_back:
        rename_former_bookkeeping(table)


def remove_quarantined(quarantine: Folder, run: str) -> None:
    """Removes what a run has written to a quarantine."""
    for name in quarantine.names():
        match = QUARANTINED.fullmatch(name)
        if name == f"_staging-{run}" or match and match[1] == run:
            quarantine.delete(name)


def rename_former_bookkeeping(table: Table) -> None:
    """Earlier versions left Spark's own ending to the bookkeeping, which was so taken for rows of the table."""
    for kind in ("index", "files"):
        for run in table.folder.names(f"_conversion/{kind}"):
            place = f"_conversion/{kind}/{run}"
            for name in table.folder.names(place):
                if name.endswith(".parquet"):
                    table.folder.rename(f"{place}/{name}", f"{place}/{name.removesuffix('parquet')}{kind}")


# ------------------------------------------------------------------------------------------------------- the days


def sorted_out(table: Table, killed: set[str]) -> tuple[set[str], list[str], list[str]]:
    """The parquet files below the output: those of the current manifest, those of killed runs, and those of others.

    Raises ConversionError if there is a file of which the record knows nothing.
    """
    folder, record = table.folder, table.record
    current, known = {*table.manifest.files()}, record.known() | table.given_up
    present: set[str] = set()
    leftovers: list[str] = []
    superseded: list[str] = []
    for day, names in days(folder).items():
        for name in names:
            file, match = f"{day}/{name}", CONVERTED.fullmatch(name)
            if file in current:
                present.add(file)
            elif match and match[1] in killed:
                leftovers.append(file)
            elif match and (match[1] in known or table.full or record.went_back):
                superseded.append(file)
                if match[1] not in known:
                    table.given_up.add(match[1])
            elif match:
                raise record.damaged(f"no manifest that names {file}")
            elif name.endswith(".parquet"):
                raise foreign(folder, file)
    return present, leftovers, superseded


def days(folder: Folder) -> dict[str, dict[str, int]]:
    """The names in each folder of a day. Raises ConversionError if there is parquet beside them."""
    names = folder.names()
    if beside := [name for name in names if name.endswith(".parquet")]:
        raise foreign(folder, beside[0])
    return {day: folder.names(day) for day in names if "=" in day}


def foreign(folder: Folder, file: str) -> ConversionError:
    return ConversionError(
        f"expected only files of earlier conversions in {folder.path}, found {file}; "
        "remove it, or choose another output"
    )


def missing_files(table: Table, present: set[str]) -> list[str]:
    """The table's files that are set aside. Raises ConversionError if one is not there either, unless the run is there
    to make such files again."""
    missing = sorted({*table.manifest.files()} - present)
    if gone := [name for name in missing if not table.folder.exists(f"{FORMER}{name}{ENDING}")]:
        found = f"{len(gone)} of the {len(table.manifest.files())} files that the manifest names missing"
        if not table.again.repairs:
            again = "to make what is missing again from the input files: --missing; "
            raise table.record.damaged(f"{found}, such as {gone[0]}", again)
        if table.committed:
            log.warning("%s, such as %s, of other days than were done again", found, gone[0])
    return [name for name in missing if name not in gone]


def set_aside(folder: Folder, place: str, names: Iterable[str]) -> None:
    """Moves files out of the sight of those who look for rows or lines."""
    for name in names:
        if folder.exists(f"{place}{name}{ENDING}"):  # a move that was cut off, where moving is copying
            folder.delete(name)
        else:
            folder.rename(name, f"{place}{name}{ENDING}")


def bring_back(folder: Folder, place: str, names: Iterable[str]) -> None:
    """Moves files that were set aside to where they were."""
    for name in names:
        folder.rename(f"{place}{name}{ENDING}", name)


def delete_if_empty(folder: Folder, name: str) -> None:
    if not folder.names(name):
        folder.delete(name)


# ------------------------------------------------------------------------------------------------- the quarantine


def tidy_quarantine(table: Table) -> None:
    """The same for the quarantine: the files that manifests name, in whichever folder, and those of lost runs.

    All others belong to other tables.
    """
    current = {*table.manifest.quarantine}
    former = {name for one in table.record.manifests.values() for name in one.quarantine} - current
    gone: set[str] = set()
    empty: dict[str, list[str]] = {table.quarantine.path: []}
    for place, names in (empty | by_folder(current | former)).items():
        folder = Folder(table.spark, place)
        there = folder.names()
        of_lost_runs = [name for name in there if (match := QUARANTINED.fullmatch(name)) and match[1] in table.given_up]
        missing = [name for name in names if f"{place}/{name}" in current and name not in there]
        aside = [name for name in missing if folder.exists(f"{FORMER_QUARANTINE}{name}{ENDING}")]
        bring_back(folder, FORMER_QUARANTINE, aside)
        superseded = {*of_lost_runs, *(name for name in names if f"{place}/{name}" in former and name in there)}
        set_aside(folder, FORMER_QUARANTINE, sorted(name for name in superseded if f"{place}/{name}" not in current))
        gone |= {f"{place}/{name}" for name in {*missing} - {*aside}}
    if gone:
        log.warning("%d files of the quarantine are no longer there, such as %s", len(gone), min(gone))
        left = [name for name in table.manifest.quarantine if name not in gone]
        table.manifest = replace(table.manifest, quarantine=left)
        table.base = table.base if table.full else table.manifest


def by_folder(files: Iterable[str]) -> dict[str, list[str]]:
    """The names of files, by the folder in which they lie."""
    folders: dict[str, list[str]] = {}
    for file in sorted(files):
        place, _, name = file.rpartition("/")
        folders.setdefault(place, []).append(name)
    return folders


# ------------------------------------------------------------------------------------------------ former states


def forget_oldest(table: Table) -> None:
    """Removes the manifests before the last KEPT, and before each the files and bookkeeping that it alone names."""
    folder, manifests = table.folder, table.record.manifests
    for number in sorted(manifests)[:-KEPT]:
        oldest = manifests.pop(number)
        named = files_of(manifests.values())
        for name in {*oldest.files()} - named:
            folder.delete(f"{FORMER}{name}{ENDING}")
            delete_if_empty(folder, f"{FORMER}{name.partition('/')[0]}")
        quarantined = {name for one in manifests.values() for name in one.quarantine}
        for place, names in by_folder({*oldest.quarantine} - quarantined).items():
            quarantine = Folder(table.spark, place)
            for name in names:
                quarantine.delete(f"{FORMER_QUARANTINE}{name}{ENDING}")
        for run in {*oldest.runs} - {run for one in manifests.values() for run in (*one.runs, *one.given_up)}:
            for kind in ("index", "files"):
                folder.delete(f"_conversion/{kind}/{run}")
        folder.delete(f"_conversion/{manifest_name(number)}")
