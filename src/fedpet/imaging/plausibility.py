"""Whether a scan's SUV can be true, judged by physiology: liver, blood, total activity, body.

Nothing is refused here. Each doubt becomes a remark that names what was measured and what is
usual; the numbers stay in the record of the scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedpet.imaging.landmarks import Tissues, find_tissues
from fedpet.imaging.provenance import SuvProvenance
from fedpet.imaging.remarks import Remark
from fedpet.imaging.series import Series
from fedpet.imaging.volume import Volume

LIVER_SUV: Final = (1.3, 3.0)
BLOOD_SUV: Final = (0.8, 3.0)
BLOOD_TO_LIVER_MAX: Final = 1.2
BODY_SUV: Final = (0.5, 1.5)
BODY_ML_MIN: Final = 10_000.0
# Calibration of scanners and dose meters, 10 % together.
ACTIVITY_SHARE_MAX: Final = 1.1
DOSE_MBQ_KG: Final = (1.5, 8.0)
BODY_MASS_INDEX: Final = (10.0, 80.0)
SATURATED_MIN: Final = 10
STORED_BITS_MAX: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Plausibility:
    """What was measured to judge SUV, as SUV by body weight; None where it cannot be told.

    Args:
        liver_suv: Mean of a 3 cm sphere in the right lobe.
        liver_deviation: Its standard deviation.
        blood_suv: Mean of a 2 cm sphere in the mediastinum.
        body_suv: Mean over the body.
        body_ml: Volume of the body in the image.
        activity_share: Activity in the image as a share of the dose decayed to the scan.
        remarks: What is not as usual.
    """

    liver_suv: float | None = None
    liver_deviation: float | None = None
    blood_suv: float | None = None
    body_suv: float | None = None
    body_ml: float | None = None
    activity_share: float | None = None
    remarks: tuple[Remark, ...] = ()

    def numbers(self) -> dict[str, float | None]:
        """Return the measurements by name."""
        return {
            "liver_suv": self.liver_suv,
            "liver_deviation": self.liver_deviation,
            "blood_suv": self.blood_suv,
            "body_mean_suv": self.body_suv,
            "body_ml": self.body_ml,
            "activity_share": self.activity_share,
        }


def judge(
    suv: Volume, ct: Volume | None, provenance: SuvProvenance, *, search: Volume | None = None
) -> Plausibility:
    """Measure liver, blood, body and total activity, and say what is not as usual.

    Args:
        suv: SUV on the PET's own grid.
        ct: HU on any grid in the same frame of reference; None if there is none.
        provenance: How SUV was found.
        search: The same SUV on a coarser grid, where liver and blood are looked for faster.

    Source:
        EANM guideline 2.0 and its quality limits (liver 1.3 to 3.0); mass balance by definition:
        the mean SUV of a body that keeps all activity is 1.

    Examples:
        >>> from fedpet.imaging.volume import Grid
        >>> grid = Grid(shape=(50, 50, 50), spacing_mm=(8.0, 8.0, 8.0), origin_mm=(0.0, 0.0, 0.0))
        >>> water = Volume(array=np.full(grid.shape, 9, np.float32), grid=grid)
        >>> how = SuvProvenance(units="BQML", rule="", to_body_weight=1.0, weight_kg=70.0)
        >>> [one.code for one in judge(water, None, how).remarks]
        ['FP-2123', 'FP-2122']
    """
    ratio = provenance.to_body_weight
    if ratio is None:
        return Plausibility()
    tissues = find_tissues(suv, ct, search=search)
    share = None
    if provenance.weight_kg:
        total = float(suv.array.sum(dtype=np.float64)) * suv.grid.voxel_ml * ratio
        share = total / (provenance.weight_kg * 1000.0)
    found = Plausibility(
        liver_suv=tissues.liver.mean * ratio if tissues.liver else None,
        liver_deviation=tissues.liver.deviation * ratio if tissues.liver else None,
        blood_suv=tissues.blood.mean * ratio if tissues.blood else None,
        body_suv=_body(tissues, ratio),
        body_ml=tissues.body_ml,
        activity_share=share,
    )
    return Plausibility(
        liver_suv=found.liver_suv,
        liver_deviation=found.liver_deviation,
        blood_suv=found.blood_suv,
        body_suv=found.body_suv,
        body_ml=found.body_ml,
        activity_share=found.activity_share,
        remarks=tuple(_doubts(found)),
    )


def _body(tissues: Tissues, ratio: float) -> float | None:
    return tissues.body_mean * ratio if tissues.body_ml >= BODY_ML_MIN else None


def _doubts(found: Plausibility) -> list[Remark]:
    told = []
    if found.liver_suv is not None and not LIVER_SUV[0] <= found.liver_suv <= LIVER_SUV[1]:
        text = f"The liver has SUV {found.liver_suv:.2f}; 1.3 to 3.0 is usual."
        told.append(Remark(code="FP-2120", text=text))
    if found.blood_suv is not None:
        low, high = BLOOD_SUV
        if not low <= found.blood_suv <= high:
            text = f"The blood pool has SUV {found.blood_suv:.2f}; {low:g} to {high:g} is usual."
            told.append(Remark(code="FP-2121", text=text))
        elif found.liver_suv and found.blood_suv > BLOOD_TO_LIVER_MAX * found.liver_suv:
            text = (
                f"The blood pool has SUV {found.blood_suv:.2f}, the liver only "
                f"{found.liver_suv:.2f}; after an hour the liver is usually higher."
            )
            told.append(Remark(code="FP-2121", text=text))
    if found.body_suv is not None and not BODY_SUV[0] <= found.body_suv <= BODY_SUV[1]:
        text = f"The body has a mean SUV of {found.body_suv:.2f}; 0.5 to 1.5 is usual."
        told.append(Remark(code="FP-2123", text=text))
    if found.activity_share is not None and found.activity_share > ACTIVITY_SHARE_MAX:
        text = (
            f"The image holds {100 * found.activity_share:.0f} % of the activity that was left "
            "of the dose at the scan."
        )
        told.append(Remark(code="FP-2122", text=text))
    return told


def about_dose(provenance: SuvProvenance, *, height_m: float | None) -> list[Remark]:
    """Look at dose and size for the weight.

    Args:
        provenance: With dose and weight as used.
        height_m: Of the header, if it is known.

    Examples:
        >>> how = SuvProvenance(units="BQML", rule="", weight_kg=70.0, dose_bq=35e6)
        >>> about_dose(how, height_m=1.7)[0].text
        'The dose is 0.5 MBq/kg; 1.5 to 8 is usual.'
    """
    told = []
    weight = provenance.weight_kg
    if provenance.dose_bq and weight:
        dose = provenance.dose_bq / 1e6 / weight
        low, high = DOSE_MBQ_KG
        if not low <= dose <= high:
            text = f"The dose is {dose:.2g} MBq/kg; {low:g} to {high:g} is usual."
            told.append(Remark(code="FP-2124", text=text))
    if weight and height_m and height_m > 0:
        index = weight / height_m / height_m
        low, high = BODY_MASS_INDEX
        if not low <= index <= high:
            text = f"Weight and size give a body mass index of {index:.3g} kg/m2."
            told.append(Remark(code="FP-2128", text=text))
    return told


def about_saturation(series: Series, suv: Volume, factors: NDArray[np.float64]) -> list[Remark]:
    """Look for slices in which several voxels hold the largest number that can be stored.

    One such voxel in a slice is usual: many scanners scale each slice to its hottest voxel.

    Args:
        series: The PET.
        suv: As read from it.
        factors: float64 [slices], from rescaled values to SUV.
    """
    form = series.pixels
    if form.floating or form.stored > STORED_BITS_MAX:
        return []
    top = 2 ** (form.stored - 1) - 1 if form.signed else 2**form.stored - 1
    slopes = np.array([one.slope for one in series.slices])
    offsets = np.array([one.intercept for one in series.slices])
    tops = (slopes * top + offsets) * factors * (1 - 0.3 / top)
    hottest = suv.array.max(axis=(1, 2))
    counts = [
        int(np.count_nonzero(suv.array[index] >= tops[index]))
        for index in np.flatnonzero(hottest >= tops)
    ]
    cut = [count for count in counts if count > SATURATED_MIN]
    if not cut:
        return []
    text = (
        f"{sum(cut)} voxels in {len(cut)} slice(s) hold the largest value that can be stored: "
        "their uptake may be higher."
    )
    return [Remark(code="FP-2125", text=text)]
