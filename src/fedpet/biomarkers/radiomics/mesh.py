"""The surface of a mask: marching cubes whose table is derived, not copied.

A surface cuts the edges between voxel centres in their middle. Every cube of eight centres is one
of 256 cases, so that area and volume of a mask follow from how often each case occurs. Bent
polygons are cut into triangles of the largest area, as in the table of Lorensen and Cline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

CORNERS: Final = tuple((corner >> 2 & 1, corner >> 1 & 1, corner & 1) for corner in range(8))
EDGES: Final = tuple((a, a | bit) for bit in (1, 2, 4) for a in range(8) if not a & bit)
Edge = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """The surface of a mask.

    Args:
        area_mm2: Of all triangles.
        volume_mm3: Enclosed.
        vertices_mm: float64 [vertices, 3], (z, y, x) from the centre of the first voxel.
    """

    area_mm2: float
    volume_mm3: float
    vertices_mm: NDArray[np.float64]


def surface_of(shape: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> Surface:
    """Return the surface of a mask at half height, without storing its triangles.

    Args:
        shape: bool [z, y, x], at least one voxel.
        spacing_mm: Along (z, y, x).

    Source:
        Lorensen & Cline 1987; volume from the divergence theorem (IBSI reference manual 3.1).

    Examples:
        >>> one = surface_of(np.ones((1, 1, 1), bool), (1.0, 1.0, 1.0))
        >>> round(one.volume_mm3, 4), round(one.area_mm2, 4)
        (0.1667, 1.7321)
    """
    padded = np.pad(shape, 1)
    depth, rows, columns = (count - 1 for count in padded.shape)
    case = np.zeros((depth, rows, columns), np.uint8)
    for number, (z, y, x) in enumerate(CORNERS):
        corner = padded[z : z + depth, y : y + rows, x : x + columns]
        case |= corner.astype(np.uint8) << np.uint8(number)
    triangles, case_of = _triangles()
    scaled = triangles * np.array(spacing_mm)
    normals = np.cross(scaled[:, 1] - scaled[:, 0], scaled[:, 2] - scaled[:, 0]) / 2
    areas = np.bincount(case_of, np.linalg.norm(normals, axis=1), 256)
    inner = np.bincount(case_of, (scaled.mean(axis=1) * normals).sum(axis=1) / 3, 256)
    pushes = np.stack([np.bincount(case_of, normals[:, axis], 256) for axis in range(3)], axis=1)
    cut = np.argwhere((case > 0) & (case < 255))
    kinds = case[tuple(cut.T)]
    shifts = cut * np.array(spacing_mm)
    volume = inner[kinds].sum() + (shifts * pushes[kinds]).sum() / 3
    return Surface(
        area_mm2=float(areas[kinds].sum()),
        volume_mm3=float(volume),
        vertices_mm=_vertices(padded) * np.array(spacing_mm),
    )


def _vertices(padded: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the middles of all cut edges, as indices of the mask without padding."""
    found = []
    for axis in range(3):
        cut = np.argwhere(np.diff(padded, axis=axis)).astype(np.float64) - 1
        cut[:, axis] += 0.5
        found.append(cut)
    return np.concatenate(found)


@lru_cache(maxsize=1)
def _triangles() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the triangles of all cases in the unit cube, and the case of each."""
    triangles, case_of = [], []
    for case in range(1, 255):
        inside = [bool(case >> corner & 1) for corner in range(8)]
        for loop in _loops(inside):
            points = np.array([_middle(edge) for edge in loop])
            # From inside to outside at each vertex: the side to which the surface looks.
            out = sum(
                (np.array(CORNERS[b]) - CORNERS[a]) * (1 if inside[a] else -1) for a, b in loop
            )
            turned = np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)
            if turned @ out < 0:
                points = points[::-1]
            chosen = max(_cuts(tuple(range(len(points)))), key=lambda cut: _bulge(points, cut))
            triangles += [points[list(corners)] for corners in chosen]
            case_of += [case] * len(chosen)
    return np.array(triangles), np.array(case_of)


def _cuts(corners: tuple[int, ...]) -> list[tuple[tuple[int, ...], ...]]:
    """Return every way to cut a polygon into triangles."""
    if len(corners) < 3:
        return [()]
    found = []
    for tip in range(1, len(corners) - 1):
        triangle = (corners[0], corners[tip], corners[-1])
        for left in _cuts(corners[: tip + 1]):
            found += [(*left, *right, triangle) for right in _cuts(corners[tip:])]
    return found


def _bulge(points: NDArray[np.float64], cut: tuple[tuple[int, ...], ...]) -> tuple[float, float]:
    """Return area and enclosed volume of a cut, which do not change when the cube is turned.

    Rounded, so that equal cuts are equal on every machine.
    """
    corners = points[np.array(cut)]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = float(np.linalg.norm(normals, axis=1).sum())
    return round(area, 9), round(float((corners.mean(axis=1) * normals).sum()), 9)


def _middle(edge: Edge) -> NDArray[np.float64]:
    return (np.array(CORNERS[edge[0]]) + CORNERS[edge[1]]) / 2


def _loops(inside: list[bool]) -> list[list[Edge]]:
    """Link the cut edges of a cube over its faces to closed loops."""
    links: dict[Edge, list[Edge]] = {
        edge: [] for edge in EDGES if inside[edge[0]] != inside[edge[1]]
    }
    for bit in (1, 2, 4):
        for side in (0, bit):
            face = [corner for corner in range(8) if corner & bit == side]
            cut = [edge for edge in links if edge[0] in face and edge[1] in face]
            if len(cut) == 2:
                pairs = [(cut[0], cut[1])]
            else:
                # Two corners across: the surface goes around each corner that is inside.
                around = [[edge for edge in cut if corner in edge] for corner in face]
                pairs = [
                    (one[0], one[1])
                    for corner, one in zip(face, around, strict=True)
                    if inside[corner] and len(one) == 2 and len(cut) == 4
                ]
            for first, second in pairs:
                links[first].append(second)
                links[second].append(first)
    loops = []
    left = set(links)
    while left:
        loop = [min(left)]
        left.remove(loop[0])
        while ahead := [edge for edge in links[loop[-1]] if edge in left]:
            loop.append(ahead[0])
            left.remove(ahead[0])
        loops.append(loop)
    return loops
