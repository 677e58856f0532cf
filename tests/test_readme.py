"""The documentation is tested: what README, docs/ and the workflow template say can be done, can be done."""

import contextlib
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement

from tests.conftest import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if not path.name.endswith("tutorial.md")  # generated, and compared with its page in tests/local/test_tutorial.py
}
README, BY_HAND = PAGES["README.md"], PAGES["docs/by_hand.md"]
PORTUGUESE = (ROOT / "README.pt-BR.md").read_text("utf-8")
FENCES = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
BLOCKS = [block for page in PAGES.values() for _, block in FENCES.findall(page)]
INLINE = [
    code for page in PAGES.values() for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCES.sub("", page)) if code
]
PROGRAM = re.compile(r"(?:[A-Z_]+=\S+ )*((?:python|spark-submit|gcloud dataproc jobs submit) .*)")
COMMANDS = list(
    dict.fromkeys(
        match[1]
        for line in (
            *(line.strip() for block in BLOCKS for line in re.sub(r"\\\n\s*", " ", block).splitlines()),
            *INLINE,
        )
        if (match := PROGRAM.match(line)) and not line.endswith(" …")
    )
)
PLACEHOLDERS = (
    (r"projects/P/", "projects/brigade-p/"),
    (r"gs://P-", "gs://brigade-p-"),
    (r"--project=P$", "--project=brigade-p"),
    (r"--topic=…$", "--topic=projects/brigade-p/topics/t-1"),
    (r"=(URL|\$TRIGGER_URL)$", "=https://trigger.example/"),
    (r"=N$", "=1"),
    (r"^URI$", "gs://brigade-p/models"),
    (r"^NAME$", "doc-classification-model-2026-11-21"),
)
TEMPLATE = yaml.safe_load((ROOT / "workflow_template.yaml").read_text("utf-8"))


