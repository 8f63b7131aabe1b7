"""The secure sum is exact, whoever drops out and when, and its parts are what they claim to be."""

from __future__ import annotations

import importlib.util
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.errors import FedpetError, RefusalError, UpdateError
from fedpet.privacy.secure_sum import keys, masks, shamir
from fedpet.privacy.secure_sum.lanes import Layout, decode, encode, error_bound, layout_of
from fedpet.privacy.secure_sum.terms import pack, threshold_of, unpack
from masked import SeededRandom, Sites, names_of, summands_of

REFERENCE = Path(__file__).resolve().parents[1] / "reference"


@settings(max_examples=25, deadline=None)
@given(data=st.data(), count=st.integers(3, 7))
def test_the_sum_is_exact_for_any_dropouts_that_leave_the_threshold(data, count):
    """Bit for bit the plain sum of fixed-point numbers, of exactly the sites that were added."""
    sites = Sites(count)
    names, spare = sites.names, count - threshold_of(count)
    lost = data.draw(st.lists(st.sampled_from(names), max_size=spare, unique=True))
    after = [name for name in names if name not in lost]
    quiet = st.lists(st.sampled_from(after), max_size=len(after) - threshold_of(count), unique=True)
    summands = summands_of(names, seed=data.draw(st.integers(0, 999)))
    summed, survivors = sites.run(
        summands, sites.terms(), late=lost, unconfirmed=data.draw(quiet), silent=data.draw(quiet)
    )
    assert survivors == tuple(after)
    layout = sites.layout(summands[names[0]])
    encoded = [encode(summands[n], layout, share=1.0, canary=bytes(32)) for n in after]
    plain = decode(
        sum(narrow for narrow, _ in encoded),
        sum(wide for _, wide in encoded),
        layout,
        summands=len(after),
        canary=bytes(32),
    )
    for name, kind in (("change", "update"), ("count", "count"), ("statistic", "wide")):
        assert summed[name].tobytes() == plain[name].tobytes()
        exact = [Fraction(0)] * summed[name].size
        for site in after:
            values = summands[site][name].reshape(-1)
            exact = [e + Fraction(float(v)) for e, v in zip(exact, values, strict=True)]
        for found, expected in zip(summed[name].reshape(-1), exact, strict=True):
            rounding = abs(float(expected)) * 2.0**-51
            assert abs(Fraction(float(found)) - expected) <= error_bound(layout, kind) + rounding


@pytest.mark.parametrize("phase", ["late", "unconfirmed", "silent"])
def test_below_the_threshold_nothing_is_opened(phase):
    """Two of five are gone: whatever the phase, the coordinator is left with noise."""
    sites = Sites(5)
    with pytest.raises(UpdateError):
        sites.run(summands_of(sites.names), sites.terms(), **{phase: sites.names[:2]})


def test_a_lost_sum_is_tried_again_with_a_new_attempt_and_fresh_masks():
    """The same sites, another attempt, another slot: the sum is what it would have been."""
    sites = Sites(5)
    summands = summands_of(sites.names)
    with pytest.raises(UpdateError):
        sites.run(summands, sites.terms(), silent=sites.names[:2])
    again, _ = sites.run(summands, sites.terms(attempt=1, slot=1))
    fresh = Sites(5, seed="others")
    once, _ = fresh.run(summands, fresh.terms())
    assert {n: a.tobytes() for n, a in again.items()} == {n: a.tobytes() for n, a in once.items()}


def test_the_order_of_arrival_and_the_keys_do_not_change_a_bit():
    """Sums of integers: a resumed run ends with the same bytes."""
    first, second = Sites(4, seed="a"), Sites(4, seed="b")
    summands = summands_of(first.names)
    one, _ = first.run(summands, first.terms())
    second.names.reverse()
    second.sessions = dict(reversed(second.sessions.items()))
    two, _ = second.run(summands, first.terms())
    assert {n: a.tobytes() for n, a in one.items()} == {n: a.tobytes() for n, a in two.items()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("change", math.nan),
        ("change", math.inf),
        ("change", 1e6),
        ("change", 1000.1),
        ("count", 0.5),
        ("count", 2.0**30),
        ("count", math.nan),
        ("statistic", math.nan),
        ("statistic", -math.inf),
        ("statistic", 2.0**52),
        ("statistic", 1e308),
    ],
)
def test_what_does_not_fit_the_ring_is_refused_at_the_site(name, value):
    """Never wrapped, never clipped: the site says so, and the others' sum goes on."""
    sites = Sites(4)
    summands = {site: dict(arrays) for site, arrays in summands_of(sites.names).items()}
    spoiled = summands[sites.names[1]][name].copy()
    spoiled.reshape(-1)[2] = value
    summands[sites.names[1]][name] = spoiled
    with pytest.raises(UpdateError, match=f"'{name}'"):
        sites.run(summands, sites.terms())


