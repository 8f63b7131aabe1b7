"""How the SUV of each scan of a hospital comes about, for the physicist who checks it by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedpet.cohort.inputs import Inputs, read_inputs
from fedpet.errors import DataError, NotFoundError
from fedpet.imaging.pairing import Scan
from fedpet.imaging.plausibility import Plausibility, about_dose, judge
from fedpet.imaging.provenance import SuvProvenance, worked_lines
from fedpet.imaging.remarks import Remark
from fedpet.imaging.scan import pet_facts, read_scan
from fedpet.imaging.suv import to_suv


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """The SUV decision of one scan.

    Args:
        subject: Pseudonym.
        provenance: Rules and numbers; None if the scan cannot be converted.
        lines: The decision in words, with its formula filled in.
        remarks: Repairs, contradictions and doubts.
        plausibility: What physiology says; None where pixels were not read.
        refused: Why the scan cannot be converted; empty if it can.
        code: Of the refusal.
    """

    subject: str
    provenance: SuvProvenance | None = None
    lines: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    plausibility: Plausibility | None = None
    refused: str = ""
    code: str = ""


def work_out(folder: Path, *, subject: str = "") -> Iterator[Worked]:
    """Explain the SUV of every scan by its header, or of one scan with its pixels.

    Nothing needs to be built; nothing is written.

    Args:
        folder: The hospital's folder.
        subject: A pseudonym, or its beginning; empty for all scans.

    Yields:
        One for each scan, in the order of the index.

    Raises:
        NotFoundError: If no scan has the pseudonym, or a file of the folder is absent.
        DataError: If settings, dictionary or fixes.csv have mistakes.
    """
    inputs = read_inputs(folder, make_key=False)
    scans = [(inputs.pseudonyms.of(scan.patient_id), scan) for scan in inputs.index().scans]
    inputs.fixes.require_known([scan.patient_id for _, scan in scans])
    if not subject:
        for pseudonym, scan in scans:
            yield _by_header(inputs, pseudonym, scan)
        return
    chosen = [pair for pair in scans if pair[0].startswith(subject.lower())]
    if len(chosen) != 1:
        raise NotFoundError(
            f"{len(chosen) or 'No'} scans have a pseudonym that begins with '{subject:.20}'.",
            do="List all: fedpet cohort suv FOLDER",
        )
    yield _with_pixels(inputs, *chosen[0])


def _by_header(inputs: Inputs, pseudonym: str, scan: Scan) -> Worked:
    try:
        scale = to_suv(
            pet_facts(scan.pet),
            kind=inputs.settings.suv,
            corrections=inputs.fixes.of(scan.patient_id),
        )
    except DataError as error:
        return Worked(subject=pseudonym, refused=str(error), code=error.code)
    doses = about_dose(scale.provenance, height_m=scale.facts.height_m)
    remarks = (*scale.remarks, *doses)
    return Worked(
        subject=pseudonym,
        provenance=scale.provenance,
        lines=worked_lines(scale.provenance, remarks),
        remarks=remarks,
    )


def _with_pixels(inputs: Inputs, pseudonym: str, scan: Scan) -> Worked:
    told = _by_header(inputs, pseudonym, scan)
    if told.provenance is None:
        return told
    try:
        images = read_scan(
            scan, kind=inputs.settings.suv, corrections=inputs.fixes.of(scan.patient_id)
        )
    except DataError as error:
        return Worked(subject=pseudonym, refused=str(error), code=error.code)
    found = judge(images.suv, images.ct, images.provenance)
    remarks = (*images.remarks, *found.remarks)
    return Worked(
        subject=pseudonym,
        provenance=images.provenance,
        lines=(*worked_lines(images.provenance, remarks), *_measured(found)),
        remarks=remarks,
        plausibility=found,
    )


def _measured(found: Plausibility) -> list[str]:
    """Say what physiology says, and what it cannot say."""
    share = None if found.activity_share is None else 100 * found.activity_share
    rows = (
        ("liver, 3 cm sphere", found.liver_suv, "SUV by body weight (usual 1.3 to 3.0)"),
        ("blood pool, 2 cm sphere", found.blood_suv, "SUV by body weight (usual 0.8 to 3.0)"),
        ("mean of the body", found.body_suv, "SUV by body weight (usual 0.5 to 1.5)"),
        ("activity in the image", share, "% of the dose left at the scan (at most 110)"),
    )
    return [
        f"measured: {name}: " + ("not found" if value is None else f"{value:.3g} {unit}")
        for name, value, unit in rows
    ]
