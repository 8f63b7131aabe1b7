"""The best cutpoint of a biomarker, and how much of its effect is owed to choosing it.

For every candidate the groups below and above are compared by the log-rank test, stratified by
site: a site adds observed minus expected events and their variance, two numbers. The largest of
many statistics is large by chance; its p-value is corrected for that, and its hazard ratio by the
bootstrap: the cutpoint is chosen anew in every replicate, and what its effect loses outside of the
replicate is taken off.

Source:
    Maximally selected statistics: Miller & Siegmund 1982; Lausen & Schumacher 1992. One-step
    log hazard ratio (O - E) / V: Peto; Berry, Kitchin & Mock 1991. Optimism by the bootstrap:
    Harrell, Lee & Mark 1996; bias of chosen cutpoints: Altman, Lausen, Sauerbrei & Schumacher
    1994.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALPHA_Z = 1.959963984540054


def cut_sums(
    value: Floats, time: Floats, event: NDArray[np.bool_], *, cuts: Floats, weights: Floats
) -> dict[str, Floats]:
    """Compare the groups below and from each cut on, with each set of weights.

    Args:
        value: The biomarker, [n].
        time: Follow-up, [n].
        event: Whether the event was seen, [n].
        cuts: Candidates, [c].
        weights: Case weights, whole numbers from 0, [r, n].

    Returns:
        `excess` [r, c], observed minus expected events from the cut on; `variance` [r, c]; `above`
        [c], subjects from the cut on; `subjects` [1].

    Examples:
        >>> sums = cut_sums(np.array([1.0, 2.0]), np.array([5.0, 3.0]), np.array([True, True]),
        ...                 cuts=np.array([2.0]), weights=np.ones((1, 2)))
        >>> sums["excess"].tolist(), sums["variance"].tolist()
        ([[0.5]], [[0.25]])
    """
    order = np.argsort(time, kind="stable")
    high = (value[order, None] >= cuts[None, :]).astype(np.float64)
    found = {
        "excess": np.zeros((len(weights), len(cuts))),
        "variance": np.zeros((len(weights), len(cuts))),
        "above": high.sum(axis=0),
        "subjects": np.array([float(len(value))]),
    }
    if not event.any():
        return found
    starts, died = _blocks(time[order], event[order])
    for row, weight in enumerate(weights[:, order]):
        excess, variance = _log_rank(weight, high, starts, died)
        found["excess"][row], found["variance"][row] = excess, variance
    return found


def _blocks(time: Floats, event: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Floats]:
    """Return where each distinct time of events begins, and who has an event at it, [t, n]."""
    times = np.unique(time[event])
    starts = np.searchsorted(time, times, side="left")
    return starts, ((time[None, :] == times[:, None]) & event[None, :]).astype(np.float64)


def _log_rank(
    weight: Floats, high: Floats, starts: NDArray[np.intp], died: Floats
) -> tuple[Floats, Floats]:
    heavy = weight[:, None] * high
    at_risk = np.cumsum(weight[::-1])[::-1][starts]
    above = np.cumsum(heavy[::-1], axis=0)[::-1][starts]
    deaths, deaths_above = died @ weight, died @ heavy
    share = np.divide(above, at_risk[:, None], out=np.zeros_like(above), where=at_risk[:, None] > 0)
    excess = deaths_above.sum(axis=0) - deaths @ share
    spread = np.divide(
        deaths * (at_risk - deaths), at_risk - 1, out=np.zeros_like(deaths), where=at_risk > 1
    )
    return excess, spread @ (share * (1 - share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutpoint:
    """The cutpoint that parts subjects best, with what it owes to being chosen.

    Args:
        cut: Where; the upper group has this value or more.
        statistic: Its log-rank chi-square.
        p_naive: As if it had been chosen beforehand.
        p_corrected: For the largest of all candidates.
        log_hazard_ratio: As if it had been chosen beforehand, upper against lower group.
        optimism: What the bootstrap takes off its size.
        low: Lower 95 % limit of the corrected log hazard ratio.
        high: Upper limit.
        share_above: Share of subjects in the upper group.
        stability: Share of replicates that chose this candidate or a neighbour.
    """

    cut: float
    statistic: float
    p_naive: float
    p_corrected: float
    log_hazard_ratio: float
    optimism: float
    low: float
    high: float
    share_above: float
    stability: float

    @property
    def corrected(self) -> float:
        """The log hazard ratio with the optimism taken off, never beyond 0."""
        size = max(abs(self.log_hazard_ratio) - self.optimism, 0.0)
        return float(np.sign(self.log_hazard_ratio) * size)


def best_cutpoint(
    excess: Floats, variance: Floats, *, cuts: Floats, above: Floats, subjects: float
) -> Cutpoint | None:
    """Choose the cutpoint from sums over all sites.

    Args:
        excess: [1 + r, c], the first row with all weights 1, then the bootstrap's replicates.
        variance: [1 + r, c].
        cuts: [c].
        above: Subjects from each cut on, [c].
        subjects: All subjects.

    Returns:
        None if no candidate parts the subjects.
    """
    from scipy.special import chdtrc

    usable = variance[0] > 0
    if not usable.any():
        return None
    effects = np.divide(excess, variance, out=np.zeros_like(excess), where=variance > 0)
    squares = np.where(usable, excess * effects, -1.0)
    best = int(np.argmax(squares[0]))
    statistic, effect = float(squares[0, best]), float(effects[0, best])
    chosen = np.argmax(squares[1:], axis=1)
    replicate = np.arange(len(chosen))
    inside, outside = effects[1:][replicate, chosen], effects[0, chosen]
    sign = np.sign(inside)
    optimism = float(np.mean(sign * (inside - outside))) if len(chosen) else 0.0
    shares = above[usable] / subjects
    spread = float(np.std(inside, ddof=1)) if len(chosen) > 1 else 1 / np.sqrt(variance[0, best])
    own = np.sign(effect) * max(abs(effect) - max(optimism, 0.0), 0.0)
    return Cutpoint(
        cut=float(cuts[best]),
        statistic=statistic,
        p_naive=float(chdtrc(1, statistic)),
        p_corrected=largest_p(statistic, low=float(shares.min()), high=float(shares.max())),
        log_hazard_ratio=effect,
        optimism=max(optimism, 0.0),
        low=float(own - ALPHA_Z * spread),
        high=float(own + ALPHA_Z * spread),
        share_above=float(above[best] / subjects),
        stability=float(np.mean(np.abs(chosen - best) <= 1)) if len(chosen) else 1.0,
    )


def largest_p(statistic: float, *, low: float, high: float) -> float:
    """Return the p-value of the largest of many log-rank chi-squares.

    Args:
        statistic: The largest chi-square, 1 degree of freedom each.
        low: Smallest share of subjects in one group among the candidates.
        high: Largest share.

    Source:
        Miller & Siegmund 1982, as in Lausen & Schumacher 1992 and Altman et al. 1994:
        p = phi(z) (z - 1/z) log(h (1 - l) / ((1 - h) l)) + 4 phi(z) / z.

    Examples:
        >>> round(largest_p(3.841459, low=0.1, high=0.9), 3)
        0.492
        >>> round(largest_p(11.0, low=0.1, high=0.9), 3)
        0.024
    """
    from scipy.special import chdtrc

    naive = float(chdtrc(1, statistic))
    z = float(np.sqrt(max(statistic, 0.0)))
    if z <= 1 or not 0 < low < high < 1:
        return naive if low == high else 1.0
    density = float(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    odds = np.log(high * (1 - low) / ((1 - high) * low))
    return float(np.clip(density * (z - 1 / z) * odds + 4 * density / z, naive, 1.0))
