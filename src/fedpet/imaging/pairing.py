"""Which PET stands for a subject, which CT belongs to it, and which mask shows its lesions.

Every choice follows a stated rule, and whatever is not chosen is recorded with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fedpet.imaging import tags
from fedpet.imaging.header import Header
from fedpet.imaging.remarks import Rejected, Remark
from fedpet.imaging.series import Series

QUANTITATIVE: Final = ("BQML", "GML", "CM2ML", "CNTS")
DERIVED_VIEWS: Final = frozenset(
    ("MIP", "PROJECTION", "PROJECTION IMAGE", "REFORMATTED", "MPR", "LOCALIZER", "SCREEN SAVE")
)
IMAGE_CLASSES: Final = {
    "PT": ("1.2.840.10008.5.1.4.1.1.128",),
    "CT": ("1.2.840.10008.5.1.4.1.1.2",),
}
PET_CLASS = IMAGE_CLASSES["PT"][0]
EXTENT_STEP_MM = 20.0
SOFT_KERNEL_HARD_SIGNS: Final = ("LUNG", "BONE", "SHARP", "B6", "B7", "B8", "BR6", "BL5", "EDGE")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFile:
    """A file that may show the lesions of a subject.

    Args:
        path: The file.
        kind: `SEG`, `RTSTRUCT` or `NIFTI`.
        patient_id: (0010,0020), or the file's name for NIfTI.
        series_uid: Its own series; empty for NIfTI.
        frame_uid: Frame of reference; empty for NIfTI.
        references: Series that it was drawn on; empty if it names none.
        on_pet: Whether it names PET images.
        date: Date and time as text, for choosing the newest.
        target: `pet` or `ct`: the volume it was drawn on; set when it is chosen.
        size: Bytes.
        modified_ns: Time of the last change.
    """

    path: str
    kind: str
    patient_id: str
    series_uid: str = ""
    frame_uid: str = ""
    references: tuple[str, ...] = ()
    on_pet: bool = False
    date: str = ""
    target: str = "pet"
    size: int = 0
    modified_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The PET-CT of one subject: one PET, the CT and the lesion mask that belong to it.

    Args:
        patient_id: (0010,0020); stays in the hospital.
        pet: The PET.
        ct: Its CT; None if there is none in the same frame of reference.
        mask: Its lesion mask; None if there is none.
        remarks: What the choice left to say.
    """

    patient_id: str
    pet: Series
    ct: Series | None
    mask: MaskFile | None
    remarks: tuple[Remark, ...] = field(default=())

    @property
    def date(self) -> str:
        """Study date of the PET, YYYYMMDD; empty if absent."""
        return self.pet.date

    def content_digest(self) -> str:
        """Return a digest that changes with any file or header value of the scan."""
        digest = hashlib.sha256(self.pet.content_digest().encode())
        digest.update(b"-" if self.ct is None else self.ct.content_digest().encode())
        if self.mask is not None:
            mask = self.mask
            digest.update(f"{mask.kind} {mask.series_uid} {mask.target}".encode())
            digest.update(f"{mask.size} {mask.modified_ns}".encode())
        return digest.hexdigest()


def objection(header: Header) -> str:
    """Tell why a series is not a candidate, by its header alone; empty if it is one."""
    modality = header.text(tags.MODALITY)
    classes = IMAGE_CLASSES.get(modality)
    if classes is None:
        return f"It is {modality or 'of no modality'}, neither PET, CT nor a lesion mask."
    if header.text(tags.SOP_CLASS) not in classes:
        return "It is not stored as single-frame image (enhanced or secondary capture)."
    views = DERIVED_VIEWS & {word.upper() for word in header.words(tags.IMAGE_TYPE)}
    if views:
        return f"It is a derived view ({', '.join(sorted(views))}), not a volume."
    return _objection_to_pet(header) if modality == "PT" else ""


