"""fixes.csv: what the hospital says about single scans in place of their DICOM headers.

Three columns, one correction a line: `subject` (the PatientID of the images), `field` and `value`.

    subject,field,value
    4711,weight_kg,82
    4711,injection_datetime,2025-03-04T09:12:30

Fields: weight_kg, height_m, dose_bq, injection_datetime (local time of the scanner) and sex (M, F
or O). The file stays in the hospital, like the images.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fedpet.errors import DataError
from fedpet.imaging import clock
from fedpet.imaging.activity import DOSE_BQ
from fedpet.imaging.body_size import HEIGHT_M, WEIGHT_KG
from fedpet.imaging.facts import Corrections

FILE: Final = "fixes.csv"
HEADER: Final = ("subject", "field", "value")
BYTES_MAX: Final = 10_000_000
MISTAKES_SHOWN: Final = 20
CODE: Final = "FP-2191"
NUMBERS: Final = {"weight_kg": WEIGHT_KG, "height_m": HEIGHT_M, "dose_bq": DOSE_BQ}
FIELDS: Final = (*NUMBERS, "injection_datetime", "sex")
MOMENT: Final = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixes:
    """Corrections of a hospital's scans.

    Args:
        by_patient: Corrections by PatientID.
        lines: First line of each PatientID in the file.
    """

    by_patient: Mapping[str, Corrections]
    lines: Mapping[str, int]

    def of(self, patient_id: str) -> Corrections | None:
        """Return the corrections of a scan; None if there are none."""
        return self.by_patient.get(patient_id.strip())

    def require_known(self, patients: Collection[str]) -> None:
        """Refuse corrections of subjects that have no scan: a mistyped number mends nothing.

        Args:
            patients: PatientIDs of the scans.

        Raises:
            DataError: Naming the lines.
        """
        known = {one.strip() for one in patients}
        lost = sorted(line for one, line in self.lines.items() if one not in known)
        if lost:
            shown = ", ".join(map(str, lost[:MISTAKES_SHOWN]))
            raise DataError(
                f"{FILE} corrects subjects that have no PET scan here: line {shown}.",
                why="A mistyped number would leave the scan as it is, without a word.",
                do="Write the PatientID (0010,0020) of the images, or delete the lines.",
                code=CODE,
            )


def load_fixes(folder: Path) -> Fixes:
    r"""Read `fixes.csv` of a hospital's folder; without the file there are no corrections.

    Args:
        folder: The hospital's folder.

    Raises:
        DataError: Listing every wrong line.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / FILE).write_text("subject,field,value\n4711,weight_kg,82\n")
        >>> load_fixes(folder).of("4711").weight_kg
        82.0
    """
    path = folder / FILE
    if not path.exists():
        return Fixes(by_patient={}, lines={})
    rows = _rows(path)
    found: dict[str, Corrections] = {}
    lines: dict[str, int] = {}
    seen: dict[tuple[str, str], int] = {}
    mistakes: list[str] = []
    for line, row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != len(HEADER) or not cells[0]:
            mistakes.append(f"Line {line}: expected a subject, a field and a value.")
            continue
        subject, name, text = cells
        before = seen.setdefault((subject, name), line)
        if before != line:
            mistakes.append(
                f"Line {line}: {name[:30]} of this subject stands in line {before} too."
            )
            continue
        so_far = found.get(subject, Corrections())
        value, wrong = _read(name, text)
        if value is None:
            mistakes.append(f"Line {line}: {wrong}")
            continue
        found[subject] = _with(so_far, name, value)
        lines.setdefault(subject, line)
    if mistakes:
        more = len(mistakes) - MISTAKES_SHOWN
        shown = mistakes[:MISTAKES_SHOWN] + ([f"... and {more} more."] if more > 0 else [])
        raise DataError(
            f"{FILE} has {len(mistakes)} wrong line{'s' if len(mistakes) > 1 else ''}.",
            why="\n".join(shown),
            do="Correct the lines; see `fedpet help FP-2191`.",
            code=CODE,
        )
    return Fixes(by_patient=found, lines=lines)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines below the header, with their numbers."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise _unreadable(f"it is larger than {BYTES_MAX // 1_000_000} MB")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _unreadable("it is not in UTF-8") from None
    except OSError as error:
        raise _unreadable(str(error.strerror).lower()) from None
    first = text.partition("\n")[0]
    separator = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise _unreadable(f"line {reader.line_num}: {error}") from None
    head = tuple(cell.strip().lower() for cell in rows[0][1]) if rows else ()
    if head != HEADER:
        raise _unreadable(f"its first line is not '{','.join(HEADER)}'")
    return rows[1:]


def _unreadable(reason: str) -> DataError:
    return DataError(
        f"{FILE} cannot be read: {reason}.",
        do="Save it as CSV (UTF-8) with the columns subject, field and value.",
        code=CODE,
    )


def _read(name: str, text: str) -> tuple[float | str | None, str]:
    """Return the value of a field, or None and what is wrong with it."""
    if name in NUMBERS:
        low, high = NUMBERS[name]
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            return None, f"{name} is '{text[:20]}', expected a number from {low:g} to {high:g}."
        return value, ""
    if name == "sex":
        if text not in ("M", "F", "O"):
            return None, f"sex is '{text[:20]}', expected M, F or O."
        return text, ""
    if name == "injection_datetime":
        match = MOMENT.fullmatch(text)
        moment = clock.join(match[1], match[2]) if match else None
        if moment is None:
            return None, f"{name} is '{text[:30]}', expected YYYY-MM-DDTHH:MM:SS."
        return moment, ""
    return None, f"field is '{name[:30]}', expected one of {', '.join(FIELDS)}."


def _with(so_far: Corrections, name: str, value: float | str) -> Corrections:
    """Return the corrections with one more."""
    if isinstance(value, str):
        return replace(so_far, sex=value)
    match name:
        case "weight_kg":
            return replace(so_far, weight_kg=value)
        case "height_m":
            return replace(so_far, height_m=value)
        case "dose_bq":
            return replace(so_far, dose_bq=value)
        case _:
            return replace(so_far, injection=value)
