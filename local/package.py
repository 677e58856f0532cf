"""Builds what leaves this machine: the package for Spark, and each function's folder.

    python -m local.package            the same as `make package`
    python -m local.package --pipeline=wine     for this pipeline: the functions of tables need XGBoost, of texts not

    build/brigade.zip                  brigade/ and pipelines/, for Spark's --py-files and Dataproc's pythonFileUris
    build/cloud_function/              the door main.py, requirements.txt, and the modules of brigade/ that the door
    build/scheduler/                   reaches: the folder that `gcloud functions` deploys

The same content gives the same bytes. A build appears at its place in one step, whole.
"""

import argparse
import fcntl
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from modulefinder import ModuleFinder
from pathlib import Path

from brigade.cli import print_error, print_summary
from brigade.errors import BrigadeError, CannotGoOn

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "brigade"
DEFINITIONS = "pipelines"
BUILD = ROOT / "build"
FUNCTIONS = ("cloud_function", "scheduler")
FOR_TABLES = "requirements-table.txt"  # in a function's folder: what it needs besides for tables
DOOR = "main.py"  # the file that functions-framework looks for
TIME = (2000, 1, 1, 12, 0, 0)  # of every file; zip files hold none before 1980
SECONDS = 946728000  # the same in UTC, from 1970 on
FILE_MODE = 0o100644


def build(target: Path = BUILD, tables: bool = False) -> dict[str, list[str]]:
    """Replaces the folder `target` by a new build; returns the names of each product's files. Builders wait for one
    another. tables: whether the functions shall serve the models of tables."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            files = {f"{PACKAGE.name}.zip": write_zip(new / f"{PACKAGE.name}.zip", (*package_files(), *definitions()))}
            files |= {name: write_folder(new / name, ROOT / name, tables) for name in FUNCTIONS}
            if target.exists():
                target.rename(Path(scratch) / "old")
            new.rename(target)
    finally:
        os.close(folder)
    return files


def package_files() -> Iterator[Path]:
    """The files of the package: modules and data, and nothing that Python or an editor has left there."""
    for path in PACKAGE.rglob("*"):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(PACKAGE).parts)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield path


def definitions() -> list[Path]:
    """The pipeline definitions, which programs find by their names beside the package."""
    return [path for path in (ROOT / DEFINITIONS).glob("*.yaml") if not path.name.startswith(".")]


def reached_files(door: Path) -> Iterator[Path]:
    """The package's modules that the door imports, directly or not and also inside functions, with the data files
    beside them. Raises CannotGoOn if one of them is missing or broken."""
    finder = ModuleFinder(path=[str(ROOT)])  # what is installed is not looked at
    finder.run_script(str(door))
    if missing := [name for name in finder.any_missing() if name.startswith(f"{PACKAGE.name}.")]:
        raise CannotGoOn(f"{door.relative_to(ROOT)}: expected modules, found none that can be read: {missing}")
    reached = {Path(module.__file__) for module in finder.modules.values() if module.__file__}
    folders = {path.parent for path in reached}
    for path in package_files():
        if path in reached or path.suffix != ".py" and package_of(path) in folders:
            yield path


def package_of(path: Path) -> Path:
    """The folder of the package, or subpackage, that a file belongs to."""
    return next(folder for folder in path.parents if (folder / "__init__.py").exists())


def write_zip(target: Path, files: Iterable[Path]) -> list[str]:
    """Writes the files without compression, whose bytes would depend on the zlib at hand; returns their names."""
    names = {path.relative_to(ROOT).as_posix(): path for path in files}
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(names):
            entry = zipfile.ZipInfo(name, TIME)
            entry.create_system, entry.external_attr = 3, FILE_MODE << 16  # 3: Unix
            archive.writestr(entry, names[name].read_bytes())
    return sorted(names)


def write_folder(target: Path, function: Path, tables: bool = False) -> list[str]:
    """Writes the folder of a function; returns the names of its files."""
    files = {path.name: path for path in (function / DOOR, function / "requirements.txt")}
    files |= {path.relative_to(ROOT).as_posix(): path for path in reached_files(function / DOOR)}
    for name in sorted(files):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[name], copy)
        copy.chmod(FILE_MODE & 0o777)
    if tables and (more := function / FOR_TABLES).exists():
        with open(target / "requirements.txt", "ab") as requirements:
            requirements.write(more.read_bytes())
    for path in (target, *target.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (SECONDS, SECONDS))
    return sorted(files)


def is_of_tables(pipeline: str | None) -> bool:
    """Whether the functions of the pipeline serve a table model; documents' do not. Raises BrigadeError."""
    if not pipeline:
        return False
    from brigade.pipelines.load import load  # needs pydantic and PyYAML; without a pipeline, Python alone is enough

    return load(pipeline).model.kind == "table"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.package", description=__doc__.split("\n\n")[0])
    parser.add_argument("--pipeline", metavar="NAME|URI", help="whose functions; default: documents'")
    pipeline = parser.parse_args(argv).pipeline
    try:
        print_summary({"built": [f"{BUILD.name}/{name}" for name in build(tables=is_of_tables(pipeline))]})
    except BrigadeError as problem:
        print_error("package", problem)
        return problem.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
