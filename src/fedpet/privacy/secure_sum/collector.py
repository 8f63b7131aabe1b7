"""What the coordinator does in a secure sum: relay, add masked vectors, take the masks away.

It holds no secret of its own. Masked vectors are added as they come and forgotten; what is kept
of them is one running sum for each layout that sites answered with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from fedpet.errors import UpdateError
from fedpet.parameters import Array
from fedpet.privacy.identity import Roster
from fedpet.privacy.secure_sum import keys, masks, shamir
from fedpet.privacy.secure_sum.lanes import Layout, Words32, Words64, decode
from fedpet.privacy.secure_sum.shamir import SHARE_BYTES
from fedpet.privacy.secure_sum.statements import (
    ADVERTISE,
    MASK,
    SHARE,
    box_digests,
    commitment,
    key_statement,
    vector_digest,
)
from fedpet.privacy.secure_sum.terms import Batch, Scope, Terms, pack, unpack, unpack_by_site

U32, U64 = np.dtype("<u4"), np.dtype("<u8")


@dataclass(slots=True)
class Agreement:
    """The keys that sites advertised, and the contributions they sealed for each other.

    Args:
        scope: The experiment.
        roster: The sites' identities.
    """

    scope: Scope
    roster: Roster
    advertised: dict[str, bytes] = field(default_factory=dict)
    offers: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def take_key(self, site: str, answer: bytes) -> None:
        """Keep a site's advertised key.

        Raises:
            RefusalError: If the site's pinned identity did not sign it.
            UpdateError: If the answer is not well-formed.
        """
        public, signature = unpack(answer, 2)
        statement = key_statement(self.scope, site, public)
        self.roster.of(site).verify(signature, context=ADVERTISE, message=statement)
        if self.advertised.get(site) != answer:
            self.forget(site)
        self.advertised[site] = answer

    def keys_for(self, sites: Sequence[str]) -> bytes:
        """Return what `agree` wants: name, key and signature of every site."""
        fields = [part for j in sites for part in (j.encode(), *unpack(self.advertised[j], 2))]
        return pack(*fields)

    def take_offers(self, site: str, answer: bytes) -> None:
        """Keep what a site sealed for the others."""
        found = {j: offer for j, (offer,) in unpack_by_site(answer, 1).items()}
        self.offers.setdefault(site, {}).update(found)

    def agreed_among(self, sites: Sequence[str]) -> bool:
        """Tell whether every two of these sites have sealed contributions for each other."""
        return all(j in self.offers.get(i, {}) for i in sites for j in sites if i != j)

    def offers_for(self, site: str, cohort: Sequence[str]) -> bytes:
        """Return what `share` wants: name and sealed contribution of every other site."""
        others = [j for j in cohort if j != site]
        return pack(*(part for j in others for part in (j.encode(), self.offers[j][site])))

    def forget(self, site: str) -> None:
        """Forget a site's keys, because it restarted or did not answer."""
        self.advertised.pop(site, None)
        self.offers.pop(site, None)
        for offers in self.offers.values():
            offers.pop(site, None)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A site's answer to `share`, taken apart."""

    commitments: bytes
    blobs: list[bytes]
    boxes: dict[str, bytes]
    digests: bytes
    rest: bytes
    signature: bytes


