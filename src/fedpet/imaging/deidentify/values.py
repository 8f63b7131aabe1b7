"""How single values of a DICOM header are shifted, cleaned, checked and replaced."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Final

AGE_MAX: Final = 90
REPLACEMENT: Final = "REMOVED"
_DATE = re.compile(r"(\d{4})([.-]?)(\d{2})\2(\d{2})")
_DATETIME = re.compile(r"(\d{8})(\d{0,6}(?:\.\d{1,6})?)([+-]\d{4})?")
_WORD = re.compile(r"[^\W_]+")
# Days, telephone and insurance numbers.
_NUMBERS = re.compile(r"\d+(?:[ ./_-]+\d+){2,}")
_FORMATS: Final = {
    "TM": re.compile(r"\d{2}(:?\d{2}(:?\d{2}(\.\d{1,6})?)?)?"),
    "DS": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    "IS": re.compile(r"[+-]?\d+"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[\w .+/-]*", re.ASCII),
    "UI": re.compile(r"[\d.]*"),
    "SH": re.compile(r"[+-]\d{4}"),  # an offset from UTC, the only SH among dates
}


@cache
def vocabulary() -> frozenset[str]:
    """Return the words that may stay in a label; whoever types a name there loses it."""
    text = resources.files("fedpet.imaging").joinpath("label_words.txt").read_text("ascii")
    return frozenset(text.split())


def shift_date(text: str, days: int) -> str | None:
    """Move a date (DA); None if it is not one, or would leave the calendar.

    Examples:
        >>> shift_date("20250102", -2), shift_date("2025.01.02", -2), shift_date("soon", -2)
        ('20241231', '20241231', None)
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        moved = date(int(match[1]), int(match[3]), int(match[4])) + timedelta(days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04d}{moved:%m%d}"


def shift_datetime(text: str, days: int) -> str | None:
    """Move the date of a date and time (DT); None if it has no whole date.

    Examples:
        >>> shift_datetime("20250102101500.50+0100", -2)
        '20241231101500.50+0100'
    """
    match = _DATETIME.fullmatch(text)
    moved = shift_date(match[1], days) if match else None
    return None if match is None or moved is None else f"{moved}{match[2]}{match[3] or ''}"


def shift(vr: str, text: str, days: int) -> str | None:
    """Move dates, keep times of day; None if a part is neither.

    Args:
        vr: DA, DT, TM, or SH for an offset from UTC.
        text: The value, parts joined by a backslash.
        days: The subject's shift.
    """
    mover = {"DA": shift_date, "DT": shift_datetime}.get(vr)
    parts = []
    for part in text.split("\\"):
        part = part.strip()
        if mover is None:
            moved = part if not part or _FORMATS[vr].fullmatch(part) else None
        else:
            moved = mover(part, days) if part else ""
        if moved is None:
            return None
        parts.append(moved)
    return "\\".join(parts)


def is_well_formed(vr: str, text: str) -> bool:
    """Tell whether a value can be what its type says, so that it can hide no words.

    Examples:
        >>> is_well_formed("DS", " 70.5"), is_well_formed("DS", "Doe"), is_well_formed("LO", "Doe")
        (True, False, True)
    """
    form = _FORMATS.get(vr)
    if form is None or vr == "SH":
        return True
    return all(not part.strip() or form.fullmatch(part.strip()) for part in text.split("\\"))


def cap_age(text: str) -> str:
    """Write ages above 89 years as 90, as few people reach them.

    Examples:
        >>> cap_age("093Y"), cap_age("071Y"), cap_age("010M")
        ('090Y', '071Y', '010M')
    """
    if re.fullmatch(r"\d{3}Y", text) and int(text[:3]) > AGE_MAX:
        return f"{AGE_MAX:03d}Y"
    return text


def clean_label(text: str, *, forbidden: frozenset[str] = frozenset()) -> str:
    """Keep the words of a label that are known to speak of images, and short numbers.

    Args:
        text: Any text.
        forbidden: Words in lower case that go even if they are known, such as the patient's name.

    Examples:
        >>> clean_label("PET WB AC Dupont 2mm"), clean_label("GTV_Mass"), clean_label("Mr Durand")
        ('PET WB AC 2mm', 'GTV_Mass', '')
        >>> clean_label("CT 12/03/1950"), clean_label("tel 06 12 34 56 78")
        ('CT', '')
    """

    def kept(match: re.Match[str]) -> str:
        word = match[0].casefold()
        if word in forbidden:
            return ""
        stem = re.sub(r"\d{1,3}", "", word)
        known = (not stem or stem in vocabulary()) and not re.search(r"\d{4}", word)
        return match[0] if known and match[0].isascii() else ""

    words = _WORD.sub(kept, _NUMBERS.sub(" ", text))
    words = re.sub(r"[^\w \\.+/()-]", " ", words, flags=re.ASCII)
    words = re.sub(r"(?<![^\W_])[_.+/(-]+|[_.+/(-]+(?![^\W_])", " ", words)
    return " ".join(words.split()).strip("_-+./ ")


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the words of three letters and the numbers of four digits and more, in lower case."""
    found = (word.casefold() for text in texts for word in _WORD.findall(text))
    return frozenset(word for word in found if len(word) > 2 + word.isdigit())


def dummy(vr: str) -> str:
    """Return a text that is valid for its type and says nothing."""
    return {
        "DA": "19000101",
        "DT": "19000101000000",
        "TM": "000000",
        "AS": "000Y",
        "DS": "0",
        "IS": "0",
    }.get(vr, REPLACEMENT)
