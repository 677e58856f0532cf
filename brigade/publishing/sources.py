"""Opens what is to be published, here, in a bucket or on standard input, and gives its lines.

What is no text in the encoding is refused with its place, and by its name if its first bytes tell what it is.
"""

import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, cast

from google.api_core import exceptions

from brigade.errors import WrongInput
from brigade.paths import BUCKET_URI
from brigade.storage import list_files, open_to_read

PARQUET = rb"PAR1[\x00-\x08\x0e-\x1f\x80-\xff]"
# How files of other kinds begin: https://en.wikipedia.org/wiki/List_of_file_signatures
BEGINNINGS = {
    rb"\x1f\x8b": "a gzip file (what is named .gz is unpacked once)",
    rb"PK(\x03\x04|\x05\x06)": "a zip archive (xlsx, docx and ods are zip archives too)",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Office file of the old form (xls, doc)",
    rb"%PDF-": "a PDF file",
    PARQUET: "a Parquet file (one is read from a file or a bucket, not packed and not from a pipe)",
    rb"ORC[\x00-\x08\x0e-\x1f\x80-\xff]": "an ORC file",
    rb"Obj\x01": "an Avro file",
    rb"ARROW1\0": "an Arrow file",
    rb"SQLite format 3\0": "an SQLite database",
    rb"\x89HDF\r\n": "an HDF5 file",
    rb"\x93NUMPY": "a NumPy array",
    rb"\x80[\x02-\x05]": "a Python pickle",
    rb"\x89PNG\r\n": "a PNG image",
    rb"\xff\xd8\xff": "a JPEG image",
    rb"GIF8[79]a": "a GIF image",
    rb"II\*\0|MM\0\*": "a TIFF image",
    rb"BM.{4}\0{4}": "a BMP image",
    rb"RIFF.{4}(WEBP|WAVE|AVI )": "an image, sound or film (RIFF)",
    rb"\0\0..ftyp": "a film, sound or image (MP4)",
    rb"ID3[\x02-\x04]\0": "a sound file (MP3)",
    rb"BZh[1-9]1AY&SY": "a bzip2 file",
    rb"\xfd7zXZ\0": "an xz file",
    rb"\x28\xb5\x2f\xfd": "a zstd file",
    rb"\x04\x22\x4d\x18": "an lz4 file",
    rb"7z\xbc\xaf\x27\x1c": "a 7z archive",
    rb"Rar!\x1a\x07": "a RAR archive",
    rb".{257}ustar(\0|  \0)": "a tar archive",
    rb"\x7fELF": "a program",
    rb"\{\\rtf": "an RTF document",
    rb"(\xef\xbb\xbf)?\s*<((?i:\?xml|!doctype|html)\b)": "an XML or HTML page",
}
MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class StandardInput(io.RawIOBase):
    """Standard input, which stays open when its reader is closed: a file that is redirected is read twice."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        return standard_input().readinto(buffer)


def standard_input() -> Any:
    """The unbuffered stream, which gives what is there and does not wait for more."""
    return getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)


def named(source: str) -> str:
    """The source as messages name it."""
    return "standard input" if source == "-" else source


def text_lines(source: str, encoding: str | None) -> Iterator[str]:
    """The lines with their line ends. Raises WrongInput at the first place that is no text in the encoding.

    encoding: None for what the byte order mark says, and for UTF-8 without one.
    """
    wide, number, first = False, 0, b""
    try:
        with open_source(source) as stream:
            first = stream.peek(512)[:512]
            refuse_other_kinds(source, first)
            encoding = encoding or marked(first) or "utf-8"
            wide = "\n".encode(encoding) != b"\n"  # UTF-16, for example, does not end a line with the byte \n
            lines: Iterable = io.TextIOWrapper(stream, encoding, newline="\n") if wide else stream
            for line in lines:
                text = line if wide else line.decode(encoding)
                number += 1
                if "\0" in text:
                    problem = f"{named(source)}: line {number} holds NUL bytes, which no text has"
                    raise WrongInput(f"{problem}; in UTF-16 there are such: --encoding=utf-16")
                yield text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeError as error:
        likely = marked(first) or ("utf-8" if wide else "latin-1")
        reason = getattr(error, "reason", error)  # UTF-16 without a mark is an error without a place
        place = f"after line {number}" if wide else f"line {number + 1}"  # what is wide is decoded some lines ahead
        problem = f"{named(source)}: {place} is not {encoding} ({reason})"
        raise WrongInput(f"{problem}; try --encoding={likely}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        other = isinstance(error, gzip.BadGzipFile) and not first
        problem = "the name says gzip, and it is none" if other else f"damaged or cut off after line {number}"
        raise WrongInput(f"{named(source)}: {problem}") from None


def marked(first: bytes) -> str | None:
    """The encoding that a byte order mark tells; None without one, or with that of UTF-8."""
    return next((name for mark, name in MARKS.items() if first.startswith(mark)), None)


def open_source(source: str) -> io.BufferedReader:
    """Opens a file, or standard input for `-`. Raises WrongInput for what is not there or is no file."""
    if source == "-":
        return io.BufferedReader(StandardInput())
    if source.startswith("gs://"):
        return open_object(source)
    problem = None
    if "://" in source:
        problem = "expected a local path or gs://bucket/object, found another URL; download it first"
    elif not os.path.exists(source):
        problem = "there is no such file"
    elif not os.path.isfile(source):
        problem = "expected a file, found a pipe or a device; publish it as standard input, which is -"
    elif not os.access(source, os.R_OK):
        problem = "this account may not read it"
    if problem:
        raise WrongInput(f"{source}: {problem}")
    return cast(io.BufferedReader, open_to_read(source))


def open_object(uri: str) -> io.BufferedReader:
    match = BUCKET_URI.fullmatch(uri)
    if not match or not match[2]:
        raise WrongInput(f"{uri}: expected gs://bucket/object")
    try:
        stream = cast(io.BufferedReader, open_to_read(uri))
        stream.peek(1)  # only now is the service asked
        return stream
    except exceptions.NotFound:
        raise WrongInput(f"{uri}: there is no such file") from None


def sources_in(source: str) -> list[str]:
    """The files of a folder, here or in a bucket, in the order of their names, without hidden ones; else the source."""
    if source == "-" or "://" in source and not BUCKET_URI.fullmatch(source):
        return [source]
    try:
        found = [path for path, _ in list_files(source)]
    except exceptions.NotFound:
        found = []
    if source in found or not found and not os.path.isdir(source):
        return [source]  # of which opening it says what is wrong
    root = source.rstrip("/") + "/"
    # A console's folder is an object too, whose name ends with a slash.
    shown = [path for path in found if not re.search(r"(^|/)[._]|(^|/)$", path.removeprefix(root))]
    if not shown:
        raise WrongInput(f"{source}: expected files with documents, found an empty folder")
    return shown


def is_parquet(source: str) -> bool:
    """Whether a file is Parquet, whatever its name says. One that is packed or comes by a pipe cannot be read so."""
    if source == "-" or source.endswith(".gz"):
        return False
    with open_source(source) as stream:
        return re.match(PARQUET, stream.peek(8)[:8], re.S) is not None


def refuse_other_kinds(source: str, first: bytes) -> None:
    """Raises WrongInput if the first bytes are those of a file that is neither a table nor JSON lines."""
    for beginning, kind in BEGINNINGS.items():
        if re.match(beginning, first, re.S):
            raise WrongInput(f"{named(source)}: expected a table (CSV, TSV) or JSON lines, found {kind}")
