"""Vertex AI's REST API on one machine: models, endpoints and their operations, as far as `gcloud ai` uses them.

Bodies are read with the service's own protobuf types: a field that it does not know is an error 400. What differs:
nothing survives a restart, every image is the project's own `serve`, a deployed model has one replica whatever is
asked, and names hold the project's id and not its number. A filter of a list is answered with 501.
"""

import threading
import uuid
from pathlib import Path

from flask import Blueprint, abort, jsonify, request

from local.vertex_endpoints import Endpoints
from local.vertex_models import ModelRegistry, to_json, types
from local.workflows import Operation


class Vertex:
    """The API: one method for each call. `parent` is projects/P/locations/R, and `v` is v1 or v1beta1: `gcloud` asks
    for operations by the second."""

    def __init__(self, folder: Path) -> None:
        """folder: where the containers' logs and build lie."""
        self._folder = folder
        self._lock = threading.RLock()
        self._endpoints = Endpoints(folder, lambda: self._models, self._lock)
        self._models = ModelRegistry(self._endpoints.is_deployed)
        self._operations: dict[str, Operation] = {}

    def blueprint(self) -> Blueprint:
        """The calls at their paths."""
        blueprint = Blueprint("vertex", __name__)
        parent = "/<any(v1, v1beta1):v>/projects/<project>/locations/<location>"
        model, endpoint = f"{parent}/models/<one>", f"{parent}/endpoints/<one>"
        for method, path, view in (
            ("POST", f"{parent}/models:upload", self.upload_model),
            ("GET", f"{parent}/models", self.list_models),
            ("GET", model, self.get_model),
            ("DELETE", model, self.delete_model),
            ("GET", f"{model}:listVersions", self.list_versions),
            ("DELETE", f"{model}:deleteVersion", self.delete_version),
            ("POST", f"{model}:mergeVersionAliases", self.merge_version_aliases),
            ("POST", f"{parent}/endpoints", self.create_endpoint),
            ("GET", f"{parent}/endpoints", self.list_endpoints),
            ("GET", endpoint, self.get_endpoint),
            ("PATCH", endpoint, self.update_endpoint),
            ("DELETE", endpoint, self.delete_endpoint),
            ("POST", f"{endpoint}:deployModel", self.deploy_model),
            ("POST", f"{endpoint}:undeployModel", self.undeploy_model),
            ("POST", f"{endpoint}:predict", self.predict),
            ("POST", f"{endpoint}:rawPredict", self.raw_predict),
            ("GET", f"{parent}/operations/<operation_id>", self.get_operation),
            ("GET", f"{model}/operations/<operation_id>", self.get_operation),
            ("GET", f"{endpoint}/operations/<operation_id>", self.get_operation),
        ):
            blueprint.add_url_rule(path, f"{method} {path}", view, methods=[method])
        return blueprint

    def stop(self) -> None:
        """Ends the containers."""
        with self._lock:
            self._endpoints.stop()

    # Models

    def upload_model(self, v: str, project: str, location: str):
        with self._lock:
            version = self._models.upload(project, location, _body())
            said = types().UploadModelResponse(model=version.name, model_version_id=version.version_id)
            return self._done(version.name, types().UploadModelOperationMetadata, said)

    def list_models(self, v: str, project: str, location: str):
        _refuse_filter()
        with self._lock:
            return jsonify(models=self._models.models(f"projects/{project}/locations/{location}"))

    def get_model(self, v: str, project: str, location: str, one: str):
        with self._lock:
            return to_json(self._models.get(_name(project, location, "models", one)))

    def list_versions(self, v: str, project: str, location: str, one: str):
        _refuse_filter()
        with self._lock:
            return jsonify(models=self._models.versions(_name(project, location, "models", one)))

    def merge_version_aliases(self, v: str, project: str, location: str, one: str):
        with self._lock:
            return self._models.merge_aliases(_name(project, location, "models", one), _body())

    def delete_model(self, v: str, project: str, location: str, one: str):
        with self._lock:
            self._models.delete(name := _name(project, location, "models", one))
            return self._done(name, types().DeleteOperationMetadata)

    def delete_version(self, v: str, project: str, location: str, one: str):
        with self._lock:
            self._models.delete_version(name := _name(project, location, "models", one))
            return self._done(name.partition("@")[0], types().DeleteOperationMetadata)

    # Endpoints

    def create_endpoint(self, v: str, project: str, location: str):
        with self._lock:
            endpoint_id = request.args.get("endpointId") or request.args.get("endpoint_id", "")
            endpoint = self._endpoints.create(f"projects/{project}/locations/{location}", _body(), endpoint_id)
            return self._done(endpoint.name, types().CreateEndpointOperationMetadata, types().Endpoint(endpoint))

    def list_endpoints(self, v: str, project: str, location: str):
        _refuse_filter()
        with self._lock:
            return jsonify(endpoints=self._endpoints.below(f"projects/{project}/locations/{location}"))

    def get_endpoint(self, v: str, project: str, location: str, one: str):
        with self._lock:
            return to_json(self._endpoints.get(_name(project, location, "endpoints", one)))

    def update_endpoint(self, v: str, project: str, location: str, one: str):
        with self._lock:
            name = _name(project, location, "endpoints", one)
            return self._endpoints.update(name, _body(), request.args.get("updateMask", ""))

    def delete_endpoint(self, v: str, project: str, location: str, one: str):
        with self._lock:
            self._endpoints.delete(name := _name(project, location, "endpoints", one))
            return self._done(name, types().DeleteOperationMetadata)

    def deploy_model(self, v: str, project: str, location: str, one: str):
        with self._lock:
            name = _name(project, location, "endpoints", one)
            operation = self._operation(name, types().DeployModelOperationMetadata)
            self._endpoints.deploy(name, _body(), operation)
        return operation.to_json()

    def undeploy_model(self, v: str, project: str, location: str, one: str):
        with self._lock:
            name = _name(project, location, "endpoints", one)
            container = self._endpoints.undeploy(name, _body())
            done = self._done(name, types().UndeployModelOperationMetadata, types().UndeployModelResponse())
        container.stop()
        return done

    def predict(self, v: str, project: str, location: str, one: str):
        return self._endpoints.predict(_name(project, location, "endpoints", one), request.get_data())

    def raw_predict(self, v: str, project: str, location: str, one: str):
        kind = request.headers.get("Content-Type", "application/json")
        return self._endpoints.raw_predict(_name(project, location, "endpoints", one), request.get_data(), kind)

    # Operations

    def get_operation(self, operation_id: str, **path: str):
        found = self._operations.get(operation_id)
        return found.to_json() if found else abort(404, f"Not found: operation {operation_id}")

    def _operation(self, of: str, metadata: type) -> Operation:
        """A new operation, below the resource that it is of."""
        operation_id = str(uuid.uuid4().int)[:19]
        operation = Operation(f"{of}/operations/{operation_id}", metadata.pb(metadata()))
        operation.metadata.generic_metadata.create_time.GetCurrentTime()
        self._operations[operation_id] = operation
        return operation

    def _done(self, of: str, metadata: type, response=None) -> dict:
        """An operation that has ended; response: one of google-cloud-aiplatform's messages, or None."""
        operation = self._operation(of, metadata)
        operation.finish(response=None if response is None else type(response).pb(response))
        return operation.to_json()


def _name(project: str, location: str, kind: str, one: str) -> str:
    return f"projects/{project}/locations/{location}/{kind}/{one}"


def _body() -> object:
    return request.get_json(force=True, silent=True)


def _refuse_filter() -> None:
    if request.args.get("filter"):
        abort(501, "filter: lists are not filtered here; `gcloud … --filter` does it itself")
