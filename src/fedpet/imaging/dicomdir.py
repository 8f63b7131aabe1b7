"""A DICOMDIR as a hint: it finds nothing that the folder does not show, but tells what is missing.

Files are found by looking through the folder. A DICOMDIR may be old, copied alone, or made to lead
elsewhere; so a file that it names is never opened because of it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fedpet.imaging import tags
from fedpet.imaging.header import Header
from fedpet.imaging.objections import modality_of
from fedpet.imaging.places import INSIDE
from fedpet.imaging.reading import read_header
from fedpet.imaging.remarks import Rejected


@dataclass(slots=True)
class _Branch:
    """Where in the tree of records one stands."""

    patient_id: str = ""
    series: str = ""
    modality: str = ""


def missing(place: str, known: AbstractSet[str]) -> list[Rejected]:
    """Tell, series by series, which files of a DICOMDIR are not there.

    Args:
        place: The DICOMDIR.
        known: All places that were looked at, as `folded` writes them.

    Raises:
        DataError: If the DICOMDIR is damaged.
    """
    header = read_header(place, tags.DIRECTORY)
    records = header.items(tags.DIRECTORY_RECORDS) if header is not None else ()
    root = posixpath.dirname(folded(place).replace(INSIDE, f"{INSIDE}/"))
    lost: dict[tuple[str, str, str], int] = {}
    outside = found = 0
    here = _Branch()
    for record in records:
        _follow(here, record)
        parts = record.words(tags.RECORD_FILE)
        if not parts:
            continue
        if any(part in ("", ".", "..") or "/" in part or ":" in part for part in parts):
            outside += 1
            continue
        named = folded("/".join((root, *parts))).replace(f"{INSIDE}/", INSIDE)
        if named in known:
            found += 1
        else:
            key = (here.patient_id, here.series, here.modality)
            lost[key] = lost.get(key, 0) + 1
    return _told(lost, outside=outside, found=found)


def folded(place: str) -> str:
    """Write a place as it is compared: media hold names in capitals, copies often do not.

    Examples:
        >>> folded("/cd/IMAGES/IM1.;1")
        '/cd/images/im1'
    """
    return place.replace("\\", "/").removesuffix(";1").removesuffix(".").casefold()


def _follow(here: _Branch, record: Header) -> None:
    kind = record.text(tags.RECORD_TYPE)
    if kind == "PATIENT":
        here.patient_id, here.series, here.modality = record.text(tags.PATIENT_ID), "", ""
    elif kind == "STUDY":
        here.series = here.modality = ""
    elif kind == "SERIES":
        here.series, here.modality = record.text(tags.SERIES_UID), modality_of(record)


def _told(lost: dict[tuple[str, str, str], int], *, outside: int, found: int) -> list[Rejected]:
    told = []
    if lost and not found:
        reason = "A DICOMDIR was copied without the files that it names."
        told.append(_rejected(("", "", ""), reason, sum(lost.values())))
    elif lost:
        reason = "The DICOMDIR names files of this series that are missing."
        told += [_rejected(key, reason, count) for key, count in lost.items()]
    if outside:
        reason = "A DICOMDIR names files outside of its folder; they are not opened."
        told.append(_rejected(("", "", ""), reason, outside))
    return told


def _rejected(key: tuple[str, str, str], reason: str, files: int) -> Rejected:
    patient, series, modality = key
    return Rejected(
        patient_id=patient, series=series, modality=modality, reason=reason, files=files
    )
