"""Where a value stands along an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
POWERS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
RATIOS = (0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """An axis from `low` to `high`.

    Args:
        low: Value at the start.
        high: Value at the end, above `low`.
        ticks: Values that are written at the axis.
        logarithmic: Whether equal ratios have equal lengths.
        start: Where `low` stands, in percent of the width.
        end: Where `high` stands.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False
    start: float = 0.0
    end: float = 100.0

    def share(self, value: float) -> float:
        """Return the place of a value from 0 to 1; what is outside goes to the border."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)

    def x(self, value: float) -> float:
        """Return the place of a value in percent of the width."""
        return self.start + self.share(value) * (self.end - self.start)

    def outside(self, value: float) -> bool:
        """Return whether a value lies beyond the axis."""
        return not self.low - 1e-9 <= value <= self.high + 1e-9


def step_for(span: float, *, most: int) -> float:
    """Return the round distance between ticks that gives at most `most` of them.

    Examples:
        >>> step_for(0.37, most=5)
        0.1
    """
    rough = max(span, 1e-9) / most
    power = 10.0 ** math.floor(math.log10(rough))
    return round(next(step * power for step in STEPS if step * power >= rough * 0.999), 12)


def linear(
    values: Iterable[float], *, most: int = 6, start: float = 4.0, end: float = 96.0
) -> Scale:
    """Return a scale with round borders around values.

    Examples:
        >>> linear([0.41, 0.78]).ticks
        (0.4, 0.5, 0.6, 0.7, 0.8)
    """
    found = tuple(values) or (0.0, 1.0)
    low, high = min(found), max(found)
    step = step_for(high - low, most=most)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    last = max(last, first + 1)
    ticks = tuple(round(index * step, 10) for index in range(first, last + 1))
    return Scale(low=ticks[0], high=ticks[-1], ticks=ticks, start=start, end=end)


def ratios(values: Iterable[float], *, start: float = 4.0, end: float = 96.0) -> Scale:
    """Return a logarithmic scale around ratios and 1, from 0.1 to 10 at the widest.

    Examples:
        >>> ratios([0.8, 1.7]).ticks
        (0.75, 1.0, 1.5, 2.0)
    """
    found = (*(value for value in values if value > 0), 1.0)
    low = max((tick for tick in RATIOS if tick <= min(found)), default=RATIOS[0])
    high = min((tick for tick in RATIOS if tick >= max(found)), default=RATIOS[-1])
    low, high = (0.75 if low == 1 else low), (1.5 if high == 1 else high)
    ticks = tuple(tick for tick in RATIOS if low <= tick <= high)
    if len(ticks) > 4:
        ticks = tuple(tick for tick in ticks if tick in POWERS or tick == high)
    return Scale(low=low, high=high, ticks=ticks, logarithmic=True, start=start, end=end)
