"""What Terraform plans for one project, for the tests that compare it with all else."""

import pytest

from tests.terraform.terraform_project import PROJECT
from tests.terraform.terraform_run import Plan


@pytest.fixture
def plan(terraform) -> Plan:
    return terraform.plan(project_id=PROJECT)
