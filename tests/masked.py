"""Sites and a coordinator of the secure sum in one process, without nodes, plans or engines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256

import numpy as np

from fedpet.errors import FedpetError
from fedpet.parameters import Array, Parameters
from fedpet.privacy.identity import Identity, Roster
from fedpet.privacy.secure_sum.collector import Agreement, SharedBatch, SumOfMasked
from fedpet.privacy.secure_sum.lanes import Kind, Layout, layout_of
from fedpet.privacy.secure_sum.site import Masked, SiteSession
from fedpet.privacy.secure_sum.terms import Batch, Scope, Terms

SITES_MIN = 3


class MemoryLedger:
    """The ledger without a disk."""

    def __init__(self) -> None:
        self.vectors: dict[tuple[str, int], str] = {}
        self.views: dict[str, str] = {}

    def vector(self, scope: Scope, step: str, attempt: int, digest: str) -> str:
        return self.vectors.setdefault((step, attempt), digest)

    def view(self, scope: Scope, step: str, survivors: str) -> str:
        return self.views.setdefault(step, survivors)

    def summed(self, scope: Scope, summand: str, survivors: str) -> str:
        return survivors


def stream(seed: str) -> Iterator[bytes]:
    """Yield bytes that follow from a seed: SHA-256 of the seed and a counter."""
    number = 0
    while True:
        yield sha256(f"{seed}/{number}".encode()).digest()
        number += 1


class SeededRandom:
    """A source of bytes that follow from a seed, for repeatable tests and test vectors only."""

    def __init__(self, seed: str) -> None:
        self._blocks = stream(seed)
        self._left = b""

    def __call__(self, count: int) -> bytes:
        while len(self._left) < count:
            self._left += next(self._blocks)
        found, self._left = self._left[:count], self._left[count:]
        return found


def names_of(count: int) -> list[str]:
    return [f"site-{number:02d}" for number in range(count)]


def identity_of(name: str) -> Identity:
    return Identity(sha256(name.encode()).digest())


class Sites:
    """Sites that agreed on keys and prepared one batch, and what the coordinator knows of it."""

    def __init__(self, count: int, *, slots: int = 4, seed: str = "sites") -> None:
        self.names = names_of(count)
        self.roster = Roster({name: identity_of(name).public for name in self.names})
        self.scope = Scope(plan="p" * 64, experiment="e", roster=self.roster.digest)
        self.ledgers = {name: MemoryLedger() for name in self.names}
        self.sessions = {
            name: SiteSession(
                site=name,
                identity=identity_of(name),
                roster=self.roster,
                scope=self.scope,
                ledger=self.ledgers[name],
                random=SeededRandom(f"{seed}/{name}"),
            )
            for name in self.names
        }
        self.agreement = Agreement(self.scope, self.roster)
        for name, session in self.sessions.items():
            self.agreement.take_key(name, session.advertise())
        for name, session in self.sessions.items():
            self.agreement.take_offers(name, session.agree(self.agreement.keys_for(self.names)))
        self.shared = self.prepare(self.names, "ab" * 16, slots)

    def prepare(self, cohort: Sequence[str], name: str, slots: int) -> SharedBatch:
        batch = Batch(cohort=tuple(cohort), name=name, slots=slots)
        shared = SharedBatch(batch, self.scope)
        for site in cohort:
            offers = self.agreement.offers_for(site, cohort)
            answer = self.sessions[site].share(batch, offers, sites_min=SITES_MIN)
            shared.take(site, answer, self.roster)
        return shared

    def terms(self, **changes: object) -> Terms:
        values = {
            "step": "fold-0/network/round-001",
            "attempt": 0,
            "purpose": "train",
            "asked": "q" * 64,
            "included": tuple(self.names),
            "slot": 0,
            "total": 100.0,
        }
        return Terms(**{**values, **changes})  # type: ignore[arg-type]

    def layout(self, arrays: Parameters, **changes: object) -> Layout:
        kinds: Mapping[str, Kind] = {"change": "update", "count": "count"}
        values = {"kinds": kinds, "sites": len(self.names), "bound": 10.0, "total": 100.0}
        return layout_of(arrays, **{**values, **changes})  # type: ignore[arg-type]

    def masked(self, site: str, terms: Terms, arrays: Parameters, **changes: object) -> Masked:
        """Hand a site its boxes and let it mask."""
        session, name = self.sessions[site], self.shared.batch.name
        session.receive(name, self.shared.boxes_for(site, terms.included))
        values = {"weight": 1.0, "sites_min": SITES_MIN, **changes}
        return session.mask(name, terms, arrays, self.layout(arrays), **values)  # type: ignore[arg-type]

    def run(
        self,
        summands: Mapping[str, Parameters],
        terms: Terms,
        *,
        late: Collection[str] = (),
        unconfirmed: Collection[str] = (),
        silent: Collection[str] = (),
    ) -> tuple[dict[str, Array], tuple[str, ...]]:
        """Walk one sum: some sites drop out before masking, confirming or revealing."""
        summed = SumOfMasked(self.shared, terms, self.roster)
        for site in terms.included:
            if site in late:
                continue
            masked = self.masked(site, terms, summands[site])
            summed.add(site, masked.narrow, masked.wide, masked.message)
        name, survivors = self.shared.batch.name, summed.masked
        for site in survivors:
            if site not in unconfirmed:
                with suppress(FedpetError):
                    summed.take_confirmation(
                        site,
                        self.sessions[site].confirm(
                            name, terms.slot, survivors, sites_min=SITES_MIN
                        ),
                    )
        for site in survivors:
            if site not in silent:
                with suppress(FedpetError):
                    summed.take_shares(
                        site,
                        self.sessions[site].reveal(
                            name,
                            terms.slot,
                            survivors,
                            summed.confirmations_for(site),
                            sites_min=SITES_MIN,
                        ),
                    )
        return summed.open(), survivors


def summands_of(names: Sequence[str], *, seed: int = 1, size: int = 7) -> dict[str, Parameters]:
    """Return one summand a site: an update, counts and statistics of every magnitude."""
    found: dict[str, Parameters] = {}
    for number, name in enumerate(names):
        rng = np.random.default_rng([seed, number])
        found[name] = {
            "change": rng.uniform(-9, 9, (size,)),
            "count": rng.integers(0, 1000, (2, 3)).astype(np.float64),
            "statistic": rng.normal(size=(size, 2)) * 10.0 ** rng.integers(-9, 9, (size, 2)),
        }
    return found
