"""The documentation is tested: what the README and the workflow template say can be done, can be done."""

import importlib.util
import re
import shlex
import subprocess

import pytest
import yaml

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")
PORTUGUESE = (ROOT / "README.pt-BR.md").read_text("utf-8")
BY_HAND = (ROOT / "docs" / "by_hand.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", README + BY_HAND, re.S | re.M)
COMMANDS = [
    line.strip()
    for block in BLOCKS
    for line in re.sub(r"\\\n\s*", " ", block).splitlines()
    if re.match(r"\s*(python|spark-submit|gcloud dataproc jobs submit) ", line)
]
TEMPLATE = yaml.safe_load((ROOT / "workflow_template.yaml").read_text("utf-8"))


def program(path: str):
    """A top-level or room program as a module, whatever else is called the same."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments_of(command: str) -> tuple[str, list[str]]:
    words = [word for word in shlex.split(command.split(" > ")[0], comments=True) if word != "&"]
    if words[:2] == ["python", "-m"]:
        return words[2].replace(".", "/") + ".py", words[3:]
    script = next(word for word in words if word.endswith(".py") and "=" not in word and "," not in word)
    rest = words[words.index(script) + 1 :]
    return script, rest[rest.index("--") + 1 :] if "--" in rest else rest


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_is_understood_by_its_program(command):
    script, arguments = arguments_of(command)
    arguments = [argument.replace("projects/P/", "projects/brigade-p/") for argument in arguments]
    arguments = [argument.replace("--topic=…", "--topic=projects/brigade-p/topics/t-1") for argument in arguments]
    arguments = ["--project=brigade-p" if argument == "--project=P" else argument for argument in arguments]
    arguments = [argument.replace("=URL", "=https://trigger.example/") for argument in arguments]
    arguments = [argument.replace("gs://P-", "gs://brigade-p-") for argument in arguments]
    if script.startswith("benchmarks/"):
        assert (ROOT / script).exists()
        return
    module = program(script)
    parse = next(
        getattr(module, name) for name in ("parse_arguments", "parse_args", "arguments") if hasattr(module, name)
    )
    parse(arguments)


def test_the_readme_shows_commands_of_every_stage():
    scripts = {arguments_of(command)[0] for command in COMMANDS}
    assert scripts >= {
        "pubsub_gcs.py",
        "publisher.py",
        "spark_sql.py",
        "train_ml_model.py",
        "scheduler/create_job.py",
    }


@pytest.mark.parametrize("job", TEMPLATE["jobs"], ids=lambda job: job["stepId"])
def test_the_template_s_arguments_are_understood_by_its_programs(job):
    spark = job["pysparkJob"]
    script = spark["mainPythonFileUri"].rsplit("/", 1)[1]
    parsed = program(script).parse_arguments(spark["args"])
    assert parsed.input_path.startswith("gs://ml_input/")
    for uri in spark.get("pythonFileUris", []):
        name = uri.rsplit("/", 1)[1]
        assert (ROOT / name).exists() or (ROOT / "cloud_function" / name).exists()


def test_the_template_trains_on_what_it_converted():
    convert, train = (job["pysparkJob"]["args"] for job in TEMPLATE["jobs"])
    assert convert[1] == train[0]
    assert TEMPLATE["jobs"][1]["prerequisiteStepIds"] == ["convert"]


def test_the_template_s_image_and_packages_are_those_of_the_requirements():
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.M))
    software = TEMPLATE["placement"]["managedCluster"]["config"]["softwareConfig"]
    spark_of_image = {"3.0": "4.1.2", "2.3-debian12": "3.5.3"}
    assert pins["pyspark"] == spark_of_image[software["imageVersion"]]
    lines = (ROOT / "requirements.txt").read_text()
    for package in software["properties"]["dataproc:pip.packages"].split(","):
        assert re.search(rf"^{re.escape(package)}( |$)", lines, re.M), f"{package} is not in requirements.txt"


def test_the_tutorial_on_gcp_has_at_most_fifteen_commands():
    block = README.split("\n## On GCP\n")[1].split("```")[1]
    commands = [line for line in block.splitlines() if line and not line.startswith("#")]
    assert commands[0].startswith("gcloud auth") and commands[-1].startswith("gcloud projects delete")
    assert 10 <= len(commands) <= 15 and not any(line.startswith(" ") for line in commands)


def test_every_room_of_the_readme_s_tree_is_there():
    tree = next(block for block in BLOCKS if "WHEN" in block)
    rooms = [room for rooms in re.findall(r"^(\S.*?) {2,}", tree, re.M) for room in rooms.split(", ")]
    assert len(rooms) >= 10
    for room in rooms:
        assert (ROOT / room).exists(), room


def test_every_make_target_of_the_readme_is_in_the_makefile():
    helped = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make (\S+)", helped, re.M))
    assert targets >= {"help", "setup", "demo", "test", "lint", "format", "up", "down", "clean"}
    assert set(re.findall(r"make (?:-s )?([a-z][\w-]+)", " ".join(re.findall(r"`[^`]+`", README)))) <= targets


def without_words(language: str, block: str) -> list[str]:
    """What of a code block no translation may touch: all but comments, the tree's descriptions, the picture's words."""
    if language == "mermaid":
        return [word for word in re.split(r"[\s\[\](){}]+|<br>", block) if re.search(r"^[A-Z]$|\W", word)]
    if block.startswith("publisher.py "):
        return re.findall(r"^\S+", block, re.M)
    return [re.sub(r"(^|\s+)#\s.*$", "", line) for line in block.splitlines()]


def of_every_language(text: str) -> dict[str, list]:
    """What two languages have in common, and its order where that is no matter of grammar."""
    fences = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
    prose = fences.sub("", text)
    command = r"(?<!`)`(\S+|(?:make|gcloud|python|spark-submit|git|terraform|benchmarks\S+) [^`\n]+)`"
    return {
        "code blocks": [(fence[1], *without_words(*fence.groups())) for fence in fences.finditer(text)],
        "commands": sorted(set(re.findall(command, prose))),
        "links": sorted(set(re.findall(r"\]\((?!README|#)([^)]+)\)", prose))),
        "sections": re.findall(r"^(#+) ", prose, re.M),
        "table rows": [row.count("|") for row in re.findall(r"^\|.*$", prose, re.M)],
        "figures": sorted(figure.rstrip(".,") for figure in re.findall(r"(?<!\w)\.?\d[\d.,]*", prose)),
    }


@pytest.mark.parametrize("what", of_every_language(README))
def test_the_portuguese_readme_is_the_same_document(what):
    assert of_every_language(PORTUGUESE)[what] == of_every_language(README)[what]
    assert of_every_language(README)[what]


def test_the_reasons_of_dead_letters_are_the_readme_s():
    code = (ROOT / "pubsub_gcs.py").read_text("utf-8")
    assert set(re.findall(r'NotAnEvent\(\s*"(\w+)"', code)) == set(re.findall(r"^\| `(\w+)` \|", README, re.M))


def test_nothing_in_the_project_is_a_pickle_or_a_stub():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    usual = "benchmarks/plain_function/main.py"  # what others do, which the project's function is measured against
    for name in tracked.split():
        text = (ROOT / name).read_text("utf-8")
        if name not in ("tests/test_readme.py", usual):
            assert not re.search(r"^\s*(import pickle|from pickle|.*joblib\.load)|TODO|FIXME", text, re.M), name
