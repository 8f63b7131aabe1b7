"""What of a scan the common grid shows: from the head or the skull base down, with arms or without.

Head and arms are found by coarse rules of place, not by learned segmentation. What is left out
becomes air on the common grid; nothing that is measured on the PET's own grid changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from fedpet.imaging.body import about_match, match, without_arms
from fedpet.imaging.grid import common_grid, to_common_grid
from fedpet.imaging.physiologic import SKULL_BASE_TO_APEX_MM, find_landmarks
from fedpet.imaging.remarks import Remark
from fedpet.imaging.volume import Grid, Volume

AIR_HU: Final = -1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What of the body the common grid shows.

    Args:
        spacing_mm: Voxel size.
        head: `drop` begins at the skull base, which takes away brain, orbits and upper face.
        arms: `remove` turns arms beside trunk and head into air.
    """

    spacing_mm: float
    head: Literal["keep", "drop"] = "keep"
    arms: Literal["keep", "remove"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A scan on the common grid.

    Args:
        suv: float32 SUV of the kind that was given.
        ct: int16 or float32 HU; None without CT.
        lesions: Labels; None where they are not known.
        remarks: What a person should know.
    """

    suv: Volume
    ct: Volume | None
    lesions: Volume | None
    remarks: tuple[Remark, ...]


def show(
    suv: Volume,
    ct: Volume | None,
    lesions: Volume | None,
    window: Window,
    *,
    to_body_weight: float = 1.0,
) -> Shown:
    """Bring a scan to the common grid, and see whether PET and CT lie on each other.

    Args:
        suv: SUV on the PET's own grid.
        ct: HU in the same frame of reference, on its own grid.
        lesions: Labels on the PET's grid.
        window: What to show.
        to_body_weight: Factor from this SUV to that by body weight, in which limits are given.
    """
    weighed = _times(suv, to_body_weight)
    grid = common_grid(weighed, ct, spacing_mm=window.spacing_mm)
    plain = (window.head, window.arms) == ("keep", "keep")
    apex_z = 0.0 if plain else find_landmarks(weighed, ct).apex_z
    if window.head == "drop":
        grid = below_skull_base(grid, apex_z=apex_z)
    there = to_common_grid(suv, grid, fill=0.0, kind="pet")
    hu = None if ct is None else to_common_grid(ct, grid, fill=AIR_HU, kind="ct")
    marks = None if lesions is None else to_common_grid(lesions, grid, fill=0, kind="label")
    remarks: list[Remark] = []
    if ct is not None and hu is not None:
        remarks += about_match(match(_times(there, to_body_weight), hu, scanned=ct.grid))
    if window.arms == "remove":
        there, hu = without_arms(there, hu, to_body_weight=to_body_weight, apex_z=apex_z)
    return Shown(suv=there, ct=hu, lesions=marks, remarks=tuple(remarks))


def _times(suv: Volume, factor: float) -> Volume:
    return suv if factor == 1 else replace(suv, array=suv.array * np.float32(factor))


def below_skull_base(grid: Grid, *, apex_z: float) -> Grid:
    """Let the common grid begin at the skull base, 130 mm above the top of the lungs.

    Args:
        grid: The common grid, head first.
        apex_z: Top of the lungs, LPS mm; see `physiologic.find_landmarks`.

    Returns:
        The grid moved down by whole voxels; the same where the image ends below the skull base.

    Examples:
        >>> grid = Grid(shape=(240, 80, 112), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0, 0, 298.0))
        >>> below_skull_base(grid, apex_z=0.0).origin_mm[2]
        126.0
    """
    x, y, first = grid.origin_mm
    step = grid.spacing_mm[0]
    count = int(np.ceil((first + step / 2 - apex_z - SKULL_BASE_TO_APEX_MM) / step))
    return replace(grid, origin_mm=(x, y, first - max(count, 0) * step))
