"""Which PET stands for a subject, and which CT belongs to it.

Every choice follows a stated rule, and whatever is not chosen is recorded with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.mask_files import MaskFile as MaskFile
from fedpet.imaging.objections import LOSSY
from fedpet.imaging.pixels import read_stored
from fedpet.imaging.remarks import Rejected, Remark
from fedpet.imaging.rules import Rules
from fedpet.imaging.series import Series

EXTENT_STEP_MM = 20.0
WHOLE_SHARE = 0.9
UNDATED = "99999999"
SOFT_KERNEL_HARD_SIGNS: Final = ("LUNG", "BONE", "SHARP", "B6", "B7", "B8", "BR6", "BL5", "EDGE")
EARLIER = "An earlier PET of the subject is used."
NEARER = "A PET of the subject nearer to the start of treatment is used."
OTHER = "Another PET of that day is used: {rule}."
CHOSEN = "The hospital chose another one in scans.csv or choices.csv."
COPY = "It is a copy of the series that is used, under another number."


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


def aside(series: Series, reason: str, *, usable: bool = True) -> Rejected:
    """Record that a volume is not used, and why."""
    return Rejected(
        patient_id=series.patient_id,
        series=series.series_uid,
        modality=series.modality,
        reason=reason,
        files=series.files,
        identity=series.identity,
        date=series.date,
        number=series.header.text(tags.SERIES_NUMBER),
        shape=series.grid.shape,
        spacing_mm=series.grid.spacing_mm,
        usable=usable,
    )


def choose_pet(
    candidates: Sequence[Series], rules: Rules
) -> tuple[Series | None, list[Rejected], list[Remark]]:
    """Choose the PET of one subject.

    The hospital's own choice goes first. Else the day: the last on or before the start of
    treatment, the first one if that is not known or none lies before. Of that day: where the
    hospital prefers a reconstruction, those of at least 90 % of the greatest length in that order;
    then original before derived, the longest (in steps of 20 mm), EARL-compliant by its
    description. Of two that are equal in all of these, the second is left aside if it is a copy;
    otherwise the subject has no PET until a person decides.

    Args:
        candidates: Complete PET series of one subject.
        rules: Of the hospital.

    Returns:
        The PET (None if there is none or the choice is not clear), the others with reasons,
        remarks.
    """
    rejected = []
    open_ones = []
    for one in candidates:
        if one.identity in rules.excluded:
            rejected.append(aside(one, rules.EXCLUDED))
        elif one.reservation and one.identity not in rules.chosen:
            rejected.append(aside(one, one.reservation))
        else:
            open_ones.append(one)
    if chosen := [one for one in open_ones if one.identity in rules.chosen]:
        best = chosen[0]
        rejected += [aside(one, CHOSEN) for one in open_ones if one is not best]
        return best, rejected, []
    if not open_ones:
        return None, rejected, []
    day, reason = _baseline(open_ones, rules)
    rejected += [aside(one, reason(one)) for one in open_ones if _day(one) != day]
    best_or_none, others, remarks = _best([one for one in open_ones if _day(one) == day], rules)
    return best_or_none, rejected + others, remarks


class _Reason:
    """Why a PET of another day is not used."""

    def __init__(self, day: str, origin: str) -> None:
        self.day, self.origin = day, origin

    def __call__(self, series: Series) -> str:
        return NEARER if self.origin and _day(series) < self.day else EARLIER


def _baseline(candidates: Sequence[Series], rules: Rules) -> tuple[str, _Reason]:
    origin = rules.origins.get(candidates[0].patient_id, "")
    days = sorted({_day(one) for one in candidates})
    before = [day for day in days if day <= origin]
    day = before[-1] if before else days[0]
    return day, _Reason(day, origin)


def _day(series: Series) -> str:
    return series.date or UNDATED


def _best(
    candidates: Sequence[Series], rules: Rules
) -> tuple[Series | None, list[Rejected], list[Remark]]:
    """Choose among the PET series of one day."""
    longest = max(_length_mm(one) for one in candidates)
    ranks = {id(one): _rank(one, rules, longest) for one in candidates}
    ranked = sorted(candidates, key=lambda one: (ranks[id(one)], _number(one), one.series_uid))
    best, others = ranked[0], ranked[1:]
    equals = [one for one in others if ranks[id(one)] == ranks[id(best)]]
    copies = [one for one in equals if _same_content(best, one)]
    if len(copies) < len(equals):
        numbers = ", ".join(f"{_number(one):g}" for one in ranked if one not in copies)
        reason = (
            f"{1 + len(equals) - len(copies)} reconstructions are equal by every rule "
            f"(series numbers {numbers}); choose one in scans.csv or choices.csv, or set prefer "
            "in cohort.toml."
        )
        return None, [aside(one, reason) for one in ranked], []
    rejected = [aside(one, COPY) for one in copies]
    rule = "original, longer or EARL-compliant"
    if rules.prefer:
        rule = "the hospital's preference, then original, longer or EARL-compliant"
    left = [one for one in others if one not in copies]
    rejected += [aside(one, OTHER.format(rule=rule)) for one in left]
    remarks = []
    if left:
        text = f"{1 + len(left)} reconstructions; number {_number(best):g} was used ({rule})."
        remarks.append(Remark(code="FP-2138", text=text))
    return best, rejected, remarks


def _rank(series: Series, rules: Rules, longest: float) -> tuple[bool, int, bool, float, bool]:
    original = series.header.words(tags.IMAGE_TYPE)[:2] == ("ORIGINAL", "PRIMARY")
    words = f"{series.description} {series.header.text(tags.RECONSTRUCTION)}".upper()
    length = _length_mm(series)
    short = bool(rules.prefer) and length < WHOLE_SHARE * longest
    place = rules.preference(series)
    return short, place, not original, -(length // EXTENT_STEP_MM), "EARL" not in words


def _same_content(a: Series, b: Series) -> bool:
    """Tell whether two series hold the same pixels on the same grid."""
    if a.grid != b.grid or len(a.slices) != len(b.slices):
        return False
    try:
        return all(
            (one.slope, one.intercept) == (other.slope, other.intercept)
            and bool(np.array_equal(read_stored(one, a.pixels), read_stored(other, b.pixels)))
            for one, other in zip(a.slices, b.slices, strict=True)
        )
    except DataError:
        return False


def _number(series: Series) -> float:
    number = series.header.number(tags.SERIES_NUMBER)
    return 1e9 if number is None else number


def _length_mm(series: Series) -> float:
    return series.grid.shape[0] * series.grid.spacing_mm[0]


def choose_ct(
    pet: Series, candidates: Sequence[Series], rules: Rules
) -> tuple[Series | None, list[Rejected], list[Remark]]:
    """Choose the CT of a PET: in its frame of reference, and overlapping it most.

    Then the same study, as it was reconstructed, a soft kernel, the thinnest slices, the lowest
    series number. The hospital's own choice goes before, but only in the frame of the PET.

    Returns:
        The CT or None, the others with reasons, remarks.
    """
    fitting, rejected = [], []
    for one in candidates:
        if one.identity in rules.excluded:
            rejected.append(aside(one, rules.EXCLUDED))
        elif not pet.frame_uid or one.frame_uid != pet.frame_uid:
            reason = "It shares no frame of reference with the PET used."
            rejected.append(aside(one, reason, usable=False))
        elif overlap(pet, one) <= 0:
            rejected.append(aside(one, "It does not overlap the PET used.", usable=False))
        elif one.reservation and one.identity not in rules.chosen:
            rejected.append(aside(one, one.reservation))
        else:
            fitting.append(one)
    fitting.sort(key=lambda one: (one.identity not in rules.chosen, *_ct_rank(pet, one)))
    rejected += [aside(one, "Another CT fits the PET better.") for one in fitting[1:]]
    if not fitting:
        return None, rejected, []
    remarks = []
    header = fitting[0].header
    if header.syntax in LOSSY or header.text(tags.LOSSY) == "01":
        text = "The CT was compressed with loss; its HU are near those measured."
        remarks.append(Remark(code="FP-2149", text=text))
    return fitting[0], rejected, remarks


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
