"""Which grid of times may be told: nobody leaves an interval alone, nobody dies in one alone.

Sums over those at risk are told at the start of each interval. Where one subject leaves between
two of them, the difference of the two sums is that subject's row; where one dies in an interval,
the sum over the dead is that subject's row. So every interval must be left by several, and be
died in by nobody or by several. Intervals that break the rule are merged with the next.

Source:
    The project's specs, survival, section 5: shares of subjects that were recovered from sums on
    exact, weekly and monthly times. Event times by themselves point to persons: date of death.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import RefusalError

Floats = NDArray[np.float64]

DEPARTURES_MIN = 5
GRID_DAYS_MIN = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeGrid:
    """A grid of times that passes the check, and what it took.

    Args:
        edges_days: [T + 1], from 0; an interval includes its end, the last cell has none.
        counts: [2, T + 1], censored and events over all sites in each cell.
        least: Departures that every cell has at least.
        lone: Cells of the grid before that broke the rule.
        merged: Cells that were merged away.
    """

    edges_days: Floats
    counts: Floats
    least: int
    lone: int
    merged: int


def lone_cells(counts: Floats, *, least: int = DEPARTURES_MIN) -> NDArray[np.bool_]:
    """Return which cells break the rule: left by few, or died in by few but not nobody.

    A cell that nobody leaves tells nothing: the sums before and after it are the same.

    Args:
        counts: [2, T], censored and events over all sites, from `kaplan_meier.event_table`.
        least: Smallest number that may be told.

    Examples:
        >>> lone_cells(np.array([[5.0, 1.0, 0.0, 9.0], [0.0, 0.0, 0.0, 2.0]])).tolist()
        [False, True, False, True]
    """
    departures, deaths = counts.sum(axis=0), counts[1]
    few_leave: NDArray[np.bool_] = (departures > 0) & (departures < least)
    few_die: NDArray[np.bool_] = (deaths > 0) & (deaths < least)
    return few_leave | few_die


def merge_cells(edges_days: Floats, counts: Floats, *, least: int = DEPARTURES_MIN) -> SafeGrid:
    """Merge neighbouring cells of a grid until none breaks the rule.

    Cells are gathered from the start; a cell is closed as soon as it may be told. What is left
    over at the end joins the last cells.

    Args:
        edges_days: [T + 1], from 0, increasing.
        counts: [2, T + 1], censored and events over all sites; the last cell has no end.
        least: Smallest number that may be told.

    Raises:
        RefusalError: If not even one cell for all times may be told.

    Examples:
        >>> grid = merge_cells(np.array([0.0, 7, 14, 21]), np.array([[3.0, 3, 1, 4], [0] * 4]))
        >>> grid.edges_days.tolist(), grid.counts[0].tolist(), grid.merged
        ([0.0, 14.0], [6.0, 5.0], 2)
    """
    starts = [0]
    held = np.zeros(2)
    for index, cell in enumerate(counts.T):
        held = held + cell
        if held.sum() >= least and (held[1] == 0 or held[1] >= least):
            starts.append(index + 1)
            held = np.zeros(2)
    if starts[-1] == counts.shape[1]:
        starts.pop()
    merged = np.add.reduceat(counts, starts, axis=1)
    while lone_cells(merged[:, -1:], least=least).any() and len(starts) > 1:
        starts.pop()  # what is left over joins the cell before
        merged = np.add.reduceat(counts, starts, axis=1)
    if lone_cells(merged, least=least).any():
        raise RefusalError(
            f"Fewer than {least} subjects, or events, are there in all.",
            why="Even a single interval of time would tell of few persons.",
            do="Wait for more follow-up, or ask over more hospitals.",
        )
    return SafeGrid(
        edges_days=edges_days[starts],
        counts=merged,
        least=least,
        lone=int(lone_cells(counts, least=least).sum()),
        merged=counts.shape[1] - len(starts),
    )


def weekly_edges(last_days: float, *, step_days: float = GRID_DAYS_MIN) -> Floats:
    """Return the edges of a regular grid from 0 to a last time.

    Examples:
        >>> weekly_edges(21).tolist()
        [0.0, 7.0, 14.0, 21.0]
    """
    return np.arange(0.0, np.floor(last_days / step_days) + 1) * step_days


def objections(
    edges_days: Floats, *, days_min: float = GRID_DAYS_MIN, cells_max: int | None = None
) -> tuple[str, ...]:
    """List what a hospital has against a grid before it counts anything on it.

    Args:
        edges_days: [T + 1], increasing.
        days_min: Narrowest interval.
        cells_max: Most cells, such as one for every few subjects; None for no limit.

    Examples:
        >>> objections(np.array([0.0, 1.0, 2.0]))
        ('Intervals of 1 day are asked for; 7 days are the narrowest.',)
    """
    found = []
    widths = np.diff(edges_days)
    if (len(edges_days) and edges_days[0] != 0) or (widths <= 0).any():
        found.append("The grid of times does not start at 0 and increase.")
    elif len(widths) and widths.min() < days_min - 1e-9:
        unit = "day" if widths.min() == 1 else "days"
        found.append(
            f"Intervals of {widths.min():g} {unit} are asked for; {days_min:g} days are "
            "the narrowest."
        )
    if cells_max is not None and len(edges_days) > cells_max:
        found.append(f"{len(edges_days)} intervals are asked for; at most {cells_max} are told.")
    return tuple(found)
