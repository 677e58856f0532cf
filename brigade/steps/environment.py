"""An environment: one file that says where the steps find their data, what they learn, and on which machines.

Without `dataproc` the steps run here. The steps get all of it as flags: no program reads the file, and none knows the
environment's name.
"""

import importlib.resources
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brigade.errors import WrongInput
from brigade.pipelines.load import ENDS, parsed, read_uri
from brigade.pipelines.schema import Problem, did_you_mean, path_of, shown

FOLDER = "environments"
Text = Annotated[str, Field(min_length=1)]
Bucket = Annotated[str, Field(pattern=r"^gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/.*)?$")]


class Form(BaseModel):
    """No key but those named, and no type but the one that is named."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Paths(Form):
    """Where the steps read and write, gs:// or local."""

    input: Text = Field(description="the folder of the landed JSON lines")
    parquet: Text = Field(description="where conversion keeps its table")
    quarantine: Text = Field(description="where lines go that are no event")
    models: Text = Field(description="the folder of the dated models")
    predictions: Text = Field(description="where predictions in bulk go")
    monitoring: Text | None = Field(None, description="where the folder monitor/ with the findings goes")


class Dataproc(Form):
    """The project, and the cluster that lives as long as the steps; workflow_template.yaml says all else."""

    project: Text = Field(description="the project's id")
    region: Text = Field(description="the region of the cluster")
    code: Bucket = Field(description="a gs:// folder with the programs and brigade.zip")
    temp_bucket: Text | None = Field(None, description="the bucket for what Dataproc and the jobs leave, without gs://")
    service_account: Text | None = Field(None, description="the account of the machines")
    subnetwork: Text | None = Field(None, description="the subnetwork of the machines")
    master: Text | None = Field(None, description="the master's machine type")
    workers: int | None = Field(None, ge=0, description="how many workers there are, 0 or at least 2")
    worker: Text | None = Field(None, description="a worker's machine type")


class Environment(Form):
    """An environment, checked."""

    pipeline: Text = Field("documents", description="a name in pipelines/, or a definition's file")
    paths: Paths = Field(description="the paths of the steps")
    dataproc: Dataproc | None = Field(None, description="the project and its cluster, if the steps run there")


def load(name_or_file: str) -> Environment:
    """The environment of a name in environments/ or of a file. Raises WrongInput, with one line."""
    source = name_or_file if is_file(name_or_file) else f"{FOLDER}/{name_or_file}.yaml"
    if not is_file(name_or_file) and name_or_file not in (known := names()):
        raise WrongInput(
            f"{name_or_file}: expected one of {', '.join(known) or 'none'}, or a file that ends in .yaml, found no "
            f"such environment; {did_you_mean(name_or_file, known) or 'copy one to make another'}"
        )
    try:
        data = read_uri(source) if is_file(name_or_file) else (folder() / f"{name_or_file}.yaml").read_bytes()
        return checked(parsed(data, source))
    except WrongInput as problem:
        raise WrongInput(f"{source}: {problem}") from None


def is_file(text: str) -> bool:
    """Whether a text names a file, and not one of those that come with the project."""
    return "/" in text or text.endswith(ENDS)


def names() -> list[str]:
    """The names of the environments that come with the project."""
    found = [path.name for path in folder().iterdir()] if folder().is_dir() else []
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def folder() -> Any:
    """The folder environments/, which lies beside the package."""
    package: Any = importlib.resources.files("brigade")
    return package.parent / FOLDER


def checked(document: Any) -> Environment:
    """The environment in a parsed file. Raises WrongInput for the first thing that is wrong."""
    try:
        found = Environment.model_validate(document)
    except ValidationError as error:
        raise WrongInput(told(dict(error.errors(include_url=False)[0])).line("").removeprefix(": ")) from None
    if found.dataproc:
        for name, path in found.paths.model_dump(exclude_none=True).items():
            if not path.startswith("gs://"):
                raise WrongInput(f"paths.{name}: expected gs://bucket/prefix beside dataproc, found {path}")
        if is_file(found.pipeline) and not found.pipeline.startswith("gs://"):
            raise WrongInput(f"pipeline: expected a name or a gs:// URI beside dataproc, found {found.pipeline}")
        if found.dataproc.workers == 1:
            raise WrongInput("dataproc.workers: expected 0 or at least 2, found 1")
    return found


def told(error: dict) -> Problem:
    """One of pydantic's errors in this project's words."""
    loc = error["loc"]
    form: Any = {"paths": Paths, "dataproc": Dataproc}[loc[0]] if len(loc) > 1 else Environment
    if not loc:
        return Problem("", f"a mapping with the keys {', '.join(form.model_fields)}", shown(error["input"]))
    if error["type"] == "extra_forbidden":
        keys = [*form.model_fields]
        return Problem(path_of(loc), f"one of {', '.join(keys)}", "no such key", did_you_mean(loc[-1], keys))
    found = "nothing" if error["type"] == "missing" else shown(error["input"])
    return Problem(path_of(loc), form.model_fields[loc[-1]].description or "", found)
