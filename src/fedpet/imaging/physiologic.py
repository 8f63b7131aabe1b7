"""Which hot components are organs that take up or excrete FDG in everyone.

No organ is segmented here: places are measured from the lungs, which a CT shows plainly, and a
component counts as an organ by its place and volume. These are rough rules for a first look; a
tumour that fuses with an organ goes with it, and bowel is kept. Drawn masks are always better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.imaging.grid import to_common_grid
from fedpet.imaging.volume import Grid, Volume

AIR_HU_MAX: Final = -400
LUNG_ML_MIN: Final = 300.0
# Distances from the top of the image where there is no CT: adult, from the vertex or the skull
# base (images shorter than 900 mm start below the vertex).
VERTEX_TO_APEX_MM: Final = 290.0
SKULL_BASE_TO_APEX_MM: Final = 130.0
LUNG_HEIGHT_MM: Final = 230.0
WHOLE_MM: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Where the lungs lie, in LPS mm.

    Args:
        apex_z: Top of the lungs.
        base_z: Bottom of the lungs.
        middle_x: Midline.
        middle_y: Half depth of the lungs.
    """

    apex_z: float
    base_z: float
    middle_x: float
    middle_y: float


def find_landmarks(suv: Volume, ct: Volume | None) -> Landmarks:
    """Find the lungs on the CT, or guess them from the top of the PET without one.

    Args:
        suv: SUV.
        ct: HU in the same frame of reference; None if there is none.

    Returns:
        Landmarks in LPS mm.
    """
    if ct is not None:
        hu = to_common_grid(ct, suv.grid, fill=-1024, kind="ct").array
        found = _lungs(hu, suv.grid)
        if found is not None:
            return found
    warm = np.argwhere(suv.array > 0.2)
    index = warm if len(warm) else np.array([[0, 0, 0], np.array(suv.array.shape) - 1])
    places = suv.grid.to_lps(index.astype(np.float64))
    middle = places.mean(axis=0)
    top, bottom = float(places[:, 2].max()), float(places[:, 2].min())
    apex = top - (VERTEX_TO_APEX_MM if top - bottom >= WHOLE_MM else SKULL_BASE_TO_APEX_MM)
    return Landmarks(
        apex_z=apex,
        base_z=apex - LUNG_HEIGHT_MM,
        middle_x=float(middle[0]),
        middle_y=float(middle[1]),
    )


def _lungs(hu: NDArray[np.int16], grid: Grid) -> Landmarks | None:
    """Return landmarks from large pockets of air that do not reach the sides of the image."""
    parts, count = ndimage.label(hu < AIR_HU_MAX)
    if not count:
        return None
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * grid.voxel_ml
    outside = np.unique(
        np.concatenate(
            [parts[:, edge, :].ravel() for edge in (0, -1)]
            + [parts[:, :, edge].ravel() for edge in (0, -1)]
        )
    )
    sizes[0], sizes[outside] = 0, 0
    large = np.flatnonzero(sizes >= LUNG_ML_MIN)
    if not large.size:
        return None
    index = np.argwhere(np.isin(parts, large))
    places = grid.to_lps(index.astype(np.float64))
    low, high = np.percentile(places, [1, 99], axis=0)
    return Landmarks(
        apex_z=float(high[2]),
        base_z=float(low[2]),
        middle_x=float(low[0] + high[0]) / 2,
        middle_y=float(low[1] + high[1]) / 2,
    )


def organ_at(place: NDArray[np.float64], *, volume_ml: float, landmarks: Landmarks) -> str:
    """Name the organ that a component of high uptake is by its place and volume; empty if none.

    Args:
        place: SUV-weighted centroid, LPS in mm.
        volume_ml: Volume above the threshold.
        landmarks: Of the subject.

    Examples:
        >>> lungs = Landmarks(apex_z=0, base_z=-230, middle_x=0, middle_y=0)
        >>> organ_at(np.array([0, 0, 200.0]), volume_ml=900, landmarks=lungs)
        'brain'
        >>> organ_at(np.array([60, 20, -100.0]), volume_ml=30, landmarks=lungs)
        ''
    """
    x = float(place[0]) - landmarks.middle_x  # towards the patient's left
    y = float(place[1]) - landmarks.middle_y  # towards the back
    above_apex = float(place[2]) - landmarks.apex_z
    below_base = landmarks.base_z - float(place[2])
    height = landmarks.apex_z - landmarks.base_z
    if above_apex > 130 or (above_apex > 80 and volume_ml > 100):
        return "brain"  # FDG does not show brain metastases; whatever lies there is left out
    if -0.6 * height < below_base < 15 and -20 < x < 100 and y < 0 and 20 < volume_ml < 600:
        return "heart"
    if -10 < below_base < 170 and 25 < abs(x) < 105 and y > 0 and 15 < volume_ml < 400:
        return "kidney"
    if -60 < below_base < 180 and x < 0 and volume_ml > 300:
        return "liver"
    if -60 < below_base < 120 and x > 0 and volume_ml > 150:
        return "spleen"
    if below_base > 260 and abs(x) < 50 and volume_ml > 10:
        return "bladder"
    return ""
