"""Resampling moves nothing and invents nothing: laws, and SimpleITK and SciPy as oracles."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.imaging.grid import thinned, thinning, to_common_grid
from fedpet.imaging.resample import box_mean, parallel_axes
from fedpet.imaging.volume import Grid, Volume

HEAD_FIRST = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
Triple = tuple[float, float, float]


def triples(low: float, high: float) -> st.SearchStrategy[Triple]:
    """Three numbers."""
    return st.tuples(*[st.floats(low, high)] * 3)


@st.composite
def grids(draw: st.DrawFn, *, spacing: tuple[float, float] = (2.0, 6.0)) -> Grid:
    """Any small grid whose axes are those of the patient, in any order and direction."""
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    rows = np.eye(3)[list(order)] * np.array(signs)[:, None]
    return Grid(
        shape=draw(st.tuples(*[st.integers(2, 9)] * 3)),
        spacing_mm=draw(triples(*spacing)),
        origin_mm=draw(triples(-15, 15)),
        direction=tuple(tuple(row) for row in rows.tolist()),
    )


def turned(axis: int, degrees: float) -> NDArray[np.float64]:
    """Return a rotation about an axis."""
    angle = np.deg2rad(degrees)
    one, other = (index for index in range(3) if index != axis)
    matrix = np.eye(3)
    matrix[one, one] = matrix[other, other] = np.cos(angle)
    matrix[one, other], matrix[other, one] = -np.sin(angle), np.sin(angle)
    return matrix


def noise(grid: Grid, seed: int = 0) -> Volume:
    """Return values that no smoothness hides mistakes in."""
    array = np.random.default_rng(seed).normal(0, 10, grid.shape).astype(np.float32)
    return Volume(array=array, grid=grid)


def by_sitk(
    volume: Volume, grid: Grid, *, fill: float, nearest: bool = False
) -> NDArray[np.float64]:
    """Resample with SimpleITK, written for this test alone."""
    image = sitk.GetImageFromArray(volume.array.astype(np.float64))
    image.SetSpacing(volume.grid.spacing_mm[::-1])
    image.SetOrigin(volume.grid.origin_mm)
    image.SetDirection(np.array(volume.grid.direction)[::-1].T.ravel().tolist())
    kind = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    size = [int(count) for count in grid.shape[::-1]]
    direction = np.array(grid.direction)[::-1].T.ravel().tolist()
    found = sitk.Resample(
        image, size, sitk.Transform(), kind, grid.origin_mm, grid.spacing_mm[::-1], direction, fill
    )
    return sitk.GetArrayFromImage(found)


def edges(volume: Volume, grid: Grid) -> NDArray[np.bool_]:
    """Return the voxels that lie on the very edge of a volume, where rounding decides."""
    index = np.stack(np.indices(grid.shape), axis=-1).astype(float)
    place = volume.grid.to_index(grid.to_lps(index))
    count = np.array(volume.array.shape)
    return (np.minimum(np.abs(place + 0.5), np.abs(place - count + 0.5)) < 1e-5).any(axis=-1)


@settings(max_examples=80, deadline=None)
@given(source=grids(), target=grids(spacing=(1.5, 3.0)))
def test_resampling_equals_simpleitk(source: Grid, target: Grid) -> None:
    """Axes may be swapped, flipped and shifted; only the very edge is left to rounding."""
    volume = noise(source)
    found = to_common_grid(volume, target, fill=-3.0)
    if max(thinning(source, target)) > 1:
        return
    told = by_sitk(volume, target, fill=-3.0)
    inner = ~edges(volume, target)
    assert np.abs(found.array - told)[inner].max(initial=0) < 2e-5


@settings(max_examples=60, deadline=None)
@given(source=grids(), target=grids())
def test_labels_equal_simpleitk_but_half_way(source: Grid, target: Grid) -> None:
    """A label is never a mixture; half way between two voxels either is right."""
    labels = np.random.default_rng(1).integers(0, 9, source.shape).astype(np.uint16)
    volume = Volume(array=labels, grid=source)
    found = to_common_grid(volume, target, fill=0, kind="label").array
    index = np.stack(np.indices(target.shape), axis=-1).astype(float)
    place = source.to_index(target.to_lps(index))
    clear = (np.abs(place - np.floor(place) - 0.5) > 1e-5).all(axis=-1)
    told = by_sitk(volume, target, fill=0, nearest=True)
    assert np.array_equal(found[clear], told[clear])


@settings(max_examples=40, deadline=None)
@given(
    axis=st.integers(0, 2),
    degrees=st.floats(-40, 40),
    shear=st.floats(-0.5, 0.5),
    shift=triples(-6, 6),
)
def test_oblique_and_tilted_volumes_follow_their_full_affine(
    axis: int, degrees: float, shear: float, shift: Triple
) -> None:
    """SciPy is asked at the indices that the affine gives; a tilted gantry shears the grid."""
    rows = np.array(HEAD_FIRST) @ turned(axis, degrees)
    rows[0] += shear * rows[1]
    rows[0] /= np.linalg.norm(rows[0])
    source = Grid(
        shape=(9, 10, 11),
        spacing_mm=(4.0, 3.5, 3.0),
        origin_mm=shift,
        direction=tuple(tuple(row) for row in rows.tolist()),
    )
    volume = noise(source)
    middle = source.to_lps((np.array(source.shape) - 1) / 2)
    target = Grid(
        shape=(7, 6, 8),
        spacing_mm=(3.0, 3.0, 3.0),
        origin_mm=tuple((middle + np.array((-10.5, -7.5, 9.0))).tolist()),
        direction=HEAD_FIRST,
    )
    found = to_common_grid(volume, target, fill=0.0).array
    index = np.stack(np.indices(target.shape), axis=-1).astype(float)
    place = source.to_index(target.to_lps(index))
    inner = ((place > 1e-3) & (place < np.array(source.shape) - 1 - 1e-3)).all(axis=-1)
    told = ndimage.map_coordinates(volume.array.astype(float), place[inner].T, order=1)
    assert inner.sum() > 50
    limit = 1e-4 if parallel_axes(source, target) is None else 0.1  # a thousandth of a voxel
    assert np.abs(found[inner] - told).max() < limit


@settings(max_examples=60, deadline=None)
@given(source=grids(), value=st.floats(-1000, 3000, width=32), spacing=st.floats(1.5, 16))
def test_a_constant_stays_that_constant(source: Grid, value: float, spacing: float) -> None:
    """Law, to the last bit: there is nothing between two equal values."""
    volume = Volume(array=np.full(source.shape, value, np.float32), grid=source)
    middle = source.to_lps((np.array(source.shape) - 1) / 2)
    target = Grid(
        shape=(3, 3, 3),
        spacing_mm=(spacing,) * 3,
        origin_mm=tuple(middle.tolist()),
        direction=HEAD_FIRST,
    )
    found = to_common_grid(volume, target, fill=value).array
    assert np.allclose(found, np.float32(value), rtol=3e-7, atol=0)
    if max(thinning(source, target)) == 1:
        assert (found == np.float32(value)).all()


@settings(max_examples=60, deadline=None)
@given(slope=triples(-3, 3), shift=triples(-3, 3), spacing=st.sampled_from((2.0, 4.0, 8.0)))
def test_a_ramp_stays_that_ramp(slope: Triple, shift: Triple, spacing: float) -> None:
    """Law: linear interpolation and box averages are exact on linear functions of place."""
    source = Grid(shape=(24, 26, 28), spacing_mm=(3.0, 1.9, 2.1), origin_mm=(-30.0, -25.0, 10.0))
    index = np.stack(np.indices(source.shape), axis=-1).astype(float)
    values = source.to_lps(index) @ np.array(slope)
    volume = Volume(array=values.astype(np.float32), grid=source)
    target = Grid(
        shape=(4, 3, 3),
        spacing_mm=(spacing,) * 3,
        origin_mm=tuple((np.array((-12.0, -10.0, 62.0)) + shift).tolist()),
        direction=HEAD_FIRST,
    )
    found = to_common_grid(volume, target, fill=np.nan).array
    place = np.stack(np.indices(target.shape), axis=-1).astype(float)
    assert np.abs(found - target.to_lps(place) @ np.array(slope)).max() < 1e-3


@settings(max_examples=60, deadline=None)
@given(step=st.tuples(*[st.integers(-4, 4)] * 3), spacing=st.sampled_from((2.0, 4.0, 9.0)))
def test_moving_the_grid_by_a_voxel_moves_the_array(
    step: tuple[int, int, int], spacing: float
) -> None:
    """Law: the same places have the same values, whatever index they have."""
    source = Grid(shape=(30, 31, 33), spacing_mm=(3.0, 3.0, 2.5), origin_mm=(-40.0, -44.0, 5.0))
    volume = noise(source)
    target = Grid(
        shape=(9, 9, 9),
        spacing_mm=(spacing,) * 3,
        origin_mm=(-30.0, -30.0, 80.0),
        direction=HEAD_FIRST,
    )
    moved = Grid(
        shape=(9, 9, 9),
        spacing_mm=(spacing,) * 3,
        origin_mm=tuple(target.to_lps(np.array(step, float)).tolist()),
        direction=HEAD_FIRST,
    )
    here, there = (to_common_grid(volume, grid, fill=0.0).array for grid in (target, moved))
    z, y, x = step
    part = here[max(0, z) : 9 + min(0, z), max(0, y) : 9 + min(0, y), max(0, x) : 9 + min(0, x)]
    same = there[max(0, -z) : 9 - max(0, z), max(0, -y) : 9 - max(0, y), max(0, -x) : 9 - max(0, x)]
    assert np.abs(part - same).max() < 1e-4


@pytest.mark.parametrize("spacing", [2.0, 4.0, 6.0, 8.0])
def test_activity_is_kept_on_every_grid(spacing: float) -> None:
    """A patient's total uptake may not depend on the voxel size of the models."""
    source = Grid(shape=(90, 80, 80), spacing_mm=(3.0, 4.07, 4.07), origin_mm=(-160.0, -160.0, 0.0))
    index = np.stack(np.indices(source.shape), axis=-1).astype(float)
    middle = source.to_lps((np.array(source.shape) - 1) / 2)
    apart = np.linalg.norm((source.to_lps(index) - middle) / (1, 1.2, 0.9), axis=-1)
    suv = Volume(array=(5 * np.exp(-((apart / 45) ** 2))).astype(np.float32), grid=source)
    count = round(260 / spacing)
    target = Grid(
        shape=(count,) * 3,
        spacing_mm=(spacing,) * 3,
        origin_mm=tuple((middle + np.array((-1, -1, 1)) * spacing * (count - 1) / 2).tolist()),
        direction=HEAD_FIRST,
    )
    found = to_common_grid(suv, target, fill=0.0)
    totals = [float(one.array.sum(dtype=float)) * one.grid.voxel_ml for one in (suv, found)]
    assert totals[1] == pytest.approx(totals[0], rel=5e-3)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    factors=st.tuples(*[st.integers(1, 5)] * 3),
    kind=st.sampled_from((np.int16, np.uint16, np.uint8, np.int32, np.float32)),
)
def test_box_means_are_means_of_boxes_whatever_the_type(
    shape: tuple[int, int, int], factors: tuple[int, int, int], kind: type
) -> None:
    """Sums are taken in few bits: the largest values of each type must not run over."""
    factors = tuple(min(pair) for pair in zip(factors, shape, strict=True))
    rng = np.random.default_rng(3)
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        array = rng.choice([limits.min, limits.max, 0, 7], shape).astype(kind)
    else:
        array = rng.normal(0, 5, shape).astype(kind)
    counts = [size // factor for size, factor in zip(shape, factors, strict=True)]
    part = array[tuple(slice(0, c * f) for c, f in zip(counts, factors, strict=True))]
    split = [n for pair in zip(counts, factors, strict=True) for n in pair]
    told = part.astype(float).reshape(split).mean(axis=(1, 3, 5))
    assert np.allclose(box_mean(array, factors), told, rtol=1e-6, atol=1e-5)


def test_blocks_stand_in_the_middle_of_their_voxels() -> None:
    """Half a voxel of shift at each averaging would move a lesion out of its organ."""
    grid = Grid(
        shape=(8, 8, 8), spacing_mm=(1.0, 2.0, 3.0), origin_mm=(5.0, 6.0, 7.0), direction=HEAD_FIRST
    )
    blocks = thinned(grid, (2, 4, 1), first=(2, 0, 3), shape=(3, 2, 5))
    index = np.stack(np.meshgrid([2, 3], range(4), [3], indexing="ij"), -1).reshape(-1, 3)
    assert np.allclose(blocks.origin_mm, grid.to_lps(index.astype(float)).mean(axis=0))
    assert blocks.spacing_mm == (2.0, 8.0, 3.0)
    assert blocks.shape == (3, 2, 5)


def test_axes_at_an_angle_are_not_called_parallel() -> None:
    """A degree moves a voxel at the end of a whole body by a centimetre."""
    grid = Grid(shape=(200, 100, 100), spacing_mm=(4.0,) * 3, origin_mm=(0.0, 0.0, 0.0))
    rows = np.array(grid.direction) @ turned(0, 0.02)
    other = Grid(
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        origin_mm=grid.origin_mm,
        direction=tuple(tuple(row) for row in rows.tolist()),
    )
    assert parallel_axes(grid, other) is None
    assert parallel_axes(grid, grid) is not None
