"""The Python packages that a cluster must have beside Spark, and whether they are there.

A Dataproc cluster installs them when it starts (workflow_template.yaml, `dataproc:pip.packages`). Without this check, a
package that did not come would end the run only when training begins, after the whole conversion.
"""

import importlib
import logging
import platform
from importlib.metadata import version

import pyspark

from brigade.errors import CannotGoOn, one_line

log = logging.getLogger("packages")

# What conversion and training import: the package's name on PyPI and the module that stands for it.
PACKAGES = {
    "google-cloud-storage": "google.cloud.storage",
    "jinja2": "jinja2",
    "markupsafe": "markupsafe",
    "mmh3": "mmh3",
    "numpy": "numpy",
    "orjson": "orjson",
    "pandas": "pandas",
    "pyarrow": "pyarrow.compute",
    "pydantic": "pydantic",
    "pyyaml": "yaml",
    "safetensors": "safetensors.numpy",
    "scikit-learn": "sklearn.svm",
    "scipy": "scipy.optimize",
    "xgboost-cpu": "xgboost.spark",
}


class PackagesMissing(CannotGoOn):
    """Packages are not installed, or cannot be imported."""


def check_packages() -> None:
    """Imports each package, and logs the versions of Python, Spark and the packages. Raises PackagesMissing."""
    found, problems = [f"Python {platform.python_version()}", f"Spark {pyspark.__version__}"], []
    for name, module in PACKAGES.items():
        try:
            importlib.import_module(module)
            found.append(f"{name} {version(name)}")
        except Exception as problem:  # a package that was built for another version of a second one raises anything
            problems.append(f"{name} ({one_line(problem)})")
    log.info("%s", ", ".join(found))
    if problems:
        raise PackagesMissing(
            f"expected the packages of dataproc:pip.packages in workflow_template.yaml, found no {', '.join(problems)} "
            "on this cluster; docs/first_run.md says what to do"
        )
