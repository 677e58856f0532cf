"""What Terraform gives to the functions, the scheduler's job and the workflow is what these programs take, and what the
commands of docs/by_hand.md would give them.
"""

import ast
import importlib
import importlib.metadata
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import functions_framework
import pytest
import yaml
from google.auth import environment_vars

from brigade.schedule.job import build_job
from brigade.schedule.job_arguments import LATER, WEEKLY, parse_arguments
from tests.conftest import ROOT
from tests.deploy.test_workflow_template import LARGER, parser_of
from tests.terraform.terraform_project import MONITOR_TEXT, PROJECT, TEMPLATE_TEXT, here, only
from tests.terraform.terraform_run import FILES, TEMPLATE, Plan, Refused, Resource, Terraform
from tests.terraform.test_terraform_names import words
from tests.test_readme import BY_HAND, program

KIND = "google_cloudfunctions2_function"


class Functions:
    """The functions that Terraform makes, and the folders that it zips into them."""

    def __init__(self, terraform: Terraform, plan: Plan):
        self.terraform, self.plan = terraform, plan
        self.all = {one["name"]: one for one in plan.all_of(KIND)}

    def uploaded(self, path: str) -> Path:
        """The file or folder that Terraform uploads from the path."""
        return (self.terraform.folder / path).resolve()

    def source(self, function: Resource) -> Path:
        """The folder that is zipped into the function."""
        place = only(function, "build_config", "source", "storage_source")
        (zipped,) = (one for one in self.plan.all_of("google_storage_bucket_object") if one["name"] == place["object"])
        assert zipped["bucket"] == place["bucket"]
        (made,) = (one for one in self.plan.all_of("archive_file") if one["output_path"] == zipped["source"])
        return self.uploaded(made["source_dir"])


@pytest.fixture
def functions(terraform, plan) -> Functions:
    return Functions(terraform, plan)


@pytest.fixture(params=re.findall(rf'^resource "{KIND}" "(\w+)"', FILES["functions.tf"], re.M))
def function(request, plan) -> Resource:
    """Each function in turn."""
    return plan.instances(f"{KIND}.{request.param}")[None]


@pytest.fixture
def job(plan) -> Resource:
    return plan.instances("google_cloud_scheduler_job.retrain")[None]


def deployments() -> dict[str, dict[str, str]]:
    """Function → flag → value, of the `gcloud functions deploy` commands of docs/by_hand.md."""
    commands = re.findall(r"^gcloud functions deploy (.*)$", re.sub(r"\\\n\s*", "", BY_HAND), re.M)
    found = {}
    for name, *flags in map(shlex.split, commands):
        pairs = (flag.removeprefix("--").partition("=")[::2] for flag in flags)
        found[name] = {flag: value for flag, value in pairs}
    return found


def modules(folder: Path) -> dict[str, ast.Module]:
    """The modules in the folder by their dotted names."""
    names = {path: path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): ast.parse(path.read_text()) for path, parts in names.items()}


def names_read(folder: Path) -> set[str]:
    """The environment variables that the folder's get_env reads."""
    functions = [
        node
        for tree in modules(folder).values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "get_env"
    ]
    texts = [node.value for function in functions for node in ast.walk(function) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)*", text)}


def names_read_by_libraries() -> set[str]:
    """What functions-framework and google-auth read."""
    folder = Path(functions_framework.__file__).parent
    texts = [path.read_text("utf-8") for path in folder.rglob("*.py")]
    framework = {name for text in texts for name in re.findall(r"""environ[^"']*["']([A-Z_]+)["']""", text)}
    return framework | {value for name, value in vars(environment_vars).items() if name.isupper()}


def environment(function: Resource) -> dict[str, str]:
    return only(function, "service_config")["environment_variables"]


def environment_read(function: Resource, folder: Path, monkeypatch, **changes: str) -> object:
    """What the get_env in the function's folder makes of the environment that Terraform gives it."""
    for name in names_read(folder):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment(function), **changes}.items():
        monkeypatch.setenv(name, value)
    (module,) = (name for name, tree in modules(folder).items() if any(is_get_env(node) for node in tree.body))
    return (program(f"{folder.name}/main.py") if module == "main" else importlib.import_module(module)).get_env()


def is_get_env(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "get_env"


def test_a_function_s_entry_point_is_in_its_folder_and_takes_http(functions, function):
    entry_point = only(function, "build_config")["entry_point"]
    (found,) = (
        node
        for node in modules(functions.source(function))["main"].body
        if isinstance(node, ast.FunctionDef) and node.name == entry_point
    )
    assert "functions_framework.http" in [ast.unparse(decorator) for decorator in found.decorator_list]


def test_a_function_s_zip_has_what_it_imports(functions, function):
    folder = functions.source(function)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"main.py", "requirements.txt"} <= files
    assert [name for name in files if not name.endswith((".py", ".txt"))] == []
    imported = {name for tree in modules(folder).values() for node in ast.walk(tree) for name in imports(node)}
    own = {name for name in imported if (ROOT / name.split(".")[0]).is_dir() or (ROOT / f"{name}.py").exists()}
    assert own and own <= modules(folder).keys()


