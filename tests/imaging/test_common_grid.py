"""All subjects of all hospitals come to one grid, head first, without moving anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import DataError
from fedpet.imaging.grid import common_grid, mips, on_lattice, place_labels, to_common_grid
from fedpet.imaging.volume import Grid, Volume

FEET_FIRST = Grid(shape=(60, 40, 50), spacing_mm=(4.0, 5.0, 5.0), origin_mm=(-120.0, -90.0, -700.0))


def ball(grid: Grid, centre_mm: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    """Return 1 inside a ball."""
    index = np.stack(np.indices(grid.shape), axis=-1).astype(float)
    return (np.linalg.norm(grid.to_lps(index) - centre_mm, axis=-1) <= radius_mm).astype("f4")


@pytest.mark.parametrize(("spacing", "shape"), [(4.0, (240, 80, 112)), (8.0, (120, 40, 56))])
def test_the_common_grid_has_one_shape_and_the_head_on_top(
    spacing: float, shape: tuple[int, int, int]
) -> None:
    """Models read arrays, not positions."""
    suv = Volume(array=ball(FEET_FIRST, (0, 10, -580), 60), grid=FEET_FIRST)
    grid = common_grid(suv, None, spacing_mm=spacing)
    assert grid.shape == shape
    corner = grid.to_lps(np.array([-0.5, 0, 0]))
    assert corner[2] == pytest.approx(-700 + 59.5 * 4)  # upper face of the uppermost slice
    middle = grid.to_lps((np.array(shape) - 1) / 2)
    assert np.allclose(middle[:2], (0, 10), atol=1.0)
    feet = grid.to_lps(np.array([1.0, 0, 0]))
    assert feet[2] < grid.to_lps(np.zeros(3))[2]


@given(x=st.floats(-60, 60), y=st.floats(-50, 50), z=st.floats(-660, -500), oblique=st.booleans())
def test_a_ball_keeps_its_place_and_its_sum(x: float, y: float, z: float, oblique: bool) -> None:
    """Law: resampling moves nothing and keeps total uptake, also from an oblique PET."""
    turn = np.deg2rad(12 if oblique else 0)
    source = Grid(
        shape=(70, 60, 60),
        spacing_mm=(3.0, 4.0, 4.0),
        origin_mm=(x - 118, y - 118, z - 103),
        direction=(
            (0.0, 0.0, 1.0),
            (float(-np.sin(turn)), float(np.cos(turn)), 0.0),
            (float(np.cos(turn)), float(np.sin(turn)), 0.0),
        ),
    )
    centre = source.to_lps(np.array([35.0, 30.0, 30.0]))
    suv = Volume(array=ball(source, tuple(centre), 30), grid=source)
    grid = common_grid(suv, None, spacing_mm=8.0)
    found = to_common_grid(suv, grid, fill=0.0)
    index = np.argwhere(found.array > 0).astype(float)
    weights = found.array[found.array > 0]
    assert np.allclose(grid.to_lps(weights @ index / weights.sum()), centre, atol=0.5)
    totals = [one.array.sum(dtype=float) * one.grid.voxel_ml for one in (suv, found)]
    assert totals[1] == pytest.approx(totals[0], rel=0.03)


def test_the_patient_right_is_on_the_left_and_the_front_comes_first() -> None:
    """X index 0 is the patient's right (LPS x small), y index 0 in front."""
    suv = Volume(array=ball(FEET_FIRST, (-100, -70, -500), 12), grid=FEET_FIRST)
    suv.array[10:20, 15:25, 20:30] = 0.5  # the body, in the middle
    grid = common_grid(suv, None, spacing_mm=4.0)
    z, y, x = np.argwhere(to_common_grid(suv, grid, fill=0.0).array > 0.9).mean(axis=0)
    assert z < 30
    assert y < 40
    assert x < 56


def test_ct_is_averaged_before_it_is_thinned() -> None:
    """Noise of a fine CT would alias onto the coarse grid."""
    grid = Grid(shape=(64, 64, 64), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(0.0, 0.0, 0.0))
    noise = np.random.default_rng(0).normal(40, 100, grid.shape).astype(np.int16)
    coarse = Grid(shape=(14, 14, 14), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(4.0, 4.0, 4.0))
    found = to_common_grid(Volume(array=noise, grid=grid), coarse, fill=-1024, kind="ct")
    assert found.array.dtype == np.int16
    assert found.array.std() < 30
    assert abs(found.array.mean() - 40) < 5
    far = Grid(shape=(2, 2, 2), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(900.0, 0.0, 0.0))
    outside = to_common_grid(Volume(array=noise, grid=grid), far, fill=-1024, kind="ct")
    assert (outside.array == -1024).all()


def test_an_unknown_kind_is_refused() -> None:
    """Labels interpolated as PET would be fractions of labels."""
    suv = Volume(array=np.ones(FEET_FIRST.shape, "f4"), grid=FEET_FIRST)
    with pytest.raises(DataError, match="pet, ct or label"):
        to_common_grid(suv, FEET_FIRST, fill=0, kind="mask")  # type: ignore[arg-type]


@given(
    shift=st.tuples(*[st.integers(-5, 20)] * 3),
    flips=st.tuples(*[st.booleans()] * 3),
    order=st.permutations(range(3)),
)
def test_labels_on_a_common_lattice_are_copied_voxel_by_voxel(
    shift: tuple[int, int, int], flips: tuple[bool, bool, bool], order: list[int]
) -> None:
    """Law: whatever crop, flip or swap of axes, each label stays at its place in the patient."""
    target = FEET_FIRST
    array = np.random.default_rng(0).integers(0, 4, (6, 7, 8)).astype(np.uint16)
    directions = np.array(target.direction)[order] * np.where(flips, -1, 1)[:, None]
    spacing = np.array(target.spacing_mm)[order]
    origin = target.to_lps(np.array(shift, float) + 10)
    grid = Grid(
        shape=(6, 7, 8),
        spacing_mm=tuple(spacing.tolist()),
        origin_mm=tuple(origin.tolist()),
        direction=tuple(tuple(row) for row in directions.tolist()),
    )
    assert on_lattice(grid, target)
    placed = place_labels(Volume(array=array, grid=grid), target).array
    for index in np.argwhere(array)[::17]:
        there = np.rint(target.to_index(grid.to_lps(index.astype(float)))).astype(int)
        if (there >= 0).all() and (there < target.shape).all():
            assert placed[tuple(there)] == array[tuple(index)]


def test_projections_are_maxima_and_the_sagittal_one_is_centred() -> None:
    """The two views are read as one picture of one width."""
    grid = Grid(shape=(240, 80, 112), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0))
    array = np.zeros(grid.shape, np.float32)
    array[7, 11, 90] = 5
    views = mips(Volume(array=array, grid=grid))
    assert views.shape == (2, 240, 112)
    assert views.dtype == np.float16
    assert views[0, 7, 90] == 5
    assert views[1, 7, 16 + 11] == 5
    assert views.sum() == 10
