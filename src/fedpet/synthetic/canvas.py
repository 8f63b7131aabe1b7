"""Painting solid shapes with soft edges into an uptake map and a density map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Uptake and density of a body on one voxel grid, painted over in place.

    Args:
        suv: Uptake, g/mL, float32 [z, y, x].
        hu: Density in Hounsfield units, float32 [z, y, x].
        z: Height of each slice, mm, falling; 0 is the vertex of the head.
        y: Position of each row, mm, rising towards the back.
        x: Position of each column, mm, rising towards the left of the body.
    """

    suv: Array
    hu: Array
    z: Array
    y: Array
    x: Array

    @property
    def voxel_mm(self) -> float:
        """Edge of a cube as large as a voxel."""
        steps = (abs(self.z[1] - self.z[0]), self.y[1] - self.y[0], self.x[1] - self.x[0])
        return float(np.prod(steps) ** (1 / 3))

    def stretched(self, scale: Point) -> Canvas:
        """Return the same arrays seen in the coordinates of a body of another size.

        Args:
            scale: Size of the body on this canvas relative to the other one, along (x, y, z).
        """
        return Canvas(
            suv=self.suv,
            hu=self.hu,
            z=self.z / np.float32(scale[2]),
            y=self.y / np.float32(scale[1]),
            x=self.x / np.float32(scale[0]),
        )

    def fill(self, cover: Array, box: Box, *, suv: float | Array, hu: float | Array) -> None:
        """Blend a shape in: `cover` is the fraction of each voxel of `box` that it takes."""
        for array, value in ((self.suv, suv), (self.hu, hu)):
            part = array[box]
            part += cover * (value - part)

    def box(self, low: Point, high: Point) -> Box:
        """Return the voxels between two corners (x, y, z), with one to spare on each side."""
        rising = np.searchsorted(-self.z, (-high[2], -low[2]))
        return (
            slice(max(int(rising[0]) - 1, 0), int(rising[1]) + 1),
            _span(self.y, low[1], high[1]),
            _span(self.x, low[0], high[0]),
        )


def _span(axis: Array, low: float, high: float) -> slice:
    first, last = np.searchsorted(axis, (low, high))
    return slice(max(int(first) - 1, 0), int(last) + 1)


def blank(z: Array, y: Array, x: Array) -> Canvas:
    """Return a canvas of air."""
    shape = (len(z), len(y), len(x))
    return Canvas(
        suv=np.zeros(shape, np.float32), hu=np.full(shape, -1000, np.float32), z=z, y=y, x=x
    )


def ellipsoid(canvas: Canvas, centre: Point, half_axes: Point) -> tuple[Array, Box]:
    """Return how much of each voxel an ellipsoid takes, 0 to 1, and the box around it."""
    low = tuple(c - a for c, a in zip(centre, half_axes, strict=True))
    high = tuple(c + a for c, a in zip(centre, half_axes, strict=True))
    box = canvas.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    u, v, w = _axes(canvas, box, centre, half_axes)
    radius = np.sqrt(u * u + v * v + w * w)
    return _soft((1 - radius) * _smallest(half_axes, canvas), canvas), box


def lump(canvas: Canvas, centre: Point, half_axes: Point, *, bumps: Array) -> tuple[Array, Box]:
    """Return the cover of an ellipsoid whose surface is uneven, as tumours are.

    Args:
        canvas: Where.
        centre: (x, y, z), mm.
        half_axes: Along (x, y, z), mm.
        bumps: Three directions, [3, 3]; where they agree the surface rises, by a quarter at
            most, and it sinks opposite, so that the volume stays that of the ellipsoid.
    """
    half_axes = _shrunk(half_axes, canvas.voxel_mm)
    reach = [1.25 * a for a in half_axes]
    box = canvas.box(
        (centre[0] - reach[0], centre[1] - reach[1], centre[2] - reach[2]),
        (centre[0] + reach[0], centre[1] + reach[1], centre[2] + reach[2]),
    )
    u, v, w = _axes(canvas, box, centre, half_axes)
    radius = np.sqrt(u * u + v * v + w * w)
    product = np.ones_like(radius)
    for bump in bumps:
        product *= (u * bump[0] + v * bump[1] + w * bump[2]) / np.maximum(radius, 1e-3)
    surface = 1 + np.clip(0.6 * product, -0.25, 0.25)
    return _soft((surface - radius) * _smallest(half_axes, canvas), canvas), box


