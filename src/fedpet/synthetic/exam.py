"""The facts of one examination that its DICOM headers carry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from fedpet.imaging.volume import Grid
from fedpet.synthetic.dicom import make_uid
from fedpet.synthetic.profiles import Scanner

HALF_LIFE_S = 6586.2
BED_MM = 180.0
BED_S = 120.0
BED_STEP_S = 124.0
_DECAY = np.log(2) / HALF_LIFE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """One subject's PET-CT visit.

    Args:
        site: Hospital.
        key: What all identifiers are derived from.
        patient_id: (0010,0020).
        male: Sex.
        birth_date: `YYYYMMDD`.
        age_years: At the scan.
        height_cm: Height.
        weight_kg: Weight; None if the technician did not enter it.
        injection: When the tracer was given.
        start: When the PET began: the moment that activity is decay-corrected to.
        dose_bq: Activity at injection.
        scanner: What made the images.
    """

    site: str
    key: str
    patient_id: str
    male: bool
    birth_date: str
    age_years: int
    height_cm: float
    weight_kg: float | None
    injection: datetime
    start: datetime
    dose_bq: float
    scanner: Scanner

    def uid(self, *parts: str | int) -> str:
        """Return the identifier of one part of this examination."""
        return make_uid(self.key, *parts)

    def suv_factor(self, weight_kg: float) -> float:
        """Return SUV per Bq/mL as stored: START values are decayed to the start of the scan."""
        dose = self.dose_bq
        if self.scanner.decay_correction == "START":
            dose *= 2 ** (-(self.start - self.injection).total_seconds() / HALF_LIFE_S)
        return weight_kg * 1000 / dose


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When each slice was acquired, [slices] each.

    Args:
        acquired: Start of the slice's bed position.
        reference_ms: (0054,1300) Frame Reference Time: mean activity of the bed, from the start.
        decay_factor: (0054,1321).
    """

    acquired: tuple[datetime, ...]
    reference_ms: NDArray[np.float64]
    decay_factor: NDArray[np.float64]


def bed_timing(exam: Exam, grid: Grid) -> Timing:
    """Return the timing of every slice; beds go from the thighs to the head.

    Source:
        Time of mean activity over a frame of duration T: log(a T / (1 - exp(-a T))) / a.
    """
    slices = grid.shape[0]
    from_feet = (slices - 1 - np.arange(slices)) * grid.spacing_mm[0]
    offset_s = (from_feet // BED_MM) * BED_STEP_S
    mean_s = np.log(_DECAY * BED_S / (1 - np.exp(-_DECAY * BED_S))) / _DECAY
    reference_s = offset_s + mean_s
    return Timing(
        acquired=tuple(exam.start + timedelta(seconds=float(s)) for s in offset_s),
        reference_ms=1000 * reference_s,
        decay_factor=np.exp(_DECAY * reference_s),
    )
