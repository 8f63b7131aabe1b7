"""How much a site counts for in a sum, and who is kept aside to judge the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.plan import Plan
from fedpet.training.selection import labels_of


def site_weights(
    cohort: Cohort, plan: Plan, body: Mapping[str, Any], rows: NDArray[np.intp]
) -> dict[str, float]:
    """Return the weight of a site's update, as `weight.shared` and `weight.<endpoint>`.

    By subjects: those trained on, and those whose endpoint is known. By events: those of the
    primary endpoint, and those of each endpoint (of a yes-or-no endpoint those who are known).
    Equal: 1, or 0 where nobody is known. A model that a site trains alone counts by subjects.

    Args:
        cohort: The site's cohort.
        plan: Endpoints, and `strategy.weights`.
        body: Of the request; `repeat` if the site trains alone.
        rows: Who is trained on.
    """
    known, events = {"shared": float(len(rows))}, {}
    for name in plan.endpoints.survival:
        outcome = cohort.outcomes.get(name)
        known[name] = events[name] = 0.0
        if outcome is not None:
            known[name] = float((~np.isnan(outcome.time_days[rows])).sum())
            events[name] = float(outcome.event[rows].sum())
    for name in plan.endpoints.binary:
        known[name] = events[name] = float((~np.isnan(labels_of(cohort, name)[rows])).sum())
    events["shared"] = events[plan.endpoints.primary]
    by = "subjects" if "repeat" in body else plan.strategy.weights
    counted = events if by == "events" else known
    if by == "equal":
        counted = {name: float(count > 0) for name, count in known.items()}
    return {f"weight.{name}": counted[name] for name in known}
