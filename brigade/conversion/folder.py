"""A folder wherever Spark reads and writes: gs://, hdfs:// or local, by Hadoop's file systems.

The manifest and the lock lie beside Spark's own files, so that the same library must resolve the path. On this machine
brigade.storage writes them in one step, which takes Hadoop several.
"""

import uuid
from typing import Any

from pyspark.sql import SparkSession

from brigade.conversion.errors import ConversionError
from brigade.errors import one_line
from brigade.paths import URI, resolved
from brigade.storage import ABSENT, ChangedMeanwhile, LocalFolder


def place_of(spark: SparkSession, path: str) -> str:
    """The path as `paths.resolved` has it. Without a scheme it lies where Spark's default file system is."""
    java: Any = spark._jvm
    configuration, hadoop = spark._jsc.hadoopConfiguration(), java.org.apache.hadoop.fs
    if path and not URI.fullmatch(path) and hadoop.FileSystem.getDefaultUri(configuration).getScheme() != "file":
        one = hadoop.Path(path)
        path = one.getFileSystem(configuration).makeQualified(one).toString()
    return resolved(path)


class Folder:
    """A folder that Hadoop knows. Names are relative to it; "" is the folder itself."""

    def __init__(self, spark: SparkSession, path: str):
        java: Any = spark._jvm
        self.path, self.hadoop = path, java.org.apache.hadoop.fs
        self.files = self.hadoop.Path(path).getFileSystem(spark._jsc.hadoopConfiguration())
        place = self.files.makeQualified(self.at("")).toUri()
        self.local = LocalFolder(place.getPath()) if place.getScheme() == "file" else None

    def at(self, name: str) -> Any:
        """Hadoop's path of a name."""
        return self.hadoop.Path(f"{self.path}/{name}" if name else self.path)

    def names(self, name: str = "") -> dict[str, int]:
        """The names directly in a folder, with sizes in bytes; empty if there is no such folder."""
        if not self.files.exists(self.at(name)):
            return {}
        return {one.getPath().getName(): one.getLen() for one in self.files.listStatus(self.at(name))}

    def exists(self, name: str) -> bool:
        return bool(self.files.exists(self.at(name)))

    def read(self, name: str) -> str:
        """The text of a file. Raises FileNotFoundError if there is none, OSError if it cannot be opened, and
        UnicodeDecodeError if it is no text."""
        if not self.files.exists(self.at(name)) or not self.files.getFileStatus(self.at(name)).isFile():
            raise FileNotFoundError(f"{self.path}/{name}")
        try:
            stream = self.files.open(self.at(name))
        except Exception as error:  # whatever Py4J makes of the file system's own error
            raise OSError(f"{self.path}/{name} cannot be read: {one_line(error)}") from error
        try:
            return bytes(stream.readAllBytes()).decode("utf-8")
        finally:
            stream.close()

    def create(self, name: str, text: str) -> bool:
        """Creates a file: True, or False if it exists. Of several processes that try at once, one succeeds."""
        if self.local:
            try:
                self.local.write(name, text.encode("utf-8"), ABSENT)
            except ChangedMeanwhile:
                return False
            return True
        self.files.mkdirs(self.at(name).getParent())
        try:
            self.put(name, text, replace=False)
        except Exception as error:  # whatever Py4J makes of the file system's own error
            if self.files.exists(self.at(name)):
                return False
            raise ConversionError(f"{self.path} cannot be written to: {str(error).splitlines()[0]}") from error
        return True

    def create_whole(self, name: str, text: str) -> None:
        """Creates a file, with all of its text or not at all. Raises ConversionError if it exists."""
        if not self.local:
            half = f"{name}.{uuid.uuid4().hex}.half"
            self.put(half, text)
            self.rename(half, name)
        elif not self.create(name, text):
            raise ConversionError(f"{self.path}/{name} is there already; did another run write it?")

    def replace(self, name: str, text: str) -> None:
        """Writes a file, whether it exists or not. On this machine no reader sees half of it."""
        if self.local:
            self.local.write(name, text.encode("utf-8"))
        else:
            self.put(name, text)

    def put(self, name: str, text: str, replace: bool = True) -> None:
        stream = self.files.create(self.at(name), replace)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()

    def rename(self, source: str, target: str) -> None:
        """Moves a file within the folder. Raises ConversionError if the target exists."""
        self.files.mkdirs(self.at(target).getParent())
        # A local rename would replace what is there; elsewhere it fails by itself.
        if self.files.exists(self.at(target)) or not self.files.rename(self.at(source), self.at(target)):
            raise ConversionError(f"{self.path}/{source} could not be renamed to {target}; does that exist?")

    def delete(self, name: str) -> None:
        """Deletes a file, or a folder with all that is in it, if it exists."""
        self.files.delete(self.at(name), True)
