"""A table as hospitals save it: encodings and separators of spreadsheets, to rows of text."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from io import StringIO

from fedpet.cohort.sheet import Sheet, no_table

SEPARATORS = (",", ";", "\t")
# What no text file holds, and nearly every other file does.
BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def read_csv(name: str, data: bytes, wanted: Collection[str]) -> Sheet:
    """Read a table from text.

    Encodings UTF-8, UTF-16 with byte-order mark and Windows-1252 / Latin-1; separators comma,
    semicolon and tab.

    Args:
        name: Of the file, for messages.
        data: Its content.
        wanted: Columns that are hoped for; they help to tell the separator.

    Raises:
        DataError: If it is not a table (FP-2103).
    """
    text = _decode(name, data)
    separator = _separator(text, wanted)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    ragged: list[int] = []
    header: tuple[str, ...] = ()
    reader = csv.reader(StringIO(text, newline=None), delimiter=separator, strict=True)
    try:
        for row in reader:
            cells = tuple(cell.strip() for cell in row)
            if not any(cells):
                continue
            if not header:
                header = cells
            elif len(row) != len(header):
                ragged.append(reader.line_num)
            else:
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise no_table(
            f"{name}, line {reader.line_num}: the line cannot be split into fields ({error}).",
            why="A quote was opened and not closed, or the file is damaged.",
            do="Correct the line.",
        ) from None
    return Sheet(
        header=header,
        rows=tuple(rows),
        lines=tuple(lines),
        ragged=tuple(ragged),
        decimal_comma=separator != ",",
    )


def _decode(name: str, data: bytes) -> str:
    encodings = ["utf-8-sig", "cp1252", "latin-1"]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        text = "\0"
    if BINARY.search(text):
        raise no_table(f"{name} is not text; it holds bytes that no table holds.")
    if not text.strip():
        raise no_table(f"{name} is empty.")
    return text


def _separator(text: str, wanted: Collection[str]) -> str:
    """Choose the separator by which the first line yields most wanted columns, or most fields."""
    first = next(line for line in text.splitlines() if line.strip())
    best: tuple[int, int] = (-1, -1)
    chosen = ","
    for separator in SEPARATORS:
        try:
            header = [cell.strip() for cell in next(csv.reader([first], delimiter=separator))]
        except (csv.Error, StopIteration):
            continue
        score = (len(set(header) & set(wanted)), len(header))
        if score > best:
            best, chosen = score, separator
    return chosen
