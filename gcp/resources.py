"""Everything that the pipeline needs on Google Cloud, by Terraform: look at the plan, create it, remove it.

    make gcp-plan PROJECT=P                             what would be created or changed
    make gcp-up PROJECT=P                               creates it, after Terraform's own question; YES=1 answers it
    make gcp-down PROJECT=P                             ends landing and removes everything but the data
    make gcp-down PROJECT=P BUCKETS=P-ml-input          and this bucket with all that is in it

    make gcp-up PROJECT=P PIPELINE=wine PREFIX=wine     another pipeline beside it, with names and a state of its own

What `down` keeps stays in Terraform's state, so that a later `up` continues with it. It keeps the custom role, too: the
id of a deleted role can be used again only after 37 days, and a role costs nothing.
"""

import re
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence

from brigade.pipelines.load import WrongDefinition, load
from gcp import preflight, vertex
from gcp.commands import (
    DEFAULT_PIPELINE,
    LANDING_JOB,
    Failed,
    Terraform,
    WrongArguments,
    ask,
    ask_json,
    check_home,
    finish,
    named,
    parse,
    parser,
    run,
    say,
)
from gcp.dataflow import active_jobs, current_state, has_ended
from gcp.google_checks import FREE, api_is_off, bucket_owner

DATA_BUCKETS = ("ml-input", "ml-output", "ml-logs")
CLUSTER = "brigade-cluster"  # what a cluster's name begins with
CUSTOM_ROLE = "google_project_iam_custom_role"
POLL_SECONDS = 10.0
DRAIN_SECONDS = 1800.0
SPREAD_SECONDS, SPREAD_TRIES = 150.0, 4  # between two tries while APIs and grants spread; tries
STORAGE_PRICE = "$0.020 a GB a month in us-central1, https://cloud.google.com/storage/pricing"


# ----------------------------------------------------------------------------------------------------- plan and up


def plan(terraform: Terraform, region: str, pipeline: str) -> dict:
    """Shows what `up` would do."""
    project, variables = terraform.project, terraform.variables(region, pipeline, prefix_of(pipeline))
    preflight.require_tools()
    terraform.prepare(pipeline)
    check_home(outputs := terraform.outputs(), project, region)
    check_pipeline(outputs, terraform, pipeline)
    terraform.run("plan", "-input=false", *variables)
    say(f"nothing was changed; create it with: make gcp-up {terraform.settings}")
    return {"project": project, "region": region}


def up(terraform: Terraform, region: str, pipeline: str, yes: bool) -> dict:
    """Creates everything, or brings it up to date."""
    project, variables = terraform.project, terraform.variables(region, pipeline, prefix_of(pipeline))
    if not preflight.report(preflight.checks(project, region, terraform.prefix)):
        raise Failed("nothing was created: see above what is missing")
    terraform.prepare(pipeline)
    check_home(outputs := terraform.outputs(), project, region)
    check_pipeline(outputs, terraform, pipeline)
    apply(terraform, *["-auto-approve", "-input=false"] * yes, *variables)
    say(f"{project} is up; start landing with: make gcp-landing {terraform.settings}")
    return {"project": project, "region": region}


def prefix_of(pipeline: str) -> str:
    """What stands before the date in the models' names if the pipeline is a URI, which Terraform cannot read. Raises
    WrongArguments if there is no definition, or a wrong one."""
    if not pipeline.startswith("gs://"):
        return ""
    try:
        return load(pipeline).model_prefix
    except WrongDefinition as problem:
        raise WrongArguments("; ".join(problem.problems)) from None


def check_pipeline(outputs: Mapping[str, object], terraform: Terraform, pipeline: str) -> None:
    """Raises Failed where one that is not of documents would become so because nobody has said its pipeline again."""
    found = outputs.get("pipeline", DEFAULT_PIPELINE)
    if not pipeline and found != DEFAULT_PIPELINE:
        raise Failed(
            f"{terraform.settings} was created with PIPELINE={found}, found no PIPELINE; give it again, or another one "
            f"that takes its place: PIPELINE={found}"
        )


def apply(terraform: Terraform, *arguments: str) -> None:
    """Runs `terraform apply`; again, after a pause, if it fails where it has switched on APIs or made grants that are
    used at once.

    Google's grants take two minutes to work everywhere, and at times seven and more. An API, too, may answer that it is
    off for some minutes after it was switched on.
    https://cloud.google.com/iam/docs/access-change-propagation
    https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/google_project_service
    """
    before = spreading(terraform.state())
    for tries_left in reversed(range(SPREAD_TRIES)):
        try:
            return terraform.run("apply", *arguments)
        except Failed:
            made = spreading(terraform.state()) - before
            if not made or not tries_left:
                raise
            say(f"{len(made)} APIs and grants are new; Google's services take minutes to know them. If the error above")
            say("  is of an API that is off, of a permission, or of a build that failed, that is why.")
            say(f"  Trying again in {SPREAD_SECONDS:.0f} s.")
            time.sleep(SPREAD_SECONDS)


