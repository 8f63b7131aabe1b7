"""The body on the common grid: whether PET and CT show the same one, and where its arms are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.imaging.remarks import Remark
from fedpet.imaging.resample import box_mean, inside, parallel_axes
from fedpet.imaging.volume import Grid, Volume

BODY_HU_MIN: Final = -500
BODY_SUV_MIN: Final = 0.2
AIR_HU: Final = -1024
COARSE_MM: Final = 8.0
DICE_MIN: Final = 0.85
SHIFT_MM_MAX: Final = 10.0
# Smaller than this, a piece of body in a slice may be an arm: as a share of the largest piece.
ARM_SHARE_MAX: Final = 0.5
# An arm lies at least this far from the middle: beside the trunk, and beside the head.
ARM_FROM_MIDDLE_MM: Final = 90.0
ARM_FROM_NECK_MM: Final = 65.0
# Arms and trunk that touch are told apart if the bridge is thinner than this.
BRIDGE_MM: Final = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How well the bodies of PET and CT lie on each other.

    Args:
        dice: Overlap of the two bodies, 0 to 1, where both were scanned.
        shift_mm: Distance of their centroids.
    """

    dice: float
    shift_mm: float


def body_of(image: NDArray[np.float32 | np.int16], threshold: float) -> NDArray[np.bool_]:
    """Return the largest thing above a threshold, its holes in axial slices filled.

    A layer of a voxel is taken off and put back, so that couch and sheets fall away.

    Args:
        image: SUV or HU [z, y, x], axial slices along z.
        threshold: Body is above it.
    """
    slices = np.zeros((3, 3, 3), bool)
    slices[1] = ndimage.generate_binary_structure(2, 1)
    # Holes first: the wall of the chest is thin and would break.
    filled = ~_outside(image <= threshold, slices)
    parts, count = ndimage.label(~_spread(~filled))
    if not count:
        return np.zeros(filled.shape, bool)
    largest = 1 + int(np.bincount(parts.ravel())[1:].argmax())
    return _spread(parts == largest) & filled


