"""What a node does in a secure sum: a state machine without input or output.

```
advertise -> agree -> share (a batch of slots) -> for each sum: mask -> confirm -> reveal
  once per experiment     once in some sums
```
Secrets live in memory only: a node that restarts has forgotten them, and no mask of before can be
asked for again. What must outlive a restart (one vector per tag, one view per step) is in the
ledger, which the node keeps in its store.

Notation: i is this site, j another; b_i hides this site's vector alone, and is opened if its
vector is in the sum; kappa_i closes the box with this site's pairwise keys, and is opened if it is
not. Never both.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from fedpet.errors import RefusalError
from fedpet.parameters import Parameters
from fedpet.privacy.identity import Identity, Roster
from fedpet.privacy.secure_sum import keys, masks, rules, shamir
from fedpet.privacy.secure_sum.lanes import Layout, Words32, Words64, encode
from fedpet.privacy.secure_sum.pairing import Pairing
from fedpet.privacy.secure_sum.shamir import SHARE_BYTES, Random
from fedpet.privacy.secure_sum.statements import (
    MASK,
    SHARE,
    box_digests,
    commitment,
    summand_digest,
    vector_digest,
)
from fedpet.privacy.secure_sum.terms import (
    SLOTS_MAX,
    Batch,
    Scope,
    Terms,
    pack,
    survivors_statement,
    unpack_by_site,
)

BATCHES_MAX = 32
FORGOTTEN = "This node has no keys for this secure sum; it may have restarted."


class Ledger(Protocol):
    """What a node must remember for good; each call answers what was written first."""

    def vector(self, scope: Scope, step: str, attempt: int, digest: str) -> str:
        """Write, once, which vector is masked for an attempt of a step."""
        ...

    def view(self, scope: Scope, step: str, survivors: str) -> str:
        """Write, once, over whom the sum of a step is opened."""
        ...

    def summed(self, scope: Scope, summand: str, survivors: str) -> str:
        """Write, once, over whom a summand was opened; answer over whom another run did."""
        ...


@dataclass(slots=True)
class _Slot:
    """One sum's secrets at this site."""

    own: bytes  # b_i
    pairs: dict[str, bytes]  # by j, what i and j share for this slot
    mine: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)  # shares of b_j, kappa_j
    tag: bytes | None = None
    terms: Terms | None = None
    summand: str = ""
    kinds: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Prepared:
    """A batch at this site."""

    batch: Batch
    answer: bytes
    slots: list[_Slot]
    boxes: dict[str, bytes]  # by j, the key of the box that j closed for this site
    opened: set[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A vector as it leaves.

    Args:
        narrow: Its 32-bit words.
        wide: Its 64-bit words.
        message: Layout and signature, packed.
    """

    narrow: Words32
    wide: Words64
    message: bytes


class SiteSession:
    """One site's part of the secure sums of one experiment.

    Args:
        site: This site's name.
        identity: Its signing key.
        roster: The roster that it pinned.
        scope: The experiment.
        ledger: What must be remembered.
        random: Source of that many secret random bytes.
    """

    def __init__(
        self,
        *,
        site: str,
        identity: Identity,
        roster: Roster,
        scope: Scope,
        ledger: Ledger,
        random: Random = secrets.token_bytes,
    ) -> None:
        self._pairing = Pairing(
            site=site, identity=identity, roster=roster, scope=scope, random=random
        )
        self.advertise, self.agree = self._pairing.advertise, self._pairing.agree
        self.site, self.scope = site, scope
        self._identity, self._roster, self._ledger, self._random = identity, roster, ledger, random
        self._batches: dict[str, _Prepared] = {}
        self._names: set[str] = set()

    def share(self, batch: Batch, agreed: bytes, *, sites_min: int) -> bytes:
        """Prepare the slots of a batch, and hand their secrets out in sealed shares.

        Args:
            batch: Cohort, name and number of slots.
            agreed: Name and sealed contribution, as `agree` of that site gave it for this one.
            sites_min: Sites that this hospital wants in a sum.

        Returns:
            Commitments, recovery blobs, boxes by site, and a signature over all of them.

        Raises:
            RefusalError: If the cohort is refused, or the batch was prepared and forgotten.
        """
        rules.require_cohort(
            batch.cohort,
            site=self.site,
            roster=self._roster,
            sites_min=sites_min,
            slots=batch.slots,
            slots_max=SLOTS_MAX,
        )
        before = self._batches.get(batch.name)
        if before is not None and before.batch == batch:
            return before.answer
        if batch.name in self._names:
            raise RefusalError("This batch of the secure sum was prepared before.")
        self._pairing.take(unpack_by_site(agreed, 1))
        prepared = self._prepare(batch)
        self._names.add(batch.name)
        self._batches[batch.name] = prepared
        while len(self._batches) > BATCHES_MAX:
            del self._batches[next(iter(self._batches))]
        return prepared.answer

    def receive(self, name: str, boxes: bytes) -> None:
        """Take the shares that other sites closed for this one.

        Args:
            name: Of the batch.
            boxes: By site: its box for this site, digests of all its boxes, digest of the rest of
                its answer, signature; packed.

        Raises:
            RefusalError: If a box was not signed by its site, or does not open.
        """
        prepared = self._prepared(name)
        context = prepared.batch.context(self.scope)
        for j, (box, digests, rest, signature) in unpack_by_site(boxes, 4).items():
            if j not in prepared.boxes or j in prepared.opened:
                continue
            self._roster.of(j).verify(
                signature, context=SHARE, message=context + j.encode() + digests + rest
            )
            at = 32 * prepared.batch.cohort.index(self.site)
            if not keys.same(sha256(box).digest(), digests[at : at + 32]):
                raise RefusalError(f"'{j}' signed another box than the one that came.")
            plain = keys.unseal(prepared.boxes[j], box, context)
            if len(plain) != 2 * SHARE_BYTES * prepared.batch.slots:
                raise RefusalError(f"The box of '{j}' holds something else than shares.")
            for slot, two in zip(prepared.slots, _parts(plain, 2 * SHARE_BYTES), strict=True):
                slot.mine[j] = (two[:SHARE_BYTES], two[SHARE_BYTES:])
            prepared.opened.add(j)

    def mask(
        self,
        name: str,
        terms: Terms,
        arrays: Parameters,
        layout: Layout,
        *,
        weight: float,
        sites_min: int,
        fold: str = "",
    ) -> Masked:
        """Encode and mask a summand.

        Args:
            name: Of the batch.
            terms: What the sum is of.
            arrays: The summand.
            layout: How it is laid out.
            weight: This site's share of W, from 0 to 1.
            sites_min: Sites that this hospital wants in a sum.
            fold: Which hospitals the plan holds out of the sum, in a word; empty for none.

        Raises:
            RefusalError: If too few sites are included, the slot served another sum, or another
                vector was masked for this attempt.
            UpdateError: If a value does not fit its lane.
        """
        prepared = self._prepared(name)
        batch = prepared.batch
        rules.require_included(
            terms.included,
            cohort=batch.cohort,
            site=self.site,
            least=max(batch.threshold, sites_min),
        )
        if layout.sites != len(batch.cohort):
            raise RefusalError("The ring of the sum is shared out for another number of sites.")
        if not 0 <= terms.slot < batch.slots:
            raise RefusalError("The batch has no such slot.")
        slot = prepared.slots[terms.slot]
        if missing := [j for j in terms.included if j != self.site and j not in slot.mine]:
            raise RefusalError(f"No share of '{missing[0]}' has come.")
        described = layout.to_bytes()
        tag = terms.tag(self.scope, batch, described)
        rules.require_unused(slot.tag, tag)
        narrow, wide = encode(arrays, layout, share=weight, canary=tag)
        others = [j for j in terms.included if j != self.site]
        masks.apply(
            narrow,
            wide,
            add=[
                keys.derive(slot.own, "mask", tag),
                *(keys.derive(slot.pairs[j], "mask", tag) for j in others if j > self.site),
            ],
            subtract=[keys.derive(slot.pairs[j], "mask", tag) for j in others if j < self.site],
        )
        digest = vector_digest(narrow, wide)
        first = self._ledger.vector(self.scope, terms.step, terms.attempt, digest.hex())
        rules.require_one_vector(first, digest.hex())
        slot.tag, slot.terms = tag, terms
        slot.summand = summand_digest(terms.purpose, fold, arrays)
        signature = self._identity.sign(MASK, tag + digest)
        return Masked(narrow=narrow, wide=wide, message=pack(described, signature))

    def confirm(
        self,
        name: str,
        number: int,
        survivors: Sequence[str],
        *,
        sites_min: int,
        same: bool = True,
    ) -> bytes:
        """Promise to open a slot's sum over these sites and no others; one proof for each site.

        Args:
            name: Of the batch.
            number: Of the slot.
            survivors: U3, sorted.
            sites_min: Sites that this hospital wants in a sum.
            same: Whether another run must have opened the same summand over the same sites.

        Raises:
            RefusalError: If they are too few, or the step was promised over others.
        """
        prepared, slot = self._slot(name, number)
        statement = self._view(prepared, slot, survivors, sites_min=sites_min, same=same)
        fields = []
        for j in survivors:
            if j != self.site:
                key = keys.derive(slot.pairs[j], "confirm", statement)
                fields += [j.encode(), keys.authenticate(key, statement)]
        return pack(*fields)

    def reveal(
        self,
        name: str,
        number: int,
        survivors: Sequence[str],
        confirmed: bytes,
        *,
        sites_min: int,
        same: bool = True,
    ) -> bytes:
        """Give the shares that open the sum over `survivors`, once enough of them confirmed it.

        Args:
            name: Of the batch.
            number: Of the slot.
            survivors: U3, sorted.
            confirmed: By site, the proof that its `confirm` made for this one; packed.
            sites_min: Sites that this hospital wants in a sum.
            same: Whether another run must have opened the same summand over the same sites.

        Returns:
            One share per included site, in the order of names: of b for survivors, of kappa for
            the others.

        Raises:
            RefusalError: If too few confirmed, or another view was promised or opened.
        """
        prepared, slot = self._slot(name, number)
        statement = self._view(prepared, slot, survivors, sites_min=sites_min, same=same)
        proofs = {j: proof for j, (proof,) in unpack_by_site(confirmed, 1).items()}
        rules.require_confirmed(
            {j: proof for j, proof in proofs.items() if j in survivors and j != self.site},
            keys={j: keys.derive(key, "confirm", statement) for j, key in slot.pairs.items()},
            statement=statement,
            least=prepared.batch.threshold,
        )
        assert slot.terms is not None
        asked = {j: "b" if j in survivors else "kappa" for j in slot.terms.included}
        rules.require_one_kind(slot.kinds, asked)
        slot.kinds.update(asked)
        return pack(*(slot.mine[j][kind == "kappa"] for j, kind in asked.items()))

    def _prepare(self, batch: Batch) -> _Prepared:
        context = batch.context(self.scope)
        others = [j for j in batch.cohort if j != self.site]
        roots = {j: self._pairing.root(j) for j in others}
        slots: list[_Slot] = []
        commitments, blobs = bytearray(), []
        shares: dict[str, bytearray] = {j: bytearray() for j in batch.cohort}
        for number in range(batch.slots):
            own, closing = self._random(32), self._random(32)
            place = context + number.to_bytes(4, "big")
            pairs = {j: keys.derive(roots[j], "slot", place) for j in others}
            two = [
                shamir.split(
                    secret,
                    threshold=batch.threshold,
                    shares=len(batch.cohort),
                    random=self._random,
                )
                for secret in (own, closing)
            ]
            for j, of_own, of_closing in zip(batch.cohort, *two, strict=True):
                shares[j] += of_own + of_closing
            commitments += commitment(place, self.site, "b", own)
            commitments += commitment(place, self.site, "kappa", closing)
            nonce = self._random(keys.NONCE_BYTES)
            blobs.append(keys.seal(closing, nonce, b"".join(pairs[j] for j in others), place))
            slots.append(_Slot(own=own, pairs=pairs))
        for slot, kept in zip(
            slots, _parts(bytes(shares[self.site]), 2 * SHARE_BYTES), strict=True
        ):
            slot.mine[self.site] = (kept[:SHARE_BYTES], kept[SHARE_BYTES:])
        boxes = {}
        for j in others:
            key = keys.derive(roots[j], f"box {self.site} {j}", context)
            nonce = self._random(keys.NONCE_BYTES)
            boxes[j] = keys.seal(key, nonce, bytes(shares[j]), context)
        rest = pack(bytes(commitments), *blobs)
        digests, digest_of_rest = box_digests(batch, boxes), sha256(rest).digest()
        signature = self._identity.sign(
            SHARE, context + self.site.encode() + digests + digest_of_rest
        )
        answer = pack(rest, pack(*(boxes[j] for j in others)), signature)
        opening = {j: keys.derive(roots[j], f"box {j} {self.site}", context) for j in others}
        return _Prepared(batch=batch, answer=answer, slots=slots, boxes=opening, opened=set())

    def _prepared(self, name: str) -> _Prepared:
        found = self._batches.get(name)
        if found is None:
            raise RefusalError(FORGOTTEN)
        return found

    def _slot(self, name: str, number: int) -> tuple[_Prepared, _Slot]:
        prepared = self._prepared(name)
        if not 0 <= number < prepared.batch.slots or prepared.slots[number].tag is None:
            raise RefusalError("Nothing was masked in this slot of the secure sum.")
        return prepared, prepared.slots[number]

    def _view(
        self,
        prepared: _Prepared,
        slot: _Slot,
        survivors: Sequence[str],
        *,
        sites_min: int,
        same: bool,
    ) -> bytes:
        assert slot.tag is not None
        assert slot.terms is not None
        least = max(prepared.batch.threshold, sites_min)
        rules.require_survivors(survivors, included=slot.terms.included, least=least)
        if self.site not in survivors:
            raise RefusalError("This site's answer would not be in the sum that it opens.")
        listed = ", ".join(survivors)
        rules.require_one_view(self._ledger.view(self.scope, slot.terms.step, listed), listed)
        before = self._ledger.summed(self.scope, slot.summand, listed)
        if same:
            rules.require_same_sites(before, listed)
        return survivors_statement(slot.tag, survivors)


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
