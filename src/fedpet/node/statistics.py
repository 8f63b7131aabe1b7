"""What a hospital has against a statistic: few subjects, few events, fine grids, many covariates.

Statistics are asked under `statistics/<topic>/...`, one topic for each name that the plan allows.
Their answers are sums of declared shape; what could describe a person is refused before anything
is computed. Decisions are pure; `ledger.py` remembers what was told, `gate.py` acts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.federation.messages import Request
from fedpet.node.policy import Policy
from fedpet.plan import Plan
from fedpet.survival.disclosure_grid import objections as objections_to_grid
from fedpet.training.curves import groups_of
from fedpet.training.selection import columns_of, labels_of, select

Mask = NDArray[np.bool_]

EXPERIMENT = frozenset(
    {"count", "moments", "cox", "exposure", "initialise", "train", "loss", "risks", "evaluate"}
    | {"histogram", "score", "vote", "attest", "attack"}
    | {"features", "distances", "levels"}
    | {"concordance", "gradient", "combat", "combat-reference", "combat-confounding"}
)
FITTED = ("cox", "screen", "leave-one-site-out")  # topics whose answers are sums of a likelihood
VALUES = frozenset(  # work that adds up or counts values of columns: one kind of sum for them all
    {"moments", "histogram", "describe-moments", "describe-histogram", "describe-levels"}
)
GRIDS = ("edges_days", "grid_days")  # arrays that hold a grid of times


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whom an answer is about, by what is summed of them.

    Args:
        about: `cox of endpoint pfs`, `values of column age_years`.
        members: [subjects], who is in the sum.
    """

    about: str
    members: Mask


def topic_of(request: Request) -> str | None:
    """Return the statistic that a request belongs to, or None for a step of the experiment.

    A kind of work that the experiment never asks for belongs to a statistic, whatever its step is
    named.
    """
    parts = request.step.split("/")
    if parts[0] == "statistics" and len(parts) > 1:
        return parts[1]
    choice = request.body.get("select") or {}
    if choice.get("complete") or choice.get("where"):
        return ""
    return None if request.kind in EXPERIMENT else ""


def objections(
    policy: Policy, plan: Plan, cohort: Cohort, request: Request, told: tuple[Told, ...]
) -> tuple[str, ...]:
    """List every reason against answering a statistic; none for a step of the experiment.

    Args:
        policy: The hospital's.
        plan: The approved plan.
        cohort: What would be summed.
        request: What is asked.
        told: Whom it is about, from `told_by`.
    """
    topic = topic_of(request)
    if topic is None:
        return ()
    found = []
    if topic not in plan.statistics.allowed:
        found.append(f"The plan does not allow the statistic '{topic}'.")
    if topic not in policy.statistics:
        found.append(f"This hospital does not answer the statistic '{topic}'.")
    if request.kind == "describe-duplicates" and "duplicates" not in policy.releases:
        found.append("This hospital does not look for duplicates ('duplicates').")
    found += _few(policy, cohort, request, topic, told)
    found += _fine(policy, request)
    found += _nearly_everybody(policy, plan, cohort, request, told)
    return tuple(found)


def told_by(cohort: Cohort, plan: Plan, request: Request) -> tuple[Told, ...]:
    """Return whom an answer would be about: who is selected and has what is summed.

    Values of a column are summed over those who have it, whichever statistic asks for them. With
    an endpoint, sums are over those whose endpoint is known. Sums of different kinds cannot be
    subtracted from each other, so the kind is part of what an answer is about.
    """
    kind, body = request.kind, request.body
    chosen = np.zeros(len(cohort.subjects), bool)
    chosen[select(cohort, plan, body["select"])] = True
    endpoints = [body["endpoint"]] if isinstance(body.get("endpoint"), str) else []
    if endpoints and kind not in VALUES:
        return tuple(
            one
            for name in endpoints
            for one in _with_groups(
                Told(about=f"{kind} of endpoint {name}", members=chosen & _known(cohort, name)),
                groups_of(cohort, plan, body),
            )
        )
    columns = [str(name) for name in body.get("columns") or ()]
    if not columns:
        return (Told(about=kind, members=chosen),)
    values = columns_of(cohort, plan, columns)
    kind = "values" if kind in VALUES else kind
    return tuple(
        Told(about=f"{kind} of column {name}", members=chosen & ~np.isnan(values[:, index]))
        for index, name in enumerate(columns)
    )


def _with_groups(everybody: Told, groups: tuple[tuple[str, Mask], ...]) -> tuple[Told, ...]:
    """Return whom an answer is about, and each of the sums that its groups tell of."""
    parts = (
        Told(about=f"{everybody.about}, {words}", members=everybody.members & members)
        for words, members in groups
    )
    return (everybody, *parts)


def _known(cohort: Cohort, endpoint: str) -> Mask:
    if endpoint in cohort.outcomes:
        known: Mask = ~np.isnan(cohort.outcomes[endpoint].time_days)
        return known
    return ~np.isnan(labels_of(cohort, endpoint))


def _few(
    policy: Policy, cohort: Cohort, request: Request, topic: str, told: tuple[Told, ...]
) -> list[str]:
    """Object to few subjects, few events, and many covariates for them."""
    least = policy.statistics_subjects_min
    subjects = max(int(one.members.sum()) for one in told)
    if 0 < subjects < least:
        return [f"The statistic would sum fewer than the {least} subjects that it needs here."]
    if topic not in FITTED or subjects == 0:
        return []
    found = []
    endpoint = str(request.body.get("endpoint"))
    if endpoint in cohort.outcomes:
        events = int(cohort.outcomes[endpoint].event[told[0].members].sum())
        if 0 < events < policy.stratum_events_min:
            found.append(
                f"There are fewer than {policy.stratum_events_min} events of '{endpoint}' here."
            )
    covariates = len(request.body.get("columns") or ())
    if covariates > policy.covariates_per_subject_max * subjects:
        found.append(
            f"{covariates} covariates are more than {policy.covariates_per_subject_max:g} for "
            "each subject here."
        )
    return found


def _nearly_everybody(
    policy: Policy, plan: Plan, cohort: Cohort, request: Request, told: tuple[Told, ...]
) -> list[str]:
    """Object to values of all but a few: an experiment scales covariates by sums over everybody."""
    choice = request.body["select"]
    if request.kind not in VALUES or not (choice.get("complete") or choice.get("where")):
        return []
    wide = {**choice, "complete": None, "where": None}
    whole = told_by(cohort, plan, replace(request, body={**request.body, "select": wide}))
    left_out = [
        int((all_.members & ~one.members).sum()) for all_, one in zip(whole, told, strict=True)
    ]
    if any(0 < few < policy.difference_min for few in left_out):
        return [
            f"The answer would leave out fewer than {policy.difference_min} subjects who have a "
            "value; theirs could be found by subtraction from the sum over everybody."
        ]
    return []


def _fine(policy: Policy, request: Request) -> list[str]:
    """Object to grids of time that are finer than the hospital tells."""
    found: list[str] = []
    for name in GRIDS:
        if name in request.arrays and policy.grid_days_min > 0:
            grid = np.asarray(request.arrays[name], np.float64)
            found += objections_to_grid(grid, days_min=policy.grid_days_min)
    return found
