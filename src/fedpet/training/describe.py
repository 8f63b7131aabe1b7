"""Sums that describe a node's columns: moments, histograms and counts of categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.survival import describe
from fedpet.training.selection import columns_of, select

Floats = NDArray[np.float64]
Body = Mapping[str, Any]
BINS_MAX = 256
LEVELS_MAX = 40


def moments(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Count subjects and known values of `columns`, and sum them, or their squares about `center`.

    With `center` and `scale`, sums are of (value - center) / scale, and of its square.
    """
    table = _table(cohort, plan, body)
    return describe.moment_sums(table, center=arrays.get("center"), scale=arrays.get("scale"))


def histogram(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Count the values of each column between its own edges, open at both ends.

    Raises:
        UpdateError: If the edges do not fit the columns, or are too many.
    """
    table, edges = _table(cohort, plan, body), arrays["edges"]
    if edges.ndim != 2 or len(edges) != table.shape[1] or edges.shape[1] > BINS_MAX:
        raise UpdateError(f"A histogram needs up to {BINS_MAX} edges for each of its columns.")
    return describe.histogram_sums(table, edges)


def levels(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Count how often a column has each of the values `levels`, another one, and none."""
    if len(arrays["levels"]) > LEVELS_MAX:
        raise UpdateError(f"A column of categories has at most {LEVELS_MAX} levels.")
    return describe.level_sums(_table(cohort, plan, body)[:, 0], arrays["levels"])


def _table(cohort: Cohort, plan: Plan, body: Body) -> Floats:
    return columns_of(cohort, plan, body["columns"])[select(cohort, plan, body["select"])]
