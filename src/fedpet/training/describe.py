"""Sums that describe a node's columns: moments, histograms and counts of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.survival import describe, site_table
from fedpet.training.selection import columns_of, select

Floats = NDArray[np.float64]
Body = Mapping[str, Any]
BINS_MAX = 256
LEVELS_MAX = 40
MARK_CELLS = 1 << 17


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
    """Count how often each column has each of its `levels`, and another value.

    Raises:
        UpdateError: If the levels do not fit the columns, or are too many.
    """
    table, asked = _table(cohort, plan, body), arrays["levels"]
    if asked.ndim != 2 or len(asked) != table.shape[1] or asked.shape[1] > LEVELS_MAX:
        raise UpdateError(f"A column of categories has up to {LEVELS_MAX} levels.")
    return describe.level_sums(table, asked)


def site(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Describe this site alone: the release `table-1`, rounded, its small counts hidden later."""
    del arrays
    rows = select(cohort, plan, body["select"])
    found = {
        "count.subjects": np.array([float(len(rows))]),
        **site_table.column_facts(_lenient(cohort, plan, body["columns"])[rows]),
    }
    for endpoint in plan.endpoints.survival:
        outcome = cohort.outcomes.get(endpoint)
        found |= site_table.endpoint_facts(
            endpoint,
            np.full(len(rows), np.nan) if outcome is None else outcome.time_days[rows],
            np.zeros(len(rows), bool) if outcome is None else outcome.event[rows],
        )
    return found


def _lenient(cohort: Cohort, plan: Plan, columns: Sequence[str]) -> Floats:
    """Return columns of the plan; one that the cohort lacks is missing for everybody."""
    table = np.full((len(cohort.subjects), len(columns)), np.nan)
    held = [index for index, name in enumerate(columns) if name in cohort.columns]
    table[:, held] = columns_of(cohort, plan, [columns[index] for index in held])
    return table


def duplicates(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Count salted marks of the rows, to be summed over sites."""
    del arrays
    return site_table.mark_counts(
        _table(cohort, plan, body), salt=str(body["salt"]), cells=MARK_CELLS
    )


def _table(cohort: Cohort, plan: Plan, body: Body) -> Floats:
    return columns_of(cohort, plan, body["columns"])[select(cohort, plan, body["select"])]
