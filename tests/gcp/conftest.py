"""A project on Google Cloud that Terraform knows and nobody else."""

import json
import os
import shutil

import pytest

from gcp import commands, preflight, resources
from gcp.local_checks import OK, Check
from tests.gcp.stand_ins import CONFIGURATION, StandIns

OWN = {"type": "authorized_user", "client_id": "c", "client_secret": "a-secret", "refresh_token": "a-secret"}


@pytest.fixture
def cloud_of(tmp_path, monkeypatch):
    """The stand-ins, Terraform with a configuration of built-in resources, and somebody who is logged in."""
    if shutil.which("terraform") is None:
        pytest.skip("Terraform is not installed")
    stand_ins = StandIns(tmp_path / "stand-ins")
    stand_ins.terraform()
    stand_ins.program("gcloud")
    stand_ins.answer("^gcloud dataproc clusters list", "[]")
    stand_ins.answer("^gcloud dataflow jobs list", "[]")
    stand_ins.answer("^gcloud storage buckets describe", json.dumps({"projectNumber": "1"}))
    stand_ins.answer("^gcloud storage rm", "")
    folder = tmp_path / "terraform"
    folder.mkdir()
    (folder / "main.tf").write_text(CONFIGURATION)
    own = tmp_path / "own.json"
    own.write_text(json.dumps(OWN))
    for name in [name for name in os.environ if name.startswith("TF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{stand_ins.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(own))
    monkeypatch.setenv("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
    monkeypatch.setenv("CHECKPOINT_DISABLE", "1")
    monkeypatch.setattr(commands, "TERRAFORM", folder)
    monkeypatch.setattr(commands, "shown_lines", set())
    monkeypatch.setattr(resources, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(preflight, "checks", lambda project, region, prefix: [Check("project", OK, project)])
    return stand_ins
