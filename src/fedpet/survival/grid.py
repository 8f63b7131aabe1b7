"""Where times and risks are binned for evaluation: known to every site from the plan alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival.preprocessing import MONTH_DAYS

Floats = NDArray[np.float64]
RISK_BINS = 42  # a multiple of three, so that risk thirds end on an edge
DISTRIBUTION_BINS = 1000
BRIER_TIMES_MAX = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where times and risks are binned for evaluation.

    Args:
        horizons_days: Times at which AUC, Brier score and calibration are given, [H].
        brier_days: Times over which the Brier score is averaged, increasing; the horizons are
            among them, [E].
        time_edges_days: Increasing from 0, with all of the above, [T].
        risk_edges: From 0 to 1, [K + 1].
    """

    horizons_days: Floats
    brier_days: Floats
    time_edges_days: Floats
    risk_edges: Floats

    @property
    def horizon_edges(self) -> tuple[int, ...]:
        """Place of each horizon among the time edges."""
        return tuple(self.edge_of(days) for days in self.horizons_days)

    @property
    def horizon_columns(self) -> tuple[int, ...]:
        """Place of each horizon among the times of the Brier score."""
        return tuple(int(np.argmin(np.abs(self.brier_days - days))) for days in self.horizons_days)

    def edge_of(self, days: float) -> int:
        """Return the place of the time edge nearest to a time."""
        return int(np.argmin(np.abs(self.time_edges_days - days)))


def grid_of(horizons_months: Sequence[float], ends_months: Sequence[float] = ()) -> Grid:
    """Return the grid of a plan: half months up to the last horizon, then quarters for two years.

    Args:
        horizons_months: The plan's horizons.
        ends_months: Ends of the intervals for which its models predict; the Brier score is
            averaged over those up to the last horizon.

    Examples:
        >>> grid = grid_of([6, 12, 24], [3, 6, 9, 12, 18, 24, 36])
        >>> len(grid.time_edges_days), len(grid.brier_days)
        (57, 6)
    """
    horizons = np.asarray(horizons_months, np.float64)
    last = horizons.max()
    ends = np.array([end for end in ends_months if 0 < end <= last])
    thinned = ends[:: max(1, -(-len(ends) // BRIER_TIMES_MAX))]
    brier = np.unique(np.concatenate([horizons, thinned]))
    halves = np.arange(0, last + 0.25, 0.5)
    quarters = np.arange(last + 3, last + 24.1, 3)
    edges = np.unique(np.concatenate([halves, quarters, brier]))
    return Grid(
        horizons_days=horizons * MONTH_DAYS,
        brier_days=brier * MONTH_DAYS,
        time_edges_days=edges * MONTH_DAYS,
        risk_edges=np.linspace(0.0, 1.0, RISK_BINS + 1),
    )
