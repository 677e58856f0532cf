"""The rules of Dataproc's workflow templates: what a valid one is, and what becomes of it when its parameters
get values.

Everything here takes and returns the protobuf messages of `google.cloud.dataproc_v1` and raises ValueError
with a sentence for the person who wrote the template. Sources:
https://cloud.google.com/dataproc/docs/reference/rest/v1/projects.regions.workflowTemplates
https://cloud.google.com/dataproc/docs/concepts/workflows/workflow-parameters
"""

import graphlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

from google.protobuf.message import Message

_ID = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{1,48})[a-zA-Z0-9]")
_ID_RULE = "3 to 50 letters, digits, _ and -, and neither begins nor ends with _ or -"
_PARAMETER_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,39}")
_PATH_PART = re.compile(r"\.?([A-Za-z]\w*)|\[(?:'([^']+)'|\"([^\"]+)\"|([^\]'\"]+))\]")
# All of a managed cluster's configuration that a parameter may own.
_INSTANCES = re.compile(r"placement\.managedCluster\.config\.(master|worker)Config\.numInstances")
DAG_TIMEOUT_SECONDS = (600, 86_400)
PARAMETER_VALUE_CHARACTERS = 1000
DESCRIPTION_CHARACTERS = 1024


def validate(template) -> None:
    """Raise ValueError unless the `WorkflowTemplate` message keeps Dataproc's rules and has PySpark jobs only.

    It need not be complete: `gcloud dataproc workflow-templates create` stores an empty one, which other commands fill.
    """
    if template.id and not _ID.fullmatch(template.id):
        raise ValueError(f"template id {template.id!r}: an id has {_ID_RULE}")
    placement = template.placement.WhichOneof("placement")
    if placement == "managed_cluster" and not template.placement.managed_cluster.cluster_name:
        raise ValueError("placement.managedCluster.clusterName is missing")
    if placement == "cluster_selector" and not template.placement.cluster_selector.cluster_labels:
        raise ValueError("placement.clusterSelector.clusterLabels is missing")
    low, high = DAG_TIMEOUT_SECONDS
    if template.HasField("dag_timeout") and not low <= template.dag_timeout.ToTimedelta().total_seconds() <= high:
        raise ValueError(f"dagTimeout is {template.dag_timeout.ToJsonString()}: it must be {low}s to {high}s")
    _validate_jobs(template)
    _validate_parameters(template)


def validate_complete(template) -> None:
    """Raise ValueError unless the template is valid and can run."""
    validate(template)
    if template.placement.WhichOneof("placement") is None:
        raise ValueError("placement is missing: say managedCluster or clusterSelector")
    if not template.jobs:
        raise ValueError("jobs is empty: a workflow has at least one job")


def execution_order(template) -> list:
    """Return the template's jobs so that each comes after its prerequisites. Raises ValueError if there is a
    cycle."""
    jobs = {job.step_id: job for job in template.jobs}
    graph = {step: list(job.prerequisite_step_ids) for step, job in jobs.items()}
    try:
        return [jobs[step] for step in graphlib.TopologicalSorter(graph).static_order()]
    except graphlib.CycleError as error:
        raise ValueError(f"prerequisiteStepIds go in a circle: {' -> '.join(error.args[1])}") from None


def own_values(template) -> dict[str, str]:
    """Return, for each parameter, what the template itself has in the first of the parameter's fields."""
    return {parameter.name: str(_read(*_field(template, parameter.fields[0]))) for parameter in template.parameters}


def with_parameters(template, values: Mapping[str, str]):
    """Return a copy of the template in which each parameter's value has replaced the fields that the
    parameter owns. As the service's reference says of parameters, each needs a value: there are no defaults."""
    parameters = {parameter.name: parameter for parameter in template.parameters}
    if unknown := sorted(values.keys() - parameters.keys()):
        raise ValueError(f"unknown parameter {', '.join(unknown)}: the template has {sorted(parameters) or 'none'}")
    if missing := sorted(parameters.keys() - values.keys()):
        raise ValueError(f"no value for parameter {', '.join(missing)}: every parameter needs one")
    result = type(template)()
    result.CopyFrom(template)
    for name, value in values.items():
        _validate_value(parameters[name], value)
        for path in parameters[name].fields:
            try:
                _write(*_field(result, path), value)
            except ValueError:
                raise ValueError(f"parameter {name}: expected a number, found {value!r}") from None
    return result


def _validate_jobs(template) -> None:
    steps = [job.step_id for job in template.jobs]
    for job in template.jobs:
        if not _ID.fullmatch(job.step_id):
            raise ValueError(f"stepId {job.step_id!r}: a step id has {_ID_RULE}")
        if steps.count(job.step_id) > 1:
            raise ValueError(f"stepId {job.step_id!r} is there more than once")
        if job.WhichOneof("job_type") != "pyspark_job":
            found = job.WhichOneof("job_type") or "no job"
            raise ValueError(f"step {job.step_id!r}: expected pysparkJob, found {found}; only PySpark runs here")
        if unknown := sorted(set(job.prerequisite_step_ids) - set(steps)):
            raise ValueError(f"step {job.step_id!r}: prerequisiteStepIds has unknown {', '.join(unknown)}")
        if job.scheduling.max_failures_per_hour or job.scheduling.max_failures_total:
            raise ValueError(f"step {job.step_id!r}: a workflow's jobs cannot be restartable; remove scheduling")
    execution_order(template)


