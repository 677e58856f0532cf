"""What only Google can say: the project, its billing, APIs, quota, names that are taken, and what the caller may do.

All of it is asked by gcloud, but for the permissions: Terraform's calls are made with the application-default
credentials, so they are what is tested, and gcloud has no command for it.
"""

import logging
import os
import re
import urllib.error
import urllib.request
import warnings

from gcp import permissions as needed_permissions
from gcp.commands import TERRAFORM, Failed, Terraform, as_line, ask_json, named, say
from gcp.local_checks import MISSING, OK, UNKNOWN, Check

RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com/"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
REGISTRY = "https://registry.terraform.io/.well-known/terraform.json"
SECONDS = 15
# Terraform asks these about the project before it can switch on anything, so it cannot switch them on.
BEFORE_TERRAFORM = ("cloudresourcemanager.googleapis.com", "serviceusage.googleapis.com")
# The cluster of a training is one e2-standard-4 with 100 GB; landing grows to MAX_WORKERS e2-standard-2, of 30 GB each
# under Streaming Engine; Cloud NAT reserves an address.
MAX_WORKERS = 2
QUOTA = {"CPUS": 4 + 2 * MAX_WORKERS, "INSTANCES": 1 + MAX_WORKERS, "DISKS_TOTAL_GB": 100 + 30 * MAX_WORKERS}
QUOTA |= {"IN_USE_ADDRESSES": 1, "STATIC_ADDRESSES": 1}
BUCKETS = ("input", "output", "code", "temp", "logs")
ROLE, ROLE_ADDRESS = "brigadeRetrain", "google_project_iam_custom_role.retrain"
FREE, SOMEBODY_ELSES = "free", "somebody else's"


def api_is_off(message: str) -> bool:
    """Whether an error says that the API it is about is not switched on."""
    return bool(
        re.search(r"SERVICE_DISABLED|has not been used in project|it is disabled|API \[.*\] not enabled", message)
    )


def resource_manager() -> str:
    return os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER") or RESOURCE_MANAGER


def answers(url: str) -> str:
    """ "" if something answers there, whatever it says; else why not."""
    try:
        urllib.request.urlopen(url, timeout=SECONDS).close()
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""


def reachable() -> Check:
    """Asked first: each command of gcloud would try for half a minute."""
    url = resource_manager()
    if problem := answers(url):
        return Check("network", MISSING, f"{url} cannot be reached: {problem}", "connect; behind a proxy: HTTPS_PROXY")
    return Check("network", OK, "Google answers")


def registry() -> list[Check]:
    name = "Terraform's registry"
    if (TERRAFORM / ".terraform" / "providers").is_dir():
        return [Check(name, OK, "not needed: the providers are here")]
    if problem := answers(REGISTRY):
        return [Check(name, MISSING, f"{REGISTRY} cannot be reached: {problem}", "allow it: `terraform init` needs it")]
    return [Check(name, OK, "it answers")]


