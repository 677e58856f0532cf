"""What a manifest must hold, and that it cannot lead out of its folder."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from brigade.models.manifest import PassedOver, read_manifest
from tests.json_values import JSON


def good_manifest() -> dict:
    files = [
        {"name": name, "size": 1, "sha256": "a" * 64} for name in ("model.json", "weights.safetensors", "golden.jsonl")
    ]
    own = {"formatVersion": 2, "runId": "run-1", "createdAt": "2026-01-05T02:10:00Z", "promoted": True}
    return own | {"reason": "first", "label": "superTag01", "codeVersion": "1", "files": files}


@pytest.mark.parametrize("key", good_manifest())
def test_a_manifest_without_one_of_its_keys_is_refused(key):
    manifest = good_manifest()
    del manifest[key]
    with pytest.raises(PassedOver, match=key):
        read_manifest(json.dumps(manifest).encode())


@pytest.mark.parametrize("name", ["../model.json", "a/b", "..", "/etc/passwd", "", ".hidden", "a\\b", 7, None])
def test_a_manifest_cannot_lead_out_of_its_folder(name):
    escape = good_manifest() | {"runId": name}
    with pytest.raises(PassedOver, match="runId"):
        read_manifest(json.dumps(escape).encode())
    escape = good_manifest()
    escape["files"].append({"name": name, "size": 1, "sha256": "a" * 64})
    with pytest.raises(PassedOver, match="plain name"):
        read_manifest(json.dumps(escape).encode())


@settings(max_examples=300)
@given(st.sampled_from(sorted(good_manifest())), JSON)
@example("formatVersion", "1\n2")
def test_whatever_a_manifest_holds_it_is_read_or_refused(key, value):
    content = json.dumps(good_manifest() | {key: value}).encode()
    try:
        assert set(read_manifest(content).files) >= {"model.json", "weights.safetensors", "golden.jsonl"}
    except PassedOver as reason:
        assert "\n" not in str(reason) and len(str(reason)) < 300
