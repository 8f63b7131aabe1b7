"""Lesion masks as NIfTI, accepted only if their geometry is that of the scan."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from typing import TypeAlias

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging.grid import LATTICE_TOLERANCE, on_lattice
from fedpet.imaging.regions import number_lesions
from fedpet.imaging.volume import Grid, Volume

VOXELS_MAX = 2**30
Affine: TypeAlias = NDArray[np.float64]
REGIONS_MAX = 1000
LABEL_MAX = 65535
# What a damaged header or a cut file makes nibabel raise.
DAMAGE = (
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    zlib.error,
    OverflowError,
    MemoryError,
)


def read_nifti_mask(path: str, *, allowed: Sequence[Grid]) -> Volume:
    """Read a NIfTI mask; each number in it is a region, connected parts are lesions.

    Args:
        path: A `.nii` or `.nii.gz` file, 3-D.
        allowed: Grids of the PET and the CT; the mask must share the lattice of one of them, axes
            swapped, flipped or cropped as may be.

    Returns:
        uint16 labels on the mask's own grid.

    Raises:
        DataError: If the file is damaged, or lies on neither grid.

    Source:
        NIfTI-1: the affine maps to RAS; LPS has the first two axes reversed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nib.load(path)
        shape = tuple(int(n) for n in image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != 3 or not 0 < int(np.prod(shape)) <= VOXELS_MAX:
            raise DataError("The NIfTI mask is not a 3-D volume.", code="FP-2118")
        grid = _place(shape, _affines(image), allowed)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = np.asarray(image.dataobj).reshape(shape)
            finite = bool(np.isfinite(values).all())
            largest = float(np.abs(values).max()) if finite else 0.0
    except DAMAGE as error:
        raise DataError(
            "The NIfTI mask is damaged.", do="Save it again.", code="FP-2118"
        ) from error
    if not finite:
        raise DataError("The NIfTI mask holds values that are not finite.", code="FP-2115")
    if values.dtype.kind not in "buif" or largest > LABEL_MAX:
        raise DataError(
            "The NIfTI file is an image, not a mask: its values are no labels.", code="FP-2118"
        )
    array = np.rint(values.transpose(2, 1, 0)).astype(np.int64)
    numbers = np.unique(array[array != 0])
    if len(numbers) > REGIONS_MAX:
        raise DataError(
            "The NIfTI file is an image, not a mask: it holds more than 1000 different values.",
            code="FP-2118",
        )
    regions = [array == number for number in numbers] or [array != 0]
    return Volume(array=number_lesions(regions), grid=grid)


def _affines(image: object) -> list[Affine]:
    """Return what the file says of its place: sform and qform where both are set and differ."""
    header = getattr(image, "header", None)
    told = [np.asarray(getattr(image, "affine"), np.float64)]  # noqa: B009 - nibabel has no types
    if isinstance(header, nib.Nifti1Header):
        both = [header.get_sform(coded=True), header.get_qform(coded=True)]
        set_ones = [np.asarray(one, np.float64) for one, code in both if code > 0]
        told = set_ones or told
    return told


def _place(shape: tuple[int, ...], affines: Sequence[Affine], allowed: Sequence[Grid]) -> Grid:
    """Return the grid that fits the scan; programs differ in which of two affines they believe."""
    grids = [_grid(shape, affine) for affine in affines]
    fitting = [grid for grid in grids if any(on_lattice(grid, one) for one in allowed)]
    if not fitting:
        raise DataError(
            "The NIfTI mask lies on the grid of neither PET nor CT.",
            why=f"Its affine has voxels of {_words(grids[0].spacing_mm)} mm.",
            do="Save the mask in the space of the PET, with its affine.",
            code="FP-2117",
        )
    first = fitting[0]
    corner = np.array(first.shape) - 1.0
    apart = max(
        float(np.abs(first.to_index(other.to_lps(at)) - at).max())
        for other in fitting
        for at in (np.zeros(3), corner)
    )
    if apart > LATTICE_TOLERANCE:
        raise DataError(
            "The NIfTI mask has two places: sform and qform differ, and both fit the scan.",
            why="One program would show it elsewhere than another.",
            do="Save the mask with one of them, or with both alike.",
            code="FP-2117",
        )
    return first


def _grid(shape: tuple[int, ...], affine: Affine) -> Grid:
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    steps = lps[:, 2::-1].T  # rows: one step along (z, y, x) of the array
    lengths = np.linalg.norm(steps, axis=1)
    if not (np.isfinite(lps).all() and (lengths > 0).all()):
        raise DataError("The NIfTI mask has no usable affine.", code="FP-2117")
    direction = steps / lengths[:, None]
    if np.abs(direction @ direction.T - np.eye(3)).max() > 1e-3:
        raise DataError("The affine of the NIfTI mask is sheared.", code="FP-2117")
    z, y, x = (tuple(float(part) for part in row) for row in direction)
    return Grid(
        shape=(shape[2], shape[1], shape[0]),
        spacing_mm=(float(lengths[0]), float(lengths[1]), float(lengths[2])),
        origin_mm=(float(lps[0, 3]), float(lps[1, 3]), float(lps[2, 3])),
        direction=(_three(z), _three(y), _three(x)),
    )


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    return values[0], values[1], values[2]


def _words(spacing_mm: tuple[float, float, float]) -> str:
    return " x ".join(f"{one:.2f}" for one in spacing_mm)
