"""The real Terraform in a copy of the files, with a stand-in for its providers, and what it says there.

    plan = terraform.plan(project_id="my-project")
    plan.instances("google_storage_bucket.input")[None]["name"]    "my-project-ml-input"
    terraform.problems(changed(FILES, "storage.tf", "= var.region", "= var.regoin"))    ["storage.tf:9: Reference to …"]

While it plans, the stand-in knows what the cloud would say: `<type.name.attribute>`, so that every value is there.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local import package
from tests.conftest import ROOT
from tests.terraform.terraform_files import FOLDER, read

FILES = read()
TEMPLATE = "../workflow_template.yaml"  # the one file beside the folder that a test changes
SECONDS = 120


class Refused(Exception):
    """What Terraform does not take, one problem a line."""


class Resource(dict):
    """The values of one instance of a resource or data source; blocks in it are lists of dictionaries."""

    def __init__(self, said: Mapping, written: Mapping):
        super().__init__(said["values"])
        self.type, self.name, self.key = said["type"], said["name"], said.get("index")
        self.address = ("data." if said["mode"] == "data" else "") + f"{self.type}.{self.name}"
        self.written = written  # Terraform's account of the expressions, with the references in them

    def references(self, which: str) -> list[str]:
        """What its count or its for_each refers to."""
        return self.written.get(f"{which}_expression", {}).get("references", [])

    def given(self) -> dict[str, object]:
        """What the files say of it: the values without those that are the provider's alone, or null."""
        arguments, found = self.written.get("expressions", {}), self.without_own(dict(self))
        return {key: value for key, value in found.items() if key in arguments or is_blocks(value)}

    def without_own(self, value: object) -> object:
        if isinstance(value, list):
            return [self.without_own(one) for one in value]
        if not isinstance(value, dict):
            return value
        found = {key: self.without_own(one) for key, one in value.items() if one is not None and one != []}
        return {key: one for key, one in found.items() if not str(one).startswith(f"<{self.type}.")}


def is_blocks(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


class Plan:
    """What Terraform plans, from `terraform show -json`."""

    def __init__(self, said: Mapping):
        self.configuration, planned = said["configuration"], said["planned_values"]
        self.variables = {name: about.get("value") for name, about in said["variables"].items()}
        self.outputs = {name: about.get("value") for name, about in planned["outputs"].items()}
        written = {about["address"]: about for about in self.configuration["root_module"]["resources"]}
        found = [*planned["root_module"]["resources"], *said["prior_state"]["values"]["root_module"]["resources"]]
        self.resources = [Resource(one, written[one["address"].partition("[")[0]]) for one in found]

    def instances(self, address: str) -> dict[object, Resource]:
        """Key → one instance; the key is None without for_each or count."""
        return {one.key: one for one in self.resources if one.address == address}

    def all_of(self, kind: str) -> list[Resource]:
        """Every instance of the resources and data sources of that type."""
        return [one for one in self.resources if one.type == kind]

    def named(self, kind: str, argument: str = "name") -> set[str]:
        """The names that the resources of that type have."""
        return {one[argument] for one in self.all_of(kind)}


class Terraform:
    """A copy of the files beside this repository's other rooms, and Terraform there."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.plans = folder / "terraform", {}
        self.folder.mkdir()
        for path in FOLDER.glob("*.json"):
            shutil.copy(path, self.folder)
        for path in ROOT.iterdir():
            if path.name[0] != "." and path.name not in ("terraform", "build", Path(TEMPLATE).name):
                (folder / path.name).symlink_to(path)
        package.build(folder / "build")
        (folder / "settings").touch()
        own = {"TF_CLI_CONFIG_FILE": str(folder / "settings"), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        self.environment |= own | environment
        self.write(FILES)
        self.run("init", "-backend=false", "-input=false", "-no-color")

    def write(self, files: Mapping[str, str]) -> None:
        """Leaves these files in the folder, and no others."""
        for path in self.folder.glob("*.tf"):
            path.unlink()
        for name, text in {TEMPLATE: (ROOT / Path(TEMPLATE).name).read_text("utf-8"), **files}.items():
            (self.folder / name).write_text(text, "utf-8")

    def run(self, *arguments: str, status: int | None = 0, question: str | None = None) -> str:
        """What Terraform says on both its outputs. status: how it has to end; None: anyhow."""
        done = subprocess.run(
            ["terraform", *arguments], cwd=self.folder, env=self.environment, input=question, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
        )  # fmt: skip
        assert status is None or done.returncode == status, done.stdout
        return done.stdout

    def problems(self, files: Mapping[str, str] = FILES, **variables: object) -> list[str]:
        """What Terraform does not take in the files, or with variables in its plan, as `file:line: what`."""
        self.write(files)
        if not variables:
            return [problem(one) for one in json.loads(self.run("validate", "-json", status=None))["diagnostics"]]
        lines = self.run("plan", "-input=false", "-json", "-out=planned", *flags(variables), status=None).splitlines()
        said = [json.loads(line) for line in lines if line[:1] == "{"]
        return [problem(one["diagnostic"]) for one in said if one["@level"] == "error"]

    def plan(self, files: Mapping[str, str] = FILES, **variables: object) -> Plan:
        """What Terraform plans with these files and variables. Raises Refused."""
        asked = json.dumps([files, variables], sort_keys=True)
        if asked not in self.plans:
            problems = self.problems(files, **variables)
            if problems:
                raise Refused("\n".join(problems))
            self.plans[asked] = self.shown()
        return self.plans[asked]

    def shown(self) -> Plan:
        """The plan that was made last."""
        return Plan(json.loads(self.run("show", "-json", "planned").splitlines()[-1]))

    def local(self, name: str, **variables: object) -> object:
        """A local value of the project's files."""
        self.write(FILES)
        said = self.run("console", *flags(variables), question=f"jsonencode(local.{name})\n").splitlines()[-1]
        return json.loads(json.loads(said))


def flags(variables: Mapping[str, object]) -> list[str]:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}
    return [f"-var={name}={text}" for name, text in texts.items()]


def problem(diagnostic: Mapping) -> str:
    """One line: where, what, and the code that it is about."""
    place, code = diagnostic.get("range") or {}, diagnostic.get("snippet") or {}
    where = f"{place['filename']}:{place['start']['line']}: " if place else ""
    said = f"{diagnostic['summary']}: {diagnostic.get('detail', '')} [{code.get('context')}: {code.get('code')}]"
    return where + re.sub(r"\s+", " ", said)