@dataclass(slots=True)
class SharedBatch:
    """A batch of slots as the coordinator sees it.

    Args:
        batch: Cohort, name and number of slots.
        scope: The experiment.
        used: Slots that were given to a sum.
    """

    batch: Batch
    scope: Scope
    used: int = 0
    _answers: dict[str, _Answer] = field(default_factory=dict)
    _delivered: set[tuple[str, str]] = field(default_factory=set)

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that handed out shares, sorted."""
        return tuple(sorted(self._answers))

    def take(self, site: str, answer: bytes, roster: Roster) -> None:
        """Keep a site's answer to `share`.

        Raises:
            RefusalError: If the site did not sign it.
            UpdateError: If it is not well-formed.
        """
        rest, packed, signature = unpack(answer, 3)
        others = [j for j in self.batch.cohort if j != site]
        boxes = dict(zip(others, unpack(packed, len(others)), strict=True))
        digests, digest = box_digests(self.batch, boxes), sha256(rest).digest()
        message = self.batch.context(self.scope) + site.encode() + digests + digest
        roster.of(site).verify(signature, context=SHARE, message=message)
        commitments, *blobs = unpack(rest, 1 + self.batch.slots)
        if len(commitments) != 64 * self.batch.slots:
            raise UpdateError("A message of the secure sum is not well-formed; it was refused.")
        self._answers[site] = _Answer(commitments, blobs, boxes, digests, digest, signature)

    def boxes_for(self, site: str, included: Sequence[str]) -> bytes:
        """Return the boxes of other sites that `site` has not been given yet; maybe none."""
        fields: list[bytes] = []
        for j in included:
            if j == site or (site, j) in self._delivered:
                continue
            answer = self._answers[j]
            fields += [j.encode(), answer.boxes[site], answer.digests, answer.rest]
            fields.append(answer.signature)
        return pack(*fields)

    def delivered(self, site: str, included: Sequence[str]) -> None:
        """Note that a site has taken the boxes of these."""
        self._delivered |= {(site, j) for j in included}

    def committed(self, site: str, slot: int, kind: str, secret: bytes) -> bool:
        """Tell whether a secret is the one that a site committed to."""
        at = 64 * slot + (32 if kind == "kappa" else 0)
        expected = self._answers[site].commitments[at : at + 32]
        return keys.same(commitment(self.place(slot), site, kind, secret), expected)

    def pairs_of(self, site: str, slot: int, closing: bytes) -> dict[str, bytes]:
        """Open a site's recovery blob: what it shares with every other site for this slot."""
        plain = keys.unseal(closing, self._answers[site].blobs[slot], self.place(slot))
        others = [j for j in self.batch.cohort if j != site]
        return {j: plain[32 * n : 32 * n + 32] for n, j in enumerate(others)}

    def place(self, slot: int) -> bytes:
        """Return what a slot's secrets are bound to."""
        return self.batch.context(self.scope) + slot.to_bytes(4, "big")


@dataclass(slots=True)
class _Running:
    """The sum of masked vectors of one layout."""

    layout: Layout
    narrow: Words32
    wide: Words64
    tag: bytes
    sites: list[str] = field(default_factory=list)