def spreading(state: dict) -> set[str]:
    """The addresses of what takes minutes to work everywhere in a state: APIs and grants."""
    kinds = ("google_project_service", "_iam_member")
    return {address for address, about in managed(state).items() if about["type"].endswith(kinds)}


# ------------------------------------------------------------------------------------------------------------ down


def managed(state: dict) -> dict[str, dict]:
    """The resources of a state, by address, without what Terraform only looked up."""
    found = {}
    for resource in state.get("resources", []):
        if resource["mode"] != "managed":
            continue
        module = f"{resource['module']}." if resource.get("module") else ""
        name = f"{module}{resource['type']}.{resource['name']}"
        for instance in resource["instances"]:
            key = instance.get("index_key")
            index = "" if key is None else f"[{key}]" if isinstance(key, int) else f'["{key}"]'
            about = {"type": resource["type"], "name": name, "dependencies": instance.get("dependencies", [])}
            found[f"{name}{index}"] = about | {"attributes": instance.get("attributes", {})}
    return found


def buckets_of(state: dict, names: Collection[str]) -> dict[str, str]:
    """{bucket: its address in the state} for those of the named buckets that are in it."""
    return {
        about["attributes"]["name"]: address
        for address, about in managed(state).items()
        if about["type"] == "google_storage_bucket" and about["attributes"].get("name") in names
    }


def targets(state: dict, kept: Collection[str]) -> list[str]:
    """The addresses to destroy so that the kept ones stay.

    Terraform destroys what depends on a target, too. So everything that a kept resource depends on stays; the state
    lists the dependencies of each resource, direct and indirect.
    """
    resources = managed(state)
    staying = {name for address in kept for name in resources[address]["dependencies"]}
    return [address for address, about in resources.items() if address not in kept and about["name"] not in staying]


def named_buckets(text: str, terraform: Terraform) -> list[str]:
    """The buckets of BUCKETS=…; raises WrongArguments for one that is none of the pipeline's data buckets."""
    names = [name for name in re.split(r"[,\s]+", text) if name]
    own = [terraform.bucket(name) for name in DATA_BUCKETS]
    for name in names:
        if name not in own:
            raise WrongArguments(f"BUCKETS: expected some of {', '.join(own)}, found {name}; nothing was removed")
    return list(dict.fromkeys(names))


def check_no_training(project: str, region: str, prefix: str) -> None:
    """Raises Failed while a cluster of the pipeline runs: its network could not be removed."""
    command = ["gcloud", "dataproc", "clusters", "list", f"--project={project}", f"--region={region}"]
    try:
        found = ask_json([*command, "--filter=labels.app = brigade", "--format=json"]) or []
    except Failed as problem:
        if api_is_off(str(problem)):
            return
        raise
    running = [one["clusterName"] for one in found if one["clusterName"].startswith(named(CLUSTER, prefix))]
    if running:
        name = running[0]
        raise Failed(
            f"a training runs on cluster {name}; wait for its end, or end it with: "
            f"gcloud dataproc clusters delete {name} --project={project} --region={region}"
        )


def drain(project: str, region: str, name: str, seconds: float) -> list[str]:
    """Ends the landing jobs of that name so that nothing they have read is lost, and waits for it; returns their ids.
    Raises Failed when a job does not end."""
    jobs = active_jobs(project, region, name)
    draining = [job["id"] for job in jobs if job["state"] == "Draining"]
    for job in [job["id"] for job in jobs if job["id"] not in draining]:
        command = ["gcloud", "dataflow", "jobs", "drain", job, f"--project={project}", f"--region={region}"]
        answer = ask(command, errors=subprocess.STDOUT)
        if "Failed to drain" in answer:  # which gcloud says with exit status 0
            raise Failed(" ".join(answer.split())[:300])
    end = time.monotonic() + seconds
    for job in [job["id"] for job in jobs]:
        while not has_ended(state := current_state(project, region, job)):
            if time.monotonic() > end:
                raise Failed(
                    f"{name} has not ended within {seconds:g} s and nothing was removed; look at "
                    f"https://console.cloud.google.com/dataflow/jobs/{region}/{job}?project={project}, or throw away "
                    f"what it has not written: gcloud dataflow jobs cancel {job} --project={project} --region={region}"
                )
            time.sleep(POLL_SECONDS)
        say(f"{name} {job}: {state.removeprefix('JOB_STATE_').lower()}")
    return [job["id"] for job in jobs]


