"""What docs/by_hand.md creates is what Terraform creates: accounts, who may do what, APIs, the network's rules."""

import re
import shlex

import pytest

from tests.terraform import terraform_permissions as permissions
from tests.terraform.terraform_permissions import Grant
from tests.terraform.terraform_project import PROJECT, only
from tests.test_readme import BY_HAND

COMMANDS = re.sub(r"\\\n\s*", "", BY_HAND)
# How gcloud names what a grant is on.
THINGS = {
    r"projects": "project",
    r"storage buckets": "bucket",
    r"pubsub topics": "topic",
    r"pubsub subscriptions": "subscription",
    r"iam service-accounts": "service account",
    r"run services": "function",
    r"artifacts repositories": "repository",
}
# What the page leaves to Terraform, as it says: alarms, the copy of the logs; and what a variable switches on.
TERRAFORM_S_ALONE = ("Monitoring notification", "log sink", "var.")


def flags_of(words: str) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in shlex.split(words) if word.startswith("--"))


def in_terraform_s_words(text: str) -> str:
    text = re.sub(r"\bml_(input|output|code|temp)\b", r"<project>-ml-\1", text.replace("NUMBER", "<project number>"))
    return re.sub(r"(?<=@)P(?=\.)|(?<=projects/)P\b", "<project>", text)


def granted(page: str) -> list[Grant]:
    """Every grant of the page's commands, as the table of SECURITY.md would have it."""
    found = []
    for kind, thing, rest in re.findall(r"^gcloud ([\w -]+) add-iam-policy-binding (\S+)(.*)$", page, re.M):
        flags = {name: in_terraform_s_words(value) for name, value in flags_of(rest).items()}
        name = permissions.short(in_terraform_s_words(thing.removeprefix("gs://")))
        on = THINGS[kind] if kind == "projects" else f"{THINGS[kind]} {name}"
        if "expression=" in flags.get("--condition", ""):
            on += f", if {flags['--condition'].partition('expression=')[2]}"
        account = flags["--member"].removeprefix("serviceAccount:")
        agent = re.search(r"@(gcp-sa-[\w-]+)\.", account)
        who = permissions.AGENTS[agent[1]] if agent else permissions.short(account)
        found.append(Grant(who, permissions.short(flags["--role"]), on))
    return sorted(found)


def test_the_commands_grant_what_terraform_grants_and_nothing_else(terraform):
    wanted = [
        row
        for row in permissions.grants(permissions.of_example_project(terraform))
        if not row.identity.startswith(TERRAFORM_S_ALONE) and "with var." not in row.on
    ]
    assert granted(COMMANDS) == wanted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--role=roles/logging.logWriter", "--role=roles/logging.admin"),
        ("gcf-v2-sources-NUMBER", "gcf-v2-sources"),
        ("gs://ml_code --member=serviceAccount:brigade-spark", "gs://ml_code --member=serviceAccount:brigade-landing"),
    ],
)
def test_another_grant_is_noticed(old, new):
    assert old in COMMANDS and granted(COMMANDS.replace(old, new)) != granted(COMMANDS)


def test_a_project_s_policy_with_conditions_asks_each_command_for_one_or_for_none():
    commands = re.findall(r"^gcloud projects add-iam-policy-binding .*$", COMMANDS, re.M)
    assert commands and all("--condition" in flags_of(command) for command in commands)


def test_the_commands_create_terraform_s_accounts(plan):
    made = re.findall(r"^gcloud iam service-accounts create (\S+) --project=P$", COMMANDS, re.M)
    assert sorted(made) == sorted(plan.named("google_service_account", "account_id"))


def test_the_commands_create_terraform_s_role(plan):
    (rest,) = re.findall(r"^gcloud iam roles create brigadeRetrain (.*)$", COMMANDS, re.M)
    (role,) = plan.all_of("google_project_iam_custom_role")
    assert role["role_id"] == "brigadeRetrain"
    assert flags_of(rest)["--permissions"].split(",") == role["permissions"]


def test_the_commands_switch_on_terraform_s_apis(plan):
    (words,) = re.findall(r"^gcloud services enable (.*)$", COMMANDS, re.M)
    apis = {word for word in words.split() if not word.startswith("--")}
    assert apis == set(plan.instances("google_project_service.needed"))


def test_the_commands_make_terraform_s_network(plan):
    rules = dict(re.findall(r"^gcloud compute firewall-rules create (\S+) (.*)$", COMMANDS, re.M))
    bodies = {body["name"]: body for body in plan.all_of("google_compute_firewall")}
    assert rules.keys() == bodies.keys()
    for name, body in bodies.items():
        allowed = set()
        for block in body["allow"]:
            ports = block["ports"] or [None]
            allowed |= {f"{block['protocol']}:{port}" if port else block["protocol"] for port in ports}
        flags = flags_of(rules[name])
        assert set(flags["--allow"].split(",")) == allowed
        for flag, argument in (("source", "source_service_accounts"), ("target", "target_service_accounts")):
            account = flags[f"--{flag}-service-accounts"].replace("@P.", f"@{PROJECT}.")
            assert [account] == body[argument]
    (subnetwork,) = plan.all_of("google_compute_subnetwork")
    (words,) = re.findall(r"^gcloud compute networks subnets create brigade (.*)$", COMMANDS, re.M)
    assert flags_of(words)["--range"] == subnetwork["ip_cidr_range"]
    assert "--enable-private-ip-google-access" in flags_of(words)


def test_the_temporary_bucket_keeps_nothing_that_was_deleted(plan):
    (words,) = re.findall(r"^gcloud storage buckets create gs://ml_temp (.*)$", COMMANDS, re.M)
    policy = only(plan.instances("google_storage_bucket.temp")[None], "soft_delete_policy")
    assert int(flags_of(words)["--soft-delete-duration"]) == policy["retention_duration_seconds"]
