"""Generated documents: the same for a seed, learnable, and with the noise of a real topic."""

import os
import subprocess
import sys

from brigade.events.event import NotAnEvent, read_event
from brigade.publishing.generated import CLASSES, generate
from tests.conftest import ROOT
from tests.publishing.door import run


def test_a_seed_gives_the_same_documents_in_every_process_and_another_seed_others():
    def told(seed, hash_seed):
        command = [sys.executable, "publisher.py", "--generate=40", f"--seed={seed}", "--dry_run"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        events = [line for line in done.stdout.splitlines() if line.startswith(b'{"eventTimestamp":"20')]
        return [line.split(b",", 1)[1] for line in events]

    first = told(1, "1")
    assert len(first) >= 40 and first == told(1, "2")
    assert not set(first) & set(told(2, "1"))


def test_noise_is_copies_byte_for_byte_and_messages_that_are_no_events():
    done = run("--generate=200", "--copies=7", "--malformed=16", "--dry_run")
    assert [done.summary[name] for name in ("documents", "copies", "malformed", "read")] == [200, 7, 16, 223]
    reasons, events, places = [], [], []
    for place, line in enumerate(done.lines):
        try:
            read_event(line)
            events.append(line)
        except NotAnEvent as problem:
            reasons.append(problem.reason)
            places.append(place)
    assert (len(events), len(set(events))) == (207, 200)
    expected = ["bad_timestamp", "empty_payload", "malformed_json", "malformed_json"]
    expected += ["missing_field", "not_an_object", "not_utf8", "wrong_type"]
    assert sorted(reasons) == sorted(expected * 2)
    assert min(places) < 60 and max(places) > 160  # spread, not heaped


def test_noise_is_one_in_a_hundred_unless_told_otherwise():
    def noise(*flags):
        summary = run(*flags, "--dry_run").summary
        return summary["copies"], summary["malformed"]

    assert noise("--generate=300") == (3, 3)
    assert noise("--generate=10") == (1, 1)
    assert noise("--generate=9") == (0, 0)
    assert noise("--generate=300", "--malformed=0", "--copies=0") == (0, 0)


def test_generated_documents_are_learnable_but_not_too_easily():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    documents = list(generate(2500, seed=1))
    texts, labels = [d.text for d in documents], [d.label for d in documents]
    assert set(labels) == set(CLASSES) and {d.language for d in documents} == {"en", "pt"}
    assert all(30 <= len(text.split()) <= 220 for text in texts)
    assert not any(sign in text for text in texts for sign in "{}[]|")  # every slot was filled
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LinearSVC().fit(features.fit_transform(texts[:2000]), labels[:2000])
    assert 0.90 < model.score(features.transform(texts[2000:]), labels[2000:]) < 0.98
