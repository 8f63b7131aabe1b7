"""A patient list: which patients or examinations to ask the PACS for. Messages name lines only."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from fedpet.errors import DataError, NotFoundError
from fedpet.imaging.pacs.query import Wanted

SIZE_LIMIT_BYTES = 64 << 20
LENGTH_MAX = 64
COLUMNS = {
    "patient_id": "patient_id",
    "patientid": "patient_id",
    "accession": "accession",
    "accession_number": "accession",
    "accessionnumber": "accession",
    "from": "from",
    "to": "to",
    "date": "date",
}
# A wildcard would ask for everybody; a backslash joins several values.
FORBIDDEN = re.compile(r"[*?\\\x00-\x1f\x7f]")
TOLD_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """How a list is meant.

    Args:
        accession: Whether a list without header holds accession numbers instead of PatientIDs.
        column: Column of a table that holds the PatientIDs (or accession numbers).
        first: First day of studies for lines that give none.
        last: Last day likewise.
        days: Days before and after the column `date`.
    """

    accession: bool = False
    column: str = ""
    first: date | None = None
    last: date | None = None
    days: int = 0


def read_list(path: Path, options: ListOptions | None = None) -> tuple[Wanted, ...]:
    """Read a patient list: a text file with one identifier a line, or a table with header.

    Columns of a table: `patient_id` or `accession` (or both), and optionally `from` and `to`, or
    `date`, written YYYY-MM-DD. In a text file, empty lines and lines with `#` are left out.

    Raises:
        NotFoundError: If there is no such file.
        DataError: Listing every line that cannot be used, by number (FP-3020).
    """
    options = options or ListOptions()
    lines = _text(path).splitlines()
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not filled:
        raise DataError("The patient list is empty.", code="FP-3020")
    separator = next((mark for mark in ";\t," if mark in filled[0][1]), ",")
    header = [cell.strip() for cell in next(csv.reader([filled[0][1]], delimiter=separator))]
    names = _columns(header, options)
    if names is None:
        key = "accession" if options.accession else "patient_id"
        rows = [
            (number, {key: line.strip()})
            for number, line in filled
            if not line.lstrip().startswith("#")
        ]
    else:
        rows = _rows(lines, header, names, separator)
    wanted, mistakes = [], []
    for number, row in rows:
        try:
            wanted.append(_wanted(number, row, options))
        except ValueError as error:
            mistakes.append(f"Line {number}: {error}")
    if mistakes:
        more = [f"... and {len(mistakes) - TOLD_MAX} more"] if len(mistakes) > TOLD_MAX else []
        raise DataError(
            f"{len(mistakes)} of {len(rows)} lines of the patient list cannot be used.",
            why="\n".join(mistakes[:TOLD_MAX] + more),
            do="Correct these lines; nothing was asked yet.",
            code="FP-3020",
        )
    if not wanted:
        raise DataError("The patient list holds no line to ask for.", code="FP-3020")
    return tuple(dict.fromkeys(wanted))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > SIZE_LIMIT_BYTES:
            raise DataError("The patient list has more than 64 MiB.", code="FP-3020")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            "There is no such patient list.", do="Check the path after --list.", code="FP-3020"
        ) from None
    except (IsADirectoryError, PermissionError):
        raise DataError(
            "The patient list is a folder, or may not be read.", code="FP-3020"
        ) from None
    if data.startswith(b"PK\x03\x04") or b"\x00" in data:
        raise DataError(
            "The patient list is no text file.", do="Save it as CSV, UTF-8.", code="FP-3020"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _columns(header: Sequence[str], options: ListOptions) -> dict[str, str] | None:
    """Return what each column of a table means; None where the file has no header."""
    names = {name: COLUMNS[key] for name in header if (key := name.lower()) in COLUMNS}
    key = "accession" if options.accession else "patient_id"
    if options.column:
        if options.column not in header:
            close = difflib.get_close_matches(options.column, header, n=1)
            hint = f' Did you mean "{close[0]}"?' if close else ""
            raise DataError(
                f'The patient list has no column "{options.column}".{hint}', code="FP-3020"
            )
        names = {name: meaning for name, meaning in names.items() if meaning != key}
        names[options.column] = key
    return names if {"patient_id", "accession"} & set(names.values()) else None


def _rows(
    lines: Sequence[str], header: Sequence[str], names: Mapping[str, str], separator: str
) -> list[tuple[int, dict[str, str]]]:
    reader = csv.reader(lines, delimiter=separator)
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                told = dict(zip(header, cells, strict=False))
                row = {meaning: told.get(name, "").strip() for name, meaning in names.items()}
                rows.append((reader.line_num, row))
    except csv.Error:
        raise DataError(
            f"Line {reader.line_num} of the patient list cannot be split into fields.",
            code="FP-3020",
        ) from None
    return rows[1:]


def _wanted(number: int, row: Mapping[str, str], options: ListOptions) -> Wanted:
    patient, accession = row.get("patient_id", ""), row.get("accession", "")
    if not patient and not accession:
        raise ValueError("it names neither a patient nor an examination.")
    for value in (patient, accession):
        if FORBIDDEN.search(value):
            raise ValueError("its identifier holds *, ?, \\ or a control character.")
        if len(value) > LENGTH_MAX:
            raise ValueError(f"its identifier is longer than {LENGTH_MAX} characters.")
    first = _day(row.get("from", ""), "from") or options.first
    last = _day(row.get("to", ""), "to") or options.last
    around = _day(row.get("date", ""), "date")
    if around is not None:
        first, last = around - timedelta(options.days), around + timedelta(options.days)
    if first and last and first > last:
        raise ValueError("its last day is before its first.")
    return Wanted(
        row=number,
        patient_id=patient,
        accession=accession,
        first=f"{first:%Y%m%d}" if first else "",
        last=f"{last:%Y%m%d}" if last else "",
    )


def _day(text: str, column: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'its "{column}" is no date written YYYY-MM-DD.') from None
