"""What set-up finds on a machine, what it asks for or installs there, and what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.local.machine import JAVA, PYTHON, Machine

# ------------------------------------------------------------------------------------------------------------- Java


def test_the_java_of_the_caller_comes_first_then_the_one_on_path_then_the_usual_folders(machine):
    machine.python("3.13.5")
    usual = machine.java("17", "system/usr/lib/jvm/java-17")
    assert machine.run().returncode == 0
    assert machine.spark_s_java() == usual
    on_path = machine.java_on_path("21")
    assert machine.run().returncode == 0
    assert machine.spark_s_java() == on_path
    own = machine.java("17", "own")
    assert machine.run(JAVA_HOME=own).returncode == 0
    assert machine.spark_s_java() == own


@pytest.mark.parametrize("version", ["1.8", "16", "23", "25", ""])
def test_a_java_that_is_too_old_or_too_new_is_passed_over_wherever_it_lies(machine, version):
    machine.python("3.13.5")
    machine.java_on_path(version)
    machine.java(version, "system/usr/lib/jvm/java-1-of-all")
    good = machine.java("21", "system/usr/lib/jvm/java-21")
    assert machine.run(JAVA_HOME=machine.java(version, "own")).returncode == 0
    assert machine.spark_s_java() == good


@pytest.mark.parametrize("version", ["17", "22"])
def test_java_17_to_22_fits(machine, version):
    machine.python("3.13.5")
    assert machine.run(JAVA_HOME=machine.java(version, "own")).returncode == 0
    assert machine.spark_s_java() == str(machine.folder / "own")


@pytest.mark.parametrize(
    "home",
    [
        "system/usr/lib/jvm/temurin-21-jdk-amd64",
        "system/Library/Java/JavaVirtualMachines/temurin 21.jdk/Contents/Home",
        "system/opt/homebrew/opt/openjdk@17",
        "system/usr/local/opt/openjdk@21",
        "home/.sdkman/candidates/java/21.0.4-tem",
    ],
)
def test_java_is_found_in(machine, home):
    machine.python("3.13.5")
    good = machine.java("21", home)
    assert machine.run().returncode == 0
    assert machine.spark_s_java() == good


def test_a_java_that_does_not_start_is_passed_over(machine):
    machine.python("3.13.5")
    machine.program("java", "#!/bin/bash\nexit 1\n")
    machine.program("java", "no program", machine.system / "usr/lib/jvm/a-foreign-one/bin")
    good = machine.java("17", "system/usr/lib/jvm/java-17")
    assert machine.run(JAVA_HOME="/nonexistent").returncode == 0
    assert machine.spark_s_java() == good


def test_where_spark_cannot_be_told_its_java_the_caller_is(tmp_path):
    machine = Machine(tmp_path, "the project")
    machine.python("3.13.5")
    java = machine.java_on_path("21")
    done = machine.run()
    assert done.returncode == 0 and done.stderr.endswith(f"a space in its name: export JAVA_HOME={java}\n")
    assert machine.spark_s_java() == "none"


def test_spark_looks_for_itself_when_its_java_has_been_removed(machine):
    machine.python("3.13.5")
    machine.run(JAVA_HOME=machine.java("17", "own"))
    shutil.rmtree(machine.folder / "own")
    assert machine.spark_s_java() == "none"


# ----------------------------------------------------------------------------------------------------------- Python


def python_of(machine: Machine) -> str:
    said = machine.run().stderr
    return Path(re.search(r"creating \.venv with (\S+)", said)[1]).name if "creating" in said else said


@pytest.mark.parametrize("version", ["3.11.2", "3.12.9", "3.13.5", "3.14.0"])
def test_the_machine_s_own_python_is_used_where_it_fits(machine, version):
    machine.java_on_path("21")
    machine.python(version)
    machine.python("3.12.1", "python3.12")
    assert python_of(machine) == "python3"


@pytest.mark.parametrize("version, venv", [("3.10.12", True), ("3.15.0", True), ("3.11.2", False)])
def test_another_python_is_used_where_it_does_not(machine, version, venv):
    machine.java_on_path("21")
    machine.python(version, venv=venv)
    assert f"Python 3.11 to 3.14 with venv and ensurepip, found Python {version}" in python_of(machine)
    machine.python("3.14.0", "python3.14")
    assert python_of(machine) == "python3.14"


def test_an_environment_whose_python_is_gone_is_made_anew(machine):
    machine.java_on_path("21")
    machine.python("3.13.5")
    assert "creating" in machine.run().stderr
    assert "creating" not in machine.run().stderr
    (machine.project / ".venv/bin/python").unlink()
    assert "creating" in machine.run().stderr


# --------------------------------------------------------------------------------- what is missing, and who installs it

BOOKWORM, TRIXIE = ("ID=debian", "VERSION_CODENAME=bookworm"), ("ID=debian", "VERSION_CODENAME=trixie")
UBUNTU = ("ID=ubuntu", "ID_LIKE=debian", "VERSION_CODENAME=noble")
JAVA_17, JAVA_21 = {"openjdk_17_jre_headless": "17.0.15+6-1"}, {"openjdk_21_jre_headless": "21.0.7+6-1"}
APT = "sudo apt-get update && sudo apt-get install -y"


@pytest.mark.parametrize(
    "release, known, packages",
    [
        (BOOKWORM, {"python3": "3.11.2-1+b1"} | JAVA_17, "python3 python3-venv openjdk-17-jre-headless"),
        (TRIXIE, {"python3": "3.13.5-1"} | JAVA_21, "python3 python3-venv openjdk-21-jre-headless"),
        (UBUNTU, {"python3": "3.12.3-0ubuntu2"} | JAVA_17 | JAVA_21, "python3 python3-venv openjdk-17-jre-headless"),
        (
            UBUNTU,
            {"python3": "3.10.6-1~22.04", "python3.11": "3.11.0~rc1-1~22.04"} | JAVA_17,
            "python3.11 python3.11-venv openjdk-17-jre-headless",
        ),
        (BOOKWORM, {}, "python3 python3-venv openjdk-17-jre-headless"),  # apt has no lists yet
        (TRIXIE, {}, "python3 python3-venv openjdk-21-jre-headless"),
    ],
)
def test_who_is_not_root_is_told_the_command_of_debian_and_ubuntu(machine, release, known, packages):
    machine.debian(*release, **known)
    done = machine.run()
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Missing on this machine:",
        "  - Python 3.11 to 3.14 with venv and ensurepip, found none",
        "  - Java 17 to 22 for Spark, found none",
        f"To install: {APT} {packages}",
    ]
    assert machine.calls("apt-get") == [] and not (machine.project / ".venv").exists()


def test_only_what_is_missing_is_named_with_what_was_found(machine):
    machine.debian(**JAVA_21)
    machine.python("3.13.5")
    newest = machine.java("25", "system/usr/lib/jvm/java-25")
    assert machine.run(JAVA_HOME=newest).stderr.splitlines() == [
        "Missing on this machine:",
        f"  - Java 17 to 22 for Spark, found 25 in {newest}",
        f"To install: {APT} openjdk-21-jre-headless",
    ]


@pytest.mark.parametrize("user, sudo", [("1000", "sudo "), ("0", "")])
def test_fedora_s_command(machine, user, sudo):
    (machine.system / "etc/os-release").write_text("ID=fedora\n")
    machine.program("id", f"#!/bin/bash\necho {user}\n")
    (machine.folder / "bin/ps").unlink()
    last = machine.run().stderr.splitlines()[-1]
    assert last == f"To install: {sudo}dnf install -y python3.13 java-21-openjdk-headless procps-ng"


def test_macos_command(machine):
    machine.program("uname", "#!/bin/bash\necho Darwin\n")
    assert machine.run().stderr.splitlines()[-1] == "To install: brew install python@3.13 openjdk@21"


def test_elsewhere_it_is_said_where_it_is(machine):
    done = machine.run()
    assert done.returncode == 1 and "To install" not in done.stderr
    assert "no package here has it, see https://www.python.org/downloads" in done.stderr
    assert "no package here has it, see https://adoptium.net/temurin/releases?version=21" in done.stderr


def test_root_on_debian_gets_what_is_missing_with_one_update_and_one_installation(machine):
    machine.debian(root=True, python3="3.11.2-1", openjdk_17_jre_headless="17")  # the lists of a release before
    for package in ("python3", "openjdk-17-jre-headless"):
        (machine.folder / "packages" / package).write_text("echo 'too old' >&2; exit 1")
    shutil.rmtree(machine.folder / "lists")
    (machine.folder / "lists").mkdir()
    python = machine.program(
        "python", PYTHON, machine.folder / "deb", version="3.13.5", venv=True, python=sys.executable
    )
    java = machine.program("java", JAVA, machine.folder / "deb", version="21")
    machine.server("python3", "3.13.5-1", f"cp {python} {machine.folder}/bin/python3")
    machine.server("python3-venv", "3.13.5-1")
    jvm = machine.system / "usr/lib/jvm/java-21-openjdk-amd64"
    machine.server("openjdk-21-jre-headless", "21.0.7", f"mkdir -p {jvm}/bin && cp {java} {jvm}/bin/java")
    done = machine.run()
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert machine.calls("apt-get") == [
        "apt-get update",
        "apt-get install -y --no-install-recommends python3 python3-venv openjdk-21-jre-headless",
    ]
    assert done.stderr.splitlines() == [
        "asking the package servers what they have",
        "installing python3 python3-venv openjdk-21-jre-headless; this takes a minute",
        f"creating .venv with {machine.folder}/bin/python3",
        "installing the pinned requirements into .venv; the first time takes a minute",
    ]
    assert machine.spark_s_java() == str(jvm) and (machine.project / ".venv/installed").exists()


def test_an_update_that_fails_is_shown_and_what_was_known_is_installed(machine):
    machine.debian(root=True, **JAVA_21)
    machine.python("3.13.5")
    (machine.folder / "offline").touch()
    java = machine.program("java", JAVA, machine.folder / "deb", version="21")
    (machine.folder / "packages/openjdk-21-jre-headless").write_text(f"cp {java} {machine.folder}/bin/java")
    done = machine.run()
    assert done.returncode == 0
    assert "E: Failed to fetch the lists\napt-get update failed: going on with what was known before\n" in done.stderr


def test_an_installation_that_fails_shows_its_own_error_and_ends_set_up(machine):
    machine.debian(root=True)
    machine.python("3.13.5")
    done = machine.run()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-4:] == [
        "E: Unable to locate package openjdk-21-jre-headless",
        "Missing on this machine:",
        "  - Java 17 to 22 for Spark, found none",
        "To install: apt-get update && apt-get install -y openjdk-21-jre-headless",
    ]


def test_a_release_that_has_only_a_java_that_is_too_new_is_told_in_one_line(machine):
    machine.debian("ID=debian", root=True)
    machine.python("3.13.5")
    machine.server("default-jre-headless", "2:1.25-77")
    machine.server("openjdk-25-jre-headless", "25.0.5+8-1")
    done = machine.run()
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "Missing on this machine:",
        "  - Java 17 to 22 for Spark, found none; no package here has it, see"
        " https://adoptium.net/temurin/releases?version=21",
    ]
    assert machine.calls("apt-get") == ["apt-get update"]


def test_a_release_whose_python_is_too_old_is_not_told_to_install_it(machine):
    machine.debian(**{"python3": "3.9.2-3"})
    machine.java_on_path("17")
    assert machine.run().stderr.splitlines()[1:] == [
        "  - Python 3.11 to 3.14 with venv and ensurepip, found none; no package here has it, see"
        " https://www.python.org/downloads"
    ]


# ------------------------------------------------------------------------------- what single targets of make ask for


def test_a_target_is_told_in_a_line_each_what_it_needs_and_how_it_is_installed(machine):
    machine.debian()
    done = machine.run("need", "gcloud", "terraform")
    assert done.returncode == 1
    gcloud, terraform = done.stderr.splitlines()
    assert gcloud.startswith(
        "gcloud is not on PATH, and this needs it. To install: curl https://sdk.cloud.google.com |"
    )
    assert terraform.startswith("terraform is not on PATH") and terraform.endswith("sudo apt-get install -y terraform")
    machine.program("gcloud", "#!/bin/bash\n")
    assert machine.run("need", "gcloud", "terraform").stderr.splitlines() == [terraform]
    assert machine.run("need", "gcloud").returncode == 0


def test_bare_machines_are_built_by_root_with_debootstrap(machine):
    shutil.copy(ROOT / "tests/bare_machine.sh", machine.project)
    (machine.project / "tests").mkdir()
    shutil.move(machine.project / "bare_machine.sh", machine.project / "tests")
    command = ["bash", "tests/bare_machine.sh"]

    def said() -> str:
        done = subprocess.run(
            command, cwd=machine.project, env=machine.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        return done.stderr

    assert said() == "make test-bare builds whole machines and has to be root: sudo make test-bare\n"
    machine.debian(root=True)
    machine.program("unshare", "#!/bin/bash\n")
    assert said() == "debootstrap is not on PATH, and this needs it. To install: apt-get install -y debootstrap\n"


@pytest.mark.parametrize(
    "system, tool, command",
    [
        ("Darwin", "gcloud", "brew install --cask gcloud-cli"),
        ("Darwin", "terraform", "brew install hashicorp/tap/terraform"),
        ("Linux", "terraform", "https://developer.hashicorp.com/terraform/install"),
    ],
)
def test_it_is_another_command_on_another_system(machine, system, tool, command):
    machine.program("uname", f"#!/bin/bash\necho {system}\n")
    assert machine.run("need", tool).stderr.endswith(f" To install: {command}\n")
