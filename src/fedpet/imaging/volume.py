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
        direction: 3 x 3, row i is the LPS unit vector along which array axis (z, y, x)[i] runs;
            at right angles but for a CT with a tilted gantry.
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
        skew = abs(float(np.linalg.det(np.array(self.direction))))
        return float(np.prod(self.spacing_mm)) * skew / 1000.0

    @property
    def steps_mm(self) -> NDArray[np.float64]:
        """LPS vectors of one step along (z, y, x), [3, 3], one in each row."""
        steps: NDArray[np.float64] = np.array(self.direction) * np.array(self.spacing_mm)[:, None]
        return steps

    def to_lps(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return LPS positions (x, y, z) in mm of indices (z, y, x), [..., 3].

        Examples:
            >>> grid = Grid(shape=(2, 2, 2), spacing_mm=(3.0, 2.0, 1.0), origin_mm=(0, 0, 10.0))
            >>> grid.to_lps(np.array([1.0, 1.0, 0.0])).tolist()
            [0.0, 2.0, 13.0]
        """
        lps: NDArray[np.float64] = np.asarray(index) @ self.steps_mm + np.array(self.origin_mm)
        return lps

    def to_index(self, lps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return fractional indices (z, y, x) of LPS positions (x, y, z), [..., 3]."""
        index: NDArray[np.float64] = (np.asarray(lps) - np.array(self.origin_mm)) @ np.linalg.inv(
            self.steps_mm
        )
        return index


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """An array with its grid; `array[z, y, x]`, float32 SUV (g/mL), int16 HU or integer labels."""

    array: NDArray[Any]
    grid: Grid
