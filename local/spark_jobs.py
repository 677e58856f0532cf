"""Runs Dataproc's PySpark jobs with the `spark-submit` of this Python environment, two at a time, in the order of
submission.

A job sees `gs://` as it would on a cluster. Hadoop's ViewFileSystemOverloadScheme maps each bucket to the
folder in which the storage emulator keeps it (`HADOOP_CONF_DIR` names a core-site.xml that is written for the
job); afterwards every file that the job wrote, changed or removed is brought to the emulator's index through
the storage API, with what a failed job left, as on the real service.

The driver's output goes to STATE_DIR/jobs/JOB.log and, while the job runs, to the objects in which `gcloud
dataproc jobs submit` and `jobs wait` look for it. Everything else that Spark writes lies in
STATE_DIR/jobs/JOB/ and goes when the job ends.
"""

import base64
import contextlib
import hashlib
import logging
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from google.api_core.exceptions import Conflict, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.dataproc_v1 import JobStatus

from brigade.steps.here import driver_python
from local import guard, spark_classes

logger = logging.getLogger(__name__)

STAGING_BUCKET = "dataproc-staging"
PLACES = 2  # jobs at a time: each has a Java heap of up to 4 GiB
_State = JobStatus.State
_ENDED = (_State.DONE, _State.ERROR, _State.CANCELLED)
# The line with which a program of Brigade says why it has failed.
_OWN_LINE = re.compile(r"^\w+\.py: .*", re.MULTILINE)
_NO_WORDS = re.compile(r"\s+at |\s*\.\.\. \d+ (?:more|common frames)|\d\d(?:/\d\d){2} [\d:]{8} (?:INFO|WARN) ")
# The last line of a Python traceback, or of a Java one in the driver's main thread, or the innermost cause it names.
_ERROR_LINE = re.compile(
    r"^(?:Caused by: |Exception in thread \"main\" )?[\w.$]+(?:Error|Exception|Interrupt)\b.*", re.MULTILINE
)


class SparkJob:
    """One job: the protobuf message of the API, which changes while it runs, and the means to wait for it and
    to cancel it."""

    def __init__(self, message) -> None:
        """`message` is the protobuf of a `google.cloud.dataproc_v1.Job`. Raises ValueError if it is no
        PySpark job."""
        if (kind := message.WhichOneof("type_job")) != "pyspark_job":
            name = kind.title().replace("_", "") if kind else "nothing"
            raise ValueError(f"expected pysparkJob, found {name[0].lower() + name[1:]}: only PySpark runs here")
        if not message.pyspark_job.main_python_file_uri:
            raise ValueError("pysparkJob.mainPythonFileUri is empty: name the program, as gs://BUCKET/FILE.py")
        message.job_uuid = str(uuid.uuid4())
        self.message = message
        self.cancelled = threading.Event()
        self._changed = threading.Condition()
        self._set(_State.PENDING)

    @property
    def ended(self) -> bool:
        return self.message.status.state in _ENDED

    def snapshot(self):
        """A copy of the message that no longer changes."""
        with self._changed:
            copy = type(self.message)()
            copy.CopyFrom(self.message)
            return copy

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds for the end; return whether it has come."""
        with self._changed:
            return self._changed.wait_for(lambda: self.ended, timeout)

    def cancel(self) -> None:
        """Ask for the end. A job that has not started never does; one that runs is killed by the thread that
        runs it."""
        with self._changed:
            if self.ended:
                return
            waiting = self.message.status.state == _State.PENDING
            self.cancelled.set()
            self._set(_State.CANCELLED if waiting else _State.CANCEL_STARTED)

    def _set(self, state: JobStatus.State, details: str = "") -> bool:
        """Enter a state, unless the job has ended; return whether it was entered."""
        with self._changed:
            if self.ended:
                return False
            if self.message.HasField("status"):
                self.message.status_history.add().CopyFrom(self.message.status)
            self.message.status.state = state
            self.message.status.details = details
            self.message.status.state_start_time.GetCurrentTime()
            self.message.done = self.ended
            self._changed.notify_all()
            return True


class SparkRunner:
    """The machine's places for Spark jobs, and the queue before them."""

    def __init__(self, state_dir: Path, buckets_dir: Path, master: str) -> None:
        self._jobs_dir = state_dir.absolute() / "jobs"
        self._buckets_dir = buckets_dir.absolute()
        self._master = master
        self._queue: queue.Queue[SparkJob | None] = queue.Queue()
        self._stopped = threading.Event()
        self._running: set[SparkJob] = set()
        self._lock = threading.Lock()  # of what runs: no job starts while empty folders are removed
        self._threads = [threading.Thread(target=self._work, name="spark-jobs", daemon=True) for _ in range(PLACES)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: SparkJob) -> None:
        """Queue a job; it starts when there is a place, and those before it have started."""
        job.message.driver_output_resource_uri = (
            f"gs://{STAGING_BUCKET}/google-cloud-dataproc-metainfo/{job.message.job_uuid}/driveroutput"
        )
        self._queue.put(job)
        if self._stopped.is_set():
            job.cancel()

    def stop(self) -> None:
        """End the jobs that run, with all their processes, and start no other."""
        with self._lock:
            self._stopped.set()
            running = list(self._running)
        for job in running:
            job.cancel()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(2 * guard.GRACE_SECONDS)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                self._running.add(job)
                if self._stopped.is_set():
                    job.cancel()
            try:
                if job._set(_State.RUNNING):  # or else it was cancelled while it waited
                    self._run(job)
            except Exception as error:
                logger.exception("job %s", job.message.reference.job_id)
                job._set(_State.ERROR, f"{type(error).__name__}: {error}")
            with self._lock:
                self._running.discard(job)

    def _run(self, job: SparkJob) -> None:
        job_id = job.message.reference.job_id
        folder, log_file = self._jobs_dir / job_id, self._jobs_dir / f"{job_id}.log"
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        client = storage_client(job.message.reference.project_id)
        create_staging_bucket(client)
        buckets = [self._buckets_dir / bucket.name for bucket in client.list_buckets()]
        write_core_site(folder, buckets)
        output = _DriverOutput(client, job.message.driver_output_resource_uri, log_file)
        started = time.time()
        logger.info("job %s starts, its output is in %s", job_id, log_file)
        with open(log_file, "ab") as log:  # as the driver's Python has it: who writes, adds
            process = guard.start(
                spark_submit_command(job.message.pyspark_job, folder, self._master),
                env=spark_environment(folder) | {"PYSPARK_DRIVER_PYTHON": str(driver_python(folder, log_file))},
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )
            while process.poll() is None and not job.cancelled.wait(0.3):
                output.upload()
            status = guard.stop(process)
        if status == 0:
            spark_classes.keep(folder)
        if not self._stopped.is_set():  # the emulator is being stopped as well then
            for bucket in buckets:
                sync_bucket(client, bucket, started)
            with self._lock:
                for bucket in buckets if self._running == {job} else ():
                    remove_empty_folders(bucket)
            output.upload()
            output.close()
        shutil.rmtree(folder, ignore_errors=True)
        logger.info("job %s ended with exit status %d after %.1f s", job_id, status, time.time() - started)
        if job.cancelled.is_set():
            job._set(_State.CANCELLED)
        elif status:
            uri = job.message.driver_output_resource_uri
            job._set(
                _State.ERROR,
                f"Job failed with message [{last_error(log_file, status)}]."
                f" Additional details can be found at:\n{log_file}\n{uri}.*",
            )
        else:
            job._set(_State.DONE)


