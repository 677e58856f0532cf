"""Java's archive of the classes that Spark loads (class-data sharing): a short job ends a quarter sooner with it.

The first job that has a query and ends well leaves the archive, some 180 MB beside Spark's jars; those after it map it
into memory. Java looks whether an archive is of this Java and of these jars, and goes on without one that is not.
https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

import importlib.util
import os
import shutil
from pathlib import Path

# Bytes. A conversion leaves 175 MB. The 30 MB of a program that asks Spark for nothing would save nothing, and stand in
# the way of better ones.
USEFUL = 120_000_000
QUIET = "-Xlog:disable -Xlog:all=error:stderr"  # Java names each class that cannot be in an archive


def spark_home() -> Path:
    """The folder of this environment's Spark."""
    spec = importlib.util.find_spec("pyspark")
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def archive() -> Path:
    return spark_home() / "classes.jsa"


def class_path() -> str:
    """What comes first on the driver's class path: an archive is of jars alone, and Spark begins with a folder."""
    return f"{spark_home()}/jars/*"


def mapping() -> str:
    """The option by which Java maps the archive; empty if there is no useful one."""
    return f'-XX:SharedArchiveFile="{archive()}" {QUIET}' if useful(archive()) else ""


def java_options(folder: Path) -> str:
    """The driver's options. folder: the job's own, where its driver leaves an archive if there is no useful one yet."""
    can_be_kept = os.access(archive().parent, os.W_OK)
    return mapping() or (f'-XX:ArchiveClassesAtExit="{new(folder)}" {QUIET}' if can_be_kept else "")


def keep(folder: Path) -> None:
    """Puts the archive that a job's driver has left to its place, if it has left a useful one."""
    if useful(new(folder)):
        beside = archive().with_suffix(f".{os.getpid()}")
        shutil.move(new(folder), beside)
        beside.replace(archive())


def useful(file: Path) -> bool:
    """Whether it is an archive of most classes that Spark's queries need."""
    return file.exists() and file.stat().st_size >= USEFUL


def new(folder: Path) -> Path:
    return folder / "classes.jsa"
