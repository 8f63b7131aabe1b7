"""Score residuals of the Cox model and what they add up to: robust standard errors.

A subject's score residual is its own part of the gradient,

    U_i = d_i (x_i - mean m at t_i) - w_i sum_j sum_l (1 - alpha d_ij) (x_i - m_jl) / phi_jl

over the times j at which i is at risk. Sums of outer products of residuals, summed within
clusters first, are the middle of the sandwich.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpet.survival.cox import pack, relative_hazard, require_ties, unpack
from fedpet.survival.risk_sets import Steps, Subjects, event_steps, exposure, risk_sums, strata_of

Floats = NDArray[np.float64]
Cluster = Literal["site", "subject"]


def score_pieces(steps: Steps) -> dict[str, Floats]:
    """Return what sites need to know of the steps: one row for each of m times.

    Returns:
        `hazard` and `tied_hazard` [m]; `mean_hazard`, `tied_mean_hazard` and `event_mean` [m, p].
    """
    weight = steps.scale / steps.phi
    deaths = steps.per_time(np.ones(len(steps.phi)))
    return {
        "hazard": steps.hazard,
        "tied_hazard": steps.tied_hazard,
        "mean_hazard": steps.per_time(steps.mean * weight[:, None]),
        "tied_mean_hazard": steps.per_time(steps.mean * (weight * steps.alpha)[:, None]),
        "event_mean": steps.per_time(steps.mean) / np.maximum(deaths, 1.0)[:, None],
    }


def score_residuals(
    group: Subjects, hazard: Floats, times: Floats, pieces: dict[str, Floats]
) -> Floats:
    """Return each subject's score residual, [n, p]; they add up to the gradient.

    Args:
        group: The subjects of one stratum.
        hazard: w times the case weight, [n], on the scale of `pieces`.
        times: [m].
        pieces: From `score_pieces`.
    """
    faced = exposure(group, times, pieces["hazard"], pieces["tied_hazard"])
    mean = exposure(group, times, pieces["mean_hazard"], pieces["tied_mean_hazard"])
    residuals: Floats = -hazard[:, None] * (group.x * faced[:, None] - mean)
    which = np.searchsorted(times, group.time[group.event])
    own = group.x[group.event] - pieces["event_mean"][which]
    residuals[group.event] += group.case[group.event, None] * own
    return residuals


def stratified_residuals(
    x: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    beta: Floats,
    *,
    strata: NDArray[np.int64] | None = None,
    ties: str = "efron",
    entry: Floats | None = None,
) -> list[Floats]:
    """Return the score residuals of each stratum with events, [n of the stratum, p] each.

    Args:
        x: [n, p].
        time: [n].
        event: [n].
        beta: [p].
        strata: Integer code of each subject's stratum, [n].
        ties: `efron` or `breslow`.
        entry: [n], or None.
    """
    require_ties(ties)
    found = []
    for group in strata_of(x, time, event, strata=strata, entry=entry):
        if group.event.any():
            hazard, _ = relative_hazard(group, beta)
            times = group.event_times()
            steps = event_steps(risk_sums(group, hazard, times), efron=ties == "efron")
            found.append(score_residuals(group, hazard, times, score_pieces(steps)))
    return found


def meat(residuals: list[Floats], *, cluster: Cluster, p: int) -> dict[str, Floats]:
    """Sum outer products of score residuals, those of a cluster added first.

    Args:
        residuals: Of each stratum; a stratum is a site.
        cluster: Whose residuals are added before the product.
        p: Number of covariates.
    """
    total = np.zeros((p, p))
    for one in residuals:
        rows = one if cluster == "subject" else one.sum(axis=0, keepdims=True)
        total += rows.T @ rows
    return {"meat": pack(total)}


def sandwich(variance: Floats, summed: Floats) -> Floats:
    """Return the robust variance H^-1 (sum of U U') H^-1, [p, p].

    Args:
        variance: H^-1, [p, p].
        summed: `meat`, packed.

    Source:
        Lin & Wei 1989; with clusters as in R's `coxph(cluster=)`, without a correction for few.
    """
    product: Floats = variance @ unpack(summed) @ variance
    return product
