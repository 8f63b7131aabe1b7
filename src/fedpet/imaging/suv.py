"""From stored PET values to SUV, whatever the vendor wrote.

    SUV = (stored * slope_i + intercept_i) * factor_i
    factor_i = k_i * size / (D[Bq] * 2^(-(t_ref - t_injection) / half life))

`size` is the body weight in g, or what another kind of SUV is normalised by. The functions here
take plain header values and return the factor of each slice together with a record of which rule
gave it. Nothing is ever assumed for a missing weight, dose or half life.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from fedpet.errors import DataError
from fedpet.imaging.activity import from_activity, size_of
from fedpet.imaging.body_size import NAMES, SUV_TYPES, Kind, beyond_formula
from fedpet.imaging.facts import Corrections, PetFacts, corrected, overruled, repaired
from fedpet.imaging.provenance import SuvProvenance, SuvScale
from fedpet.imaging.remarks import Remark

FACTOR_MAX: Final = 1e6
NOT_QUANTITATIVE: Final = "Only BQML, GML, CM2ML and CNTS with a vendor's factor can be converted."


def to_suv(
    facts: PetFacts, *, kind: Kind = "bw", corrections: Corrections | None = None
) -> SuvScale:
    """Find the factor that turns each slice's rescaled values into SUV.

    Args:
        facts: Header values of one PET series.
        kind: Which SUV: by body weight, or another of `body_size.NAMES`.
        corrections: What the hospital says in place of the header.

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
        >>> to_suv(facts).provenance.formula
        'factor = 70 * 1000 g / 350000000 Bq'
    """
    stated: tuple[Remark, ...] = ()
    late: tuple[str, ...] = ()
    if corrections is not None:
        late = overruled(facts, corrections)
        facts, stated = corrected(facts, corrections)
    facts, repairs = repaired(facts)
    if late and (facts.units != "CNTS" or not facts.philips_activity):
        _require_activity(facts, late)
    elif late:
        facts = replace(facts, philips_suv=None)
    found = _by_units(facts, kind)
    if not ((found.factors > 0) & (found.factors < FACTOR_MAX)).all():
        raise DataError(
            f"The SUV factor is {found.factors.max():g}, expected a number above 0.",
            code="FP-2113",
        )
    return replace(
        found,
        remarks=(*stated, *repairs, *found.remarks, *_beyond(facts, kind)),
        provenance=replace(
            found.provenance,
            stated=facts.stated,
            to_body_weight=_to_body_weight(facts, kind),
            factor_min=float(found.factors.min()),
            factor_max=float(found.factors.max()),
        ),
    )


def _require_activity(facts: PetFacts, late: tuple[str, ...]) -> None:
    """Refuse a correction that comes too late: the scanner has divided already."""
    if facts.units in ("GML", "CM2ML", "CNTS"):
        raise DataError(
            f"fixes.csv gives {' and '.join(late)}, but the image is stored as SUV.",
            why="The scanner computed it with the values of its own header.",
            do="Export the series in Bq/mL, or take the lines from fixes.csv.",
            code="FP-2114",
        )


def _by_units(facts: PetFacts, kind: Kind) -> SuvScale:
    """Choose the rule by (0054,1001) Units."""
    match facts.units:
        case "GML":
            stored_as = SUV_TYPES.get(facts.suv_type)
            if stored_as is None:
                known = ", ".join(name for name in SUV_TYPES if name)
                raise DataError(
                    f"(0054,1006) SUV Type is '{facts.suv_type:.20}', expected {known}.",
                    code="FP-2114",
                )
            return _from_suv(facts, kind, stored_as)
        case "CM2ML":
            found = _from_suv(facts, kind, "bsa")
            if facts.suv_type in ("", "BSA"):
                return found
            text = (
                f"Units (0054,1001) is CM2ML and SUV Type (0054,1006) '{facts.suv_type:.20}'; "
                "the units were believed."
            )
            return replace(found, remarks=(*found.remarks, Remark(code="FP-2135", text=text)))
        case "CNTS" if facts.philips_suv:
            rule = "counts by Philips (7053,1000)"
            found = _from_suv(facts, kind, "bw", k=facts.philips_suv, rule=rule)
            return _cross_checked(facts, kind, found)
        case "CNTS" if facts.philips_activity:
            rule = "counts by Philips (7053,1009)"
            return from_activity(facts, kind, k=facts.philips_activity, rule=rule)
        case "BQML":
            return from_activity(facts, kind, k=None, rule="Bq/mL")
        case _:
            raise _not_quantitative(facts.units)


def _not_quantitative(units: str) -> DataError:
    if units == "CNTS":
        said = "(0054,1001) Units is 'CNTS' without (7053,1000) or (7053,1009)."
    else:
        said = f"(0054,1001) Units is '{units:.20}'."
    why = NOT_QUANTITATIVE
    if units == "CPS":
        why = (
            "Counts per second become Bq/mL by the volume of a voxel and a calibration that the "
            "header does not tell without doubt: (0054,1322) Dose Calibration Factor is that of "
            "an image which was calibrated already."
        )
    return DataError(
        said,
        why=why,
        do=(
            "Ask the PET unit to export with private tags kept, or in Bq/mL."
            if units == "CNTS"
            else "Ask the PET unit for the calibrated series, in Bq/mL (BQML) or SUV (GML); if it "
            "is in the folder already, choose it: fedpet cohort scans FOLDER"
        ),
        code="FP-2114",
    )


def _from_suv(
    facts: PetFacts, kind: Kind, stored_as: Kind, *, k: float | None = None, rule: str = ""
) -> SuvScale:
    """Convert one kind of SUV to another; the same kind needs nothing from the header."""
    factor, formula = 1.0, "factor = 1" if k is None else f"factor = {k:.10g}"
    if kind != stored_as:
        target, source = size_of(facts, kind), size_of(facts, stored_as)
        factor = target.value / source.value
        counts = "" if k is None else f"{k:.10g} * "
        formula = f"factor = {counts}({target.formula}) / ({source.formula})"
    if not rule:
        rule = f"{NAMES[stored_as]} to {NAMES[kind]}"
        if kind == stored_as:
            rule = "already body-weight SUV" if kind == "bw" else f"already {NAMES[kind]}"
    return SuvScale(
        factors=np.full(len(facts.acquired), factor * (1.0 if k is None else k)),
        provenance=SuvProvenance(
            units=facts.units,
            rule=rule,
            kind=kind,
            stored_as=stored_as,
            weight_kg=facts.weight_kg,
            height_m=facts.height_m if kind != stored_as else None,
            sex=facts.sex if kind != stored_as else "",
            counts_factor=k,
            formula=formula,
        ),
        facts=facts,
        remarks=(),
    )


def _cross_checked(facts: PetFacts, kind: Kind, found: SuvScale) -> SuvScale:
    """Compare Philips' two private factors where the header allows it; keep the direct one."""
    if not facts.philips_activity:
        return found
    try:
        other = from_activity(facts, kind, k=facts.philips_activity, rule="")
    except DataError as error:
        why = f"not possible. {error.title}"
        return replace(found, provenance=replace(found.provenance, alternative=why))
    ratio = float(other.factors.mean()) / float(found.factors.mean())
    told = f"{other.provenance.formula} = {float(other.factors.mean()):.10g}"
    found = replace(
        found, provenance=replace(found.provenance, cross_check=ratio, alternative=told)
    )
    if abs(ratio - 1) <= 0.02:
        return found
    text = (
        f"Philips (7053,1009) with dose and weight gives SUV {ratio:.2f} times that of "
        "(7053,1000); the latter was used."
    )
    return replace(found, remarks=(*found.remarks, Remark(code="FP-2135", text=text)))


def _to_body_weight(facts: PetFacts, kind: Kind) -> float | None:
    """Return the factor to SUV by body weight, by which physiology is judged."""
    if kind == "bw":
        return 1.0
    try:
        return size_of(facts, "bw").value / size_of(facts, kind).value
    except DataError:
        return None


def _beyond(facts: PetFacts, kind: Kind) -> tuple[Remark, ...]:
    """Say if a lean mass is used where its formula falls while weight rises."""
    if facts.weight_kg is None or not facts.height_m:
        return ()
    if not beyond_formula(kind, weight_kg=facts.weight_kg, height_m=facts.height_m, sex=facts.sex):
        return ()
    index = facts.weight_kg / facts.height_m / facts.height_m
    text = (
        f"At a body mass index of {index:.0f} kg/m2 the lean mass of this formula falls while "
        "weight rises; Janmahasatian's does not."
    )
    return (Remark(code="FP-2127", text=text),)
