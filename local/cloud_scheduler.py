"""Cloud Scheduler's REST API, v1, on one machine: jobs that send an HTTP request, on demand and by their
unix-cron schedule.

`gcloud scheduler jobs …` and `google-cloud-scheduler` (transport "rest") work as they are. What differs:
nothing survives a restart, only HTTP targets exist, `maxRetryDuration` is not looked at, an attempt that `run` asked
for is not repeated, and no OIDC or OAuth token is sent.
"""

import datetime
import itertools
import logging
import re
import threading
import urllib.error
import urllib.request
import zoneinfo
from collections.abc import Iterator

from flask import Blueprint, abort, jsonify, request
from google.cloud import scheduler_v1
from google.protobuf import field_mask_pb2, json_format

logger = logging.getLogger(__name__)

_State = scheduler_v1.Job.State
_JOB_ID = re.compile(r"[a-zA-Z0-9_-]{1,500}")
# https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules; 7 is Sunday too
_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "day of week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
HOURS_A_DAY = 24
_ATTEMPT_SECONDS = (15, 1800)
_RETRIES = (0, 5)
_DEFAULTS = {
    "timeZone": "Etc/UTC",
    "attemptDeadline": "180s",
    "retryConfig": {"minBackoffDuration": "5s", "maxBackoffDuration": "3600s", "maxDoublings": 5},
}
# google.rpc.Code by HTTP status: https://cloud.google.com/apis/design/errors#handling_errors
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 500: 13, 501: 12, 503: 14, 504: 4}
_UNKNOWN, _UNAVAILABLE = 2, 14


