"""The lesions of a cohort as files that a viewer opens: what was measured, or what is proposed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedpet.cohort.inputs import Inputs, read_inputs
from fedpet.cohort.measured import by_weight, lesions_of
from fedpet.errors import DataError, StoreError
from fedpet.imaging.lesions import METHODS
from fedpet.imaging.scan import read_scan

if TYPE_CHECKING:
    from fedpet.imaging.pairing import Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionsWritten:
    """One scan's lesions are on disk, or why not.

    Args:
        subject: Pseudonym.
        number: How many scans are done.
        total: How many there are.
        method: `given`, a method, or `missing`.
        lesions: How many.
        volume_ml: Their volume.
        file: Name of the file; empty if none was written.
        problem: Why none was; empty if one was.
    """

    subject: str
    number: int
    total: int
    method: str
    lesions: int
    volume_ml: float
    file: str
    problem: str = ""


def write_lesions(
    folder: Path, out: Path, *, method: str | None = None
) -> Iterator[LesionsWritten]:
    """Write the lesions of each scan of a hospital as DICOM SEG on its PET.

    Args:
        folder: The hospital's folder.
        out: Where the files go, one per subject, named by pseudonym; made if absent.
        method: `given` or a method in place of the one in cohort.toml.

    Yields:
        One record per scan.

    Raises:
        NotFoundError: If a file of the folder is absent.
        DataError: If the method is unknown or a file cannot be used.
        StoreError: If `out` cannot be written.
    """
    if method is not None and method not in ("given", *METHODS):
        raise DataError(
            f"The lesion method '{method:.40}' is unknown.",
            do=f"Use given, {', '.join(METHODS)}.",
        )
    inputs = read_inputs(folder, make_key=False)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        raise StoreError(
            "The folder for the lesions cannot be made.", do="Name one that may be written."
        ) from None
    scans = inputs.index().scans
    for number, scan in enumerate(scans, start=1):
        subject = inputs.pseudonyms.of(scan.patient_id)
        told = LesionsWritten(
            subject=subject,
            number=number,
            total=len(scans),
            method="missing",
            lesions=0,
            volume_ml=0.0,
            file="",
        )
        try:
            yield _write(inputs, scan, out / f"{subject}.dcm", told, method)
        except DataError as error:
            yield replace(told, problem=f"{error.title} {error.why}".strip())


def _write(
    inputs: Inputs, scan: Scan, path: Path, told: LesionsWritten, method: str | None
) -> LesionsWritten:
    # A slow library that only this command needs.
    from fedpet.imaging.segments import write_segmentation

    rules = inputs.settings.rules
    if method is not None:
        rules = replace(rules, lesions=method)
    images = read_scan(scan, corrections=inputs.fixes.of(scan.patient_id))
    found = lesions_of(images, by_weight(images), rules)
    if found.labels is None or not found.labels.array.any():
        why = "; ".join(one.text for one in (*images.remarks, *found.remarks) if one.code in WHY)
        return replace(told, method=found.name, problem=why or "No lesion.")
    write_segmentation(found.labels, scan.pet, path, method=found.name)
    return replace(
        told,
        method=found.name,
        lesions=int(found.labels.array.max()),
        volume_ml=float((found.labels.array > 0).sum()) * found.labels.grid.voxel_ml,
        file=path.name,
    )


WHY = frozenset(("FP-2140", "FP-2141", "FP-2145"))
