"""The liver and the blood pool are found where they are, and measured as they were painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.imaging.index import find_scans
from fedpet.imaging.landmarks import find_tissues
from fedpet.imaging.scan import read_scan
from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic.subject import Roll, examine
from pet_files import need


@pytest.mark.parametrize("hospital", [0, 3, 7])
@pytest.mark.parametrize("with_ct", [True, False])
def test_the_liver_of_phantoms_is_found_with_its_uptake(hospital: int, with_ct: bool) -> None:
    """Scanners differ in voxels, noise and calibration; the reference must hold in all."""
    roll = Roll(seed=11, index=hospital, subjects=3)
    for number in range(3):
        _, scan = examine(roll, number)
        found = find_tissues(scan.suv, scan.ct if with_ct else None)
        assert found.liver is not None
        # The body is painted from the vertex, 12 mm under the first slice, and stretched.
        assert found.liver.place_mm[0] < 0
        top = scan.suv.grid.origin_mm[2] - 12
        assert -680 < found.liver.place_mm[2] - top < -420
        assert 1.3 < found.liver.mean < 3.6
        if with_ct:
            assert found.blood is not None
            assert 1.0 < found.blood.mean < 2.6


def test_the_place_does_not_depend_on_the_scale_of_suv() -> None:
    """It is what SUV is checked against: a dose in the wrong unit must not move it."""
    _, scan = examine(Roll(seed=12, index=1, subjects=1), 0)
    right = find_tissues(scan.suv, scan.ct)
    wrong = find_tissues(replace(scan.suv, array=scan.suv.array * np.float32(40)), scan.ct)
    assert right.liver is not None
    assert wrong.liver is not None
    assert right.liver.place_mm == wrong.liver.place_mm
    assert wrong.liver.mean == pytest.approx(40 * right.liver.mean, rel=1e-5)


def test_a_real_liver_without_ct_has_the_uptake_of_a_liver() -> None:
    """EANM: 1.3 to 3.0 in a 3 cm sphere of the right lobe; this scan has no CT beside it."""
    suv = read_scan(find_scans(need("sts_001_pet")).scans[0]).suv
    liver = find_tissues(suv, None).liver
    assert liver is not None
    assert 1.3 < liver.mean < 3.0
    assert liver.deviation < 0.2 * liver.mean
    assert liver.voxels > 150


def test_a_leg_has_no_liver() -> None:
    """Nothing is better than a wrong reference."""
    images = read_scan(find_scans(need("sts_001_petct_crop")).scans[0])
    found = find_tissues(images.suv, images.ct)
    assert found.liver is None
    assert found.blood is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_even_or_empty_image_gives_no_landmark_and_no_error(value: float) -> None:
    """Water phantoms and empty exports come too."""
    grid = Grid(shape=(40, 30, 30), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0))
    suv = Volume(array=np.full(grid.shape, value, np.float32), grid=grid)
    found = find_tissues(suv, None)
    assert found.liver is None
    assert found.body_mean == value


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, 30),) * 3),
    spacing=st.tuples(*(st.sampled_from((0.5, 2.0, 4.07, 8.0, 30.0)),) * 3),
    seed=st.integers(0, 1000),
    flip=st.booleans(),
    with_ct=st.booleans(),
)
def test_any_shape_of_image_gives_an_answer(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    seed: int,
    flip: bool,
    with_ct: bool,
) -> None:
    """One slice, one column, a finger or a room: a measurement, None, never a traceback."""
    rng = np.random.default_rng(seed)
    direction = ((0.0, 0.0, -1.0 if flip else 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    grid = Grid(shape=shape, spacing_mm=spacing, origin_mm=(0.0, 0.0, 0.0), direction=direction)
    suv = Volume(array=rng.gamma(1.0, 1.0, shape).astype(np.float32) - 0.2, grid=grid)
    ct = Volume(array=rng.integers(-1024, 300, shape).astype(np.int16), grid=grid)
    found = find_tissues(suv, ct if with_ct else None)
    for sphere in (found.liver, found.blood):
        assert sphere is None or np.isfinite((sphere.mean, sphere.deviation)).all()
    assert np.isfinite((found.body_mean, found.body_ml)).all()
