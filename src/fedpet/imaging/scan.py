"""A scan read: SUV, CT, lesions, and which rules gave them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fedpet.errors import DataError
from fedpet.imaging import clock, tags
from fedpet.imaging.contours import Drawn, read_structures
from fedpet.imaging.grid import place_labels
from fedpet.imaging.header import parse_numbers
from fedpet.imaging.nifti import read_nifti_mask
from fedpet.imaging.pairing import MaskFile, Scan, overlap
from fedpet.imaging.pixels import read_ct, read_pet
from fedpet.imaging.remarks import Remark
from fedpet.imaging.segmentation import read_segmentation
from fedpet.imaging.series import Series
from fedpet.imaging.suv import PetFacts, SuvProvenance, to_suv
from fedpet.imaging.volume import Volume

OVERLAP_MIN = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What a scan becomes.

    Args:
        suv: float32 body-weight SUV in g/mL on the PET's own grid.
        ct: int16 HU on the CT's own grid; None without CT.
        lesions: uint16 labels on the PET's grid, one per lesion; None without a usable mask.
        provenance: Which rules gave the SUV.
        remarks: What a person should know.
    """

    suv: Volume
    ct: Volume | None
    lesions: Volume | None
    provenance: SuvProvenance
    remarks: tuple[Remark, ...]


def read_scan(scan: Scan) -> Images:
    """Read the PET as SUV, the CT as HU and the lesion mask on the PET's grid.

    A CT or mask that cannot be read is left out with a remark; a PET that cannot be converted is
    an error.

    Raises:
        DataError: If weight, dose, half life or times are missing or implausible, units are not
            quantitative, a file is damaged, or a voxel is not a finite number.
    """
    scale = to_suv(pet_facts(scan.pet))
    suv = read_pet(scan.pet, scale.factors)
    remarks = [*scan.remarks, *scale.remarks, *_declared(scan.pet)]
    ct = None
    if scan.ct is not None:
        try:
            ct = read_ct(scan.ct)
        except DataError as error:
            remarks.append(Remark(code="FP-2144", text=f"{error} The CT was left out."))
        share = overlap(scan.pet, scan.ct)
        if share < OVERLAP_MIN:
            text = f"The CT covers {100 * share:.0f} % of the PET."
            remarks.append(Remark(code="FP-2136", text=text))
    lesions = None
    if scan.mask is not None:
        try:
            lesions, more = read_lesions(scan.mask, pet=scan.pet, ct=scan.ct)
            remarks += more
        except DataError as error:
            remarks.append(Remark(code="FP-2140", text=f"{error} The mask was left out."))
    return Images(
        suv=suv,
        ct=ct,
        lesions=lesions,
        provenance=scale.provenance,
        remarks=tuple(remarks),
    )


def pet_facts(series: Series) -> PetFacts:
    """Collect the header values that SUV depends on."""
    header = series.header
    source = header.first(tags.RADIOPHARMACEUTICAL)
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
        injection=clock.parse_datetime(source.text(tags.START_DATETIME)),
        injection_time=clock.parse_time(source.text(tags.START_TIME)),
        series=clock.join(header.text(tags.SERIES_DATE), header.text(tags.SERIES_TIME)),
        ge_scan=clock.parse_datetime(header.private(tags.GE_SCAN_DATETIME)),
        siemens_decay=clock.parse_datetime(header.private(tags.SIEMENS_DECAY_DATETIME)),
        philips_suv=_private_number(header.private(tags.PHILIPS_SUV)),
        philips_activity=_private_number(header.private(tags.PHILIPS_ACTIVITY)),
        acquired=tuple(one.acquired for one in series.slices),
        frame_reference_s=tuple(one.frame_reference_s for one in series.slices),
        frame_duration_s=tuple(one.frame_duration_s for one in series.slices),
    )


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


def read_lesions(
    mask: MaskFile, *, pet: Series, ct: Series | None
) -> tuple[Volume | None, list[Remark]]:
    """Read a mask and bring it to the PET's grid.

    Returns:
        uint16 labels, None if the mask holds no lesion; and remarks.

    Raises:
        DataError: If the mask is damaged or does not fit.
    """
    drawn_on = ct.grid if mask.target == "ct" and ct is not None else pet.grid
    if mask.kind == "NIFTI":
        grids = [pet.grid] if ct is None else [pet.grid, ct.grid]
        drawn = Drawn(labels=read_nifti_mask(mask.path, allowed=grids), regions=1, left_out=0)
    elif mask.kind == "RTSTRUCT":
        drawn = read_structures(mask.path, drawn_on)
    else:
        drawn = read_segmentation(mask.path)
    remarks = []
    if drawn.left_out:
        text = f"{drawn.left_out} region(s) of the mask are organs or margins by their names."
        remarks.append(Remark(code="FP-2142", text=text))
    if drawn.labels is None:
        text = f"None of the mask's regions is a lesion ({drawn.left_out} left out)."
        return None, [Remark(code="FP-2141", text=text)]
    placed = place_labels(drawn.labels, pet.grid)
    if drawn.labels.array.any() and not placed.array.any():
        raise DataError(
            "The lesion mask lies outside of the PET.",
            do="Check that it belongs to this scan.",
            code="FP-2117",
        )
    return replace(placed, array=np.ascontiguousarray(placed.array)), remarks
