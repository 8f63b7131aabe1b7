"""Which DICOM objects are never released: their pixels or contents may name the patient."""

from __future__ import annotations

import re
from typing import Final

from fedpet.imaging import tags
from fedpet.imaging.deidentify.profile import Options
from fedpet.imaging.header import Header
from fedpet.imaging.tags import Wanted

BURNED_IN: Final = 0x00280301
PHOTOMETRIC: Final = 0x00280004
OVERLAYS: Final = tuple(range(0x60000000, 0x60200000, 0x00020000))
_ROWS, _BIT = 0x0010, 0x0102
# PET, CT and what is drawn on them. Everything else (reports, screens, documents, presentation
# states, raw data) holds free text or pixels that nobody has looked at.
CLASSES: Final = {
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.128.1": "PT",
    "1.2.840.10008.5.1.4.1.1.130": "PT",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.67": "RWV",
}
_SCREENS = re.compile(r"screen|capture|dose.?info|report|protocol|printed")
_FLAT = re.compile(r"localizer|mip|projection|mpr|volume.?render")
_OUTLINE = re.compile(r"\b(body|external|skin|face|head|outline|patient)\b")

WANTED: Wanted = {
    **dict.fromkeys(
        (
            *(tags.CHARACTER_SET, tags.IMAGE_TYPE, tags.SOP_CLASS, tags.SOP_INSTANCE),
            *(tags.MODALITY, tags.PATIENT_ID, tags.STUDY_UID, tags.SERIES_UID, tags.FRAMES),
            *(tags.FRAME_OF_REFERENCE, BURNED_IN, PHOTOMETRIC),
        ),
        "text",
    ),
    **{group | _ROWS: "ushort" for group in OVERLAYS},
    **{group | _BIT: "ushort" for group in OVERLAYS},
    tags.STRUCTURE_REGIONS: {tags.REGION_NAME: "text"},
    tags.SEGMENTS: {tags.SEGMENT_LABEL: "text"},
}


def modality_of(sop_class: str) -> str:
    """Return PT, CT, SEG, RTSTRUCT or RWV for a class that may be released, else `other`."""
    return CLASSES.get(sop_class.strip(" \0"), "other")


def objection(header: Header, options: Options) -> str:
    """Say why a file cannot be released; empty if it can.

    Args:
        header: With the attributes of `WANTED`.
        options: Overlays may be dropped; faces are removed from volumes only.

    Examples:
        >>> header = Header({tags.PATIENT_ID: "7", tags.SOP_CLASS: "1.2.840.10008.5.1.4.1.1.7"}, {})
        >>> objection(header, Options())
        'Its class (secondary capture) is not released.'
    """
    text = header.text
    if not text(tags.PATIENT_ID).strip():
        return "It has no (0010,0020) Patient ID."
    modality = modality_of(text(tags.SOP_CLASS))
    if modality == "other":
        return f"Its class ({_class_in_words(text(tags.SOP_CLASS))}) is not released."
    if text(BURNED_IN).strip().upper() == "YES":
        return "(0028,0301) Burned In Annotation is YES."
    image_type = text(tags.IMAGE_TYPE).lower()
    if _SCREENS.search(image_type):
        return "(0008,0008) Image Type tells of a picture of a screen."
    if not text(PHOTOMETRIC).strip().upper().startswith(("MONOCHROME", "PALETTE")) and text(
        PHOTOMETRIC
    ):
        return "It is a picture in colours, not a measurement."
    overlay = _overlay(header, options)
    if overlay:
        return overlay
    return _recognisable(header, modality, image_type) if options.deface else ""


def _overlay(header: Header, options: Options) -> str:
    for group in OVERLAYS:
        bit = header.text(group | _BIT)
        if bit not in ("", "0"):
            return "It hides an overlay (60xx) in unused bits of its pixels."
        if header.text(group | _ROWS) and not options.remove_overlays:
            return "It has an overlay (60xx), which may show names."
    return ""


def _recognisable(header: Header, modality: str, image_type: str) -> str:
    """Say why a face could not be removed from a file."""
    if modality in ("SEG", "RTSTRUCT"):
        labels = [item.text(tags.REGION_NAME) for item in header.items(tags.STRUCTURE_REGIONS)]
        labels += [item.text(tags.SEGMENT_LABEL) for item in header.items(tags.SEGMENTS)]
        if any(_OUTLINE.search(re.sub(r"[\W_]+", " ", label.lower())) for label in labels):
            return "It outlines the body, and with it the face."
        return ""
    if _FLAT.search(image_type):
        return "Its views are not axial slices, so a face in them cannot be found."
    if header.text(tags.FRAMES).strip() not in ("", "1"):
        return "Faces are not removed from multi-frame objects."
    return ""


def _class_in_words(uid: str) -> str:
    uid = uid.strip(" \0")
    root = "1.2.840.10008.5.1.4.1.1."
    known = {
        "7": "secondary capture",
        "11": "presentation state",
        "88": "report",
        "104": "document",
        "66": "raw data or registration",
        "4": "MR",
    }
    if not uid.startswith(root):
        return "unknown"
    return known.get(uid.removeprefix(root).split(".")[0], "not PET, CT or their masks")
