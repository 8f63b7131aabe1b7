"""From the headers of files that belong together to a Series, or the reason why not."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from fedpet.errors import DataError
from fedpet.imaging import clock, tags
from fedpet.imaging.header import Header, parse_numbers
from fedpet.imaging.little_endian import DEFLATED, NATIVE
from fedpet.imaging.objections import reservation
from fedpet.imaging.pixels import read_stored
from fedpet.imaging.remarks import Rejected
from fedpet.imaging.series import (
    PixelFormat,
    Series,
    Slice,
    check_orientation,
    normal_of,
    span_grid,
)

# Equal in all slices of one series, or SUV would not be one thing.
_SERIES_WIDE: Final = {
    tags.PATIENT_WEIGHT: "weight",
    tags.DECAY_CORRECTION: "decay correction",
    tags.SUV_TYPE: "SUV type",
    tags.SERIES_DATE: "series date",
    tags.SERIES_TIME: "series time",
}
VOXEL_MM_MIN: Final = 0.1
VOXEL_MM_MAX: Final = 50.0
PLACE_MM_MAX: Final = 1e5
SLOPE_MAX: Final = 1e12
SIDE_MAX: Final = 8192
VOXELS_MAX: Final = 1 << 30
_STORAGE: Final = (
    *(tags.ROWS, tags.COLUMNS, tags.BITS_ALLOCATED, tags.BITS_STORED, tags.HIGH_BIT),
    *(tags.SIGNED, tags.SAMPLES, tags.PADDING),
)


def volume_key(header: Header) -> tuple[str, ...]:
    """Return what must be equal for two slices to lie in one volume.

    One SeriesInstanceUID may hold several volumes, e.g. two reconstructions or a scout.
    """
    text = header.text
    return (
        text(tags.PATIENT_ID),
        text(tags.MODALITY),
        text(tags.SERIES_UID),
        text(tags.FRAME_OF_REFERENCE),
        _rounded(text(tags.ORIENTATION)),
        _rounded(text(tags.PIXEL_SPACING)),
        *(text(tag) for tag in (tags.ROWS, tags.COLUMNS, tags.IMAGE_TYPE, tags.UNITS)),
        *(text(tag) for tag in (tags.CORRECTED_IMAGE, tags.RECONSTRUCTION)),
        *(text(tag) for tag in (tags.CONVOLUTION_KERNEL, tags.TEMPORAL_POSITION)),
    )


_ROUNDED: dict[str, str] = {}


def _rounded(text: str) -> str:
    """Write numbers with four decimals, as exporters print the same direction differently."""
    known = _ROUNDED.get(text)
    if known is None:
        if len(_ROUNDED) > 10_000:
            _ROUNDED.clear()
        known = " ".join(f"{round(number, 4) + 0.0:.4f}" for number in parse_numbers(text))
        _ROUNDED[text] = known
    return known


class SeriesIntake:
    """Takes in the files of one volume; keeps one header and a few numbers for each slice.

    Args:
        header: Of the first file; its `volume_key` is that of all.
        identity: Of the volume.
    """

    __slots__ = ("files", "header", "identity", "problem", "slices", "storage")

    def __init__(self, header: Header, identity: str) -> None:
        self.header = header
        self.identity = identity
        self.files = 0
        self.problem: DataError | None = None
        self.slices: list[Slice] = []
        self.storage: PixelFormat | None = None

    def add(
        self, path: str, header: Header, *, size: int, modified_ns: int, frame: int = 0
    ) -> None:
        """Take in a file or a frame of it; what is wrong with it is told by `build`."""
        self.files += frame == 0 or not self.files
        if self.problem is not None:
            return
        try:
            if self.storage is None:
                self.storage = _pixel_format(header)
            self._check_like_first(header)
            form = self.storage
            one = _slice(path, header, form, size=size, modified_ns=modified_ns, frame=frame)
            self.slices.append(one)
        except DataError as error:
            self.problem = error

    def join(self, other: SeriesIntake) -> None:
        """Take in what was gathered of the same volume from other files."""
        self.files += other.files
        self.problem = self.problem or other.problem
        if self.problem is not None:
            return
        try:
            self._check_like_first(other.header)
            if self.storage != other.storage:
                raise DataError("Slices differ in how their pixels are stored.", code="FP-2116")
        except DataError as error:
            self.problem = error
        self.slices += other.slices

    def _check_like_first(self, header: Header) -> None:
        first = self.header
        if first is header:
            return
        values, own = first.values, header.values
        if any(values.get(tag) != own.get(tag) for tag in _STORAGE):
            raise DataError("Slices differ in how their pixels are stored.", code="FP-2116")
        if values.get(tags.MODALITY) != "PT":
            return
        differing = [name for tag, name in _SERIES_WIDE.items() if values.get(tag) != own.get(tag)]
        if first.first(tags.RADIOPHARMACEUTICAL) != header.first(tags.RADIOPHARMACEUTICAL):
            differing.append("radiopharmaceutical")
        if differing:
            raise DataError(
                f"Slices disagree on {', '.join(differing)}.",
                do="Two scans may be mixed in one series; export them apart.",
                code="FP-2112",
            )

    def refused(self, reason: str) -> Rejected:
        """Record why there is no volume, without a single value of the patient."""
        text = self.header.text
        return Rejected(
            patient_id=text(tags.PATIENT_ID),
            series=text(tags.SERIES_UID),
            modality=text(tags.MODALITY),
            reason=reason,
            files=self.files,
            identity=self.identity,
            date=text(tags.STUDY_DATE) or text(tags.SERIES_DATE),
            number=text(tags.SERIES_NUMBER),
        )

    def build(self) -> Series:
        """Sort the slices and check that the volume is complete.

        Raises:
            DataError: If slices are missing, doubled with other pixels, damaged or contradictory.
        """
        if self.problem is not None:
            raise self.problem
        assert self.storage is not None
        header = self.header
        orientation = header.numbers(tags.ORIENTATION)
        spacing = header.numbers(tags.PIXEL_SPACING)
        if len(orientation) != 6 or len(spacing) != 2:
            raise DataError(
                "(0020,0037) Image Orientation or (0028,0030) Pixel Spacing is missing.",
                code="FP-2116",
            )
        if not VOXEL_MM_MIN <= min(spacing) <= max(spacing) <= VOXEL_MM_MAX:
            raise DataError(
                f"(0028,0030) Pixel Spacing is {spacing[0]:g} x {spacing[1]:g} mm, expected "
                f"{VOXEL_MM_MIN:g} to {VOXEL_MM_MAX:g} mm.",
                code="FP-2116",
            )
        check_orientation(orientation)
        if self.storage.rows * self.storage.columns * len(self.slices) > VOXELS_MAX:
            raise DataError("It has more voxels than any scan.", code="FP-2111")
        slices = _in_order(self.slices, orientation, self.storage)
        if len(slices) < 2:
            raise DataError("There is a single slice only.", code="FP-2116")
        grid = span_grid(
            np.array([one.position for one in slices]),
            orientation=orientation,
            spacing_mm=(spacing[0], spacing[1]),
            rows=self.storage.rows,
            columns=self.storage.columns,
            tilted=header.text(tags.MODALITY) == "CT",
        )
        return Series(
            patient_id=header.text(tags.PATIENT_ID),
            study_uid=header.text(tags.STUDY_UID),
            series_uid=header.text(tags.SERIES_UID),
            frame_uid=header.text(tags.FRAME_OF_REFERENCE),
            modality=header.text(tags.MODALITY),
            date=header.text(tags.STUDY_DATE) or header.text(tags.SERIES_DATE),
            description=header.text(tags.SERIES_DESCRIPTION),
            header=header,
            pixels=self.storage,
            slices=tuple(slices),
            grid=grid,
            dropped=len(self.slices) - len(slices),
            identity=self.identity,
            files=self.files,
            reservation=reservation(header),
        )


def _pixel_format(header: Header) -> PixelFormat:
    if header.pixels is None:
        raise DataError("A slice has no pixels.", code="FP-2111")
    if header.text(tags.FRAMES) not in ("", "1"):
        raise DataError(
            "It is a multi-frame object of a kind for single frames.",
            do="Export it as enhanced multi-frame or as single-frame images.",
            code="FP-2111",
        )
    floating = header.pixels[0] != tags.PIXELS
    rows, columns, bits, stored, high, signed, samples = (
        header.integer(tag) for tag in _STORAGE[:7]
    )
    known = bits in ((32, 64) if floating else (8, 16, 32))
    fits = floating or (0 < stored <= bits and high == stored - 1)
    if not (rows and columns and known and fits and samples in (0, 1)) or (
        max(rows, columns) > SIDE_MAX
    ):
        raise DataError(
            f"Pixels are {rows} x {columns} x {samples} of {stored} in {bits} bits, expected one "
            f"sample of 8, 16 or 32 bits and at most {SIDE_MAX} pixels a side.",
            code="FP-2111",
        )
    return PixelFormat(
        rows=rows,
        columns=columns,
        bits=bits,
        stored=stored or bits,
        signed=bool(signed),
        floating=floating,
        native=_is_native(header),
        padding=header.integer(tags.PADDING) if header.text(tags.PADDING) else None,
        deflated=header.syntax == DEFLATED,
    )


def _is_native(header: Header) -> bool:
    return header.syntax in NATIVE and _lies_plain(header)


def _lies_plain(header: Header) -> bool:
    return header.pixels is not None and header.pixels[1] >= 0 and header.pixels[2] >= 0


def _slice(
    path: str, header: Header, form: PixelFormat, *, size: int, modified_ns: int, frame: int
) -> Slice:
    if header.pixels is None or _is_native(header) != form.native:
        raise DataError("Slices differ in how their pixels are stored.", code="FP-2116")
    if form.deflated and not _lies_plain(header):
        raise DataError("A deflated slice has no plain pixels.", code="FP-2111")
    plain = form.native or form.deflated
    _, offset, length = header.pixels
    expected = form.rows * form.columns * form.bits // 8
    if (plain and length < expected) or (form.native and offset + expected > size):
        raise DataError(
            "A slice ends before its last pixel (truncated file).",
            do="Export the series again.",
            code="FP-2111",
        )
    position = header.numbers(tags.POSITION)
    slope, intercept = header.number(tags.SLOPE), header.number(tags.INTERCEPT)
    if len(position) != 3 or max(map(abs, position)) > PLACE_MM_MAX:
        raise DataError("A slice has no usable (0020,0032) Image Position.", code="FP-2116")
    if intercept is None:
        intercept = math.nan if header.text(tags.INTERCEPT) else 0.0
    if slope is None or not 0 < abs(slope) < SLOPE_MAX or not abs(intercept) < SLOPE_MAX / 1e6:
        raise DataError(
            "A slice has no usable (0028,1053) Rescale Slope or (0028,1052) Intercept.",
            do="Export again; without it stored values mean nothing.",
            code="FP-2112",
        )
    if slope < 0 and header.text(tags.MODALITY) == "PT":
        raise DataError(
            "A slice has a negative (0028,1053) Rescale Slope: activity cannot be below nothing.",
            do="Export the series again.",
            code="FP-2113",
        )
    duration = header.number(tags.FRAME_DURATION)
    reference = header.number(tags.FRAME_REFERENCE_TIME)
    return Slice(
        path=path,
        offset=offset if plain else 0,
        size=size,
        modified_ns=modified_ns,
        instance_uid=header.text(tags.SOP_INSTANCE),
        position=(position[0], position[1], position[2]),
        slope=slope,
        intercept=intercept,
        acquired=_acquired(header),
        frame_reference_s=None if reference is None else reference / 1000,
        frame_duration_s=None if duration is None else duration / 1000,
        frame=frame,
        meta=header.meta,
    )


def _acquired(header: Header) -> float | None:
    days = (tags.ACQUISITION_DATE, tags.SERIES_DATE, tags.STUDY_DATE)
    day = next((told for told in map(header.text, days) if told), "")
    time = clock.join(day, header.text(tags.ACQUISITION_TIME))
    if time is not None:
        return time
    return clock.parse_datetime(header.text(tags.ACQUISITION_DATETIME), header.text(tags.TIMEZONE))


def _in_order(
    slices: list[Slice], orientation: tuple[float, ...], form: PixelFormat
) -> list[Slice]:
    """Sort along the normal and drop identical doubles.

    Raises:
        DataError: If two slices at one position differ.
    """
    x, y, z = (float(part) for part in normal_of(orientation))

    def along(one: Slice) -> float:
        return one.position[0] * x + one.position[1] * y + one.position[2] * z

    kept: list[Slice] = []
    for one in sorted(slices, key=lambda one: (along(one), one.path)):
        if kept and abs(along(one) - along(kept[-1])) < 1e-3:
            if not _same(kept[-1], one, form):
                raise DataError(
                    "Two different slices lie at one position "
                    "(dynamic frames, gates or two reconstructions in one series).",
                    code="FP-2116",
                )
            continue
        kept.append(one)
    return kept


def _same(a: Slice, b: Slice, form: PixelFormat) -> bool:
    return (a.slope, a.intercept) == (b.slope, b.intercept) and bool(
        np.array_equal(read_stored(a, form), read_stored(b, form))
    )