def application_default(online: bool) -> tuple[object | None, Check]:
    """The credentials that Terraform and Beam use, if there are any that work, and what there is to say of them."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.auth.transport.requests import Request

    name, login = "application-default login", "gcloud auth application-default login"
    logging.getLogger("google.auth").setLevel(logging.CRITICAL)  # what it would warn of is told here
    os.environ.setdefault("GCE_METADATA_TIMEOUT", "1")  # of a machine of Google's, whose server answers at once
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            credentials, _ = google.auth.default(scopes=[SCOPE])
        except DefaultCredentialsError:
            return None, Check(name, MISSING, "expected credentials for Terraform and Beam, found none", login)
    if not online:
        return None, Check(name, UNKNOWN, "there is one; whether Google takes it cannot be asked")
    try:
        credentials.refresh(Request())
    except GoogleAuthError as problem:
        return None, Check(name, MISSING, f"Google does not take it: {str(problem.args[0])[:100]}", login)
    return credentials, Check(name, OK, getattr(credentials, "service_account_email", None) or "Google takes it")


def quota_project(name: str, credentials: object | None) -> list[Check]:
    """Whose quota, and bill, the calls of Python's clients count for. A service account's count for its own project."""
    title, todo = "quota project", f"gcloud auth application-default set-quota-project {name}"
    if credentials is None:
        return [Check(title, UNKNOWN, "not looked at: see application-default login")]
    if getattr(credentials, "service_account_email", None):
        return [Check(title, OK, "that of the service account")]
    found = getattr(credentials, "quota_project_id", None)
    if found != name:
        return [Check(title, MISSING, f"expected {name} in the application-default credentials, found {found}", todo)]
    return [Check(title, OK, name)]


def project(name: str) -> list[Check]:
    try:
        found = ask_json(["gcloud", "projects", "describe", name, "--format=json"])
    except Failed as problem:
        todo = f"create it: gcloud projects create {name}; or log in as somebody who may see it: gcloud auth login"
        return [Check("project", MISSING, str(problem), todo)]
    if found.get("lifecycleState") != "ACTIVE":
        state = found.get("lifecycleState")
        return [
            Check("project", MISSING, f"expected it to be ACTIVE, found {state}", f"gcloud projects undelete {name}")
        ]
    return [Check("project", OK, f"{name}, number {found['projectNumber']}")]


def billing(name: str) -> list[Check]:
    try:
        found = ask_json(["gcloud", "billing", "projects", "describe", name, "--format=json"])
    except Failed as problem:
        return [Check("billing", UNKNOWN, str(problem))]
    if not found.get("billingEnabled"):
        todo = f"gcloud billing accounts list, then: gcloud billing projects link {name} --billing-account=ID"
        return [Check("billing", MISSING, "expected it on, found it off", todo)]
    return [Check("billing", OK, "on")]


def apis(name: str) -> list[Check]:
    """Which of the APIs in terraform/apis.tf are off: Terraform switches them on, but for two."""
    wanted = set(re.findall(r'"([a-z]+\.googleapis\.com)"', (TERRAFORM / "apis.tf").read_text("utf-8")))
    try:
        listed = ask_json(["gcloud", "services", "list", "--enabled", f"--project={name}", "--format=json"])
    except Failed as problem:
        return [Check("APIs", UNKNOWN, str(problem))]
    on = {service["config"]["name"] for service in listed}
    if first := [api for api in BEFORE_TERRAFORM if api not in on]:
        problem = f"{' and '.join(first)} off, without which Terraform cannot switch on the others"
        return [Check("APIs", MISSING, problem, f"gcloud services enable {' '.join(first)} --project={name}")]
    off = sorted(wanted - on)
    count = f"{len(wanted) - len(off)} of {len(wanted)} on"
    return [Check("APIs", OK, f"{count}; make gcp-up switches on {', '.join(off)}" if off else count)]


def permissions(name: str, credentials: object | None) -> list[Check]:
    if credentials is None:
        return [Check("permissions", UNKNOWN, "not looked at: see application-default login")]
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession
    from requests.exceptions import RequestException

    wanted = needed_permissions.needed(TERRAFORM)
    url = f"{resource_manager().rstrip('/')}/v1/projects/{name}:testIamPermissions"
    say(f"# POST {url}")
    granted: set[str] = set()
    try:
        for start in range(0, len(wanted), 100):  # as many as a call takes
            answer = AuthorizedSession(credentials).post(
                url, json={"permissions": wanted[start : start + 100]}, timeout=SECONDS
            )
            if answer.status_code != 200:
                reason = "the API is off" if api_is_off(answer.text) else f"Google answers {answer.status_code}"
                return [Check("permissions", UNKNOWN, f"{reason}: {' '.join(answer.text.split())[:160]}")]
            granted.update(answer.json().get("permissions", []))
    except (GoogleAuthError, RequestException, ValueError) as problem:
        return [Check("permissions", UNKNOWN, f"{type(problem).__name__}: {str(problem)[:160]}")]
    if lacking := [permission for permission in wanted if permission not in granted]:
        todo = f"an owner of {name} has to grant you a role with them"
        return [Check("permissions", MISSING, f"lacking {len(lacking)}: {', '.join(lacking)}", todo)]
    return [Check("permissions", OK, f"all {len(wanted)} that are needed")]


def quota(name: str, region: str) -> list[Check]:
    """What a training and landing need beside what is in use in the region."""
    command = ["gcloud", "compute", "regions", "describe", region, f"--project={name}", "--format=json(quotas)"]
    try:
        listed = {one["metric"]: one for one in (ask_json(command) or {}).get("quotas", [])}
    except Failed as problem:
        found = (
            "compute.googleapis.com is off; make gcp-up switches it on" if api_is_off(str(problem)) else str(problem)
        )
        return [Check("quota", UNKNOWN, found)]
    short, busy = [], []
    for metric, wanted in QUOTA.items():
        limit, used = (float(listed.get(metric, {}).get(key, 0)) for key in ("limit", "usage"))
        if limit < wanted:
            short.append(f"{metric} {limit:g} of {wanted}")
        elif limit - used < wanted:
            busy.append(f"{metric}: {used:g} of {limit:g} in use, {wanted} needed")
    if short:
        todo = f"ask for more: https://console.cloud.google.com/iam-admin/quotas?project={name}"
        return [Check("quota", MISSING, f"in {region}: {', '.join(short)}", todo)]
    if busy:
        return [Check("quota", UNKNOWN, f"in {region}: {'; '.join(busy)}; enough if that is the pipeline itself")]
    return [Check("quota", OK, f"in {region}: {', '.join(f'{metric} {wanted}' for metric, wanted in QUOTA.items())}")]


def bucket_owner(bucket: str) -> str:
    """FREE, SOMEBODY_ELSES, or the number of the project that has the bucket. Raises Failed."""
    try:
        found = ask_json(["gcloud", "storage", "buckets", "describe", f"gs://{bucket}", "--raw", "--format=json"])
    except Failed as problem:
        if re.search(r"not found: 404", str(problem)):
            return FREE
        if re.search(r"does not have permission|HTTPError 403", str(problem)):
            return SOMEBODY_ELSES
        raise
    return str(found.get("projectNumber", ""))


def state_of(terraform: Terraform) -> dict:
    """Terraform's state; {} where it was never used. Raises Failed."""
    return terraform.state() if (terraform.folder / ".terraform").is_dir() else {}


