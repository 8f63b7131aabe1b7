"""Real predictions to judge: R's fits on the lung and breast-cancer data, on any grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedpet.survival import scores
from fedpet.survival.bootstrap import bootstrap_weights
from fedpet.survival.grid import Grid
from fedpet.survival.kaplan_meier import event_table
from references import brca, lung, reference

DAYS = np.array([180.0, 365.0, 540.0])
YEARS = 365.25 * np.arange(1, 6)
BRCA_HAZARD = np.array([0.0131114863, 0.0334510286, 0.0811384105, 0.1054948318, 0.1655572412])


def ranks(risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a risk's place among its distinct values in [0, 1], and edges around each place."""
    values, place = np.unique(risk, return_inverse=True)
    return (place + 0.5) / len(values), np.linspace(0, 1, len(values) + 1)


def exact_grid(horizons: np.ndarray, *times: np.ndarray, risk_edges: np.ndarray) -> Grid:
    """Return a grid with an edge at every time, so that nothing is rounded."""
    edges = np.unique(np.concatenate([[0.0], horizons, *times]))
    return Grid(
        horizons_days=horizons, brier_days=horizons, time_edges_days=edges, risk_edges=risk_edges
    )


def judged_lung(
    *, grid: Grid | None = None, replicates: int = 0, hazard: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], Grid]:
    """Sum what the lung data say of R's pooled Efron fit."""
    data, r = lung(), reference()
    risk = np.round(data.x @ r["efron"]["beta"], 12)
    hazard = r["baseline_efron"]["hazard"] if hazard is None else hazard
    place, edges = ranks(risk)
    grid = grid or exact_grid(DAYS, data.time, risk_edges=edges)
    summed = scores.performance_sums(
        scores.Predicted(
            risk=risk,
            binned=place,
            survival=np.exp(-np.exp(risk)[:, None] * hazard),
            own=np.exp(-np.exp(risk) * hazard[1] / 365 * data.time),
            own_event=data.event,
        ),
        time_days=data.time,
        event=data.event,
        strata=data.inst,
        weights=bootstrap_weights([str(i) for i in range(226)], replicates=replicates, seed=1),
        grid=grid,
    )
    return dict(summed), grid


def judged_brca(name: str, *, until: float = np.inf) -> tuple[dict[str, Any], Grid, np.ndarray]:
    """Sum what the test fold says of R's ridge fit; and count the training fold by time.

    Args:
        name: `brca_pooled` or `brca_stratified`.
        until: Only subjects with a shorter follow-up.
    """
    data = brca()
    test = ~data.train & (data.time < until)
    risk = np.round(data.x[test] @ reference()[name]["beta"], 12)
    place, edges = ranks(risk)
    grid = exact_grid(YEARS, data.time, np.array([3652.5]), risk_edges=edges)
    survival = np.exp(-np.exp(risk)[:, None] * BRCA_HAZARD)
    summed = scores.performance_sums(
        scores.Predicted(
            risk=risk,
            binned=place,
            survival=survival,
            own=survival[:, 0],
            own_event=data.event[test],
        ),
        time_days=data.time[test],
        event=data.event[test],
        strata=data.region[test],
        weights=np.ones((1, len(risk))),
        grid=grid,
    )
    fitted = event_table(data.time[data.train], data.event[data.train], grid.time_edges_days)
    return dict(summed), grid, fitted
