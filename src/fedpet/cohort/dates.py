"""Dates as tables hold them: five ways to write a day, told apart by the columns themselves.

A cell such as 03/04/2021 is the third of April or the fourth of March. The column says which, if
one of its days is above 12; if none is, the other date columns of the table say it; if they do
not either, nothing is guessed and the reader is asked. A column is read in one format only: cells
written otherwise are findings. Where a spreadsheet turned half of a column into real dates and
left the other half as text, it has usually swapped days and months on the way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from fedpet.cohort.findings import counted
from fedpet.errors import DataError

MIDNIGHT = r"(?:[T ]00:00(?::00(?:\.0+)?)?)?"
YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){MIDNIGHT}", re.ASCII)
COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/. ])(\d{{1,2}})\2(\d{{4}}){MIDNIGHT}", re.ASCII)
NAMED = re.compile(r"(\d{1,2})[ .-]*([a-z]{3,9})\.?[ ,.-]*(\d{4})", re.ASCII)
NAMED_FIRST = re.compile(r"([a-z]{3,9})\.? (\d{1,2}),? (\d{4})", re.ASCII)
# First letters of the months in English, French and German, without accents.
MONTHS = (
    ("jan",), ("feb", "fev"), ("mar",), ("apr", "avr"), ("may", "mai"), ("jun", "juin"),
    ("jul", "juil"), ("aug", "aou"), ("sep",), ("oct", "okt"), ("nov",), ("dec", "dez"),
)  # fmt: skip
EVIDENCE_MIN = 0.1


class Form(StrEnum):
    """A way to write a day."""

    YEAR_FIRST = "YYYY-MM-DD"
    DAY_FIRST = "DD/MM/YYYY"
    MONTH_FIRST = "MM/DD/YYYY"
    COMPACT = "YYYYMMDD"
    NAMED = "DD Mon YYYY"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateColumn:
    """A column as it is read.

    Args:
        cells: Text of each cell; empty where nothing is known.
        declared: strptime format of the dictionary; None: told from the cells.
    """

    cells: Sequence[str]
    declared: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A column that was read.

    Args:
        days: Of each cell; None where it is empty or not in the column's format.
        form: The format, in words.
        by_others: Whether only the other columns told day from month.
    """

    days: tuple[date | None, ...]
    form: str
    by_others: bool = False


def readings(cell: str) -> dict[Form, date]:
    """Return every day that a cell may mean, by the way it would be written.

    Examples:
        >>> [f"{form}: {day}" for form, day in readings("03/04/2021").items()]
        ['DD/MM/YYYY: 2021-04-03', 'MM/DD/YYYY: 2021-03-04']
        >>> readings("13/04/2021") == readings("13.04.2021")
        True
        >>> list(readings("31/02/2021"))
        []
    """
    return {form: day for form, day in _readings(cell) if day is not None}


def _readings(cell: str) -> Iterator[tuple[Form, date | None]]:
    if match := YEAR_FIRST.fullmatch(cell):
        yield Form.YEAR_FIRST, _day(match[1], match[3], match[4])
    elif match := COMPACT.fullmatch(cell):
        yield Form.COMPACT, _day(*match.groups())
    elif match := YEAR_LAST.fullmatch(cell):
        yield Form.DAY_FIRST, _day(match[4], match[3], match[1])
        if match[2] != ".":  # points are written day first wherever they are written
            yield Form.MONTH_FIRST, _day(match[4], match[1], match[3])
    else:
        folded = unicodedata.normalize("NFKD", cell.casefold())
        plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
        if match := NAMED.fullmatch(plain):
            yield Form.NAMED, _day(match[3], _month(match[2]), match[1])
        elif match := NAMED_FIRST.fullmatch(plain):
            yield Form.NAMED, _day(match[3], _month(match[1]), match[2])


def _month(word: str) -> str:
    """Return the number of a month by its first letters; 0 if there is none."""
    for number, starts in enumerate(MONTHS, start=1):
        if word.startswith(starts):
            return str(number)
    return "0"


