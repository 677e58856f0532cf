"""The Flex Template of landing: its parameters are pubsub_gcs.py's own, and the launcher's command writes a job."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from apache_beam.options.pipeline_options import WorkerOptions

from brigade.landing.arguments import parse_arguments
from tests.conftest import ROOT

FILE = ROOT / "docker" / "landing_template.json"
TEMPLATE = json.loads(FILE.read_text())
PARAMETERS = {one["name"]: one for one in TEMPLATE["parameters"]}
IMAGE = "us-central1-docker.pkg.dev/brigade-p/brigade/landing@sha256:" + 64 * "0"
# Beam's own; the launcher does not set it, but passes it on.
BEAMS_OWN = {"sdk_container_image"}
WHOLE = {
    "input_subscription": "projects/brigade-p/subscriptions/sub-brigade",
    "output_path": "gs://brigade-p-ml-input/input",
}


@pytest.fixture(scope="module")
def options() -> dict[str, argparse.Action]:
    """What pubsub_gcs.py's own parser takes, by name."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        parse = argparse.ArgumentParser.parse_known_args

        def spy(parser, *rest):
            if parser.prog == "pubsub_gcs.py":
                found.update({action.dest: action for action in parser._actions if action.dest != "help"})
            return parse(parser, *rest)

        patch.setattr(argparse.ArgumentParser, "parse_known_args", spy)
        parse_arguments([f"--{name}={value}" for name, value in WHOLE.items()])
    return found


def matches(name: str, value: str) -> bool:
    """Whether Dataflow lets the value through: it has to match every regex as a whole."""
    return all(re.fullmatch(regex, value) for regex in PARAMETERS[name]["regexes"])


def test_every_option_that_takes_a_value_is_a_parameter(options):
    """A parameter always comes as --name=value, which a flag such as --compress does not take."""
    flags = {name for name, action in options.items() if action.nargs == 0}
    assert set(PARAMETERS) == set(options) - flags | BEAMS_OWN
    assert flags == {"compress", "without_topic"}
    beams = argparse.ArgumentParser()
    WorkerOptions._add_argparse_args(beams)
    assert {f"--{name}" for name in BEAMS_OWN} <= set(beams._option_string_actions)


def test_a_parameter_is_required_where_the_option_is(options):
    required = {name for name, one in PARAMETERS.items() if not one.get("isOptional")}
    assert required == {name for name, action in options.items() if action.required}


def test_a_parameters_help_names_the_options_default(options):
    named = {name: re.search(r"Default: ([0-9.]+)\.", one["helpText"]) for name, one in PARAMETERS.items()}
    numbers = {name: float(found[1]) for name, found in named.items() if found}
    assert numbers == {
        name: one.default for name, one in options.items() if isinstance(one.default, (int, float)) and one.default
    }


def test_what_the_launcher_sets_itself_is_no_parameter():
    """A job that overrides one of these does not become the template's job."""
    assert not {"runner", "project", "job_name", "template_location", "region"} & set(PARAMETERS)


def test_every_parameter_has_what_a_form_shows():
    for one in PARAMETERS.values():
        assert set(one) - {"isOptional"} == {"name", "label", "helpText", "regexes", "paramType"}
        assert one["label"] and one["helpText"].endswith(".")
        # POSIX has no \d or \w, and no groups that begin with a question mark.
        assert all(regex[0] + regex[-1] == "^$" and "\\" not in regex and "(?" not in regex for regex in one["regexes"])


GOOD = [
    ("input_subscription", "projects/brigade-p/subscriptions/sub-brigade"),
    ("input_subscription", "projects/example.com:brigade/subscriptions/s_1.a~b+c%d"),
    ("input_topic", "projects/brigade-p/topics/topic-brigade"),
    ("output_path", "gs://brigade-p-ml-input/input/"),
    ("dead_letter_path", "gs://brigade-p-ml-input/dead_letter"),
    ("pipeline", "documents"),
    ("pipeline", "wine"),
    ("window_size", "2"),
    ("window_size", "0.1"),
    ("window_size", ".5"),
    ("window_size", "10.0"),
    ("max_file_mib", "128"),
    ("max_file_lines", "1"),
    ("num_shards", "30"),
    ("max_event_bytes", "10000000"),
]
BAD = [
    ("input_subscription", "sub-brigade"),
    ("input_subscription", "projects/brigade-p/topics/topic-brigade"),
    ("input_subscription", "projects/brigade-p/subscriptions/1st"),
    ("input_subscription", "projects/B/subscriptions/sub-brigade"),
    ("input_topic", "projects/brigade-p/subscriptions/sub-brigade"),
    ("input_topic", "projects/brigade-p/topics/"),
    ("output_path", "gs://brigade-p-ml-input"),
    ("output_path", "gs://brigade-p-ml-input/"),
    ("output_path", "gs:///input"),
    ("output_path", "s3://bucket/input"),
    ("dead_letter_path", "gs://only-a-bucket"),
    ("pipeline", "Wine"),
    ("pipeline", ""),
    ("pipeline", "gs://wine.yaml"),
    ("pipeline", "gs://some-data/"),
    ("window_size", "0"),
    ("window_size", "0.0"),
    ("window_size", "-1"),
    ("window_size", "two"),
    ("window_size", "1.5.2"),
    ("window_size", "."),
    ("max_file_mib", "0"),
    ("max_file_mib", "1.5"),
    ("max_file_lines", "-5"),
    ("num_shards", "0"),
    ("max_event_bytes", "4 MiB"),
]


