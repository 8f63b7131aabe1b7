"""Attacks on the secure sum. Each is refused, and each succeeds once its own defence is taken away.

The attacker is the coordinator, who relays everything and may lie, or a site that does not follow
the protocol. A defence is one function of `rules`, or one check of a signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from fedpet.errors import RefusalError, UpdateError
from fedpet.parameters import Parameters
from fedpet.privacy.identity import PublicIdentity
from fedpet.privacy.secure_sum import keys, masks, rules, shamir
from fedpet.privacy.secure_sum.collector import SumOfMasked
from fedpet.privacy.secure_sum.lanes import decode, encode
from fedpet.privacy.secure_sum.site import Masked
from fedpet.privacy.secure_sum.statements import key_statement, pair_context
from fedpet.privacy.secure_sum.terms import Batch, Terms, pack, unpack, unpack_by_site
from masked import SITES_MIN, SeededRandom, Sites, identity_of, names_of, summands_of

VICTIM = "site-00"


def switched_off(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Take defences away."""
    for name in names:
        monkeypatch.setattr(rules, name, lambda *args, **kwargs: None)


def values(arrays: Parameters) -> np.ndarray:
    return np.concatenate([arrays[name].reshape(-1) for name in sorted(arrays)])


def is_known(found: Parameters, secret: Parameters) -> bool:
    """Tell whether the attacker holds the victim's summand."""
    return bool(np.allclose(values(found), values(secret), atol=1e-5, rtol=1e-9))


def bared(
    sites: Sites, terms: Terms, masked: Masked, secrets: Sequence[bytes], like: Parameters
) -> Parameters:
    """Take the first site's masks off its vector: it added them all, so all are subtracted."""
    layout = sites.layout(like)
    tag = terms.tag(sites.scope, sites.shared.batch, layout.to_bytes())
    narrow, wide = masked.narrow.copy(), masked.wide.copy()
    masks.apply(narrow, wide, subtract=[keys.derive(key, "mask", tag) for key in secrets])
    return decode(narrow, wide, layout, summands=1, canary=tag)


def opened(sites: Sites, terms: Terms, over: list[str], by: list[str]) -> dict[str, list[bytes]]:
    """Confirm and reveal at `by`; returns the shares by site that the coordinator holds."""
    name = sites.shared.batch.name
    proofs: dict[str, dict[str, bytes]] = {}
    for site in by:
        answer = sites.sessions[site].confirm(name, terms.slot, over, sites_min=SITES_MIN)
        proofs[site] = {j: proof for j, (proof,) in unpack_by_site(answer, 1).items()}
    shares = {}
    for site in by:
        told = [p for j in by if j != site for p in (j.encode(), proofs[j][site])]
        shares[site] = unpack(
            sites.sessions[site].reveal(name, terms.slot, over, pack(*told), sites_min=SITES_MIN)
        )
    return shares


def secret_from(
    sites: Sites, shares: Mapping[str, list[bytes]], terms: Terms, owner: str, kind: str
) -> bytes:
    position = terms.included.index(owner)
    cohort = sites.shared.batch.cohort
    return shamir.combine(
        {cohort.index(j) + 1: given[position] for j, given in shares.items()},
        threshold=sites.shared.batch.threshold,
        fits=lambda found: sites.shared.committed(owner, terms.slot, kind, found),
    )[0]


# The coordinator asks for two vectors under one mask.


def replay(sites: Sites, terms: Terms, again: Terms) -> np.ndarray:
    """Ask one site twice for the same slot; the difference of the answers bares the change."""
    summands = summands_of([VICTIM])[VICTIM]
    other = {name: array + 1.0 for name, array in summands.items()}
    first = sites.masked(VICTIM, terms, summands)
    second = sites.masked(VICTIM, again, other)
    return (second.wide - first.wide)[: summands["statistic"].size].view(np.int64) / 2**10


def test_two_vectors_are_never_masked_under_one_tag(monkeypatch):
    """The same attempt of the same step, another question: the difference would be in clear."""
    sites = Sites(4)
    with pytest.raises(RefusalError, match="Another vector"):
        replay(sites, sites.terms(), sites.terms())
    switched_off(monkeypatch, "require_one_vector")
    difference = replay(Sites(4), sites.terms(), sites.terms())
    np.testing.assert_allclose(difference, 1.0, atol=1e-3)