def _day(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def read_days(columns: Mapping[str, DateColumn]) -> dict[str, Days]:
    """Read the date columns of a table.

    Args:
        columns: By the name under which a message may mention them.

    Raises:
        DataError: If days and months of a column cannot be told apart (FP-2105).

    Examples:
        >>> seen = read_days({"start": DateColumn(cells=("13/04/2021", "")),
        ...                   "death": DateColumn(cells=("", "03/04/2021"))})
        >>> seen["death"].days[1].isoformat(), seen["death"].by_others
        ('2021-04-03', True)
    """
    found: dict[str, Days] = {}
    open_: list[str] = []
    orders: set[Form] = set()
    for name, column in columns.items():
        if column.declared is not None:
            found[name] = _declared(column.cells, column.declared)
            continue
        form = _form(column.cells)
        if form is None:
            open_.append(name)
            continue
        found[name] = _by(column.cells, form)
        if form in (Form.DAY_FIRST, Form.MONTH_FIRST) and _tells(column.cells, form):
            orders.add(form)
    if open_ and len(orders) != 1:
        raise _asking(open_, contradict=len(orders) > 1)
    for name in open_:
        day_or_month = next(iter(orders))
        if _tells(columns[name].cells, _other(day_or_month)):
            raise _asking([name], contradict=True)
        found[name] = _by(columns[name].cells, day_or_month, by_others=True)
    return {name: found[name] for name in columns}


def _declared(cells: Sequence[str], form: str) -> Days:
    days = []
    for cell in cells:
        try:
            days.append(datetime.strptime(cell, form).date() if cell else None)
        except ValueError:
            days.append(None)
    return Days(days=tuple(days), form=form)


def _by(cells: Sequence[str], form: Form, *, by_others: bool = False) -> Days:
    days = tuple(readings(cell).get(form) for cell in cells)
    return Days(days=days, form=str(form), by_others=by_others)


def _form(cells: Sequence[str]) -> Form | None:
    """Return the format that reads most cells; None if day and month cannot be told apart."""
    seen = [readings(cell) for cell in cells if cell]
    counts = {form: sum(form in one for one in seen) for form in Form}
    best = max(Form, key=lambda form: counts[form])
    if best not in (Form.DAY_FIRST, Form.MONTH_FIRST):
        return best
    day_first, month_first = _told(cells, Form.DAY_FIRST), _told(cells, Form.MONTH_FIRST)
    open_ = sum(_differ(one) for one in seen)
    if day_first and month_first:
        return None
    told = max(day_first, month_first)
    if open_ and told < EVIDENCE_MIN * (told + open_):
        return None  # one slip of the pen is no evidence for a hundred others
    return Form.MONTH_FIRST if month_first else Form.DAY_FIRST


def _differ(reading: Mapping[Form, date]) -> bool:
    day_first = reading.get(Form.DAY_FIRST)
    month_first = reading.get(Form.MONTH_FIRST)
    return day_first is not None and month_first is not None and day_first != month_first


def _told(cells: Sequence[str], form: Form) -> int:
    """Count the cells that can be read one way only."""
    other = _other(form)
    return sum(form in one and other not in one for one in map(readings, cells))


def _tells(cells: Sequence[str], form: Form) -> bool:
    return _told(cells, form) > 0


def _other(form: Form) -> Form:
    return Form.MONTH_FIRST if form is Form.DAY_FIRST else Form.DAY_FIRST


def _asking(names: Sequence[str], *, contradict: bool) -> DataError:
    which = ", ".join(f"'{name}'" for name in names)
    why = (
        "Some dates of the table can only be day first, others only month first."
        if contradict
        else "No day in them is above 12, so 03/04/2021 may be in April or in March."
    )
    return DataError(
        f"Day and month cannot be told apart in {counted(len(names), 'date column')}: {which}.",
        why=why,
        do='Say it in dictionary.toml: `format = "%d/%m/%Y"` (day first) or `"%m/%d/%Y"` '
        "under [dates]; for one column only, under [dates.formats].",
        code="FP-2105",
    )
