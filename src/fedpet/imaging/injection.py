"""When the tracer was given, although half of all series carry only a time of day."""

from __future__ import annotations

from dataclasses import dataclass

from fedpet.errors import DataError
from fedpet.imaging.clock import DAY_S
from fedpet.imaging.remarks import Remark

HALF_LIVES_MAX = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """The time between injection and the reference time of the image.

    Args:
        uptake_s: Never negative.
        rule: Where it comes from.
        remarks: A corrected date, or an unusual uptake time.
    """

    uptake_s: float
    rule: str
    remarks: tuple[Remark, ...]


def find_injection(
    *,
    reference: float,
    injection: float | None,
    injection_time: float | None,
    half_life_s: float,
) -> Injection:
    """Place the injection before the scan.

    The full date and time counts if it lies within the 24 hours before the scan. Otherwise the
    time of day is placed on the day of the scan, or on the day before if it would be later.

    Args:
        reference: Decay reference time of the image, in seconds.
        injection: (0018,1078), in seconds.
        injection_time: (0018,1072), in seconds since midnight.
        half_life_s: Half life.

    Raises:
        DataError: If there is no injection time, or it lies more than five half lives back.

    Examples:
        >>> find_injection(reference=DAY_S + 1800, injection=None, injection_time=84600.0,
        ...                half_life_s=6586.2).uptake_s
        3600.0
    """
    remarks = []
    if injection is not None and 0 <= reference - injection < DAY_S:
        uptake, rule = reference - injection, "start date and time (0018,1078)"
    elif injection_time is not None or injection is not None:
        clock = injection % DAY_S if injection_time is None and injection else injection_time or 0.0
        uptake, rule = (reference - clock) % DAY_S, "start time (0018,1072) on the day of the scan"
        if injection is not None:
            days = round((injection - (reference - uptake)) / DAY_S)
            text = (
                "(0018,1078) Radiopharmaceutical Start DateTime is "
                + (
                    f"{abs(days)} day(s) {'after' if days > 0 else 'before'} it can be"
                    if days
                    else "not in agreement with the scan"
                )
                + "; its time of day was used."
            )
            remarks.append(Remark(code="FP-2132", text=text))
            rule = "time of day of the injection on the day of the scan"
    else:
        raise DataError(
            "The PET has no time of injection, (0018,1072) or (0018,1078).",
            why="SUV needs the decay between injection and scan.",
            do="Export again with times kept.",
            code="FP-2112",
        )
    if uptake > HALF_LIVES_MAX * half_life_s:
        raise DataError(
            f"The injection lies {uptake / 3600:.1f} h before the scan, more than "
            f"{HALF_LIVES_MAX:g} half lives.",
            do="Correct (0018,1072) Radiopharmaceutical Start Time, or the clocks.",
            code="FP-2113",
        )
    if not 45 <= uptake / 60 <= 90:
        text = f"The scan started {uptake / 60:.0f} minutes after the injection."
        remarks.append(Remark(code="FP-2133", text=text))
    return Injection(uptake_s=uptake, rule=rule, remarks=tuple(remarks))
