"""Lesions found by a threshold, with physiologic uptake left out by place, volume and the CT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.errors import DataError
from fedpet.imaging.landmarks import find_tissues
from fedpet.imaging.physiologic import Landmarks, find_landmarks, organ_at
from fedpet.imaging.volume import Volume

Method: TypeAlias = Literal["suv2.5", "suv4.0", "41%", "percist"]
FIXED: Final[dict[str, float]] = {"suv2.5": 2.5, "suv4.0": 4.0, "41%": 4.0}
METHODS: Final[tuple[Method, ...]] = ("suv2.5", "suv4.0", "41%", "percist")
SHARE_OF_MAX: Final = 0.41
GROWTH_MM: Final = 10.0
EVERY_NEIGHBOUR: Final = np.ones((3, 3, 3), bool)
LESIONS_MAX: Final = 65535
Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Lesions and how they were found.

    Args:
        labels: uint16 labels 1, 2, ... on the PET's grid; 0 is no lesion.
        method: As asked.
        threshold_suv: Smallest SUV of a lesion voxel; of the seeds for `41%`.
        organs: Components that were left out as organs.
    """

    labels: Volume
    method: Method
    threshold_suv: float
    organs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A connected component: its number, box, volume and whether it is an organ."""

    number: int
    box: Box
    organ: bool


def find_lesions(
    suv: Volume,
    ct: Volume | None,
    *,
    method: Method = "suv4.0",
    volume_min_ml: float = 0.5,
) -> Found:
    """Label the components of high SUV that are not organs.

    Components have 26 neighbours. Brain, heart, kidneys, liver, spleen and bladder are left out
    by their place relative to the lungs (from the CT, or guessed without one) and their volume;
    see `physiologic`. Bowel, muscle and inflammation stay in: a person should look at the result.

    - `suv2.5`, `suv4.0`: SUV at or above the number. At 2.5 the noise of a healthy liver passes;
      what lies there and stays below the liver threshold of PERCIST is left out.
    - `41%`: every component of `suv4.0` is a seed; its lesion is what is connected to its hottest
      voxel at 41 % of its SUVmax or more, no further than 10 mm from the seed.
    - `percist`: 1.5 times the mean of a 3 cm sphere in the right lobe of the liver and 2 of its
      standard deviations. The rule is linear, so that SUV by weight and by lean mass (SUL) give
      the same voxels; the threshold is told in SUV.

    Args:
        suv: SUV on the PET's own grid.
        ct: HU in the same frame of reference, on its own grid.
        method: Rule by which voxels are chosen.
        volume_min_ml: Smaller components are noise.

    Raises:
        DataError: If the method is unknown, the volume negative, or `percist` finds no liver.

    Source:
        4.0 and 2.5: Barrington & Meignan 2019. 41 %: Boellaard et al. 2015, EANM guideline 2.0.
        Liver threshold: Wahl et al. 2009, PERCIST 1.0.

    Examples:
        >>> from fedpet.imaging.volume import Grid
        >>> grid = Grid(shape=(9, 9, 9), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0))
        >>> array = np.ones(grid.shape, np.float32)
        >>> array[3:6, 3:6, 3:6] = 8
        >>> found = find_lesions(Volume(array=array, grid=grid), None)
        >>> int(found.labels.array.max()), int((found.labels.array > 0).sum())
        (1, 27)
    """
    if method not in METHODS:
        raise DataError(
            f"The lesion method '{method:.40}' is unknown.", do=f"Use one of {', '.join(METHODS)}."
        )
    if not volume_min_ml >= 0:
        raise DataError(f"The least lesion volume is {volume_min_ml:g} mL, expected 0 or more.")
    liver = None
    if method == "percist" or FIXED[method] < 4:
        liver = liver_threshold(suv, ct)
    if method == "percist" and liver is None:
        raise DataError(
            "No healthy liver was found, so there is no PERCIST threshold.",
            why="It needs an even sphere of 3 cm in the right lobe.",
            do='Give a mask for this scan, or set `lesions = "suv4.0"` in cohort.toml.',
            code="FP-2145",
        )
    threshold = FIXED.get(method, liver or 0.0)
    parts, components = _components(suv, ct, threshold, volume_min_ml, liver)
    labels = np.zeros(suv.array.shape, np.uint16)
    kept = [part for part in components if not part.organ][:LESIONS_MAX]
    if method == "41%":
        _grow(suv, parts, kept, volume_min_ml, labels)
    else:
        for number, part in enumerate(kept, start=1):
            labels[part.box][parts[part.box] == part.number] = number
    return Found(
        labels=Volume(array=labels, grid=suv.grid),
        method=method,
        threshold_suv=threshold,
        organs=sum(part.organ for part in components),
    )


def liver_threshold(suv: Volume, ct: Volume | None) -> float | None:
    """Return the PERCIST threshold in SUV: 1.5 x liver mean + 2 SD; None without a liver."""
    liver = find_tissues(suv, ct).liver
    return None if liver is None else 1.5 * liver.mean + 2 * liver.deviation


def _components(
    suv: Volume, ct: Volume | None, threshold: float, volume_min_ml: float, liver: float | None
) -> tuple[NDArray[np.int32], list[_Part]]:
    """Return the components that are large enough, and which of them are organs."""
    parts, count = ndimage.label(suv.array >= threshold, EVERY_NEIGHBOUR)
    if not count:
        return parts, []
    sizes_ml = np.bincount(parts.ravel(), minlength=count + 1) * suv.grid.voxel_ml
    landmarks = find_landmarks(suv, ct)
    found = []
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        if sizes_ml[number] < volume_min_ml:
            continue
        organ = _is_organ(suv, parts[box] == number, box, float(sizes_ml[number]), landmarks, liver)
        found.append(_Part(number=number, box=box, organ=organ))
    return parts, found


def _is_organ(
    suv: Volume,
    inside: NDArray[np.bool_],
    box: Box,
    volume_ml: float,
    landmarks: Landmarks,
    liver: float | None,
) -> bool:
    index = np.argwhere(inside) + np.array([side.start for side in box])
    weights = suv.array[box][inside].astype(np.float64)
    centre = suv.grid.to_lps(weights @ index / weights.sum())
    if organ_at(centre, volume_ml=volume_ml, landmarks=landmarks):
        return True
    if liver is None or weights.max() >= liver:
        return False
    # Noise of the liver, as cold as the liver itself and where it lies.
    below_base = landmarks.base_z - float(centre[2])
    return bool(-60 < below_base < 180 and float(centre[0]) < landmarks.middle_x + 30)


def _grow(
    suv: Volume,
    parts: NDArray[np.int32],
    kept: list[_Part],
    volume_min_ml: float,
    labels: NDArray[np.uint16],
) -> None:
    """Give every seed what is connected to its hottest voxel at 41 % or more; hottest first."""
    spacing = np.array(suv.grid.spacing_mm)
    margin = np.ceil(GROWTH_MM / spacing).astype(int)
    peaks = [float(suv.array[part.box][parts[part.box] == part.number].max()) for part in kept]
    last = 0
    for place in np.argsort(peaks)[::-1]:
        part, peak = kept[int(place)], peaks[int(place)]
        box = tuple(
            slice(max(0, side.start - int(far)), min(count, side.stop + int(far)))
            for side, far, count in zip(part.box, margin, suv.array.shape, strict=True)
        )
        seed = parts[box] == part.number
        near = ndimage.distance_transform_edt(~seed, sampling=spacing) <= GROWTH_MM
        # Other components, organs among them, and what hotter seeds have taken stay theirs.
        free = (labels[box] == 0) & ((parts[box] == 0) | seed)
        hot = (suv.array[box] >= SHARE_OF_MAX * peak) & near & free
        joined, _ = ndimage.label(hot, EVERY_NEIGHBOUR)
        hottest = np.unravel_index(np.where(seed, suv.array[box], -np.inf).argmax(), seed.shape)
        lesion = (joined > 0) & (joined == joined[hottest])
        if lesion.sum() * suv.grid.voxel_ml >= volume_min_ml:
            last += 1
            labels[box][lesion] = last
