"""Volumes on known grids: what a scan becomes before anything is measured on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the voxels of an array stand in the patient (DICOM LPS, mm).

    Args:
        shape: Voxels along (z, y, x): slices, rows, columns.
        spacing_mm: Distance between voxel centres along (z, y, x).
        origin_mm: LPS position (x, y, z) of the centre of voxel [0, 0, 0].
        direction: 3 x 3, row i is the LPS unit vector along which array axis (z, y, x)[i] runs.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[tuple[float, float, float], ...] = (
        (0.0, 0.0, 1.0),
        (0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0),
    )

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """An array with its grid; `array[z, y, x]`, float32 SUV (g/mL), int16 HU or integer labels."""

    array: NDArray[Any]
    grid: Grid
