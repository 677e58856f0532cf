"""The steps by their names, and each as a program with its flags. The order is that in which they need one another."""

from typing import NamedTuple

from brigade.errors import WrongInput
from brigade.steps.environment import Environment

STEPS = {  # what each does, for --help
    "make_data": "converts the landed JSON lines to parquet",
    "train_model": "trains, tests, decides, and writes a dated model",
    "predict": "predicts all events in bulk with the model that serves",
    "monitor": "compares what has landed since the last look with what the model has learned",
}
ALL = "all"
OF_ALL = ("make_data", "train_model", "predict")  # after a training there is nothing to look at yet


class Command(NamedTuple):
    """A step as a program. program: its file's name."""

    step: str
    program: str
    arguments: list[str]


def commands(step: str, environment: Environment) -> list[Command]:
    """The programs of a step, or of `all`, in their order. Raises WrongInput if the environment has no path for it."""
    paths, pipeline = environment.paths, f"--pipeline={environment.pipeline}"
    found = [
        Command("make_data", "spark_sql.py", [paths.input, paths.parquet, f"--quarantine_path={paths.quarantine}"]),
        Command("train_model", "train_ml_model.py", [paths.parquet, paths.models]),
        Command("predict", "predict.py", [paths.parquet, paths.predictions, f"--models={paths.models}"]),
    ]
    if paths.monitoring:
        looked = [paths.parquet, f"--models={paths.models}", f"--output={paths.monitoring}"]
        found.append(Command("monitor", "monitor.py", looked))
    elif step == "monitor":
        raise WrongInput("paths.monitoring: expected where findings go, found nothing; add it to the environment")
    if environment.dataproc:  # a package that did not come to the cluster ends the run in its first seconds
        found[0].arguments.append("--check_packages")
    wanted = OF_ALL if step == ALL else (step,)
    return [one._replace(arguments=[*one.arguments, pipeline]) for one in found if one.step in wanted]
