"""Java's archive of the classes that Spark loads (class-data sharing): a short job ends a quarter sooner with it.

The first job whose driver ends well leaves the archive, some 180 MB beside Spark's jars; those after it map it into
memory. Java looks whether an archive is of this Java and of these jars, and goes on without one that is not.
https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

import importlib.util
import os
import shutil
from pathlib import Path

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


def java_options(folder: Path) -> str:
    """The driver's options. folder: the job's own, where its driver leaves an archive if there is none yet."""
    if archive().exists():
        return f'-XX:SharedArchiveFile="{archive()}" {QUIET}'
    can_be_kept = os.access(archive().parent, os.W_OK)
    return f'-XX:ArchiveClassesAtExit="{new(folder)}" {QUIET}' if can_be_kept else ""


def keep(folder: Path) -> None:
    """Puts the archive that a job's driver has left to its place, if it has left one."""
    if new(folder).exists():
        beside = archive().with_suffix(f".{os.getpid()}")
        shutil.move(new(folder), beside)
        beside.replace(archive())


def new(folder: Path) -> Path:
    return folder / "classes.jsa"
