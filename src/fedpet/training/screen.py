"""What a node adds up to choose a biomarker's cutpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.survival.bootstrap import bootstrap_weights
from fedpet.survival.cutpoints import cut_sums
from fedpet.training.selection import columns_of
from fedpet.training.statistics import known_outcome

Floats = NDArray[np.float64]
CUTS_MAX = 40
REPLICATES_MAX = 500


def cutpoints(
    cohort: Cohort, plan: Plan, body: Mapping[str, Any], arrays: Parameters
) -> dict[str, Floats]:
    """Compare the groups below and from each cut on, here and in bootstrap replicates.

    Raises:
        UpdateError: If there are too many cuts or replicates.
    """
    replicates, cuts = int(body["replicates"]), arrays["cuts"]
    if not 0 <= replicates <= REPLICATES_MAX or cuts.ndim != 1 or len(cuts) > CUTS_MAX:
        raise UpdateError(
            f"At most {CUTS_MAX} cuts and {REPLICATES_MAX} replicates are compared here."
        )
    rows, time, event = known_outcome(cohort, plan, body)
    value = columns_of(cohort, plan, body["columns"])[rows, 0]
    known = ~np.isnan(value)
    keys = [cohort.subjects[row] for row in rows[known]]
    weights = bootstrap_weights(keys, replicates=replicates, seed=plan.seed)
    return cut_sums(value[known], time[known], event[known], cuts=cuts, weights=weights)
