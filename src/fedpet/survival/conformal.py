"""Until when is a subject event-free, with nine in ten certainty? A bound that holds on average.

A model says by when an event has happened with probability tau: the quantile q(tau). How often
subjects fail before it is counted on subjects that the model was not fitted to, and the largest tau
is kept whose failures stay below the allowed share. The counts are sums by time and level, so that
they federate.

What holds: for a new subject that is exchangeable with those counted, where censoring tells
nothing of the outcome and G is known, the chance to fail before the bound is at most `alpha`, also
if the model is wrong. It holds on average over subjects, not for each kind of subject. Where the
counted subjects were judged by models of several folds and the bound is taken from another model
of the same procedure, it holds as far as these models agree.

Source:
    Conformal risk control: Angelopoulos et al. 2024, theorem 1, with the loss 1/G of a failure
    before the bound; weighting with 1/G for right-censored survival: Davidov et al. 2025. Lower
    bounds for survival times: Candes, Lei & Ren 2023.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedpet.survival.censoring import censoring

Floats = NDArray[np.float64]
LEVELS = 200


def level_sums(
    survival_own: Floats,
    *,
    time_days: Floats,
    event: NDArray[np.bool_],
    event_predicted: NDArray[np.bool_],
    edges_days: Floats,
) -> dict[str, Floats]:
    """Count a site's subjects by time, and its failures by time and predicted level.

    Args:
        survival_own: Predicted probability of being event-free at each subject's own time, [n].
        time_days: Follow-up, [n].
        event: Whether the event was seen, [n].
        event_predicted: Whether it was seen within what the model predicts, [n].
        edges_days: T time edges from 0; behind the last a bin of its own.

    Returns:
        `counts` [2, T], censored and with the event by time bin; `failed` [T, LEVELS], events by
        time bin and by the level 1 - `survival_own` that they failed at.
    """
    times = len(edges_days)
    bins = np.clip(np.searchsorted(edges_days, time_days, side="left") - 1, 0, None)
    counts, failed = np.zeros((2, times)), np.zeros((times, LEVELS))
    np.add.at(counts, (event.astype(np.int64), bins), 1.0)
    level = np.clip(((1 - survival_own) * LEVELS).astype(np.int64), 0, LEVELS - 1)
    np.add.at(failed, (bins[event_predicted], level[event_predicted]), 1.0)
    return {"counts": counts, "failed": failed}


def failures(summed: Mapping[str, Floats]) -> Floats:
    """Return what share of new subjects fails before q(tau), at most, [LEVELS + 1].

    Entry k belongs to tau = k / LEVELS. One unseen subject of the largest weight counts as failed,
    which makes the bound hold for finite numbers.

    Args:
        summed: `level_sums` over all sites.

    Examples:
        >>> counts, failed = np.array([[0.0, 50.0], [49.0, 0.0]]), np.zeros((2, LEVELS))
        >>> failed[0, 19] = 49
        >>> failures({"counts": counts, "failed": failed})[[0, 19, 20]].tolist()
        [0.01, 0.01, 0.5]
    """
    weights = censoring(summed["counts"][None]).event_weights()[0]
    lost = np.concatenate([[0.0], np.cumsum(weights @ summed["failed"])])
    seen = weights[summed["failed"].sum(axis=1) > 0]
    heaviest = float(seen.max()) if len(seen) else 1.0
    share: Floats = (lost + heaviest) / (summed["counts"].sum() + 1)
    return share


def level_of(share: Floats, *, alpha: float) -> float:
    """Return the largest tau whose failures, and those of all smaller ones, are at most alpha.

    Args:
        share: From `failures`.
        alpha: Allowed share, such as 0.1.

    Returns:
        0 if there is none: then nothing can be promised.

    Examples:
        >>> level_of(np.linspace(0.0, 1.0, LEVELS + 1), alpha=0.1)
        0.1
    """
    kept = share <= alpha + 1e-12
    last = int(np.argmin(kept)) - 1 if not kept.all() else LEVELS
    return max(last, 0) / LEVELS


def bound_days(survival: Floats, edges_days: Floats, *, level: float) -> Floats:
    """Return when each subject's predicted probability of the event reaches a level, [n] in days.

    Args:
        survival: At the end of each interval, [n, K]; log survival is linear in between.
        edges_days: [K + 1].
        level: tau.

    Returns:
        Days; the last edge for those who do not reach it.

    Examples:
        >>> bound_days(np.array([[0.8, 0.5]]), np.array([0.0, 10.0, 20.0]), level=0.2).round(6)
        array([10.])
    """
    ones = np.ones((len(survival), 1))
    hazard = -np.log(np.maximum(np.concatenate([ones, survival], axis=1), 1e-300))
    wanted = -np.log1p(-min(level, 1 - 1e-12))
    return np.array([_reached(row, edges_days, wanted) for row in hazard])


def _reached(hazard: Floats, edges: Floats, wanted: float) -> float:
    place = int(np.searchsorted(hazard, wanted, side="left"))
    if place == 0:
        return float(edges[0])
    if place == len(hazard):
        return float(edges[-1])
    low, high = hazard[place - 1], hazard[place]
    return float(
        edges[place - 1] + (wanted - low) / (high - low) * (edges[place] - edges[place - 1])
    )