def import_command(terraform: Terraform, address: str, thing: str) -> str:
    """What brings into Terraform's state what is there already."""
    command = terraform.command("import", *terraform.variables("REGION"), address, thing)
    return as_line(command, terraform.workspace)


def buckets(name: str, terraform: Terraform) -> list[Check]:
    """Bucket names are one for the whole world."""
    try:
        number = str(ask_json(["gcloud", "projects", "describe", name, "--format=json"])["projectNumber"])
        state = state_of(terraform)
        owners = {suffix: bucket_owner(terraform.bucket(f"ml-{suffix}")) for suffix in BUCKETS}
    except Failed as problem:
        return [Check("bucket names", UNKNOWN, str(problem))]
    created = [one["name"] for one in state.get("resources", []) if one["type"] == "google_storage_bucket"]
    found = []
    for suffix, owner in owners.items():
        bucket = terraform.bucket(f"ml-{suffix}")
        if owner not in (FREE, number):
            problem = f"expected {bucket} to be free, found it in a project that is not {name}"
            found.append(Check("bucket names", MISSING, problem, "use a project of another name: names are global"))
        elif owner == number and suffix not in created:
            problem = f"{bucket} is there, but not in Terraform's state here, so Terraform would try to create it"
            todo = import_command(terraform, f"google_storage_bucket.{suffix}", f"{name}/{bucket}")
            found.append(Check("bucket names", MISSING, problem, todo))
    own = sum(owner == number for owner in owners.values())
    return found or [Check("bucket names", OK, f"{len(owners) - own} free, {own} of this project")]


def role(name: str, terraform: Terraform) -> list[Check]:
    """Whether Terraform can make its custom role, or go on with the one that is there.

    For a week Terraform takes a deleted role back by itself, unless its state says that it has the role. After that
    Google says no more of it, and its id stays taken for 30 days.
    https://github.com/hashicorp/terraform-provider-google/pull/1681 and issues/9066
    """
    title, role_id = "custom role", named(ROLE, terraform.prefix).replace("-", "_")
    full = f"projects/{name}/roles/{role_id}"
    try:
        found = ask_json(["gcloud", "iam", "roles", "describe", role_id, f"--project={name}", "--format=json"]) or {}
        state = state_of(terraform)
    except Failed as problem:
        if api_is_off(str(problem)) or re.search("NOT_FOUND|HTTPError 404", str(problem)):
            return [Check(title, OK, f"{role_id} is free")]
        return [Check(title, UNKNOWN, str(problem))]
    known = ROLE_ADDRESS in [f"{one['type']}.{one['name']}" for one in state.get("resources", [])]
    if known and found.get("deleted"):
        problem = f"{role_id} was deleted, which Terraform does not notice: its state has the role"
        return [Check(title, MISSING, problem, f"gcloud iam roles undelete {role_id} --project={name}")]
    if found.get("deleted"):
        return [Check(title, OK, f"{role_id} was deleted; make gcp-up takes it back")]
    if not known:
        problem = f"{role_id} is there, but not in Terraform's state here, so Terraform would try to create it"
        return [Check(title, MISSING, problem, import_command(terraform, ROLE_ADDRESS, full))]
    return [Check(title, OK, f"{role_id} is there")]


def policies(name: str) -> list[Check]:
    """Whether an organization forbids service accounts, of which each component has one."""
    constraint = "iam.disableServiceAccountCreation"
    command = ["gcloud", "resource-manager", "org-policies", "describe", constraint, f"--project={name}"]
    try:
        found = ask_json([*command, "--effective", "--format=json"]) or {}
    except Failed as problem:
        return [Check("policies", UNKNOWN, str(problem))]
    if found.get("booleanPolicy", {}).get("enforced"):
        todo = "ask the organization's policy administrators for an exception"
        return [Check("policies", MISSING, f"{constraint} is enforced: no service account can be created", todo)]
    return [Check("policies", OK, "service accounts can be created")]