def test_a_slot_serves_one_sum_only(monkeypatch):
    """One slot for two steps: the first opens one mask of the victim, the second the other."""

    def attack(sites: Sites) -> bool:
        summands, others = summands_of(sites.names), sites.names[1:]
        first, second = sites.terms(), sites.terms(step="the next step")
        for site in sites.names:
            sites.masked(site, first, summands[site])
        shares = opened(sites, first, sites.names, sites.names)
        own = secret_from(sites, shares, first, VICTIM, "b")
        masked = {site: sites.masked(site, second, summands[site]) for site in sites.names}
        gone = opened(sites, second, others, others)  # now the victim is said to be gone
        closing = secret_from(sites, gone, second, VICTIM, "kappa")
        pairs = sites.shared.pairs_of(VICTIM, second.slot, closing)
        found = bared(sites, second, masked[VICTIM], (own, *pairs.values()), summands[VICTIM])
        return is_known(found, summands[VICTIM])

    with pytest.raises(RefusalError, match="served another sum"):
        attack(Sites(4))
    switched_off(monkeypatch, "require_unused")
    with pytest.raises(RefusalError, match="other mask"):  # a second lock behind the first
        attack(Sites(4))
    switched_off(monkeypatch, "require_one_kind")
    assert attack(Sites(4))


def test_a_batch_is_prepared_once(monkeypatch):
    """A batch that was forgotten is not made again: its pairwise keys would be the same."""
    sites = Sites(4)
    session = sites.sessions[VICTIM]
    batch = sites.shared.batch
    session._batches.clear()
    with pytest.raises(RefusalError, match="prepared before"):
        session.share(batch, sites.agreement.offers_for(VICTIM, batch.cohort), sites_min=3)


# The coordinator puts keys of its own in the place of a site's.


def forged_peers(sites: Sites) -> tuple[bytes, keys.KemKey]:
    """Advertise, in the name of every other site, a key that the coordinator made."""
    forged = keys.KemKey(SeededRandom("coordinator")(96))
    fields = []
    for name in sites.names:
        if name != VICTIM:
            statement = key_statement(sites.scope, name, forged.public)
            own = identity_of("the coordinator").sign(b"fedpet-sa/1 advertise", statement)
            fields += [name.encode(), forged.public, own]
    return pack(*fields), forged


def test_a_key_that_the_coordinator_made_is_refused(monkeypatch):
    """Without pinned signatures it would sit between any two sites, and know all their masks."""
    sites = Sites(4)
    forged, key = forged_peers(sites)
    with pytest.raises(RefusalError, match="signature"):
        sites.sessions[VICTIM].agree(forged)
    monkeypatch.setattr(PublicIdentity, "verify", lambda *args, **kwargs: None)
    answer = unpack_by_site(sites.sessions[VICTIM].agree(forged), 1)
    box, _ = unpack(answer["site-01"][0], 2)
    public = unpack(sites.sessions[VICTIM].advertise(), 2)[0]
    context = pair_context(sites.scope, (VICTIM, public), ("site-01", key.public))
    assert len(key.open(box, context)) == 32  # the victim's secret contribution, read


def test_a_key_of_another_experiment_plan_or_site_is_refused():
    """What a site signed elsewhere, or another site signed, is not replayed here."""
    sites = Sites(4)
    public, signature = unpack(sites.sessions["site-01"].advertise(), 2)
    sites.sessions[VICTIM].agree(pack(b"site-01", public, signature))
    with pytest.raises(RefusalError, match="signature"):
        sites.sessions[VICTIM].agree(pack(b"site-02", public, signature))
    other = Sites(4)
    object.__setattr__(other.scope, "experiment", "another")
    statement = key_statement(other.scope, "site-01", public)
    replayed = identity_of("site-01").sign(b"fedpet-sa/1 advertise", statement)
    with pytest.raises(RefusalError, match="signature"):
        sites.sessions[VICTIM].agree(pack(b"site-01", public, replayed))
    with pytest.raises(RefusalError, match="not in the roster"):
        sites.sessions[VICTIM].agree(pack(b"sybil", public, signature))


