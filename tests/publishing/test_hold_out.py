"""Held-out documents: equal texts fall on the same side, and none that is held out is published."""

import json

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.publishing.door import payloads, run, wild_text, write


@settings(max_examples=40)
@given(
    texts=st.lists(st.sampled_from("abcdefghij") | wild_text, min_size=1, max_size=40), fraction=st.floats(0.05, 0.95)
)
def test_a_held_out_text_is_never_published_and_nothing_is_lost(folder, texts, fraction):
    rows = b"".join(orjson.dumps({"text": text, "label": "x"}) + b"\n" for text in texts)
    held_file = folder / "held" / "out.jsonl"
    flags = [f"--hold_out={fraction}", f"--hold_out_file={held_file}"]
    done = run(write(folder, "rows.jsonl", rows), *flags, "--dry_run")
    held, sent = payloads(held_file.read_bytes().splitlines()), payloads(done.lines)
    assert not set(held) & set(sent)
    assert sorted(held + sent) == sorted(texts)
    assert done.summary["read"] == len(texts) == done.summary["held_out"] + done.summary["published"]
    assert [path.name for path in held_file.parent.iterdir()] == ["out.jsonl"]


def test_the_held_out_share_is_the_fraction_and_no_copy_of_it_gets_into_the_stream(folder):
    flags = ["--hold_out=0.3", f"--hold_out_file={folder}/held.jsonl", "--copies=300", "--malformed=80"]
    done = run("--generate=1000", "--seed=5", *flags, "--dry_run")
    held = set(payloads((folder / "held.jsonl").read_bytes().splitlines()))
    assert 240 < len(held) < 360
    assert not any(json.dumps(text, ensure_ascii=False).encode() in b"\n".join(done.lines) for text in held)
    assert done.summary["read"] == 1380 and done.summary["published"] == 1380 - done.summary["held_out"]
