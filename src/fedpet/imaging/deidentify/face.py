"""Where the face is in a PET-CT, and what is left when it is gone.

The head is followed slice by slice from the neck upwards in a mask of the body. In front of one
surface, the same for every image of the scan, everything is replaced by air: below the brow 30 mm
behind the front of the forehead (nose, lips, chin, cheeks and eyes), above it 6 mm (skin). A flat
cut leaves no shape, whereas a shell of even depth would leave a smaller face. Where the PET shows
the brain, the cut stays in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.imaging.grid import HEAD_FIRST, to_common_grid
from fedpet.imaging.physiologic import find_landmarks
from fedpet.imaging.volume import Grid, Volume

STEP_MM: Final = 4.0
BODY_HU: Final = -300.0
BODY_SUV: Final = 0.15
# Below the vertex, in an adult; children have higher brows in millimetres, and lose less forehead.
BROW_MM: Final = 90.0
FOREHEAD_MM: Final = 40.0
SLOPE_MM: Final = 20.0
DEPTH_MM: Final = 30.0
NOSE_MM: Final = 10.0
SKIN_MM: Final = 6.0
BRAIN_SUV: Final = 3.0
BRAIN_ML: Final = 100.0
BRAIN_MARGIN_MM: Final = 5.0
BRAIN_FRONT_MM: Final = 12.0
BRAIN_BELOW_VERTEX_MM: Final = 130.0
SIDE_MM: Final = 12.0
NEAR_MM: Final = 60.0
HEAD_MM: Final = 30.0
HEAD_CM2: Final = 60.0
BAND_MM: Final = 24.0
CHIN_MM: Final = 15.0
SHOULDER_MM: Final = 20.0
SURELY_HEAD_MM: Final = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A region in front of a surface; the same for every image in one frame of reference.

    Args:
        z: Rising LPS heights in mm, [n].
        cut_y: LPS y of the surface at each height, [n]; what lies in front (smaller y) goes.
        x_min: Right side in mm (LPS x).
        x_max: Left side in mm.
        whole: Whether the vertex lies in the image, so that the brow was found from it.
    """

    z: NDArray[np.float64]
    cut_y: NDArray[np.float64]
    x_min: float
    x_max: float
    whole: bool

    def mask(self, grid: Grid, number: int) -> NDArray[np.bool_]:
        """Return which pixels of slice `number` of a grid lie in the face, bool [rows, columns]."""
        rows, columns = np.meshgrid(
            np.arange(grid.shape[1]), np.arange(grid.shape[2]), indexing="ij"
        )
        index = np.stack([np.full_like(rows, number), rows, columns], axis=-1)
        lps = grid.to_lps(index.astype(np.float64))
        x, y, z = lps[..., 0], lps[..., 1], lps[..., 2]
        half = STEP_MM / 2
        inside = (z > self.z[0] - half) & (z < self.z[-1] + half)
        inside &= (x > self.x_min) & (x < self.x_max)
        face: NDArray[np.bool_] = inside & (y < np.interp(z, self.z, self.cut_y))
        return face


def find_face(suv: Volume | None, ct: Volume | None) -> Face | None:
    """Find the face of a PET, a CT, or both in one frame of reference.

    Args:
        suv: PET in SUV, or anything that is larger in the body than 0.15.
        ct: HU.

    Returns:
        The face; None if no head lies in the images.

    Examples:
        >>> air = Volume(array=np.full((9, 9, 9), -1000, np.int16), grid=Grid(
        ...     shape=(9, 9, 9), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0)))
        >>> find_face(None, air) is None
        True
    """
    source = ct if ct is not None else suv
    assert source is not None
    grid = _grid_around(source.grid)
    body = _body(source, grid, is_ct=ct is not None)
    if not body.any():
        return None
    warm = suv if suv is not None else Volume(array=body.astype(np.float32), grid=grid)
    landmarks = find_landmarks(warm, ct)
    head = _follow_head(body, grid, apex_z=landmarks.apex_z, middle_x=landmarks.middle_x)
    if head is None:
        return None
    brain = None if suv is None else _brain(to_common_grid(suv, grid, fill=0.0), head)
    return _face(head, brain, grid)


