"""What Vertex AI needs: nothing of it unless somebody asks for it, and then no more than `make gcp-vertex` calls."""

import re

from tests.terraform.terraform_run import FILES, Plan, Terraform

SOMEBODY, APP = "user:somebody@example.com", "serviceAccount:app@example-project.iam.gserviceaccount.com"
GIVEN = {"project_id": "example-project", "vertex_operators": [SOMEBODY], "vertex_callers": [APP]}


def of_vertex(plan: Plan) -> dict[str, list]:
    """The resources of terraform/vertex.tf, by their names."""
    names = re.findall(r'^resource "\w+" "(\w+)"', FILES["vertex.tf"], re.M)
    assert len(names) == 5
    return {name: [one for one in plan.resources if one.name == name] for name in names}


def test_nothing_of_it_is_there_unless_it_is_asked_for(terraform: Terraform):
    assert not any(of_vertex(terraform.plan(FILES, project_id="example-project", operators=[SOMEBODY])).values())


def test_operators_deploy_callers_ask_and_nobody_else_does(terraform: Terraform):
    found = of_vertex(terraform.plan(FILES, **GIVEN))
    assert [one["service"] for one in found["vertex"]] == ["aiplatform.googleapis.com"]
    assert [one["member"] for one in found["vertex_operators"]] == [SOMEBODY]
    assert [one["member"] for one in found["vertex_callers"]] == [APP]
    (operator,), (caller,) = found["vertex_operator"], found["vertex_caller"]
    assert caller["permissions"] == ["aiplatform.endpoints.predict"]
    assert not [one for one in operator["permissions"] if re.search(r"\.(delete|setIamPolicy|export)$", one)]
    assert {one.rpartition(".")[2] for one in operator["permissions"]} >= {"upload", "deploy", "undeploy", "list"}
