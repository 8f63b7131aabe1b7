"""A table as hospitals save it: encodings and separators of spreadsheets, to rows of text."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from fedpet.cohort.findings import Finding, counted, found
from fedpet.cohort.tomlfile import did_you_mean
from fedpet.errors import DataError, NotFoundError

SIZE_LIMIT_BYTES = 256 << 20
SEPARATORS = (",", ";", "\t")
# What no text file holds, and nearly every other file does.
BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
SAVE_AS_CSV = "Save the table as CSV, UTF-8, with one header line and one row for each subject."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The cells of a table that were asked for.

    Args:
        cells: Text of each row, by column, without white space around it.
        lines: Line of the file on which each row ends, from 1.
        decimal_comma: Whether numbers may be written `1,5`.
        findings: Lines that do not fit the header, and columns that nobody asked for.
    """

    cells: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]
    decimal_comma: bool
    findings: tuple[Finding, ...]


def read_rows(path: Path, wanted: Mapping[str, str], *, dictionary: str) -> Rows:
    """Read the wanted columns of a table.

    Encodings UTF-8, UTF-16 with byte-order mark and Windows-1252 / Latin-1; separators comma,
    semicolon and tab. Lines whose fields do not match the header are findings, not rows.

    Args:
        path: The file.
        wanted: Columns that must be there, each with the dictionary's key that names it.
        dictionary: Name of the dictionary's file, for messages.

    Raises:
        NotFoundError: If there is no such file.
        DataError: If it is not a table (FP-2103), or wanted columns are not in it (FP-2104).
    """
    text = _decode(path)
    separator = _separator(text, wanted)
    cells: list[Mapping[str, str]] = []
    lines: list[int] = []
    ragged: list[int] = []
    header: list[str] = []
    reader = csv.reader(StringIO(text, newline=None), delimiter=separator, strict=True)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = [cell.strip() for cell in row]
                _require_columns(path.name, header, wanted, dictionary)
            elif len(row) != len(header):
                ragged.append(reader.line_num)
            else:
                cells.append({column: row[header.index(column)].strip() for column in wanted})
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(
            f"{path.name}, line {reader.line_num}: the line cannot be split into fields ({error}).",
            why="A quote was opened and not closed, or the file is damaged.",
            do="Correct the line.",
            code="FP-2103",
        ) from None
    findings = []
    if ragged:
        title = f"{counted(len(ragged), 'line')} of {path.name} do not fit the header."
        findings.append(found("FP-2153", title, lines=ragged))
    if unused := [name for name in header if name and name not in wanted]:
        shown = ", ".join(f"'{name:.40}'" for name in unused[:10])
        more = ", ..." if len(unused) > 10 else ""
        title = f"{counted(len(unused), 'column')} of {path.name} not used: {shown}{more}."
        findings.append(found("FP-2167", title))
    return Rows(
        cells=tuple(cells),
        lines=tuple(lines),
        decimal_comma=separator != ",",
        findings=tuple(findings),
    )


def _decode(path: Path) -> str:
    try:
        if path.stat().st_size > SIZE_LIMIT_BYTES:
            raise DataError(f"{path.name} has more than 256 MiB; is it a table?", code="FP-2103")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"The hospital's folder has no {path.name}.", do=SAVE_AS_CSV) from None
    except (IsADirectoryError, PermissionError):
        raise DataError(
            f"{path.name} is a folder, or may not be read.", do=SAVE_AS_CSV, code="FP-2103"
        ) from None
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DataError(f"{path.name} is a spreadsheet, not CSV.", do=SAVE_AS_CSV, code="FP-2103")
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
        raise DataError(
            f"{path.name} is not text; it holds bytes that no table holds.",
            do=SAVE_AS_CSV,
            code="FP-2103",
        )
    if not text.strip():
        raise DataError(f"{path.name} is empty.", do=SAVE_AS_CSV, code="FP-2103")
    return text


def _separator(text: str, wanted: Mapping[str, str]) -> str:
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


def _require_columns(
    name: str, header: list[str], wanted: Mapping[str, str], dictionary: str
) -> None:
    """Refuse a table that lacks columns. Only names that resemble a wanted one are told.

    A file without a header line has a subject in its first line, which must not be shown.
    """
    if twice := sorted({column for column in wanted if header.count(column) > 1}):
        raise DataError(
            f"{name} has several columns named {', '.join(repr(column) for column in twice)}.",
            do="Give every column another name.",
            code="FP-2104",
        )
    missing = [column for column in wanted if column not in header]
    if not missing:
        return
    if len(missing) == len(wanted):
        raise DataError(
            f"{name} has none of the {len(wanted)} columns that {dictionary} names.",
            why="The first line must be the header.",
            do=["Add the header line.", f"Or correct the column names in {dictionary}."],
            code="FP-2104",
        )
    told = [
        f"{name} has no column '{column}' ({dictionary}: {wanted[column]})."
        + did_you_mean(column, [h for h in header if h and h not in wanted])
        for column in missing
    ]
    raise DataError(
        told[0] if len(told) == 1 else f"{len(told)} columns are not in {name}.",
        why="" if len(told) == 1 else "\n".join(told),
        do=f"Correct the names in {dictionary}, or in the table's header.",
        code="FP-2104",
    )
