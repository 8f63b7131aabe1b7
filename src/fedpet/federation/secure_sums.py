"""Close a step by a secure sum: the phases as ordinary requests through the engine.

```
once, and again for a site that restarted     sum.advertise, sum.agree
once for some sums of a cohort                sum.share
for each sum                                  sum.mask, sum.confirm, sum.reveal
```
A site that drops out in any phase is left out of the sum, or the sum is completed without its
help; below the threshold nothing can be opened, and the step is tried again as a new attempt.
The coordinator writes down over whom it opens a sum before it asks anybody to agree, because
sites never open one step over two different sets.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fedpet.errors import FedpetError, UpdateError
from fedpet.federation.engine import Engine
from fedpet.federation.journal import Journal
from fedpet.federation.messages import (
    EACH_ITS_OWN,
    Reply,
    Request,
    question_digest,
    shared_question,
)
from fedpet.federation.records import Record, SiteState
from fedpet.parameters import Array, Parameters
from fedpet.privacy.identity import Roster
from fedpet.privacy.secure_sum.collector import Agreement, SharedBatch, SumOfMasked
from fedpet.privacy.secure_sum.rules import SITES_LEAST
from fedpet.privacy.secure_sum.site import FORGOTTEN
from fedpet.privacy.secure_sum.terms import Batch, Scope, Terms

ATTEMPTS_MAX = 4
SLOTS = 16
STRANGE = "The answer holds other arrays or shapes than those of most sites."
Body = Mapping[str, Any]


@dataclass(slots=True)
class Summed:
    """How a secure sum ended.

    Args:
        arrays: The sum, or None if it was lost.
        states: How each site that was asked answered: `ok`, or the reason why not.
        bytes_out: Bytes of the question's arrays, over all sites.
        bytes_in: Bytes of the masked vectors in the sum; keys and shares are not counted, because
            a run that was interrupted agrees on new ones.
        heads: Newest heads of the sites' audits.
    """

    arrays: Parameters | None = None
    states: dict[str, str] = field(default_factory=dict)
    bytes_out: int = 0
    bytes_in: int = 0
    heads: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def take(self, reply: Reply) -> None:
        """Keep the head of the site's audit."""
        if reply.head:
            self.heads[reply.site] = reply.head


@dataclass(slots=True)
class _Attempt:
    """One attempt: the questions by site, and what goes with them."""

    requests: Mapping[str, Request]
    scope: Scope
    number: int
    asked: str
    each: str
    total: float | None
    needed: int
    summed: Summed
    masked: tuple[str, ...] = ()
    restarted: set[str] = field(default_factory=set)
    asked_times: int = 0