def parses(name: str, value: str) -> bool:
    """Whether pubsub_gcs.py takes the value."""
    given = WHOLE | {"max_file_mib": "128"} | {name: value}
    if name == "input_topic":
        del given["input_subscription"]
    try:
        parse_arguments([f"--{option}={text}" for option, text in given.items()])
    except SystemExit:
        return False
    return True


@pytest.mark.parametrize("name, value", GOOD)
def test_a_good_value_passes_the_template_and_the_program(name, value):
    assert matches(name, value) and parses(name, value)


@pytest.mark.parametrize("name, value", BAD)
def test_a_bad_value_is_refused_by_the_template_and_the_program(name, value, capsys):
    assert not matches(name, value) and not parses(name, value)


@pytest.mark.parametrize("path", ["landing/input", "/mnt/input"])
def test_a_folder_of_the_launchers_own_machine_is_refused_by_the_template(path):
    assert parses("output_path", path) and not matches("output_path", path)


def test_a_definition_in_cloud_storage_passes_the_template():
    assert all(matches("pipeline", f"gs://some-data/pipelines/wine.{end}") for end in ("yaml", "yml", "json"))


@pytest.mark.parametrize(
    "image, good",
    [
        (IMAGE, True),
        ("us-central1-docker.pkg.dev/brigade-p/brigade/landing:f3b1", True),
        ("gcr.io/brigade-p/landing", True),
        ("landing", False),
        ("us-central1-docker.pkg.dev/brigade-p/brigade/landing@sha256:12", False),
        ("https://us-central1-docker.pkg.dev/brigade-p/brigade/landing", False),
    ],
)
def test_the_workers_image_is_named_in_full(image, good):
    assert matches("sdk_container_image", image) == good


def test_gcloud_makes_the_templates_file_of_it():
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("the Google Cloud CLI is not installed")
    command = [gcloud, "dataflow", "flex-template", "build", "gs://brigade-p-ml-code/templates/landing.json"]
    command += [f"--image={IMAGE}", "--sdk-language=PYTHON", f"--metadata-file={FILE}", "--print-only"]
    command += ["--project=brigade-p", "--format=value(.)"]
    environment = os.environ | {"CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    specification = json.loads(done.stdout)
    assert specification["image"] == IMAGE and specification["sdkInfo"] == {"language": "PYTHON"}
    assert specification["metadata"]["parameters"] == TEMPLATE["parameters"]


@pytest.mark.long
def test_the_launchers_command_writes_a_job_that_has_not_started(pubsub, storage_emulator, tmp_path):
    """As the launcher calls it: all options in one line, Dataflow's runner, and a place for the job's description."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    buckets = storage.Client(project=pubsub.project, credentials=AnonymousCredentials())
    temp = buckets.create_bucket("template-ml-temp")
    buckets.create_bucket("template-ml-input")
    topic = pubsub.topic("topic-template")
    template = "gs://template-ml-temp/dataflow/staging/template_launches/2026-11-21_1/job_object"
    flags = [
        f"--input_subscription={pubsub.subscription(topic, 'sub-template')}",
        "--job_name=brigade-landing",
        '--labels={"goog-dataflow-provided-template-type": "flex"}',
        "--machine_type=e2-standard-2",
        "--max_num_workers=2",
        "--no_use_public_ips",
        "--output_path=gs://template-ml-input/input",
        f"--project={pubsub.project}",
        "--region=us-central1",
        "--runner=DataflowRunner",
        f"--sdk_container_image={IMAGE}",
        f"--service_account_email=brigade-landing@{pubsub.project}.iam.gserviceaccount.com",
        "--staging_location=gs://template-ml-temp/dataflow/staging",
        "--subnetwork=regions/us-central1/subnetworks/brigade",
        "--temp_location=gs://template-ml-temp/dataflow",
        f"--template_location={template}",
        "--window_size=2",
    ]
    # Without this, Beam looks for credentials for 20 seconds, which this machine does not have.
    program = "import sys; from apache_beam.internal.gcp import auth; auth._Credentials._credentials_init = True\n"
    program += "import pubsub_gcs; sys.exit(pubsub_gcs.main(sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *flags]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["job"] is None
    job = json.loads(temp.blob(template.split("/", 3)[3]).download_as_bytes())
    assert job["type"] == "JOB_TYPE_STREAMING" and job["name"] == "brigade-landing"
    pool = job["environment"]["workerPools"][0]
    assert [one["containerImage"] for one in pool["sdkHarnessContainerImages"]] == [IMAGE]
