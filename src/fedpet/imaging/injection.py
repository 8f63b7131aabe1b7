"""When the tracer was given, although half of all series carry only a time of day."""

from __future__ import annotations

from dataclasses import dataclass

from fedpet.errors import DataError
from fedpet.imaging.clock import DAY_S
from fedpet.imaging.remarks import Remark

HALF_LIVES_MAX = 5.0
UPTAKE_MIN = (45.0, 90.0)
UPTAKE_FAR_MIN = (30.0, 120.0)
DISAGREEMENT_MAX = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """The time between injection and the reference time of the image.

    Args:
        uptake_s: Never negative.
        rule: Where it comes from.
        candidates: (where, seconds before the reference time) of every time of injection found;
            a negative one lies after the scan.
        remarks: A corrected date, or an unusual uptake time.
    """

    uptake_s: float
    rule: str
    candidates: tuple[tuple[str, float], ...]
    remarks: tuple[Remark, ...]


def find_injection(
    *,
    reference: float,
    injection: float | None,
    injection_time: float | None,
    half_life_s: float,
    stated: bool = False,
) -> Injection:
    """Place the injection before the scan.

    The full date and time counts if it lies within the 24 hours before the scan (within five half
    lives for tracers that live longer). Otherwise the time of day is placed on the day of the
    scan, or on the day before if it would be later.

    Args:
        reference: Decay reference time of the image, in seconds.
        injection: (0018,1078), in seconds.
        injection_time: (0018,1072), in seconds since midnight.
        half_life_s: Half life.
        stated: Whether `injection` is the hospital's own word; then its date is not repaired.

    Raises:
        DataError: If there is no injection time, or it lies more than five half lives back.

    Examples:
        >>> find_injection(reference=DAY_S + 1800, injection=None, injection_time=84600.0,
        ...                half_life_s=6586.2).uptake_s
        3600.0
    """
    found = _candidates(reference, injection, injection_time, stated=stated)
    if not found:
        raise DataError(
            "The PET has no time of injection, (0018,1072) or (0018,1078).",
            why="SUV needs the decay between injection and scan.",
            do="Export again with times kept, or give injection_datetime in fixes.csv.",
            code="FP-2112",
        )
    remarks = []
    (rule, uptake), *others = found
    reach_s = max(DAY_S, HALF_LIVES_MAX * half_life_s)
    if injection is None and half_life_s > DAY_S:
        raise DataError(
            f"The half life is {half_life_s / 3600:.0f} h, and the time of injection is told "
            "without its date.",
            do="Export with (0018,1078) kept, or give injection_datetime in fixes.csv.",
            code="FP-2112",
        )
    if not 0 <= uptake < reach_s and stated:
        raise DataError(
            f"By fixes.csv the injection lies {-uptake / 3600:.1f} h after the scan."
            if uptake < 0
            else f"By fixes.csv the injection lies {uptake / 3600:.1f} h before the scan.",
            do="Correct injection_datetime in fixes.csv.",
            code="FP-2113",
        )
    if not 0 <= uptake < reach_s:
        clock = injection_time if injection_time is not None else (injection or 0.0) % DAY_S
        remarks.append(_wrong_date(uptake, (reference - clock) % DAY_S))
        rule, uptake = (
            "time of day of the injection on the day of the scan",
            (reference - clock) % DAY_S,
        )
    elif (
        others
        and uptake < DAY_S
        and abs(2 ** ((others[0][1] - uptake) / half_life_s) - 1) > DISAGREEMENT_MAX
    ):
        text = (
            f"(0018,1078) and (0018,1072) place the injection {abs(others[0][1] - uptake):.0f} s "
            "apart; the former was used."
        )
        remarks.append(Remark(code="FP-2131", text=text))
    if uptake > HALF_LIVES_MAX * half_life_s:
        raise DataError(
            f"The injection lies {uptake / 3600:.1f} h before the scan, more than "
            f"{HALF_LIVES_MAX:g} half lives.",
            do="Correct (0018,1072) Radiopharmaceutical Start Time or the clocks, or give "
            "injection_datetime in fixes.csv.",
            code="FP-2113",
        )
    if not UPTAKE_MIN[0] <= uptake / 60 <= UPTAKE_MIN[1]:
        text = f"The scan started {uptake / 60:.0f} minutes after the injection."
        far = not UPTAKE_FAR_MIN[0] <= uptake / 60 <= UPTAKE_FAR_MIN[1]
        remarks.append(Remark(code="FP-2129" if far else "FP-2133", text=text))
    return Injection(uptake_s=uptake, rule=rule, candidates=found, remarks=tuple(remarks))


def _candidates(
    reference: float, injection: float | None, injection_time: float | None, *, stated: bool
) -> tuple[tuple[str, float], ...]:
    found = []
    if injection is not None:
        name = "injection_datetime of fixes.csv" if stated else "start date and time (0018,1078)"
        found.append((name, reference - injection))
    if injection_time is not None:
        name = "start time (0018,1072) on the day of the scan"
        found.append((name, (reference - injection_time) % DAY_S))
    return tuple(found)


def _wrong_date(uptake_s: float, better_s: float) -> Remark:
    days = round((better_s - uptake_s) / DAY_S)
    said = (
        f"{abs(days)} day(s) {'after' if days > 0 else 'before'} it can be"
        if days
        else "not in agreement with the scan"
    )
    text = f"(0018,1078) Radiopharmaceutical Start DateTime is {said}; its time of day was used."
    return Remark(code="FP-2132", text=text)
