"""Vertex AI's Model Registry on one machine: models, their versions and the versions' aliases.

The rules are those that the service's own types document: https://cloud.google.com/vertex-ai/docs/reference/rest/v1.
As the service does, an upload copies what its artifact URI names into a bucket of its own, so that a version stays what
it is; a container finds the copy by AIP_STORAGE_URI.
"""

import contextlib
import functools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import abort
from google.api_core.exceptions import Conflict, NotFound
from google.protobuf import json_format
from werkzeug.exceptions import BadRequest

from local.dataproc import read
from local.spark_jobs import storage_client

ARTIFACTS_BUCKET = "vertex-artifacts"
DEFAULT = "default"  # the alias that one version of each model has
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_IMAGE = re.compile(r"([a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io)/\S+")
_ROUTE = re.compile(r"/\S*")


class FailedPrecondition(BadRequest):
    """Something is not in the state that the call needs; 400, as Google's APIs have it."""

    status = "FAILED_PRECONDITION"


@functools.cache
def types():
    """google-cloud-aiplatform's types. Their import takes four seconds, for which only those wait who use them."""
    from google.cloud.aiplatform_v1 import types

    return types


def new_id() -> str:
    """An id such as the service generates."""
    return str(random.randrange(10**18, 10**19))


@dataclass
class Model:
    """A model's versions, by their numbers, and how many there have ever been."""

    name: str
    versions: dict[str, object] = field(default_factory=dict)
    count: int = 0

    def version(self, wanted: str):
        """The version of that number or alias; None if there is none."""
        if wanted in self.versions:
            return self.versions[wanted]
        return next((one for one in self.versions.values() if wanted in one.version_aliases), None)

    def give(self, version, aliases: list[str]) -> None:
        """Gives the aliases to the version, and takes them from others."""
        for one in self.versions.values():
            kept = [alias for alias in one.version_aliases if alias not in aliases]
            one.version_aliases[:] = kept
        version.version_aliases.extend(dict.fromkeys(aliases))


class ModelRegistry:
    """The registry's state, and one method for each call; whoever calls one holds the API's lock."""

    def __init__(self, is_deployed: Callable[[str, str], bool]) -> None:
        """is_deployed: whether a model of that name is deployed in this version, or with "" in any."""
        self._is_deployed = is_deployed
        self._models: dict[str, Model] = {}  # by name

    def upload(self, project: str, location: str, body: object):
        """A new model, or a new version of one; returns the version."""
        asked = read(types().UploadModelRequest, body)
        version, parent = asked.model, f"projects/{project}/locations/{location}/models/"
        _check(version)
        if asked.parent_model:
            model = self._model(asked.parent_model.partition("@")[0])
        else:
            model_id = asked.model_id or new_id()
            if asked.model_id and not _MODEL_ID.fullmatch(model_id):
                abort(400, f"modelId {model_id!r}: expected at most 63 of [a-z0-9_-], the first no digit or hyphen")
            model = Model(parent + model_id)
            if model.name in self._models:
                abort(409, f"Already exists: Model {model.name}; a new version names it as parentModel")
        number = str(model.count + 1)
        if version.artifact_uri:
            _copy_artifacts(project, version.artifact_uri, f"{model.name}/{number}")
        version.name, version.version_id = model.name, number
        version.supported_deployment_resources_types.append(
            types().Model.DeploymentResourcesType.DEDICATED_RESOURCES.value
        )
        version.create_time.GetCurrentTime()
        version.version_create_time.GetCurrentTime()
        aliases = [*version.version_aliases, *[DEFAULT] * (not model.versions)]
        del version.version_aliases[:]
        self._models[model.name], model.versions[number], model.count = model, version, model.count + 1
        model.give(version, aliases)
        return version

    def get(self, name: str):
        """The version that `…/models/ID`, `…/models/ID@VERSION` or `…/models/ID@ALIAS` names."""
        name, _, wanted = name.partition("@")
        found = self._model(name).version(wanted or DEFAULT)
        return found if found is not None else abort(404, f"Not found: Model {name}@{wanted}")

    def models(self, parent: str) -> list[dict]:
        """The default version of each model."""
        names = [name for name in self._models if name.startswith(f"{parent}/")]
        return [to_json(self.get(name)) for name in names]

    def versions(self, name: str) -> list[dict]:
        return [to_json(one) for one in self._model(name).versions.values()]

    def merge_aliases(self, name: str, body: object) -> dict:
        """Gives a version aliases, and takes those from it that are named with a hyphen before them."""
        asked = list(read(types().MergeVersionAliasesRequest, body).version_aliases)
        version, model = self.get(name), self._model(name.partition("@")[0])
        _check_aliases([alias.removeprefix("-") for alias in asked])
        if f"-{DEFAULT}" in asked:
            raise FailedPrecondition(f"one version of {model.name} has to be the default: give {DEFAULT} to another")
        taken = {alias.removeprefix("-") for alias in asked if alias.startswith("-")}
        version.version_aliases[:] = [alias for alias in version.version_aliases if alias not in taken]
        model.give(version, [alias for alias in asked if not alias.startswith("-")])
        return to_json(version)

    def delete(self, name: str) -> None:
        model = self._model(name)
        if self._is_deployed(name, ""):
            raise FailedPrecondition(f"Model {name} is deployed: undeploy it first")
        del self._models[model.name]

    def delete_version(self, name: str) -> None:
        version, model = self.get(name), self._model(name.partition("@")[0])
        if DEFAULT in version.version_aliases:
            raise FailedPrecondition(f"{name} is the default version: give {DEFAULT} to another one first")
        if self._is_deployed(model.name, version.version_id):
            raise FailedPrecondition(f"Model {name} is deployed: undeploy it first")
        del model.versions[version.version_id]

    def _model(self, name: str) -> Model:
        return self._models.get(name) or abort(404, f"Not found: Model {name}")


