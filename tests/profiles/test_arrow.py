"""Columns of Arrow become arrays and come back, with what is null, from the middle of a buffer too."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brigade.profiles.arrow import coded, integers, is_there, numbers_in, strings, taken
from tests.conftest import ROOT

ENDS = st.tuples(st.integers(0, 20), st.integers(0, 20))


@given(
    st.sampled_from(["int32", "int64", "double", "bool"]), st.lists(st.none() | st.integers(0, 1), max_size=20), ENDS
)
def test_numbers_come_out_as_they_are(kind, values, ends):
    values = [None if one is None else {"bool": bool, "double": float}.get(kind, int)(one) for one in values]
    column = pa.array(values, pa.type_for_alias(kind))[ends[0] : ends[0] + ends[1]]
    own = values[ends[0] : ends[0] + ends[1]]
    assert numbers_in(column, 1).tolist() == [1 if one is None else one for one in own]
    assert is_there(column).tolist() == [one is not None for one in own]


@given(st.lists(st.none() | st.text(max_size=3), max_size=20), ENDS)
def test_strings_come_out_as_they_are(values, ends):
    column = strings(values)
    assert column.validate(full=True) is None and column.to_pylist() == values
    part = column[ends[0] : ends[0] + ends[1]]
    codes, different = coded(part)
    assert [None if code < 0 else different[code] for code in codes.tolist()] == part.to_pylist()
    places = np.arange(len(part))[::-1]
    assert taken(part, places).to_pylist() == part.to_pylist()[::-1]


@pytest.mark.parametrize("values", [[], [3, -1], np.arange(4)])
def test_integers_come_out_as_they_are(values):
    assert integers(values).to_pylist() == list(values)


def test_no_block_takes_pandas_along():
    program = (
        "import sys, pyarrow as pa; from brigade.profiles.arrow import *; column = strings(['a', None]);"
        "coded(taken(column, [1, 0])); numbers_in(integers([1, 2])[1:], 0); is_there(column);"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60).returncode == 0
