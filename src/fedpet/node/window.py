"""When a hospital's machine may compute for others: hours of the day, days of the week."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
STEP = timedelta(minutes=1)
WEEK_MINUTES = 7 * 24 * 60


def mistakes(hours: Sequence[str], days: Sequence[str], zone: str) -> Iterator[str]:
    """Yield what is wrong with a window, in words.

    Examples:
        >>> list(mistakes(["19:00-07:00"], ["mon"], "Europe/Paris"))
        []
        >>> list(mistakes(["7-19"], [], ""))
        ["'compute_hours' holds '7-19', expected a span such as 19:00-07:00"]
    """
    for span in hours:
        found = SPAN.fullmatch(span)
        if not found or span.endswith(("24:30", "24:59")) or _ends(span) > 24 * 60:
            yield f"'compute_hours' holds {span!r}, expected a span such as 19:00-07:00"
    for day in days:
        if day not in DAYS:
            yield f"'compute_days' holds {day!r}, expected some of {', '.join(DAYS)}"
    try:
        zone_of(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"'time_zone' is {zone!r}, expected a name such as Europe/Paris"


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone; None, which is the machine's own, if it has no name."""
    return ZoneInfo(name) if name else None


def objections(
    hours: Sequence[str], days: Sequence[str], zone: str, *, now: datetime
) -> tuple[str, ...]:
    """Object to a request outside the window, and tell when to ask again.

    Args:
        hours: Spans such as `19:00-07:00`; none means at any hour. A span over midnight belongs
            to the day on which it begins.
        days: Of `DAYS`; none means on every day.
        zone: Of the hospital, such as `Europe/Paris`; the machine's own if empty.
        now: The present moment, with a time zone.

    Examples:
        >>> from datetime import UTC
        >>> noon = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday
        >>> objections(["19:00-07:00"], [], "UTC", now=noon)
        ('This hospital computes from 19:00 to 07:00; ask again on Tue 24 Nov at 19:00 UTC.',)
        >>> objections(["19:00-07:00"], [], "UTC", now=noon.replace(hour=3))
        ()
    """
    here = now.astimezone(zone_of(zone))
    if _open(hours, days, here):
        return ()
    first = here.replace(second=0, microsecond=0)
    for minutes in range(1, WEEK_MINUTES + 1):
        # Steps are taken in absolute time, so that a change of the clock is no special case.
        later = (first.astimezone(now.tzinfo) + minutes * STEP).astimezone(zone_of(zone))
        if _open(hours, days, later):
            when = later.strftime("%a %d %b at %H:%M") + f" {zone or later.tzname()}"
            return (f"This hospital computes {_told(hours, days)}; ask again on {when}.",)
    return ("This hospital computes at no hour.",)


def _open(hours: Sequence[str], days: Sequence[str], here: datetime) -> bool:
    allowed = days or DAYS
    today, yesterday = DAYS[here.weekday()], DAYS[here.weekday() - 1]
    if not hours:
        return today in allowed
    minute = here.hour * 60 + here.minute
    for span in hours:
        begins, ends = _begins(span), _ends(span)
        if begins < ends:
            if begins <= minute < ends and today in allowed:
                return True
        elif (minute >= begins and today in allowed) or (minute < ends and yesterday in allowed):
            return True
    return False


def _begins(span: str) -> int:
    at = time.fromisoformat(span.partition("-")[0])
    return at.hour * 60 + at.minute


def _ends(span: str) -> int:
    hour, _, minute = span.partition("-")[2].partition(":")
    return int(hour) * 60 + int(minute)


def _told(hours: Sequence[str], days: Sequence[str]) -> str:
    parts = []
    if hours:
        spans = [span.replace("-", " to ") for span in hours]
        parts.append(f"from {' and '.join(spans)}")
    if days:
        parts.append(f"on {', '.join(days)}")
    return " ".join(parts)
