"""What `make package` builds: the same bytes each time, enough to start, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from brigade.errors import CannotGoOn
from local import package
from tests.conftest import ROOT

# Starts a door where only the given folder is searched before what is installed, and prints where the package's
# modules come from.
START = """
import importlib, json, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import main, brigade
for module in pkgutil.walk_packages(brigade.__path__, "brigade."):
    importlib.import_module(module.name)
print(json.dumps({name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "brigade"}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("package") / "build"
    package.build(target)
    return target


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project of a few files, which the builder takes for this one."""
    root = tmp_path / "project"
    for name, text in {
        "brigade/__init__.py": "",
        "brigade/storage.py": "",
        "brigade/models/__init__.py": "",
        "brigade/models/store.py": "def current():\n    from brigade.models import files\n",
        "brigade/models/files.py": "import brigade.storage\n",
        "brigade/models/words.txt": "words",
        "brigade/models/pages/report.html.j2": "{{ page }}",
        "brigade/models/unused.py": "",
        "brigade/models/.swap": "",
        "brigade/models/__pycache__/store.cpython-311.pyc": "",
        "brigade/training/__init__.py": "",
        "brigade/training/run.py": "",
        "brigade/training/report.html.j2": "",
        "cloud_function/main.py": "from brigade.models import store\nimport numpy\n",
        "cloud_function/requirements.txt": "numpy\n",
        "cloud_function/notes.md": "",
        "scheduler/main.py": "import json\n",
        "scheduler/create_job.py": "import brigade.training.run\n",
        "scheduler/requirements.txt": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(package, "ROOT", root)
    monkeypatch.setattr(package, "PACKAGE", root / "brigade")
    return root


def contents(folder: Path) -> dict[str, tuple]:
    """Mode, time and bytes of all that is in the folder."""
    found = {}
    for path in folder.rglob("*"):
        status = path.stat()
        about = (oct(status.st_mode), status.st_mtime, path.read_bytes()) if path.is_file() else oct(status.st_mode)
        found[str(path.relative_to(folder))] = about
    return found


def without_zip_time(found: dict[str, tuple]) -> dict[str, object]:
    """The zip file itself is as old as its build; what is in it is not."""
    return found | {"brigade.zip": found["brigade.zip"][2]}


def test_the_same_content_gives_the_same_bytes(built, tmp_path):
    before = os.umask(0o077)
    try:
        package.build(tmp_path / "build")
    finally:
        os.umask(before)
    assert without_zip_time(contents(tmp_path / "build")) == without_zip_time(contents(built))


@pytest.mark.parametrize("name", package.FUNCTIONS)
def test_a_function_s_folder_has_all_that_it_imports_and_nothing_else(built, name, tmp_path):
    folder = tmp_path / "empty" / name
    shutil.copytree(built / name, folder)
    environment = {"PATH": os.environ["PATH"], "MODELS_URI": str(tmp_path)}
    command = [sys.executable, "-I", "-B", "-c", START, str(folder)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {Path(file).relative_to(folder).as_posix() for file in json.loads(done.stdout).values()}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {file for file in files if file.endswith(".py")} == loaded | {"main.py"}
    assert {file for file in files if "/" not in file} == {"main.py", "requirements.txt"}


def test_the_package_can_be_imported_from_the_zip(built):
    program = "import sys; sys.path.insert(0, sys.argv[1]); from brigade import cli, storage; print(storage.__file__)"
    command = [sys.executable, "-I", "-S", "-c", program, str(built / "brigade.zip")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == f"{built / 'brigade.zip'}/brigade/storage.py", done.stderr


def test_the_zip_has_the_whole_package(built):
    tracked = subprocess.run(["git", "ls-files", "brigade"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("this is no git checkout")
    with zipfile.ZipFile(built / "brigade.zip") as archive:
        assert set(tracked.stdout.split()) <= set(archive.namelist())


def test_lazy_imports_and_data_come_along_and_what_is_not_reached_does_not(project, tmp_path):
    files = package.build(tmp_path / "build")
    assert files["scheduler"] == ["main.py", "requirements.txt"]
    models = ["__init__.py", "files.py", "pages/report.html.j2", "store.py", "words.txt"]
    assert files["cloud_function"] == [
        "brigade/__init__.py",
        *(f"brigade/models/{name}" for name in models),
        "brigade/storage.py",
        "main.py",
        "requirements.txt",
    ]
    assert len(files["brigade.zip"]) == 11 and "brigade/training/report.html.j2" in files["brigade.zip"]
    assert {path.name for path in (tmp_path / "build").iterdir()} == set(files)


@pytest.mark.parametrize(
    ("flags", "more"), [([], False), (["--pipeline=documents"], False), (["--pipeline=wine"], True)]
)
def test_a_pipeline_of_tables_has_xgboost_among_its_functions_requirements(tmp_path, monkeypatch, capsys, flags, more):
    build = package.build
    monkeypatch.setattr(package, "build", lambda **given: build(tmp_path / "build", **given))
    assert package.main(flags) == 0
    own = (ROOT / "cloud_function" / "requirements.txt").read_bytes()
    added = (ROOT / "cloud_function" / "requirements-table.txt").read_bytes() if more else b""
    assert (tmp_path / "build" / "cloud_function" / "requirements.txt").read_bytes() == own + added
    trigger = (ROOT / "scheduler" / "requirements.txt").read_bytes()
    assert (tmp_path / "build" / "scheduler" / "requirements.txt").read_bytes() == trigger


def test_a_pipeline_that_is_not_there_is_told_and_nothing_is_built(monkeypatch, capsys):
    monkeypatch.setattr(package, "build", lambda **given: pytest.fail("built"))
    assert package.main(["--pipeline=nothing"]) == 2
    assert "nothing: expected one of" in capsys.readouterr().err


def test_a_build_replaces_the_one_before_and_a_failed_one_leaves_it(project, tmp_path):
    package.build(tmp_path / "build")
    (tmp_path / "build" / "scheduler" / "stale.py").touch()
    (project / "scheduler" / "main.py").write_text("import brigade.storage\n")
    package.build(tmp_path / "build")
    names = {path.name for path in (tmp_path / "build" / "scheduler").iterdir()}
    assert names == {"brigade", "main.py", "requirements.txt"}
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(project)}
    (project / "scheduler" / "main.py").write_text("import (\n")
    with pytest.raises(SyntaxError):
        package.build(tmp_path / "build")
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(project)} == before


@pytest.mark.parametrize("module", ["missing", "files"])
def test_a_module_that_is_missing_or_broken_is_told_and_nothing_is_built(project, tmp_path, module):
    (project / "brigade" / "models" / "files.py").write_text("<<<<<<<\n" if module == "files" else "")
    (project / "cloud_function" / "main.py").write_text(f"def serve():\n    from brigade.models.{module} import one\n")
    said = rf"^cloud_function/main.py: expected modules, .*: \['brigade.models.{module}'\]$"
    with pytest.raises(CannotGoOn, match=said):
        package.build(tmp_path / "build")
    assert not (tmp_path / "build").exists()
