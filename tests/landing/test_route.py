"""Every message leaves once: as a line of its day's folder, or as a dead letter with its reason and its bytes."""

import base64
import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brigade.landing.route import Route
from tests.events.examples import event
from tests.events.wild_events import MUTATIONS, mutated
from tests.landing.landed import files, land, lines, message


def test_events_and_dead_letters_land_in_the_folder_of_their_day_of_publication(tmp_path):
    sent = [message(1, day=1), message(2, day=2, origin="a"), message(3, data=b"\xff{", day=2, origin="b")]
    land(sent, tmp_path)
    assert {path.parent.name for path in files(tmp_path)} == {"dt=2026-11-01", "dt=2026-11-02"}
    landed = {line["eventId"]: line["pubsub"] for line in lines(tmp_path)}
    assert landed["event-2"] == {
        "messageId": "id-2",
        "publishTime": "2026-11-02T23:59:00.000002Z",
        "attributes": {"origin": "a"},
    }
    (dead,) = lines(tmp_path, "dead_letter")
    assert base64.b64decode(dead.pop("data")) == b"\xff{"
    assert dead.pop("detail")
    assert dead == {
        "reason": "not_utf8",
        "messageId": "id-3",
        "publishTime": "2026-11-02T23:59:00.000003Z",
        "attributes": {"origin": "b"},
    }


@pytest.mark.parametrize("data, kind", [(event(1), "input"), (b"no event", "dead_letter")])
def test_the_ordering_key_of_a_message_is_kept(tmp_path, data, kind):
    """An event has it in `pubsub`, a dead letter at its top; a message without one has none."""
    with_key = PubsubMessage(data, {}, "id-1", datetime(2026, 11, 1, tzinfo=UTC), "customer-7")
    land([with_key, message(2, data)], tmp_path)
    found = [line.get("pubsub", line) for line in lines(tmp_path, kind)]
    assert {one["messageId"]: one.get("orderingKey") for one in found} == {"id-1": "customer-7", "id-2": None}
    assert sum("orderingKey" in one for one in found) == 1


@pytest.mark.long
def test_ten_thousand_mutated_messages_land_or_are_dead_letters(tmp_path):
    sent = []

    @settings(max_examples=10_000, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(MUTATIONS, max_size=4))
    def each_leaves_once(mutations):
        one = message(len(sent), mutated(event(1), mutations))
        route = Route("input", "dead_letter")
        route.start_bundle()
        ((folder, (_, line)),) = route.process(one)
        assert folder in ("input/dt=2026-11-01", "dead_letter/dt=2026-11-01")
        assert line.endswith(b"\n") and b"\n" not in line[:-1] and json.loads(line)
        sent.append(one)

    each_leaves_once()
    assert len(sent) >= 10_000
    land(sent, tmp_path, max_lines=5000, max_bytes=64 << 20)
    landed, dead = lines(tmp_path), lines(tmp_path, "dead_letter")
    identities = Counter(line["pubsub"]["messageId"] for line in landed) + Counter(line["messageId"] for line in dead)
    assert identities == Counter(one.message_id for one in sent)
    assert len(landed) > 100 and len({line["reason"] for line in dead}) >= 6
    by_id = {one.message_id: one.data for one in sent}
    assert all(base64.b64decode(line["data"]) == by_id[line["messageId"]] for line in dead)