def storage_client(project: str) -> storage.Client:
    """A client of the storage emulator that STORAGE_EMULATOR_HOST names."""
    return storage.Client(project=project, credentials=AnonymousCredentials())


def create_staging_bucket(client: storage.Client) -> None:
    """Create the bucket for driver output and for what `gcloud dataproc jobs submit` uploads, if it is not
    there."""
    with contextlib.suppress(Conflict):
        client.create_bucket(STAGING_BUCKET)


def write_core_site(folder: Path, buckets: Iterable[Path]) -> None:
    """Write FOLDER/core-site.xml, by which `gs://NAME/…` is the folder NAME among `buckets`.

    A mount's target has the scheme gs as well: only then does ViewFileSystemOverloadScheme take the target
    class from the settings, and that class has to be RawLocalFileSystem. The default one keeps a checksum
    file beside each file, which is stale, and makes the file unreadable, as soon as the object is uploaded
    again. ViewFs, for FileContext, is left out on purpose: with such targets it would look for itself.
    """
    settings = {
        "fs.gs.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "fs.viewfs.overload.scheme.target.gs.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    }
    for bucket in buckets:
        bucket.mkdir(parents=True, exist_ok=True)
        target = "gs://" + urllib.parse.quote(str(bucket))
        settings[f"fs.viewfs.mounttable.{bucket.name}.linkFallback"] = target
    properties = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in settings.items()
    )
    (folder / "core-site.xml").write_text(f"<configuration>\n{properties}</configuration>\n")