def test_shares_that_another_site_signed_or_boxes_that_were_changed_are_refused():
    """Every box is covered by its author's signature, for this batch and this cohort."""
    sites = Sites(4)
    boxes = unpack_by_site(sites.shared.boxes_for(VICTIM, sites.names), 4)
    one, two = boxes["site-01"], boxes["site-02"]
    session, name = sites.sessions[VICTIM], sites.shared.batch.name
    for author, fields in (
        (b"site-01", two),
        (b"site-01", [*one[:3], two[3]]),
        (b"site-01", [two[0], *one[1:]]),
        (b"site-01", [one[0][:-1] + bytes([one[0][-1] ^ 1]), *one[1:]]),
    ):
        with pytest.raises(RefusalError):
            session.receive(name, pack(author, *fields))


# The coordinator claims that living sites are gone.


def test_a_site_that_is_said_to_be_gone_keeps_one_of_its_masks(monkeypatch):
    """Its pairwise keys are opened, its own mask never; with both, its summand would be bare."""

    def attack(sites: Sites) -> bool:
        summands, terms = summands_of(sites.names), sites.terms()
        masked = {site: sites.masked(site, terms, summands[site]) for site in sites.names}
        others = sites.names[1:]
        gone = opened(sites, terms, others, others)  # the victim is said to be gone
        closing = secret_from(sites, gone, terms, VICTIM, "kappa")
        pairs = sites.shared.pairs_of(VICTIM, terms.slot, closing)
        alive = opened(sites, terms, sites.names, sites.names)  # and then it is not
        own = secret_from(sites, alive, terms, VICTIM, "b")
        found = bared(sites, terms, masked[VICTIM], (own, *pairs.values()), summands[VICTIM])
        return is_known(found, summands[VICTIM])

    with pytest.raises(RefusalError, match="promised over other sites"):
        attack(Sites(4))
    switched_off(monkeypatch, "require_one_view")
    with pytest.raises(RefusalError, match="other mask"):  # a second lock behind the first
        attack(Sites(4))
    switched_off(monkeypatch, "require_one_kind")
    assert attack(Sites(4))


