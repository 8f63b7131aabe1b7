"""Do hazard ratios stay the same over time? The score test of Grambsch and Therneau, as sums.

A coefficient that changes with g(t) adds covariates x g(t) to the model; their score and
information at the fitted beta are sums over events,

    U = sum_j g_j sum_l (x - m)     I12 = sum_j g_j V_j     I22 = sum_j g_j^2 V_j

with V_j the information of time j. Centring g on the events changes them by the gradient and the
information of the fit, so that it can be done after summing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.survival.cox import outer, pack, relative_hazard, require_ties, unpack
from fedpet.survival.kaplan_meier import survival
from fedpet.survival.risk_sets import (
    Steps,
    Subjects,
    curvature,
    event_steps,
    risk_sums,
    strata_of,
)

Floats = NDArray[np.float64]
Transform = Literal["identity", "log", "km", "rank"]
TRANSFORMS: tuple[Transform, ...] = get_args(Transform)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProportionalHazards:
    """Tests of constant hazard ratios, each covariate and all together.

    Args:
        transform: g(t).
        covariates: Names.
        chi_square: Statistic of each covariate, one degree of freedom, [p].
        p_value: [p].
        global_chi_square: All covariates at once, p degrees of freedom.
        global_p_value: Its p-value.
    """

    transform: Transform
    covariates: tuple[str, ...]
    chi_square: Floats
    p_value: Floats
    global_chi_square: float
    global_p_value: float


def require_transform(name: str) -> None:
    """Refuse an unknown transform of time.

    Raises:
        DataError: If so.
    """
    if name not in TRANSFORMS:
        raise DataError(f"Time cannot be taken as '{name}'; expected {', '.join(TRANSFORMS)}.")


def of_times(transform: str, time: Floats) -> Floats:
    """Return g at given times, identity or logarithm.

    Raises:
        DataError: If a time to be taken as a logarithm is not above 0.
    """
    if transform == "identity":
        return time
    if (time <= 0).any():
        raise DataError(
            "An event at time 0 has no logarithm of time.", do="Use identity, km or rank."
        )
    return np.log(time)


def of_cells(transform: str, counts: Floats, edges: Floats) -> Floats:
    """Return g in each cell of a grid, from all sites' counts.

    Args:
        transform: One of `TRANSFORMS`.
        counts: As in `kaplan_meier.curve`, [2 or 3, T].
        edges: [T]; a cell stands for its end, the last one for its start.

    Source:
        R's `cox.zph`: km is 1 - S(t-), rank the mean rank of a time among all subjects.
    """
    require_transform(transform)
    if transform == "km":
        return 1.0 - np.concatenate([[1.0], survival(counts)[:-1]])
    if transform == "rank":
        left = counts[:2].sum(axis=0)
        ranks: Floats = np.cumsum(left) - left + (left + 1) / 2
        return ranks
    ends = np.append(edges[1:], edges[-1])
    if transform == "log" and not (ends[counts[1] > 0] > 0).all():
        return of_times("log", ends[counts[1] > 0])
    return ends if transform == "identity" else np.log(np.maximum(ends, 1e-300))


def site_part(
    group: Subjects, hazard: Floats, times: Floats, hazard_at: Floats, tied_at: Floats, g: Floats
) -> dict[str, Floats]:
    """Return what the subjects of one stratum, or one site, add to U, I12 and I22.

    Args:
        group: The subjects.
        hazard: w times the case weight, [n].
        times: [m].
        hazard_at: Increment of the baseline hazard at each time, [m].
        tied_at: What those who die at a time are spared of it, [m].
        g: [m], not centred.
    """
    own = g[np.searchsorted(times, group.time[group.event])]
    curved = {
        name: pack(curvature(group, hazard, times, factor * hazard_at, factor * tied_at))
        for name, factor in (("i12", g), ("i22", g**2))
    }
    return {
        "score": (group.case[group.event] * own) @ group.x[group.event],
        "g": np.array([own.sum()]),
        "events": np.array([float(len(own))]),
        **curved,
    }


def less_means(parts: Mapping[str, Floats], steps: Steps, g: Floats) -> dict[str, Floats]:
    """Return U, I12 and I22 from the sum of `site_part` over those who share a baseline."""
    each = g[steps.time_index]
    return {
        **parts,
        "score": parts["score"] - (steps.scale * each) @ steps.mean,
        "i12": parts["i12"] - pack(outer(steps, steps.scale * each)),
        "i22": parts["i22"] - pack(outer(steps, steps.scale * each**2)),
    }


def stratified_sums(
    x: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    beta: Floats,
    g_event: Floats,
    *,
    strata: NDArray[np.int64] | None = None,
    ties: str = "efron",
    entry: Floats | None = None,
) -> dict[str, Floats]:
    """Return a site's sums of the test, each stratum with its own risk sets.

    Args:
        x: [n, p].
        time: [n].
        event: [n].
        beta: The fitted coefficients, [p].
        g_event: g at each subject's time, [n]; equal times have equal values.
        strata: [n].
        ties: `efron` or `breslow`.
        entry: [n], or None.
    """
    require_ties(ties)
    p = x.shape[1]
    triangle = p * (p + 1) // 2
    total = {"score": np.zeros(p), "g": np.zeros(1), "events": np.zeros(1)}
    total |= {"i12": np.zeros(triangle), "i22": np.zeros(triangle)}
    lined_up = np.column_stack([x, g_event])
    for both in strata_of(lined_up, time, event, strata=strata, entry=entry):
        if not both.event.any():
            continue
        group = Subjects(
            x=both.x[:, :-1], time=both.time, event=both.event, case=both.case, entry=both.entry
        )
        hazard, _ = relative_hazard(group, beta)
        times, first = np.unique(both.time[both.event], return_index=True)
        steps = event_steps(risk_sums(group, hazard, times), efron=ties == "efron")
        g = both.x[both.event, -1][first]
        parts = site_part(group, hazard, times, steps.hazard, steps.tied_hazard, g)
        for name, array in less_means(parts, steps, g).items():
            total[name] = total[name] + array
    return total


def proportional_hazards(
    summed: Mapping[str, Floats],
    *,
    transform: Transform,
    covariates: tuple[str, ...],
    gradient: Floats,
    information: Floats,
    penalty: Floats,
) -> ProportionalHazards:
    """Centre the summed score on the events, and test.

    Args:
        summed: `score`, `g`, `events`, `i12` and `i22` over all sites.
        transform: g(t).
        covariates: Names.
        gradient: Of the log-likelihood at the fit, [p]; not zero if a ridge holds it.
        information: Of the fit, without the penalty, [p, p].
        penalty: theta of each covariate, [p].

    Source:
        Grambsch & Therneau 1994; the score test as in R's `cox.zph` of survival 3, which adds the
        second derivative of a penalty to both blocks.
    """
    from scipy.special import chdtrc

    p = len(covariates)
    center = float(summed["g"].sum() / summed["events"].sum())
    i12, i22 = unpack(summed["i12"]), unpack(summed["i22"])
    score = summed["score"] - center * gradient
    crossed = i12 - center * information
    own = i22 - 2 * center * i12 + center**2 * information
    ridge = np.diag(penalty)
    whole = np.block([[information + ridge, crossed], [crossed.T, own + ridge]])
    statistics = []
    for chosen in ([index] for index in range(p)):
        statistics.append(_statistic(whole, score, chosen))
    together = _statistic(whole, score, list(range(p)))
    chi_square = np.array(statistics)
    return ProportionalHazards(
        transform=transform,
        covariates=covariates,
        chi_square=chi_square,
        p_value=np.asarray(chdtrc(1, chi_square), np.float64),
        global_chi_square=together,
        global_p_value=float(chdtrc(p, together)),
    )


def _statistic(whole: Floats, score: Floats, chosen: list[int]) -> float:
    p = len(score)
    index = np.array([*range(p), *(p + one for one in chosen)])
    u = np.concatenate([np.zeros(p), score[chosen]])
    block = whole[np.ix_(index, index)]
    scale = np.sqrt(np.clip(np.diag(block), 1e-300, None))
    inner = np.linalg.lstsq(block / np.outer(scale, scale), u / scale, rcond=None)[0]
    return float(u @ (inner / scale))
