"""Topics and subscriptions are the same on one machine, in Terraform, and in the commands by hand."""

import re
import shlex
import subprocess
from datetime import timedelta

import pytest

from local import topics
from tests.conftest import ROOT
from tests.terraform.terraform_project import PROJECT, only
from tests.terraform.terraform_run import Plan
from tests.test_readme import BY_HAND

NOT_HERE = {"ml_alerts", "sub-ml-alerts"}  # Cloud Monitoring's
OF_DEPLOYMENT = {"push_config"}
OF_GCP = {"--project", "--push-endpoint", "--push-auth-service-account", "--push-auth-token-audience"}
FLAGS = {
    "--topic": "topic",
    "--ack-deadline": "ack_deadline_seconds",
    "--message-retention-duration": "message_retention_duration",
    "--retain-acked-messages": "retain_acked_messages",
    "--expiration-period": "expiration_policy",
}
# Of these, the commands have a flag for each field.
RETRIES = {"--min-retry-delay": "minimum_backoff", "--max-retry-delay": "maximum_backoff"}
DEAD_LETTERS = {"--dead-letter-topic": "dead_letter_topic", "--max-delivery-attempts": "max_delivery_attempts"}
COMMAND = re.compile(r"^gcloud pubsub (topics|subscriptions) create (.*)$", re.M)
BY_HAND_COMMANDS = COMMAND.findall(re.sub(r"\\\n\s*", "", BY_HAND))


def as_terraform(value: object) -> object:
    """A value of a request as Terraform's files have it."""
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds())}s"
    if isinstance(value, dict):
        return [{key: as_terraform(inner) for key, inner in value.items()} or {"ttl": ""}]
    return value


def here(request: dict) -> dict:
    """A request that creates something, as Terraform's files have it."""
    found = {key: as_terraform(value) for key, value in request.items()}
    found |= {key: found[key].rsplit("/", 1)[1] for key in ("name", "topic") if key in found}
    return found


def in_terraform(plan: Plan, kind: str) -> dict[str, dict]:
    """Name → all that the Terraform files say of it."""
    bodies = [one.given() for one in plan.all_of(kind)]
    found = {body["name"]: {key: value for key, value in body.items() if key not in OF_DEPLOYMENT} for body in bodies}
    return {name: body for name, body in found.items() if name not in NOT_HERE}


def by_hand(kind: str) -> dict[str, dict]:
    """Name → all that the commands by hand say of it, as Terraform's files have it."""
    found = {}
    for _, words in (command for command in BY_HAND_COMMANDS if command[0] == kind):
        given = dict(word.partition("=")[::2] for word in shlex.split(words) if word.startswith("--"))
        flags = {flag: of_flag(value) for flag, value in given.items() if flag not in OF_GCP}
        said = {}
        for argument, names in (("retry_policy", RETRIES), ("dead_letter_policy", DEAD_LETTERS)):
            if inner := {names[flag]: flags.pop(flag) for flag in names if flag in flags}:
                said[argument] = [inner]
        said |= {FLAGS[flag]: value for flag, value in flags.items()}
        found |= {name: {"name": name} | said for name in shlex.split(words) if not name.startswith("--")}
    return found


def of_flag(text: str) -> object:
    if match := re.fullmatch(r"(\d+)([ds])", text):
        return as_terraform(timedelta(**{{"d": "days", "s": "seconds"}[match[2]]: int(match[1])}))
    return {"": True, "never": as_terraform(topics.NEVER)}.get(text, int(text) if text.isdigit() else text)


def test_the_topics_here_are_terraform_s(plan):
    found = in_terraform(plan, "google_pubsub_topic")
    assert {name: here(topics.topic(PROJECT, name)) for name in topics.TOPICS} == found


def test_the_subscriptions_here_are_terraform_s_and_the_pushed_one_is_the_one_that_terraform_pushes(plan):
    found = in_terraform(plan, "google_pubsub_subscription")
    assert {name: here(topics.subscription(PROJECT, name)) for name in topics.SUBSCRIPTIONS} == found
    pushed = {one["name"] for one in plan.all_of("google_pubsub_subscription") if one["push_config"]}
    assert pushed == {topics.PUSHED}


