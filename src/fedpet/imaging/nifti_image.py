"""A NIfTI image as a volume in the order of DICOM: feet to head, front to back, right to left."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from fedpet.errors import DataError
from fedpet.imaging.volume import Grid, Volume

VOXELS_MAX: Final = 2**29
SHEAR_MAX: Final = 1e-3
SPACING_MM: Final = (0.1, 50.0)


def read_nifti_image(path: Path) -> Volume:
    """Read a static image; axes are swapped and flipped, never resampled.

    Args:
        path: A `.nii` or `.nii.gz` file of one volume.

    Returns:
        float32 array [z, y, x] as stored after the file's own slope and intercept, on a grid whose
        axes run nearest to (head, back, left).

    Raises:
        DataError: If the file is damaged, has several volumes, a sheared or absent affine, or a
            value that is not a finite number (FP-2116).

    Source:
        NIfTI-1: the affine maps indices to RAS+ mm; DICOM counts in LPS+.
    """
    try:
        image = nib.load(path)
        shape = tuple(int(size) for size in image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) == 4:
            raise _refused(f"It holds {shape[3]} volumes, expected one: it is dynamic or gated.")
        if len(shape) != 3 or min(shape) < 2 or int(np.prod(shape)) > VOXELS_MAX:
            raise _refused("It is not a volume, or too large.")
        if (
            image.header.get_sform(coded=True)[1] == 0
            and image.header.get_qform(coded=True)[1] == 0
        ):
            raise _refused("It does not say where it stands: neither sform nor qform has a code.")
        if image.ndim > 3:
            image = nib.funcs.squeeze_image(image)
        upright = nib.as_closest_canonical(image)
        values = np.asarray(upright.dataobj, dtype=np.float32)
        affine = np.asarray(upright.affine, dtype=np.float64)
    except (ImageFileError, EOFError, OSError, ValueError, zlib.error, OverflowError,
            AttributeError) as error:  # fmt: skip
        raise _refused("The file is damaged or no NIfTI.") from error
    if not np.isfinite(values).all():
        raise _refused("It holds values that are not finite.")
    # From RAS+ to LPS+: the first two axes run the other way.
    turned = np.ascontiguousarray(values[::-1, ::-1, :].transpose(2, 1, 0))
    return Volume(array=turned, grid=_grid(values.shape, affine))


def _grid(
    shape: tuple[int, ...], affine: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> Grid:
    """Return the LPS grid of an array [z, y, x] whose first two axes were turned."""
    if not np.isfinite(affine).all():
        raise _refused("Its affine is not finite.")
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    steps = np.stack([lps[:, 2], -lps[:, 1], -lps[:, 0]])
    origin = lps[:, 3] + lps[:, 0] * (shape[0] - 1) + lps[:, 1] * (shape[1] - 1)
    lengths = np.linalg.norm(steps, axis=1)
    if not ((lengths >= SPACING_MM[0]) & (lengths <= SPACING_MM[1])).all():
        raise _refused("Its affine has voxels of no possible size.")
    unit = steps / lengths[:, None]
    if np.abs(unit @ unit.T - np.eye(3)).max() > SHEAR_MAX or np.linalg.det(unit[::-1]) < 0:
        raise _refused("Its affine is sheared.")
    z, y, x = ((float(row[0]), float(row[1]), float(row[2])) for row in unit)
    return Grid(
        shape=(shape[2], shape[1], shape[0]),
        spacing_mm=(float(lengths[0]), float(lengths[1]), float(lengths[2])),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=(z, y, x),
    )


def _refused(reason: str) -> DataError:
    return DataError(
        f"The NIfTI image cannot be used. {reason}",
        do="Export it again as one static volume with its affine.",
        code="FP-2116",
    )
