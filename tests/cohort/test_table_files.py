"""Workbooks as hospitals save them: read like CSV, or refused in words, within bounds."""

from __future__ import annotations

import io
import re
import time
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.cohort.tablefile import read_rows, read_sheet
from fedpet.errors import DataError, FedpetError, NotFoundError

HEADER = ("patient_id", "ici_start", "age", "albumin", "sex")
ROWS = (
    ("PAT-1", date(2021, 1, 4), 64, 38.5, "M"),
    ("PAT-2", datetime(2021, 2, 1, 9, 30), 71.0, None, "F"),
    (20017, date(2021, 3, 13), 58, 41, "M"),
)
WANTED = {name: f"variables.{name}" for name in HEADER}


def workbook(*rows: tuple[object, ...], title: str = "Data", **others: object) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = title
    for row in rows:
        sheet.append(row)
    return book


def saved(book: openpyxl.Workbook, path: Path) -> Path:
    book.save(path)
    return path


def patched(path: Path, part: str, change) -> Path:
    """Rewrite one part of the archive, as another program would have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_a_workbook_says_the_same_as_the_csv_of_it(tmp_path):
    """Dates come as dates, whole numbers without decimals, nothing as an empty cell."""
    path = saved(workbook(HEADER, *ROWS), tmp_path / "clinical.xlsx")
    rows = read_rows(path, WANTED, dictionary="d")
    assert [tuple(row.values()) for row in rows.cells] == [
        ("PAT-1", "2021-01-04", "64", "38.5", "M"),
        ("PAT-2", "2021-02-01", "71", "", "F"),
        ("20017", "2021-03-13", "58", "41", "M"),
    ]
    assert rows.lines == (2, 3, 4)
    assert rows.findings == ()


def test_a_workbook_is_known_by_its_content_not_by_its_name(tmp_path):
    """Exports are renamed; the first bytes are not."""
    path = saved(workbook(HEADER, *ROWS), tmp_path / "clinical.csv")
    assert len(read_rows(path, WANTED, dictionary="d").cells) == 3


def test_dates_of_the_1904_calendar_are_the_same_days(tmp_path):
    """Workbooks from old Macintosh programs count days from 1904."""
    book = workbook(HEADER, *ROWS)
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    path = saved(book, tmp_path / "clinical.xlsx")
    rows = read_rows(path, WANTED, dictionary="d")
    assert rows.cells[0]["ici_start"] == "2021-01-04"


def test_formulas_give_the_value_that_was_stored(tmp_path):
    """The hospital saw that value when it saved the file."""
    book = workbook(HEADER, ("PAT-1", date(2021, 1, 4), "=60+4", 38.5, "M"))
    path = saved(book, tmp_path / "clinical.xlsx")

    def calculated(text: bytes) -> bytes:
        return re.sub(rb"<f>60\+4</f><v\s*/?>(</v>)?", b"<f>60+4</f><v>64</v>", text)

    patched(path, SHEET, calculated)
    assert read_rows(path, WANTED, dictionary="d").cells[0]["age"] == "64"


def test_a_formula_without_a_value_is_refused(tmp_path):
    """It would look like a missing value, which nobody has left out."""
    book = workbook(HEADER, ("PAT-1", date(2021, 1, 4), "=60+4", 38.5, "M"))
    with pytest.raises(DataError, match=r"1 formula\(s\) without a stored value"):
        read_sheet(saved(book, tmp_path / "clinical.xlsx"))


def test_merged_cells_are_refused_with_their_place(tmp_path):
    """A merged cell says its value for one row only, and the other rows would be missing."""
    book = workbook(HEADER, *ROWS)
    book.active.merge_cells("C2:C3")
    with pytest.raises(DataError, match=r"merged cells \(C2:C3\)"):
        read_sheet(saved(book, tmp_path / "clinical.xlsx"))


def test_the_sheet_with_the_columns_is_read(tmp_path):
    """The table is rarely the first sheet of a registry's workbook."""
    book = workbook(("made by", "on"), ("someone", date(2021, 1, 1)), title="About")
    sheet = book.create_sheet("Patients")
    for row in (HEADER, *ROWS):
        sheet.append(row)
    path = saved(book, tmp_path / "clinical.xlsx")
    assert len(read_rows(path, WANTED, dictionary="d").cells) == 3
    again = book.create_sheet("Patients (2)")
    for row in (HEADER, *ROWS):
        again.append(row)
    with pytest.raises(DataError, match="2 sheets"):
        read_rows(saved(book, path), WANTED, dictionary="d")
    again.sheet_state = "hidden"
    assert len(read_rows(saved(book, path), WANTED, dictionary="d").cells) == 3


