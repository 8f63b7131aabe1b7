"""The header values of a PET that SUV depends on, repaired, or replaced by the hospital's word."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from fedpet.imaging.remarks import Remark

# Half of what is given for the longest-lived tracers; doses in mCi lie below when read as MBq.
MBQ_KG_MIN = 0.3


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
        sources: Different items of (0054,0016): injections that the header tells.
        stated: Names of the values above that the hospital gave in place of the header's.
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
    sources: int = 1
    stated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """What the hospital says about one subject in place of the header; None or empty: nothing.

    Args:
        weight_kg: In kg.
        height_m: In m.
        dose_bq: At injection, in Bq.
        injection: Date and time of injection, in seconds on the clock of `clock`.
        sex: M, F or O.
    """

    weight_kg: float | None = None
    height_m: float | None = None
    dose_bq: float | None = None
    injection: float | None = None
    sex: str = ""

    @property
    def stated(self) -> tuple[str, ...]:
        """Names of the values that are given."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) not in (None, ""))


def corrected(facts: PetFacts, by: Corrections) -> tuple[PetFacts, tuple[Remark, ...]]:
    """Put the hospital's values in place of the header's, and say so for each.

    Args:
        facts: As the header tells.
        by: As the hospital tells.

    Examples:
        >>> facts = PetFacts(units="GML", weight_kg=700.0, acquired=(), frame_reference_s=(),
        ...                  frame_duration_s=())
        >>> facts, remarks = corrected(facts, Corrections(weight_kg=70.0))
        >>> facts.weight_kg, remarks[0].text
        (70.0, 'weight_kg is 70 by fixes.csv; the header says 700.')
    """
    remarks = []
    for name in by.stated:
        value, before = getattr(by, name), getattr(facts, name)
        if name == "injection":
            facts = replace(facts, injection=by.injection, injection_time=None)
            text = "The date and time of injection were taken from fixes.csv, not from the header."
        else:
            facts = replace(facts, **{name: value})
            said = _told(before) if before not in (None, "") else "nothing"
            text = f"{name} is {_told(value)} by fixes.csv; the header says {said}."
        remarks.append(Remark(code="FP-2126", text=text))
    return replace(facts, stated=by.stated), tuple(remarks)


def overruled(facts: PetFacts, by: Corrections) -> tuple[str, ...]:
    """Name what a scanner used for its own SUV and the hospital says otherwise.

    Args:
        facts: As the header tells.
        by: As the hospital tells.
    """
    names = ("weight_kg", "dose_bq")
    found = [name for name in names if name in by.stated and _differs(facts, by, name)]
    has_time = facts.injection is not None or facts.injection_time is not None
    if by.injection is not None and has_time:
        found.append("injection_datetime")
    return tuple(found)


def _differs(facts: PetFacts, by: Corrections, name: str) -> bool:
    before = getattr(repaired(facts)[0], name)
    return before is not None and before != getattr(by, name)


def _told(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)[:20]


def repaired(facts: PetFacts) -> tuple[PetFacts, tuple[Remark, ...]]:
    """Bring weight to kg, dose to Bq and height to m where the written unit is evident.

    A dose that would be less than any body gets as MBq is left as it is, and so refused: it may
    be told in mCi.

    What the hospital stated is not touched: its unit is known.
    """
    remarks = []
    if _evident(facts, "weight_kg") and facts.weight_kg is not None and facts.weight_kg > 1000:
        remarks.append(f"(0010,1030) Weight {facts.weight_kg:g} was read as grams.")
        facts = replace(facts, weight_kg=facts.weight_kg / 1000)
    if _evident(facts, "dose_bq") and facts.dose_bq is not None and _is_mbq(facts):
        remarks.append(f"(0018,1074) Dose {facts.dose_bq:g} was read as MBq.")
        facts = replace(facts, dose_bq=facts.dose_bq * 1e6)
    if _evident(facts, "height_m") and facts.height_m is not None and facts.height_m > 3:
        remarks.append(f"(0010,1020) Size {facts.height_m:g} was read as centimetres.")
        facts = replace(facts, height_m=facts.height_m / 100)
    return facts, tuple(Remark(code="FP-2130", text=text) for text in remarks)


def _is_mbq(facts: PetFacts) -> bool:
    """Tell whether a dose can only be in MBq."""
    dose, weight = facts.dose_bq or 0.0, facts.weight_kg or 0.0
    return 0 < dose < 1e5 and dose >= MBQ_KG_MIN * weight


def _evident(facts: PetFacts, name: str) -> bool:
    return name not in facts.stated
