"""The moment to which a PET with decay correction START was corrected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedpet.errors import DataError
from fedpet.imaging.clock import DAY_S, in_words
from fedpet.imaging.remarks import Remark

SPREAD_MAX_S = 2.0
DISAGREEMENT_MAX = 0.02
SAME_SCAN_S = DAY_S / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceTime:
    """The chosen moment and the others that the header offers.

    Args:
        time: In seconds on the scanner's clock.
        rule: Where it comes from.
        candidates: (where, seconds after `time`) of every moment found.
        aside: Why a moment of the header is no candidate, one sentence each.
        remarks: A disagreement that would change SUV by more than 2 %.
    """

    time: float
    rule: str
    candidates: tuple[tuple[str, float], ...]
    aside: tuple[str, ...]
    remarks: tuple[Remark, ...]


def mean_activity_s(duration_s: float, half_life_s: float) -> float:
    """Return the time into a frame at which activity equals its mean over the frame.

    Examples:
        >>> round(mean_activity_s(120.0, 6586.2), 6)
        59.936855
    """
    decay = math.log(2) / half_life_s
    x = decay * duration_s
    return math.log(x / -math.expm1(-x)) / decay if x > 0 else 0.0


def find_reference_time(
    *,
    series: float | None,
    acquired: Sequence[float | None],
    frame_reference_s: Sequence[float | None],
    frame_duration_s: Sequence[float | None],
    ge_scan: float | None,
    siemens_decay: float | None,
    half_life_s: float,
) -> ReferenceTime:
    """Choose the decay reference time of a series corrected to START.

    In this order: GE's private scan time (on the day of acquisition); the series time, unless a
    slice was acquired before it or half a day after; the time computed back from each slice's
    frame reference time, if all slices agree within 2 s (on GE scanners they do not); Siemens'
    private time; the earliest acquisition.

    Args:
        series: Series date and time; all times in seconds on one clock.
        acquired: Acquisition date and time of each slice.
        frame_reference_s: Frame reference time of each slice.
        frame_duration_s: Actual frame duration of each slice.
        ge_scan: (0009,100D).
        siemens_decay: (0071,1022).
        half_life_s: Half life.

    Raises:
        DataError: If the header has no usable time at all.

    Source:
        IBSI-SUV manual, with the exceptions measured on real GE and Siemens series.

    Examples:
        >>> found = find_reference_time(series=None, acquired=(1000.0, 1120.0),
        ...     frame_reference_s=(None, None), frame_duration_s=(120.0, 120.0), ge_scan=None,
        ...     siemens_decay=None, half_life_s=6586.2)
        >>> found.rule, found.time
        ('earliest acquisition', 1000.0)
    """
    times = [time for time in acquired if time is not None]
    earliest = min(times) if times else None
    found: list[tuple[str, float]] = []
    aside: list[str] = []
    remarks: list[Remark] = []
    if ge_scan is not None:
        moment, more = _on_the_day(ge_scan, earliest)
        found.append(("GE scan time (0009,100D)", moment))
        remarks += more
    if series is not None:
        if said := _objection_to_series(series, earliest):
            aside.append(said)
        else:
            found.append(("series time", series))
    back, said = _computed_back(acquired, frame_reference_s, frame_duration_s, half_life_s)
    if back is not None:
        found.append(("frame reference time", back))
    elif said:
        aside.append(said)
    if siemens_decay is not None:
        found.append(("Siemens decay time (0071,1022)", siemens_decay))
    if earliest is not None:
        found.append(("earliest acquisition", earliest))
    if not found:
        raise DataError(
            "The PET has neither a series time nor acquisition times.",
            why="SUV needs the decay between injection and scan.",
            do="Export again with times kept.",
            code="FP-2112",
        )
    rule, time = found[0]
    return ReferenceTime(
        time=time,
        rule=rule,
        candidates=tuple((name, moment - time) for name, moment in found),
        aside=tuple(aside),
        remarks=(*remarks, *_disagreement(found, half_life_s)),
    )


def _on_the_day(moment: float, earliest: float | None) -> tuple[float, list[Remark]]:
    """Place a private time on the day of acquisition: de-identification may shift only one."""
    if earliest is None or abs(moment - earliest) < SAME_SCAN_S:
        return moment, []
    days = round((earliest - moment) / DAY_S)
    text = (
        f"(0009,100D) lies {abs(days)} day(s) {'before' if days > 0 else 'after'} the acquisition; "
        "its time of day was used."
    )
    return moment + days * DAY_S, [Remark(code="FP-2131", text=text)]


def _objection_to_series(series: float, earliest: float | None) -> str:
    """Tell why the series time is not the start of the scan; empty if it can be."""
    if earliest is None:
        return ""
    if series > earliest:
        return (
            f"The series time lies {series - earliest:.0f} s after the first acquisition: it is "
            "that of a later reconstruction."
        )
    if earliest - series >= SAME_SCAN_S:
        return (
            f"The series time lies {(earliest - series) / 3600:.1f} h before the first "
            "acquisition: it is not of this scan."
        )
    return ""


def _computed_back(
    acquired: Sequence[float | None],
    frame_reference_s: Sequence[float | None],
    frame_duration_s: Sequence[float | None],
    half_life_s: float,
) -> tuple[float | None, str]:
    """Return the start that every slice tells, or why there is none."""
    starts = []
    for time, offset, length in zip(acquired, frame_reference_s, frame_duration_s, strict=True):
        if time is None or offset is None or length is None or length <= 0:
            return None, ""
        starts.append(time + mean_activity_s(length, half_life_s) - offset)
    if not starts:
        return None, ""
    spread = max(starts) - min(starts)
    if spread >= SPREAD_MAX_S:
        return None, (
            f"Computed back from the frame reference time (0054,1300), the slices start up to "
            f"{spread:.0f} s apart: it is not counted from one start."
        )
    return sum(starts) / len(starts), ""


def _disagreement(found: list[tuple[str, float]], half_life_s: float) -> tuple[Remark, ...]:
    low = min(found, key=lambda one: one[1])
    high = max(found, key=lambda one: one[1])
    change = 2 ** (min(high[1] - low[1], 100 * half_life_s) / half_life_s) - 1
    if change <= DISAGREEMENT_MAX:
        return ()
    text = (
        f"By {low[0]} the scan started at {in_words(low[1])}, by {high[0]} at "
        f"{in_words(high[1])}; SUV would differ by {100 * change:.0f} %. "
        f"The {found[0][0]} was used."
    )
    return (Remark(code="FP-2131", text=text),)
