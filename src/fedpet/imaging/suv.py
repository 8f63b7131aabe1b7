"""From stored PET values to body-weight SUV, whatever the vendor wrote.

    SUVbw = (stored * slope_i + intercept_i) * factor_i
    factor_i = k_i * w[g] / (D[Bq] * 2^(-(t_ref - t_injection) / half life))

The functions here take plain header values and return the factor of each slice together with a
record of which rule gave it. Nothing is ever assumed for a missing weight, dose or half life.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging import body
from fedpet.imaging.injection import Injection, find_injection
from fedpet.imaging.reference_time import find_reference_time, mean_activity_s
from fedpet.imaging.remarks import Remark

POSITRON_HALF_LIVES_S: Final = {
    "18F": 6586.2,
    "68Ga": 4057.7,
    "11C": 1223.4,
    "13N": 597.9,
    "15O": 122.2,
    "82Rb": 76.3,
    "64Cu": 45721.0,
    "89Zr": 282240.0,
    "124I": 360806.0,
}
FACTOR_MAX: Final = 1e6
NOT_QUANTITATIVE: Final = "Only BQML, GML, CM2ML and CNTS with a vendor's factor can be converted."


@dataclass(frozen=True, slots=True, kw_only=True)
class PetFacts:
    """The header values of a PET series that SUV depends on; None or empty where absent.

    Args:
        units: (0054,1001).
        suv_type: (0054,1006), for units GML.
        decay_correction: (0054,1102): START, ADMIN or NONE.
        corrected: (0028,0051) Corrected Image.
        weight_kg: (0010,1030), as written; grams are repaired.
        height_m: (0010,1020), as written; centimetres are repaired.
        sex: (0010,0040).
        dose_bq: (0018,1074), as written; MBq are repaired.
        half_life_s: (0018,1075).
        injection: (0018,1078) Radiopharmaceutical Start DateTime, in seconds.
        injection_time: (0018,1072) Radiopharmaceutical Start Time, in seconds since midnight.
        series: (0008,0021) and (0008,0031) of the series, in seconds.
        ge_scan: (0009,100D) of GEMS_PETD_01, in seconds.
        siemens_decay: (0071,1022) of SIEMENS MED PT, in seconds.
        philips_suv: (7053,1000), counts to SUV.
        philips_activity: (7053,1009), counts to Bq/mL.
        acquired: Acquisition date and time of each slice, in seconds.
        frame_reference_s: (0054,1300) of each slice, in seconds.
        frame_duration_s: (0018,1242) of each slice, in seconds.
    """

    units: str
    suv_type: str = ""
    decay_correction: str = ""
    corrected: tuple[str, ...] = ()
    weight_kg: float | None = None
    height_m: float | None = None
    sex: str = ""
    dose_bq: float | None = None
    half_life_s: float | None = None
    injection: float | None = None
    injection_time: float | None = None
    series: float | None = None
    ge_scan: float | None = None
    siemens_decay: float | None = None
    philips_suv: float | None = None
    philips_activity: float | None = None
    acquired: tuple[float | None, ...]
    frame_reference_s: tuple[float | None, ...]
    frame_duration_s: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvProvenance:
    """Which rule gave the SUV of a scan; offsets only, no dates.

    Args:
        units: (0054,1001) as found.
        rule: How values became SUV, in words.
        decay: How decay between injection and scan was counted, in words.
        reference: Rule that gave the reference time; empty if none was needed.
        candidates: Every reference time found, in seconds after the chosen one.
        injection: Rule that gave the injection time; empty if none was needed.
        uptake_s: Time from injection to the reference time; None if not needed.
        weight_kg: As used; None if not needed.
        dose_bq: As used; None if not needed.
        half_life_s: As used; None if not needed.
        factor_min: Smallest factor over the slices, without the rescale slope.
        factor_max: Largest factor.
    """

    units: str
    rule: str
    decay: str = ""
    reference: str = ""
    candidates: tuple[tuple[str, float], ...] = ()
    injection: str = ""
    uptake_s: float | None = None
    weight_kg: float | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    factor_min: float = math.nan
    factor_max: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvScale:
    """Factors from rescaled stored values to SUV.

    Args:
        factors: float64 [slices], in the order of the facts; SUV = rescaled value * factor.
        provenance: The rules that were used.
        remarks: Repairs and contradictions.
    """

    factors: NDArray[np.float64]
    provenance: SuvProvenance
    remarks: tuple[Remark, ...]


def to_suv(facts: PetFacts) -> SuvScale:
    """Find the factor that turns each slice's rescaled values into body-weight SUV.

    Args:
        facts: Header values of one PET series.

    Returns:
        One factor per slice, the rules behind it, and what had to be repaired.

    Raises:
        DataError: If the units are not quantitative, or a needed value is missing or implausible.

    Source:
        IBSI-SUV manual (oncoray/suv_computation); QIBA vendor-neutral SUV; DICOM PS3.3 C.8.9.1.

    Examples:
        >>> facts = PetFacts(units="BQML", decay_correction="ADMIN", weight_kg=70.0,
        ...     dose_bq=350e6, half_life_s=6586.2, acquired=(None,), frame_reference_s=(None,),
        ...     frame_duration_s=(None,))
        >>> to_suv(facts).factors.tolist()
        [0.0002]
    """
    facts, repairs = _repaired(facts)
    slices = len(facts.acquired)
    if facts.units == "GML":
        scale, rule = body.gml_to_body_weight(
            facts.suv_type, weight_kg=facts.weight_kg, height_m=facts.height_m, sex=facts.sex
        )
        found = _constant(facts, scale, rule, slices)
    elif facts.units == "CM2ML":
        scale = body.area_to_body_weight(weight_kg=facts.weight_kg, height_m=facts.height_m)
        found = _constant(facts, scale, "SUV by body surface area to body weight", slices)
    elif facts.units == "CNTS" and facts.philips_suv:
        found = _constant(facts, facts.philips_suv, "counts by Philips (7053,1000)", slices)
        found = _cross_checked(facts, found)
    elif facts.units == "CNTS" and facts.philips_activity:
        found = _from_activity(facts, facts.philips_activity, "counts by Philips (7053,1009)")
    elif facts.units == "BQML":
        found = _from_activity(facts, 1.0, "Bq/mL")
    else:
        raise DataError(
            f"(0054,1001) Units is '{facts.units}'"
            + (" without (7053,1000) or (7053,1009)." if facts.units == "CNTS" else "."),
            why=NOT_QUANTITATIVE,
            do="Ask the PET unit to export with private tags kept, or in Bq/mL.",
            code="FP-2114",
        )
    if not ((found.factors > 0) & (found.factors < FACTOR_MAX)).all():
        raise DataError(
            f"The SUV factor is {found.factors.max():g}, expected a number above 0.",
            code="FP-2113",
        )
    return replace(
        found,
        remarks=(*repairs, *found.remarks),
        provenance=replace(
            found.provenance,
            factor_min=float(found.factors.min()),
            factor_max=float(found.factors.max()),
        ),
    )


def _constant(facts: PetFacts, factor: float, rule: str, slices: int) -> SuvScale:
    return SuvScale(
        factors=np.full(slices, factor),
        provenance=SuvProvenance(units=facts.units, rule=rule, weight_kg=facts.weight_kg),
        remarks=(),
    )


def _cross_checked(facts: PetFacts, found: SuvScale) -> SuvScale:
    """Compare Philips' two private factors where the header allows it; keep the direct one."""
    if not facts.philips_activity:
        return found
    try:
        other = _from_activity(facts, facts.philips_activity, "")
    except DataError:
        return found
    ratio = float(other.factors.mean()) / float(found.factors.mean())
    if abs(ratio - 1) <= 0.02:
        return found
    text = (
        f"Philips (7053,1009) with dose and weight gives SUV {ratio:.2f} times that of "
        "(7053,1000); the latter was used."
    )
    return replace(found, remarks=(*found.remarks, Remark(code="FP-2135", text=text)))


