"""Makes MLflow say what the folder of models says: a run and a version for each run, and who is champion.

The folder is the truth, and this is the one function that tells MLflow of it: after a training, after a promotion or a
withdrawal, and by hand for what a server that was away has missed. What MLflow has is found by the run's id, a tag, so
nothing is logged twice. A run that a killed process or server left half-logged is still RUNNING and is logged again.
"""

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from brigade.errors import one_line
from brigade.models.commands import list_runs
from brigade.models.decisions import Refused
from brigade.models.manifest import DESCRIPTION_FILE, DOCUMENTS_PREFIX, PassedOver, find_manifest
from brigade.models.store import ModelStore
from brigade.models.verification import read_document
from brigade.storage import Folder
from brigade.tracking.client import connect, is_asked_for
from brigade.tracking.run import MODEL, Run, artifacts, log, read

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger("tracking")

RUN_ID = "run_id"  # the tag that tells runs, and versions, apart
DOCUMENTS = "documents"  # the name of the pipeline whose models carry no definition
CHAMPION, CHALLENGER = "champion", "challenger"
DAMAGED = "damaged"  # with which the state of such a run begins


def sync(uri: str, prefix: str = DOCUMENTS_PREFIX) -> dict:
    """Makes the server that MLFLOW_TRACKING_URI names say what the folder says; returns what was done.

    uri: of the folder of models. prefix: of their names. Raises Refused if there are none, SettingError, and whatever
    MLflow and storage raise.
    """
    client, store = connect(), ModelStore(uri, prefix=prefix)
    rows = sorted(list_runs(store), key=lambda row: (row["trainedAt"] or "", row["runId"] or ""))
    whole = [row for row in rows if not row["state"].startswith(DAMAGED)]
    if not whole:
        raise Refused(f"expected a run in {uri} that is whole, found damaged ones alone")
    pipeline = pipeline_of(store.models, whole[-1])
    registry = Registry(client, pipeline)
    counts = {"runs": 0, "logged": 0, "registered": 0, "changed": 0}
    passed: dict[str, str] = {}
    for row in rows:
        try:
            for what in registry.tell(store.models, row):
                counts[what] += 1
            counts["runs"] += 1
        except PassedOver as problem:
            passed[f"{row['model']}/{row['runId']}"] = one_line(problem)
            logger.warning("passing over %s, run %s: %s", row["model"], row["runId"], one_line(problem))
    champion, challenger = leaders(whole)
    aliases = {CHAMPION: registry.point(CHAMPION, champion), CHALLENGER: registry.point(CHALLENGER, challenger)}
    return {"pipeline": pipeline, **counts, "passedOver": passed, **aliases}


def sync_if_asked(uri: str, prefix: str = DOCUMENTS_PREFIX) -> None:
    """The same if MLFLOW_TRACKING_URI is set. A failure is only a warning: what the folder says is done already."""
    try:
        if is_asked_for():
            logger.info("MLflow: %s", sync(uri, prefix))
    except Exception as error:  # whatever MLflow's server or store says
        prefixed = "" if prefix == DOCUMENTS_PREFIX else f" --model_prefix={prefix}"
        later = f"python -m brigade.tracking sync {uri}{prefixed}"
        logger.warning("the models are written, but MLflow was not told: %s; later: %s", one_line(error)[:150], later)


def leaders(rows: list[dict]) -> tuple[str | None, str | None]:
    """The run ids of champion and challenger: the run that serves, and the newest one if that is another.

    rows: of runs that are whole, as `list_runs` has them, the oldest training first.
    """
    champion = next((row["runId"] for row in rows if row["state"].startswith("serving")), None)
    newest = rows[-1]["runId"]
    return champion, None if newest == champion else newest


def pipeline_of(models: Folder, row: dict) -> str:
    """The name of the pipeline that a run was made with. Raises PassedOver."""
    manifest = find_manifest(models, row["model"], row["runId"])
    definition = read_document(models, row["model"], manifest, DESCRIPTION_FILE).get("pipeline")
    return definition["name"] if definition else DOCUMENTS


class Registry:
    """What MLflow has of a pipeline: its experiment, its registered model, their runs and versions by run id."""

    def __init__(self, client: "MlflowClient", pipeline: str):
        self.client, self.pipeline = client, pipeline
        found = client.get_experiment_by_name(pipeline)
        self.experiment = found.experiment_id if found else client.create_experiment(pipeline)
        if not client.search_registered_models(f"name = '{pipeline}'"):
            client.create_registered_model(pipeline)
        self.aliases = dict(client.get_registered_model(pipeline).aliases)
        runs = pages(client.search_runs, experiment_ids=[self.experiment])
        self.runs = {one.data.tags[RUN_ID]: one for one in runs if RUN_ID in one.data.tags}
        versions = pages(client.search_model_versions, filter_string=f"name = '{pipeline}'")
        self.versions = {one.tags[RUN_ID]: one for one in versions if RUN_ID in one.tags}

    def tell(self, models: Folder, row: dict) -> Iterator[str]:
        """Logs and registers a run of the folder, as far as it is not yet; yields what was done.

        Raises PassedOver if it is damaged, and MLflow has not got it from before.
        """
        run_id = row["runId"]
        tags = {"model": row["model"], RUN_ID: run_id, "state": row["state"], "reason": row["reason"]}
        known, registered = self.runs.get(run_id), self.versions.get(run_id)
        if row["state"].startswith(DAMAGED) and (known is None or registered is None):
            raise PassedOver(row["reason"])
        if known is None or known.info.status != "FINISHED":
            run = read(models, row["model"], run_id)
            tags |= own_tags(run)
            with artifacts(run) as folder:
                if known is None:
                    name = f"{row['model']} {run_id}"
                    known = self.client.create_run(self.experiment, run.started, tags, run_name=name)
                log(self.client, known.info.run_id, run, folder)
            yield "logged"
        tags = {key: known.data.tags[key] for key in known.data.tags if not key.startswith("mlflow.")} | tags
        if registered is None:
            source = f"{known.info.artifact_uri}/{MODEL}"
            made = self.client.create_model_version(
                self.pipeline, source, known.info.run_id, tags, await_creation_for=0
            )
            self.versions[run_id] = made
            yield "registered"
        elif registered.tags | tags != registered.tags:
            for key in tags:
                self.client.set_model_version_tag(self.pipeline, registered.version, key, tags[key])
            yield "changed"
        for key in tags:
            if known.data.tags.get(key) != tags[key]:
                self.client.set_tag(known.info.run_id, key, tags[key])

    def point(self, alias: str, run_id: str | None) -> str | None:
        """Moves an alias to the version of a run, or takes it away; returns the version."""
        version = self.versions[run_id].version if run_id in self.versions else None
        if version is None and alias in self.aliases:
            self.client.delete_registered_model_alias(self.pipeline, alias)
        elif version is not None and str(version) != str(self.aliases.get(alias)):
            self.client.set_registered_model_alias(self.pipeline, alias, version)
        return version and str(version)


def own_tags(run: Run) -> dict[str, str]:
    """The tags of a run that never change."""
    document = run.manifest.document
    return {
        "label": run.manifest.label,
        "code_version": str(document["codeVersion"]),
        "data_version": run.data_version,
    }


def pages(search: Callable, **asked: Any) -> Iterator[Any]:
    """All that a search finds, page by page."""
    token = None
    while True:
        page = search(**asked, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