def test_a_change_at_its_bound_on_every_site_does_not_wrap():
    """The largest allowed sum still fits: that is what the scale is chosen for."""
    sites = Sites(4)
    arrays = {"change": np.full(3, 10.0 * 25)}  # each site holds a quarter of the weight
    encoded = [
        encode(arrays, sites.layout(arrays), share=0.25, canary=bytes(32)) for _ in sites.names
    ]
    summed = decode(
        sum(n for n, _ in encoded), sum(w for _, w in encoded), sites.layout(arrays),
        summands=4, canary=bytes(32),
    )  # fmt: skip
    np.testing.assert_allclose(summed["change"], 1000.0, rtol=1e-8)
    assert sites.layout(arrays).bits == 27
    assert sites.layout(arrays, bound=7.9).bits == 28


def test_a_masked_vector_looks_like_noise():
    """Zeros in, and every bit of what leaves is a coin: mean and correlation say nothing."""
    sites = Sites(3)
    arrays = {"change": np.zeros(40_000), "statistic": np.zeros(10_000)}
    masked = sites.masked(sites.names[0], sites.terms(), arrays)
    for words in (masked.narrow, masked.wide):
        bits = np.unpackbits(words.view(np.uint8)).reshape(-1, 8)
        deviations = (bits.mean(axis=0) - 0.5) * 2 * np.sqrt(len(bits))
        assert np.abs(deviations).max() < 5


@settings(max_examples=20, deadline=None)
@given(
    secret=st.binary(min_size=32, max_size=32),
    threshold=st.integers(1, 7),
    extra=st.integers(0, 4),
    data=st.data(),
)
def test_any_t_shares_give_the_secret_back_and_a_wrong_one_is_named(secret, threshold, extra, data):
    """Shamir over the integers modulo 2^256 + 297."""
    shares = shamir.split(
        secret, threshold=threshold, shares=threshold + extra, random=SeededRandom("shares")
    )
    points = data.draw(st.permutations(range(1, len(shares) + 1)))[:threshold]
    chosen = {point: shares[point - 1] for point in points}
    found, wrong = shamir.combine(chosen, threshold=threshold, fits=secret.__eq__)
    assert (found, wrong) == (secret, ())
    if extra:
        spoiled = dict(enumerate(shares, start=1))
        liar = data.draw(st.sampled_from(sorted(spoiled)))
        spoiled[liar] = bytes(33)
        if shares[liar - 1] != bytes(33):
            found, wrong = shamir.combine(spoiled, threshold=threshold, fits=secret.__eq__)
            assert (found, wrong) == (secret, (liar,))


def test_fewer_than_t_shares_fit_every_secret():
    """Any t - 1 points and any secret lie on a polynomial: they say nothing about which it was."""
    shares = shamir.split(b"\1" * 32, threshold=3, shares=3, random=SeededRandom("few"))
    known = {1: int.from_bytes(shares[0], "big"), 2: int.from_bytes(shares[1], "big")}
    for other in (b"\2" * 32, bytes(32), b"\xff" * 32):
        weights = shamir.weights_at_zero([1, 2, 3])
        rest = sum(weights[p - 1] * known[p] for p in known)
        third = (int.from_bytes(other, "big") - rest) * pow(weights[2], -1, shamir.PRIME)
        made = {**{p: v.to_bytes(33, "big") for p, v in known.items()}}
        made[3] = (third % shamir.PRIME).to_bytes(33, "big")
        assert shamir.combine(made, threshold=3, fits=other.__eq__)[0] == other