def _objection_to_pet(header: Header) -> str:
    kinds = header.words(tags.SERIES_TYPE)
    if "REPROJECTION" in kinds:
        return "It is a reprojection, not a volume."
    for kind in ("DYNAMIC", "GATED"):
        if kind in kinds:
            return f"It is {kind.lower()}; only static and whole-body PET are read."
    corrected = header.words(tags.CORRECTED_IMAGE)
    if "ATTN" not in corrected:
        return "It is not attenuation corrected: (0028,0051) lacks ATTN."
    if "DECY" not in corrected and header.text(tags.DECAY_CORRECTION) != "NONE":
        return "It does not say that decay was corrected: (0028,0051) lacks DECY."
    units = header.text(tags.UNITS)
    if units not in QUANTITATIVE:
        return f"Its units (0054,1001) are '{units}', not activity or SUV."
    if header.number(tags.INTERCEPT) not in (None, 0.0):
        return "Its rescale intercept is not zero."
    return ""


def choose_pet(candidates: Sequence[Series]) -> tuple[Series | None, list[Rejected], list[Remark]]:
    """Choose the PET of one subject.

    Earliest study date (baseline) first; then original before derived, the longest (in steps of
    20 mm), EARL-compliant by its description, the lowest series number. Two that are equal in all
    of these are both refused.

    Args:
        candidates: Complete PET series of one subject, at least one.

    Returns:
        The PET (None if the choice is not clear), the others with reasons, remarks.
    """
    ranked = sorted(candidates, key=lambda one: (*_pet_rank(one), _number(one), one.series_uid))
    best, others = ranked[0], ranked[1:]
    rejected, remarks = [], []
    equals = [one for one in others if _pet_rank(one) == _pet_rank(best)]
    if any(_number(one) == _number(best) for one in equals):
        reason = "Two reconstructions are equal by every rule; keep one in the folder."
        return None, [_left_aside(one, reason) for one in ranked], []
    for one in others:
        if one.date != best.date:
            reason = "An earlier PET of the subject is used."
        elif one in equals:
            reason = "Another reconstruction with a lower series number is used."
        else:
            reason = "Another PET of that day is used: original, longer or EARL-compliant."
        rejected.append(_left_aside(one, reason))
    if equals:
        text = (
            f"{len(equals) + 1} reconstructions are equal but for their series number; "
            f"number {_number(best):g} was used."
        )
        remarks.append(Remark(code="FP-2138", text=text))
    return best, rejected, remarks