def test_the_commands_by_hand_create_the_same():
    assert by_hand("topics") == {name: here(topics.topic(PROJECT, name)) for name in topics.TOPICS}
    wanted = {name: here(topics.subscription(PROJECT, name)) for name in topics.SUBSCRIPTIONS}
    (policy,) = wanted[topics.PUSHED]["dead_letter_policy"]
    policy["dead_letter_topic"] = policy["dead_letter_topic"].rsplit("/", 1)[1]
    assert by_hand("subscriptions") == wanted


def test_the_subscription_by_hand_pushes_to_the_function_as_terraform_s_does(plan):
    (words,) = [words for _, words in BY_HAND_COMMANDS if words.startswith(f"{topics.PUSHED} ")]
    flags = dict(word.partition("=")[::2] for word in shlex.split(words) if word.startswith("--push"))
    push = only(plan.instances("google_pubsub_subscription.classify")[None], "push_config")
    token = only(push, "oidc_token")
    # The address below run.app: at the one below cloudfunctions.net, Pub/Sub is not inside.
    function = plan.instances("google_cloudfunctions2_function.classify")[None]
    assert push["push_endpoint"] == only(function, "service_config")["uri"] != function["url"]
    assert re.search(r"^CLASSIFY_URL=.*describe classify .*value\(serviceConfig\.uri\)", BY_HAND, re.M)
    account = token["service_account_email"].replace(f"@{PROJECT}.", "@P.")
    assert push["push_endpoint"] == token["audience"]
    assert flags == {
        "--push-endpoint": "$CLASSIFY_URL",
        "--push-auth-service-account": account,
        "--push-auth-token-audience": "$CLASSIFY_URL",
    }


def described(pubsub, project: str) -> dict:
    """Name → what the server says of the project's topics and subscriptions."""
    found = [*pubsub.publisher.list_topics(project=f"projects/{project}")]
    found += [*pubsub.subscriber.list_subscriptions(project=f"projects/{project}")]
    return {one.name.split("/", 2)[2]: type(one).to_dict(one) | {"name": "", "topic": ""} for one in found}


@pytest.fixture(scope="module")
def created(pubsub) -> dict:
    """What the server says of all that `make up` creates."""
    project = "brigade-here"
    for name in topics.TOPICS:
        pubsub.publisher.create_topic(request=topics.topic(project, name))
    for name in topics.SUBSCRIPTIONS:
        endpoint = "http://127.0.0.1:9/" if name == topics.PUSHED else ""
        pubsub.subscriber.create_subscription(request=topics.subscription(project, name, endpoint))
    return described(pubsub, project)


def test_the_server_here_keeps_what_it_is_told(created):
    landing = created["subscriptions/sub-brigade"]
    assert landing["retain_acked_messages"] and landing["message_retention_duration"] == "604800s"
    assert landing["topic_message_retention_duration"] == "604800s" and "ttl" not in landing["expiration_policy"]
    assert created["subscriptions/sub-brigade-classify"]["dead_letter_policy"]["max_delivery_attempts"] == 100


@pytest.mark.gcloud
def test_the_commands_by_hand_run_and_the_server_says_the_same_of_what_they_make(
    pubsub, pubsub_emulator, created, tmp_path, monkeypatch
):
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB", f"http://127.0.0.1:{pubsub_emulator.http_port}/")
    monkeypatch.setenv("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CORE_PROJECT", "brigade-by-hand")
    here_too = [(kind, words) for kind, words in BY_HAND_COMMANDS if not words.startswith(f"{topics.PUSHED} ")]
    for kind, words in here_too:
        subprocess.run(f"gcloud pubsub {kind} create {words}", shell=True, check=True, cwd=ROOT, capture_output=True)
    made = described(pubsub, "brigade-by-hand")
    assert made == {name: created[name] for name in created if name != f"subscriptions/{topics.PUSHED}"}


def test_what_a_lost_job_had_acknowledged_is_kept_and_its_alarm_says_how_to_have_it_again(plan):
    landing = plan.instances("google_pubsub_subscription.landing")[None]
    assert landing["retain_acked_messages"] is True
    alarm = plan.instances("google_monitoring_alert_policy.landing_lag")[None]
    text = only(alarm, "documentation")["content"]
    assert f"gcloud pubsub subscriptions seek {landing['name']} --time=" in text
