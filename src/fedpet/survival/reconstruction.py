"""Rebuild rows of subjects from sums over those at risk: the attack that grids of times stop.

Sums over those at risk are told at several times. Where exactly one subject leaves between two of
them, their difference is that subject's row. The subjects are made up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival.disclosure_grid import GRID_DAYS_MIN, merge_cells, weekly_edges
from fedpet.survival.kaplan_meier import event_table

Floats = NDArray[np.float64]
COVARIATES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How many subjects' rows were found.

    Args:
        grid: `days` (exact times), `weeks`, or `checked` (weeks, with cells merged until each is
            left by several: what nodes and coordinator hold to).
        subjects: Subjects in the sums.
        rows: Subjects whose covariates were found to the last digit.
    """

    grid: str
    subjects: int
    rows: int


def rebuild(*, subjects: int = 200, seed: int = 2026) -> tuple[Rebuilt, ...]:
    """Attack made-up subjects on three grids of times."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(subjects, COVARIATES))
    days = np.ceil(rng.exponential(400, subjects))
    event = rng.random(subjects) < 0.6
    weeks = weekly_edges(float(days.max()) + GRID_DAYS_MIN)
    checked = merge_cells(weeks, event_table(days, event, weeks)).edges_days
    grids = {"days": np.arange(0.0, days.max() + 2), "weeks": weeks, "checked": checked}
    return tuple(
        Rebuilt(
            grid=name, subjects=subjects, rows=rows_found(at_risk_sums(rows, days, edges), rows)
        )
        for name, edges in grids.items()
    )


def at_risk_sums(rows: Floats, days: Floats, edges: Floats) -> Floats:
    """Return, for each time, the number and the summed covariates of those at risk, [T, 1 + p]."""
    ones = np.column_stack([np.ones(len(rows)), rows])
    return np.stack([ones[days > edge].sum(axis=0) for edge in edges])


def rows_found(sums: Floats, rows: Floats) -> int:
    """Count subjects whose row is a difference of two neighbouring sums, or a sum over one."""
    left = np.vstack([sums[:-1] - sums[1:], sums])
    alone = left[np.abs(left[:, 0] - 1) < 1e-6, 1:]
    if not len(alone):
        return 0
    gaps = np.abs(rows[:, None] - alone[None]).max(axis=2).min(axis=1)
    return int((gaps < 1e-6).sum())