def _spread(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add the four neighbours in the slice; many times faster than SciPy's dilation."""
    wide = part.copy()
    wide[:, 1:] |= part[:, :-1]
    wide[:, :-1] |= part[:, 1:]
    wide[:, :, 1:] |= part[:, :, :-1]
    wide[:, :, :-1] |= part[:, :, 1:]
    return wide


def _outside(air: NDArray[np.bool_], slices: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the air that in its slice is joined to the border of the image."""
    parts, count = ndimage.label(air, slices)
    borders = [parts[:, edge].ravel() for edge in (0, -1)]
    borders += [parts[:, :, edge].ravel() for edge in (0, -1)]
    joined = np.zeros(count + 1, bool)
    joined[np.concatenate(borders)] = True
    joined[0] = False
    outside: NDArray[np.bool_] = joined[parts]
    return outside


def match(suv: Volume, hu: Volume, *, scanned: Grid) -> Match | None:
    """Compare the body in the PET with that in the CT.

    Args:
        suv: SUV on the common grid.
        hu: HU on the same grid.
        scanned: The CT's own grid: beyond it nothing is compared.

    Returns:
        None if either shows no body.

    Source:
        Limits of 0.85 and 10 mm: specification of this project, from phantoms; a PET-CT is
        registered by its hardware, so that larger differences mean another scan or a move.

    Examples:
        >>> grid = Grid(shape=(9, 9, 9), spacing_mm=(8.0, 8.0, 8.0), origin_mm=(0.0, 0.0, 0.0))
        >>> hu = np.full(grid.shape, -1000, np.int16)
        >>> hu[2:7, 2:7, 2:7] = 40
        >>> suv = Volume(array=(hu > 0).astype(np.float32), grid=grid)
        >>> match(suv, Volume(array=hu, grid=grid), scanned=grid)
        Match(dice=1.0, shift_mm=0.0)
    """
    step = max(1, round(COARSE_MM / suv.grid.spacing_mm[0]))
    coarse_hu, coarse_suv = (box_mean(one.array, (step,) * 3) for one in (hu, suv))
    z, y, x = coarse_hu.shape
    middle = slice(step // 2, None, step)
    seen = _coverage(scanned, suv.grid)[middle, middle, middle][:z, :y, :x]
    in_ct = body_of(np.where(seen, coarse_hu, AIR_HU), BODY_HU_MIN)
    in_pet = body_of(np.where(seen, coarse_suv, 0), BODY_SUV_MIN)
    if not (in_ct.any() and in_pet.any()):
        return None
    both = int((in_ct & in_pet).sum())
    middles = [np.argwhere(one).mean(axis=0) for one in (in_ct, in_pet)]
    return Match(
        dice=2 * both / (int(in_ct.sum()) + int(in_pet.sum())),
        shift_mm=float(np.linalg.norm(middles[0] - middles[1]) * step * suv.grid.spacing_mm[0]),
    )


def about_match(found: Match | None) -> list[Remark]:
    """Say that PET and CT do not lie on each other; nothing if they do or cannot be compared."""
    if found is None or (found.dice >= DICE_MIN and found.shift_mm < SHIFT_MM_MAX):
        return []
    text = (
        f"The bodies in PET and CT overlap with a Dice of {found.dice:.2f}, their middles are "
        f"{found.shift_mm:.0f} mm apart."
    )
    return [Remark(code="FP-2148", text=text)]


def _coverage(scanned: Grid, grid: Grid) -> NDArray[np.bool_]:
    """Return which voxels of a grid lie within another; all of them if it stands at an angle."""
    axes = parallel_axes(scanned, grid)
    covered = np.ones(grid.shape, bool)
    if axes is None:
        return covered
    covered[...] = False
    counts = [scanned.shape[axis] for axis in axes.order]
    covered[tuple(inside(p, n) for p, n in zip(axes.places, counts, strict=True))] = True
    return covered


def find_arms(
    suv: Volume, hu: Volume | None, *, apex_z: float, to_body_weight: float = 1.0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find the arms: what lies to the sides of the trunk or of the head, slice by slice.

    Below the top of the lungs a piece of body is an arm if it is less than half as large as the
    largest and more than 90 mm from the middle, above it if it is more than 65 mm from the
    middle. Thin bridges between arm and trunk are cut. Arms that lie on the belly stay.

    Args:
        suv: SUV on the common grid.
        hu: HU on the same grid; None without CT.
        apex_z: Top of the lungs, LPS mm.
        to_body_weight: Factor from this SUV to that by body weight.

    Returns:
        Arms, and the rest of the body: bool, shape of the grid.
    """
    image, threshold = (suv.array, BODY_SUV_MIN / to_body_weight)
    if hu is not None:
        image, threshold = hu.array, float(BODY_HU_MIN)
    spacing = suv.grid.spacing_mm[1]
    body = body_of(image, threshold)
    arms = np.zeros(body.shape, bool)
    if not body.any():
        return arms, body
    reach = max(1, round(BRIDGE_MM / 2 / spacing))
    disk = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.25
    trunk = _middle(body)
    top = suv.grid.origin_mm[2]
    for index, plane in enumerate(body):
        above_apex = top - index * suv.grid.spacing_mm[0] > apex_z
        core = ndimage.binary_erosion(plane, disk)
        parts, count = ndimage.label(core)
        if not count:
            continue
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        middles = np.array(ndimage.center_of_mass(core, parts, range(1, count + 1)))
        away = np.abs(middles[:, 1] - trunk) * spacing
        if above_apex:
            side = away > ARM_FROM_NECK_MM
        else:
            side = (away > ARM_FROM_MIDDLE_MM) & (sizes < ARM_SHARE_MAX * sizes.max())
        chosen = np.isin(parts, 1 + np.flatnonzero(side))
        kept = (parts > 0) & ~chosen
        arms[index] = plane & (_nearer(chosen, kept) if kept.any() else True)
    return arms, body & ~arms


def _middle(body: NDArray[np.bool_]) -> float:
    """Return the column through the middle of the body."""
    share = body.sum(axis=(0, 1))
    return float(np.arange(len(share)) @ share / share.sum())


def _nearer(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels that lie nearer to one set than to the other."""
    if not one.any():
        return one
    nearer: NDArray[np.bool_] = ndimage.distance_transform_edt(
        ~one
    ) < ndimage.distance_transform_edt(~other)
    return nearer


def without_arms(
    suv: Volume, hu: Volume | None, *, apex_z: float, to_body_weight: float = 1.0
) -> tuple[Volume, Volume | None]:
    """Turn the arms into air, with a voxel around them, as blur leads beyond the skin."""
    arms, rest = find_arms(suv, hu, apex_z=apex_z, to_body_weight=to_body_weight)
    flat = np.zeros((3, 3, 3), bool)
    flat[1] = True
    arms = ndimage.binary_dilation(arms, flat, mask=~rest)
    cut = Volume(array=np.where(arms, np.float32(0), suv.array), grid=suv.grid)
    if hu is None:
        return cut, None
    air = np.where(arms, np.int16(AIR_HU), hu.array)
    return cut, Volume(array=air, grid=hu.grid)