def imports(node: ast.AST) -> list[str]:
    """The modules that a node imports; of `from a import b` also a.b, where that is one of the project's."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom) or not node.module:
        return []
    below = [f"{node.module}.{alias.name}" for alias in node.names]
    return [node.module, *(name for name in below if (ROOT / f"{name.replace('.', '/')}.py").exists())]


def test_a_function_is_given_only_variables_that_something_reads(functions, function):
    assert environment(function).keys() - names_read(functions.source(function)) - names_read_by_libraries() == set()


def test_a_function_understands_the_environment_that_terraform_gives_it(functions, function, plan, monkeypatch):
    read = environment_read(function, functions.source(function), monkeypatch)
    assert read.models_uri == f"gs://{plan.outputs['output_bucket']}/output/"


def test_classify_is_told_both_topics_and_the_trigger_its_template(functions, plan, monkeypatch):
    classify, retrain = functions.all["classify"], functions.all["retrain-trigger"]
    read = environment_read(classify, functions.source(classify), monkeypatch)
    topics = (read.result_topic, read.dead_letter_topic)
    assert {topic.removeprefix(f"projects/{PROJECT}/topics/") for topic in topics} <= plan.named("google_pubsub_topic")
    assert len(set(topics)) == 2
    trigger = environment_read(retrain, functions.source(retrain), monkeypatch)
    assert trigger.template == plan.outputs["workflow_template"]
    assert trigger.template.endswith(f"/{template_of(plan, 'retrain')['name']}")
    assert trigger.monitor_template == plan.outputs["monitor_template"]
    assert trigger.monitor_template.endswith(f"/{template_of(plan, 'monitor')['name']}")
    assert (trigger.early_training, trigger.withdrawal) == ("dry", "dry")
    assert f"{trigger.anchor}" == plan.variables["schedule_anchor"]


def test_the_functions_own_defaults_are_the_variables_defaults(functions, monkeypatch):
    predict = functions.all["predict"]
    folder = functions.source(predict)
    told = environment_read(predict, folder, monkeypatch)
    left_out = environment_read(predict, folder, monkeypatch, MODEL_REFRESH_SECONDS="", MODEL_PIN="", MODEL_PREFIX="")
    assert (told.refresh_seconds, told.pin) == (left_out.refresh_seconds, left_out.pin)
    assert told.model_prefix == left_out.model_prefix


BUILD = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text("utf-8"))["substitutions"]


def test_every_environment_variable_that_is_written_is_read_and_has_terraform_s_value(functions):
    given = {}
    for function in functions.all.values():
        for name, value in environment(function).items():
            given.setdefault(name, set()).add(value)
    read = names_read_by_libraries().union(
        *(names_read(functions.source(function)) for function in functions.all.values())
    )
    found = [(path, pair) for path, pairs in words(r"--set-env-vars=[\"']?([^\s\"']+)") for pair in pairs.split(",")]
    assert {path for path, _ in found} >= {"docs/by_hand.md", "cloud_function/main.py", "scheduler/main.py"}
    for path, pair in found:
        name, _, value = pair.partition("=")
        assert name in read or pair == "…", f"{path}: nothing reads {name}"
        value = re.sub(r"\$(_[A-Z_]+)", lambda found: BUILD[found[1]], value)
        if name in given and value != "…":
            assert here(value) in given[name], f"{path}: {pair}"


INGRESS = {"internal-only": "ALLOW_INTERNAL_ONLY"}


@pytest.mark.parametrize("name", deployments())
def test_the_commands_by_hand_deploy_the_function_that_terraform_makes(functions, plan, name):
    function, flags = functions.all[name], deployments()[name]
    service, build = only(function, "service_config"), only(function, "build_config")
    assert flags["runtime"] == build["runtime"]
    assert flags["entry-point"] == build["entry_point"]
    assert functions.terraform.folder.parent / flags["source"] == functions.source(function)
    assert here(flags["service-account"]) == service["service_account_email"]
    build_account = plan.instances("google_service_account.build")[None]["account_id"]
    assert here(flags["build-service-account"]).endswith(f"/{build_account}@{PROJECT}.iam.gserviceaccount.com")
    repository = plan.instances("google_artifact_registry_repository.images")[None]["repository_id"]
    assert flags["docker-repository"].endswith(f"/repositories/{repository}")
    assert INGRESS[flags["ingress-settings"]] == service["ingress_settings"]
    assert flags["memory"] == service["available_memory"]
    for flag, argument in (("cpu", "available_cpu"), ("concurrency", "max_instance_request_concurrency")):
        assert flags.get(flag) == (None if service[argument] is None else str(service[argument]))
    assert int(flags.get("min-instances", 0)) == service["min_instance_count"]
    assert int(flags["max-instances"]) == service["max_instance_count"]
    assert int(flags["timeout"].removesuffix("s")) == service["timeout_seconds"]
    given = dict(pair.split("=", 1) for pair in here(flags["set-env-vars"]).split(","))
    assert given.items() <= environment(function).items()
    # Besides what Terraform's variables set, which the programs have as their defaults.
    assert environment(function).keys() - given.keys() <= {"MODEL_PREFIX", "MODEL_REFRESH_SECONDS", "MODEL_PIN"}
    # A trigger would be Eventarc's, whose subscription keeps a message for a day and has no dead-letter topic.
    assert "no-allow-unauthenticated" in flags and "trigger-http" in flags


def test_all_functions_are_deployed_by_hand_too(functions):
    assert deployments().keys() == functions.all.keys()


def test_there_is_one_python_runtime_and_the_packages_know_it(functions):
    (runtime,) = {only(function, "build_config")["runtime"] for function in functions.all.values()}
    assert {found for _, found in words(r"\bpython3\d\d\b(?!-template)")} == {runtime}
    version = f"{runtime.removeprefix('python')[0]}.{runtime.removeprefix('python')[1:]}"
    images = {found for _, found in words(r"\bFROM (?:--\S+ )?(?:\S*/)?python:(\d\.\d+)")}
    assert images <= {version}
    known = importlib.metadata.metadata("numpy").get_all("Classifier")  # it is built for each version of Python
    assert f"Programming Language :: Python :: {version}" in known


# --------------------------------------------------------------------------------------------- when, and waits


def test_the_scheduler_job_is_the_one_that_create_job_makes(job):
    plain = parse_arguments([f"--project={PROJECT}", "--region=us-central1", "--trigger_url=http://x/"])
    made = build_job(plain.name, plain.schedule or WEEKLY, plain.time_zone, plain.retries, plain.deadline_seconds, {})
    retry, wanted = only(job, "retry_config"), made["retry_config"]
    assert [job[field] for field in ("name", "schedule", "time_zone")] == [
        made[field] for field in ("name", "schedule", "time_zone")
    ]
    assert job["attempt_deadline"] == f"{made['attempt_deadline'].seconds}s"
    assert retry["retry_count"] == wanted["retry_count"]
    for field in ("min_backoff_duration", "max_backoff_duration"):
        assert retry[field] == f"{wanted[field].seconds}s"
    assert only(job, "http_target")["http_method"] == "POST"


def test_the_job_s_schedule_is_that_of_the_commands_by_hand(job):
    (command,) = re.findall(r"gcloud scheduler jobs create http .*", re.sub(r"\\\n\s*", "", BY_HAND))
    flags = dict(flag.split("=", 1) for flag in shlex.split(command) if "=" in flag)
    assert (flags["--schedule"], flags["--time-zone"]) == (job["schedule"], job["time_zone"])
    retry = only(job, "retry_config")
    assert (int(flags["--max-retry-attempts"]), flags["--min-backoff"]) == (
        retry["retry_count"],
        retry["min_backoff_duration"],
    )


def test_who_waits_for_an_answer_waits_as_long_as_it_may_take(functions, plan, job):
    push = plan.instances("google_pubsub_subscription.classify")[None]
    assert only(functions.all["classify"], "service_config")["timeout_seconds"] <= push["ack_deadline_seconds"]
    trigger = only(functions.all["retrain-trigger"], "service_config")["timeout_seconds"]
    assert job["attempt_deadline"] == f"{trigger}s"


# ------------------------------------------------------------------------------------------- workflow template


def snake(name: str) -> str:
    """mainPythonFileUri → main_python_file_uri, machineTypeUri → machine_type: Terraform's name of a field."""
    text = re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)
    return {"machine_type_uri": "machine_type", "policy_uri": "policy"}.get(text, text)