def test_key_derivation_is_that_of_rfc_5869():
    """The two lines that we wrote are HKDF of the library, extract and expand."""
    key, context = bytes(range(32)), b"context"
    expand = HKDFExpand(hashes.SHA256(), 32, info=b"fedpet-sa/1 mask\0context")
    assert keys.derive(key, "mask", context) == expand.derive(key)
    both = HKDF(hashes.SHA256(), 32, salt=context, info=b"fedpet-sa/1 mask\0context")
    root = keys.pair_root(b"a" * 32, b"b" * 32, context)
    assert keys.derive(root, "mask", context) == both.derive(b"a" * 32 + b"b" * 32)


def test_masks_are_the_key_stream_of_aes_256_in_counter_mode():
    """NIST SP 800-38A uses another counter; the first block is AES of zeros (FIPS 197)."""
    narrow, wide = np.zeros(8, np.uint32), np.zeros(2, np.uint64)
    masks.apply(narrow, wide, add=[bytes(32)])
    assert narrow[:4].tobytes().hex() == "dc95c078a2408989ad48a21492842087"
    masks.apply(narrow, wide, subtract=[bytes(32)])
    assert not narrow.any()
    assert not wide.any()


def test_masks_of_every_length_cancel():
    """Chunk edges, odd lengths and empty vectors."""
    for size in (0, 1, 5, 16383, 16384, 16385, 40001):
        narrow, wide = np.arange(size, dtype=np.uint32), np.arange(size + 3, dtype=np.uint64)
        masks.apply(narrow, wide, add=[b"a" * 32, b"b" * 32], subtract=[b"c" * 32])
        assert size < 5 or not np.array_equal(narrow, np.arange(size, dtype=np.uint32))
        masks.apply(narrow, wide, add=[b"c" * 32], subtract=[b"b" * 32, b"a" * 32])
        assert np.array_equal(narrow, np.arange(size, dtype=np.uint32))
        assert np.array_equal(wide, np.arange(size + 3, dtype=np.uint64))


@given(data=st.binary(max_size=200))
def test_garbage_is_no_message_and_no_layout(data):
    """Whatever bytes come, the answer is a sentence."""
    for parse in (unpack, Layout.from_bytes):
        try:
            parse(data)
        except FedpetError:
            continue
        assert parse is unpack
        assert pack(*unpack(data)) == data


def test_a_layout_follows_from_names_and_shapes_only():
    """Two sites with the same shapes agree, whatever their values."""
    arrays = {"b": np.zeros((2, 3)), "a": np.ones(4)}
    layout = layout_of(arrays, kinds={"a": "count"}, sites=5, bound=1.0, total=3.0)
    assert [s.name for s in layout.segments] == ["a", "b"]
    assert Layout.from_bytes(layout.to_bytes()) == layout
    assert layout.words == (8, 16)
    with pytest.raises(UpdateError):
        Layout.from_bytes(layout.to_bytes().replace(b"[2,3]", b"[2,-3]"))


def test_the_threshold_is_more_than_two_thirds():
    """Two honest majorities of t always share a site: S cannot get two views confirmed."""
    for sites in range(3, 100):
        t = threshold_of(sites)
        assert 3 * t > 2 * sites
        assert t <= sites
        assert 3 * (t - 1) <= 2 * sites


def test_names_of_sites_that_sort_oddly_still_cancel():
    """Signs follow the order of names, which is that of Python's strings."""
    assert names_of(3) == sorted(names_of(3))
    with pytest.raises(RefusalError):
        keys.unseal(bytes(32), bytes(40), b"")


def test_the_published_vectors_are_what_this_version_computes():
    """Whoever writes the protocol anew, or changes it here, can tell whether it is the same."""
    recorded = json.loads((REFERENCE / "secure_sum.json").read_text())
    assert secure_sum_vectors(recorded) == recorded
    exact = [0.5 * 1 + 0.5 * 2 + 0.5 * 3, -1.25 * 6, 18.0]
    np.testing.assert_allclose(recorded["sum"]["change"], exact, atol=100 * 2**-27 * 3)
    assert recorded["sum"]["count"] == [24.0, 3.0]


def secure_sum_vectors(recorded):
    """Run the script beside the vectors."""
    spec = importlib.util.spec_from_file_location("vectors", REFERENCE / "secure_sum.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.vectors(recorded)
