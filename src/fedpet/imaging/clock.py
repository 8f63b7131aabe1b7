"""DICOM dates and times as seconds on one naive local clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

DAY_S = 86400.0
# Seconds count from 2000-01-01, so that a float keeps tenths of a microsecond of any scan.
_FIRST_DAY = date(2000, 1, 1).toordinal()
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d+))?)?)?")
_ZONE = re.compile(r"([+-])(\d{2})(\d{2})")
_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")


@lru_cache(maxsize=4096)
def parse_time(text: str) -> float | None:
    """Return seconds since midnight of a DICOM time (TM), or None.

    Examples:
        >>> parse_time("101530.5"), parse_time("10:15"), parse_time("2561"), parse_time("")
        (36930.5, 36900.0, None, None)
        >>> parse_time("101530.12500000")  # more digits than the standard allows
        36930.125
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600.0 + minutes * 60.0 + seconds + float(f"0.{match.group(4) or 0}")


@lru_cache(maxsize=4096)
def parse_date(text: str) -> float | None:
    """Return midnight of a DICOM date (DA) in seconds, or None.

    Examples:
        >>> parse_date("20250102") - parse_date("2025.01.01"), parse_date("20250231")
        (86400.0, None)
    """
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return (date(*map(int, match.groups())).toordinal() - _FIRST_DAY) * DAY_S
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def parse_datetime(text: str, zone: str = "") -> float | None:
    """Return the seconds of a DICOM date and time (DT) on the clock of the header's other times.

    A time that carries an offset from UTC is brought to the zone of the header. Where the header
    does not tell its zone, the offset is left aside: times of one scan come from clocks in one
    place.

    Args:
        text: Date and time.
        zone: (0008,0201) Timezone Offset From UTC, in which times without offset stand.

    Examples:
        >>> parse_datetime("20250101100000.000000+0100") - parse_date("20250101")
        36000.0
        >>> parse_datetime("20250101090000+0000", "+0100") - parse_date("20250101")
        36000.0
    """
    text = text.strip()
    offset = _offset_s(text[-5:]) if len(text) > 12 else None
    if offset is not None:
        text = text[:-5]
    here = _offset_s(zone.strip())
    day, time = parse_date(text[:8]), parse_time(text[8:])
    if day is None or time is None:
        return None
    return day + time + (0.0 if offset is None or here is None else here - offset)


def _offset_s(text: str) -> float | None:
    """Return an offset from UTC in seconds, or None if it is not one."""
    match = _ZONE.fullmatch(text)
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    seconds = int(hours) * 3600.0 + int(minutes) * 60.0
    return -seconds if sign == "-" else seconds


def written(moment: float) -> tuple[str, str]:
    """Write a moment as a DICOM date and time, to the microsecond.

    Examples:
        >>> written(parse_datetime("20250101093000.25"))
        ('20250101', '093000.250000')
    """
    micro = round(moment * 1e6)
    days, rest = divmod(micro, round(DAY_S * 1e6))
    seconds, rest = divmod(rest, 1_000_000)
    day = date.fromordinal(_FIRST_DAY + days)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{day:%Y%m%d}", f"{hours:02d}{minutes:02d}{seconds % 60:02d}.{rest:06d}"


def join(day: str, time: str) -> float | None:
    """Return the seconds of a separate date and time, or None if one is missing."""
    start, offset = parse_date(day), parse_time(time)
    return None if start is None or offset is None else start + offset


def over_midnight(times: Sequence[float | None]) -> tuple[tuple[float | None, ...], bool]:
    """Move times to the day after where a scan ran over midnight and its dates did not follow.

    Args:
        times: Of the slices of one scan, in seconds.

    Returns:
        The times, and whether any was moved: those of the early hours, if all others lie in the
        late ones and all then lie within half a day.

    Examples:
        >>> over_midnight((86000.0, 86300.0, 200.0))
        ((86000.0, 86300.0, 86600.0), True)
        >>> over_midnight((36000.0, None))
        ((36000.0, None), False)
    """
    known = [time for time in times if time is not None]
    if not known or max(known) - min(known) < DAY_S / 2:
        return tuple(times), False
    limit = max(known) - DAY_S / 2
    moved = tuple(time + DAY_S if time is not None and time < limit else time for time in times)
    later = [time for time in moved if time is not None]
    if max(later) - min(later) < DAY_S / 2:
        return moved, True
    return tuple(times), False


def in_words(seconds: float) -> str:
    """Write a time of day for a person.

    Examples:
        >>> in_words(parse_datetime("20250101100007"))
        '10:00:07'
    """
    whole = int(seconds % DAY_S)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
