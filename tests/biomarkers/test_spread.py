"""Features of dissemination against their definitions, written the slow way."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fedpet.biomarkers.catalogue import biomarkers_of
from fedpet.biomarkers.metabolic import measure
from fedpet.biomarkers.spread import measure_spread
from fedpet.errors import DataError
from fedpet.imaging.physiologic import Landmarks
from fedpet.imaging.volume import Grid, Volume

LUNGS = Landmarks(top_z=500.0, apex_z=200.0, base_z=0.0, middle_x=0.0, middle_y=0.0)
GRID = Grid(shape=(12, 10, 11), spacing_mm=(5.0, 3.0, 4.0), origin_mm=(-20.0, 7.0, -30.0))


def lesions(seed: int) -> Volume:
    """Return a scatter of small lesions."""
    rng = np.random.default_rng(seed)
    return Volume(array=(rng.random(GRID.shape) < 0.02).astype(np.uint16), grid=GRID)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_distances_equal_those_of_all_pairs(seed: int) -> None:
    """Cottereau's sums over pairs, with lesions taken apart by scipy."""
    marks = lesions(seed)
    found = measure_spread(marks, landmarks=LUNGS, bsa_m2=1.8)
    assert tuple(found) == tuple(biomarkers_of(("spread",)))
    parts, count = ndimage.label(marks.array, np.ones((3, 3, 3)))
    if not count:
        assert set(found.values()) == {0.0}
        return
    centres = [GRID.to_lps(np.argwhere(parts == one).mean(axis=0)) for one in range(1, count + 1)]
    sizes = np.bincount(parts.ravel())[1:]
    bulk = int(sizes.argmax())
    sums = [sum(math.dist(a, b) for b in centres) for a in centres]
    places = GRID.to_lps(np.argwhere(marks.array).astype(float))
    voxels = max((math.dist(a, b) for a, b in combinations(places, 2)), default=0.0)
    dmax = max((math.dist(a, b) for a, b in combinations(centres, 2)), default=0.0)
    expected = {
        "dmax_voxel_mm": voxels,
        "dmax_bulk_mm": max(math.dist(centres[bulk], one) for one in centres),
        "spread_mm": max(sums),
        "spread_bulk_mm": sums[bulk],
        "sdmax_per_m": dmax / 1000 / 1.8,
        "bulk_ml": sizes[bulk] * 0.06,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    metabolic = measure(Volume(array=np.ones(GRID.shape, np.float32), grid=GRID), marks)
    assert metabolic["dmax_mm"] == pytest.approx(dmax)


def test_regions_of_the_body_are_counted_once() -> None:
    """Two nodes of the neck are one region; the pelvis begins a lung's height below the lungs."""
    grid = Grid(shape=(100, 3, 3), spacing_mm=(10.0, 5.0, 5.0), origin_mm=(0.0, 0.0, -500.0))
    array = np.zeros(grid.shape, np.uint16)
    for z in (300, 340, 100, -90, -300):
        array[(z + 500) // 10] = 1
    found = measure_spread(Volume(array=array, grid=grid), landmarks=LUNGS, bsa_m2=None)
    assert found["regions_involved"] == 4
    assert math.isnan(found["sdmax_per_m"])


def test_one_voxel_one_line_and_one_plane_have_an_extent() -> None:
    """The hull of flat lesions has no volume; their extent is a number all the same."""
    for shape in ((1, 1, 1), (1, 1, 5), (1, 4, 5)):
        array = np.zeros(GRID.shape, np.uint16)
        array[: shape[0], : shape[1], : shape[2]] = 1
        found = measure_spread(Volume(array=array, grid=GRID), landmarks=LUNGS, bsa_m2=1.8)
        sides = (np.array(shape) - 1) * GRID.spacing_mm
        assert found["dmax_voxel_mm"] == pytest.approx(float(np.linalg.norm(sides)))
        assert found["spread_mm"] == 0
    with pytest.raises(DataError, match="body surface"):
        measure_spread(lesions(0), landmarks=LUNGS, bsa_m2=0.0)
