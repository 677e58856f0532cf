"""The promoted model on Vertex AI: a version in the Model Registry, and an endpoint that answers with it.

    make gcp-vertex DO=upload PROJECT=P IMAGE=I                  the model that serves: a version, alias champion
    make gcp-vertex DO=upload PROJECT=P IMAGE=I CHALLENGER=NAME  that model, or NAME/RUN_ID: one, alias challenger
    make gcp-vertex DO=deploy PROJECT=P                          the champion answers all requests
    make gcp-vertex DO=deploy PROJECT=P PERCENT=10               the challenger answers 10 of 100
    make gcp-vertex DO=undeploy PROJECT=P                        nothing answers, and nothing costs any more
    make gcp-vertex DO=list PROJECT=P                            the versions, their aliases and their traffic

A DEPLOYED VERSION COSTS MONEY UNTIL IT IS UNDEPLOYED, whether it is asked or not: Vertex AI keeps at least one machine
for each, about 56 dollars a month for an e2-standard-2 in us-central1. `deploy` asks before it deploys; YES=1 answers.
Versions that are not deployed, and an endpoint without any, cost nothing.

The image is the Dockerfile's `serve`. `upload` copies nothing: the version's artifact URI is the run's folder, of which
Vertex AI makes a copy of its own, and MODEL_PIN says which run it is. `gcloud` does the work. Terraform's outputs say
where the models lie, unless --models_uri and --model_prefix do.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from brigade.models.manifest import check_prefix, model_and_run
from gcp import preflight
from gcp.commands import (
    Failed,
    Terraform,
    WrongArguments,
    ask,
    ask_json,
    finish,
    needed,
    parse,
    parser,
    python,
    run,
    say,
)
from gcp.costs import HOURS, PRICES

CHAMPION, CHALLENGER = "champion", "challenger"
MACHINE = "e2-standard-2"
COST = (
    "A DEPLOYED VERSION COSTS MONEY UNTIL `make gcp-vertex DO=undeploy`, whether it is asked or not.\n"
    f"Each has a machine of its own at least; a month of {MACHINE} in us-central1: "
    f"{PRICES['vertex_node'][0] * HOURS:.0f} dollars."
)


class Place(NamedTuple):
    """Where the model and its endpoint are; both have the name that stands before the date in the models' names."""

    project: str
    region: str
    name: str

    @property
    def flags(self) -> list[str]:
        return [f"--project={self.project}", f"--region={self.region}"]

    def versions(self) -> dict[str, dict]:
        """The model's versions by their numbers, the newest first; none if there is no such model. Raises Failed."""
        command = ["gcloud", "ai", "models", "list", *self.flags, f"--filter=name~/models/{self.name}$"]
        if not ask_json([*command, "--format=json"]):
            return {}
        found = ask_json(["gcloud", "ai", "models", "list-version", self.name, *self.flags, "--format=json"]) or []
        return {one["versionId"]: one for one in sorted(found, key=lambda one: -int(one["versionId"]))}

    def endpoint(self) -> dict | None:
        """The endpoint with its deployed models and traffic; None if there is none. Raises Failed."""
        command = ["gcloud", "ai", "endpoints", "list", *self.flags, f"--filter=name~/endpoints/{self.name}$"]
        return next(iter(ask_json([*command, "--format=json"]) or []), None)


def deployed_versions(endpoint: Mapping | None) -> dict[str, str]:
    """{version: id of the deployed model}."""
    return {one["modelVersionId"]: one["id"] for one in (endpoint or {}).get("deployedModels", [])}


def with_alias(versions: Mapping[str, dict], alias: str) -> str:
    """The number of the version that has the alias; "" if none has."""
    return next((number for number, one in versions.items() if alias in one.get("versionAliases", [])), "")


def as_split(shares: Mapping[str, int]) -> str:
    return "--traffic-split=" + ",".join(f"{one}={share}" for one, share in shares.items())


# --------------------------------------------------------------------------------------------------------- commands