def _from_activity(facts: PetFacts, k: float, rule: str) -> SuvScale:
    """Convert Bq/mL (after the factor k) with weight, dose and decay."""
    weight = _needed(facts.weight_kg, "weight (0010,1030)", 1.5, 400, "kg")
    dose = _needed(facts.dose_bq, "injected dose (0018,1074)", 1e6, 2e10, "Bq")
    half_life, remarks = _half_life(facts.half_life_s)
    base = k * weight * 1000.0 / dose
    correction = facts.decay_correction
    if not correction and "DECY" in facts.corrected:
        correction = "START"
        text = "(0054,1102) Decay Correction is empty; START was taken, as (0028,0051) has DECY."
        remarks.append(Remark(code="FP-2135", text=text))
    origin = SuvProvenance(
        units=facts.units, rule=rule, weight_kg=weight, dose_bq=dose, half_life_s=half_life
    )
    if correction == "ADMIN":
        return SuvScale(
            factors=np.full(len(facts.acquired), base),
            provenance=replace(origin, decay="image corrected to injection (ADMIN)"),
            remarks=tuple(remarks),
        )
    if correction == "START":
        reference = find_reference_time(
            series=facts.series,
            acquired=facts.acquired,
            frame_reference_s=facts.frame_reference_s,
            frame_duration_s=facts.frame_duration_s,
            ge_scan=facts.ge_scan,
            siemens_decay=facts.siemens_decay,
            half_life_s=half_life,
        )
        injection = _injection(facts, reference.time, half_life)
        factor = base * 2.0 ** (injection.uptake_s / half_life)
        return SuvScale(
            factors=np.full(len(facts.acquired), factor),
            provenance=replace(
                origin,
                decay="image corrected to scan start (START)",
                reference=reference.rule,
                candidates=reference.candidates,
                injection=injection.rule,
                uptake_s=injection.uptake_s,
            ),
            remarks=(*remarks, *reference.remarks, *injection.remarks),
        )
    if correction == "NONE":
        return _not_corrected(facts, base, half_life, origin, remarks)
    raise DataError(
        f"(0054,1102) Decay Correction is '{correction}', expected START, ADMIN or NONE.",
        do="Export the decay-corrected series.",
        code="FP-2112",
    )


