"""The filters of Dataproc's lists: applied as the service documents them, or refused by name."""

import json

import pytest

from local.cloud_scheduler import CloudScheduler
from local.control_plane import create_app
from local.dataproc import STANDING_CLUSTER
from local.list_filters import CLUSTERS, JOBS, fit, read
from tests.schedule.dataproc_server import REGION, Held

FACTS = {"status.state": {"ACTIVE", "RUNNING"}, "clusterName": {"small"}, "labels.app": {"brigade"}, "labels.on": {""}}


@pytest.fixture
def asked():
    """asked(list, **query): a list's status and what is in it; there are two jobs and two clusters, `one` and `two`."""
    client = create_app(Held(), CloudScheduler()).test_client()
    program = {"pysparkJob": {"mainPythonFileUri": "gs://ml_code/spark_sql.py"}}
    for name, labels in (("one", {"app": "brigade", "env": "staging"}), ("two", {"app": "other"})):
        client.post(f"/v1/{REGION}/clusters", json={"clusterName": name, "labels": labels})
        job = program | {"reference": {"jobId": name}, "placement": {"clusterName": name}, "labels": labels}
        assert client.post(f"/v1/{REGION}/jobs:submit", json={"job": job}).status_code == 200
    client.post(f"/v1/{REGION}/jobs/two:cancel")

    def ask(kind: str, **query: str) -> tuple[int, set[str] | str]:
        answer = client.get(f"/v1/{REGION}/{kind}", query_string=query)
        if answer.status_code != 200:
            return answer.status_code, f"{answer.json['error']['status']} {answer.json['error']['message']}"
        names = {one.get("clusterName") or one["reference"]["jobId"] for one in answer.json[kind]}
        return 200, names - {STANDING_CLUSTER}

    return ask


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("", {"one", "two"}),
        ("labels.app = brigade", {"one"}),
        ("labels.app=nobody", set()),
        ("labels.app = *", {"one", "two"}),
        ("labels.env", {"one"}),
        ("status.state = ACTIVE", {"one"}),
        ("status.state = NON_ACTIVE", {"two"}),
        ("status.state = INACTIVE AND labels.app = other", {"two"}),
        ("status.state = CANCELLED", {"two"}),
        ("status.state = ACTIVE labels.app = other", set()),
        ("placement.clusterName = 'two'", {"two"}),
        ("labels.app = brigade AND labels.app = other", set()),
    ],
)
def test_jobs_are_listed_by_their_filter(asked, filter, found):
    assert asked("jobs", filter=filter) == (200, found)


def test_a_filter_of_jobs_is_asked_instead_of_the_state_and_beside_the_cluster(asked):
    assert asked("jobs", jobStateMatcher="NON_ACTIVE") == (200, {"two"})
    assert asked("jobs", jobStateMatcher="NON_ACTIVE", filter="labels.env = staging") == (200, {"one"})
    assert asked("jobs", clusterName="two", filter="labels.env = staging") == (200, set())


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("", {"one", "two"}),
        ("labels.env = staging", {"one"}),
        ("clusterName = two", {"two"}),
        ("status.state = ACTIVE AND labels.app = *", {"one", "two"}),
        ("status.state = ERROR", set()),
        ("status.state = INACTIVE", set()),
        ("labels.goog-dataproc-cluster-name = one", {"one"}),
    ],
)
def test_clusters_are_listed_by_their_filter(asked, filter, found):
    assert asked("clusters", filter=filter) == (200, found)


@pytest.mark.parametrize(
    ("filter", "named"),
    [
        ("reference.jobId = x", "'reference.jobId'"),
        ("labels.app = a OR labels.app = b", "'OR'"),
        ("NOT labels.app = a", "'NOT'"),
        ("labels.app = a and labels.env = b", "'and'"),
        ("labels.app:a", "'labels.app:a'"),
        ("labels.app != a", "!="),
        ("(labels.app = a)", "'(labels.app'"),
        ("labels.app = a AND", "'AND'"),
        ("AND labels.app = a", "'AND'"),
        ("labels.app =", "labels.app ="),
        ("labels.app = a*", "labels.app = a*"),
        ("status.state = FINISHED", "'FINISHED'"),
        ('insertTime <= "2026-01-01T00:00:00Z"', "'insertTime'"),
    ],
)
@pytest.mark.parametrize("kind", ["jobs", "clusters"])
def test_what_a_list_cannot_be_filtered_by_is_refused_by_name(asked, kind, filter, named):
    status, message = asked(kind, filter=filter)
    assert status == 400 and message.startswith(f"INVALID_ARGUMENT filter {filter!r}: expected ")
    assert named in message.split(", found ")[1]


def test_a_field_alone_is_a_clause_of_jobs_only():
    assert read("labels.app AND status.state = *", JOBS) == [("labels.app", "*"), ("status.state", "*")]
    with pytest.raises(ValueError, match="expected labels.app = VALUE, found labels.app"):
        read("labels.app", CLUSTERS)


def test_a_value_may_stand_in_quotes_and_be_empty():
    assert fit(read("""labels.on = "" AND clusterName='small'""", CLUSTERS), FACTS)
    assert not fit(read("""labels.app = "" """, CLUSTERS), FACTS)


def test_gcloud_lists_jobs_and_clusters_by_a_label(gcloud):
    for name in ("filtered", "unfiltered"):
        gcloud("dataproc", "clusters", "create", name, "--single-node", f"--labels=kind={name}")
    listed = json.loads(gcloud("dataproc", "clusters", "list", "--filter=labels.kind = filtered", "--format=json")[0])
    assert [one["clusterName"] for one in listed] == ["filtered"]
    assert json.loads(gcloud("dataproc", "jobs", "list", "--filter=labels.kind = x", "--format=json")[0]) == []
    assert "INVALID_ARGUMENT" in gcloud("dataproc", "jobs", "list", "--filter=jobs = x", status=1)[1]
