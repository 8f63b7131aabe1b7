"""From summed evaluations to the one document that the report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fedpet import __version__
from fedpet import plan as plans
from fedpet.federation.asking import Execution
from fedpet.federation.evaluation import grid_of
from fedpet.federation.preparation import Enrolled
from fedpet.parameters import Parameters
from fedpet.survival import scores
from fedpet.survival.cox import CoxFit

if TYPE_CHECKING:
    from fedpet.federation.experiment import FittedFold

SCHEMA = "fedpet-results/1"
COX_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the coordinator knows besides the sites' answers.

    Args:
        started: When the run began, ISO 8601.
        phantom: Whether the subjects are simulated.
        ceiling: The best reachable C-index by endpoint, known for phantoms only.
        findings: Counts of quality findings by site, as released by the sites.
    """

    started: str
    phantom: bool = False
    ceiling: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    findings: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the sites measured of one arm on one endpoint.

    Args:
        summed: Sums over all sites.
        each: Sums of one hospital alone, or why there are none.
        models: Models judged per subject; more than one for local-only.
    """

    summed: Parameters
    each: Mapping[str, Parameters | str]
    models: int


def results_of(
    run: Execution,
    context: Context,
    *,
    enrolled: Enrolled,
    fitted: Sequence[FittedFold],
    final: FittedFold,
    pooled: Mapping[str, CoxFit],
    judged: Mapping[str, Mapping[str, Judged]],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """Assemble the document: a pure function of the journal, so that a resumed run equals it.

    Returns:
        JSON values only; `None` where a number could not be computed.
    """
    plan = run.plan
    grid = grid_of(plan.endpoints.horizons_months)
    measured = {
        endpoint: {arm: _measure(plan, grid_=grid, judged=found) for arm, found in arms.items()}
        for endpoint, arms in judged.items()
        if endpoint in plan.endpoints.survival
    }
    used = {arm for arms in judged.values() for arm in arms}
    return {
        "schema": SCHEMA,
        "plan": _plan(run),
        "experiment": {
            "id": run.experiment,
            "started": context.started,
            "seconds": sum(step.seconds for _, step in run.journal.history()),
            "fedpet": __version__,
            "phantom": context.phantom,
            "timings": _timings(run),
        },
        "sites": _sites(enrolled, fitted, context),
        "arms": [
            {"id": arm, "label": label, **_nature(arm)}
            for arm, label in labels.items()
            if arm in used
        ],
        "performance": {
            endpoint: {arm: _performance(plan, found) for arm, found in arms.items()}
            for endpoint, arms in measured.items()
        },
        "binary": {
            endpoint: {arm: _binary(found) for arm, found in judged[endpoint].items()}
            for endpoint in plan.endpoints.binary
        },
    }
