"""However a patient lay, voxels stand where SimpleITK puts them, and the grid is head first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset
from scipy import ndimage

from fedpet.imaging.grid import HEAD_FIRST, common_grid, to_common_grid
from fedpet.imaging.index import find_scans
from fedpet.imaging.scan import read_scan
from pet_files import factor_bqml, write_series

NOISE = np.random.default_rng(0).random((12, 18, 22))
VALUES = (ndimage.gaussian_filter(NOISE, 2) * 30_000).astype(int)
SPACING = (3.0, 4.0, 2.5)
CORNER = np.array([-10.0, -20.0, 30.0])
TURN = (np.cos(0.2), np.sin(0.2))
POSITIONS = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "HFDR": (0, -1, 0, 1, 0, 0),
    "HFDL": (0, 1, 0, -1, 0, 0),
    "FFDR": (0, -1, 0, -1, 0, 0),
    "FFDL": (0, 1, 0, 1, 0, 0),
    "HFS, coronal": (1, 0, 0, 0, 0, -1),
    "HFS, sagittal": (0, 1, 0, 0, 0, -1),
    "HFS, oblique": (TURN[0], TURN[1], 0, -TURN[1], TURN[0], 0),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_voxels_stand_where_simpleitk_puts_them(tmp_path: Path, name: str) -> None:
    """Feet first, prone and decubitus scans exist; pixels of these are not square either."""
    axes = np.array(POSITIONS[name], float).reshape(2, 3)
    normal = np.cross(*axes)

    def lie(dataset: Dataset, number: int) -> None:
        dataset.PatientPosition = name.split(",")[0]
        dataset.ImageOrientationPatient = [f"{value:.10f}" for value in axes.ravel()]
        place = CORNER + normal * SPACING[0] * number
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in place]

    write_series(tmp_path, VALUES, spacing=SPACING, change=lie)
    suv = read_scan(find_scans(tmp_path).scans[0]).suv
    grid = common_grid(suv, None, spacing_mm=3.0)
    assert grid.direction == HEAD_FIRST
    found = to_common_grid(suv, grid, fill=0.0).array
    image = sitk.GetImageFromArray((VALUES * 2 * factor_bqml()).astype(np.float32))
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin(CORNER.tolist())
    image.SetDirection(np.array([*axes, normal]).T.ravel().tolist())
    there = sitk.Image([int(count) for count in grid.shape[::-1]], sitk.sitkFloat32)
    there.SetSpacing(grid.spacing_mm[::-1])
    there.SetOrigin(grid.origin_mm)
    there.SetDirection(np.array(grid.direction)[::-1].T.ravel().tolist())
    expected = sitk.GetArrayFromImage(
        sitk.Resample(image, there, sitk.Transform(), sitk.sitkLinear, 0.0)
    )
    both = (expected != 0) & (found != 0)
    assert both.sum() > 0.98 * (expected != 0).sum()
    assert np.abs(found - expected)[both].max() < 1e-4
