"""Pixels of a series as a volume: read where they lie, or through pydicom if compressed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging.compressed import read_compressed
from fedpet.imaging.places import INSIDE, read_deflated, read_place
from fedpet.imaging.series import PixelFormat, Series, Slice
from fedpet.imaging.volume import Volume


def read_stored(one: Slice, form: PixelFormat) -> NDArray[np.generic]:
    """Return the stored values of a slice, [rows, columns], before any rescaling.

    Raises:
        DataError: If the file ends early, or its pixels cannot be decoded.
    """
    if not (form.native or form.deflated):
        return read_compressed(one, form)
    count = form.rows * form.columns
    data = _bytes(one, form, count * form.bits // 8)
    if len(data) < count * form.bits // 8:
        raise DataError(
            "A slice ends before its last pixel.",
            do="Export the series again.",
            code="FP-2111",
        )
    kind = "f" if form.floating else "i" if form.signed else "u"
    stored = np.frombuffer(data, np.dtype(f"<{kind}{form.bits // 8}")).reshape(
        form.rows, form.columns
    )
    unused = form.bits - form.stored
    if unused and not form.floating:
        # Bits above the stored ones may hold overlays (retired): shift them out, keep the sign.
        stored = np.right_shift(np.left_shift(stored, unused), unused)
    return stored


def _bytes(one: Slice, form: PixelFormat, count: int) -> bytes:
    if form.deflated:
        return read_deflated(one.path, meta=one.meta, start=one.offset, count=count)
    if INSIDE in one.path:
        return read_place(one.path, start=one.offset, count=count)
    try:
        with open(one.path, "rb", buffering=0) as file:  # noqa: PTH123 - called for each slice
            file.seek(one.offset)
            return file.read(count)
    except OSError as error:
        raise DataError(f"A slice cannot be read: {error.strerror}.", code="FP-2111") from error


def read_pet(series: Series, factors: NDArray[np.float64]) -> Volume:
    """Read a PET series as SUV, each slice with its own slope and factor.

    Args:
        series: A PET series.
        factors: float64 [slices], from rescaled values to SUV.

    Returns:
        float32 SUV in g/mL.

    Raises:
        DataError: If a slice cannot be read or a value is not finite.
    """
    suv = np.empty(series.grid.shape, np.float32)
    scales = np.array([one.slope for one in series.slices]) * factors
    with np.errstate(over="ignore", invalid="ignore"):  # floats beyond range are found below
        for index, one in enumerate(series.slices):
            stored = read_stored(one, series.pixels)
            np.multiply(stored, np.float32(scales[index]), out=suv[index], casting="same_kind")
    offsets = np.array([one.intercept for one in series.slices]) * factors
    if offsets.any():
        suv += offsets[:, None, None].astype(np.float32)
    # One sum sees every NaN and infinity without a second array.
    with np.errstate(invalid="ignore"):
        total = suv.sum(dtype=np.float64)
    if not np.isfinite(total):
        bad = int((~np.isfinite(suv)).sum())
        raise DataError(
            f"{bad} voxels of the PET are not finite numbers.",
            do="Export the series again; such values cannot be repaired.",
            code="FP-2115",
        )
    return Volume(array=suv, grid=series.grid)
