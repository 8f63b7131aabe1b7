"""From activity in Bq/mL to SUV: the dose, the body's size, and the decay between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from fedpet.errors import DataError
from fedpet.imaging.body_size import Kind, Size, body_size, needed
from fedpet.imaging.clock import over_midnight
from fedpet.imaging.facts import PetFacts
from fedpet.imaging.half_life import read_half_life
from fedpet.imaging.injection import HALF_LIVES_MAX, Injection, find_injection
from fedpet.imaging.provenance import SuvProvenance, SuvScale
from fedpet.imaging.reference_time import find_reference_time, mean_activity_s
from fedpet.imaging.remarks import Remark

DOSE_BQ: Final = (1e6, 2e10)


def size_of(facts: PetFacts, kind: Kind) -> Size:
    """Return what a kind of SUV is normalised by in this subject."""
    return body_size(kind, weight_kg=facts.weight_kg, height_m=facts.height_m, sex=facts.sex)


def from_activity(facts: PetFacts, kind: Kind, *, k: float | None, rule: str) -> SuvScale:
    """Convert activity to SUV with body size, dose and decay.

    Args:
        facts: Header values, repaired.
        kind: Which SUV.
        k: Factor from rescaled values to Bq/mL; None if they are that.
        rule: What the values are, in words.

    Raises:
        DataError: If size, dose, half life or a time is missing or implausible.
    """
    size = size_of(facts, kind)
    low, high = DOSE_BQ
    dose = needed(facts.dose_bq, "injected dose (0018,1074)", low=low, high=high, unit="Bq")
    _require_one_injection(facts)
    half_life, remarks = read_half_life(facts.half_life_s)
    acquired, moved = over_midnight(facts.acquired)
    if moved:
        facts = replace(facts, acquired=acquired)
        text = (
            "The scan ran over midnight and its acquisition date stayed; later slices were moved."
        )
        remarks.append(Remark(code="FP-2131", text=text))
    base = (1.0 if k is None else k) * size.value / dose
    counts = "" if k is None else f"{k:.10g} * "
    formula = f"{counts}{_closed(size.formula)} / "
    correction = facts.decay_correction
    if not correction and "DECY" in facts.corrected:
        correction = "START"
        text = "(0054,1102) Decay Correction is empty; START was taken, as (0028,0051) has DECY."
        remarks.append(Remark(code="FP-2135", text=text))
    origin = SuvProvenance(
        units=facts.units,
        rule=rule,
        kind=kind,
        weight_kg=facts.weight_kg,
        height_m=facts.height_m if kind != "bw" else None,
        sex=facts.sex if kind not in ("bw", "bsa") else "",
        dose_bq=dose,
        half_life_s=half_life,
        counts_factor=k,
        formula=f"factor = {formula}{dose:.10g} Bq",
    )
    match correction:
        case "ADMIN":
            return SuvScale(
                factors=np.full(len(facts.acquired), base),
                provenance=replace(origin, decay="image corrected to injection (ADMIN)"),
                facts=facts,
                remarks=tuple(remarks),
            )
        case "START":
            return _from_start(facts, base, origin, remarks, formula=formula)
        case "NONE":
            return _not_corrected(facts, base, origin, remarks, formula=formula)
        case _:
            raise DataError(
                f"(0054,1102) Decay Correction is '{correction:.20}', expected START, ADMIN or "
                "NONE.",
                do="Export the decay-corrected series.",
                code="FP-2112",
            )


def _require_one_injection(facts: PetFacts) -> None:
    """Refuse a header with several injections, unless the hospital says which dose counts."""
    if facts.sources > 1 and not {"dose_bq", "injection"} <= set(facts.stated):
        raise DataError(
            f"The header tells {facts.sources} different injections in (0054,0016).",
            why="Which dose the image shows, only the hospital knows.",
            do="Give dose_bq and injection_datetime in fixes.csv.",
            code="FP-2113",
        )


def _closed(formula: str) -> str:
    return f"({formula})" if "+" in formula or "/" in formula else formula


def _from_start(
    facts: PetFacts, base: float, origin: SuvProvenance, remarks: list[Remark], *, formula: str
) -> SuvScale:
    """Count the decay of the dose from injection to the reference time of the image."""
    half_life, dose = origin.half_life_s or 0.0, origin.dose_bq or 0.0
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
    decayed = f"({dose:.10g} Bq * 2^(-{injection.uptake_s:.10g} s / {half_life:.10g} s))"
    return SuvScale(
        factors=np.full(len(facts.acquired), factor),
        provenance=replace(
            origin,
            decay="image corrected to scan start (START)",
            reference=reference.rule,
            candidates=reference.candidates,
            aside=reference.aside,
            injection=injection.rule,
            injections=injection.candidates,
            uptake_s=injection.uptake_s,
            formula=f"factor = {formula}{decayed}",
        ),
        facts=facts,
        remarks=(*remarks, *reference.remarks, *injection.remarks),
    )


def _not_corrected(
    facts: PetFacts, base: float, origin: SuvProvenance, remarks: list[Remark], *, formula: str
) -> SuvScale:
    """Correct each slice from the time of its mean activity back to the injection."""
    half_life, dose = origin.half_life_s or 0.0, origin.dose_bq or 0.0
    times = [time for time in facts.acquired if time is not None]
    durations = [length for length in facts.frame_duration_s if length is not None and length > 0]
    if not times or len(times) < len(facts.acquired) or len(durations) < len(facts.acquired):
        raise DataError(
            "Decay is not corrected (NONE), and a slice has no acquisition time or duration.",
            do="Export the decay-corrected series, or keep (0008,0032) and (0018,1242).",
            code="FP-2112",
        )
    first = min(times)
    if max(times) - first + max(durations) > HALF_LIVES_MAX * half_life:
        raise DataError(
            f"Slices were acquired {(max(times) - first) / 3600:.1f} h apart.",
            do="Correct the acquisition dates, or export the decay-corrected series.",
            code="FP-2113",
        )
    injection = _injection(facts, first, half_life)
    after_s = [
        injection.uptake_s + time - first + mean_activity_s(length, half_life)
        for time, length in zip(times, durations, strict=True)
    ]
    decayed = (
        f"({dose:.10g} Bq * 2^(-t / {half_life:.10g} s)), t = {min(after_s):.3f} s to "
        f"{max(after_s):.3f} s, of each slice's mean activity"
    )
    return SuvScale(
        factors=base * 2.0 ** (np.array(after_s) / half_life),
        provenance=replace(
            origin,
            decay="not corrected in the image; corrected here slice by slice (NONE)",
            reference="earliest acquisition",
            candidates=(("earliest acquisition", 0.0),),
            injection=injection.rule,
            injections=injection.candidates,
            uptake_s=injection.uptake_s,
            formula=f"factor = {formula}{decayed}",
        ),
        facts=facts,
        remarks=(*remarks, *injection.remarks),
    )


def _injection(facts: PetFacts, reference: float, half_life_s: float) -> Injection:
    return find_injection(
        reference=reference,
        injection=facts.injection,
        injection_time=facts.injection_time,
        half_life_s=half_life_s,
        stated="injection" in facts.stated,
    )