def _pet_rank(series: Series) -> tuple[str, bool, float, bool]:
    original = series.header.words(tags.IMAGE_TYPE)[:2] == ("ORIGINAL", "PRIMARY")
    words = f"{series.description} {series.header.text(tags.RECONSTRUCTION)}".upper()
    extent = -(_length_mm(series) // EXTENT_STEP_MM)
    return series.date or "99999999", not original, extent, "EARL" not in words


def _number(series: Series) -> float:
    number = series.header.number(tags.SERIES_NUMBER)
    return 1e9 if number is None else number


def _length_mm(series: Series) -> float:
    return series.grid.shape[0] * series.grid.spacing_mm[0]


def _left_aside(series: Series, reason: str) -> Rejected:
    return Rejected(
        patient_id=series.patient_id,
        series=series.series_uid,
        modality=series.modality,
        reason=reason,
        files=len(series.slices),
    )


def choose_ct(pet: Series, candidates: Sequence[Series]) -> tuple[Series | None, list[Rejected]]:
    """Choose the CT of a PET: in its frame of reference, and overlapping it most.

    Then the same study, a soft kernel, the thinnest slices, the lowest series number.

    Returns:
        The CT or None, and the others with reasons.
    """
    fitting, rejected = [], []
    for one in candidates:
        if not pet.frame_uid or one.frame_uid != pet.frame_uid:
            rejected.append(_left_aside(one, "It shares no frame of reference with the PET used."))
        elif overlap(pet, one) <= 0:
            rejected.append(_left_aside(one, "It does not overlap the PET used."))
        else:
            fitting.append(one)
    fitting.sort(key=lambda one: _ct_rank(pet, one))
    rejected += [_left_aside(one, "Another CT fits the PET better.") for one in fitting[1:]]
    return (fitting[0] if fitting else None), rejected


def _ct_rank(pet: Series, ct: Series) -> tuple[float, bool, bool, float, float, str]:
    kernel = ct.header.text(tags.CONVOLUTION_KERNEL).upper()
    return (
        -round(overlap(pet, ct), 2),
        ct.study_uid != pet.study_uid,
        any(kernel.startswith(sign) for sign in SOFT_KERNEL_HARD_SIGNS),
        ct.grid.spacing_mm[0],
        _number(ct),
        ct.series_uid,
    )


def overlap(pet: Series, ct: Series) -> float:
    """Return the share of the PET's length that the CT covers, 0 to 1."""
    normal = np.array(pet.grid.direction[0])
    low, high = _range(pet, normal)
    other_low, other_high = _range(ct, normal)
    return max(0.0, min(high, other_high) - max(low, other_low)) / (high - low)


def _range(
    series: Series, normal: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> tuple[float, float]:
    ends = sorted(
        float(np.array(one.position) @ normal) for one in (series.slices[0], series.slices[-1])
    )
    half = series.grid.spacing_mm[0] / 2
    return ends[0] - half, ends[1] + half


def choose_mask(
    pet: Series, ct: Series | None, candidates: Sequence[MaskFile]
) -> tuple[MaskFile | None, str, list[Rejected]]:
    """Choose the lesion mask of a PET-CT.

    A mask drawn on this PET comes first, then on this CT, then a NIfTI named after the subject,
    then one that shares only the frame of reference (drawn on PET before CT). Among equals the
    newest is taken; among equally new ones none.

    Returns:
        The mask or None, `pet` or `ct` for what it was drawn on, and the others with reasons.
    """
    ranked = []
    rejected = []
    seen: set[tuple[str, str, int]] = set()
    for one in candidates:
        copy = (one.kind, one.series_uid or one.path, one.size)
        if copy in seen:
            rejected.append(_mask_aside(one, "It is a copy of a mask in the folder."))
            continue
        seen.add(copy)
        rank, target = _mask_rank(pet, ct, one)
        if target:
            ranked.append((rank, one, target))
        else:
            reason = "It was drawn on no image that is used."
            rejected.append(_mask_aside(one, reason))
    if not ranked:
        return None, "pet", rejected
    top = min(rank for rank, _, _ in ranked)
    newest = max(one.date for rank, one, _ in ranked if rank == top)
    chosen = [entry for entry in ranked if entry[0] == top and entry[1].date == newest]
    if len(chosen) > 1:
        reason = "Several masks are equally new; keep one in the folder."
        rejected += [_mask_aside(one, reason) for _, one, _ in ranked]
        return None, "pet", rejected
    _, best, target = chosen[0]
    rejected += [
        _mask_aside(one, "Another mask fits better or is newer.")
        for _, one, _ in ranked
        if one is not best
    ]
    return best, target, rejected


def _mask_rank(pet: Series, ct: Series | None, mask: MaskFile) -> tuple[int, str]:
    if mask.kind == "NIFTI":
        return 2, "pet"
    if pet.series_uid in mask.references:
        return 0, "pet"
    if ct is not None and ct.series_uid in mask.references:
        return 1, "ct"
    if not mask.frame_uid or mask.frame_uid != pet.frame_uid:
        return 9, ""
    if mask.on_pet or ct is None:
        return 3, "pet"
    return 4, "ct"


def _mask_aside(mask: MaskFile, reason: str) -> Rejected:
    return Rejected(
        patient_id=mask.patient_id,
        series=mask.series_uid,
        modality=mask.kind,
        reason=reason,
    )