def _grid_around(grid: Grid) -> Grid:
    """Return an axis-aligned grid of 4 mm around another one, its first slice at the top."""
    ends = np.array([(0.0, count - 1.0) for count in grid.shape])
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    places = grid.to_lps(corners)
    low, high = places.min(axis=0), places.max(axis=0)
    x, y, z = (max(1, int((b - a) / STEP_MM) + 1) for a, b in zip(low, high, strict=True))
    return Grid(
        shape=(z, y, x),
        spacing_mm=(STEP_MM, STEP_MM, STEP_MM),
        origin_mm=(float(low[0]), float(low[1]), float(high[2])),
        direction=HEAD_FIRST,
    )


def _body(source: Volume, grid: Grid, *, is_ct: bool) -> NDArray[np.bool_]:
    """Return the body, filled slice by slice, bool [z, y, x]; the couch is cut off by opening."""
    if is_ct:
        array = to_common_grid(source, grid, fill=-1024, kind="ct").array
        body = array > BODY_HU
    else:
        body = to_common_grid(source, grid, fill=0.0).array > BODY_SUV
    flat = np.zeros((3, 3, 3), bool)
    flat[1] = ndimage.generate_binary_structure(2, 1)
    body = ndimage.binary_opening(body, flat, iterations=2)
    filled: NDArray[np.bool_] = np.stack([ndimage.binary_fill_holes(part) for part in body])
    return filled


def _follow_head(
    body: NDArray[np.bool_], grid: Grid, *, apex_z: float, middle_x: float
) -> NDArray[np.bool_] | None:
    """Return the head from the narrowest slice of the neck upwards; None if there is none.

    Arms beside the head are parts of their own; one that touches it is cut off where the outline
    would widen by more than 12 mm from slice to slice.
    """
    top = grid.origin_mm[2]
    start = int(np.clip((top - apex_z + SHOULDER_MM) / STEP_MM, 0, len(body) - 1))
    middle = (middle_x - grid.origin_mm[0]) / STEP_MM
    head = np.zeros_like(body)
    before = _central(body[start], middle)
    for number in range(start, -1, -1):
        if not before.any():
            break
        head[number] = before
        before = _continued(body[number - 1], before, middle) if number else before
    neck = _neck(head, middle, start)
    if neck is None:
        return None
    head[neck + 1 :] = False
    return head


def _neck(head: NDArray[np.bool_], middle: float, start: int) -> int | None:
    """Return the slice between chest and chin whose front in the midline lies farthest back.

    Arms that are held up join the neck and spoil its width; they do not spoil its front.
    """
    band = round(BAND_MM / STEP_MM)
    centre = head[: start + 1, :, max(0, round(middle) - band) : round(middle) + band + 1]
    present = centre.any(axis=(1, 2))
    if not present.any():
        return None
    first = int(np.flatnonzero(present)[0])
    fronts = np.where(present, centre.any(axis=2).argmax(axis=1), head.shape[1]) * STEP_MM
    chin = fronts - np.minimum.accumulate(fronts)
    necks = np.flatnonzero(present & (chin >= CHIN_MM))
    if necks.size:
        neck = int(necks[fronts[necks].argmax()])
    elif (start - first) * STEP_MM >= SURELY_HEAD_MM:
        neck = start - round(2 * SHOULDER_MM / STEP_MM)
    else:
        return None
    large = head[:neck].sum(axis=(1, 2)).max(initial=0) * STEP_MM**2 / 100.0
    return neck if (neck - first) * STEP_MM >= HEAD_MM and large >= HEAD_CM2 else None


def _central(part: NDArray[np.bool_], middle: float) -> NDArray[np.bool_]:
    """Return the piece of a slice that is large and near the midline; empty if there is none."""
    labels, count = ndimage.label(part)
    return _weightiest(labels, count, np.ones_like(part), middle)


def _continued(
    part: NDArray[np.bool_], before: NDArray[np.bool_], middle: float
) -> NDArray[np.bool_]:
    """Return the piece of a slice that goes on from the slice below, rather the middle one."""
    across = np.flatnonzero(before.any(axis=0))
    allowed = np.zeros_like(part)
    side = round(SIDE_MM / STEP_MM)
    allowed[:, max(0, across[0] - side) : across[-1] + side + 1] = True
    labels, count = ndimage.label(part & allowed)
    return _weightiest(labels, count, before, middle)


