"""What a path means: which spellings name one place, and which places lie in one another."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brigade.errors import WrongInput
from brigade.paths import check_apart, lies_in, resolved, sibling

STEPS = st.lists(st.sampled_from(["a", "b", "in[1]", "..", ".", "", "a b", "é*", "%2e"]), max_size=6)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder, with the folder `a/b`, and `link` to `a`."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "spelling",
    ["a/b", "./a/b/", "a//b", "a/../a/b/.", "link/b", "{}/a/b", "/{}//a/b/", "file:{}/a/b", "file://{}/link/b/",
     "FILE:{}/a/b", "file://localhost{}/a/./b", "a/b/../../link/b"],
)  # fmt: skip
def test_one_place_has_one_spelling(here, spelling):
    assert resolved(spelling.format(here)) == f"{here}/a/b"
    assert lies_in(spelling.format(here), "a/b") and lies_in("a/b", spelling.format(here))
    assert lies_in(spelling.format(here), "link") and not lies_in("link", spelling.format(here))


def test_what_follows_a_link_is_where_the_link_leads(here):
    (here / "elsewhere" / "deep").mkdir(parents=True)
    (here / "a" / "out").symlink_to(here / "elsewhere" / "deep")
    assert resolved("a/out/../x") == f"{here}/elsewhere/x"


@pytest.mark.parametrize(
    "spelling, place",
    [("gs://b", "gs://b"), ("gs://b/", "gs://b"), ("gs://b//x/./y/../z/", "gs://b/x/z"), ("GS://b/x", "gs://b/x"),
     ("gs://b/../x", "gs://b/x"), ("hdfs://h:8020/x//y", "hdfs://h:8020/x/y"), ("gs://b/in[1]*", "gs://b/in[1]*")],
)  # fmt: skip
def test_a_place_in_a_bucket_has_one_spelling(spelling, place):
    assert resolved(spelling) == place


@pytest.mark.parametrize("path", ["", "gs://", "gs:///x", "gs:/b/x", "file://other/x"])
def test_what_names_no_place_is_wrong_input(path):
    with pytest.raises(WrongInput, match=r"expected (gs://bucket/prefix or a local path|file:///path), found"):
        resolved(path)


@given(STEPS, STEPS)
def test_a_path_lies_in_another_as_its_steps_say(one, two):
    one, two = (f"gs://bucket/{'/'.join(steps)}" for steps in (one, two))
    for path in (one, two):
        assert resolved(resolved(path)) == resolved(path) == resolved(f"{path}/")
    steps, outer = resolved(one).split("/"), resolved(two).split("/")
    assert lies_in(one, two) == (steps[: len(outer)] == outer)
    assert resolved(f"/nowhere/{one}") == resolved(f"file:/nowhere/{one}")


@pytest.mark.parametrize(
    "one, other",
    [("a", "a"), ("a/b", "link"), (".", "a"), ("a", ".."), ("/", "a"), ("gs://b", "gs://b/x"), ("gs://b/x/../y", "gs://b/y")],
)  # fmt: skip
def test_places_that_are_or_lie_in_one_another_are_refused_whichever_comes_first(here, one, other):
    for paths in ({"input": one, "output": other}, {"input": other, "output": one}):
        with pytest.raises(WrongInput, match="the (in|out)put path .* lies in the (in|out)put path .*; choose another"):
            check_apart({"third": "gs://elsewhere"} | paths)


@pytest.mark.parametrize("target", ["parquet", "parquet/deep", "."])
def test_a_link_in_the_input_that_leads_to_the_output_is_refused(here, target):
    (here / "parquet" / "deep").mkdir(parents=True)
    (here / "a" / "b" / "old").symlink_to(here / target)
    with pytest.raises(WrongInput, match=r"a/b/old \(/.*choose another"):
        check_apart({"input": "a", "output": "parquet"})
    check_apart({"input": "a", "output": "/nowhere"})


def test_places_beside_one_another_are_apart(here):
    check_apart({"input": "a/b", "output": "a/bc", "quarantine": "gs://b/a/b", "test": "gs://b/a/bc", "more": "b"})


@pytest.mark.parametrize(
    "path, beside",
    [("x/parquet", "x/q"), ("parquet/", "q"), ("a/b/..", "{}/q"), (".", "{parent}/q"), ("link", "q"),
     ("gs://b/x/", "gs://b/q"), ("file:///x/y", "/x/q")],
)  # fmt: skip
def test_what_lies_beside_a_path(here, path, beside):
    assert sibling(path, "q") == beside.format(here, parent=here.parent)


@pytest.mark.parametrize("path", ["gs://b", "gs://b/", "gs://b/.", "/", "file:///"])
def test_nothing_lies_beside_a_whole_bucket_or_disk(path):
    with pytest.raises(WrongInput, match="nothing beside it; name the place of q"):
        sibling(path, "q")
