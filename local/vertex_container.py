"""A deployed model's container, without Docker: the process that the image `serve` starts, from a build of its own.

It gets what the container gets on Vertex AI: the image's variables, those of `containerSpec.env`, and AIP_….
https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import requests

from local import emulators, guard, package

DOCKERFILE = package.ROOT / "Dockerfile"
READY_SECONDS = 120.0  # for a container without a deploymentTimeout
PROBE_SECONDS = 10.0  # that a health check waits for its answer
ANSWER_SECONDS = 60.0


class NotReady(Exception):
    """The container does not answer its health checks; the message says how it ended, or what it last answered."""


def entry_point() -> list[str]:
    """What the last stage of the Dockerfile starts."""
    return json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE.read_text("utf-8"), re.M)[-1])


class Container:
    """One replica, on a free loopback port."""

    def __init__(self, function: Path, log: Path, endpoint: str, deployed, version, storage_uri: str):
        """function: the folder that the image holds. endpoint: the endpoint's id. deployed, version: DeployedModel and
        Model, as protobuf messages."""
        spec = version.container_spec
        route = f"/v1/endpoints/{endpoint}/deployedModels/{deployed.id}"
        self.health_route, self.predict_route = spec.health_route or route, spec.predict_route or f"{route}:predict"
        self.ready_seconds = float(spec.deployment_timeout.seconds) or READY_SECONDS
        self.url = f"http://127.0.0.1:{(port := emulators.free_port())}"
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "STORAGE_EMULATOR_HOST": os.environ["STORAGE_EMULATOR_HOST"],
            "FUNCTION_TARGET": "predict",
            "HOST": "127.0.0.1",  # functions-framework's own variable
            "HOME": str(log.parent),
            **{one.name: one.value for one in spec.env},
            "AIP_MODE": "PREDICTION",
            "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
            "AIP_HTTP_PORT": str(port),  # a machine has no two of the port that containerSpec.ports names
            "AIP_HEALTH_ROUTE": self.health_route,
            "AIP_PREDICT_ROUTE": self.predict_route,
            "AIP_STORAGE_URI": storage_uri,
            "AIP_ENDPOINT_ID": endpoint,
            "AIP_DEPLOYED_MODEL_ID": deployed.id,
        }
        self.log = log
        with open(log, "ab") as output:
            self.process = guard.start(
                entry_point(), env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=function
            )

    def wait_until_ready(self) -> None:
        """Returns when a health check is answered with 200. Raises NotReady."""
        end, last = time.monotonic() + self.ready_seconds, "no answer"
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise NotReady(f"the container ended with status {self.process.returncode}; see {self.log}")
            try:
                answer = requests.get(self.url + self.health_route, timeout=PROBE_SECONDS)
                if answer.status_code == 200:
                    return
                last = f"{answer.status_code} {answer.text.strip()}"
            except requests.RequestException as error:
                last = type(error).__name__
            time.sleep(0.2)
        raise NotReady(f"no health check was answered with 200 in {self.ready_seconds:g} s; the last: {last}")

    def predict(self, body: bytes, content_type: str) -> requests.Response:
        """What the container answers at its predict route. Raises requests.RequestException."""
        headers = {"Content-Type": content_type}
        return requests.post(self.url + self.predict_route, body, headers=headers, timeout=ANSWER_SECONDS)

    def stop(self) -> None:
        guard.stop(self.process)
