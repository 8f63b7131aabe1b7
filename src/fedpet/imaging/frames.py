"""Multi-frame PET and CT as if each frame lay in a file of its own.

Enhanced objects spread what a slice says over the top of the file, groups that all frames share
and groups of each frame; objects converted from single slices keep the rest in sequences of
unassigned attributes. Here all of it comes together, and the new attributes of enhanced PET are
said in the words of the old ones, so that the rules of grouping, pairing and SUV stand once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fedpet.errors import DataError
from fedpet.imaging import clock, tags
from fedpet.imaging.header import Header

# Units of real-world values (UCUM, PS3.16 CID 84 and 85) as (0054,1001) and (0054,1006).
_UNITS: Final = {
    "bq/ml": ("BQML", ""),
    "g/ml{suvbw}": ("GML", "BW"),
    "{suvbw}g/ml": ("GML", "BW"),
    "g/ml{suvlbm}": ("GML", "LBM"),
    "{suvlbm}g/ml": ("GML", "LBM"),
    "cm2/ml{suvbsa}": ("CM2ML", "BSA"),
    "{suvbsa}cm2/ml": ("CM2ML", "BSA"),
}
_CORRECTIONS: Final = {
    tags.DECAY_CORRECTED: "DECY",
    tags.ATTENUATION_CORRECTED: "ATTN",
    tags.SCATTER_CORRECTED: "SCAT",
}
_PLAIN_GROUPS: Final = (
    *(tags.PLANE_POSITION, tags.PLANE_ORIENTATION, tags.PIXEL_MEASURES),
    *(tags.PIXEL_TRANSFORMATION, tags.PET_FACTORS, tags.CT_RECONSTRUCTION),
)
ADMIN_TOLERANCE_S = 1.0


def frames_of(header: Header) -> Iterator[Header]:
    """Yield one header for each frame, with the place of its pixels.

    Args:
        header: Of a multi-frame object.

    Raises:
        DataError: If the object does not describe each of its frames.
    """
    groups = header.items(tags.FRAME_GROUPS)
    if not groups or header.integer(tags.FRAMES) != len(groups):
        raise DataError(
            f"A multi-frame object declares {header.integer(tags.FRAMES)} frames and describes "
            f"{len(groups)}.",
            code="FP-2111",
        )
    shared = header.first(tags.SHARED_GROUPS)
    top = Header(dict(header.values), dict(header.sequences), header.syntax)
    _take(top, shared, tags.UNASSIGNED_SHARED, but=header)
    for number, group in enumerate(groups):
        place = _pixels(header, number)
        frame = Header(dict(top.values), dict(top.sequences), header.syntax, place, header.meta)
        _take(frame, group, tags.UNASSIGNED_FRAME, but=header)
        frame.values[tags.FRAMES] = "1"
        _as_single(frame)
        yield frame


def _pixels(header: Header, number: int) -> tuple[int, int, int] | None:
    """Return where the pixels of a frame lie; encapsulated ones are found when they are decoded."""
    if header.pixels is None or header.pixels[2] < 0:
        return header.pixels
    tag, start, length = header.pixels
    size = 1
    for part in (tags.ROWS, tags.COLUMNS, tags.BITS_ALLOCATED):
        size *= header.integer(part)
    size //= 8
    return tag, start + number * size if start >= 0 else start, min(size, length - number * size)


def _take(into: Header, group: Header, unassigned: int, *, but: Header) -> None:
    """Add what a functional group says; unassigned attributes change nothing that `but` says."""
    for item in group.items(unassigned):
        into.values.update((tag, told) for tag, told in item.values.items() if not but.text(tag))
        into.sequences.update(
            (tag, items) for tag, items in item.sequences.items() if not but.items(tag)
        )
    for sequence in _PLAIN_GROUPS:
        into.values.update(group.first(sequence).values)
    for sequence in (tags.PET_FRAME_TYPE, tags.CT_FRAME_TYPE):
        if kind := group.first(sequence).text(tags.FRAME_TYPE):
            into.values[tags.IMAGE_TYPE] = kind
    content = group.first(tags.FRAME_CONTENT)
    if moment := content.text(tags.FRAME_DATETIME):
        into.values[tags.ACQUISITION_DATETIME] = moment
        into.values.pop(tags.ACQUISITION_TIME, None)
    if length := content.text(tags.FRAME_LENGTH):
        into.values[tags.FRAME_DURATION] = length
    # Volumes that one object holds side by side must not be mixed.
    side = (content.text(tags.FRAME_TEMPORAL), content.text(tags.FRAME_STACK))
    if any(side):
        into.values[tags.TEMPORAL_POSITION] = "/".join(side)
    if world := group.items(tags.REAL_WORLD):
        into.sequences[tags.REAL_WORLD] = world


def _as_single(frame: Header) -> None:
    """Say in the words of single-frame PET what enhanced PET says in its own."""
    if frame.text(tags.MODALITY) != "PT":
        return
    values = frame.values
    if not frame.text(tags.UNITS):
        _take_units(frame)
    if not frame.text(tags.CORRECTED_IMAGE):
        done = [word for tag, word in _CORRECTIONS.items() if frame.text(tag) == "YES"]
        values[tags.CORRECTED_IMAGE] = "\\".join(done)
    if not frame.text(tags.DECAY_CORRECTION):
        _take_decay(frame)


def _take_units(frame: Header) -> None:
    """Take units and scale from the real-world values, which stand for the rescale slope here."""
    for item in frame.items(tags.REAL_WORLD):
        code = item.first(tags.REAL_WORLD_UNITS).text(tags.CODE_VALUE).lower()
        if code in _UNITS and item.text(tags.REAL_WORLD_SLOPE):
            units, kind = _UNITS[code]
            frame.values[tags.UNITS] = units
            frame.values[tags.SUV_TYPE] = kind
            frame.values[tags.SLOPE] = item.text(tags.REAL_WORLD_SLOPE)
            frame.values[tags.INTERCEPT] = item.text(tags.REAL_WORLD_INTERCEPT) or "0"
            return
    if frame.text(tags.RESCALE_TYPE).upper() in ("BQML", "GML", "CM2ML"):
        frame.values[tags.UNITS] = frame.text(tags.RESCALE_TYPE).upper()


def _take_decay(frame: Header) -> None:
    """Turn (0018,9701) Decay Correction DateTime into START or ADMIN with its reference time."""
    if frame.text(tags.DECAY_CORRECTED) == "NO":
        frame.values[tags.DECAY_CORRECTION] = "NONE"
        return
    zone = frame.text(tags.TIMEZONE)
    corrected = clock.parse_datetime(frame.text(tags.DECAY_DATETIME), zone)
    if frame.text(tags.DECAY_CORRECTED) != "YES" or corrected is None:
        return
    source = frame.first(tags.RADIOPHARMACEUTICAL)
    injected = clock.parse_datetime(source.text(tags.START_DATETIME), zone)
    if injected is not None and abs(corrected - injected) <= ADMIN_TOLERANCE_S:
        frame.values[tags.DECAY_CORRECTION] = "ADMIN"
        return
    frame.values[tags.DECAY_CORRECTION] = "START"
    day, time = clock.written(corrected)
    frame.values[tags.SERIES_DATE], frame.values[tags.SERIES_TIME] = day, time