def program(path: str) -> ModuleType:
    """A program as a module, whatever else has the same name."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def script_and_arguments(command: str) -> tuple[str, list[str]]:
    """The program that a command starts, as a path, and what the program gets."""
    words = [word for word in shlex.split(re.split(r" 2?>>? ", command)[0], comments=True) if word not in ("&", "&&")]
    if words[:2] == ["python", "-m"]:
        path = words[2].replace(".", "/")
        return f"{path}/__main__.py" if (ROOT / path).is_dir() else f"{path}.py", words[3:]
    script = next(word for word in words if word.endswith(".py") and "=" not in word)
    rest = words[words.index(script) + 1 :]
    return script, rest[rest.index("--") + 1 :] if "--" in rest else rest


def module_of(script: str) -> ModuleType:
    if "/" in script and (ROOT / script).parent.joinpath("__init__.py").exists():
        return importlib.import_module(script.removesuffix(".py").replace("/", "."))
    return program(script)


def parser_of(script: str) -> Callable | None:
    """What reads a program's arguments: the program's own function, or that of the module which its main is from."""
    module = module_of(script)
    behind = sys.modules.get(module.main.__module__)
    return getattr(module, "parse_arguments", getattr(behind, "parse_arguments", None))


def help_of(script: str, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        (parser_of(script) or module_of(script).main)(["--help"])
    assert ended.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documents_is_understood_by_its_program(command, capsys, tmp_path):
    script, arguments = script_and_arguments(command)
    published = tmp_path / "published.jsonl"
    published.write_text('{"published": 1}\n')
    for pattern, value in (*PLACEHOLDERS, (r"=FOLDER$", f"={tmp_path}"), (r"=published.jsonl$", f"={published}")):
        arguments = [re.sub(pattern, value, argument) for argument in arguments]
    if (parse := parser_of(script)) is None:
        known = help_of(script, capsys)
        assert [argument for argument in arguments if argument.split("=")[0] not in known] == []
        return
    with contextlib.suppress(SystemExit) if arguments == ["--help"] else contextlib.nullcontext():
        parse(arguments)


def test_the_documents_show_commands_of_every_stage():
    scripts = {script_and_arguments(command)[0] for command in COMMANDS}
    assert scripts >= {
        "pubsub_gcs.py",
        "publisher.py",
        "spark_sql.py",
        "train_ml_model.py",
        "predict.py",
        "monitor.py",
        "scheduler/main.py",
        "scheduler/create_job.py",
        "brigade/models/__main__.py",
    }


def test_commands_on_a_cluster_bring_the_package_along():
    submitted = [command for command in COMMANDS if command.startswith("gcloud dataproc jobs submit")]
    assert len(submitted) >= 2
    sent = [command for command in COMMANDS if "--py-files" in command]
    assert {*submitted} <= {*sent} and all("--py-files=build/brigade.zip " in command for command in sent)


@pytest.mark.parametrize("job", TEMPLATE["jobs"], ids=lambda job: job["stepId"])
def test_the_template_s_arguments_are_understood_by_its_programs(job):
    spark = job["pysparkJob"]
    script = spark["mainPythonFileUri"].rsplit("/", 1)[1]
    parsed = parser_of(script)(spark["args"])
    assert parsed.input_path.startswith("gs://ml_input/")
    for uri in spark.get("pythonFileUris", []):
        assert uri == "gs://ml_code/brigade.zip"


def test_the_template_trains_on_what_it_converted():
    convert, train = (job["pysparkJob"]["args"] for job in TEMPLATE["jobs"])
    assert convert[1] == train[0]
    assert TEMPLATE["jobs"][1]["prerequisiteStepIds"] == ["convert"]


# Each image that the template names, in use or as a comment: its Spark, and what installs this Spark for tests.
IMAGES = {"2.3.36-debian12": ("3.5.3", "local/setup.sh"), "3.0.3-debian13": ("4.1.2", "requirements.txt")}
SOFTWARE = TEMPLATE["placement"]["managedCluster"]["config"]["softwareConfig"]


def test_the_template_names_images_to_their_sub_minor_version_whose_spark_is_tested():
    text = (ROOT / "workflow_template.yaml").read_text("utf-8")
    named = dict(re.findall(r"^ *(?:# )?imageVersion: (\S+) # Spark ([\d.]+),", text, re.M))
    assert SOFTWARE["imageVersion"] == next(iter(named))
    assert named == {image: spark for image, (spark, _) in IMAGES.items()}
    for image, (spark, file) in IMAGES.items():
        assert re.search(rf"pyspark==\S*\b{re.escape(spark)}\b", (ROOT / file).read_text("utf-8")), image
        assert f"| `{image}`" in PAGES["docs/operations.md"]


def test_the_template_s_packages_are_the_requirements_of_its_image_s_python():
    image = {"python_full_version": "3.11.0", "python_version": "3.11", "sys_platform": "linux"}
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if re.match(r"\w", line)]
    requirements = [Requirement(line) for line in lines]
    pins = {f"{one.name}{one.specifier}" for one in requirements if not one.marker or one.marker.evaluate(image)}
    assert set(SOFTWARE["properties"]["dataproc:pip.packages"].split(",")) <= pins


def test_the_way_on_gcp_has_at_most_fifteen_commands():
    block = FENCES.search(PAGES["docs/on_gcp.md"])[2]
    commands = [line for line in block.splitlines() if line and not line.startswith("#")]
    assert commands[0].startswith("gcloud auth") and commands[-1].startswith("gcloud projects delete")
    assert 10 <= len(commands) <= 15 and not any(line.startswith(" ") for line in commands)
    assert set(re.findall(r"make \S+ PROJECT=P", README)) <= set(re.findall(r"make \S+ PROJECT=P", block))


@pytest.mark.parametrize("text", [README, PORTUGUESE], ids=["en", "pt"])
def test_the_readme_is_short(text):
    assert len(text.splitlines()) <= 200


def test_every_room_of_the_tree_is_there_and_every_room_is_in_the_tree():
    tree = next(block for block in BLOCKS if "WHEN" in block and block.startswith("publisher.py "))
    rooms = re.findall(r"^(\S+) {2,}\S", tree, re.M)
    assert len(rooms) >= 20
    for room in rooms:
        assert (ROOT / room).exists(), room
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in tracked.split():
        inside = path.startswith("brigade/") and path != "brigade/__init__.py"
        room = (path if path.count("/") == 1 else path.rsplit("/", 1)[0] + "/") if inside else path.split("/")[0]
        assert any(room.startswith(known) or known.startswith(room) for known in rooms), path


def test_every_file_that_is_named_in_the_documents_is_there():
    others = [(ROOT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "AGENTS.md", "SECURITY.md")]
    written = INLINE + [code for text in others for code in re.findall(r"`([^`\n]+)`", FENCES.sub("", text))]
    path = re.compile(r"(?:[\w.-]+/)+[\w.-]+\.(?:py|tf|md|yaml|json|txt|j2|example)")
    named = {code for code in written if path.fullmatch(code)}
    made = re.compile(r"(build|terraform/terraform\.tfvars|\.local|dead_letter|runs|doc-classification)\b")
    named = {code for code in named if not made.match(code)} | {"terraform/terraform.tfvars.example"}
    assert len(named) > 10
    assert [code for code in named if not (ROOT / code).exists()] == []
    rooms = {code for code in written if re.fullmatch(r"(?:brigade|terraform|local|tests|benchmarks)/\w+/", code)}
    assert rooms and [room for room in rooms if not (ROOT / room).is_dir()] == []


def test_every_make_target_of_the_documents_is_in_the_makefile():
    helped = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make (\S+)", helped, re.M))
    assert targets >= {"help", "setup", "demo", "test", "lint", "format", "package", "up", "down", "clean"}
    others = [(ROOT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "AGENTS.md")]
    lines = [line for text in others for _, block in FENCES.findall(text) for line in block.splitlines()]
    lines += [line for block in BLOCKS for line in block.splitlines()]
    lines += INLINE + [code for text in others for code in re.findall(r"`([^`\n]+)`", text)]
    called = {target for line in lines for target in re.findall(r"^(?:eval \"\$\()?make (?:-s )?([a-z][\w-]*)", line)}
    assert called >= {"demo", "test", "package", "up", "gcp-up", "bench"} and called <= targets


# ------------------------------------------------------------------------------------- links, flags and figures


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCES.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page):
    text = re.sub(r"`[^`\n]+`", "", FENCES.sub("", page.read_text("utf-8")))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target.read_text("utf-8")), link


def section(page: str, heading: str) -> str:
    return re.split(r"^#+ ", PAGES[page].split(f"# {heading}\n")[1], flags=re.M)[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of a text's table rows, without the lines below the headings."""
    for line in re.findall(r"^\|(.*)\|$", text, re.M):
        if not re.fullmatch(r"[-:| ]+", line):
            yield [cell.strip() for cell in line.split(" | ")] if " | " in line else [line.strip()]


