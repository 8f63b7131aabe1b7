"""A baseline hazard for any linear predictor, from two numbers per interval."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def exposure_sums(
    log_hazard: Floats,
    time_days: Floats,
    event: NDArray[np.bool_],
    edges_days: Floats,
    *,
    entry_days: Floats | None = None,
) -> dict[str, Floats]:
    """Sum a site's events and risk-weighted days under observation, interval by interval.

    Args:
        log_hazard: Linear predictor of each subject, [n].
        time_days: Follow-up, [n].
        event: Whether the event was seen, [n].
        edges_days: Interval edges from 0, [K + 1]; the last interval has no end.
        entry_days: Time at which a subject comes under observation, [n], or None.

    Returns:
        `events` and `exposure`, each [K + 1]: for every interval and for the time behind the
        last edge.

    Examples:
        >>> sums = exposure_sums(np.zeros(2), np.array([5.0, 15.0]), np.array([True, False]),
        ...                      np.array([0.0, 10.0]))
        >>> sums["events"].tolist(), sums["exposure"].tolist()
        ([1.0, 0.0], [15.0, 5.0])
    """
    starts = edges_days
    ends = np.append(edges_days[1:], np.inf)
    begin = starts if entry_days is None else np.maximum(entry_days[:, None], starts)
    days = np.clip(np.minimum(time_days[:, None], ends) - begin, 0.0, None)
    which = np.clip(np.searchsorted(edges_days, time_days, side="left") - 1, 0, None)
    return {
        "events": np.bincount(which[event], minlength=len(starts)).astype(np.float64),
        "exposure": np.exp(log_hazard) @ days,
    }


def piecewise_hazard(summed: Mapping[str, Floats]) -> Floats:
    """Return the baseline hazard per day of each interval: events over exposure, 0 without any.

    Source:
        Maximum likelihood of the piecewise-exponential model (Holford 1980; Laird & Olivier 1981)
        given the linear predictor.
    """
    exposure = summed["exposure"]
    return np.divide(summed["events"], exposure, out=np.zeros_like(exposure), where=exposure > 0)


def survival_at(
    log_hazard: Floats, hazard: Floats, edges_days: Floats, times_days: Floats
) -> Floats:
    """Return each subject's survival probability at the given times, [n, times].

    Examples:
        >>> survival_at(np.zeros(1), np.array([0.1]), np.array([0.0]), np.array([10.0])).round(3)
        array([[0.368]])
    """
    ends = np.append(edges_days[1:], np.inf)
    days = np.clip(np.minimum(times_days[:, None], ends) - edges_days, 0.0, None)
    cumulative = days @ hazard
    probability: Floats = np.exp(-np.exp(log_hazard)[:, None] * cumulative)
    return probability
