"""One baseline hazard for all sites, in two phases: no site sends anything of size times x p x p.

Phase 1: every site adds up its risk sets at the agreed times. The server forms phi, the means and
the likelihood from the totals and gives back, for each time, the increment of the hazard and the
part of it that those who die there are spared. Phase 2: every site adds up one p x p matrix over
its own subjects. A site sends m (1 + p) numbers for the times with events, as many again for the
times with tied events, and p (p + 1) / 2; sums over a single death, which would be that subject's
row, are never sent because Efron's first step does not need them.

Times are cells of a grid. Within a cell events come before censorings, and whoever enters in a
cell is at risk in it; on a grid as fine as the data this is the textbook estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival.cox import CoxSums, outer, pack, unpack
from fedpet.survival.kaplan_meier import cell_of, entry_cell_of
from fedpet.survival.risk_sets import (
    RiskSums,
    Steps,
    Subjects,
    curvature,
    event_steps,
    require_usable,
    risk_sums,
)

Floats = NDArray[np.float64]
# exp(14) is a million: sums of hazards beyond it leave the range of a masked sum. A trial step
# that goes there is not evaluated but halved.
LOG_HAZARD_MAX = 14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Events of all sites on a grid.

    Args:
        deaths: Events in each cell, [T].
        event_x: Sum of the covariates of the subjects with events, [p].
        subjects: Number of subjects.
    """

    deaths: Floats
    event_x: Floats
    subjects: float

    @property
    def used(self) -> Floats:
        """Numbers of the cells with events, [m]."""
        return np.flatnonzero(self.deaths > 0).astype(np.float64)

    @property
    def tied(self) -> NDArray[np.bool_]:
        """Which of those cells hold several events, [m]."""
        held: NDArray[np.bool_] = self.deaths[self.deaths > 0] > 1
        return held


def on_cells(
    x: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    edges: Floats,
    *,
    entry: Floats | None = None,
) -> Subjects:
    """Return a site's subjects with cells of the grid in place of times.

    Args:
        x: [n, p].
        time: [n].
        event: [n].
        edges: [T], as in `kaplan_meier.event_table`; the last cell has no end.
        entry: [n], or None.

    Raises:
        DataError: If values are not finite, or a subject entered after it left.
    """
    require_usable(x, time, entry=entry)
    return Subjects(
        x=x,
        time=cell_of(time, edges).astype(np.float64),
        event=event,
        case=np.ones(len(x)),
        entry=None if entry is None else entry_cell_of(entry, edges).astype(np.float64) - 0.5,
    )


def cell_sums(group: Subjects, cells: int) -> dict[str, Floats]:
    """Count a site's events in each cell and sum their covariates, once for a whole fit."""
    which = group.time[group.event].astype(np.int64)
    return {
        "deaths": np.bincount(which, minlength=cells).astype(np.float64),
        "event_x": group.x[group.event].sum(axis=0),
        "subjects": np.array([float(len(group.x))]),
    }


def cells_of(summed: Mapping[str, Floats]) -> Cells:
    """Read the total of `cell_sums`."""
    return Cells(
        deaths=np.rint(summed["deaths"]),
        event_x=summed["event_x"],
        subjects=float(summed["subjects"].sum()),
    )


def risk_arrays(
    group: Subjects, beta: Floats, used: Floats, tied: NDArray[np.bool_]
) -> dict[str, Floats]:
    """Phase 1: add up a site's risk sets in the used cells, and its deaths in the tied ones.

    Args:
        group: From `on_cells`.
        beta: [p].
        used: Cells with events, [m].
        tied: Which of them hold several events over all sites, [m].

    Returns:
        `risk` [m, 1 + p], `dead` [tied, 1 + p], and `beyond`: how many subjects have a linear
        predictor that may not be summed; then all sums are zero.
    """
    log_hazard = group.x @ beta
    beyond = log_hazard > LOG_HAZARD_MAX
    hazard = np.where(beyond.any(), 0.0, np.exp(np.minimum(log_hazard, LOG_HAZARD_MAX)))
    sums = risk_sums(group, hazard, used)
    return {
        "risk": np.column_stack([sums.risk0, sums.risk1]),
        "dead": np.column_stack([sums.dead0, sums.dead1])[tied],
        "beyond": np.array([float(beyond.sum())]),
    }


def steps_of(cells: Cells, summed: Mapping[str, Floats], *, efron: bool) -> Steps | None:
    """Form the steps from the totals of phase 1; None if beta lies where sums may not go."""
    if summed["beyond"].sum() > 0:
        return None
    risk, deaths = summed["risk"], cells.deaths[cells.deaths > 0]
    dead = risk.copy()  # a lone death's own sum is multiplied by alpha = 0
    dead[cells.tied] = summed["dead"]
    return event_steps(
        RiskSums(
            deaths=deaths,
            weight=deaths,
            risk0=risk[:, 0],
            risk1=risk[:, 1:],
            dead0=dead[:, 0],
            dead1=dead[:, 1:],
        ),
        efron=efron,
    )


def curvature_arrays(
    group: Subjects,
    beta: Floats,
    used: Floats,
    hazard_at: Floats,
    tied_at: Floats,
) -> dict[str, Floats]:
    """Phase 2: add up a site's p x p matrix, given the increments at each used cell."""
    hazard = np.exp(np.minimum(group.x @ beta, LOG_HAZARD_MAX))
    return {"curvature": pack(curvature(group, hazard, used, hazard_at, tied_at))}


def unreachable(cells: Cells) -> CoxSums:
    """Return sums that make a trial step be halved."""
    p = len(cells.event_x)
    return CoxSums(
        log_likelihood=-np.inf,
        gradient=np.zeros(p),
        information=np.zeros((p, p)),
        subjects=cells.subjects,
        events=float(cells.deaths.sum()),
    )


def sums_of(cells: Cells, beta: Floats, steps: Steps, curved: Mapping[str, Floats]) -> CoxSums:
    """Return log-likelihood, gradient and information from the totals of both phases."""
    return CoxSums(
        log_likelihood=float(cells.event_x @ beta - steps.scale @ np.log(steps.phi)),
        gradient=cells.event_x - steps.scale @ steps.mean,
        information=unpack(curved["curvature"]) - outer(steps, steps.scale),
        subjects=cells.subjects,
        events=float(cells.deaths.sum()),
    )


def baseline_hazard(cells: Cells, steps: Steps) -> Floats:
    """Return the cumulative baseline hazard at the end of each cell, [T].

    Source:
        Breslow 1974; with Efron's steps as in R's `basehaz` of an Efron model.
    """
    increments = np.zeros(len(cells.deaths))
    increments[cells.deaths > 0] = steps.hazard
    cumulative: Floats = np.cumsum(increments)
    return cumulative
