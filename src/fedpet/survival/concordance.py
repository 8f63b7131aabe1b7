"""Concordance: of two subjects whose order is known, does the one with the higher risk fail first?

Within hospitals the pairs are counted at the site and the sums are exact. Across hospitals pairs
come from a joint histogram of event, time and risk; pairs of one risk bin count half, so that the
error is at most half the share of such pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedpet.survival.bootstrap import Estimate, Measured, ratio
from fedpet.survival.censoring import Censoring

Floats = NDArray[np.float64]
Z95 = 1.959963984540054


def pair_sums(
    risk: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    strata: NDArray[np.int64],
    weights: Floats,
) -> Floats:
    """Count concordant, tied and comparable pairs within strata, [R + 1, 3].

    The arguments are those of `scores.performance_sums`.
    """
    total = np.zeros((len(weights), 3))
    for code in np.unique(strata):
        rows = strata == code
        w = weights[:, rows]
        first = w[:, event[rows]].astype(np.float32)  # small whole numbers, and so are their sums
        for column, chosen in enumerate(_pairs(risk[rows], time[rows], event[rows])):
            total[:, column] += ((first @ chosen[event[rows]].astype(np.float32)) * w).sum(axis=1)
    return total


def influence_sums(
    risk: Floats, time: Floats, event: NDArray[np.bool_], strata: NDArray[np.int64]
) -> Floats:
    """Sum what the variance of the C-index within strata needs, [3].

    With a_i the concordant pairs of subject i (ties half) and n_i its comparable pairs: the sums
    of a_i squared, of a_i n_i and of n_i squared.
    """
    total = np.zeros(3)
    for code in np.unique(strata):
        rows = strata == code
        concordant, tied, comparable = _pairs(risk[rows], time[rows], event[rows])
        agree = concordant + tied / 2
        a, n = (pairs.sum(axis=0) + pairs.sum(axis=1) for pairs in (agree, comparable))
        total += [(a * a).sum(), (a * n).sum(), (n * n).sum()]
    return total


def concordance_within(pairs: Floats) -> Measured:
    """Turn summed pairs, [R + 1, 3], into the C-index within hospitals."""
    concordant, tied, comparable = pairs.T
    return Measured(replicates=ratio(concordant + tied / 2, comparable))


def concordance_error(pairs: Floats, influence: Floats) -> float | None:
    """Return the standard error of the C-index within hospitals, from `influence_sums`.

    Returns:
        None without a comparable pair.

    Source:
        Infinitesimal jackknife, as R's `survival::concordance`.
    """
    concordant, tied, comparable = pairs
    if not comparable > 0:
        return None
    value = (concordant + tied / 2) / comparable
    squares = influence[0] - 2 * value * influence[1] + value**2 * influence[2]
    return float(np.sqrt(max(squares, 0.0)) / comparable)


def with_error(value: float, error: float | None) -> Estimate:
    """Return a share with 95 % limits from its standard error on the logit scale."""
    if error is None or not 0 < value < 1 or not error > 0:
        return Estimate(value=value, low=None, high=None)
    centre, width = np.log(value / (1 - value)), Z95 * error / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-np.array([centre - width, centre + width])))
    return Estimate(value=value, low=float(low), high=float(high))


def concordance_global(joint: Floats) -> Floats:
    """Return the C-index of all pairs, [R + 1], from the joint histogram [R + 1, 2, T, K].

    Source:
        Harrell 1982.
    """
    events = joint[:, 1]
    agree, comparable = _by_time(joint)
    return ratio(agree.sum(axis=1), (events * comparable[:, :, None]).sum(axis=(1, 2)))


def concordance_uno(joint: Floats, weights: Censoring, *, edge: int) -> Floats:
    """Return Uno's C-index up to a time, [R + 1]: pairs weighted with 1/G squared.

    Args:
        joint: [R + 1, 2, T, K].
        weights: G, from the judged subjects or from those that the model was fitted to.
        edge: Number of time bins up to tau; events behind it do not count.

    Returns:
        NaN where an event before tau has no weight because G is 0 there.

    Source:
        Uno et al. 2011.
    """
    events = joint[:, 1, :edge].sum(axis=2)
    agree, comparable = _by_time(joint)
    weight = weights.event_weights()[:, :edge] ** 2
    found = ratio(
        (weight * agree[:, :edge]).sum(axis=1), (weight * events * comparable[:, :edge]).sum(axis=1)
    )
    lost = ((events * comparable[:, :edge] > 0) & (weight == 0)).any(axis=1)
    return np.where(lost, np.nan, found)


def _by_time(joint: Floats) -> tuple[Floats, Floats]:
    """Return concordant pairs by the event's time bin, and subjects that outlive it, [R + 1, T]."""
    censored, events = joint[:, 0], joint[:, 1]
    both = censored + events
    later = np.cumsum(both[:, ::-1], axis=1)[:, ::-1] - both + censored
    lower = np.cumsum(later, axis=2) - later
    agree: Floats = (events * (lower + later / 2)).sum(axis=2)
    outlive: Floats = later.sum(axis=2)
    return agree, outlive


def _pairs(
    r: Floats, t: Floats, e: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pairs [i, j], event of i first, are concordant, tied, comparable."""
    later = (t[:, None] < t) | ((t[:, None] == t) & ~e)
    comparable = e[:, None] & later
    np.fill_diagonal(comparable, val=False)
    return comparable & (r[:, None] > r), comparable & (r[:, None] == r), comparable
