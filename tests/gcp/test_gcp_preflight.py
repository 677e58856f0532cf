"""What preflight finds, by the real gcloud and google-auth, against a server that answers as Google's APIs do."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gcp import commands, google_checks, local_checks, permissions, preflight
from gcp.local_checks import MISSING, OK, UNKNOWN
from tests.conftest import ROOT
from tests.gcp.stand_ins import StandIns

P = "brigade-test"
TOKEN = "ya29.a-secret"
TERRAFORM = ROOT / "terraform"
APIS = ["cloudresourcemanager", "serviceusage", "compute", "pubsub"]
ROLE = f"/v1/projects/{P}/roles/brigadeRetrain"
NO_ROLE = (404, {"error": {"code": 404, "message": "The role was not found.", "status": "NOT_FOUND"}})
ENOUGH = {"CPUS": 24, "INSTANCES": 24, "IN_USE_ADDRESSES": 8, "STATIC_ADDRESSES": 8, "DISKS_TOTAL_GB": 2048}


class Google:
    """A project in which everything is as it should be; `answers` may be changed. {path: (status, body)}"""

    def __init__(self):
        buckets = {f"/storage/v1/b/{P}-ml-{name}": (404, {}) for name in google_checks.BUCKETS}
        self.answers = buckets | {
            "/": (404, {}),
            "/token": (200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}),
            f"/v1/projects/{P}": (200, {"projectId": P, "projectNumber": "1", "lifecycleState": "ACTIVE"}),
            f"/v1/projects/{P}/billingInfo": (200, {"name": f"projects/{P}/billingInfo", "billingEnabled": True}),
            f"/v1/projects/{P}/services": (200, {"services": [self.service(name) for name in APIS]}),
            f"/v1/projects/{P}:testIamPermissions": (200, {"permissions": permissions.needed(TERRAFORM)}),
            f"/v1/projects/{P}:getEffectiveOrgPolicy": (200, {"constraint": "c", "booleanPolicy": {}}),
            f"/compute/v1/projects/{P}/regions/us-central1": (200, self.region(ENOUGH)),
            ROLE: NO_ROLE,
        }
        self.asked: list[tuple[str, str]] = []
        google = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.split("?")[0]
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                google.asked.append((path, self.headers.get("Authorization", "")))
                status, body = google.answers.get(path, (404, {}))
                if status >= 400 and not body:
                    body = {"error": {"code": status, "message": f"answer {status}", "status": "S"}}
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_):
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def service(name: str) -> dict:
        return {"name": f"projects/1/services/{name}", "state": "ENABLED", "config": {"name": f"{name}.googleapis.com"}}

    @staticmethod
    def region(quotas: dict, usage: float = 0) -> dict:
        listed = [{"metric": metric, "limit": limit, "usage": usage} for metric, limit in quotas.items()]
        return {"name": "us-central1", "quotas": listed}


@pytest.fixture
def google(tmp_path, monkeypatch):
    if shutil.which("gcloud") is None or shutil.which("terraform") is None:
        pytest.skip("the Google Cloud CLI or Terraform is not installed")
    google = Google()
    own = {
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "r",
        "quota_project_id": P,
    }
    (tmp_path / "own.json").write_text(json.dumps(own | {"token_uri": f"{google.url}/token"}))
    monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{google.url}/token")
    for name in ("CLOUDRESOURCEMANAGER", "CLOUDBILLING", "IAM", "SERVICEUSAGE"):
        monkeypatch.setenv(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}", f"{google.url}/")
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", f"{google.url}/storage/v1/")
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", f"{google.url}/compute/v1/")
    monkeypatch.setenv("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "own.json"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(google_checks, "REGISTRY", f"{google.url}/registry")
    monkeypatch.setattr(commands, "shown_lines", set())
    yield google
    google.server.shutdown()
    google.server.server_close()


def run(capfd) -> tuple[int, dict[str, dict], str]:
    """Status, {name of a check: it}, and what people read."""
    status = preflight.main([f"--project={P}", "--json"])
    told = capfd.readouterr()
    return status, {check["name"]: check for check in json.loads(told.out)["checks"]}, told.err


@pytest.mark.gcloud
def test_nothing_stops_a_project_that_is_ready(google, capfd):
    status, found, told = run(capfd)
    assert status == 0, told
    assert {name for name, check in found.items() if check["state"] != OK} == {"gcloud login"}  # switched off here
    assert found["APIs"]["found"].startswith("3 of ") and "dataproc.googleapis.com" in found["APIs"]["found"]
    assert found["bucket names"]["found"] == "5 free, 0 of this project"
    assert f"$ gcloud projects describe {P} --format=json" in told
    # The permissions are those of the credentials that Terraform uses, and no secret is shown.
    assert (f"/v1/projects/{P}:testIamPermissions", f"Bearer {TOKEN}") in google.asked
    assert TOKEN not in told


def off(google):
    google.answers[f"/v1/projects/{P}/billingInfo"] = (200, {"billingEnabled": False})
    google.answers[f"/v1/projects/{P}/services"] = (200, {"services": [google.service("pubsub")]})
    google.answers[f"/compute/v1/projects/{P}/regions/us-central1"] = (200, google.region(ENOUGH | {"CPUS": 4}))
    google.answers[f"/v1/projects/{P}:getEffectiveOrgPolicy"] = (200, {"booleanPolicy": {"enforced": True}})
    lacking = [one for one in permissions.needed(TERRAFORM) if one != "iam.roles.create"]
    google.answers[f"/v1/projects/{P}:testIamPermissions"] = (200, {"permissions": lacking})
    google.answers[f"/storage/v1/b/{P}-ml-input"] = (403, {})
    google.answers[f"/storage/v1/b/{P}-ml-output"] = (200, {"name": f"{P}-ml-output", "projectNumber": "2"})
    google.answers[f"/storage/v1/b/{P}-ml-code"] = (200, {"name": f"{P}-ml-code", "projectNumber": "1"})


@pytest.mark.gcloud
def test_what_would_stop_it_is_told_with_the_command_that_mends_it(google, capfd):
    off(google)
    status, found, told = run(capfd)
    assert status == 1
    missing = {name: check for name, check in found.items() if check["state"] == MISSING}
    assert missing.keys() == {"billing", "APIs", "permissions", "quota", "bucket names", "policies"}
    assert f"gcloud billing projects link {P} --billing-account=ID" in missing["billing"]["todo"]
    services = "cloudresourcemanager.googleapis.com serviceusage.googleapis.com"
    assert missing["APIs"]["todo"] == f"gcloud services enable {services} --project={P}"
    assert missing["permissions"]["found"] == "lacking 1: iam.roles.create"
    assert missing["quota"]["found"] == "in us-central1: CPUS 4 of 8"
    for name in ("ml-input", "ml-output"):
        assert f"expected {P}-{name} to be free, found it in a project that is not {P}" in told
    assert f"google_storage_bucket.code {P}/{P}-ml-code" in told
    assert "8 of 18 would stop it; 1 could not be checked" in told


@pytest.mark.gcloud
def test_what_cannot_be_known_stops_nothing(google, capfd):
    disabled = {"error": {"code": 403, "message": "Compute Engine API has not been used in project 1 before"}}
    google.answers[f"/compute/v1/projects/{P}/regions/us-central1"] = (403, disabled)
    google.answers[f"/v1/projects/{P}:testIamPermissions"] = (403, {})
    google.answers[f"/v1/projects/{P}/billingInfo"] = (403, {})
    status, found, _ = run(capfd)
    assert status == 0
    unknown = {name: check["found"] for name, check in found.items() if check["state"] == UNKNOWN}
    assert unknown.keys() == {"gcloud login", "billing", "permissions", "quota"}
    assert unknown["quota"] == "compute.googleapis.com is off; make gcp-up switches it on"
    assert "403" in unknown["permissions"]


UNDELETE, IMPORT = f"gcloud iam roles undelete brigadeRetrain --project={P}", f"{google_checks.ROLE_ADDRESS} {ROLE[4:]}"


@pytest.mark.gcloud
@pytest.mark.parametrize(
    ("answer", "known", "state", "todo"),
    [
        (NO_ROLE, False, OK, ""),
        ((403, {"error": {"code": 403, "message": "IAM API has not been used in project 1"}}), False, OK, ""),
        ((500, {}), False, UNKNOWN, ""),
        ((200, {"name": ROLE[4:]}), True, OK, ""),
        ((200, {"name": ROLE[4:]}), False, MISSING, IMPORT),
        ((200, {"name": ROLE[4:], "deleted": True}), True, MISSING, UNDELETE),
        ((200, {"name": ROLE[4:], "deleted": True}), False, OK, ""),
    ],
)
def test_a_role_that_was_deleted_or_is_not_in_terraform_s_state_comes_back_by_a_command(
    google, monkeypatch, answer, known, state, todo
):
    google.answers[ROLE] = answer
    kind, name = google_checks.ROLE_ADDRESS.split(".")
    resources = {"resources": [{"mode": "managed", "type": kind, "name": name, "instances": []}]} if known else {}
    monkeypatch.setattr(google_checks, "state_of", lambda terraform: resources)
    (found,) = google_checks.role(P, commands.Terraform(P))
    assert found.state == state
    assert found.todo.endswith(todo) if todo else not found.todo


def test_the_custom_role_that_is_asked_for_is_terraform_s():
    text = (TERRAFORM / "permissions.tf").read_text("utf-8")
    kind, name = google_checks.ROLE_ADDRESS.split(".")
    assert re.search(rf'resource "{kind}" "{name}" {{\n *role_id *= "\${{local.underscore}}{google_checks.ROLE}"', text)


@pytest.mark.gcloud
def test_quota_that_is_in_use_may_be_the_pipeline_s_own(google):
    region = google.region(ENOUGH | {"CPUS": 9}, usage=2)
    google.answers[f"/compute/v1/projects/{P}/regions/us-central1"] = (200, region)
    (found,) = google_checks.quota(P, "us-central1")
    assert (found.state, found.found.split(";")[0]) == (UNKNOWN, "in us-central1: CPUS: 2 of 9 in use, 8 needed")


@pytest.mark.gcloud
def test_the_address_that_cloud_nat_reserves_is_asked_for(google):
    region = google.region(ENOUGH | {"STATIC_ADDRESSES": 0})
    google.answers[f"/compute/v1/projects/{P}/regions/us-central1"] = (200, region)
    (found,) = google_checks.quota(P, "us-central1")
    assert (found.state, found.found) == (MISSING, "in us-central1: STATIC_ADDRESSES 0 of 1")


@pytest.mark.gcloud
def test_a_project_that_is_not_there_leaves_the_rest_unknown_and_unasked(google, capfd):
    google.answers[f"/v1/projects/{P}"] = (403, {})
    status, found, _ = run(capfd)
    assert (status, found["project"]["state"]) == (1, MISSING)
    assert "gcloud projects create brigade-test" in found["project"]["todo"]
    assert found["quota"]["found"] == "not looked at: project is missing"
    assert not [path for path, _ in google.asked if "/services" in path or "/storage/" in path]


@pytest.mark.gcloud
@pytest.mark.parametrize("other", [{}, {"quota_project_id": "another-project"}])
def test_credentials_that_count_for_another_project_are_told_with_the_command_that_mends_it(google, tmp_path, other):
    own = json.loads((tmp_path / "own.json").read_text())
    del own["quota_project_id"]
    (tmp_path / "own.json").write_text(json.dumps(own | other))
    credentials, _ = google_checks.application_default(online=True)
    (found,) = google_checks.quota_project(P, credentials)
    todo = f"gcloud auth application-default set-quota-project {P}"
    assert (found.state, found.todo) == (MISSING, todo)


@pytest.mark.gcloud
def test_a_login_that_google_does_not_take_any_more_is_told(google):
    google.answers["/token"] = (400, {"error": "invalid_grant", "error_description": "Token has been revoked."})
    credentials, found = google_checks.application_default(online=True)
    assert (credentials, found.state, found.todo) == (None, MISSING, "gcloud auth application-default login")
    (permitted,) = google_checks.permissions(P, credentials)
    assert (permitted.state, permitted.found) == (UNKNOWN, "not looked at: see application-default login")


@pytest.mark.gcloud
def test_offline_what_can_be_checked_is_and_the_rest_says_why_not(google, capfd, monkeypatch):
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", "http://127.0.0.1:9/")
    status, found, _ = run(capfd)
    assert status == 1
    states = {name: check["state"] for name, check in found.items()}
    assert [states[name] for name in ("terraform", "gcloud", "python")] == [OK, OK, OK]
    assert states["network"] == MISSING and states["application-default login"] == UNKNOWN
    reasons = {name: check["found"] for name, check in found.items()}
    for name in ("project", "billing", "APIs", "permissions", "quota", "bucket names", "policies"):
        assert (states[name], reasons[name]) == (UNKNOWN, "not looked at: network is missing"), name
    assert google.asked == []


# --------------------------------------------------------------------------------------------------- on this machine


@pytest.mark.parametrize("version, state", [("1.5.7", MISSING), ("1.6.0", OK), ("1.14.1", OK)])
def test_terraform_has_to_be_as_new_as_its_files_ask_for(tmp_path, monkeypatch, version, state):
    stand_ins = StandIns(tmp_path)
    stand_ins.program("terraform")
    stand_ins.answer("^terraform version", json.dumps({"terraform_version": version}))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(local_checks, "terraform_at_least", lambda: "1.6")
    found = {check.name: check for check in local_checks.local_checks()}
    assert found["terraform"].state == state
    assert (found["gcloud"].state, found["gcloud"].todo[:10]) == (MISSING, "install it")  # not on this PATH


def test_an_old_gcloud_is_told(tmp_path, monkeypatch):
    stand_ins = StandIns(tmp_path)
    stand_ins.program("gcloud")
    stand_ins.answer("^gcloud version", json.dumps({"Google Cloud SDK": "402.0.0"}))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = local_checks.gcloud_version(shown=False)
    assert (found.state, found.found) == (MISSING, "expected 460.0.0 or newer, found 402.0.0")


def test_what_terraform_s_files_create_has_permissions_and_no_permission_is_for_nothing():
    assert permissions.kinds(TERRAFORM) == permissions.BY_RESOURCE.keys()


def test_an_owner_of_the_project_has_all_that_is_asked_for():
    owner = json.loads((ROOT / "tests" / "gcp" / "google_roles.json").read_text("utf-8"))["roles"]["roles/owner"]
    assert [one for one in permissions.needed(TERRAFORM) if one not in owner] == []


def test_the_lists_of_buckets_are_terraform_s():
    text = (TERRAFORM / "storage.tf").read_text("utf-8") + (TERRAFORM / "names.tf").read_text("utf-8")
    for name in google_checks.BUCKETS:
        assert f'resource "google_storage_bucket" "{name}"' in text
        assert f"{name}_bucket" in text and f'${{local.prefix}}ml-{name}"' in text


@pytest.mark.parametrize("version, state", [((3, 10), MISSING), ((3, 11), OK), ((3, 14), OK), ((3, 15), MISSING)])
def test_the_python_is_one_that_set_up_takes(monkeypatch, version, state):
    monkeypatch.setattr(sys, "version_info", namedtuple("Version", "major minor")(*version))
    assert local_checks.python_packages().state == state


def make(tools: Path, target: str, *settings: str) -> subprocess.CompletedProcess:
    """`tools`: a folder for the programs that the target asks for first, where this machine has none."""
    stand_ins = StandIns(tools)
    for name in ("gcloud", "terraform"):
        stand_ins.program(name)
    stand_ins.answer("^terraform version", json.dumps({"terraform_version": "1.14.1"}))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CLOUDSDK", "GOOGLE"))}
    path = f"{os.environ['PATH']}{os.pathsep}{tools / 'bin'}"
    env = kept | {"CLOUDSDK_CONFIG": "/nonexistent", "HOME": "/nonexistent", "PATH": path}
    command = ["make", "-s", "-o", "setup", f"PY={sys.executable}", target, *settings]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.long
@pytest.mark.parametrize(
    "target", ["preflight", "gcp-plan", "gcp-up", "gcp-landing", "gcp-demo", "gcp-vertex", "gcp-down"]
)
def test_without_a_project_each_target_says_in_a_few_plain_lines_what_is_missing(tmp_path, target):
    done = make(tmp_path, target)
    assert done.returncode == 2 and done.stdout == ""  # make's own status when a command ends with 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert lines[:2] == ["missing: PROJECT: which Google Cloud project?", f"    make {target} PROJECT=my-project"]
    assert re.search(r"Error 1$", done.stderr.strip())
    assert len(lines) <= 10 and "Traceback" not in done.stderr and "$ " not in done.stderr


def test_a_project_that_cannot_be_one_is_refused_in_one_line(tmp_path):
    done = make(tmp_path, "gcp-up", "PROJECT=My_Project")
    first = done.stderr.splitlines()[0]
    assert first.startswith("PROJECT: expected a project's id, 6 to 30") and first.endswith("found 'My_Project'")
    assert re.search(r"Error 2$", done.stderr.strip())


@pytest.mark.gcloud
def test_every_command_of_gcloud_that_is_run_or_named_exists():
    root = subprocess.run(["gcloud", "info", "--format=value(installation.sdk_root)"], capture_output=True, text=True)
    tree = runpy.run_path(f"{root.stdout.strip()}/data/cli/gcloud_completions.py")["STATIC_COMPLETION_CLI_TREE"]
    found = set()
    for file in (ROOT / "gcp").glob("*.py"):
        text = re.sub(r'"\s*,?\s*f?"', " ", file.read_text("utf-8"))  # a list of words, or a text in two pieces
        for words in re.findall(r"gcloud ((?:[a-z-]+ ?)+)", text):
            path, node = [], tree
            for word in words.split():
                if word not in node.get("commands", {}):
                    break
                path, node = [*path, word], node["commands"][word]
            if path:  # else it is a sentence about gcloud
                found.add(" ".join(path))
                assert "commands" not in node or not node["commands"], f"gcloud {words}: no command after {path}"
    assert {"dataflow jobs drain", "storage rm", "scheduler jobs run", "auth application-default login"} <= found
