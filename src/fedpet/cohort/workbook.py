"""An Excel workbook, to rows of text: read only, bounded, formulas by their stored values."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from typing import Protocol
from xml.etree.ElementTree import ParseError

from fedpet.cohort.sheet import SIZE_LIMIT_BYTES, Sheet, no_table

PARTS_MAX = 2000
COLUMNS_MAX = 2000
ROWS_MAX = 1_100_000
CELLS_MAX = 20_000_000
SHEET_PART = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
MERGED = re.compile(rb'<(?:\w+:)?mergeCell [^>]*ref="([A-Z0-9:$]{1,30})"')
# A formula that was never calculated: no stored value follows it.
UNCALCULATED = re.compile(
    rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
DAMAGE = (
    zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, AttributeError, IndexError,
    ParseError, EOFError, NotImplementedError, RuntimeError, OSError, OverflowError,
)  # fmt: skip
SAVE_AGAIN = "Open it in the spreadsheet program, save it again as .xlsx, or save it as CSV."


class _Opened(Protocol):
    """What is used of a sheet of openpyxl."""

    title: str
    sheet_state: str

    def reset_dimensions(self) -> None: ...

    def iter_rows(self, *, values_only: bool) -> Iterator[tuple[object, ...]]: ...


def read_workbook(name: str, data: bytes, wanted: Collection[str]) -> Sheet:
    """Read the sheet of a workbook that has most of the wanted columns.

    Dates become YYYY-MM-DD, whole numbers lose their decimals, formulas give the value that the
    spreadsheet program stored beside them.

    Args:
        name: Of the file, for messages.
        data: Its content.
        wanted: Columns that are hoped for; without any, the first visible sheet is read.

    Raises:
        DataError: If it is damaged, too large, has merged cells or formulas without a value, or
            two of its sheets have as many of the columns (FP-2103).
    """
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    _inspect(name, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions, which are not read
            book = openpyxl.load_workbook(
                io.BytesIO(data), read_only=True, data_only=True, keep_links=False
            )
            sheets = [one for one in book.worksheets if one.sheet_state == "visible"]
            if not sheets:
                raise no_table(f"{name} has no visible sheet.", do=SAVE_AGAIN)
            for sheet in sheets:
                sheet.reset_dimensions()  # what a file says of its own size is not believed
            return _read(name, _chosen(name, sheets, wanted))
    except (*DAMAGE, InvalidFileException) as error:
        raise no_table(
            f"{name} is a spreadsheet that cannot be read; it is damaged, locked by a password, "
            "or of another kind.",
            why=f"({type(error).__name__})",
            do=SAVE_AGAIN,
        ) from None


def _inspect(name: str, data: bytes) -> None:
    """Look at the parts of the file before anything is unpacked, then at each sheet's text."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            size = sum(part.file_size for part in parts)
            if len(parts) > PARTS_MAX or size > SIZE_LIMIT_BYTES:
                raise no_table(
                    f"{name} is a spreadsheet of {len(parts)} parts and {size >> 20} MiB when "
                    f"unpacked; at most {PARTS_MAX} and {SIZE_LIMIT_BYTES >> 20} MiB are read."
                )
            if any(part.flag_bits & 1 for part in parts):
                raise no_table(f"{name} is locked by a password.", do=SAVE_AGAIN)
            for part in parts:
                if part.filename.lower().endswith((".xml", ".rels")):
                    _inspect_part(name, part.filename, archive.read(part))
    except (*DAMAGE,) as error:
        raise no_table(
            f"{name} is a spreadsheet that cannot be read; it is damaged.",
            why=f"({type(error).__name__})",
            do=SAVE_AGAIN,
        ) from None


def _inspect_part(name: str, part: str, text: bytes) -> None:
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise no_table(f"{name} declares entities, which no spreadsheet program writes.")
    if not SHEET_PART.fullmatch(part):
        return
    if merged := MERGED.findall(text):
        where = ", ".join(one.decode() for one in merged[:5])
        raise no_table(
            f"{name} has merged cells ({where}{', ...' if len(merged) > 5 else ''}).",
            why="A merged cell says its value once, for one of its rows or columns.",
            do="Unmerge the cells and fill in each, or save the table alone as CSV.",
        )
    if lost := len(UNCALCULATED.findall(text)):
        raise no_table(
            f"{name} has {lost} formula(s) without a stored value.",
            why="The file was written by a program that does not calculate.",
            do="Open it in the spreadsheet program and save it, or paste values over formulas.",
        )


def _chosen(name: str, sheets: list[_Opened], wanted: Collection[str]) -> _Opened:
    scores = [len(set(_header(sheet)) & set(wanted)) for sheet in sheets]
    best = max(scores)
    if best and scores.count(best) > 1:
        raise no_table(
            f"{scores.count(best)} sheets of {name} have the columns of the dictionary.",
            do="Keep one sheet with the table, and hide or delete the others.",
        )
    return sheets[scores.index(best)]


def _header(sheet: _Opened) -> tuple[str, ...]:
    for row in sheet.iter_rows(values_only=True):
        cells = _trimmed(row)
        if cells:
            return cells
    return ()


def _trimmed(row: tuple[object, ...]) -> tuple[str, ...]:
    """Return the cells of a line as text, without empty ones at its end."""
    last = len(row)
    while last and row[last - 1] is None:
        last -= 1
    cells = [_text(value) for value in row[:last]]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def _read(name: str, sheet: _Opened) -> Sheet:
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    ragged: list[int] = []
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        if number > ROWS_MAX or len(row) * len(rows) > CELLS_MAX:
            raise no_table(f"{name} has more rows or cells than a table of subjects.")
        cells = _trimmed(row)
        if not cells:
            continue
        if not header:
            header = cells
            if len(header) > COLUMNS_MAX:
                raise no_table(f"{name} has more than {COLUMNS_MAX} columns.")
        elif len(cells) > len(header):
            ragged.append(number)
        else:
            rows.append(cells + ("",) * (len(header) - len(cells)))
            lines.append(number)
    if not header:
        raise no_table(f"{name} is empty.")
    return Sheet(
        header=header,
        rows=tuple(rows),
        lines=tuple(lines),
        ragged=tuple(ragged),
        decimal_comma=True,
    )


def _text(value: object) -> str:
    """Return a cell as text.

    Examples:
        >>> _text(3.0), _text(0.1), _text(datetime(2021, 3, 4)), _text(None), _text(True)
        ('3', '0.1', '2021-03-04', '', 'true')
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.date().isoformat()
        case date():
            return value.isoformat()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case float():
            return repr(value)
        case time() | timedelta():
            return str(value)
        case _:
            return " ".join(str(value).split())
