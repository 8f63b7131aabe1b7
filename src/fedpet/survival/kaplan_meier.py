"""Survival curves and their comparison, from counts on a grid of times.

Counts are [..., 2, T]: subjects censored (0) and with the event (1) in each interval of time. At
ties events come before censorings. On a grid as fine as the data this is the textbook estimate;
on a coarser one events and censorings of an interval count as ties at its end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A survival curve on a grid, from time 0.

    Args:
        survival: [T + 1], 1 at time 0.
        low: [T + 1], lower 95 % limit (log-log).
        high: [T + 1], upper 95 % limit.
        at_risk: [T + 1], subjects under observation just after each time.
    """

    survival: Floats
    low: Floats
    high: Floats
    at_risk: Floats


def event_table(time: Floats, event: NDArray[np.bool_], edges: Floats) -> Floats:
    """Count a site's censorings and events by interval, [2, T + 1]; the last has no end.

    Args:
        time: Follow-up, [n].
        event: Whether the event was seen, [n].
        edges: Interval edges from 0, [T + 1]; an interval includes its end.
    """
    which = np.clip(np.searchsorted(edges, time, side="left") - 1, 0, None)
    return np.stack([np.bincount(which[event == e], minlength=len(edges)) for e in (False, True)]
                    ).astype(np.float64)  # fmt: skip


def at_risk(counts: Floats) -> Floats:
    """Return subjects under observation at the start of each interval, [..., T]."""
    both = counts.sum(axis=-2)
    reverse: Floats = np.cumsum(both[..., ::-1], axis=-1)[..., ::-1]
    return reverse


def survival(counts: Floats) -> Floats:
    """Return the Kaplan-Meier estimate at the end of each interval, [..., T].

    Source:
        Kaplan & Meier 1958.
    """
    remaining = at_risk(counts)
    died = np.divide(
        counts[..., 1, :], remaining, out=np.zeros_like(remaining), where=remaining > 0
    )
    estimate: Floats = np.cumprod(1 - died, axis=-1)
    return estimate


def curve(counts: Floats) -> Curve:
    """Return one curve with Greenwood's variance and log-log limits.

    Args:
        counts: [2, T].

    Source:
        Greenwood 1926; log-log limits: Kalbfleisch & Prentice 1980.

    Examples:
        >>> curve(np.array([[0.0, 1.0], [1.0, 0.0]])).survival.tolist()
        [1.0, 0.5, 0.5]
    """
    estimate = survival(counts)
    remaining = at_risk(counts)
    events = counts[1]
    spread = np.divide(
        events,
        remaining * (remaining - events),
        out=np.zeros_like(events),
        where=remaining > events,
    )
    inside = (estimate > 0) & (estimate < 1)
    logarithm = np.log(np.where(inside, estimate, 0.5))
    width = 1.959963984540054 * np.sqrt(np.cumsum(spread)) / np.abs(logarithm)
    low = np.where(inside, np.exp(logarithm * np.exp(width)), estimate)
    high = np.where(inside, np.exp(logarithm * np.exp(-width)), estimate)
    after = np.append(remaining[1:], 0.0)
    return Curve(
        survival=np.concatenate([[1.0], estimate]),
        low=np.concatenate([[1.0], low]),
        high=np.concatenate([[1.0], high]),
        at_risk=np.concatenate([[remaining[0]], after]),
    )


def log_rank(counts: Floats) -> tuple[float, float]:
    """Compare groups by the log-rank test.

    Args:
        counts: [groups, 2, T].

    Returns:
        The chi-square statistic with groups - 1 degrees of freedom, and its p-value; NaN if fewer
        than two groups are ever at risk together.

    Source:
        Mantel 1966; Peto & Peto 1972.
    """
    from scipy.stats import chi2

    each = at_risk(counts)
    together, events = each.sum(axis=0), counts[:, 1].sum(axis=0)
    used = together > 1
    share = each[:, used] / together[used]
    died, remaining = events[used], together[used]
    expected = share @ died
    factor = died * (remaining - died) / (remaining - 1)
    covariance = np.diag(share @ factor) - (share * factor) @ share.T
    difference = (counts[:, 1].sum(axis=1) - expected)[:-1]
    if len(difference) == 0 or np.linalg.matrix_rank(covariance[:-1, :-1]) < len(difference):
        return float("nan"), float("nan")
    statistic = float(difference @ np.linalg.solve(covariance[:-1, :-1], difference))
    return statistic, float(chi2.sf(statistic, len(difference)))
