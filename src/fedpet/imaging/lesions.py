"""Lesions by a fixed threshold, with physiologic uptake left out by place and volume."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from fedpet.errors import DataError
from fedpet.imaging.physiologic import find_landmarks, organ_at
from fedpet.imaging.volume import Volume

EVERY_NEIGHBOUR: Final = np.ones((3, 3, 3), bool)
LESIONS_MAX: Final = 65535


def find_lesions(
    suv: Volume,
    ct: Volume | None,
    *,
    threshold_suv: float = 4.0,
    volume_min_ml: float = 0.5,
) -> Volume:
    """Label the components of SUV at or above a threshold that are not organs.

    Components have 26 neighbours. Brain, heart, kidneys, liver, spleen and bladder are left out
    by their place relative to the lungs (from the CT, or guessed without one) and their volume;
    see `physiologic`. Bowel, muscle and inflammation stay in: a person should look at the result.

    Args:
        suv: SUV on the PET's own grid.
        ct: HU in the same frame of reference, on its own grid.
        threshold_suv: Smallest SUV of a lesion voxel.
        volume_min_ml: Smaller components are noise.

    Returns:
        uint16 labels 1, 2, ... on the PET's grid.

    Raises:
        DataError: If the threshold is not positive.

    Source:
        Fixed threshold 4.0: Barrington & Meignan 2019, for total metabolic tumour volume.

    Examples:
        >>> from fedpet.imaging.volume import Grid
        >>> grid = Grid(shape=(9, 9, 9), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0))
        >>> array = np.ones(grid.shape, np.float32)
        >>> array[3:6, 3:6, 3:6] = 8
        >>> found = find_lesions(Volume(array=array, grid=grid), None)
        >>> int(found.array.max()), int((found.array > 0).sum())
        (1, 27)
    """
    if not threshold_suv > 0:
        raise DataError(f"The lesion threshold is {threshold_suv:g}, expected an SUV above 0.")
    labels = np.zeros(suv.array.shape, np.uint16)
    parts, count = ndimage.label(suv.array >= threshold_suv, EVERY_NEIGHBOUR)
    if not count:
        return Volume(array=labels, grid=suv.grid)
    sizes_ml = np.bincount(parts.ravel(), minlength=count + 1) * suv.grid.voxel_ml
    landmarks = find_landmarks(suv, ct)
    boxes = ndimage.find_objects(parts)
    last = 0
    for number, box in enumerate(boxes, start=1):
        if sizes_ml[number] < volume_min_ml or last == LESIONS_MAX:
            continue
        inside = parts[box] == number
        index = np.argwhere(inside) + np.array([side.start for side in box])
        weights = suv.array[box][inside].astype(np.float64)
        centre = suv.grid.to_lps(weights @ index / weights.sum())
        if organ_at(centre, volume_ml=float(sizes_ml[number]), landmarks=landmarks):
            continue
        last += 1
        labels[box][inside] = last
    return Volume(array=labels, grid=suv.grid)
