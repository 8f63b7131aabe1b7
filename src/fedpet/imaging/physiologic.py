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

AIR_HU_MAX: Final = -500
LUNG_ML_MIN: Final = 300.0
WARM_SUV_MIN: Final = 0.2
# Distances from the top of the image where there is no CT: of an adult, from the vertex if more
# than 300 mL within 160 mm of the top are as hot as a brain, else from the skull base.
VERTEX_TO_APEX_MM: Final = 290.0
SKULL_BASE_TO_APEX_MM: Final = 130.0
LUNG_HEIGHT_MM: Final = 230.0
BRAIN_SUV_MIN: Final = 4.0
BRAIN_ML_MIN: Final = 300.0
BRAIN_DEPTH_MM: Final = 160.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Where the body and its lungs lie, in LPS mm.

    Args:
        top_z: Top of the body in the image.
        apex_z: Top of the lungs.
        base_z: Bottom of the lungs.
        middle_x: Midline of the body.
        middle_y: Half depth of the lungs.
    """

    top_z: float
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
    warm = np.argwhere(suv.array > WARM_SUV_MIN)
    index = warm if len(warm) else np.array([[0, 0, 0], np.array(suv.array.shape) - 1])
    places = suv.grid.to_lps(index.astype(np.float64))
    x, y, _ = (float(part) for part in places.mean(axis=0))
    top = float(places[:, 2].max())
    if ct is not None:
        hu = to_common_grid(ct, suv.grid, fill=-1024, kind="ct").array
        lungs = _lung_places(hu, suv.grid)
        if lungs is not None:
            low, high = np.percentile(lungs, [1, 99], axis=0)
            return Landmarks(
                top_z=top,
                apex_z=float(high[2]),
                base_z=float(low[2]),
                middle_x=x,
                middle_y=float(low[1] + high[1]) / 2,
            )
    high = places[:, 2] > top - BRAIN_DEPTH_MM
    hot = suv.array[tuple(index[high].T)] >= BRAIN_SUV_MIN
    has_brain = int(hot.sum()) * suv.grid.voxel_ml > BRAIN_ML_MIN
    apex = top - (VERTEX_TO_APEX_MM if has_brain else SKULL_BASE_TO_APEX_MM)
    return Landmarks(top_z=top, apex_z=apex, base_z=apex - LUNG_HEIGHT_MM, middle_x=x, middle_y=y)


def _lung_places(hu: NDArray[np.int16], grid: Grid) -> NDArray[np.float64] | None:
    """Return LPS places of the lungs: the largest pockets of air closed in every axial slice."""
    pockets = closed_pockets(hu)
    sizes_ml = np.bincount(pockets.ravel())[1:] * grid.voxel_ml
    if not sizes_ml.size or sizes_ml.max() < LUNG_ML_MIN:
        return None
    lungs = 1 + np.flatnonzero(sizes_ml >= max(LUNG_ML_MIN, 0.3 * sizes_ml.max()))
    return grid.to_lps(np.argwhere(np.isin(pockets, lungs)).astype(np.float64))


def closed_pockets(hu: NDArray[np.int16]) -> NDArray[np.int32]:
    """Number the pockets of air that tissue closes in every axial slice; 0 elsewhere.

    Slice by slice, as nose and windpipe join the lungs to the air of the room.

    Args:
        hu: [z, y, x], axial slices.
    """
    air = hu < AIR_HU_MAX
    in_slice = np.zeros((3, 3, 3), bool)
    in_slice[1] = ndimage.generate_binary_structure(2, 1)
    parts, count = ndimage.label(air, in_slice)
    sides = [parts[:, edge, :].ravel() for edge in (0, -1)]
    sides += [parts[:, :, edge].ravel() for edge in (0, -1)]
    closed = np.ones(count + 1, bool)
    closed[np.unique(np.concatenate(sides))] = False
    closed[0] = False
    pockets: NDArray[np.int32] = ndimage.label(closed[parts])[0]
    return pockets


def organ_at(place: NDArray[np.float64], *, volume_ml: float, landmarks: Landmarks) -> str:
    """Name the organ that a component of high uptake is by its place and volume; empty if none.

    Args:
        place: SUV-weighted centroid, LPS in mm.
        volume_ml: Volume above the threshold.
        landmarks: Of the subject.

    Examples:
        >>> lungs = Landmarks(top_z=290, apex_z=0, base_z=-230, middle_x=0, middle_y=0)
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
    if (
        above_apex > 130
        or (above_apex > 80 and volume_ml > 100)
        or (landmarks.top_z - float(place[2]) < 200 and volume_ml > 400)
    ):
        return "brain"  # FDG does not show brain metastases; whatever lies there is left out
    if -0.6 * height < below_base < 15 and -20 < x < 100 and y < 0 and 20 < volume_ml < 600:
        return "heart"
    if -10 < below_base < 170 and 25 < abs(x) < 105 and y > 0 and 15 < volume_ml < 400:
        return "kidney"
    if -60 < below_base < 180 and x < 0 and volume_ml > 300:
        return "liver"
    if -60 < below_base < 120 and x > 0 and volume_ml > 150:
        return "spleen"
    if below_base > 240 and abs(x) < 40 and volume_ml > 10:
        return "bladder"
    return ""
