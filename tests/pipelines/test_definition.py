"""The definitions that come with the project, and what a definition is for the programs."""

import copy
import json
import re
import subprocess
import sys

import pytest
import yaml

from brigade.conversion.schema import COLUMNS, QUERY
from brigade.events.contract import DOCUMENTS, Contract
from brigade.pipelines.check import cross_problems
from brigade.pipelines.definition import CheckSection, Definition, ModelSection, MonitoringSection
from brigade.pipelines.load import load, names
from brigade.pipelines.schema import CheckForm, MonitoringForm, form_problems, json_schema
from brigade.profiles.thresholds import Thresholds
from local import package
from tests.conftest import ROOT
from tests.pipelines.test_wrong_definitions import RIGHT


def test_documents_are_what_the_programs_do_without_a_definition():
    documents = load("documents")
    text = (ROOT / "pipelines" / "documents.yaml").read_text("utf-8")
    assert documents.query == QUERY.strip() == yaml.safe_load(text)["query"].strip()
    assert documents.contract == DOCUMENTS and documents.model_prefix == "doc-classification-model"
    assert documents.model == ModelSection("text", "classification", "superTag01", ("payload",))
    required = [field.name for field in DOCUMENTS.fields if field.required]
    assert required == ["eventId", "eventTimestamp", "doc.docId", "doc.payload"]
    assert {"superTag01", "payload"} <= {*COLUMNS}


@pytest.mark.parametrize("name", ["documents", "sales", "wine"])
def test_a_definition_that_comes_with_the_project_is_right_and_named_as_its_file(name):
    definition = load(name)
    assert name in names() and definition.name == name
    assert load(f"{ROOT}/pipelines/{name}.yaml") == definition
    first = (ROOT / "pipelines" / f"{name}.yaml").read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../docs/pipeline.schema.json"
    assert max(len(line) for line in (ROOT / "pipelines" / f"{name}.yaml").read_text("utf-8").splitlines()) <= 120


@pytest.mark.parametrize("name", ["documents", "sales", "wine"])
def test_a_model_carries_a_definition_as_json_and_gets_it_back(name):
    definition = load(name)
    carried = json.loads(json.dumps(definition.about()))
    assert form_problems(carried) == [] == cross_problems(carried)
    assert Definition.of(carried) == definition and Definition.of(carried).about() == carried
    assert copy.deepcopy(definition) == definition
    assert Contract.of(json.loads(json.dumps(definition.contract.about()))) == definition.contract


def test_wine_can_be_learned_as_a_number_by_changing_three_words():
    text = (ROOT / "pipelines" / "wine.yaml").read_text("utf-8")
    told = re.search(r"as a number: (task: regression), (label: quality), (metric: mae)\.", text)
    for line in told.groups():
        text = re.sub(rf"^  {line.split()[0]} .*$", f"  {line}", text, flags=re.M)
    assert form_problems(yaml.safe_load(text)) == [] == cross_problems(yaml.safe_load(text))


def test_a_field_has_a_long_and_a_short_form():
    definition = Definition.of(yaml.safe_load(RIGHT))
    fields = {field.name: field for field in definition.contract.fields}
    assert fields["shape.round"].path == ("shape", "round") and not fields["shape.round"].required
    assert fields["tags"].items == ("name",)
    assert definition.columns["shape.area"] == "Area" and definition.columns["shape.round"] == "round"
    assert definition.about()["event"]["fields"]["shape.area"] == {"type": "number", "column": "Area"}
    assert definition.about()["event"]["fields"]["sort"] == {"type": "string"}


def test_what_is_looked_at_between_trainings_has_defaults_and_is_carried_if_it_says_something():
    text = yaml.safe_load(RIGHT)
    assert Definition.of(text).monitoring == MonitoringSection() and "monitoring" not in Definition.of(text).about()
    said = {"psi": 0.5, "ignore": ["sort"], "check": {"least_events": 7, "drift": "error"}}
    definition = Definition.of(text | {"monitoring": said})
    assert definition.monitoring == MonitoringSection(
        psi=0.5, ignore=("sort",), check=CheckSection(least_events=7, drift="error")
    )
    carried = json.loads(json.dumps(definition.about()))
    assert form_problems(carried) == [] == cross_problems(carried) and Definition.of(carried) == definition


def test_the_defaults_of_the_form_are_those_of_the_section_and_of_the_thresholds():
    section = MonitoringSection()
    assert Thresholds() == Thresholds(section.alpha, section.distance, section.psi)
    for form, own in ((MonitoringForm, section), (CheckForm, section.check)):
        for name, field in form.model_fields.items():
            assert field.default is None or field.default == getattr(own, name), name


def test_the_published_schema_is_that_of_the_checks():
    published = (ROOT / "docs" / "pipeline.schema.json").read_text("utf-8")
    assert published == json_schema()  # python -m brigade.pipelines schema > docs/pipeline.schema.json


def test_the_package_for_spark_has_the_definitions_where_their_names_are_looked_up(tmp_path):
    package.build(tmp_path / "build")
    program = "from brigade.pipelines import load; print(load.__file__, load.names(), load.load('wine').name)"
    command = [sys.executable, "-c", program]
    env = {"PYTHONPATH": str(tmp_path / "build" / "brigade.zip"), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "brigade.zip" in done.stdout and "['documents', 'sales', 'wine'] wine" in done.stdout, done.stderr


def test_a_contract_and_a_definition_need_neither_pydantic_nor_yaml():
    program = "import brigade.events.contract, brigade.pipelines.definition, sys; "
    program += "print([name for name in ('pydantic', 'yaml') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
