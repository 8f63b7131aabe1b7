"""Survival curves from counts on a grid of times.

Counts are [..., 2, T] or [..., 3, T]: subjects censored (0), with the event (1) and, where some
come under observation late, entered (2) in each cell of time. At ties events come before
censorings, and whoever enters in a cell is at risk in it. On a grid as fine as the data this is
the textbook estimate; on a coarser one events and censorings of a cell count as ties at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError

Floats = NDArray[np.float64]
Limits = Literal["plain", "log", "log-log"]
Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A survival curve on a grid, from time 0.

    Args:
        survival: [T + 1], 1 at time 0.
        low: [T + 1], lower limit.
        high: [T + 1], upper limit.
        at_risk: [T + 1], subjects under observation just after each time.
        se: [T + 1], standard error of `survival` (Greenwood).
        hazard: [T + 1], cumulative hazard (Nelson-Aalen).
        hazard_se: [T + 1], its standard error (Aalen).
    """

    survival: Floats
    low: Floats
    high: Floats
    at_risk: Floats
    se: Floats
    hazard: Floats
    hazard_se: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A time by which a share of the subjects had the event.

    Args:
        days: The time; None if the curve does not fall so far.
        low: Lower limit of its interval, None if it has none.
        high: Upper limit, None if it has none.
    """

    days: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedMean:
    """The mean time without the event up to a horizon: the area under the curve.

    Args:
        days: The mean.
        se: Its standard error.
        horizon_days: Where the area ends.
    """

    days: float
    se: float
    horizon_days: float


def cell_of(time: Floats, edges: Floats) -> NDArray[np.int64]:
    """Return the cell in which each follow-up ends, [n]; a cell includes its end.

    Args:
        time: [n].
        edges: [T], increasing; the last cell has no end.
    """
    found: NDArray[np.int64] = np.clip(np.searchsorted(edges, time, side="left") - 1, 0, None)
    return found


def entry_cell_of(entry: Floats, edges: Floats) -> NDArray[np.int64]:
    """Return the first cell in which each subject is at risk, [n]; a cell includes its start."""
    found: NDArray[np.int64] = np.clip(np.searchsorted(edges, entry, side="right") - 1, 0, None)
    return found


def event_table(
    time: Floats, event: NDArray[np.bool_], edges: Floats, *, entry: Floats | None = None
) -> Floats:
    """Count a site's censorings and events by cell, [2, T], and entries if told, [3, T].

    Args:
        time: Follow-up, [n].
        event: Whether the event was seen, [n].
        edges: Edges of the cells from 0, [T]; a cell includes its end, the last has none.
        entry: Time at which a subject comes under observation, [n], or None.
    """
    which = cell_of(time, edges)
    rows = [np.bincount(which[event == seen], minlength=len(edges)) for seen in (False, True)]
    if entry is not None:
        rows.append(np.bincount(entry_cell_of(entry, edges), minlength=len(edges)))
    return np.stack(rows).astype(np.float64)


def at_risk(counts: Floats) -> Floats:
    """Return subjects at risk in each cell, [..., T]: entered by its end, and not yet gone."""
    left = counts[..., :2, :].sum(axis=-2)
    reverse: Floats = np.cumsum(left[..., ::-1], axis=-1)[..., ::-1]
    if counts.shape[-2] == 2:
        return reverse
    entered = counts[..., 2, :]
    later: Floats = entered.sum(axis=-1, keepdims=True) - np.cumsum(entered, axis=-1)
    return reverse - later


def survival(counts: Floats) -> Floats:
    """Return the Kaplan-Meier estimate at the end of each cell, [..., T].

    Source:
        Kaplan & Meier 1958.
    """
    died = _share(counts[..., 1, :], at_risk(counts))
    estimate: Floats = np.cumprod(1 - died, axis=-1).astype(np.float64)
    return estimate


def curve(counts: Floats, *, limits: Limits = "log-log", z: float = Z95) -> Curve:
    """Return one curve with Greenwood's variance, its limits, and the Nelson-Aalen hazard.

    Args:
        counts: [2, T] or [3, T].
        limits: Scale on which limits are symmetric: `plain`, `log` or `log-log`.
        z: Half width in standard errors; 1.96 for 95 %.

    Raises:
        DataError: If `limits` is unknown.

    Source:
        Greenwood 1926; Aalen 1978; log-log limits: Kalbfleisch & Prentice 1980.

    Examples:
        >>> curve(np.array([[0.0, 1.0], [1.0, 0.0]])).survival.tolist()
        [1.0, 0.5, 0.5]
    """
    estimate, remaining, events = survival(counts), at_risk(counts), counts[1]
    spread = np.cumsum(_share(events, remaining * (remaining - events)))
    low, high = _limits(estimate, np.sqrt(spread), limits, z)
    left = np.append(remaining[1:], 0.0)
    if len(counts) == 3:  # whoever enters in the next cell is not here yet
        left[:-1] -= counts[2, 1:]
    return Curve(
        survival=_from(1.0, estimate),
        low=_from(1.0, low),
        high=_from(1.0, high),
        at_risk=_from(float(counts[2, 0] if len(counts) == 3 else remaining[0]), left),
        se=_from(0.0, estimate * np.sqrt(spread)),
        hazard=_from(0.0, np.cumsum(_share(events, remaining))),
        hazard_se=_from(0.0, np.sqrt(np.cumsum(_share(events, remaining**2)))),
    )


def quantile(found: Curve, edges: Floats, share: float = 0.5) -> Quantile:
    """Return the time by which a share of the subjects had the event; 0.5 for the median.

    Where the curve is flat at that very height, the middle of the flat part, as in R.

    Args:
        found: The curve.
        edges: [T], of its cells; a cell's events count at its end.
        share: Between 0 and 1.
    """
    days = edges.tolist()  # of survival[0 .. T - 1]; the last cell has no end
    height = 1.0 - share
    return Quantile(
        days=_crossing(found.survival, days, height),
        low=_crossing(found.low, days, height),
        high=_crossing(found.high, days, height),
    )


def restricted_mean(counts: Floats, edges: Floats, horizon_days: float) -> RestrictedMean:
    """Return the area under a curve up to a horizon, and its standard error.

    Args:
        counts: [2, T] or [3, T].
        edges: [T].
        horizon_days: At most the last edge.

    Raises:
        DataError: If the horizon lies behind the grid or at its start.

    Source:
        Irwin 1949; variance: Klein & Moeschberger 2003, equation 4.5.3.
    """
    if not 0 < horizon_days <= edges[-1]:
        raise DataError(
            f"The horizon of {horizon_days:g} days does not lie on the grid, which ends at "
            f"{edges[-1]:g} days."
        )
    estimate, remaining, events = survival(counts), at_risk(counts), counts[1]
    start, ends = max(0.0, float(edges[0])), edges[1:]
    inside = np.clip(ends, start, horizon_days)
    knots = np.concatenate([[start], inside, [horizon_days]])
    height = _from(1.0, estimate[:-1])
    areas = np.diff(knots) * height
    beyond = np.cumsum(areas[::-1])[::-1][1:]  # area behind each end
    spread = _share(events, remaining * (remaining - events))[:-1]
    used = ends <= horizon_days
    variance = float((beyond**2 * spread)[used].sum())
    return RestrictedMean(
        days=float(areas.sum()), se=float(np.sqrt(variance)), horizon_days=horizon_days
    )


def _limits(estimate: Floats, error: Floats, limits: str, z: float) -> tuple[Floats, Floats]:
    """Return lower and upper limits; `error` is that of the logarithm of the estimate."""
    inside = (estimate > 0) & (estimate < 1)
    safe = np.where(inside, estimate, 0.5)
    if limits == "plain":
        low, high = safe - z * safe * error, safe + z * safe * error
    elif limits == "log":
        low, high = safe * np.exp(-z * error), safe * np.exp(z * error)
    elif limits == "log-log":
        logarithm = np.log(safe)
        width = z * error / np.abs(logarithm)
        low, high = np.exp(logarithm * np.exp(width)), np.exp(logarithm * np.exp(-width))
    else:
        raise DataError(f"Limits '{limits}' are unknown; expected plain, log or log-log.")
    return (
        np.where(inside, np.clip(low, 0, 1), estimate),
        np.where(inside, np.clip(high, 0, 1), estimate),
    )


def _crossing(heights: Floats, days: list[float], height: float) -> float | None:
    """Return when a falling curve reaches a height; the middle if it stays there."""
    at = heights[: len(days)]
    reached = np.flatnonzero(at <= height + 1e-12)
    if len(reached) == 0:
        return None
    first = int(reached[0])
    below = np.flatnonzero(at < height - 1e-12)
    if abs(at[first] - height) <= 1e-12 and len(below):
        return (days[first] + days[int(below[0])]) / 2
    return days[first]


def _share(part: Floats, whole: Floats) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return shares


def _from(start: float, values: Floats) -> Floats:
    return np.concatenate([[start], values])