def test_two_views_of_who_is_alive_cannot_both_be_confirmed(monkeypatch):
    """One half is told that the victim is gone, the other that it lives."""

    def attack(sites: Sites) -> bool:
        summands, terms = summands_of(sites.names), sites.terms()
        masked = {site: sites.masked(site, terms, summands[site]) for site in sites.names}
        name, shares = sites.shared.batch.name, {}
        half = len(sites.names) // 2
        for site in sites.names[1:]:
            over = sites.names if sites.names.index(site) <= half else sites.names[1:]
            sites.sessions[site].confirm(name, terms.slot, over, sites_min=SITES_MIN)
            shares[site] = unpack(
                sites.sessions[site].reveal(name, terms.slot, over, b"", sites_min=SITES_MIN)
            )
        living = {s: g for s, g in shares.items() if sites.names.index(s) <= half}
        gone = {s: g for s, g in shares.items() if s not in living}
        own = secret_from(sites, living, terms, VICTIM, "b")
        pairs = sites.shared.pairs_of(
            VICTIM, terms.slot, secret_from(sites, gone, terms, VICTIM, "kappa")
        )
        found = bared(sites, terms, masked[VICTIM], (own, *pairs.values()), summands[VICTIM])
        return is_known(found, summands[VICTIM])

    with pytest.raises(RefusalError, match="confirmed over whom"):
        attack(Sites(7))
    # With the consistency round off the views differ, but the threshold still stands between.
    switched_off(monkeypatch, "require_confirmed")
    with pytest.raises(UpdateError, match="needed"):
        attack(Sites(7))
    # With a threshold of a minority, as protocols against an honest coordinator use, it succeeds.
    monkeypatch.setattr(Batch, "threshold", property(lambda batch: len(batch.cohort) // 2))
    assert attack(Sites(7))


def test_a_confirmation_cannot_be_made_up_or_moved():
    """Proofs are made for one reader, one tag and one set of survivors."""
    sites = Sites(4)
    summands = summands_of(sites.names)
    name = sites.shared.batch.name
    for slot in (0, 1):
        for site in sites.names:
            terms = sites.terms(slot=slot, step=f"step {slot}")
            sites.masked(site, terms, summands[site])
    proofs = {
        slot: {
            site: unpack_by_site(
                sites.sessions[site].confirm(name, slot, sites.names, sites_min=SITES_MIN), 1
            )
            for site in sites.names
        }
        for slot in (0, 1)
    }
    session, others = sites.sessions[VICTIM], sites.names[1:]
    for told in (
        [p for j in others for p in (j.encode(), bytes(32))],
        [p for j in others for p in (j.encode(), proofs[1][j][VICTIM][0])],
        [p for j in others for p in (j.encode(), proofs[0]["site-01"][VICTIM][0])],
        [p for j in others[:2] for p in (j.encode(), proofs[0][j]["site-03"][0])],
    ):  # fmt: skip
        with pytest.raises(RefusalError, match="confirmed over whom"):
            session.reveal(name, 0, sites.names, pack(*told), sites_min=SITES_MIN)


# The coordinator shrinks the cohort until a sum is one site's.


def test_a_cohort_of_one_or_two_is_refused(monkeypatch):
    """A sum over the victim alone is its summand."""

    def attack(sites: Sites, cohort: list[str]) -> bool:
        summands = summands_of(sites.names)
        sites.shared = sites.prepare(cohort, "cd" * 16, 1)
        terms = sites.terms(included=tuple(cohort))
        sites.names = cohort
        found, _ = sites.run(summands, terms)
        return is_known(found, summands[VICTIM])

    for cohort in ([VICTIM], [VICTIM, "site-01"]):
        with pytest.raises(RefusalError, match="traced back"):
            attack(Sites(4), cohort)
    switched_off(monkeypatch, "require_cohort", "require_included", "require_survivors")
    assert attack(Sites(4), [VICTIM])


def test_the_sites_that_are_masked_with_and_opened_over_cannot_be_few(monkeypatch):
    """U2 and U3 have the threshold and the hospital's own minimum below them."""
    sites = Sites(5)
    summands = summands_of(sites.names)
    few = sites.terms(included=(VICTIM, "site-01", "site-02"))
    with pytest.raises(RefusalError, match="4 are needed"):
        sites.masked(VICTIM, few, summands[VICTIM])
    with pytest.raises(RefusalError, match="5 are needed"):
        sites.masked(VICTIM, sites.terms(included=tuple(sites.names[:4])), summands[VICTIM],
                     sites_min=5)  # fmt: skip
    for site in sites.names:
        sites.masked(site, sites.terms(), summands[site])
    name = sites.shared.batch.name
    with pytest.raises(RefusalError, match="4 are needed"):
        sites.sessions[VICTIM].confirm(name, 0, sites.names[:3], sites_min=SITES_MIN)
    with pytest.raises(RefusalError, match="not part of it"):
        sites.sessions[VICTIM].confirm(name, 0, [*sites.names, "sybil"], sites_min=SITES_MIN)


def test_strangers_and_doubles_do_not_fill_a_cohort():
    """A site counts once, and only if the pinned roster names it."""
    sites = Sites(4)
    session = sites.sessions[VICTIM]
    for cohort in (
        (VICTIM, "site-01", "sybil"),
        (VICTIM, VICTIM, "site-01"),
        ("site-01", "site-02", "site-03"),
        ("site-01", VICTIM, "site-02"),
    ):
        with pytest.raises(RefusalError):
            session.share(Batch(cohort=cohort, name="ef" * 16, slots=1), b"", sites_min=3)


# The coordinator mixes plans, rounds, questions.


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "fold-0/network/round-002"},
        {"attempt": 1},
        {"purpose": "cox"},
        {"asked": "r" * 64},
        {"slot": 1},
        {"total": 200.0},
        {"included": ("site-00", "site-01", "site-02")},
    ],
)
def test_sites_that_were_told_different_things_do_not_add(changes):
    """One site is asked another step, attempt, question, cohort: its vector stays noise."""
    sites = Sites(4)
    summands = summands_of(sites.names)
    odd = sites.terms(**changes)
    summed = SumOfMasked(sites.shared, sites.terms(), sites.roster)
    for site in sites.names[1:3]:
        masked = sites.masked(site, sites.terms(), summands[site])
        summed.add(site, masked.narrow, masked.wide, masked.message)
    changed = sites.masked(VICTIM, odd, summands[VICTIM])
    with pytest.raises(RefusalError, match="signature"):
        summed.add(VICTIM, changed.narrow, changed.wide, changed.message)


