"""What can be checked on this machine alone: the tools, their versions, and whether somebody is logged in."""

import importlib.metadata
import os
import re
import shutil
import sys
from dataclasses import dataclass

from gcp.commands import ROOT, TERRAFORM, Failed, ask_json

OK, MISSING, UNKNOWN = "ok", "missing", "unknown"
GCLOUD_AT_LEAST = "460.0.0"  # tested with 528.0.0
GCLOUD_INSTALL = "https://cloud.google.com/sdk/docs/install; of the same kind as before: gcloud components update"
TERRAFORM_INSTALL = "https://developer.hashicorp.com/terraform/install"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `found` is for people; `todo` is what mends it."""

    name: str
    state: str
    found: str
    todo: str = ""


def local_checks(shown: bool = True) -> list[Check]:
    """terraform, gcloud and the Python packages. `shown`: whether the commands are."""
    return [terraform_version(shown), gcloud_version(shown), python_packages()]


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def terraform_at_least() -> str:
    """The lowest version that terraform/versions.tf takes."""
    text = (TERRAFORM / "versions.tf").read_text("utf-8")
    return re.search(r'required_version\s*=\s*">=\s*([\d.]+)', text)[1]


def terraform_version(shown: bool) -> Check:
    wanted = terraform_at_least()
    return tool("terraform", ["version", "-json"], "terraform_version", wanted, TERRAFORM_INSTALL, shown)


def gcloud_version(shown: bool) -> Check:
    arguments = ["version", "--format=json"]
    return tool("gcloud", arguments, "Google Cloud SDK", GCLOUD_AT_LEAST, GCLOUD_INSTALL, shown)


def tool(name: str, arguments: list[str], key: str, wanted: str, install: str, shown: bool) -> Check:
    if shutil.which(name) is None:
        return Check(name, MISSING, f"expected {name} {wanted} or newer on PATH, found none", f"install it: {install}")
    try:
        version = ask_json([name, *arguments], shown=shown)[key]
    except (Failed, LookupError, TypeError) as problem:
        return Check(name, MISSING, f"it does not say its version: {problem}", f"install it anew: {install}")
    if as_numbers(version) < as_numbers(wanted):
        return Check(name, MISSING, f"expected {wanted} or newer, found {version}", f"install it: {install}")
    return Check(name, OK, version)


def python_packages() -> Check:
    """Whether landing and publishing can start: the Python of `make setup`, with the pinned Beam."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    pinned = re.search(r"^apache-beam(?:\[\w+\])?==([\w.]+)", text, re.M)[1]
    try:
        found = importlib.metadata.version("apache-beam")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    if found != pinned or not (3, 11) <= sys.version_info[:2] <= (3, 14):
        problem = f"expected Python 3.11 to 3.14 with apache-beam {pinned}, found {python} with {found}"
        return Check("python", MISSING, problem, "make setup")
    return Check("python", OK, f"{python}, apache-beam {found}")


def gcloud_login(shown: bool = True) -> Check:
    """Whether gcloud has an account; that Google still takes it is for later checks to find."""
    if os.environ.get("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "").lower() in ("1", "true", "yes", "on"):
        return Check("gcloud login", UNKNOWN, "switched off by CLOUDSDK_AUTH_DISABLE_CREDENTIALS")
    if os.environ.get("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"):
        return Check("gcloud login", OK, "a token, by CLOUDSDK_AUTH_ACCESS_TOKEN_FILE")
    try:
        accounts = ask_json(["gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=json"], shown=shown)
    except Failed as problem:
        return Check("gcloud login", UNKNOWN, str(problem))
    if not accounts:
        return Check("gcloud login", MISSING, "expected an active account, found none", "gcloud auth login")
    return Check("gcloud login", OK, accounts[0]["account"])
