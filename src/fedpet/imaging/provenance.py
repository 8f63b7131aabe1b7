"""Which rule gave the SUV of a scan, in data and as a worked example with its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedpet.imaging.body_size import NAMES, Kind
from fedpet.imaging.facts import PetFacts
from fedpet.imaging.remarks import TITLES, Remark

Fact: TypeAlias = str | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvProvenance:
    """Which rule gave the SUV of a scan; offsets only, no dates.

    Args:
        units: (0054,1001) as found.
        rule: How values became SUV, in words.
        kind: Which SUV the factors give.
        stored_as: Kind of SUV that the stored values are; empty if they are activity or counts.
        decay: How decay between injection and scan was counted, in words.
        reference: Rule that gave the reference time; empty if none was needed.
        candidates: Every reference time found, in seconds after the chosen one.
        aside: Why times of the header are no candidates.
        injection: Rule that gave the injection time; empty if none was needed.
        injections: Every injection time found, in seconds before the reference time.
        uptake_s: Time from injection to the reference time; None if not needed.
        weight_kg: As used; None if not needed and absent.
        height_m: As used; None if not needed.
        sex: As used; empty if not needed.
        dose_bq: As used; None if not needed.
        half_life_s: As used; None if not needed.
        counts_factor: Vendor's factor from counts; None if values are not counts.
        cross_check: SUV by (7053,1009) divided by SUV by (7053,1000); None unless both work.
        alternative: How (7053,1009) would have given the factor, or why it cannot.
        to_body_weight: Factor from this SUV to that by body weight; None if it cannot be told.
        stated: Values that the hospital gave in place of the header's.
        formula: The factor with its numbers filled in.
        factor_min: Smallest factor over the slices, without the rescale slope.
        factor_max: Largest factor.
    """

    units: str
    rule: str
    kind: Kind = "bw"
    stored_as: str = ""
    decay: str = ""
    reference: str = ""
    candidates: tuple[tuple[str, float], ...] = ()
    aside: tuple[str, ...] = ()
    injection: str = ""
    injections: tuple[tuple[str, float], ...] = ()
    uptake_s: float | None = None
    weight_kg: float | None = None
    height_m: float | None = None
    sex: str = ""
    dose_bq: float | None = None
    half_life_s: float | None = None
    counts_factor: float | None = None
    cross_check: float | None = None
    alternative: str = ""
    to_body_weight: float | None = None
    stated: tuple[str, ...] = ()
    formula: str = ""
    factor_min: float = math.nan
    factor_max: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvScale:
    """Factors from rescaled stored values to SUV.

    Args:
        factors: float64 [slices], in the order of the facts; SUV = rescaled value * factor.
        provenance: The rules that were used.
        facts: The header values after corrections and repairs.
        remarks: Repairs and contradictions.
    """

    factors: NDArray[np.float64]
    provenance: SuvProvenance
    facts: PetFacts
    remarks: tuple[Remark, ...]


def plain_facts(provenance: SuvProvenance) -> dict[str, Fact]:
    """Return a provenance as plain named facts; each candidate on its own.

    Examples:
        >>> plain_facts(SuvProvenance(units="GML", rule="already SUV"))["units"]
        'GML'
    """
    told = asdict(provenance)
    candidates, injections = told.pop("candidates"), told.pop("injections")
    aside, stated = told.pop("aside"), told.pop("stated")
    return {
        **told,
        "aside": " ".join(aside),
        "stated": ", ".join(stated),
        **{f"candidate_s/{name}": seconds for name, seconds in candidates},
        **{f"injection_s/{name}": seconds for name, seconds in injections},
    }


def worked_lines(provenance: SuvProvenance, remarks: Sequence[Remark]) -> tuple[str, ...]:
    """Explain how a scan's values became SUV, as a physicist would check it by hand.

    Args:
        provenance: Of the scan.
        remarks: Repairs and contradictions.

    Examples:
        >>> worked_lines(SuvProvenance(units="GML", rule="already body-weight SUV",
        ...     formula="factor = 1", factor_min=1.0, factor_max=1.0), ())[-1]
        'SUV = rescaled value * 1'
    """
    told = provenance
    lines = [
        f"units (0054,1001): {told.units}",
        f"rule: {told.rule}",
        f"result: {NAMES[told.kind]}",
    ]
    lines += [f"given by the hospital (fixes.csv): {name}" for name in told.stated]
    lines += [f"repaired: {one.text}" for one in remarks if one.code == "FP-2130"]
    if told.decay:
        lines.append(f"decay: {told.decay}")
    lines += _reference(told)
    lines += _injection(told)
    if told.half_life_s is not None:
        lines.append(f"half life (0018,1075): {told.half_life_s:g} s")
    if told.alternative:
        lines.append(f"check by (7053,1009): {told.alternative}")
    if told.cross_check is not None:
        lines.append(f"  that is {told.cross_check:.6g} times the factor that was used")
    lines.append(told.formula)
    if told.factor_min == told.factor_max:
        lines.append(f"SUV = rescaled value * {told.factor_max:.10g}")
    else:
        lines.append(
            f"SUV = rescaled value * factor of the slice, {told.factor_min:.10g} to "
            f"{told.factor_max:.10g}"
        )
    noted = [one for one in remarks if one.code != "FP-2130"]
    lines += [f"note {one.code}, {TITLES.get(one.code, 'remark')}: {one.text}" for one in noted]
    return tuple(lines)


def _reference(told: SuvProvenance) -> list[str]:
    if not told.reference:
        return []
    lines = [f"reference time: {told.reference}"]
    for name, seconds in told.candidates:
        change = ""
        if told.half_life_s and seconds:
            factor = 2 ** (min(abs(seconds), 100 * told.half_life_s) / told.half_life_s)
            percent = 100 * ((factor if seconds > 0 else 1 / factor) - 1)
            change = f", SUV {percent:+.2f} %"
        mark = "used" if name == told.reference else f"{seconds:+.3f} s{change}"
        lines.append(f"  candidate: {name} ({mark})")
    return lines + [f"  no candidate: {said}" for said in told.aside]


def _injection(told: SuvProvenance) -> list[str]:
    if told.uptake_s is None:
        return []
    lines = [
        f"injection: {told.injection}, {told.uptake_s:.3f} s "
        f"({told.uptake_s / 60:.1f} min) before the reference time"
    ]
    for name, seconds in told.injections:
        side = "before" if seconds >= 0 else "after"
        lines.append(f"  candidate: {name}, {abs(seconds) / 60:.1f} min {side} the reference time")
    return lines
