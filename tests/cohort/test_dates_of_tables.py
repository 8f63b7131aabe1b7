"""Five ways to write a day, and the one case in which nobody can know."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.cohort.dates import DateColumn, Form, read_days
from fedpet.errors import DataError

DAY = date(2021, 3, 24)
WRITTEN = {
    "2021-03-24": Form.YEAR_FIRST,
    "2021/03/24": Form.YEAR_FIRST,
    "2021-03-24 00:00:00": Form.YEAR_FIRST,
    "2021-03-24T00:00": Form.YEAR_FIRST,
    "24/03/2021": Form.DAY_FIRST,
    "24.03.2021": Form.DAY_FIRST,
    "24-3-2021": Form.DAY_FIRST,
    "03/24/2021": Form.MONTH_FIRST,
    "3-24-2021": Form.MONTH_FIRST,
    "20210324": Form.COMPACT,
    "24 Mar 2021": Form.NAMED,
    "24MAR2021": Form.NAMED,
    "24-mars-2021": Form.NAMED,
    "24. März 2021": Form.NAMED,
    "March 24, 2021": Form.NAMED,
}
NO_DATES = ["31/02/2021", "2021-13-01", "24/03/21", "44279", "yesterday", "00/00/2021", "12/2021"]


def read(*cells: str, **others: tuple[str, ...]) -> tuple[date | None, ...]:
    columns = {"column": DateColumn(cells=cells)}
    columns |= {name: DateColumn(cells=told) for name, told in others.items()}
    return read_days(columns)["column"].days


@pytest.mark.parametrize(("cell", "form"), WRITTEN.items())
def test_each_way_to_write_a_day_is_read(cell, form):
    """Hospitals use all of them."""
    told = read_days({"column": DateColumn(cells=(cell, ""))})["column"]
    assert told.days == (DAY, None)
    assert told.form == form


@pytest.mark.parametrize("cell", NO_DATES)
def test_what_is_no_date_is_not_made_one(cell):
    """A two-digit year or a spreadsheet's day number may be anything; it is a finding."""
    assert read("2021-03-24", "2021-03-25", cell)[2] is None


def test_one_day_above_twelve_tells_the_column():
    """03/04 is in April if another cell of the column is the 24th of March."""
    assert read("24/03/2021", "03/04/2021") == (DAY, date(2021, 4, 3))
    assert read("03/24/2021", "03/04/2021") == (DAY, date(2021, 3, 4))


def test_other_columns_of_the_table_tell_it():
    """A table is written by one program."""
    assert read("03/04/2021", death=("24/03/2021",)) == (date(2021, 4, 3),)
    assert read("03/04/2021", death=("03/24/2021",)) == (date(2021, 3, 4),)


def test_nothing_is_guessed_where_nothing_tells_it():
    """A wrong month makes a wrong survival time, and nobody sees it."""
    with pytest.raises(DataError, match="cannot be told apart") as caught:
        read("03/04/2021", "05/06/2021", death=("2021-05-05",))
    assert caught.value.code == "FP-2105"
    assert "%d/%m/%Y" in " ".join(caught.value.do)
    assert "03/04/2021 may be" in caught.value.why


def test_days_that_are_the_same_both_ways_need_no_answer():
    """05/05 is the fifth of May for everybody."""
    assert read("05/05/2021") == (date(2021, 5, 5),)


@pytest.mark.parametrize(
    ("cells", "others"),
    [
        (("24/03/2021", "03/25/2021"), {}),
        (("03/04/2021",), {"death": ("24/03/2021",), "start": ("03/24/2021",)}),
        (("24/03/2021", *["03/04/2021"] * 40), {}),
    ],
    ids=["in one column", "between columns", "one slip among forty"],
)
def test_contradictions_are_asked_about(cells, others):
    """Two habits in one table, or a single odd cell, are no evidence."""
    with pytest.raises(DataError):
        read(*cells, **others)


def test_a_column_is_read_in_one_format_only():
    """Where a spreadsheet made dates of half a column, it swapped days and months on the way."""
    assert read("2021-03-24", "2021-03-25", "26/03/2021") == (DAY, date(2021, 3, 25), None)


def test_a_declared_format_is_obeyed():
    """The hospital knows; cells in another format are findings."""
    column = DateColumn(cells=("03/04/2021", "2021-04-03"), declared="%m/%d/%Y")
    assert read_days({"c": column})["c"].days == (date(2021, 3, 4), None)


@given(
    days=st.lists(st.dates(date(1990, 1, 1), date(2030, 1, 1)), min_size=1, max_size=30),
    form=st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%d %b %Y"]),
)
def test_a_column_is_read_as_it_was_written_or_asked_about(days, form):
    """Whatever the days: never another day than the one that was meant."""
    cells = [day.strftime(form) for day in days]
    try:
        found: tuple[date | None, ...] | None = read(*cells)
    except DataError:
        found = None
    if found is None:
        assert form in ("%d/%m/%Y", "%m/%d/%Y")
    else:
        assert found == tuple(days)