def _weightiest(
    labels: NDArray[np.int32], count: int, where: NDArray[np.bool_], middle: float
) -> NDArray[np.bool_]:
    columns = np.nonzero(where & (labels > 0))[1]
    near = np.exp(-(((columns - middle) * STEP_MM / NEAR_MM) ** 2))
    weights = np.bincount(labels[where & (labels > 0)], near, minlength=count + 1)
    found: NDArray[np.bool_] = (labels == int(weights.argmax())) & (labels > 0)
    return found


def _brain(suv: Volume, head: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the brain as the PET shows it, without thin muscles that touch it."""
    hot = (suv.array > BRAIN_SUV) & head
    core = ndimage.binary_erosion(hot, iterations=2)
    labels, count = ndimage.label(core)
    if not count:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    largest = labels == 1 + int(sizes.argmax())
    brain: NDArray[np.bool_] = ndimage.binary_dilation(largest, iterations=2) & hot
    return brain if brain.sum() * STEP_MM**3 / 1000.0 >= BRAIN_ML else None


def _face(head: NDArray[np.bool_], brain: NDArray[np.bool_] | None, grid: Grid) -> Face:
    slices = np.flatnonzero(head.any(axis=(1, 2)))
    heights = grid.origin_mm[2] - STEP_MM * slices.astype(np.float64)
    middle = round(float(np.nonzero(head)[2].mean()))
    band = round(BAND_MM / STEP_MM)
    centre: NDArray[np.bool_] = head[:, :, max(0, middle - band) : middle + band + 1].max(axis=2)
    fronts = np.where(centre.max(axis=1), centre.argmax(axis=1), head.shape[1])[slices]
    fronts_y = grid.origin_mm[1] + STEP_MM * (fronts - 0.5)
    whole = bool(slices[0] > 1)
    vertex = float(heights[0])
    if whole:
        forehead = (heights <= vertex - FOREHEAD_MM - SLOPE_MM) & (heights >= vertex - BROW_MM)
        chosen = fronts_y[forehead] if forehead.any() else fronts_y
        front = float(np.median(chosen))
        above = (heights - (vertex - BROW_MM)) / SLOPE_MM
        cut = front + DEPTH_MM + (SKIN_MM - DEPTH_MM) * np.clip(above, 0.0, 1.0)
        kept = heights <= vertex - FOREHEAD_MM
    else:
        front = float(np.median(fronts_y))  # noise and streaks fill the first slices of a PET
        cut = np.full(len(heights), front + NOSE_MM + DEPTH_MM)
        kept = np.ones(len(heights), bool)
    if brain is not None:
        cut = _before_brain(cut, brain, slices, grid, front, low=vertex - BRAIN_BELOW_VERTEX_MM)
    upper = slices[: max(1, 2 * len(slices) // 3)]
    across = [np.flatnonzero(head[number].any(axis=0)) for number in upper]
    left = grid.origin_mm[0] + STEP_MM * float(np.percentile([one[0] for one in across], 10))
    right = grid.origin_mm[0] + STEP_MM * float(np.percentile([one[-1] for one in across], 90))
    return Face(
        z=heights[kept][::-1].copy(),
        cut_y=cut[kept][::-1].copy(),
        x_min=left - SIDE_MM,
        x_max=right + SIDE_MM,
        whole=whole,
    )


def _before_brain(
    cut: NDArray[np.float64],
    brain: NDArray[np.bool_],
    slices: NDArray[np.int64],
    grid: Grid,
    front: float,
    *,
    low: float,
) -> NDArray[np.float64]:
    """Move the surface in front of the brain, but never nearer than 12 mm to the forehead."""
    moved = cut.copy()
    for place, number in enumerate(slices):
        rows = np.flatnonzero(brain[number].any(axis=1))
        if rows.size and grid.origin_mm[2] - STEP_MM * number > low:
            edge = grid.origin_mm[1] + STEP_MM * (float(rows[0]) - 0.5) - BRAIN_MARGIN_MM
            moved[place] = min(cut[place], max(edge, front + BRAIN_FRONT_MM))
    return moved