def _validate_parameters(template) -> None:
    names: set[str] = set()
    owners: dict[tuple, str] = {}
    for parameter in template.parameters:
        if not _PARAMETER_NAME.fullmatch(parameter.name):
            raise ValueError(
                f"parameter name {parameter.name!r}: a name has 1 to 40 capital letters, digits and _,"
                " and does not begin with a digit"
            )
        if parameter.name in names:
            raise ValueError(f"parameter {parameter.name} is there more than once")
        names.add(parameter.name)
        if not parameter.fields:
            raise ValueError(f"parameter {parameter.name} is not used: it has no fields")
        if len(parameter.description) > DESCRIPTION_CHARACTERS:
            raise ValueError(
                f"parameter {parameter.name}: description has more than {DESCRIPTION_CHARACTERS} characters"
            )
        for path in parameter.fields:
            _field(template, path)  # raises if there is no such field
            parts = tuple(_parts(path))
            if parts in owners:
                raise ValueError(f"field {path} belongs to {owners[parts]} and to {parameter.name}: one is allowed")
            owners[parts] = parameter.name


def _validate_value(parameter, value: str) -> None:
    if parameter.name == "DATE" and (day := _date(value)) and day > datetime.now(UTC).date():
        # Dataproc has no such rule: there the training itself refuses the date, after a cluster was paid for.
        raise ValueError(f"parameter DATE: {value!r} is later than today, {datetime.now(UTC):%Y-%m-%d} (UTC)")
    if len(value) > PARAMETER_VALUE_CHARACTERS:
        raise ValueError(f"parameter {parameter.name}: {len(value)} characters of at most {PARAMETER_VALUE_CHARACTERS}")
    kind = parameter.validation.WhichOneof("validation_type")
    if kind == "values" and value not in parameter.validation.values.values:
        allowed = list(parameter.validation.values.values)
        raise ValueError(f"parameter {parameter.name}: {value!r} is not among {allowed}")
    if kind == "regex":
        patterns = list(parameter.validation.regex.regexes)
        if not all(re.fullmatch(pattern, value) for pattern in patterns):
            raise ValueError(f"parameter {parameter.name}: {value!r} does not match {patterns} in full")


def _date(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _parts(path: str) -> list[str]:
    """Split `jobs['convert'].pysparkJob.args[0]` into ["jobs", "convert", "pysparkJob", "args", "0"]."""
    parts, position = [], 0
    while position < len(path):
        match = _PATH_PART.match(path, position)
        if not match or path[position] == "." and position == 0:
            raise ValueError(f"field path {path!r} cannot be read; expected one like jobs['step'].pysparkJob.args[0]")
        parts.append(next(group for group in match.groups() if group is not None))
        position = match.end()
    return parts


def _field(template, path: str) -> tuple[object, str | int]:
    """Return the message, list or map that holds the field at `path`, and its name, position or key there. Raises
    ValueError if the template has no such field."""
    parts = _parts(path)
    if parts[:3] == ["placement", "managedCluster", "config"] and not _INSTANCES.fullmatch(path):
        raise ValueError(f"field {path}: of a managed cluster's configuration, parameters reach numInstances only")
    node = template
    while parts:
        name = parts.pop(0)
        fields = {field.json_name: field for field in node.DESCRIPTOR.fields}
        if name not in fields:
            raise ValueError(f"field {path}: {node.DESCRIPTOR.name} has no field {name!r}")
        field, value = fields[name], getattr(node, fields[name].name)
        is_message = field.message_type is not None
        if is_message and field.message_type.GetOptions().map_entry:
            if len(parts) != 1:
                raise ValueError(f"field {path}: name one key of {name}, as {name}['key']")
            if parts[0] not in value:
                raise ValueError(f"field {path}: the template sets no {name}['{parts[0]}']")
            return value, parts[0]
        if field.is_repeated:
            position = _position(value, parts.pop(0) if parts else "", path)
            if not is_message:
                if parts:
                    break
                return value, position
            node = value[position]
        elif is_message:
            if not node.HasField(field.name):
                raise ValueError(f"field {path}: the template sets no {name}")
            node = value
        elif not parts:
            return node, field.name
    raise ValueError(f"field {path} is not a single value; expected one like jobs['step'].pysparkJob.args[0]")


def _read(holder, place: str | int) -> object:
    return getattr(holder, place) if isinstance(holder, Message) else holder[place]


def _write(holder, place: str | int, text: str) -> None:
    """Raises ValueError if the field is a number and the text is none."""
    if isinstance(holder, Message):
        setattr(holder, place, type(getattr(holder, place))(text))
    else:
        holder[place] = text


def _position(items, part: str, path: str) -> int:
    """Return the index of a job by its step id, or of any other item by its number, which counts from 0."""
    steps = [getattr(item, "step_id", None) for item in items]
    if part in steps:
        return steps.index(part)
    if part.isdigit() and int(part) < len(items) and steps[int(part)] is None:
        return int(part)
    raise ValueError(f"field {path}: there is no [{part}] among {len(items)} items")