@pytest.mark.parametrize(
    ("page", "heading", "script"),
    [
        ("docs/landing.md", "Landing's flags", "pubsub_gcs.py"),
        ("docs/landing.md", "Publishing", "publisher.py"),
        ("docs/conversion.md", "Flags", "spark_sql.py"),
        ("docs/training.md", "Flags", "train_ml_model.py"),
        ("docs/prediction.md", "Flags", "predict.py"),
        ("docs/monitoring.md", "Flags", "monitor.py"),
        ("docs/experiments.md", "The steps' flags", "pipeline.py"),
        ("docs/scheduling.md", "The trigger's flags", "scheduler/main.py"),
        ("docs/scheduling.md", "The job's flags", "scheduler/create_job.py"),
    ],
)
def test_the_flags_of_a_page_are_those_of_its_program_with_their_defaults(page, heading, script, capsys):
    helped = help_of(script, capsys)
    described = re.split(r"^  (?:-\w, )?(--[a-z_]+)", helped, flags=re.M)[1:]
    known = {flag: " ".join(text.split()) for flag, text in zip(described[::2], described[1::2], strict=True)}
    del known["--help"]
    written = {cells[0].strip("`"): cells for cells in rows(section(page, heading)) if cells[0].startswith("`--")}
    assert written.keys() == known.keys()
    for flag, text in known.items():
        if default := re.search(r"\(default: '?([\d.]*\d)", text):
            assert re.search(r"\d[\d.]*", written[flag][1])[0] == default[1], flag


