"""One step: ask sites, wait for a quorum, add what they answer, write it into the journal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fedpet.errors import UpdateError
from fedpet.federation.engine import Engine
from fedpet.federation.journal import Closed, Journal, digest_of
from fedpet.federation.messages import Reply, Request
from fedpet.federation.records import Record, SiteState, StepClosed, StepStarted
from fedpet.federation.secure_sums import SecureSums
from fedpet.parameters import Array, Parameters, require_finite, require_same_shapes
from fedpet.plan import Plan
from fedpet.privacy.identity import Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What every step needs to know.

    Args:
        plan: The plan.
        fingerprint: Its fingerprint.
        experiment: Identifier of this execution.
        engine: How sites are reached.
        journal: What is already done.
        pooled: Name of the virtual site that holds every subject, where pooling is allowed.
        sums: Secure sums among the sites of a roster; None where sums pass in clear.
    """

    plan: Plan
    fingerprint: str
    experiment: str
    engine: Engine
    journal: Journal
    pooled: str | None = None
    sums: SecureSums | None = None

    @property
    def roster(self) -> Roster | None:
        """The sites' keys, as everybody pinned them; None where nobody did."""
        return None if self.sums is None else self.sums.roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What sites are asked in one step.

    Args:
        step: Name of the step, unique in the experiment.
        label: The same in the reader's words.
        kind: What to compute; a name in the node's fixed table.
        sites: Who is asked.
        body: JSON values for every site.
        arrays: Arrays for every site.
        arrays_by_site: Arrays for one site, beside `arrays`.
        body_by_site: JSON values for one site, beside `body`.
        release: Name of a release, if answers are to be kept apart by site; a hospital's policy
            allows or refuses it. None means that only the sum is kept.
        sites_min: Answers needed; the plan's minimum unless told.
        total: For updates, no less than the sum of all sites' weights; lets a secure sum carry
            them in half the space.
    """

    step: str
    label: str
    kind: str
    sites: tuple[str, ...]
    body: Mapping[str, Any] = field(default_factory=dict)
    arrays: Parameters = field(default_factory=dict)
    arrays_by_site: Mapping[str, Parameters] = field(default_factory=dict)
    body_by_site: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    release: str | None = None
    sites_min: int | None = None
    total: float | None = None

    def named_by_digest(self, prefix: str) -> Question:
        """Return the same question, its step named after what it asks.

        Args:
            prefix: What stands before the first 12 digits of the digest.
        """
        return replace(self, step=f"{prefix}/{_digest(self)[:12]}")


def ask(run: Execution, question: Question) -> Generator[Record, None, Closed]:
    """Close one step: from the journal if it is there, otherwise by asking the sites.

    Returns:
        The step with the sum of all answers, or with `<site>/<name>` arrays for a release.

    Raises:
        UpdateError: If fewer sites than needed answered; nothing is written, so that the run
            can be resumed.
        StoreError: If the journal holds this step for another question.
    """
    asked = _digest(question)
    yield StepStarted(question.step, question.label, question.sites)
    closed = run.journal.recall(question.step, asked=asked)
    replayed = closed is not None
    if closed is None:
        started = time.perf_counter()
        if question.release is None and masks(run, question.sites):
            closed = yield from _close_masked(run, question, asked, started)
        else:
            replies, bytes_out = yield from _exchange(run, question)
            closed = _close(run, question, replies, time.perf_counter() - started, bytes_out)
        run.journal.record(question.step, asked=asked, closed=closed)
    values = sum(array.size for array in closed.arrays.values())
    if question.release is not None:
        values = round(values / max(1, len(answered(closed))))
    yield StepClosed(question.step, question.label, closed.seconds, replayed, values)
    return closed


def masks(run: Execution, sites: Sequence[str]) -> bool:
    """Tell whether sums over these sites are secure sums.

    They are if there are three sites or more and the plan does not switch it off. Releases, which
    are about one site alone, are not sums.
    """
    return run.plan.privacy.secure_sum and run.sums is not None and run.sums.applies_to(sites)


def answered(closed: Closed) -> tuple[str, ...]:
    """Return the sites whose answers are in a step's sum."""
    return tuple(sorted(site for site, state in closed.sites.items() if state == "ok"))


def by_site(closed: Closed) -> dict[str, dict[str, Array]]:
    """Return the answers of a named release, site by site."""
    apart: dict[str, dict[str, Array]] = {site: {} for site in answered(closed)}
    for name, array in closed.arrays.items():
        site, _, key = name.partition("/")
        apart[site][key] = array
    return apart


def total(summands: Mapping[str, Parameters]) -> dict[str, Array]:
    """Add the sites' answers in float64, in the order of their names.

    Raises:
        UpdateError: If a site's answer holds other arrays or shapes than the first one's, or
            values that are not finite.
    """
    summed: dict[str, Array] = {}
    for site in sorted(summands):
        require_finite(summands[site], where=f"The answer of '{site}'")
        if not summed:
            summed = {name: array.astype(np.float64) for name, array in summands[site].items()}
            continue
        require_same_shapes(summed, summands[site], where=f"The answer of '{site}'")
        for name, array in summands[site].items():
            summed[name] += array
    return summed