def leaves(value: object, path: tuple = ()) -> Iterator[tuple[tuple, str]]:
    """(path, text) of each value; a block is a list with one member."""
    if isinstance(value, dict):
        is_map = bool(path) and path[-1] in ("labels", "properties")
        for name, inner in value.items():
            yield from leaves(inner, (*path, name if is_map else snake(name)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, path if len(value) == 1 and isinstance(inner, dict) else (*path, number))
    else:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def template_of(plan: Plan, name: str) -> Resource:
    """The workflow template of that key."""
    return plan.instances("google_dataproc_workflow_template.workflow")[name]


def template_made(terraform: Terraform, text: str) -> tuple[dict, dict]:
    """(what the text says, what Terraform makes of it), as path → value."""
    made = template_of(terraform.plan({**FILES, TEMPLATE: text}, project_id=PROJECT), "retrain")
    return dict(leaves(yaml.safe_load(here(text)))), dict(leaves(made.given()))


# Without the lines in whose place Terraform puts what it makes.
OURS = re.sub(r"\n *(serviceAccount|subnetworkUri|configBucket|tempBucket):.*", "", LARGER)


@pytest.mark.parametrize(
    "text", [TEMPLATE_TEXT, OURS.replace("SPOT", "PREEMPTIBLE")], ids=["one machine", "a larger cluster"]
)
def test_the_workflow_template_is_made_of_all_that_its_file_says(terraform, text):
    wanted, made = template_made(terraform, text)
    workers = ("placement", "managed_cluster", "config", "worker_config", "num_instances")
    if wanted[workers] == "0":  # a cluster without workers has no such block
        del wanted[workers]
    assert {path: (value, made.get(path)) for path, value in wanted.items() if made.get(path) != value} == {}
    assert "ml_" not in str({path: value for path, value in made.items() if "args" in path or "uri" in path[-1:]})


def test_the_monitoring_s_template_is_made_of_all_that_its_file_says(plan):
    text = MONITOR_TEXT
    wanted, made = dict(leaves(yaml.safe_load(here(text)))), dict(leaves(template_of(plan, "monitor").given()))
    del wanted["placement", "managed_cluster", "config", "worker_config", "num_instances"]  # 0, so no such block
    assert {path: (value, made.get(path)) for path, value in wanted.items() if made.get(path) != value} == {}
    assert "ml_" not in str({path: value for path, value in made.items() if "args" in path or "uri" in path[-1:]})


def test_the_trigger_reads_findings_where_the_monitoring_writes_them(functions, plan, monkeypatch):
    trigger = functions.all["retrain-trigger"]
    read = environment_read(trigger, functions.source(trigger), monkeypatch)
    (job,) = (one for one in template_of(plan, "monitor")["jobs"] if one["step_id"] == "monitor")
    found = parser_of("monitor.py")(only(job, "pyspark_job")["args"])
    assert read.findings_uri == f"{found.output_path.rstrip('/')}/monitor/"
    assert read.models_uri == found.models and read.model_prefix == found.prefix


def test_the_look_comes_after_the_monitoring_has_ended_and_asks_for_nothing_else(plan, job):
    look = plan.instances("google_cloud_scheduler_job.look")[None]
    (minute, hour, *rest), (at, first, *others) = look["schedule"].split(), job["schedule"].split()
    seconds = int(template_of(plan, "monitor")["dag_timeout"].removesuffix("s"))
    plain = parse_arguments([f"--project={PROJECT}", "--region=us-central1", "--trigger_url=http://x/", "--look"])
    assert (look["name"], look["schedule"], plain.schedule) == (plain.name, LATER, None)
    assert rest == others and (int(hour) - int(first)) * 3600 + (int(minute) - int(at)) * 60 > seconds
    assert only(look, "http_target")["uri"] == f"{only(job, 'http_target')['uri']}/?look=1"
    assert only(look, "http_target")["oidc_token"] == only(job, "http_target")["oidc_token"]


def test_terraform_s_provider_takes_no_spot_machines_as_the_template_s_comment_says(terraform):
    with pytest.raises(Refused, match="PREEMPTIBLE; found SPOT"):
        template_made(terraform, OURS)


def test_the_code_that_the_workflow_runs_is_uploaded_under_its_names(functions, plan):
    text = here(TEMPLATE_TEXT + MONITOR_TEXT)
    code = plan.outputs["code_bucket"]
    run = set(re.findall(rf"gs://{code}/(\w+\.(?:py|zip))", text))
    objects = {body["name"]: body for body in plan.instances("google_storage_bucket_object.programs").values()}
    assert objects.keys() == run
    for name, body in objects.items():
        assert body["bucket"] == code
        assert functions.uploaded(body["source"]).name == name
        assert functions.uploaded(body["source"]).is_file()


@pytest.mark.parametrize("name", ["retrain", "monitor"])
def test_the_machines_of_the_workflow_are_those_that_may_do_its_work(plan, name):
    config = only(template_of(plan, name), "placement", "managed_cluster", "config")
    machines = only(config, "gce_cluster_config")
    assert machines["service_account"] == plan.outputs["spark_service_account"]
    assert machines["subnetwork"] == plan.outputs["subnetwork"]
    assert {config["staging_bucket"], config["temp_bucket"]} == {plan.outputs["temp_bucket"]}
