"""Messages survive the wire unchanged, and garbage from the wire is refused, never run."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import UpdateError
from fedpet.federation.messages import Reply, Request, decode, encode

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@given(
    site=NAMES,
    step=NAMES,
    body=st.dictionaries(NAMES, st.integers() | st.none() | st.lists(NAMES), max_size=4),
    values=st.lists(st.floats(width=32, allow_nan=False), max_size=5),
)
def test_a_request_comes_back_as_it_was_sent(site, step, body, values):
    """What the hospital decodes is what the coordinator asked, byte for byte."""
    request = Request(
        site=site,
        experiment="e",
        plan="p",
        step=step,
        kind="cox",
        body=body,
        arrays={"beta": np.float32(values)},
    )
    back = decode(encode(request))
    assert isinstance(back, Request)
    assert (back.site, back.step, dict(back.body)) == (site, step, body)
    assert back.arrays["beta"].tolist() == request.arrays["beta"].tolist()
    assert encode(back) == encode(request)


@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused_with_a_clear_error(data):
    """A node that is sent garbage answers with an error of ours, never with a traceback."""
    with pytest.raises(UpdateError):
        decode(data)


@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_a_flipped_byte_gives_a_message_or_a_clear_error(position, value):
    """One damaged byte never reaches further than the decoder."""
    reply = Reply(
        site="nice",
        experiment="e",
        step="s",
        attempt=0,
        status="ok",
        arrays={"w": np.arange(5.0)},
        reasons=("a",),
    )
    data = bytearray(encode(reply))
    data[position % len(data)] = value
    with contextlib.suppress(UpdateError):
        assert isinstance(decode(bytes(data)), Reply | Request)


def test_a_header_that_claims_gigabytes_is_refused_before_it_is_read():
    """A length limit stands before every parse."""
    with pytest.raises(UpdateError, match="limit"):
        decode((1 << 40).to_bytes(8, "little") + b"{}")
