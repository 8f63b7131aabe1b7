"""A messy folder to one PET-CT per subject, by header alone; nothing trusts names or endings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedpet.imaging.gathering import Holding, look_through
from fedpet.imaging.mask_files import MaskFile, choose_mask, mask_aside
from fedpet.imaging.pairing import Scan, aside, choose_ct, choose_pet
from fedpet.imaging.remarks import Rejected, Remark
from fedpet.imaging.rules import Rules
from fedpet.imaging.series import Series

NO_PET = "There is no usable PET of this subject."
NO_SUBJECT = "It has no (0010,0020) Patient ID."
TWO_SUBJECTS = "The same images stand under two patient ids; keep one of them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a folder holds.

    Args:
        scans: One per subject, by patient id.
        rejected: Everything else that is DICOM or a mask, with reasons.
        files: Number of files looked at.
    """

    scans: tuple[Scan, ...]
    rejected: tuple[Rejected, ...]
    files: int


def find_scans(
    images: Path,
    *,
    masks: Path | None = None,
    rules: Rules | None = None,
    workers: int = 1,
) -> Index:
    """Find the PET-CT of each subject in a folder of DICOM files.

    Args:
        images: Any tree of files, zip archives among them, or one archive or file; what is not
            DICOM is passed over.
        masks: Folder of NIfTI masks named `<PatientID>.nii.gz` or `.nii`, if there are any.
        rules: What the hospital says about the choice.
        workers: Processes at most that look at files.

    Returns:
        One scan per subject and the reason for every series that is not used.

    Raises:
        DataError: If the folder does not exist or holds no DICOM file.

    Source:
        Grouping and filters: DICOM PS3.3 C.8.9; rules in `pairing` and `objections`.
    """
    return choose(look_through(images, masks=masks, workers=workers), rules or Rules())


def choose(holding: Holding, rules: Rules) -> Index:
    """Choose one PET-CT for each subject from what a folder holds."""
    rejected = list(holding.rejected)
    volumes: dict[str, list[Series]] = defaultdict(list)
    for volume in holding.volumes:
        volumes[volume.patient_id].append(volume)
    masks: dict[str, list[MaskFile]] = defaultdict(list)
    for mask in holding.masks:
        masks[mask.patient_id].append(mask)
    scans = []
    for patient in sorted(volumes):
        scan, others = _pair(patient, volumes[patient], masks.pop(patient, []), rules)
        rejected += others
        if scan is not None:
            scans.append(scan)
    rejected += [mask_aside(mask, NO_PET) for left in masks.values() for mask in left]
    kept, twice = _without_doubles(scans)
    return Index(scans=tuple(kept), rejected=(*rejected, *twice), files=holding.files)


def _pair(
    patient: str, volumes: Sequence[Series], masks: Sequence[MaskFile], rules: Rules
) -> tuple[Scan | None, list[Rejected]]:
    if not patient:
        return None, [aside(one, NO_SUBJECT, usable=False) for one in volumes]
    cts = [one for one in volumes if one.modality == "CT"]
    pets = [one for one in volumes if one.modality == "PT"]
    pet, rejected, remarks = choose_pet(pets, rules)
    if pet is None:
        rejected += [aside(one, NO_PET, usable=False) for one in cts]
        return None, rejected + [mask_aside(one, NO_PET) for one in masks]
    ct, others, more = choose_ct(pet, cts, rules)
    mask, target, left = choose_mask(pet, ct, masks, rules)
    scan = Scan(
        patient_id=patient,
        pet=pet,
        ct=ct,
        mask=None if mask is None else replace(mask, target=target),
        remarks=(*remarks, *_doubled((pet, ct)), *more),
    )
    return scan, [*rejected, *others, *left]


def _doubled(chosen: Iterable[Series | None]) -> list[Remark]:
    return [
        Remark(
            code="FP-2137",
            text=f"{one.dropped} slice(s) of the {one.modality} lie twice in the folder.",
        )
        for one in chosen
        if one is not None and one.dropped
    ]


def _without_doubles(scans: Sequence[Scan]) -> tuple[list[Scan], list[Rejected]]:
    """Leave out scans whose very images stand under another patient id as well.

    One patient counted twice would be known to a model before it is tested on him.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        owners[scan.pet.slices[0].instance_uid].add(scan.patient_id)
    kept, rejected = [], []
    for scan in scans:
        uid = scan.pet.slices[0].instance_uid
        if uid and len(owners[uid]) > 1:
            rejected.append(aside(scan.pet, TWO_SUBJECTS))
            rejected += [aside(scan.ct, TWO_SUBJECTS)] if scan.ct is not None else []
            rejected += [mask_aside(scan.mask, TWO_SUBJECTS)] if scan.mask is not None else []
        else:
            kept.append(scan)
    return kept, rejected