def down(terraform: Terraform, region: str, bucket_names: str, yes: bool, drain_seconds: float) -> dict:
    """Removes everything but the data buckets that are not named."""
    project, emptied = terraform.project, named_buckets(bucket_names, terraform)
    preflight.require_tools()
    terraform.prepare()
    outputs, state = terraform.outputs(), terraform.state()
    if not managed(state):
        raise Failed(
            f"expected what was created in {project}, found nothing in Terraform's state here ({terraform.folder}, "
            f"workspace {terraform.workspace_name}); use the folder, or the backend, that `make gcp-up` was called with"
        )
    check_home(outputs, project, str(outputs.get("region") or region))
    region = str(outputs.get("region") or region)
    buckets = buckets_of(state, [terraform.bucket(name) for name in DATA_BUCKETS])
    if absent := [name for name in emptied if name not in buckets]:
        raise Failed(f"expected {', '.join(absent)} in Terraform's state of {project}, found none; nothing was removed")
    check_no_training(project, region, terraform.prefix)
    if outputs.get("vertex"):
        vertex.check_not_deployed(vertex.Place(project, region, str(outputs["model_prefix"])), terraform.settings)
    drained = drain(project, region, named(LANDING_JOB, terraform.prefix), drain_seconds)
    roles = [address for address, about in managed(state).items() if about["type"] == CUSTOM_ROLE]
    going = targets(state, [*buckets.values(), *roles])
    approval = ["-auto-approve", "-input=false"] * yes
    variables = terraform.variables(region, *(str(outputs.get(name) or "") for name in ("pipeline", "model_prefix")))
    if going:
        chosen = [f"-target={address}" for address in going]
        terraform.run("destroy", *approval, *variables, *chosen)
    for name in emptied:
        if bucket_owner(name) != FREE:
            run(["gcloud", "storage", "rm", "--recursive", f"gs://{name}"])
        # The bucket is gone with all versions of its objects; Terraform need not look for it any more.
        terraform.run("state", "rm", buckets.pop(name))
    if emptied and not buckets and (rest := targets(terraform.state(), roles)):  # what the buckets needed
        chosen = [f"-target={address}" for address in rest]
        terraform.run("destroy", "-auto-approve", "-input=false", *variables, *chosen)
    say_what_is_left(terraform, sorted(buckets))
    return {"project": project, "drained": drained, "removed": len(going), "kept": sorted(buckets), "emptied": emptied}


def say_what_is_left(terraform: Terraform, kept: Sequence[str]) -> None:
    project = terraform.project
    say()
    if kept:
        say(f"left, with all their data: {', '.join(f'gs://{name}' for name in kept)}")
        say(f"  what they cost: {STORAGE_PRICE}; how much there is: gcloud storage du -s -r gs://{kept[0]}")
        say(f"  go on with them: make gcp-up {terraform.settings}")
        say(f"  remove them too: make gcp-down {terraform.settings} BUCKETS={','.join(kept)}")
    else:
        say(f"nothing of the pipeline is left in {project} but a custom role; its APIs stay on; neither costs anything")
    say("Google's services keep some of their own, for cents: the repository gcf-artifacts, the buckets gcf-v2-… and")
    say(f"  dataproc-…; an empty project is removed whole with: gcloud projects delete {project}")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser("gcp.resources", __doc__)
    arguments.add_argument("action", choices=("plan", "up", "down"))
    arguments.add_argument("--yes", action="store_true", help="up, down: answer Terraform's question")
    arguments.add_argument("--buckets", default="", metavar="A,B", help="down: remove these with all their data, too")
    arguments.add_argument(
        "--drain_seconds", type=float, default=DRAIN_SECONDS, metavar="S", help=f"down: default {DRAIN_SECONDS:g}"
    )
    arguments.add_argument(
        "--pipeline",
        default="",
        metavar="NAME|URI",
        help=f"plan, up: what is learned of what (default: {DEFAULT_PIPELINE})",
    )
    flags = parse(arguments, argv)
    program = f"gcp-{flags.action}"
    if not flags.project:
        return preflight.without_project(program)
    terraform = Terraform(flags.project, flags.prefix)
    work = {
        "plan": lambda: plan(terraform, flags.region, flags.pipeline),
        "up": lambda: up(terraform, flags.region, flags.pipeline, flags.yes),
        "down": lambda: down(terraform, flags.region, flags.buckets, flags.yes, flags.drain_seconds),
    }
    return finish(work[flags.action], flags.json, program)


if __name__ == "__main__":
    sys.exit(main())
