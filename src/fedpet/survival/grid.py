"""Where times and risks are binned for evaluation: known to every site from the plan alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival.preprocessing import MONTH_DAYS

RISK_BINS = 42  # a multiple of three, so that risk thirds end on an edge
DISTRIBUTION_BINS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where times and risks are binned for evaluation.

    Args:
        horizons_days: Times at which AUC, Brier score and calibration are given.
        time_edges_days: Half months up to the last horizon, then quarters for two more years.
        risk_edges: Equal shares of the training subjects' risks.
    """

    horizons_days: NDArray[np.float64]
    time_edges_days: NDArray[np.float64]
    risk_edges: NDArray[np.float64]


def grid_of(horizons_months: Sequence[float]) -> Grid:
    """Return the grid for a plan's horizons.

    Examples:
        >>> len(grid_of([6, 12, 24]).time_edges_days)
        57
    """
    last = max(horizons_months)
    halves = np.arange(0, last + 0.25, 0.5)
    quarters = np.arange(last + 3, last + 24.1, 3)
    edges = np.unique(np.concatenate([halves, quarters, np.asarray(horizons_months, float)]))
    return Grid(
        horizons_days=np.asarray(horizons_months, float) * MONTH_DAYS,
        time_edges_days=edges * MONTH_DAYS,
        risk_edges=np.linspace(0.0, 1.0, RISK_BINS + 1),
    )