def upload(place: Place, models_uri: str, image: str, challenger: str) -> dict:
    """Makes a run a version with its alias, unless the version that has the alias is of that run already."""
    alias = CHALLENGER if challenger else CHAMPION
    which = [challenger] if challenger else [f"--model_prefix={place.name}"]
    shown = json.loads(ask(python("-m", "brigade.models", "show", models_uri, *which, "--json")))
    pin = f"{shown['model']}/{shown['runId']}"
    about = {"project": place.project, "model": place.name, "run": pin, "alias": alias}
    versions = place.versions()
    holder = with_alias(versions, alias)
    if holder and versions[holder].get("versionDescription") == pin:
        say(f"{pin} is version {holder} and {alias} already; nothing was uploaded")
        return about | {"version": holder, "uploaded": False}
    parent = f"projects/{place.project}/locations/{place.region}/models/{place.name}"
    command = ["gcloud", "ai", "models", "upload", *place.flags]
    command += [
        f"--display-name={place.name}",
        f"--parent-model={parent}" if versions else f"--model-id={place.name}",
        f"--artifact-uri={models_uri.rstrip('/')}/{shown['model']}/runs/{shown['runId']}/",
        f"--container-image-uri={image}",
        "--container-ports=8080",
        "--container-health-route=/healthz",
        "--container-predict-route=/predict",
        f"--container-env-vars=MODEL_PIN={pin},MODEL_PREFIX={place.name}",
        f"--version-description={pin}",
        f"--version-aliases={alias}" + ",default" * (alias == CHAMPION),
        "--format=json",
    ]
    version = json.loads(ask(command, errors=None))["modelVersionId"]
    say(f"{pin} is version {version} of {place.name}, {alias}")
    return about | {"version": version, "uploaded": True}


def deploy(place: Place, percent: int, machine: str, yes: bool) -> dict:
    """Lets the champion answer, and of 100 requests the challenger as many as are asked; what else is deployed goes.

    A version that is new on the endpoint takes its share when it is ready. So somebody answers all the time.
    """
    versions = place.versions()
    wanted = {CHAMPION: 100 - percent} | ({CHALLENGER: percent} if percent else {})
    shares = {}
    for alias, share in wanted.items():
        if not (number := with_alias(versions, alias)):
            raise Failed(f"expected a version of {place.name} with the alias {alias}, found none; DO=upload makes one")
        shares[number] = share
    confirm(yes)
    if place.endpoint() is None:
        command = ["gcloud", "ai", "endpoints", "create", *place.flags]
        run([*command, f"--display-name={place.name}", f"--endpoint-id={place.name}"])
    champion = next(iter(shares))
    for number in shares:
        if number not in (deployed := deployed_versions(place.endpoint())):
            split = {"0": 100} if number == champion else {"0": percent, deployed[champion]: 100 - percent}
            deploy_version(place, number, versions[number].get("versionDescription") or place.name, machine, split)
    deployed = deployed_versions(endpoint := place.endpoint())
    split = {deployed[number]: share for number, share in shares.items()}
    if {one: share for one, share in endpoint.get("trafficSplit", {}).items() if share} != split:
        run(["gcloud", "ai", "endpoints", "update", place.name, *place.flags, as_split(split)])
    for number in deployed.keys() - shares.keys():
        undeploy_model(place, deployed[number])
    told = ", ".join(f"{alias} {number}: {shares[number]} %" for alias, number in zip(wanted, shares, strict=True))
    say(f"{place.name} answers; {told}")
    return {"project": place.project, "endpoint": place.name, "traffic": shares}


def deploy_version(place: Place, number: str, title: str, machine: str, split: Mapping[str, int]) -> None:
    """Deploys a version; its number is the deployed model's id too."""
    say("this takes Vertex AI some minutes")
    command = ["gcloud", "ai", "endpoints", "deploy-model", place.name, *place.flags, f"--model={place.name}@{number}"]
    command += [f"--deployed-model-id={number}", f"--display-name={title}", f"--machine-type={machine}"]
    run([*command, "--min-replica-count=1", "--max-replica-count=1", as_split(split)])


def undeploy_model(place: Place, deployed_id: str) -> None:
    """Undeploys a model that has no traffic."""
    command = ["gcloud", "ai", "endpoints", "undeploy-model", place.name, *place.flags]
    run([*command, f"--deployed-model-id={deployed_id}"])


def confirm(yes: bool) -> None:
    """Says what it costs, and returns if that is wanted. Raises Failed."""
    say(COST)
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failed("expected YES=1, or a terminal to ask at; nothing was deployed")
    say("Deploy? Only yes does.")
    if sys.stdin.readline().strip() != "yes":
        raise Failed("nothing was deployed")


def undeploy(place: Place) -> dict:
    """Takes everything from the endpoint, which stays, empty and for nothing."""
    deployed = deployed_versions(endpoint := place.endpoint())
    if (endpoint or {}).get("trafficSplit"):
        run(["gcloud", "ai", "endpoints", "update", place.name, *place.flags, "--clear-traffic-split"])
    for deployed_id in deployed.values():
        undeploy_model(place, deployed_id)
    say(f"{len(deployed)} undeployed; nothing of {place.name} costs anything now")
    return {"project": place.project, "endpoint": place.name, "undeployed": sorted(deployed)}


