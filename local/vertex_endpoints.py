"""Vertex AI's endpoints on one machine: which versions are deployed there, how the traffic is split, and who answers.

Deploying starts the serving process and ends when its health route answers 200, as the service's own does. A prediction
goes to one of the deployed models, drawn by the traffic split.
"""

import json
import random
import re
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import requests
from flask import Response, abort

from local import package
from local.dataproc import read
from local.vertex_container import Container, NotReady
from local.vertex_models import FailedPrecondition, ModelRegistry, new_id, storage_uri, to_json, types
from local.workflows import FAILED_PRECONDITION, Operation

MAX_BYTES = 3 << 19  # 1.5 MB, of a request and of an answer
NEW = "0"  # in the traffic split of a deployment: the model that is just being deployed
MASKS = {"displayName": "display_name", "trafficSplit": "traffic_split"}
CHANGED = ("display_name", "description", "labels", "traffic_split")
_ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9]\d{0,8}")
_DEPLOYED_ID = re.compile(r"\d{1,10}")


class Endpoints:
    """The endpoints' state, and one method for each call. `lock` is held by whoever reads or changes any of it."""

    def __init__(self, folder: Path, models: Callable[[], ModelRegistry], lock: threading.RLock) -> None:
        self._folder, self._models, self._lock = folder, models, lock
        self._endpoints: dict[str, object] = {}  # by name
        self._containers: dict[tuple[str, str], Container] = {}  # by the endpoint's name and the deployed model's id

    @cached_property
    def _function(self) -> Path:
        """What the image has in /function, in a build that stays as it is while containers run from it."""
        package.build(self._folder / "build")
        return self._folder / "build" / "cloud_function"

    def create(self, parent: str, body: object, endpoint_id: str):
        endpoint = read(types().Endpoint, body)
        if not 0 < len(endpoint.display_name) <= 128:
            abort(400, f"endpoint.displayName: expected 1 to 128 characters, found {len(endpoint.display_name)}")
        if endpoint_id and not _ENDPOINT_ID.fullmatch(endpoint_id):
            abort(400, f"endpointId: expected at most 63 of [a-z0-9-] or 9 digits, found {endpoint_id!r}")
        endpoint.name = f"{parent}/endpoints/{endpoint_id or new_id()}"
        if endpoint.name in self._endpoints:
            abort(409, f"Already exists: Endpoint {endpoint.name}")
        endpoint.create_time.GetCurrentTime()
        self._endpoints[endpoint.name] = endpoint
        return endpoint

    def get(self, name: str):
        found = self._endpoints.get(name)
        return found if found is not None else abort(404, f"Not found: Endpoint {name}")

    def below(self, parent: str) -> list[dict]:
        return [to_json(one) for name, one in self._endpoints.items() if name.startswith(f"{parent}/")]

    def delete(self, name: str) -> None:
        if self.get(name).deployed_models:
            raise FailedPrecondition(f"Endpoint {name} has deployed models: undeploy them first")
        del self._endpoints[name]

    def update(self, name: str, body: object, mask: str) -> dict:
        endpoint, asked = self.get(name), read(types().Endpoint, body)
        fields = [MASKS.get(one, one) for one in mask.split(",") if one]
        if not fields or not set(fields) <= set(CHANGED):
            abort(400, f"updateMask: expected one or more of {', '.join(CHANGED)}, found {mask!r}")
        if "traffic_split" in fields and asked.traffic_split:
            _check_split(asked.traffic_split, _deployed_ids(endpoint))
        for one in fields:
            endpoint.ClearField(one)
            endpoint.MergeFrom(_only(asked, one))
        return to_json(endpoint)

    def is_deployed(self, name: str, version: str) -> bool:
        """Whether a model of that name is deployed in this version, or with "" in any."""
        deployed = [one for endpoint in self._endpoints.values() for one in endpoint.deployed_models]
        return any(one.model == name and version in ("", one.model_version_id) for one in deployed)

    # Deployment

    def deploy(self, name: str, body: object, operation: Operation) -> None:
        """Begins a deployment; the operation ends with it."""
        asked, endpoint = read(types().DeployModelRequest, body), self.get(name)
        deployed, ids = asked.deployed_model, _deployed_ids(endpoint)
        version = self._models().get(deployed.model)
        deployed.id = deployed.id or new_id()[:10]
        if not _DEPLOYED_ID.fullmatch(deployed.id) or deployed.id == NEW:
            abort(400, f"deployedModel.id: expected 1 to 10 digits and not {NEW}, found {deployed.id!r}")
        if (name, deployed.id) in self._containers:
            abort(409, f"Already exists: DeployedModel {deployed.id} of {name}")
        if deployed.dedicated_resources.min_replica_count < 1:
            abort(400, "deployedModel.dedicatedResources.minReplicaCount: expected 1 or more")
        if asked.traffic_split:
            _check_split(asked.traffic_split, {*ids, NEW})
        deployed.model, deployed.model_version_id = version.name, version.version_id
        deployed.display_name = deployed.display_name or version.display_name
        machine = deployed.dedicated_resources.machine_spec
        machine.machine_type = machine.machine_type or "n1-standard-2"
        endpoint_id = name.rpartition("/")[2]
        log = self._folder / f"{endpoint_id}-{deployed.id}.log"
        container = Container(self._function, log, endpoint_id, deployed, version, storage_uri(version))
        self._containers[name, deployed.id] = container
        split = {deployed.id if one == NEW else one: share for one, share in asked.traffic_split.items()}
        threading.Thread(
            target=self._finish, args=(endpoint, deployed, split, container, operation), daemon=True
        ).start()

    def _finish(self, endpoint, deployed, split: dict[str, int], container: Container, operation: Operation) -> None:
        try:
            container.wait_until_ready()
        except NotReady as problem:
            container.stop()
            with self._lock:
                self._containers.pop((endpoint.name, deployed.id), None)
            operation.finish({"code": FAILED_PRECONDITION, "message": f"Model server never became ready: {problem}"})
            return
        with self._lock:
            deployed.create_time.GetCurrentTime()
            endpoint.deployed_models.append(deployed)
            if split:
                _set_split(endpoint, {one: share for one, share in split.items() if one in _deployed_ids(endpoint)})
        operation.finish(response=types().DeployModelResponse.pb(types().DeployModelResponse(deployed_model=deployed)))

    def undeploy(self, name: str, body: object) -> Container:
        """Takes a model from an endpoint; returns its container, for the caller to stop."""
        asked, endpoint = read(types().UndeployModelRequest, body), self.get(name)
        ids = _deployed_ids(endpoint)
        if asked.deployed_model_id not in ids:
            abort(404, f"Not found: DeployedModel {asked.deployed_model_id!r} of {name}")
        rest = ids - {asked.deployed_model_id}
        if asked.traffic_split:
            _check_split(asked.traffic_split, rest)
        elif rest and endpoint.traffic_split.get(asked.deployed_model_id):
            share = endpoint.traffic_split[asked.deployed_model_id]
            told = f"DeployedModel {asked.deployed_model_id} has {share}% of the traffic"
            raise FailedPrecondition(f"{told}: give it to others with trafficSplit")
        kept = [one for one in endpoint.deployed_models if one.id in rest]
        _set_split(endpoint, dict(asked.traffic_split or endpoint.traffic_split) if rest else {})
        del endpoint.deployed_models[:]
        endpoint.deployed_models.extend(kept)
        return self._containers.pop((name, asked.deployed_model_id))

    def stop(self) -> None:
        """Ends all containers."""
        for container in self._containers.values():
            container.stop()

    # Predictions

    def predict(self, name: str, body: bytes) -> dict:
        """The container's predictions, and which model they are of."""
        try:
            document = json.loads(body)
        except ValueError as error:
            abort(400, f"Invalid JSON payload received. {error}")
        read(types().PredictRequest, document)
        kept = {key: document[key] for key in ("instances", "parameters") if key in document}
        deployed, version, answer = self._ask(name, json.dumps(kept).encode(), "application/json")
        if answer.status_code != 200:
            abort(answer.status_code if answer.status_code in (400, 503) else 500, answer.text)
        try:
            predictions = answer.json()["predictions"]
        except (ValueError, LookupError, TypeError):
            abort(
                500,
                f"Invalid response from prediction server - the response field predictions is missing. {answer.text}",
            )
        about = {"deployedModelId": deployed.id, "model": deployed.model, "modelVersionId": deployed.model_version_id}
        return {"predictions": predictions} | about | {"modelDisplayName": version.display_name}

    def raw_predict(self, name: str, body: bytes, content_type: str) -> Response:
        """The container's answer as it is. Headers say which model it is of."""
        deployed, _, answer = self._ask(name, body, content_type)
        headers = {
            "X-Vertex-AI-Deployed-Model-Id": deployed.id,
            "X-Vertex-AI-Model": deployed.model,
            "X-Vertex-AI-Model-Version-Id": deployed.model_version_id,
        }
        kind = answer.headers.get("Content-Type", "application/octet-stream")
        return Response(answer.content, answer.status_code, headers, content_type=kind)

    def _ask(self, name: str, body: bytes, content_type: str):
        """A deployed model, its version, and what its container answers."""
        if len(body) > MAX_BYTES:
            abort(400, f"Request payload size exceeds the limit: {MAX_BYTES} bytes.")
        with self._lock:
            endpoint = self.get(name)
            shares = {one: share for one, share in endpoint.traffic_split.items() if share}
            if not shares:
                raise FailedPrecondition(f"Endpoint {name} has no deployed model with traffic")
            (drawn,) = random.choices(list(shares), weights=list(shares.values()))
            (deployed,) = [one for one in endpoint.deployed_models if one.id == drawn]
            version = self._models().get(f"{deployed.model}@{deployed.model_version_id}")
            container = self._containers[name, drawn]
        try:
            answer = container.predict(body, content_type)
        except requests.RequestException as error:
            abort(503, f"DeployedModel {drawn} does not answer: {type(error).__name__}")
        if len(answer.content) > MAX_BYTES:
            abort(500, f"Response size is too large. Maximum response size is {MAX_BYTES} bytes.")
        return deployed, version, answer


def _deployed_ids(endpoint) -> set[str]:
    return {one.id for one in endpoint.deployed_models}


def _set_split(endpoint, split: dict[str, int]) -> None:
    endpoint.traffic_split.clear()
    endpoint.traffic_split.update(split)


def _check_split(split, known: set[str]) -> None:
    """Error 400 for a split among others than the known ids, or whose shares are not 100 together."""
    if unknown := sorted(set(split) - known):
        abort(400, f"trafficSplit: expected ids of deployed models, found {', '.join(unknown)}")
    if sum(split.values()) != 100 or min(split.values()) < 0:
        abort(400, f"trafficSplit: expected shares that are 100 together, found {dict(split)}")


def _only(message, name: str):
    """A copy of the message with this field alone."""
    copy = type(message)()
    copy.CopyFrom(message)
    for one, _ in message.ListFields():
        if one.name != name:
            copy.ClearField(one.name)
    return copy