class SumOfMasked:
    """One sum at the coordinator.

    Args:
        shared: The batch whose slot it uses.
        terms: What the sum is of.
        roster: The sites' identities.
    """

    def __init__(self, shared: SharedBatch, terms: Terms, roster: Roster) -> None:
        self.shared, self.terms = shared, terms
        self._roster = roster
        self._running: dict[bytes, _Running] = {}
        self._confirmed: dict[str, dict[str, bytes]] = {}
        self._shares: dict[str, list[bytes]] = {}
        self.blamed: set[str] = set()

    def add(self, site: str, narrow: Array, wide: Array, message: bytes) -> None:
        """Add a site's masked vector to the running sum of its layout.

        Raises:
            RefusalError: If the site did not sign this vector for this sum.
            UpdateError: If the vector is not of the layout that it names.
        """
        described, signature = unpack(message, 2)
        running = self._running.get(described)
        layout = running.layout if running else Layout.from_bytes(described)
        found = [(words.shape, words.dtype) for words in (narrow, wide)]
        expected = [((n,), kind) for n, kind in zip(layout.words, (U32, U64), strict=True)]
        if found != expected or layout.sites != len(self.shared.batch.cohort):
            raise UpdateError("A masked vector is not of the layout that it names.")
        tag = running.tag if running else self._tag(described)
        digest = vector_digest(narrow, wide)
        self._roster.of(site).verify(signature, context=MASK, message=tag + digest)
        if running is None:
            running = self._running[described] = _Running(
                layout=layout,
                narrow=np.zeros(layout.words[0], np.uint32),
                wide=np.zeros(layout.words[1], np.uint64),
                tag=tag,
            )
        if site in running.sites:
            return
        running.narrow += narrow
        running.wide += wide
        running.sites.append(site)

    @property
    def masked(self) -> tuple[str, ...]:
        """Sites whose vectors have the layout of most, sorted: U3 of the protocol."""
        chosen = self._chosen()
        return tuple(sorted(chosen.sites)) if chosen else ()

    @property
    def bytes_each(self) -> int:
        """Bytes of one masked vector."""
        chosen = self._chosen()
        return chosen.narrow.nbytes + chosen.wide.nbytes if chosen else 0

    @property
    def strangers(self) -> tuple[str, ...]:
        """Sites whose vectors have another layout than those of most."""
        mine = set(self.masked)
        return tuple(sorted({s for r in self._running.values() for s in r.sites} - mine))

    def take_confirmation(self, site: str, answer: bytes) -> None:
        """Keep a site's proofs, one for each other site."""
        proofs = {j: proof for j, (proof,) in unpack_by_site(answer, 1).items()}
        self._confirmed[site] = proofs

    @property
    def confirmed(self) -> tuple[str, ...]:
        """Sites that confirmed over whom the sum is opened."""
        return tuple(sorted(self._confirmed))

    def confirmations_for(self, site: str) -> bytes:
        """Return the proofs that other sites made for this one."""
        fields = []
        for j, proofs in sorted(self._confirmed.items()):
            if site in proofs:
                fields += [j.encode(), proofs[site]]
        return pack(*fields)

    def take_shares(self, site: str, answer: bytes) -> None:
        """Keep the shares that a site revealed.

        Raises:
            UpdateError: If they are not one per included site.
        """
        shares = unpack(answer, len(self.terms.included))
        if any(len(share) != SHARE_BYTES for share in shares):
            raise UpdateError("A message of the secure sum is not well-formed; it was refused.")
        self._shares[site] = shares

    @property
    def revealed(self) -> tuple[str, ...]:
        """Sites that revealed their shares."""
        return tuple(sorted(self._shares))

    def open(self) -> dict[str, Array]:
        """Take the masks away, in place, and return the sum over `masked`.

        Sites that revealed wrong shares are in `blamed` afterwards.

        Raises:
            UpdateError: If too few shares fit, or the masks do not cancel.
        """
        chosen = self._chosen()
        if chosen is None:
            raise UpdateError("No site has sent a masked vector.")
        slot = self.terms.slot
        subtract = [
            keys.derive(self._secret(i, "b"), "mask", chosen.tag) for i in sorted(chosen.sites)
        ]
        add: list[bytes] = []
        for lost in self.terms.included:
            if lost in chosen.sites:
                continue
            pairs = self.shared.pairs_of(lost, slot, self._secret(lost, "kappa"))
            for i in sorted(chosen.sites):
                # i added the stream where i comes before the lost site, and subtracted it after.
                (subtract if i < lost else add).append(keys.derive(pairs[i], "mask", chosen.tag))
        masks.apply(chosen.narrow, chosen.wide, add=add, subtract=subtract)
        return decode(
            chosen.narrow,
            chosen.wide,
            chosen.layout,
            summands=len(chosen.sites),
            canary=chosen.tag,
        )

    def _secret(self, site: str, kind: str) -> bytes:
        cohort, position = self.shared.batch.cohort, self.terms.included.index(site)
        secret, wrong = shamir.combine(
            {cohort.index(j) + 1: shares[position] for j, shares in self._shares.items()},
            threshold=self.shared.batch.threshold,
            fits=lambda found: self.shared.committed(site, self.terms.slot, kind, found),
        )
        self.blamed |= {cohort[point - 1] for point in wrong}
        return secret

    def _tag(self, described: bytes) -> bytes:
        return self.terms.tag(self.shared.scope, self.shared.batch, described)

    def _chosen(self) -> _Running | None:
        ordered = sorted(self._running.items())
        return max((r for _, r in ordered), key=lambda r: len(r.sites), default=None)