class SecureSums:
    """The coordinator's secure sums, by experiment.

    Args:
        roster: The sites' identities, as every site pinned them.
        random: Source of that many random bytes, for names of batches.
    """

    def __init__(
        self, roster: Roster, *, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self.roster = roster
        self._random = random
        self._agreements: dict[Scope, Agreement] = {}
        self._batches: dict[tuple[Scope, tuple[str, ...]], SharedBatch] = {}

    def applies_to(self, sites: Sequence[str]) -> bool:
        """Tell whether a sum over these sites can be masked: three at least, all in the roster."""
        return len(sites) >= SITES_LEAST and all(site in self.roster.sites for site in sites)

    def close(
        self,
        engine: Engine,
        journal: Journal,
        requests: Sequence[Request],
        *,
        asked: str,
        needed: int,
        total: float | None,
    ) -> Generator[Record, None, Summed]:
        """Ask sites for one masked sum.

        Args:
            engine: How sites are reached.
            journal: Remembers attempts, and over whom a sum was to be opened.
            requests: The question, one request a site, as it would be asked in clear.
            asked: Digest of the whole question.
            needed: Sites that the sum needs at least.
            total: No less than the sum of all sites' weights, for updates; None for statistics.

        Returns:
            The sum, or no arrays and every site's reason.
        """
        questions = {request.site: request for request in requests}
        first = requests[0]
        summed = Summed(
            states=dict.fromkeys(questions, "The site was not asked."),
            bytes_out=sum(a.nbytes for request in requests for a in request.arrays.values()),
        )
        promised = journal.promised(first.step)
        candidates = tuple(sorted(questions))
        if promised is not None and set(promised) <= set(candidates):
            candidates = promised
        for _ in range(ATTEMPTS_MAX):
            attempt = _Attempt(
                requests=questions,
                scope=Scope(
                    plan=first.plan, experiment=first.experiment, roster=self.roster.digest
                ),
                number=journal.next_attempt(first.step),
                asked=shared_question(first.kind, first.body, asked)
                if first.kind in EACH_ITS_OWN
                else question_digest(first.kind, first.body, first.arrays),
                each=asked,
                total=total,
                needed=needed,
                summed=summed,
            )
            summed.arrays = yield from self._attempt(engine, journal, attempt, candidates)
            if summed.arrays is not None:
                break
            promised = journal.promised(first.step)
            fewer = attempt.masked if promised is None else promised
            if attempt.restarted:
                continue
            if len(fewer) < max(SITES_LEAST, needed) or not set(fewer) < set(candidates):
                break
            candidates = fewer
        return summed

    def _attempt(
        self, engine: Engine, journal: Journal, attempt: _Attempt, candidates: tuple[str, ...]
    ) -> Generator[Record, None, Parameters | None]:
        shared = yield from self._prepared(engine, attempt, candidates)
        if shared is None:
            return None
        terms = Terms(
            step=next(iter(attempt.requests.values())).step,
            attempt=attempt.number,
            purpose=next(iter(attempt.requests.values())).kind,
            asked=attempt.asked,
            included=shared.sites,
            slot=shared.used,
            total=attempt.total,
        )
        shared.used += 1
        sum_ = SumOfMasked(shared, terms, self.roster)
        yield from self._mask(engine, attempt, sum_)
        for site in sum_.strangers:
            attempt.summed.states[site] = STRANGE
        attempt.masked = survivors = sum_.masked
        least = max(shared.batch.threshold, attempt.needed)
        if attempt.restarted or len(survivors) < least:
            return None
        if journal.promise(terms.step, survivors) != survivors:
            return None
        told = {"batch": shared.batch.name, "slot": terms.slot, "survivors": list(survivors)}
        self._open(engine, attempt, sum_, "sum.confirm", told)
        if len(sum_.confirmed) < shared.batch.threshold:
            return None
        self._open(engine, attempt, sum_, "sum.reveal", told)
        try:
            arrays = sum_.open()
        except UpdateError as error:
            for site in survivors:
                attempt.summed.states[site] = error.title
            return None
        attempt.summed.states.update(dict.fromkeys(survivors, "ok"))
        attempt.summed.bytes_in = len(survivors) * sum_.bytes_each
        return arrays

    def _prepared(
        self, engine: Engine, attempt: _Attempt, candidates: tuple[str, ...]
    ) -> Generator[Record, None, SharedBatch | None]:
        """Return a batch with a free slot, prepared by as many of the candidates as answer."""
        key = (attempt.scope, candidates)
        shared = self._batches.get(key)
        agreement = self._agreements.setdefault(
            attempt.scope, Agreement(attempt.scope, self.roster)
        )
        if shared is not None and shared.used < shared.batch.slots:
            absent = [site for site in candidates if site not in shared.sites]
            failed = yield from self._advertise(engine, attempt, agreement, absent)
            if failed >= set(absent):  # nobody has come back: go on with what is prepared
                return shared
        cohort = candidates
        while len(cohort) >= max(SITES_LEAST, attempt.needed):
            failed = yield from self._agree(engine, attempt, agreement, cohort)
            if not failed:
                shared, failed = yield from self._share(engine, attempt, agreement, cohort)
                if len(shared.sites) >= max(shared.batch.threshold, attempt.needed):
                    self._batches[key] = shared
                    return shared
            cohort = tuple(site for site in cohort if site not in failed)
        return None

    def _advertise(
        self, engine: Engine, attempt: _Attempt, agreement: Agreement, sites: Sequence[str]
    ) -> Generator[Record, None, set[str]]:
        failed: set[str] = set()
        for reply in self._ask(engine, attempt, sites, "sum.advertise", {}, {}):
            try:
                agreement.take_key(reply.site, _data(reply))
            except FedpetError as error:
                failed.add(reply.site)
                yield _state(attempt, reply, error)
        return failed

    def _agree(
        self, engine: Engine, attempt: _Attempt, agreement: Agreement, cohort: tuple[str, ...]
    ) -> Generator[Record, None, set[str]]:
        """Make sure that every two sites of a cohort share a secret; return who failed."""
        new = [site for site in cohort if site not in agreement.advertised]
        failed = yield from self._advertise(engine, attempt, agreement, new)
        cohort = tuple(site for site in cohort if site not in failed)
        if agreement.agreed_among(cohort):
            return failed
        data = {"sum.data": _array(agreement.keys_for(cohort))}
        for reply in self._ask(
            engine, attempt, cohort, "sum.agree", {}, dict.fromkeys(cohort, data)
        ):
            try:
                agreement.take_offers(reply.site, _data(reply))
            except FedpetError as error:
                failed.add(reply.site)
                agreement.forget(reply.site)
                yield _state(attempt, reply, error)
        if not failed and not agreement.agreed_among(cohort):
            raise UpdateError("A site left out others when keys were agreed; the sum was refused.")
        return failed

    def _share(
        self, engine: Engine, attempt: _Attempt, agreement: Agreement, cohort: tuple[str, ...]
    ) -> Generator[Record, None, tuple[SharedBatch, set[str]]]:
        batch = Batch(cohort=cohort, name=self._random(16).hex(), slots=SLOTS)
        shared, failed = SharedBatch(batch, attempt.scope), set()
        told = {"cohort": list(cohort), "batch": batch.name, "slots": batch.slots}
        data = {site: {"sum.data": _array(agreement.offers_for(site, cohort))} for site in cohort}
        for reply in self._ask(engine, attempt, cohort, "sum.share", told, data):
            try:
                shared.take(reply.site, _data(reply), self.roster)
            except FedpetError as error:
                failed.add(reply.site)
                agreement.forget(reply.site)
                yield _state(attempt, reply, error)
        return shared, failed

    def _mask(
        self, engine: Engine, attempt: _Attempt, sum_: SumOfMasked
    ) -> Generator[Record, None, None]:
        shared, terms = sum_.shared, sum_.terms
        told = {
            "roster": self.roster.digest,
            "batch": shared.batch.name,
            "sites": len(shared.batch.cohort),
            "slot": terms.slot,
            "included": list(terms.included),
            "asked": attempt.each,
            "total": terms.total,
        }
        requests = []
        for site in terms.included:
            question = attempt.requests[site]
            body = {**question.body, "of": question.kind, "sum": told}
            arrays = {**question.arrays}
            if boxes := shared.boxes_for(site, terms.included):
                arrays["sum.boxes"] = _array(boxes)
            requests.append(
                replace(question, kind="sum.mask", body=body, arrays=arrays, attempt=attempt.number)
            )
        for reply in engine.exchange(requests):
            attempt.summed.take(reply)
            try:
                _require_ok(reply)
                shared.delivered(reply.site, terms.included)
                sum_.add(
                    reply.site, reply.arrays["sum.narrow"], reply.arrays["sum.wide"], _data(reply)
                )
            except (FedpetError, KeyError) as error:
                yield _state(attempt, reply, error)
                if FORGOTTEN in reply.reasons:
                    attempt.restarted.add(reply.site)
                    self._forget(attempt.scope, reply.site)
            else:
                attempt.summed.states[reply.site] = "The sum could not be completed."
                yield SiteState(reply.site, "ok", terms.step, reply.seconds)

    def _open(
        self, engine: Engine, attempt: _Attempt, sum_: SumOfMasked, kind: str, told: Body
    ) -> None:
        survivors = sum_.masked
        data: dict[str, dict[str, Array]] = {}
        if kind == "sum.reveal":
            data = {s: {"sum.data": _array(sum_.confirmations_for(s))} for s in survivors}
        take = sum_.take_shares if kind == "sum.reveal" else sum_.take_confirmation
        for reply in self._ask(engine, attempt, survivors, kind, told, data):
            try:
                take(reply.site, _data(reply))
            except FedpetError as error:
                attempt.summed.states[reply.site] = _reason(reply, error)
                if FORGOTTEN in reply.reasons:
                    attempt.restarted.add(reply.site)
                    self._forget(attempt.scope, reply.site)

    def _ask(
        self,
        engine: Engine,
        attempt: _Attempt,
        sites: Sequence[str],
        kind: str,
        told: Body,
        arrays: Mapping[str, Parameters],
    ) -> list[Reply]:
        """Ask for a phase that holds no question."""
        attempt.asked_times += 1
        place = f"{kind.removeprefix('sum.')}-{attempt.asked_times}"
        requests = [
            replace(
                attempt.requests[site],
                step=f"{attempt.requests[site].step}/{place}",
                kind=kind,
                body={"sum": {"roster": self.roster.digest, **told}},
                arrays=arrays.get(site, {}),
                heads={},
                attempt=attempt.number,
            )
            for site in sites
        ]
        replies = list(engine.exchange(requests)) if requests else []
        for reply in replies:
            attempt.summed.take(reply)
        return replies

    def _forget(self, scope: Scope, site: str) -> None:
        self._agreements[scope].forget(site)
        for key in [key for key in self._batches if site in key[1]]:
            del self._batches[key]


def _state(attempt: _Attempt, reply: Reply, error: FedpetError | KeyError) -> SiteState:
    """Note why a site is not in the sum."""
    reason = _reason(reply, error)
    attempt.summed.states[reply.site] = reason
    step = next(iter(attempt.requests.values())).step
    status = "failed" if reply.status == "ok" else reply.status
    return SiteState(reply.site, status, step, reply.seconds, (reason,))


def _reason(reply: Reply, error: FedpetError | KeyError) -> str:
    if reply.status != "ok":
        return " ".join(reply.reasons)
    return error.title if isinstance(error, FedpetError) else "The answer holds no masked vector."


def _require_ok(reply: Reply) -> None:
    if reply.status != "ok":
        raise UpdateError(" ".join(reply.reasons) or "The site gave no reason.")


def _data(reply: Reply) -> bytes:
    _require_ok(reply)
    found = reply.arrays.get("sum.data")
    if found is None or found.dtype != np.uint8:
        raise UpdateError("A message of the secure sum is not well-formed; it was refused.")
    return found.tobytes()


def _array(data: bytes) -> Array:
    return np.frombuffer(data, np.uint8)
