"""Which attributes of a DICOM file may stay, after the standard's own table.

The table is `profile.csv` beside this file. An option adds a column to the basic profile;
where several apply, keeping wins over cleaning, and cleaning over the basic action.

Source:
    DICOM PS3.15 Table E.1-1, *Application Level Confidentiality Profile Attributes*, edition 2026c.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

EDITION: Final = "2026c"
# E.3.7 speaks of sex, age, size and weight, which SUV needs; what else its column would keep
# (ethnic group, smoking, pregnancy) goes: the clinical table holds what a study may use.
CHARACTERISTICS: Final = frozenset((0x00100040, 0x00101010, 0x00101020, 0x00101030))
DATES: Final = frozenset(("DA", "DT"))
LONG_TEXTS: Final = frozenset(("ST", "LT", "UT", "UR"))
# Labels that people type and that the table does not list.
LABELS: Final = frozenset((0x00620005, 0x00620020, 0x30060085))
# UIDs that name a code system or a template, and no patient.
SCHEME_UIDS: Final = frozenset((0x0008010C, 0x00080117, 0x00080118, 0x0040DB0D, 0x00080015))
_BULK_GROUPS: Final = frozenset((0x0028, 0x5400, 0x7FE0, 0x0066))
_BULK: Final = frozenset(("OB", "OW", "OF", "OD", "OL", "OV", "UN"))
_CURVES, _OVERLAYS = 0x5000, 0x6000


class Action(StrEnum):
    """What happens to an attribute."""

    KEEP = "kept"
    REMOVE = "removed"
    EMPTY = "emptied"
    REPLACE = "replaced"
    UID = "new UID"
    SHIFT = "shifted"
    CLEAN = "cleaned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the basic profile; the defaults keep SUV computable.

    Args:
        dates: Retain longitudinal temporal information with modified dates (113107).
        characteristics: Retain sex, age, size and weight (113108).
        device: Retain device identity (113109).
        descriptors: Clean descriptors (113105): labels keep words of imaging only.
        safe_private: Retain the private attributes that SUV needs (113111).
        remove_overlays: Drop overlay planes and curves (113103) instead of refusing the series.
        deface: Remove the face (113102).
    """

    dates: bool = True
    characteristics: bool = True
    device: bool = True
    descriptors: bool = True
    safe_private: bool = True
    remove_overlays: bool = False
    deface: bool = False

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """Codes of (0012,0064) and their meanings (PS3.16 CID 7050)."""
        chosen = (
            (True, "113100", "Basic Application Confidentiality Profile"),
            (self.deface, "113102", "Clean Recognizable Visual Features Option"),
            (self.remove_overlays, "113103", "Clean Graphics Option"),
            (self.descriptors, "113105", "Clean Descriptors Option"),
            (
                self.dates,
                "113107",
                "Retain Longitudinal Temporal Information Modified Dates Option",
            ),
            (self.characteristics, "113108", "Retain Patient Characteristics Option"),
            (self.device, "113109", "Retain Device Identity Option"),
            (self.safe_private, "113111", "Retain Safe Private Option"),
        )
        return tuple((code, meaning) for wanted, code, meaning in chosen if wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attribute of the table.

    Args:
        basic: Action of the basic profile, such as `X/Z/D`.
        columns: Actions of the options, `K` or `C`, by the name of the column.
    """

    basic: str
    columns: Mapping[str, str]


@cache
def read_table() -> Mapping[int, Row]:
    """Return the table by tag; attributes that it does not list are absent.

    Examples:
        >>> row = read_table()[0x00101030]
        >>> row.basic, row.columns["patient"]
        ('X', 'K')
    """
    text = resources.files("fedpet.imaging.deidentify").joinpath("profile.csv").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    table = {}
    for cells in csv.DictReader(lines):
        columns = {name: cell for name, cell in cells.items() if cell and len(cell) == 1}
        columns.pop("basic", None)
        table[int(cells["tag"], 16)] = Row(basic=cells["basic"], columns=columns)
    return table


@cache
def action_for(tag: int, vr: str, options: Options) -> Action:
    """Decide what happens to a standard attribute.

    Args:
        tag: Of an even group.
        vr: Value representation after the data dictionary; empty if it does not know the tag.
        options: What is retained and cleaned.

    Examples:
        >>> action_for(0x00101030, "DS", Options()), action_for(0x00100030, "DA", Options())
        (<Action.KEEP: 'kept'>, <Action.EMPTY: 'emptied'>)
        >>> action_for(0x00101030, "DS", Options(characteristics=False))
        <Action.REMOVE: 'removed'>
    """
    if tag >> 16 & 0xFF00 in (_CURVES, _OVERLAYS) and tag >> 16 & 0xFF < 0x20:
        return Action.REMOVE
    row = read_table().get(tag)
    if row is None:
        return _unlisted(tag, vr, options)
    columns = row.columns
    if options.characteristics and tag in CHARACTERISTICS:
        return Action.KEEP
    if options.dates and columns.get("dates") == "C" and vr in ("DA", "DT", "TM", "SH"):
        return Action.SHIFT
    if options.device and columns.get("device") == "K":
        return Action.SHIFT if options.dates and vr in DATES else Action.KEEP
    if options.descriptors and columns.get("descriptors") == "C" and vr in ("LO", "SH"):
        return Action.CLEAN
    return _basic(row.basic, vr)


def _basic(code: str, vr: str) -> Action:
    """Return the mildest of the listed actions that leaves the object valid in every module."""
    if "U" in code:
        return Action.UID
    if vr == "SQ" and "X" in code:
        return Action.REMOVE
    if "D" in code:
        return Action.UID if vr == "UI" else Action.REPLACE
    return Action.EMPTY if "Z" in code else Action.REMOVE


def _unlisted(tag: int, vr: str, options: Options) -> Action:
    """Decide on attributes that the table leaves alone, on the safe side."""
    if not vr or vr in LONG_TEXTS or tag >> 16 in (0x0000, 0x0002, 0x0004):
        return Action.REMOVE
    if vr in DATES:
        return Action.SHIFT if options.dates else Action.EMPTY
    if vr in ("PN", "AE"):
        return Action.EMPTY
    if vr == "UI" and tag not in SCHEME_UIDS:
        return Action.UID
    if vr in _BULK and tag >> 16 not in _BULK_GROUPS:
        return Action.REMOVE
    return Action.CLEAN if tag in LABELS else Action.KEEP
