"""Which counts may stand in a document that is passed on, and what stands in their place.

A count below the limit, or the rest that it leaves of its total, could describe a person. Where
the sum of a column is shown elsewhere, one hidden count could be found by subtraction; then the
next smallest is hidden as well.

Source:
    Statistical disclosure control: Hundepool et al. 2012, chapter 4 (primary and secondary
    suppression); specs of the project: no at-risk number below 10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

AT_RISK_MIN = 10
CELL_MIN = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """A count as it may be shown.

    Args:
        count: The count, None if it is hidden.
        sign: `=` shown, `<` below `bound`, `>` above it, `?` only hidden.
        bound: The limit that `sign` refers to.
    """

    count: int | None
    sign: str = "="
    bound: int = 0


HIDDEN = re.compile(r"([<>])(\d{1,9})|\?")


def printed(cell: Cell) -> int | str:
    """Return a count as it stands in a document: a number, or a text such as `<5`.

    Examples:
        >>> printed(cell(12)), printed(cell(3)), printed(Cell(None, "?"))
        (12, '<5', '?')
    """
    if cell.count is not None:
        return cell.count
    return "?" if cell.sign == "?" else f"{cell.sign}{cell.bound}"


def read(value: object) -> Cell | None:
    """Read what `printed` wrote; None for anything else.

    Examples:
        >>> read(12) == cell(12), read("<5") == cell(3), read("many")
        (True, True, None)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Cell(value)
    found = HIDDEN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    return Cell(None, found[1], int(found[2])) if found[1] else Cell(None, "?")


def cell(count: int, *, least: int = CELL_MIN) -> Cell:
    """Return a count, or only that it is below the limit.

    Examples:
        >>> cell(12), cell(3)
        (Cell(count=12, sign='=', bound=0), Cell(count=None, sign='<', bound=5))
    """
    return Cell(count) if count >= least else Cell(None, "<", least)


def cells_of(counts: Sequence[int], *, least: int = CELL_MIN) -> list[Cell]:
    """Return the parts of a known total as they may be shown; nobody is no small count.

    Examples:
        >>> [one.sign for one in cells_of([40, 0])], [one.sign for one in cells_of([40, 3])]
        (['=', '='], ['?', '<'])
        >>> [one.sign for one in cells_of([40, 2, 3, 9])]
        ['=', '<', '<', '=']
    """
    found = [Cell(count) if count == 0 else cell(count, least=least) for count in counts]
    hidden = [index for index, one in enumerate(found) if one.count is None]
    shown = [index for index in range(len(found)) if index not in hidden and counts[index] > 0]
    if len(hidden) == 1 and shown:
        found[min(shown, key=lambda index: counts[index])] = Cell(None, "?")
    return found


def events(counts: Sequence[int], totals: Sequence[int], *, least: int = CELL_MIN) -> list[Cell]:
    """Return the events of each hospital as they may be shown beside its subjects.

    Args:
        counts: Events by hospital.
        totals: Subjects by hospital.
        least: Smallest count shown.

    Examples:
        >>> [one.sign for one in events([12, 3, 40], [20, 30, 43])]
        ['=', '<', '>']
        >>> [one.sign for one in events([12, 3, 20], [20, 30, 43])]
        ['?', '<', '=']
    """
    found = [
        cell(some, least=least)
        if some < least or rest >= least
        else Cell(None, ">", some + rest - least)
        for some, rest in ((some, total - some) for some, total in zip(counts, totals, strict=True))
    ]
    hidden = [index for index, one in enumerate(found) if one.count is None]
    if len(hidden) == 1 and len(found) > 1:
        shown = [index for index in range(len(found)) if index not in hidden]
        found[min(shown, key=lambda index: counts[index])] = Cell(None, "?")
    return found


def at_risk(row: Sequence[float]) -> list[Cell]:
    """Return the numbers at risk of one group; from the first small one on, all are hidden.

    Examples:
        >>> [one.sign for one in at_risk([40, 12, 9, 0])]
        ['=', '=', '<', '<']
    """
    found: list[Cell] = []
    for value in row:
        small = value < AT_RISK_MIN or (bool(found) and found[-1].count is None)
        found.append(Cell(None, "<", AT_RISK_MIN) if small else Cell(round(value)))
    return found
