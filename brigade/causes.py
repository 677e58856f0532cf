"""The cause of an error in one line, if a person can mend it: a broken file, a full disk, a place that is not there.

Spark wraps what went wrong in a task into errors of its own, over and over, in two languages. What reaches Python for
certain is text: the classes and messages of a stack trace, of which the innermost one is the cause. An error that this
file does not know is a bug, and shows its stack trace.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from brigade.errors import BrigadeError, CannotGoOn, one_line

# In a stack trace of Java, Py4J or Spark: a line that names an error, and the file that could not be read.
ERROR = re.compile(
    r"^(?:Caused by: |: |.*\(.* executor .*\): )?(?:[\w$]+\.)+([\w$]+(?:Exception|Error)\b)(?:: )?(.*)$", re.MULTILINE
)
READ = re.compile(
    r"(?:reading file|[Pp]ath does not exist:|File) ((?:\w+:)?/\S.*?)(?: does not exist|\. |\.?$)", re.MULTILINE
)
PLACE = re.compile(r"(?:^|[\s:(=\"'])((?:file|gs|hdfs|s3a?):/[^\s:\"',)]+|/[^\s:\"',)]+)")

NO_SPACE = "no space left on device; free some, or give Spark a larger disk with --conf spark.local.dir=FOLDER"
NO_PERMISSION = "expected a place that this account may read and write, found no permission"
NO_FOLDER = "expected a folder, found a file"
KNOWN = {  # of Java, by what an error's class or message holds, from the innermost error on
    r"No space left on device|Disk quota exceeded": NO_SPACE,
    r"OutOfMemoryError": (
        "Spark ran out of memory: is an input file damaged? If not, raise --driver-memory or --executor-memory"
    ),
    r"AccessControlException|AccessDenied|Permission denied|Mkdirs failed|403 Forbidden": NO_PERMISSION,
    r"specified bucket does not exist|404 Not Found": "expected a bucket, found none of that name",
    r"ParentNotDirectory|NotDirectoryException|Not a directory": NO_FOLDER,
    r"FileAlreadyExists": "expected nothing there yet, found a file; is another program writing there?",
    r"UnsupportedFileSystem|No FileSystem for|ClassNotFoundException: .*FileSystem": (
        "expected a path that Spark can read; gs:// needs the connector for Cloud Storage, which Dataproc has"
    ),
    r"FileNotFoundException|FILE_NOT_EXIST|PATH_NOT_FOUND|InvalidInputException": (
        "expected a file, found that it is gone; was it removed meanwhile? Run it once more"
    ),
    r"UnknownHostException|ConnectException|NoRouteToHost": "the service cannot be reached",
    r"Python worker exited": (
        "a Python process of Spark has ended, most likely for want of memory; raise spark.executor.memoryOverhead"
    ),
    r"Py4JNetworkError|JAVA_GATEWAY_EXITED": "Spark's Java process has ended; is Java there, and memory enough?",
    r"native \w+ library not available": "this Spark cannot unpack such a file; pack it with gzip",
    r"create a Path|URISyntaxException|Wrong FS": "expected gs://bucket/prefix or a local path",
}
# Of a value that SQL cannot compute. The message that follows the condition holds the value, which is document text.
VALUE = re.compile(
    r"Spark(?:Arithmetic|DateTime|NumberFormat|ArrayIndexOutOfBounds|Upgrade|Runtime)Exception: \[([\w.]+)\]"
)
UNPACKING = re.compile(r"^\s*at org\.apache\.hadoop\.io\.compress\.", re.MULTILINE)
PACKED = (".bz2", ".deflate", ".gz", ".lz4", ".snappy", ".zst")  # what Spark unpacks by the name's ending


@contextmanager
def told(kind: type[BrigadeError] = CannotGoOn) -> Iterator[None]:
    """Raises an error of the given kind, with one line, in place of one that a person can mend."""
    try:
        yield
    except BrigadeError:
        raise
    except Exception as error:
        if (cause := cause_of(error)) is None:
            raise
        raise kind(cause) from error


def cause_of(error: Exception) -> str | None:
    """The cause of an error in one line; None if it is a bug."""
    if isinstance(error, OSError) and error.strerror:
        return cause_of_system(error)
    package = type(error).__module__.partition(".")[0]
    if package in ("google", "requests", "urllib3") or isinstance(error, OSError):
        return one_line(f"{type(error).__name__}: {str(error).strip() or 'no answer'}")
    if package in ("py4j", "pyspark"):
        name = f"{type(error).__module__}.{type(error).__name__}"
        return cause_of_java(f"{name}: {error}\n{getattr(error, '_stackTrace', None) or ''}")
    return None


def cause_of_system(error: OSError) -> str:
    """The cause of an error of this machine's files."""
    words = {errno.ENOSPC: NO_SPACE, errno.EDQUOT: NO_SPACE, errno.ENOENT: "expected a file, found none"}
    words |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), NO_PERMISSION)
    words |= dict.fromkeys((errno.ENOTDIR, errno.EEXIST), NO_FOLDER)
    words |= {errno.EISDIR: "expected a file, found a folder"}
    where = f"{error.filename}: " if error.filename is not None else ""
    return one_line(f"{where}{words.get(error.errno or 0, error.strerror)}")


def cause_of_java(text: str) -> str | None:
    """The cause that a stack trace of Java names; None if it is a bug."""
    errors = [f"{name}: {message}" for name, message in ERROR.findall(text)]
    read = READ.search(text)
    for error in reversed(errors):
        if value := VALUE.match(error):
            return f"the query fails on a value outside its list of columns: {value[1]}; use try_cast or the like there"
        for pattern, words in KNOWN.items():
            if re.search(pattern, error):
                place = read or PLACE.search(error)
                return one_line(f"{place[1].rstrip('.')}: {words}" if place else words)
    if not read and errors and UNPACKING.search(text):  # before Spark 4 the file has no name in the error
        return one_line(
            f"an input file: expected a whole compressed file, found {errors[-1]}; gzip --test FILES names it, copy it "
            "again"
        )
    if not read or not errors:
        return None
    expected = (
        "expected a whole compressed file; copy it again, found" if read[1].endswith(PACKED) else "cannot be read:"
    )
    return one_line(f"{read[1]}: {expected} {errors[-1]}")