def _not_corrected(
    facts: PetFacts, base: float, half_life: float, origin: SuvProvenance, remarks: list[Remark]
) -> SuvScale:
    """Correct each slice from the time of its mean activity back to the injection."""
    times = [time for time in facts.acquired if time is not None]
    durations = [length for length in facts.frame_duration_s if length is not None and length > 0]
    if len(times) < len(facts.acquired) or len(durations) < len(facts.acquired):
        raise DataError(
            "Decay is not corrected (NONE), and a slice has no acquisition time or duration.",
            do="Export the decay-corrected series, or keep (0008,0032) and (0018,1242).",
            code="FP-2112",
        )
    first = min(times)
    injection = _injection(facts, first, half_life)
    after_s = [
        injection.uptake_s + time - first + mean_activity_s(length, half_life)
        for time, length in zip(times, durations, strict=True)
    ]
    return SuvScale(
        factors=base * 2.0 ** (np.array(after_s) / half_life),
        provenance=replace(
            origin,
            decay="not corrected in the image; corrected here slice by slice (NONE)",
            reference="earliest acquisition",
            injection=injection.rule,
            uptake_s=injection.uptake_s,
        ),
        remarks=(*remarks, *injection.remarks),
    )


def _injection(facts: PetFacts, reference: float, half_life_s: float) -> Injection:
    return find_injection(
        reference=reference,
        injection=facts.injection,
        injection_time=facts.injection_time,
        half_life_s=half_life_s,
    )


def _repaired(facts: PetFacts) -> tuple[PetFacts, list[Remark]]:
    """Bring weight to kg, dose to Bq and height to m where the written unit is evident."""
    remarks = []
    if facts.weight_kg is not None and facts.weight_kg > 1000:
        facts = replace(facts, weight_kg=facts.weight_kg / 1000)
        remarks.append("(0010,1030) Weight was read as grams.")
    if facts.dose_bq is not None and 0 < facts.dose_bq < 1e5:
        facts = replace(facts, dose_bq=facts.dose_bq * 1e6)
        remarks.append("(0018,1074) Dose was read as MBq.")
    if facts.height_m is not None and facts.height_m > 3:
        facts = replace(facts, height_m=facts.height_m / 100)
        remarks.append("(0010,1020) Size was read as centimetres.")
    return facts, [Remark(code="FP-2130", text=text) for text in remarks]


def _needed(value: float | None, name: str, low: float, high: float, unit: str) -> float:
    return body.needed(value, name, low=low, high=high, unit=unit)


def _half_life(value: float | None) -> tuple[float, list[Remark]]:
    half_life = _needed(value, "half life (0018,1075)", 60, 1e6, "s")
    for name, expected in POSITRON_HALF_LIVES_S.items():
        if abs(half_life / expected - 1) <= 0.02:
            if name == "18F":
                return half_life, []
            text = f"The half life of {half_life:g} s is that of {name}."
            return half_life, [Remark(code="FP-2134", text=text)]
    raise DataError(
        f"The half life (0018,1075) is {half_life:g} s, which is no positron emitter of PET; "
        "18F has 6586 s.",
        do="Check that this is an FDG PET and not a SPECT stored as PET.",
        code="FP-2113",
    )
