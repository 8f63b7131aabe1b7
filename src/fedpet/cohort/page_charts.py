"""The few small charts of the quality page, as numbers that the template draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT, FLOOR = 320.0, 96.0, 74.0
BINS = 24
STRIP = 160.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar of a histogram, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    count: int
    low: float
    high: float
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A histogram with the range that is expected.

    Args:
        bars: Those that are not empty.
        ticks: (x, text) of the axis.
        band: x and width of the expected range; None without one.
        values: How many there are.
        outside: How many lie outside of the expected range.
        median: Of the values.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    band: tuple[float, float] | None
    values: int
    outside: int
    median: float


def histogram(values: Sequence[float], expected: tuple[float, float] | None = None) -> Histogram:
    """Count values into bars of round width.

    Args:
        values: Finite, at least one.
        expected: Least and greatest usual value.

    Examples:
        >>> drawn = histogram([1.0, 2.0, 2.1, 5.0], (1.3, 3.0))
        >>> sum(bar.count for bar in drawn.bars), drawn.outside
        (4, 2)
    """
    low, high = min(values), max(values)
    if expected is not None:
        low, high = min(low, expected[0]), max(high, expected[1])
    span = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-6)
    step = _round_step(span / BINS)
    first = math.floor(low / step)
    count = max(1, math.ceil(high / step + 1e-9) - first)
    edges = step * (first + np.arange(count + 1))
    # Rounding of an edge may not lose its value.
    places = np.clip(np.floor(np.asarray(values) / step + 1e-9).astype(int) - first, 0, count - 1)
    counts = np.bincount(places, minlength=count)
    scale = WIDTH / (edges[-1] - edges[0])
    most = counts.max()
    bars = tuple(
        Bar(
            x=float((edges[i] - edges[0]) * scale),
            y=float(FLOOR - 66.0 * n / most),
            width=float(step * scale),
            height=float(66.0 * n / most),
            count=int(n),
            low=float(edges[i]),
            high=float(edges[i + 1]),
            inside=expected is None
            or bool(edges[i] >= expected[0] - 1e-9 and edges[i + 1] <= expected[1] + 1e-9),
        )
        for i, n in enumerate(counts)
        if n
    )
    band = None
    outside = 0
    if expected is not None:
        band = (
            float((expected[0] - edges[0]) * scale),
            float((expected[1] - expected[0]) * scale),
        )
        outside = sum(not expected[0] <= value <= expected[1] for value in values)
    return Histogram(
        bars=bars,
        ticks=_ticks(float(edges[0]), float(edges[-1])),
        band=band,
        values=len(values),
        outside=outside,
        median=float(np.median(values)),
    )


def _round_step(rough: float) -> float:
    """Return the next of 1, 2, 5, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= rough * 0.9)


def _ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    step = _round_step((high - low) / 4)
    first = math.ceil(low / step - 1e-9)
    places = [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]
    return tuple((WIDTH * (at - low) / (high - low), f"{at:.6g}") for at in places)


def quartile_strip(five: Sequence[float]) -> tuple[float, float, float] | None:
    """Return x of 25 %, 50 % and 75 % between the least and the greatest value.

    Examples:
        >>> quartile_strip((0.0, 1.0, 2.0, 3.0, 4.0))
        (40.0, 80.0, 120.0)
    """
    low, high = five[0], five[4]
    if not (math.isfinite(low) and high > low):
        return None
    first, middle, last = (STRIP * (value - low) / (high - low) for value in five[1:4])
    return first, middle, last
