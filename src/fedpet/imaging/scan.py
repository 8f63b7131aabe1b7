"""A scan read: SUV, CT, lesions, and which rules gave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fedpet.errors import DataError
from fedpet.imaging import clock, tags
from fedpet.imaging.body_size import Kind
from fedpet.imaging.facts import Corrections, PetFacts
from fedpet.imaging.header import Header, parse_numbers
from fedpet.imaging.hounsfield import read_ct
from fedpet.imaging.masks import Masks, read_masks
from fedpet.imaging.pairing import Scan, overlap
from fedpet.imaging.pixels import read_pet
from fedpet.imaging.plausibility import about_dose, about_saturation
from fedpet.imaging.provenance import SuvProvenance
from fedpet.imaging.remarks import Remark
from fedpet.imaging.series import Series
from fedpet.imaging.suv import to_suv
from fedpet.imaging.volume import Grid, Volume

OVERLAP_MIN = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What a scan becomes.

    Args:
        suv: float32 SUV on the PET's own grid, of the kind asked for; g/mL (cm2/mL by surface).
        ct: HU, int16 on the CT's own grid, or float32 averaged over whole voxels of it; None
            without CT.
        lesions: uint16 labels on the PET's grid, one per lesion; None without a usable mask.
        organs: Masks of organs by name, where they were drawn; see `masks`.
        provenance: Which rules gave the SUV.
        remarks: What a person should know.
    """

    suv: Volume
    ct: Volume | None
    lesions: Volume | None
    provenance: SuvProvenance
    remarks: tuple[Remark, ...]
    organs: Mapping[str, Volume] = field(default_factory=dict)


def read_scan(
    scan: Scan,
    *,
    kind: Kind = "bw",
    corrections: Corrections | None = None,
    fit: Callable[[Volume], Grid] | None = None,
) -> Images:
    """Read the PET as SUV, the CT as HU and the lesion mask on the PET's grid.

    A CT or mask that cannot be read is left out with a remark; a PET that cannot be converted is
    an error.

    Args:
        scan: As indexed.
        kind: Which SUV.
        corrections: What the hospital says in place of the header.
        fit: Gives the grid that the CT will be brought to, from the SUV; only what that grid can
            show of the CT is then read. None reads all of it.

    Raises:
        DataError: If weight, dose, half life or times are missing or implausible, units are not
            quantitative, a file is damaged, or a voxel is not a finite number.
    """
    scale = to_suv(pet_facts(scan.pet), kind=kind, corrections=corrections)
    suv = read_pet(scan.pet, scale.factors)
    remarks = [
        *scan.remarks,
        *scale.remarks,
        *_declared(scan.pet),
        *about_dose(scale.provenance, height_m=scale.facts.height_m),
        *about_saturation(scan.pet, suv, scale.factors),
    ]
    ct = None
    if scan.ct is not None:
        try:
            ct = read_ct(scan.ct, onto=None if fit is None else fit(suv))
        except DataError as error:
            remarks.append(Remark(code="FP-2144", text=f"{error} The CT was left out."))
        share = overlap(scan.pet, scan.ct)
        if share < OVERLAP_MIN:
            text = f"The CT covers {100 * share:.0f} % of the PET."
            remarks.append(Remark(code="FP-2136", text=text))
    masks = Masks(lesions=None)
    if scan.mask is not None:
        try:
            masks = read_masks(scan.mask, pet=scan.pet, ct=scan.ct)
            remarks += masks.remarks
        except DataError as error:
            remarks.append(Remark(code="FP-2140", text=f"{error} The mask was left out."))
    return Images(
        suv=suv,
        ct=ct,
        lesions=masks.lesions,
        organs=masks.organs,
        provenance=scale.provenance,
        remarks=tuple(remarks),
    )


def pet_facts(series: Series) -> PetFacts:
    """Collect the header values that SUV depends on."""
    header = series.header
    source = header.first(tags.RADIOPHARMACEUTICAL)
    zone = header.text(tags.TIMEZONE)
    day = header.text(tags.SERIES_DATE) or header.text(tags.STUDY_DATE)
    return PetFacts(
        units=header.text(tags.UNITS),
        suv_type=header.text(tags.SUV_TYPE),
        decay_correction=header.text(tags.DECAY_CORRECTION),
        corrected=header.words(tags.CORRECTED_IMAGE),
        weight_kg=header.number(tags.PATIENT_WEIGHT),
        height_m=header.number(tags.PATIENT_SIZE),
        sex=header.text(tags.PATIENT_SEX),
        dose_bq=source.number(tags.DOSE),
        half_life_s=source.number(tags.HALF_LIFE),
        injection=clock.parse_datetime(source.text(tags.START_DATETIME), zone),
        injection_time=clock.parse_time(source.text(tags.START_TIME)),
        series=clock.join(day, header.text(tags.SERIES_TIME)),
        ge_scan=clock.parse_datetime(header.private(tags.GE_SCAN_DATETIME), zone),
        siemens_decay=clock.parse_datetime(header.private(tags.SIEMENS_DECAY_DATETIME), zone),
        philips_suv=_private_number(header.private(tags.PHILIPS_SUV)),
        philips_activity=_private_number(header.private(tags.PHILIPS_ACTIVITY)),
        acquired=tuple(one.acquired for one in series.slices),
        frame_reference_s=tuple(one.frame_reference_s for one in series.slices),
        frame_duration_s=tuple(one.frame_duration_s for one in series.slices),
        sources=len({_injected(item) for item in header.items(tags.RADIOPHARMACEUTICAL)}),
    )


def _injected(item: Header) -> tuple[str, ...]:
    """Return what tells one injection from another."""
    told = (tags.DOSE, tags.HALF_LIFE, tags.START_TIME, tags.START_DATETIME)
    return tuple(item.text(tag) for tag in told)


def _private_number(text: str) -> float | None:
    """Read a vendor's factor; zero stands for absent (Philips)."""
    numbers = parse_numbers(text)
    return numbers[0] if numbers and numbers[0] > 0 else None


def _declared(pet: Series) -> list[Remark]:
    declared = pet.header.number(tags.SLICES_DECLARED)
    if declared is None or declared <= len(pet.slices):
        return []
    text = f"The PET has {len(pet.slices)} slices and declares {declared:.0f} in (0054,0081)."
    return [Remark(code="FP-2139", text=text)]