def storage_uri(version) -> str:
    """Where the container of the version finds the copy of its artifacts; "" if it has none."""
    return f"gs://{ARTIFACTS_BUCKET}/{version.name}/{version.version_id}" if version.artifact_uri else ""


def to_json(message) -> dict:
    return json_format.MessageToDict(message)


def _check(version) -> None:
    """Error 400 for a version that cannot be uploaded, 501 for what this stand-in does not do."""
    spec = version.container_spec
    if not 0 < len(version.display_name) <= 128:
        abort(400, f"model.displayName: expected 1 to 128 characters, found {len(version.display_name)}")
    if not _IMAGE.fullmatch(spec.image_uri):
        abort(400, f"model.containerSpec.imageUri: expected an image in Artifact Registry, found {spec.image_uri!r}")
    for route in (spec.predict_route, spec.health_route):
        if route and not _ROUTE.fullmatch(route):
            abort(400, f"model.containerSpec: expected a route that begins with /, found {route!r}")
    if spec.command or spec.args:
        abort(501, "model.containerSpec.command and args: here the image's own entry point runs alone")
    _check_aliases(list(version.version_aliases))


def _check_aliases(aliases: list[str]) -> None:
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            abort(400, f"versionAliases: expected {_ALIAS.pattern}, found {alias!r}")


def _copy_artifacts(project: str, uri: str, target: str) -> None:
    """Copies the files below the URI. Error 400 if it names no folder of a bucket, or an empty one."""
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket or not prefix:
        abort(400, f"model.artifactUri: expected gs://BUCKET/FOLDER, found {uri!r}")
    client, start = storage_client(project), f"{prefix.rstrip('/')}/"
    with contextlib.suppress(Conflict):
        client.create_bucket(ARTIFACTS_BUCKET)
    found = []
    with contextlib.suppress(NotFound):
        found = list(client.list_blobs(bucket, prefix=start))
    if not found:
        abort(400, f"model.artifactUri: expected files in {uri}, found none")
    for blob in found:
        copy = client.bucket(ARTIFACTS_BUCKET).blob(f"{target}/{blob.name.removeprefix(start)}")
        copy.upload_from_string(blob.download_as_bytes())