def test_two_columns_of_one_name_are_refused(tmp_path):
    """Nobody can tell which of them is meant."""
    header = (*HEADER[:-1], "age")
    path = saved(workbook(header, *ROWS), tmp_path / "clinical.xlsx")
    with pytest.raises(DataError, match="several columns named 'age'"):
        read_rows(path, {"patient_id": "a", "age": "b"}, dictionary="d")


def test_cells_beyond_the_header_are_findings(tmp_path):
    """A note beside the table belongs to no column."""
    path = saved(workbook(HEADER, *ROWS, ("PAT-4", None, 50, 40, "F", "!")), tmp_path / "t.xlsx")
    rows = read_rows(path, WANTED, dictionary="d")
    assert len(rows.cells) == 3
    assert [(f.code, f.lines) for f in rows.findings] == [("FP-2153", (5,))]


def test_a_million_empty_rows_cost_time_and_nothing_else(tmp_path):
    """Whoever formats whole columns saves a million rows with nothing in them."""
    path = saved(workbook(HEADER, *ROWS), tmp_path / "clinical.xlsx")

    def stretched(text: bytes) -> bytes:
        many = b"".join(b'<row r="%d"/>' % n for n in range(5, 300_000))
        last = b'<row r="1048576"><c r="A1048576" t="inlineStr"><is><t>PAT-9</t></is></c></row>'
        return text.replace(b"</sheetData>", many + last + b"</sheetData>")

    patched(path, SHEET, stretched)
    start = time.perf_counter()
    rows = read_rows(path, WANTED, dictionary="d")
    assert rows.cells[-1]["patient_id"] == "PAT-9"
    assert rows.lines[-1] == 1_048_576
    assert time.perf_counter() - start < 30


def bomb() -> bytes:
    """Return a small archive that says it unpacks to 300 MiB."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open(SHEET, "w") as part:
            for _ in range(300):
                part.write(bytes(1 << 20))
    return data.getvalue()


def with_entities(folder: Path) -> bytes:
    path = saved(workbook(HEADER, *ROWS), folder / "entities.xlsx")
    patched(path, SHEET, lambda text: b'<!DOCTYPE x [<!ENTITY a "b">]>' + text)
    return path.read_bytes()


def truncated(folder: Path) -> bytes:
    return saved(workbook(HEADER, *ROWS), folder / "whole.xlsx").read_bytes()[:2000]


def other_archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("PAT-1/report.txt", "PAT-1")
    return data.getvalue()


GARBAGE = {
    "a zip bomb": (lambda _: bomb(), "300 MiB when unpacked"),
    "entities": (with_entities, "declares entities"),
    "half a workbook": (truncated, "cannot be read"),
    "another archive": (lambda _: other_archive(), "cannot be read"),
    "random bytes": (lambda _: b"PK\x03\x04" + bytes(range(256)) * 40, "cannot be read"),
    "an old workbook": (lambda _: b"\xd0\xcf\x11\xe0" + bytes(512), "old kind"),
    "no rows at all": (lambda f: saved(workbook(), f / "none.xlsx").read_bytes(), "is empty"),
}


@pytest.mark.parametrize(("make", "words"), GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_workbook_is_refused_in_words(tmp_path, make, words):
    """Nothing is unpacked that is too large, and nothing of the file is shown."""
    path = tmp_path / "clinical.xlsx"
    path.write_bytes(make(tmp_path))
    with pytest.raises(DataError, match=words) as caught:
        read_sheet(path, HEADER)
    assert "PAT-" not in str(caught.value)


@settings(max_examples=60)
@given(place=st.integers(0, 5000), values=st.binary(min_size=1, max_size=40))
def test_damaged_workbooks_end_in_an_error_or_a_table(tmp_path_factory, place, values):
    """A bit that flipped on a network drive may not end in a traceback."""
    folder = tmp_path_factory.mktemp("fuzz")
    data = bytearray(saved(workbook(HEADER, *ROWS), folder / "t.xlsx").read_bytes())
    place %= len(data)
    data[place : place + len(values)] = values
    path = folder / "t.xlsx"
    path.write_bytes(bytes(data))
    told = ""
    try:
        read_sheet(path, HEADER)
    except FedpetError as error:
        told = str(error)
    assert "PAT-" not in told


def test_a_table_of_the_other_kind_beside_it_is_pointed_at(tmp_path):
    """Who saved clinical.xlsx has only to say so in cohort.toml."""
    saved(workbook(HEADER, *ROWS), tmp_path / "clinical.xlsx")
    with pytest.raises(NotFoundError) as caught:
        read_sheet(tmp_path / "clinical.csv")
    assert caught.value.do == ('Set `table = "clinical.xlsx"` in cohort.toml.',)
