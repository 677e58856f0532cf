"""The Dockerfile: what goes into the two images, and that what goes into `serve` is enough to serve."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from local import emulators, guard
from tests.conftest import ROOT
from tests.deploy.test_requirements import pins
from tests.models.written_models import OLD, tiny_model, write_model
from tests.models.written_tables import ROW, wine_model, write_wine
from tests.serving.test_alone import ELSEWHERE, answer

PINNED = re.compile(r"[a-z0-9./-]+(:[\w.-]+)?@sha256:[0-9a-f]{64}")
LOCKS = ("serve", "landing", "build")


class Stage(NamedTuple):
    base: str
    instructions: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [text for instruction, text in self.instructions if instruction == name]


def read_stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name; comments dropped, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    found: dict[str, Stage] = {}
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        instruction, text = line.split(maxsplit=1)
        if instruction == "FROM":
            base, _, name = text.partition(" AS ")
            found[name] = Stage(base, [])
        else:
            found[name].instructions.append((instruction, text))
    return found


STAGES = read_stages()
FINAL = ("landing", "serve")


def lineage(name: str) -> list[Stage]:
    """The stage and the stages that it begins with, the first one first."""
    base = STAGES[name].base
    return [*(lineage(base) if base in STAGES else []), STAGES[name]]


def environment(name: str) -> dict[str, str]:
    pairs = [pair for stage in lineage(name) for text in stage.all("ENV") for pair in text.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def copied(name: str) -> list[str]:
    """The files and folders of this repository that the stage copies."""
    texts = [text for text in STAGES[name].all("COPY") if not text.startswith("--from=")]
    return [file for text in texts for file in text.split()[:-1]]


# ---------------------------------------------------------------------------------------------------- what it says


def test_there_is_one_image_for_each_target_and_serving_is_the_default():
    assert set(FINAL) < set(STAGES) and list(STAGES)[-1] == "serve"


def test_every_base_image_is_pinned_by_digest():
    bases = [stage.base for stage in STAGES.values() if stage.base not in STAGES]
    assert len(bases) == 3 and all(PINNED.fullmatch(base) for base in bases), bases


def test_the_function_does_not_run_as_root_and_only_the_dataflow_image_does():
    (user,) = STAGES["serve"].all("USER")
    number, _, group = user.partition(":")
    assert int(number) > 0 and int(group) > 0  # a number: a cluster that refuses root can read it
    assert not any(stage.all("USER") for stage in lineage("landing"))
    assert "# It runs as root: Dataflow" in (ROOT / "Dockerfile").read_text()


def test_the_servers_own_socket_has_a_place_where_the_functions_user_may_write():
    """gunicorn makes it below HOME; the user has none, and each start would log an error."""
    assert "--no-create-home" in " ".join(STAGES["serve"].all("RUN")) and environment("serve")["HOME"] == "/tmp"


def test_every_package_is_checked_by_its_hash_and_no_other_door_is_open():
    runs = [text for stage in STAGES.values() for text in stage.all("RUN")]
    installs = [part for text in runs for part in text.split("&&") if "pip install" in part]
    (own,) = [part for part in installs if part.endswith(" /source")]
    assert "--no-index" in own and "--no-deps" in own and "--no-build-isolation" in own
    installs.remove(own)
    assert len(installs) == len(LOCKS)
    for part in installs:
        assert "--require-hashes" in part and "--no-cache-dir" in part and "--only-binary=:all:" in part
        assert re.fullmatch(r"/tmp/(\w+)\.txt", part.split("--requirement=")[1].strip())
    assert not re.search(r"\b(curl|wget|apt-get|git)\b", " ".join(runs))
    assert not any(stage.all("ADD") + stage.all("ARG") for stage in STAGES.values())


def test_nothing_that_builds_is_in_a_final_image():
    """Packages come from a stage of their own; what remains are files of this repository and three programs."""
    for name in FINAL:
        assert not re.search(r"\b(pip install|go install|gcc)\b", " ".join(STAGES[name].all("RUN")))
    froms = [re.match(r"--from=([\w-]+)", text)[1] for text in STAGES["landing"].all("COPY") if "--from" in text]
    assert froms == ["boot", "launcher", "landing-packages"]


def test_no_setting_is_a_secret_and_output_is_not_held_back():
    for name in FINAL:
        assert environment(name)["PYTHONUNBUFFERED"] == "1"
        assert not re.search(r"(?i)secret|password|token|key|credential", " ".join(environment(name)))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_version_with_hashes(lock):
    entries = re.split(r"\n(?=[a-z])", (ROOT / "docker" / f"{lock}.txt").read_text())[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+(\[\w+\])?==\S+", entry) and "--hash=sha256:" in entry, entry[:80]


@pytest.mark.parametrize("lock", ["serve", "landing"])
def test_a_locks_versions_are_the_projects(lock):
    versions = re.findall(r"^([a-z0-9.-]+)(?:\[\w+\])?==(\S+)", (ROOT / "docker" / f"{lock}.txt").read_text(), re.M)
    project = re.findall(r"^([a-z0-9.-]+)(?:\[\w+\])?==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert set(versions) <= set(project)


def test_serving_has_what_the_functions_requirements_say():
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "docker" / "serve.txt").read_text(), re.M))
    for name in ("requirements.txt", "requirements-table.txt"):  # one image serves the models of every pipeline
        assert pins(ROOT / "cloud_function" / name).items() <= locked.items()


def test_the_workers_program_is_of_the_same_beam():
    (run,) = STAGES["boot"].all("RUN")
    version = re.search(r"^apache-beam(?:\[gcp\])?==(\S+)", (ROOT / "docker" / "landing.txt").read_text(), re.M)[1]
    assert f"beam/sdks/v2/python/container@v{version} " in run


# -------------------------------------------------------------------------------------------------- what is copied


def test_the_function_s_folder_is_the_one_that_make_package_builds():
    assert STAGES["serve-source"].all("RUN") == ["python -m local.package"]
    froms = [text for text in STAGES["serve"].all("COPY") if "/source/" in text]
    assert froms == ["--from=serve-source /source/build/cloud_function /function"]
    assert STAGES["serve-source"].all("WORKDIR") == ["/source"] and copied("serve") == []


def test_landing_has_its_door_and_the_package_is_installed():
    assert copied("landing") == ["pubsub_gcs.py"]
    assert {"brigade", "pyproject.toml", "README.md"} < set(copied("landing-packages"))


def test_the_package_is_built_by_the_pinned_setuptools():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    (locked,) = re.findall(r"^(\S+==\S+) ", (ROOT / "docker" / "build.txt").read_text(), re.M)
    assert build["requires"] == [locked]


def test_the_build_sees_what_it_copies_and_nothing_else():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*" and lines[-1] == "**/__pycache__" and all(line.startswith("!") for line in lines[1:-1])
    seen = {str(path.relative_to(ROOT)) for line in lines[1:-1] for path in ROOT.glob(line[1:])}
    assert seen == {file for name in STAGES for file in copied(name)}


def test_what_dataflow_starts_is_where_it_looks_for_it():
    places = [text.split()[-1] for text in STAGES["landing"].all("COPY")]
    assert STAGES["landing"].all("ENTRYPOINT") == ['["/opt/apache/beam/boot"]']
    assert {"/opt/apache/beam/boot", "/opt/google/dataflow/python_template_launcher"} < set(places)
    (folder,), (file,) = STAGES["landing"].all("WORKDIR"), copied("landing")
    assert environment("landing")["FLEX_TEMPLATE_PYTHON_PY_FILE"] == f"{folder}/{file}"
    assert STAGES["landing"].all("HEALTHCHECK") == ["NONE"]


# ------------------------------------------------------------------------------------------------- what it does


@pytest.fixture(scope="module")
def serve(tmp_path_factory) -> Path:
    """What the image has: `function` as its stage builds it, `venv` with the lock's packages by their hashes."""
    place = tmp_path_factory.mktemp("serve")
    for text in STAGES["serve-source"].all("COPY"):
        file, target = text.split()
        target = place / "source" / target / (Path(file).name if target.endswith("/") else "")
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / file).is_dir() else shutil.copy)(ROOT / file, target)
    (run,) = STAGES["serve-source"].all("RUN")
    command = [sys.executable, "-S", *run.split()[1:]]  # without any package
    done = subprocess.run(command, cwd=place / "source", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.copytree(place / "source" / "build" / "cloud_function", place / "function")
    uv, python = str(ROOT / ".venv" / "bin" / "uv"), str(place / "venv" / "bin" / "python")
    lock = str(ROOT / "docker" / "serve.txt")
    for command in (
        [uv, "venv", "-q", f"--python={sys.executable}", str(place / "venv")],
        [uv, "pip", "install", "-q", f"--python={python}", "--require-hashes", "--no-build", f"--requirement={lock}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
    return place


class Container(NamedTuple):
    port: int
    environment: dict[str, str]

    def is_healthy(self, place: Path) -> bool:
        """What the image's HEALTHCHECK says."""
        (check,) = STAGES["serve"].all("HEALTHCHECK")
        command = json.loads(check.partition("CMD ")[2])
        assert command.pop(0) == "python"
        command = [str(place / "venv" / "bin" / "python"), *command]
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=60).returncode == 0


def start(place: Path, log: Path, **settings: str):
    """The image's ENTRYPOINT with its ENV and these settings; yields a Container."""
    (entry,) = STAGES["serve"].all("ENTRYPOINT")
    command, port = json.loads(entry), emulators.free_port()
    path = f"{place / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    settings = environment("serve") | {"PATH": path, "PORT": str(port)} | settings
    if "AIP_HTTP_PORT" in settings:
        settings |= {"AIP_HTTP_PORT": str(port), "PORT": "1"}  # where no such user may listen
    with open(log, "wb") as output:
        process = guard.start(command, env=settings, stdout=output, stderr=subprocess.STDOUT, cwd=place / "function")
    emulators.wait_for_port(port, process)
    yield Container(port, settings)
    guard.stop(process)


@pytest.fixture
def container(serve, tmp_path, request):
    """The container as `request.param` sets it; its models are in tmp_path/models."""
    (tmp_path / "models").mkdir()
    yield from start(serve, tmp_path / "log", MODELS_URI=str(tmp_path / "models"), **getattr(request, "param", {}))


def test_the_copied_files_and_the_locked_packages_serve(serve, tmp_path, container):
    write_model(tmp_path / "models", OLD, seed=1)
    body = json.dumps({"instances": [{"payload": "some words"}]}).encode()
    assert answer(container.port, "/", body)["predictions"] == [tiny_model(seed=1).predict("some words")]
    assert container.is_healthy(serve)


def test_a_container_without_a_model_is_not_healthy(serve, container):
    assert not container.is_healthy(serve)


@pytest.mark.parametrize("container", [{"MODEL_PREFIX": "wine-model"}], indirect=True)
def test_the_same_image_serves_a_table(serve, tmp_path, container):
    write_wine(tmp_path / "models")
    body = json.dumps({"instances": [ROW]}).encode()
    assert answer(container.port, "/", body)["predictions"] == [wine_model(2).predict(ROW)]


@pytest.mark.parametrize("container", [{"AIP_HTTP_PORT": "as it is free"}], indirect=True)
def test_the_port_of_vertex_ai_goes_before_that_of_cloud_run(tmp_path, container):
    write_model(tmp_path / "models", OLD)
    assert answer(container.port, "/model")["name"] == OLD


@pytest.mark.parametrize("container", [{"FUNCTION_TARGET": "classify"}], indirect=True)
def test_the_same_image_is_the_function_that_classifies_messages(serve, tmp_path, container):
    write_model(tmp_path / "models", OLD)
    assert answer(container.port, "/model")["name"] == OLD and container.is_healthy(serve)


def test_the_build_itself_would_notice_a_missing_package(serve, tmp_path):
    """The RUN line's own commands, in the image's folder."""
    (check,) = [text for text in STAGES["serve"].all("RUN") if "import main" in text]
    parts = [part.strip() for part in check.split("&&")]
    assert parts[0] == "pip check" and parts[1].startswith("python -m compileall")
    python = str(serve / "venv" / "bin" / "python")
    command = parts[2].replace("python", python).replace("MODELS_URI=/models", f"MODELS_URI={tmp_path}")
    done = subprocess.run(["bash", "-c", command], cwd=serve / "function", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    uv = str(ROOT / ".venv" / "bin" / "uv")
    done = subprocess.run([uv, "pip", "check", f"--python={python}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_training_is_not_in_it(serve):
    program = "import importlib.util as u, sys; print([one for one in sys.argv[1:] if u.find_spec(one)])"
    command = [serve / "venv" / "bin" / "python", "-c", program, *ELSEWHERE]
    found = subprocess.run(command, cwd=serve / "function", capture_output=True, text=True)
    assert found.stdout.strip() == "['scipy']", found.stderr  # of XGBoost; serving loads none of it
