"""Letters between machines: what is signed holds, what is not is refused."""

import dataclasses

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedpet.engines.nats.chunks import CHUNK_BYTES, Bulk, Gathering, bulk_of, cut
from fedpet.engines.nats.letters import Letter, open_letter, seal
from fedpet.errors import FedpetError, RefusalError, UpdateError
from fedpet.federation.messages import Reply, Request, decode, encode, header_of, message_of
from fedpet.privacy.identity import Identity

HEADER = [
    "site",
    "experiment",
    "plan",
    "step",
    "kind",
    "body",
    "attempt",
    "status",
    "reasons",
    "seconds",
]
AUTHOR, STRANGER = Identity(bytes(range(32))), Identity(bytes(32))
LETTER = Letter(
    federation="f",
    kind="answer",
    author="lyon",
    to="coordinator",
    about="q",
    body={"a": [1, 2.5, None], "b": {"c": "d"}},
    bulk=Bulk(size=CHUNK_BYTES + 1, chunks=("a" * 64, "b" * 64)),
    enclosed=b"arrays",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


def opened(data: bytes, **changes) -> Letter:
    asked = {"federation": "f", "kind": "answer", "written_by": "lyon", "to": "coordinator"}
    return open_letter(data, author=AUTHOR.public, **{**asked, **changes})


@given(body=st.dictionaries(st.text(max_size=8), JSON, max_size=4), enclosed=st.binary(max_size=64))
def test_what_is_sealed_opens_again(body, enclosed):
    """Whatever JSON it holds."""
    letter = dataclasses.replace(LETTER, body=body, enclosed=enclosed)
    assert opened(seal(letter, AUTHOR)) == letter


@pytest.mark.parametrize(
    "changes", [{"federation": "g"}, {"kind": "ask"}, {"written_by": "nice"}, {"to": "lyon"}]
)
def test_a_letter_taken_out_of_its_place_is_refused(changes):
    """The broker may repeat and redirect letters; none means anything elsewhere."""
    with pytest.raises(UpdateError, match="belongs to another"):
        opened(seal(LETTER, AUTHOR), **changes)


def test_a_letter_that_somebody_else_signed_is_refused():
    """The name in a letter proves nothing."""
    with pytest.raises(RefusalError, match="not signed by 'lyon'"):
        opened(seal(LETTER, STRANGER))


@settings(max_examples=400)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_noticed(place, bit):
    """In the header, the signature, the enclosed arrays, the lengths."""
    data = bytearray(seal(LETTER, AUTHOR))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(FedpetError):
        opened(bytes(data))


@settings(max_examples=150)
@given(garbage=st.binary(max_size=300), cut_at=st.integers(0, 600))
@example(garbage=b"fedpet\x01\x00\xff\xff\xff\xff", cut_at=0)
@example(garbage=b"fedpet\x01\x00\x02\x00\x00\x00[]" + bytes(64), cut_at=0)
def test_garbage_and_torn_letters_end_in_a_refusal(garbage, cut_at):
    """Never in another exception, and never in a letter."""
    whole = seal(LETTER, AUTHOR)
    for data in (garbage, whole[: min(cut_at, len(whole) - 1)], whole + garbage + b"more"):
        with pytest.raises(FedpetError):
            opened(data)


@settings(max_examples=150)
@given(
    values=st.dictionaries(
        st.sampled_from((*HEADER, "type", "arrays", "more")),
        JSON | st.sampled_from(["Request", "Reply", "ok"]),
    )
)
def test_a_header_of_any_json_is_a_message_or_a_refusal(values):
    """And a message's fields have the types that everybody relies on."""
    import json

    try:
        message = message_of(json.dumps(values).encode(), {})
    except UpdateError:
        return
    assert isinstance(message, Request | Reply)
    assert decode(encode(message)) == message


def test_a_deeply_nested_letter_is_refused():
    """Nesting costs the reader a stack, the author a few bytes."""
    body: dict = {}
    for _ in range(200):
        body = {"a": body}
    with pytest.raises(UpdateError):
        opened(seal(dataclasses.replace(LETTER, body=body), AUTHOR))


def test_a_header_without_arrays_is_the_same_message():
    """What travels in two parts is put together as it was."""
    request = Request(site="a", experiment="e", plan="p", step="s", kind="k", body={"x": 0.1})
    assert message_of(header_of(request), {}) == request


@pytest.mark.parametrize(
    "values",
    [
        None,
        {"size": 5},
        {"size": True, "chunks": ["a" * 64]},
        {"size": 5, "chunks": ["A" * 64]},
        {"size": 5, "chunks": []},
        {"size": 2**40, "chunks": ["a" * 64]},
        {"size": -1, "chunks": []},
    ],
)
def test_a_description_that_is_not_right_is_refused(values):
    """Sizes are known before anything is fetched."""
    with pytest.raises(UpdateError):
        Bulk.from_json(values)


def test_a_gathering_goes_on_where_it_was_killed(tmp_path):
    """Chunks that are there and right are not fetched again; a torn one is."""
    data = b"".join(bytes([n]) * CHUNK_BYTES for n in range(3)) + b"end"
    described = bulk_of(data)
    chunks = [bytes(chunk) for chunk in cut(data)]
    first = Gathering(tmp_path / "arrays", described)
    first.put(0, chunks[0])
    first.put(2, chunks[2])
    first.close()
    part = tmp_path / "arrays.part"
    spoiled = bytearray(part.read_bytes())
    spoiled[5] ^= 1
    part.write_bytes(spoiled)
    second = Gathering(tmp_path / "arrays", described)
    assert second.missing == [0, 1, 3]
    with pytest.raises(UpdateError, match="not the one that was announced"):
        second.put(0, chunks[1])
    for index in second.missing:
        second.put(index, chunks[index])
    assert second.finish().read_bytes() == data
