"""`--check_packages`: a cluster without all its packages ends the run at once, and says which."""

import logging
import sys

import pytest
import yaml

import spark_sql
from brigade import packages
from local.package import reached_files
from tests.conftest import ROOT
from tests.deploy.test_requirements import imports_of


@pytest.fixture
def no_session(monkeypatch):
    monkeypatch.setattr(spark_sql, "open_session", lambda name: pytest.fail("Spark was started"))


def test_the_versions_of_everything_are_logged(caplog):
    caplog.set_level(logging.INFO)
    packages.check_packages()
    (line,) = caplog.messages
    assert [part.rsplit(" ", 1)[0] for part in line.split(", ")] == ["Python", "Spark", *packages.PACKAGES]


@pytest.mark.parametrize(
    ("module", "said"),
    [(None, "found no mmh3 (import of mmh3 halted"), ("this_one_is_broken", "found no mmh3 (numpy.dtype size changed")],
    ids=["missing", "broken"],
)
def test_a_package_that_cannot_be_imported_ends_the_run_before_spark_starts(
    no_session, monkeypatch, capsys, tmp_path, module, said
):
    if module:
        (tmp_path / f"{module}.py").write_text("raise ValueError('numpy.dtype size changed')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(packages.PACKAGES, "mmh3", module)
    else:
        monkeypatch.setitem(sys.modules, "mmh3", None)
    assert spark_sql.main([f"{tmp_path}/input", f"{tmp_path}/parquet", "--check_packages"]) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("spark_sql.py: ")]
    assert len(told) == 1 and said in told[0] and "docs/first_run.md" in told[0]
    assert not (tmp_path / "parquet").exists()


def test_the_packages_are_those_that_the_template_installs_and_that_the_programs_import():
    template = yaml.safe_load((ROOT / "workflow_template.yaml").read_text("utf-8"))
    software = template["placement"]["managedCluster"]["config"]["softwareConfig"]
    installed = [one.partition("==")[0] for one in software["properties"]["dataproc:pip.packages"].split(",")]
    assert sorted(packages.PACKAGES) == sorted(installed)
    imported = set()
    for program in ("spark_sql.py", "train_ml_model.py"):
        for path in (ROOT / program, *reached_files(ROOT / program)):
            imported |= imports_of(path) if path.suffix == ".py" else set()
    with_spark = {"brigade", "pyspark", "py4j"}  # Py4J is how PySpark talks to Java, and comes with it
    elsewhere = {name.split(".")[0] for name in imported} - sys.stdlib_module_names - with_spark
    # With google-cloud-storage come google.auth, google.api_core and urllib3; MLflow is for those who install it.
    with_others = {"urllib3", "mlflow"}
    # XGBoost's part for Spark needs pandas too, which it does not install.
    assert elsewhere - with_others == {module.split(".")[0] for module in packages.PACKAGES.values()}


def test_the_workflow_s_first_program_checks_them():
    template = yaml.safe_load((ROOT / "workflow_template.yaml").read_text("utf-8"))
    (first,) = [job for job in template["jobs"] if not job.get("prerequisiteStepIds")]
    assert first["pysparkJob"]["mainPythonFileUri"].endswith("/spark_sql.py")
    assert spark_sql.parse_arguments(first["pysparkJob"]["args"]).check_packages
