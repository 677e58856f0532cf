"""What is said about costs is what gcp/costs.py computes, from the machines and settings that are really used."""

import json
import re

import pytest
import yaml

from gcp import costs, landing
from tests.conftest import ROOT

TERRAFORM = ROOT / "terraform"
PAGE = (ROOT / "docs" / "costs.md").read_text("utf-8")
MILLION = (1_000_000, 1500)


def printed(capsys, *flags: str) -> list[str]:
    assert costs.main(list(flags)) == 0
    return capsys.readouterr().out.split("\n\n")


def test_the_page_has_the_tables_that_the_program_prints(capsys):
    *tables, last = printed(capsys)
    assert len(tables) == 6 and all(table in PAGE for table in tables)
    assert json.loads(last)["documents_per_month"] == 1_000_000


def test_the_readme_has_the_programs_sums_in_both_languages():
    rows = costs.summary(*MILLION)
    assert "\n".join(rows) in (ROOT / "README.md").read_text("utf-8")
    portuguese = (ROOT / "README.pt-BR.md").read_text("utf-8")
    for row in rows[2:]:
        assert row[row.index("|", 1) :] in portuguese


def test_every_price_is_used_and_its_page_is_named():
    named = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| https://\S+ \| .+ \|$", PAGE, re.M)
    lines = [*costs.AT_REST, *costs.WARM, *costs.LANDING, *costs.of_documents(*MILLION), *costs.VERTEX]
    assert {line.price for line in lines} == set(costs.PRICES) == set(re.findall(r"`(\w+)`", " ".join(named)))


@pytest.mark.parametrize(
    "line, plain, reduced",
    [
        # 10 TiB at 40 dollars, of which 10 GiB are free
        (costs.Line("", "pubsub", ((10 * 2**40, "bytes"),), 10 / 1024), 400, 399.609375),
        # less than what is free
        (costs.Line("", "logging", ((2**30, "bytes"),), 50), 0.5, 0),
        # an e2-standard-2 for a month: its two vCPU
        (costs.LANDING[0], 100.74, 100.74),
        # a gibibyte for 30 days, and half of one for 15
        (costs.Line("", "pubsub_storage", ((2**30, "bytes"), (30, "days"))), 0.27, 0.27),
        (costs.Line("", "pubsub_storage", ((2**29, "bytes"), (15, "days"))), 0.0675, 0.0675),
    ],
)
def test_a_line_is_its_price_times_how_much_less_what_is_free(line, plain, reduced):
    assert line.cost() == pytest.approx(plain) and line.cost(line.free) == pytest.approx(reduced)


def test_twice_the_documents_cost_twice_as_much_but_for_files_training_and_looks():
    one, two = (costs.of_documents(count, 1500) for count in (1_000_000, 2_000_000))
    for once, twice in zip(one, two, strict=True):
        grows = 1 if once.what.startswith(("training", "monitoring")) or "files" in once.what else 2
        assert twice.cost() == pytest.approx(grows * once.cost()), once.what


def test_the_machines_and_settings_are_those_that_are_used():
    cluster = yaml.safe_load((ROOT / "workflow_template.yaml").read_text())["placement"]["managedCluster"]["config"]
    assert cluster["masterConfig"]["machineTypeUri"] == "e2-standard-4" and cluster["workerConfig"]["numInstances"] == 0
    documents = {line.what: line.factors[0][0] for line in costs.of_documents(*MILLION)}
    assert (documents["training: vCPU"], documents["training: memory"]) == (4, 16)
    assert documents["training: disk"] == cluster["masterConfig"]["diskConfig"]["bootDiskSizeGb"]
    functions, variables = ((ROOT / "terraform" / f"{name}.tf").read_text() for name in ("functions", "variables"))
    assert re.search(r'available_cpu +=\s"1"', functions)
    assert re.search(r'"serving_memory" \{[^}]*default +=\s"512Mi"', variables)
    assert re.search(r'"classify_min_instances" \{[^}]*default +=\s1\n', variables)


def test_staged_copies_cost_as_long_as_the_bucket_keeps_what_is_deleted():
    text = (TERRAFORM / "storage.tf").read_text()
    bucket = re.search(r'"google_storage_bucket" "input" \{.*?^\}', text, re.S | re.M)[0]
    seconds = int(re.search(r"retention_duration_seconds = (\d+)", bucket)[1])
    (staged,) = [line for line in costs.of_documents(*MILLION) if "staged copies" in line.what]
    assert staged.factors[2] == (round(seconds / costs.SECONDS, 2), "months")


@pytest.mark.parametrize("flag", ["--documents_per_month=0", "--document_bytes=-1", "--document_bytes=many"])
def test_a_number_that_makes_no_sense_is_refused(flag, capsys):
    with pytest.raises(SystemExit) as ended:
        costs.main([flag])
    assert ended.value.code == 2 and "expected numbers above 0" in capsys.readouterr().err or "many" in flag


def test_the_machine_of_landing_and_the_number_of_alarms_are_those_that_are_created():
    assert any(line.what.startswith(f"an {landing.MACHINE} ") for line in costs.LANDING)
    conditions = sum(len(re.findall(r"^  conditions \{", path.read_text(), re.M)) for path in TERRAFORM.glob("*.tf"))
    counted = [amount for line in costs.AT_REST for amount, unit in line.factors if unit == "conditions"]
    assert counted == [conditions] * 2