def spark_submit_command(pyspark_job, folder: Path, master: str) -> list[str]:
    """The command line for a `PySparkJob` message. The job's own properties win over the local ones, but for
    the master."""
    own = dict(pyspark_job.properties)
    own_java_options = own.pop("spark.driver.extraJavaOptions", "")
    # For a minute's work on two cores: no second compiler, no collector threads. 13 s instead of 23 s for 4,000 events.
    quick = f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC {spark_classes.java_options(folder)}"
    java_options = f'{quick} -Djava.io.tmpdir="{folder}/tmp" -Dderby.system.home="{folder}/derby" {own_java_options}'
    properties = {
        "spark.driver.memory": "4g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": f"{folder}/tmp",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
        "spark.driver.extraClassPath": spark_classes.class_path(),
        **own,
        "spark.driver.extraJavaOptions": java_options,
    }
    command = [str(Path(sys.executable).parent / "spark-submit"), "--master", master]
    for name, value in properties.items():
        command += ["--conf", f"{name}={value}"]
    for flag, uris in (
        ("--py-files", pyspark_job.python_file_uris),
        ("--jars", pyspark_job.jar_file_uris),
        ("--files", pyspark_job.file_uris),
        ("--archives", pyspark_job.archive_uris),
    ):
        if uris:
            command += [flag, ",".join(uris)]
    return [*command, pyspark_job.main_python_file_uri, *pyspark_job.args]


def spark_environment(folder: Path) -> dict[str, str]:
    """This process's environment with the Spark and the Python of this environment, and nothing that leads to
    another one.

    PYTHONPATH goes: a job must bring its modules as `pythonFileUris`, as on a cluster.
    """
    foreign = ("SPARK_", "PYSPARK_", "HADOOP_", "PYTHONPATH")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return env | {
        "HADOOP_CONF_DIR": str(folder),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(spark_classes.spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TMPDIR": f"{folder}/tmp",
    }


def last_words(output: str) -> str:
    """What the program says last of itself in a job's output, or else the last line that is neither of a Java stack nor
    of Spark's log; empty if there is none."""
    lines = [line for line in output.splitlines() if line.strip() and not _NO_WORDS.match(line)]
    return (_OWN_LINE.findall(output) or lines or [""])[-1]


def last_error(log_file: Path, status: int) -> str:
    """The line of a job's output that says why it failed, or at least its exit status."""
    output = log_file.read_text(errors="replace")
    errors = _OWN_LINE.findall(output) or _ERROR_LINE.findall(output)
    return errors[-1] if errors else f"spark-submit ended with exit status {status}"


def sync_bucket(client: storage.Client, folder: Path, since: float) -> None:
    """Make the emulator's index of a bucket agree with the bucket's folder, for what changed after `since`
    (seconds since the epoch).

    Others may write to the bucket meanwhile, through the API, which changes folder and index in one step. So
    the folder is read before the index, every write and delete names the generation that it replaces, and who
    was faster wins.
    """
    files = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    listed = {blob.name: blob for blob in client.list_blobs(folder.name)}
    changed = 0
    # In the order in which the job wrote them: what comes last says that the rest is there.
    for name, stat in sorted(files.items(), key=lambda file: file[1].st_ctime_ns):
        blob = listed.get(name)
        # ctime, unlike mtime, also moves when a file is renamed; a second for clocks that tick coarsely
        if blob and blob.size == stat.st_size and stat.st_ctime < since - 1:
            continue
        with contextlib.suppress(FileNotFoundError):
            content = (folder / name).read_bytes()
            if blob and blob.md5_hash == base64.b64encode(hashlib.md5(content).digest()).decode():
                continue
            changed += adopt(folder.name, name, blob.generation if blob else 0)
    for name in listed.keys() - files.keys():
        if not (folder / name).exists():
            with contextlib.suppress(NotFound, PreconditionFailed):
                listed[name].delete(if_generation_match=listed[name].generation)
                changed += 1
    if changed:
        logger.info("gs://%s: %d objects written or removed by the job", folder.name, changed)


def adopt(bucket: str, name: str, generation: int) -> bool:
    """Have the emulator take a file of the bucket's folder into its index in place of `generation`; return whether it
    did."""
    path = f"adopt/{bucket}/{urllib.parse.quote(name)}?ifGenerationMatch={generation}"
    request = urllib.request.Request(f"{os.environ['STORAGE_EMULATOR_HOST']}/{path}", method="POST")
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as error:
        if error.code not in (404, 412):  # the file is gone, or another is live
            raise
        return False
    return True


def remove_empty_folders(folder: Path) -> None:
    """Remove those below `folder`: the service has no folders."""
    for path, _, _ in os.walk(folder, topdown=False):
        if Path(path) != folder:
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(path)


class _DriverOutput:
    """A job's output as numbered objects: one that grows, and an empty one that says, to `gcloud`, that this
    was all."""

    def __init__(self, client: storage.Client, uri: str, log_file: Path) -> None:
        self._client, self._uri, self._log_file = client, uri, log_file
        self._size = 0

    def upload(self) -> None:
        """Bring the object up to date if there is more output than before."""
        content = self._log_file.read_bytes()
        if len(content) > self._size:
            self._object(0).upload_from_string(content, content_type="text/plain")
            self._size = len(content)

    def close(self) -> None:
        self._object(1 if self._size else 0).upload_from_string(b"", content_type="text/plain")

    def _object(self, number: int) -> storage.Blob:
        return storage.Blob.from_uri(f"{self._uri}.{number:09d}", client=self._client)