def _digest(question: Question) -> str:
    arrays = dict(question.arrays)
    for site, extra in question.arrays_by_site.items():
        arrays |= {f"{site}/{name}": array for name, array in extra.items()}
    bodies = {site: dict(body) for site, body in question.body_by_site.items()}
    body = {"all": dict(question.body), "sites": bodies, "release": question.release}
    return digest_of(question.kind, question.sites, body, arrays)


def _requests(run: Execution, question: Question) -> list[Request]:
    heads = run.journal.heads()
    return [
        Request(
            site=site,
            experiment=run.experiment,
            plan=run.fingerprint,
            step=question.step,
            kind=question.kind,
            body={
                **question.body,
                **question.body_by_site.get(site, {}),
                "release": question.release,
            },
            arrays={**question.arrays, **question.arrays_by_site.get(site, {})},
            heads=heads,
        )
        for site in question.sites
    ]


def _close_masked(
    run: Execution, question: Question, asked: str, started: float
) -> Generator[Record, None, Closed]:
    assert run.sums is not None
    needed = _needed(run, question)
    summed = yield from run.sums.close(
        run.engine,
        run.journal,
        _requests(run, question),
        asked=asked,
        needed=needed,
        total=question.total,
    )
    run.journal.witness(summed.heads)
    if summed.arrays is None:
        raise _too_few(question, summed.states, needed)
    if question.total is not None and run.plan.privacy.differential_privacy == "none":
        require_weight(summed.arrays, total=question.total)
    return Closed(
        arrays=summed.arrays,
        sites=summed.states,
        seconds=time.perf_counter() - started,
        bytes_out=summed.bytes_out,
        bytes_in=summed.bytes_in,
        kind=question.kind,
    )


def require_weight(summed: Parameters, *, total: float) -> None:
    """Refuse a sum of updates that weighs more than was announced: it might have wrapped.

    Raises:
        UpdateError: If it does.
    """
    weight = float(summed["weight.shared"].sum()) if "weight.shared" in summed else 0.0
    if weight > total * (1 + 1e-9):
        raise UpdateError(
            f"The sites' updates weigh {weight:g}, more than the {total:g} announced."
        )


def _needed(run: Execution, question: Question) -> int:
    return run.plan.sites.sites_min if question.sites_min is None else question.sites_min


def _too_few(question: Question, states: Mapping[str, str], needed: int) -> UpdateError:
    reasons = "; ".join(f"{site}: {why}" for site, why in sorted(states.items()) if why != "ok")
    count = sum(state == "ok" for state in states.values())
    return UpdateError(
        f"{question.label}: {count} of {len(question.sites)} sites answered, {needed} are needed.",
        why=reasons,
        do="Nothing is lost: mend what the sites say, then `fedpet resume` the run.",
    )


def _exchange(
    run: Execution, question: Question
) -> Generator[Record, None, tuple[list[Reply], int]]:
    requests = _requests(run, question)
    replies = []
    for reply in run.engine.exchange(requests):
        replies.append(reply)
        yield SiteState(reply.site, reply.status, question.step, reply.seconds, reply.reasons)
    run.journal.witness({r.site: r.head for r in replies if r.head and r.site != run.pooled})
    sent = sum(array.nbytes for request in requests for array in request.arrays.values())
    return replies, sent


def _close(
    run: Execution, question: Question, replies: Sequence[Reply], seconds: float, sent: int
) -> Closed:
    states = {r.site: "ok" if r.status == "ok" else " ".join(r.reasons) for r in replies}
    summands = {reply.site: reply.arrays for reply in replies if reply.status == "ok"}
    for site, reason in _unusable(summands).items():
        states[site] = reason
        del summands[site]
    needed = _needed(run, question)
    if len(summands) < needed:
        raise _too_few(question, states, needed)
    if question.release is None:
        arrays = total(summands)
    else:
        arrays = {
            f"{site}/{name}": array
            for site, summand in summands.items()
            for name, array in summand.items()
        }
    received = sum(array.nbytes for summand in summands.values() for array in summand.values())
    return Closed(
        arrays=arrays,
        sites=states,
        seconds=seconds,
        bytes_out=sent,
        bytes_in=received,
        kind=question.kind,
    )


def _unusable(summands: Mapping[str, Parameters]) -> dict[str, str]:
    """Say why an answer cannot be added: not finite, or another shape than most answers have."""
    shapes = {
        site: tuple(sorted((name, array.shape) for name, array in arrays.items()))
        for site, arrays in summands.items()
    }
    usual = Counter(shapes[site] for site in sorted(shapes)).most_common(1)
    reasons = {}
    for site, arrays in summands.items():
        try:
            require_finite(arrays, where="The answer")
        except UpdateError as error:
            reasons[site] = error.title
        if shapes[site] != usual[0][0]:
            reasons[site] = "The answer holds other arrays or shapes than those of most sites."
    return reasons
