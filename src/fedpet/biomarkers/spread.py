"""How far lesions lie apart: features of dissemination."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist, pdist

from fedpet.biomarkers.metabolic import separate
from fedpet.errors import DataError
from fedpet.imaging.physiologic import Landmarks
from fedpet.imaging.volume import Volume

NAMES: Final = (
    "dmax_voxel_mm",
    "dmax_bulk_mm",
    "spread_mm",
    "spread_bulk_mm",
    "sdmax_per_m",
    "bulk_ml",
    "regions_involved",
)
# Below the lungs, the abdomen ends about as far down as the lungs are high.
ABDOMEN_PER_LUNG: Final = 1.0


def measure_spread(
    lesions: Volume, *, landmarks: Landmarks, bsa_m2: float | None
) -> dict[str, float]:
    """Measure how far lesions lie apart.

    Distances are between centroids, but for `dmax_voxel_mm`: between the centres of the two
    voxels of any lesion that are furthest apart. The bulk is the largest lesion.

    - `dmax_bulk_mm`: from the bulk to the lesion furthest from it.
    - `spread_mm`: the largest, over lesions, sum of distances from one to all others.
    - `spread_bulk_mm`: sum of distances from the bulk to all others.
    - `sdmax_per_m`: largest distance between lesions in m over body surface in m2.
    - `regions_involved`: how many of head and neck, thorax, abdomen and pelvis hold a centroid.

    Args:
        lesions: Labels on the PET's grid.
        landmarks: Of the subject: regions are told by the height of the lungs.
        bsa_m2: Body surface; None if height or weight is not known.

    Returns:
        Values by `NAMES`; all 0 without a lesion; `sdmax_per_m` is NaN without body surface.

    Source:
        Cottereau et al. 2020, J Nucl Med 61:40 (bulk, spread); Cottereau et al. 2021, Ann Oncol
        32:404 (by body surface).

    Examples:
        >>> from fedpet.imaging.volume import Grid
        >>> grid = Grid(shape=(1, 1, 9), spacing_mm=(5.0, 5.0, 5.0), origin_mm=(0.0, 0.0, 0.0))
        >>> marks = np.array([[[1, 1, 1, 0, 0, 0, 0, 0, 2]]], np.uint16)
        >>> lungs = Landmarks(top_z=90, apex_z=50, base_z=-50, middle_x=0, middle_y=0)
        >>> found = measure_spread(Volume(array=marks, grid=grid), landmarks=lungs, bsa_m2=1.75)
        >>> found["dmax_voxel_mm"], found["spread_mm"], found["sdmax_per_m"]
        (40.0, 35.0, 0.02)
    """
    if bsa_m2 is not None and not bsa_m2 > 0:
        raise DataError(f"The body surface is {bsa_m2:g} m2, expected more than 0.")
    parts = separate(lesions.array)
    if not parts:
        return dict.fromkeys(NAMES, 0.0)
    grid = lesions.grid
    sizes = np.array([len(index) for index in parts])
    centres = np.array([grid.to_lps(index.mean(axis=0)) for index in parts])
    bulk = int(sizes.argmax())
    apart = cdist(centres, centres)
    sums = apart.sum(axis=1)
    largest = float(apart.max())
    return {
        "dmax_voxel_mm": _extent(grid.to_lps(np.concatenate(parts).astype(np.float64))),
        "dmax_bulk_mm": float(apart[bulk].max()),
        "spread_mm": float(sums.max()),
        "spread_bulk_mm": float(sums[bulk]),
        "sdmax_per_m": float("nan") if bsa_m2 is None else largest / 1000 / bsa_m2,
        "bulk_ml": float(sizes[bulk]) * grid.voxel_ml,
        "regions_involved": float(len({region_of(float(z), landmarks) for z in centres[:, 2]})),
    }


def region_of(z: float, landmarks: Landmarks) -> str:
    """Name the region of the body that a height lies in.

    Args:
        z: LPS in mm.
        landmarks: Of the subject.

    Examples:
        >>> lungs = Landmarks(top_z=290, apex_z=0, base_z=-230, middle_x=0, middle_y=0)
        >>> [region_of(z, lungs) for z in (100, -90, -300, -500)]
        ['head and neck', 'thorax', 'abdomen', 'pelvis']
    """
    if z > landmarks.apex_z:
        return "head and neck"
    if z > landmarks.base_z:
        return "thorax"
    height = landmarks.apex_z - landmarks.base_z
    return "abdomen" if z > landmarks.base_z - ABDOMEN_PER_LUNG * height else "pelvis"


def _extent(places: NDArray[np.float64]) -> float:
    """Return the largest distance between any two points; only corners of the hull matter."""
    if len(places) < 2:
        return 0.0
    try:
        places = places[ConvexHull(places).vertices]
    except (QhullError, ValueError):  # all in a plane or fewer than four: their own extremes
        turned = places - places.mean(axis=0)
        _, _, axes = np.linalg.svd(turned, full_matrices=False)
        flat = turned @ axes[:2].T
        try:
            places = places[ConvexHull(flat).vertices]
        except (QhullError, ValueError):
            along = turned @ axes[0]
            places = places[[int(along.argmin()), int(along.argmax())]]
    return float(pdist(places).max())
