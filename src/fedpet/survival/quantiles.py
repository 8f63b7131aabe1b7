"""Quantiles by histograms that are refined around the target and stop before a cell is small.

No smallest or largest value is asked for: the first histogram spans some standard deviations
about the mean and is open at both ends; where the target lies beyond, the next one looks there.
A cell is refined only while the cell that holds the target has enough subjects, so that a
quantile is never one patient's value.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 64
ROUNDS_MAX = 4
SPREAD_SD = 4.0
CLOSE = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is known of one quantile of one column so far.

    Args:
        share: Which quantile, such as 0.5.
        rank: Position of the target among the known values, from 0 to their number.
        low: Where the next histogram begins.
        high: Where it ends.
        cell: Low, high and number of subjects of the finest cell that may be told; None as long
            as the target lies outside of what was looked at.
        before: Subjects below that cell.
        done: Whether no finer histogram is wanted.
    """

    share: float
    rank: float
    low: float
    high: float
    cell: tuple[float, float, float] | None = None
    before: float = 0.0
    done: bool = False

    @property
    def value(self) -> float | None:
        """The quantile, spread evenly over its cell; None if it cannot be told."""
        if self.cell is None:
            return None
        low, high, subjects = self.cell
        return low + (high - low) * (self.rank - self.before) / subjects

    @property
    def error(self) -> float | None:
        """Half the width of the cell: how far the value may be off."""
        return None if self.cell is None else (self.cell[1] - self.cell[0]) / 2


def first_target(share: float, *, known: float, mean: float, sd: float, least: int) -> Target:
    """Return where to look first.

    Args:
        share: Which quantile.
        known: Subjects with a value.
        mean: Of the column.
        sd: Of the column.
        least: Smallest number of subjects that may be told.
    """
    spread = sd if sd > 0 else max(abs(mean), 1.0) * CLOSE
    return Target(
        share=share,
        rank=share * known,
        low=mean - SPREAD_SD * spread,
        high=mean + SPREAD_SD * spread,
        done=known < least,
    )


def edges_of(targets: Sequence[Target]) -> Floats:
    """Return the edges of the next histogram for each target, [targets, BINS + 1]."""
    return np.array([np.linspace(one.low, one.high, BINS + 1) for one in targets])


def refined(target: Target, edges: Floats, cells: Floats, *, least: int) -> Target:
    """Return what a histogram over all sites adds.

    Args:
        target: What was known before.
        edges: [b], the histogram's edges.
        cells: [b + 1], subjects below, between and from the edges on.
        least: Smallest number of subjects that may be told.

    Examples:
        >>> start = first_target(0.5, known=20, mean=0.0, sd=1.0, least=5)
        >>> edges = edges_of([start])[0]
        >>> cells = np.zeros(66); cells[32] = 12; cells[40] = 8
        >>> refined(start, edges, cells, least=5).cell
        (-0.125, 0.0, 12.0)
    """
    total = np.cumsum(cells)
    index = min(int(np.searchsorted(total, target.rank, side="left")), len(cells) - 1)
    before = float(total[index] - cells[index])
    width = target.high - target.low
    if index == 0:
        return replace(target, low=target.low - 4 * width, high=target.low, done=False)
    if index == len(cells) - 1:
        return replace(target, low=target.high, high=target.high + 4 * width, done=False)
    low, high, subjects = float(edges[index - 1]), float(edges[index]), float(cells[index])
    if subjects < least:
        return replace(_gathered(target, edges, cells, index, least), done=True)
    close = high - low <= CLOSE * max(abs(low), abs(high), 1e-300)
    return replace(
        target, low=low, high=high, cell=(low, high, subjects), before=before, done=close
    )


def refinement(
    targets: Sequence[Target], *, least: int
) -> Generator[tuple[list[int], Floats], Floats, list[Target]]:
    """Refine quantiles, one for each column, as long as there is something to gain.

    Yields:
        Numbers of the columns to count, and the edges between which to count them; what is sent
        back are their cells, [columns, b + 1], from `describe.histogram_sums`.
    """
    found = list(targets)
    for _ in range(ROUNDS_MAX):
        open_ = [number for number, target in enumerate(found) if not target.done]
        if not open_:
            break
        edges = edges_of([found[number] for number in open_])
        cells = yield open_, edges
        for row, number in enumerate(open_):
            found[number] = refined(found[number], edges[row], cells[row], least=least)
    return found


def medians(
    count: Floats, summed: Floats, sum_squares: Floats, *, least: int
) -> Generator[tuple[list[int], Floats], Floats, Floats]:
    """Find each column's median, as `refinement`; the mean where no median may be told.

    Args:
        count: [p], known values.
        summed: [p], their sum.
        sum_squares: [p], about the mean.
        least: Smallest number of subjects that may be told.
    """
    known = np.maximum(count, 1.0)
    mean, sd = summed / known, np.sqrt(sum_squares / known)
    targets = [
        first_target(0.5, known=float(n), mean=float(m), sd=float(s), least=least)
        for n, m, s in zip(count, mean, sd, strict=True)
    ]
    found = yield from refinement(targets, least=least)
    return np.array(
        [m if one.value is None else one.value for one, m in zip(found, mean, strict=True)]
    )


def _gathered(target: Target, edges: Floats, cells: Floats, index: int, least: int) -> Target:
    """Return the fewest neighbouring cells around the target that together may be told."""
    first = last = index
    while cells[first : last + 1].sum() < least:
        left = cells[first - 1] if first > 1 else np.inf
        right = cells[last + 1] if last < len(cells) - 2 else np.inf
        if np.isinf(left) and np.isinf(right):
            return target
        if last - index <= index - first and not np.isinf(right):
            last += 1
        elif not np.isinf(left):
            first -= 1
        else:
            last += 1
    told = float(cells[first : last + 1].sum())
    cell = (float(edges[first - 1]), float(edges[last]), told)
    return replace(target, cell=cell, before=float(cells[:first].sum()))
