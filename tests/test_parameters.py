"""Named arrays and their bytes are the same everywhere, and garbage is refused."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fedpet.errors import UpdateError
from fedpet.parameters import (
    HEADER_LIMIT_BYTES,
    digest,
    from_bytes,
    require_finite,
    require_same_shapes,
    to_bytes,
)

ARRAYS = st.dictionaries(
    st.text("abc./_", min_size=1, max_size=8),
    st.sampled_from([np.float32, np.float64, np.int64, np.float16]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    ),
    max_size=8,
)


@given(ARRAYS)
def test_arrays_come_back_as_they_were_in_the_order_of_their_names(named):
    """Values, types and shapes survive; the order does not depend on how they were put in."""
    back = from_bytes(to_bytes(named))
    assert list(back) == sorted(named)
    for name, array in named.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()
    assert digest(dict(reversed(named.items()))) == digest(named)


def test_the_order_of_names_is_the_same_in_every_process():
    """A hash order that changes per process would change the last bit of sums."""
    program = (
        "import numpy as np; from fedpet.parameters import *;"
        "print(list(from_bytes(to_bytes({c: np.ones(1) for c in 'hgfedcba'}))))"
    )
    told = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        for _ in range(3)
    }
    assert told == {b"['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']\n"}


@given(st.binary(max_size=64))
def test_random_bytes_are_refused(data):
    """Never unpickled, never a traceback of another library."""
    with pytest.raises(UpdateError):
        from_bytes(b"\xff" + data)


def test_too_many_bytes_are_refused_before_they_are_parsed():
    """The limit stands before the parser."""
    with pytest.raises(UpdateError, match="limit"):
        from_bytes(to_bytes({"a": np.zeros(10)}), limit_bytes=20)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"a": np.zeros(2)}, "'b' is missing"),
        ({"a": np.zeros(2), "b": np.zeros(1), "c": np.zeros(1)}, "'c' was not expected"),
        ({"a": np.zeros(3), "b": np.zeros(1)}, "shape"),
    ],
)
def test_the_first_difference_in_shape_is_named(found, text):
    """Whose arrays, which one, and what was expected."""
    with pytest.raises(UpdateError, match=text) as caught:
        require_same_shapes({"a": np.zeros(2), "b": np.zeros(1)}, found, where="Site nice")
    assert "Site nice" in str(caught.value)


def test_values_that_are_not_finite_are_counted():
    """NaN and infinity are refused on both sides."""
    with pytest.raises(UpdateError, match="'w' holds 2 values"):
        require_finite({"w": np.array([np.nan, 1.0, np.inf]), "n": np.array([1])}, where="Here")


def test_a_header_of_absurd_length_is_not_parsed():
    """The limit stands before the parser, whatever the parser would make of it."""
    length = HEADER_LIMIT_BYTES + 1
    with pytest.raises(UpdateError, match="header of the arrays is too long"):
        from_bytes(length.to_bytes(8, "little") + b"{" * 100)