class Cron:
    """A unix-cron expression of five fields, by the clock on the wall of a time zone.

    Of the hour that a zone has twice or not at all Google says only that a job may run unexpectedly. Here no run is
    lost and none comes twice: a time that is left out comes as much later as the clocks go forward, and of two equal
    times the second counts only if the job runs in every hour of the day.
    """

    def __init__(self, expression: str) -> None:
        """Raises ValueError, with what was expected, if the expression is none."""
        parts = expression.split()
        if len(parts) != len(_FIELDS):
            raise ValueError(
                f"schedule {expression!r} has {len(parts)} fields; expected the five of unix-cron:"
                " minute, hour, day of month, month, day of week, as in '0 2 * * 1'"
            )
        values = [_field_values(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
        self._minutes, self._hours, self._days, self._months, weekdays = values
        self._weekdays = {day % 7 for day in weekdays}
        # cron's rule: restricted in both fields, a day needs to match one of them
        self._either_day = not parts[2].startswith("*") and not parts[4].startswith("*")

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """The first matching minute after `moment`, in its time zone; None if there is none within eight
        years (30 February)."""
        day = moment.date() - datetime.timedelta(days=1)  # what it leaves out may run on the day after it
        for _ in range(8 * 366):
            if self._day_matches(day) and (later := [one for one in self._times(day, moment.tzinfo) if one > moment]):
                return min(later).astimezone(moment.tzinfo)
            day += datetime.timedelta(days=1)
        return None

    def _times(self, day: datetime.date, zone: datetime.tzinfo | None) -> Iterator[datetime.datetime]:
        """The day's times, in UTC, in no order."""
        for hour, minute in itertools.product(self._hours, self._minutes):
            first = datetime.datetime.combine(day, datetime.time(hour, minute), zone)
            second = first.replace(fold=1)
            yield first.astimezone(datetime.UTC)
            if len(self._hours) == HOURS_A_DAY and second.utcoffset() < first.utcoffset():  # the clocks go back
                yield second.astimezone(datetime.UTC)

    def _day_matches(self, day: datetime.date) -> bool:
        if day.month not in self._months:
            return False
        matches = day.day in self._days, day.isoweekday() % 7 in self._weekdays
        return any(matches) if self._either_day else all(matches)


def _field_values(text: str, name: str, low: int, high: int) -> set[int]:
    """The numbers that one field of an expression stands for: `*`, `5`, `1-5`, `*/10`, `1/4` (from 1 on) and
    lists of these."""
    values: set[int] = set()
    for part in text.lower().split(","):
        for number, word in enumerate(_NAMES.get(name, ()), low):
            part = part.replace(word, str(number))
        match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if not match:
            raise ValueError(f"schedule: {name} {text!r} is none; expected {low} to {high}, *, ranges, lists, steps")
        first, last, step = (None if group is None else int(group) for group in match.groups())
        start = low if first is None else first
        end = last if last is not None else (start if first is not None and step is None else high)
        if not low <= start <= end <= high or step == 0:
            raise ValueError(f"schedule: {name} {text!r} is out of range; expected {low} to {high}")
        values.update(range(start, end + 1, step or 1))
    return values


class CloudScheduler:
    """The API's state, one method for each call, and the clock: the machine's, or one that stands at an aware
    `standing_at` until it is turned."""

    def __init__(self, standing_at: datetime.datetime | None = None) -> None:
        self._standing_at = standing_at
        self._jobs: dict[str, object] = {}  # by name: the protobuf of a scheduler_v1.Job
        # By name, of the jobs whose next attempt is a retry: the time by the schedule, and how many retries are left.
        self._retries: dict[str, tuple[datetime.datetime, int]] = {}
        self._lock = threading.RLock()
        self._stopped = threading.Event()

    def blueprint(self) -> Blueprint:
        """The calls at their paths."""
        blueprint = Blueprint("cloud_scheduler", __name__)
        jobs = "/v1/projects/<project>/locations/<location>/jobs"
        for method, path, view in (
            ("POST", jobs, self.create),
            ("GET", jobs, self.list),
            ("GET", f"{jobs}/<job_id>", self.get),
            ("PATCH", f"{jobs}/<job_id>", self.patch),
            ("DELETE", f"{jobs}/<job_id>", self.delete),
            ("POST", f"{jobs}/<job_id>:pause", self.pause),
            ("POST", f"{jobs}/<job_id>:resume", self.resume),
            ("POST", f"{jobs}/<job_id>:run", self.run),
        ):
            blueprint.add_url_rule(path, view.__name__, view, methods=[method])
        return blueprint

    def start(self) -> None:
        """Let the machine's clock run: from now on enabled jobs fire when their time has come."""
        threading.Thread(target=self._tick, name="cloud-scheduler", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def turn_to(self, moment: datetime.datetime) -> None:
        """Turn the standing clock to an aware moment. All that is due until then fires, retries too: one after another,
        each at its own time and once the one before it has been answered."""
        while (job := self._next_due()) is not None and _time_of(job) <= moment:
            self._standing_at = max(self._standing_at, _time_of(job))
            self._attempt(*self._take(job))
        self._standing_at = moment

    def create(self, project: str, location: str):
        job = _read_job()
        parent = f"projects/{project}/locations/{location}/jobs/"
        job_id = job.name.removeprefix(parent)
        if not _JOB_ID.fullmatch(job_id):
            abort(400, f"name {job.name!r}: expected {parent}JOB, where JOB has letters, digits, _ and -")
        with self._lock:
            if job.name in self._jobs:
                abort(409, f"Job {job.name} already exists.")
            job.state = _State.ENABLED
            return self._store(job)

    def list(self, project: str, location: str):
        parent = f"projects/{project}/locations/{location}/jobs/"
        with self._lock:
            jobs = [job for name, job in sorted(self._jobs.items()) if name.startswith(parent)]
            return jsonify(jobs=[json_format.MessageToDict(job) for job in jobs])

    def get(self, project: str, location: str, job_id: str):
        with self._lock:
            return json_format.MessageToDict(self._job(project, location, job_id))

    def patch(self, project: str, location: str, job_id: str):
        changes = _read_job(validate=False)
        with self._lock:
            old = self._job(project, location, job_id)
            job = type(old)()
            job.CopyFrom(old)
            if mask := request.args.get("updateMask"):
                paths = field_mask_pb2.FieldMask()
                paths.FromJsonString(mask)
                if not paths.IsValidForDescriptor(job.DESCRIPTOR):
                    abort(400, f"updateMask {mask!r} names a field that a job does not have")
                paths.MergeMessage(changes, job, replace_message_field=True, replace_repeated_field=True)
            else:
                job.MergeFrom(changes)
            job.name = old.name
            _validate(job)
            return self._store(job)

    def delete(self, project: str, location: str, job_id: str):
        with self._lock:
            del self._jobs[self._job(project, location, job_id).name]
        return {}

    def pause(self, project: str, location: str, job_id: str):
        return self._enter(_State.PAUSED, project, location, job_id)

    def resume(self, project: str, location: str, job_id: str):
        return self._enter(_State.ENABLED, project, location, job_id)

    def run(self, project: str, location: str, job_id: str):
        with self._lock:
            job = self._job(project, location, job_id)
            self._fire(_copy(job), self._now(), 0)
            return json_format.MessageToDict(job)

    def _job(self, project: str, location: str, job_id: str):
        name = f"projects/{project}/locations/{location}/jobs/{job_id}"
        if name not in self._jobs:
            abort(404, f"Job {name} not found.")
        return self._jobs[name]

    def _enter(self, state: scheduler_v1.Job.State, project: str, location: str, job_id: str):
        with self._lock:
            job = self._job(project, location, job_id)
            job.state = state
            return self._store(job)

    def _now(self) -> datetime.datetime:
        return self._standing_at or datetime.datetime.now(datetime.UTC)

    def _store(self, job) -> dict:
        job.user_update_time.FromDatetime(self._now())
        self._retries.pop(job.name, None)
        _plan(job, self._now())
        self._jobs[job.name] = job
        return json_format.MessageToDict(job)

    def _tick(self) -> None:
        while not self._stopped.wait(1):
            while (job := self._next_due()) is not None and _time_of(job) <= self._now():
                self._fire(*self._take(job))

    def _next_due(self):
        """The job that fires first of all, or None."""
        with self._lock:
            return min(
                (job for job in self._jobs.values() if job.HasField("schedule_time")), key=_time_of, default=None
            )

    def _take(self, job) -> tuple:
        """A copy of the job, which may change meanwhile, the time by the schedule of the attempt that is due, and how
        many retries it has. From now on the job waits for its next time."""
        with self._lock:
            scheduled, retries = self._retries.pop(job.name, (_time_of(job), job.retry_config.retry_count))
            _plan(job, self._now())
            return _copy(job), scheduled, retries

    def _fire(self, job, scheduled: datetime.datetime, retries: int) -> None:
        threading.Thread(target=self._attempt, args=(job, scheduled, retries), daemon=True).start()

    def _attempt(self, job, scheduled: datetime.datetime, retries: int) -> None:
        started = self._now()
        code, message = _send(job, scheduled)
        logger.log(logging.WARNING if code else logging.INFO, "%s: %s", job.name, message)
        with self._lock:
            live = self._jobs.get(job.name)
            if live is None:
                return
            live.last_attempt_time.FromDatetime(started)
            live.status.code, live.status.message = code, message if code else ""
            retry_at = self._now() + _backoff(job.retry_config, job.retry_config.retry_count - retries)
            # Retries end with the next time by the schedule, and when the job is paused.
            if code and retries and live.HasField("schedule_time") and retry_at < _time_of(live):
                live.schedule_time.FromDatetime(retry_at)
                self._retries[live.name] = scheduled, retries - 1


def _copy(job):
    copy = type(job)()
    copy.CopyFrom(job)
    return copy


def _time_of(job) -> datetime.datetime:
    """When the job fires next."""
    return job.schedule_time.ToDatetime(tzinfo=datetime.UTC)


def _backoff(config, retry: int) -> datetime.timedelta:
    """How long to wait before a retry, which counts from 0: doubled `max_doublings` times, then growing evenly. Source:
    https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#RetryConfig"""
    doublings = min(retry, config.max_doublings)
    wait = config.min_backoff_duration.ToTimedelta() * 2**doublings * (retry - doublings + 1)
    return min(wait, config.max_backoff_duration.ToTimedelta())


def _read_job(validate: bool = True):
    job = scheduler_v1.Job.pb(scheduler_v1.Job())
    try:
        json_format.ParseDict(request.get_json(force=True, silent=True) or {}, job)
    except (json_format.ParseError, ValueError) as error:
        abort(400, f"Invalid JSON payload received: {error}")
    if validate:
        _validate(job)
    return job


def _validate(job) -> None:
    """Answer 400 to a job that could not run; what it leaves out gets the service's defaults."""
    if not job.http_target.uri.startswith(("http://", "https://")):
        abort(400, f"httpTarget.uri is {job.http_target.uri!r}: expected http://… or https://…")
    complete = json_format.ParseDict(_DEFAULTS, type(job)())
    complete.MergeFrom(job)
    job.CopyFrom(complete)
    low, high = _ATTEMPT_SECONDS
    if not low <= job.attempt_deadline.ToTimedelta().total_seconds() <= high:
        abort(400, f"attemptDeadline is {job.attempt_deadline.ToJsonString()}: it must be {low}s to {high}s")
    low, high = _RETRIES
    if not low <= job.retry_config.retry_count <= high:
        abort(400, f"retryConfig.retryCount is {job.retry_config.retry_count}: it must be {low} to {high}")
    try:
        zoneinfo.ZoneInfo(job.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        abort(400, f"timeZone {job.time_zone!r} is unknown; expected one like Etc/UTC or Europe/Berlin")
    try:
        Cron(job.schedule)
    except ValueError as error:
        abort(400, str(error))


def _plan(job, now: datetime.datetime) -> None:
    """Set the time at which the job fires next."""
    following = Cron(job.schedule).next_after(now.astimezone(zoneinfo.ZoneInfo(job.time_zone)))
    job.ClearField("schedule_time")
    if following and job.state == _State.ENABLED:
        job.schedule_time.FromDatetime(following.astimezone(datetime.UTC))


def _send(job, schedule_time: datetime.datetime) -> tuple[int, str]:
    """Send the job's request; return a google.rpc.Code, 0 for an answer 2xx, and what happened."""
    target = job.http_target
    method = scheduler_v1.HttpMethod(target.http_method).name if target.http_method else "POST"
    headers = {
        "Content-Type": "application/octet-stream",
        "User-Agent": "Google-Cloud-Scheduler",
        **target.headers,
        "X-CloudScheduler": "true",
        "X-CloudScheduler-JobName": job.name.rsplit("/", 1)[1],
        "X-CloudScheduler-ScheduleTime": schedule_time.isoformat().replace("+00:00", "Z"),
    }
    body = target.body if method in ("POST", "PUT", "PATCH") else None
    seconds = job.attempt_deadline.ToTimedelta().total_seconds()
    try:
        sent = urllib.request.Request(target.uri, body, headers, method=method)
        with urllib.request.urlopen(sent, timeout=seconds) as answer:
            return 0, f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return _RPC_CODES.get(error.code, _UNKNOWN), f"HTTP {error.code}"
    except OSError as error:
        return _UNAVAILABLE, f"{target.uri}: {error}"
