"""scans.csv: every series of a hospital's folder, whether it is used, and why.

The table names subjects and series by keyed digests and holds no description, date or number of a
patient; it stays in the hospital. Its column `override` belongs to people; see `choices`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Literal, TypeAlias

from fedpet.cohort.choices import CODE, SCANS, Choices, series_digest
from fedpet.cohort.inputs import read_inputs
from fedpet.cohort.manifest import write_private
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.cohort.quality import day_of
from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.index import Index
from fedpet.imaging.mask_files import MaskFile
from fedpet.imaging.pairing import Scan
from fedpet.imaging.remarks import Rejected
from fedpet.imaging.series import Series

Role: TypeAlias = Literal["chosen", "rejected"]
BY_RULE = "It is used, by the rules."
BY_PERSON = "It is used, as the hospital decided."


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRow:
    """One series, mask or group of files.

    Args:
        subject: Pseudonym; empty where the files name nobody.
        series: Keyed digest; empty where there is no series, as of damaged files.
        modality: PT, CT, SEG, RTSTRUCT, NIFTI or what the files say.
        role: `chosen` or `rejected`.
        reason: One sentence.
        override: `chosen`, `excluded` or nothing: what a person wrote into this column.
        day: Days from the subject's first series; None if a date is missing.
        number: (0020,0011) Series Number; empty if it is no number.
        files: How many.
        slices: Slices, 0 if it is no volume.
        rows: Rows.
        columns: Columns.
        slice_mm: Distance of the slices in mm.
        pixel_mm: Distance of the rows in mm.
    """

    subject: str
    series: str
    modality: str
    role: Role
    reason: str
    override: str
    day: int | None
    number: str
    files: int
    slices: int = 0
    rows: int = 0
    columns: int = 0
    slice_mm: float = 0.0
    pixel_mm: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a hospital's folder holds, series by series.

    Args:
        rows: By subject.
        files: Number of files looked at.
        problem: Decisions that cannot be followed; the rows then stand without any.
    """

    rows: tuple[ScanRow, ...]
    files: int
    problem: DataError | None = None


def look(folder: Path) -> Looked:
    """Look through a hospital's folder and write its scans.csv.

    The file stays as it is where it, or choices.csv, holds a decision that cannot be followed.

    Args:
        folder: The hospital's folder.

    Raises:
        NotFoundError: If a file of the folder is absent.
        DataError: If a file cannot be used, or there are no images.
    """
    inputs = read_inputs(folder)
    problem = None
    try:
        index = inputs.index()
    except DataError as error:
        if error.code != CODE:
            raise
        problem, inputs = error, replace(inputs, choices=Choices())
        index = inputs.index()
    rows = scan_rows(index, inputs.choices, inputs.pseudonyms)
    if problem is None:
        write_scan_table(rows, folder)
    return Looked(rows=rows, files=index.files, problem=problem)


def scan_rows(index: Index, choices: Choices, pseudonyms: Pseudonyms) -> tuple[ScanRow, ...]:
    """Return one row for every series, by subject, those used first.

    Args:
        index: Of the folder.
        choices: Of people.
        pseudonyms: With the hospital's key.
    """
    told = [_told(one) for scan in index.scans for one in _used(scan)]
    entries = [(one, True) for one in told] + [(one, False) for one in index.rejected]
    first: dict[str, date] = {}
    for one, _ in entries:
        day = day_of(one.date)
        if day is not None:
            first[one.patient_id] = min(day, first.get(one.patient_id, day))
    rows = []
    for one, used in entries:
        series = series_digest(one.identity, pseudonyms)
        decided = choices.of(series) if series else None
        day, start = day_of(one.date), first.get(one.patient_id)
        shape, spacing = one.shape or (0, 0, 0), one.spacing_mm or (0.0, 0.0, 0.0)
        rows.append(
            ScanRow(
                subject=pseudonyms.of(one.patient_id) if one.patient_id else "",
                series=series,
                modality=one.modality if one.modality.isalnum() else "",
                role="chosen" if used else "rejected",
                reason=(BY_PERSON if decided else BY_RULE) if used else one.reason,
                override=decided.word if decided and decided.place.startswith(SCANS) else "",
                day=None if day is None or start is None else (day - start).days,
                number=one.number if one.number.isdigit() else "",
                files=one.files,
                slices=shape[0],
                rows=shape[1],
                columns=shape[2],
                slice_mm=round(spacing[0], 3),
                pixel_mm=round(spacing[1], 3),
            )
        )
    return tuple(sorted(rows, key=_order))


def _order(row: ScanRow) -> tuple[str, bool, str, str, str]:
    return row.subject, row.role == "rejected", row.modality, row.series, row.reason


def _used(scan: Scan) -> list[Series | MaskFile]:
    return [one for one in (scan.pet, scan.ct, scan.mask) if one is not None]


def _told(one: Series | MaskFile) -> Rejected:
    """Return what is used in the form of what is not."""
    if isinstance(one, MaskFile):
        return Rejected(
            patient_id=one.patient_id,
            series=one.series_uid,
            modality=one.kind,
            reason="",
            identity=one.identity,
            date=one.date[:8],
            number=one.number,
        )
    return Rejected(
        patient_id=one.patient_id,
        series=one.series_uid,
        modality=one.modality,
        reason="",
        files=one.files,
        identity=one.identity,
        date=one.date,
        number=one.header.text(tags.SERIES_NUMBER),
        shape=one.grid.shape,
        spacing_mm=one.grid.spacing_mm,
    )


def write_scan_table(rows: Sequence[ScanRow], folder: Path) -> Path:
    """Write scans.csv of a hospital's folder, readable by its owner only; return the file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(ScanRow))
    for row in rows:
        writer.writerow("" if cell is None else cell for cell in astuple(row))
    path = folder / SCANS
    write_private(path, text.getvalue().encode())
    return path