def check_not_deployed(place: Place, settings: str) -> None:
    """Raises Failed while a version is deployed, which no other command would end."""
    if deployed := deployed_versions(place.endpoint()):
        raise Failed(
            f"{place.name} is deployed on Vertex AI, in {len(deployed)} version(s), and would go on to cost money; end "
            f"that first: make gcp-vertex DO=undeploy {settings}"
        )


def show(place: Place) -> dict:
    """Says what there is: a line a version."""
    versions, endpoint = place.versions(), place.endpoint()
    deployed, split = deployed_versions(endpoint), (endpoint or {}).get("trafficSplit", {})
    rows = []
    for number, one in versions.items():
        traffic = split.get(deployed[number], 0) if number in deployed else None
        aliases = sorted(one.get("versionAliases", []))
        rows.append({"version": number, "aliases": aliases, "run": one.get("versionDescription"), "traffic": traffic})
        state = "not deployed" if traffic is None else f"deployed, {traffic} % of the traffic"
        say(f"{place.name}@{number}  {rows[-1]['run'] or '?'}  {', '.join(aliases) or 'no alias'}  {state}")
    if not rows:
        say(f"no version of {place.name} in {place.project}, {place.region}")
    return {"project": place.project, "model": place.name, "versions": rows}


# -------------------------------------------------------------------------------------------------------- arguments


def settings(flags: argparse.Namespace) -> tuple[Place, str]:
    """The place, and where the models lie; what no flag says, Terraform's outputs do. Raises WrongArguments, Failed."""
    region, name, uri = flags.region, flags.model_prefix, flags.models_uri
    if not name or flags.action == "upload" and not uri:
        preflight.require_tools()
        terraform = Terraform(flags.project, flags.prefix)
        outputs = terraform.outputs()
        region, made, bucket = needed(outputs, ["region", "model_prefix", "output_bucket"], terraform)
        if not outputs.get("vertex"):
            told = "expected somebody in vertex_operators of terraform/terraform.tfvars, found nobody; set it, and call"
            raise Failed(f"{told} make gcp-up {terraform.settings}")
        name, uri = name or made, uri or f"gs://{bucket}/output/"
    try:
        check_prefix(name)
    except ValueError as problem:
        raise WrongArguments(f"--model_prefix: {problem}") from None
    if flags.challenger:
        try:
            model_and_run(flags.challenger, name)
        except ValueError as problem:
            raise WrongArguments(f"--challenger: {problem}") from None
    if flags.action == "upload" and not flags.image:
        raise WrongArguments("--image: expected the image that the Dockerfile's serve was pushed as, found none")
    if not uri.startswith("gs://") and flags.action == "upload":
        raise WrongArguments(f"--models_uri: expected gs://BUCKET/FOLDER, from where Vertex AI copies, found {uri!r}")
    return Place(flags.project, region, name), uri


def share(text: str) -> int:
    if not text.isdecimal() or int(text) > 99:
        raise argparse.ArgumentTypeError(f"expected 0 to 99 of 100 requests, found {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser("gcp.vertex", __doc__)
    arguments.add_argument("action", choices=("upload", "deploy", "undeploy", "list"))
    arguments.add_argument("--image", default="", help="upload: the container image, in Artifact Registry")
    arguments.add_argument("--challenger", default="", metavar="NAME[/RUN_ID]", help="upload: this one, as challenger")
    arguments.add_argument("--challenger_percent", type=share, default=0, metavar="N", help="deploy: default: 0")
    arguments.add_argument("--machine_type", default=MACHINE, metavar="TYPE", help=f"deploy: default: {MACHINE}")
    arguments.add_argument("--yes", action="store_true", help="deploy: yes, it may cost money")
    arguments.add_argument("--models_uri", default="", metavar="URI", help="default: where Terraform says they lie")
    arguments.add_argument("--model_prefix", default="", metavar="NAME", help="default: that of Terraform's pipeline")
    flags = parse(arguments, argv)
    if not flags.project:
        return preflight.without_project("gcp-vertex")

    def work() -> dict:
        place, uri = settings(flags)
        if flags.action == "upload":
            return upload(place, uri, flags.image, flags.challenger)
        if flags.action == "deploy":
            return deploy(place, flags.challenger_percent, flags.machine_type, flags.yes)
        return undeploy(place) if flags.action == "undeploy" else show(place)

    return finish(work, flags.json, "gcp-vertex")


if __name__ == "__main__":
    sys.exit(main())