def test_wrong_masks_are_noticed_by_the_canaries():
    """A sum whose masks did not cancel is refused, and never taken for a model."""
    sites = Sites(3)
    arrays = summands_of(sites.names)[VICTIM]
    layout = sites.layout(arrays)
    narrow, wide = encode(arrays, layout, share=1.0, canary=b"c" * 32)
    decode(narrow, wide, layout, summands=1, canary=b"c" * 32)
    masks.apply(narrow, wide, add=[b"k" * 32])
    with pytest.raises(UpdateError, match="did not cancel"):
        decode(narrow, wide, layout, summands=1, canary=b"c" * 32)


# A site does not follow the protocol.


def test_a_vector_of_the_wrong_length_or_signature_is_not_added():
    """Others' sums go on; the site is left out and named."""
    sites = Sites(4)
    summands, terms = summands_of(sites.names), sites.terms()
    masked = {site: sites.masked(site, terms, summands[site]) for site in sites.names}
    summed = SumOfMasked(sites.shared, terms, sites.roster)
    good = masked[VICTIM]
    for narrow, wide in (
        (good.narrow[:-1], good.wide),
        (good.narrow, good.wide[:-1]),
        (good.narrow.astype(np.float32), good.wide),
        (good.narrow.reshape(1, -1), good.wide),
    ):
        with pytest.raises(UpdateError, match="layout"):
            summed.add(VICTIM, narrow, wide, good.message)
    spoiled = good.narrow.copy()
    spoiled[0] += 1
    with pytest.raises(RefusalError, match="signature"):
        summed.add(VICTIM, spoiled, good.wide, good.message)
    with pytest.raises(RefusalError, match="signature"):
        summed.add("site-01", good.narrow, good.wide, good.message)
    with pytest.raises(UpdateError, match="well-formed"):
        summed.add(VICTIM, good.narrow, good.wide, b"\x00\x01")
    assert summed.masked == ()


def test_a_site_that_reveals_wrong_shares_is_named_and_does_no_harm():
    """Commitments tell wrong shares from right ones as long as t right ones are there."""
    sites = Sites(5)
    summands, terms = summands_of(sites.names), sites.terms()
    honest, _ = Sites(5).run(summands, terms)
    summed = SumOfMasked(sites.shared, terms, sites.roster)
    for site in sites.names:
        masked = sites.masked(site, terms, summands[site])
        summed.add(site, masked.narrow, masked.wide, masked.message)
    for site, given in opened(sites, terms, sites.names, sites.names).items():
        wrong = [bytes(33)] * len(given) if site == "site-03" else given
        summed.take_shares(site, pack(*wrong))
    found = summed.open()
    assert summed.blamed == {"site-03"}
    assert values(found).tobytes() == values(honest).tobytes()


def test_a_site_adds_at_most_its_share_of_the_ring():
    """A huge norm is refused where it arises: behind a mask nobody else could see it."""
    sites = Sites(4)
    arrays = {"change": np.full(4, 10.1 * 25)}
    with pytest.raises(UpdateError, match="too large"):
        sites.masked(VICTIM, sites.terms(), arrays, weight=0.25)


def test_names_are_told_apart_whatever_they_hold():
    """Fields are packed with their lengths: no two lists of names have the same bytes."""
    assert pack(b"ab", b"c") != pack(b"a", b"bc")
    assert names_of(2) == ["site-00", "site-01"]