def names_in(section_text: str) -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)` \|", section_text, re.M))


def test_the_settings_of_the_functions_are_those_that_they_read():
    code = (ROOT / "brigade" / "serving" / "settings.py").read_text("utf-8")
    assert names_in(section("docs/serving.md", "Settings")) == set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', code))
    code = "".join(
        path.read_text("utf-8") for path in [ROOT / "scheduler/main.py", *ROOT.glob("brigade/schedule/*.py")]
    )
    trigger = names_in(section("docs/scheduling.md", "The trigger's settings"))
    assert len(trigger) == 9 and trigger <= set(re.findall(r'"([A-Z_]+)"', code))


def test_the_alarms_are_terraform_s():
    code = "".join(path.read_text("utf-8") for path in ROOT.glob("terraform/alarms_*.tf"))
    policies = re.findall(r'^  display_name += "\$\{local\.title\}: (.+)"', code, re.M)
    assert [cells[0] for cells in rows(section("docs/operations.md", "Alarms"))][1:] and set(policies) == {
        cells[0] for cells in rows(section("docs/operations.md", "Alarms")) if cells[0] != "alarm"
    }


def test_the_reasons_of_dead_letters_are_the_codes():
    code = "".join((ROOT / "brigade" / "events" / name).read_text("utf-8") for name in ("event.py", "json_text.py"))
    written = set(re.findall(r"^\| `(\w+)` \|", section("docs/landing.md", "What lands"), re.M))
    assert written == set(re.findall(r'NotAnEvent\(\s*"(\w+)"', code))


def test_figures_that_stand_in_two_places_agree():
    found: dict[tuple[str, str], set[str]] = {}
    repeated = 0
    for page, text in PAGES.items():
        for table in re.findall(r"(?:^\|.*\|\n)+", text, re.M):
            head, _, *lines = table.splitlines()
            for line in (line for line in lines if re.search(r"\d", line) and not line.startswith("| `")):
                same = found.setdefault((head, line.split(" | ")[0]), set())
                repeated += bool(same)
                same.add(line)
                assert len(same) == 1, f"{page}: {line}"
    assert repeated >= 7  # the documents of the demo, and the costs in three places


# --------------------------------------------------------------------------------------------------- in Portuguese


def without_words(language: str, block: str) -> list[str]:
    """What of a code block no translation may touch: all but comments and the picture's words."""
    if language == "mermaid":
        return [word for word in re.split(r"[\s\[\](){}]+|<br>", block) if re.search(r"^[A-Z]$|\W", word)]
    return [re.sub(r"(^|\s+)#\s.*$", "", line) for line in block.splitlines()]


def of_every_language(text: str) -> dict[str, list]:
    """What two languages have in common, and its order where that is no matter of grammar."""
    prose = FENCES.sub("", text)
    command = r"(?<!`)`(\S+|(?:make|gcloud|python|spark-submit|git|terraform|benchmarks\S+) [^`\n]+)`"
    return {
        "code blocks": [(fence[1], *without_words(*fence.groups())) for fence in FENCES.finditer(text)],
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


def test_nothing_in_the_project_is_a_pickle_or_a_stub():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    usual = "benchmarks/plain_function/main.py"  # what others do, which the project's function is measured against
    for name in tracked.split():
        text = (ROOT / name).read_text("utf-8")
        if name not in ("tests/test_readme.py", usual):
            assert not re.search(r"^\s*(import pickle|from pickle|.*joblib\.load)|TODO|FIXME", text, re.M), name