def _shrunk(half_axes: Point, voxel_mm: float) -> Point:
    """Return smaller axes so that the soft edge and the bumps leave the volume as it was.

    An edge that fades over h adds 3 r h^2 / 12 to r^3; the bumps add 4 % to the volume.
    """
    r = float(np.prod(half_axes)) ** (1 / 3)
    target, fade = r**3 / 1.04, voxel_mm**2 / 4
    inner = r
    for _ in range(4):
        inner -= (inner**3 + fade * inner - target) / (3 * inner**2 + fade)
    a, b, c = (axis * inner / r for axis in half_axes)
    return a, b, c


def tube(
    canvas: Canvas, z: Array, half_x: Array, half_y: Array, *, x: Array | float, y: Array | float
) -> tuple[Array, Box]:
    """Return the cover of an upright tube with an elliptic section that changes with height.

    Args:
        canvas: Where.
        z: Heights at which the section is known, rising.
        half_x: Half axis along x at each height.
        half_y: Half axis along y at each height.
        x: Centre of the section, at each height or everywhere.
        y: Centre of the section, at each height or everywhere.
    """
    at = canvas.z
    here = (at >= z[0]) & (at <= z[-1])
    rows = np.flatnonzero(here)
    box_z = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
    height = at[box_z]

    def along(values: Array | float) -> Array:
        known = np.broadcast_to(np.asarray(values, np.float32), z.shape)
        return np.interp(height, z, known).astype(np.float32)

    a, b, cx, cy = along(half_x), along(half_y), along(x), along(y)
    if not len(height):
        return np.zeros((0, 0, 0), np.float32), (box_z, slice(0, 0), slice(0, 0))
    box = (
        box_z,
        _span(canvas.y, float((cy - b).min()), float((cy + b).max())),
        _span(canvas.x, float((cx - a).min()), float((cx + a).max())),
    )
    u = (canvas.x[box[2]][None, :] - cx[:, None]) / a[:, None]
    v = (canvas.y[box[1]][None, :] - cy[:, None]) / b[:, None]
    radius = np.sqrt((u * u)[:, None, :] + (v * v)[:, :, None])
    return _soft((1 - radius) * np.minimum(a, b)[:, None, None], canvas), box


def capsule(canvas: Canvas, start: Point, end: Point, *, radius_mm: float) -> tuple[Array, Box]:
    """Return the cover of a rod with round ends between two points."""
    first, last = np.array(start, np.float32), np.array(end, np.float32)
    low, high = np.minimum(first, last) - radius_mm, np.maximum(first, last) + radius_mm
    box = canvas.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    u, v, w = _axes(canvas, box, start, (1.0, 1.0, 1.0))
    way = last - first
    share = np.clip((u * way[0] + v * way[1] + w * way[2]) / float(way @ way), 0, 1)
    distance = np.sqrt(
        (u - share * way[0]) ** 2 + (v - share * way[1]) ** 2 + (w - share * way[2]) ** 2
    )
    return _soft(radius_mm - distance, canvas), box


def _axes(canvas: Canvas, box: Box, centre: Point, half_axes: Point) -> tuple[Array, Array, Array]:
    u = ((canvas.x[box[2]] - np.float32(centre[0])) / np.float32(half_axes[0]))[None, None, :]
    v = ((canvas.y[box[1]] - np.float32(centre[1])) / np.float32(half_axes[1]))[None, :, None]
    w = ((canvas.z[box[0]] - np.float32(centre[2])) / np.float32(half_axes[2]))[:, None, None]
    return u, v, w


def _smallest(half_axes: Point, canvas: Canvas) -> np.float32:
    return np.float32(max(min(half_axes), 0.25 * canvas.voxel_mm))


def _soft(depth_mm: Array, canvas: Canvas) -> Array:
    """Turn the depth under the surface into the fraction of a voxel that lies inside."""
    cover: Array = np.clip(depth_mm / np.float32(canvas.voxel_mm) + np.float32(0.5), 0, 1)
    return cover
