"""The cells of time in which events are counted, agreed before anything is counted."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.federation.asking import Execution
from fedpet.federation.journal import Closed
from fedpet.federation.records import Record
from fedpet.federation.statistics.question import inquire
from fedpet.plan import Statistic
from fedpet.survival.disclosure_grid import DEPARTURES_MIN, merge_cells

Floats = NDArray[np.float64]
TEN_YEARS_DAYS = 3653.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeGrid:
    """Cells of equal width from 0, and one behind the last.

    Args:
        step_days: Width of a cell; a hospital's policy has a narrowest one.
        until_days: Where the last cell begins; whoever is followed longer is counted there.
        merge: Whether cells that tell of few are merged before risk sets are summed on them.
            Without, hospitals have to allow it.

    Examples:
        >>> TimeGrid(step_days=7, until_days=21).edges().tolist()
        [0.0, 7.0, 14.0, 21.0]
    """

    step_days: float = 7.0
    until_days: float = TEN_YEARS_DAYS
    merge: bool = True

    def edges(self) -> Floats:
        """Return the edges of the cells in days; the last cell has no end.

        A grid of single days that are not merged has a cell for day 0.

        Raises:
            DataError: If the width is not above 0 or the grid ends before its first cell.
        """
        if not 0 < self.step_days <= self.until_days < float("inf"):
            raise DataError(
                f"A grid of {self.step_days:g} days until {self.until_days:g} days has no cell."
            )
        regular = np.arange(0.0, np.ceil(self.until_days / self.step_days) + 1) * self.step_days
        return regular if self.merge or self.step_days > 1 else np.append(-1.0, regular)


WEEKS = TimeGrid()
DAYS = TimeGrid(step_days=1.0, merge=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Censorings, events and entries of all sites on a grid.

    Args:
        edges_days: [T].
        counts: [groups, 2 or 3, T].
        merged: How many cells were merged away.
        closed: The step behind it.
    """

    edges_days: Floats
    counts: Floats
    merged: int
    closed: Closed = field(repr=False)


def count(
    run: Execution,
    topic: Statistic,
    *,
    body: dict[str, Any],
    grid: TimeGrid,
    sites: tuple[str, ...] | None = None,
    safe: bool = False,
) -> Generator[Record, None, Counted]:
    """Count on a grid over all sites.

    Args:
        run: The execution.
        topic: The statistic.
        body: Of the question: `endpoint`, `select`, and if wanted `entry` and `by`.
        grid: The cells.
        sites: Who is asked; all unless told.
        safe: Whether risk sets will be summed on the cells, so that those which tell of few have
            to be merged first, unless the grid says otherwise.

    Raises:
        RefusalError: If not even one cell for all times tells of enough.
    """
    edges = grid.edges()
    closed = yield from inquire(
        run,
        topic,
        kind="curve",
        label="Counting events over time",
        body=body,
        arrays={"edges_days": edges},
        sites=sites,
    )
    counts = np.asarray(np.rint(closed.arrays["counts"]), np.float64)
    if not (safe and grid.merge):
        return Counted(edges_days=edges, counts=counts, merged=0, closed=closed)
    found = merge_cells(edges, counts.sum(axis=0)[:2], least=DEPARTURES_MIN)
    starts = np.searchsorted(edges, found.edges_days)
    return Counted(
        edges_days=found.edges_days,
        counts=np.add.reduceat(counts, starts, axis=2),
        merged=found.merged,
        closed=closed,
    )
