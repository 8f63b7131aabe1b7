"""Radiomics against the consensus values of the Image Biomarker Standardisation Initiative."""

from __future__ import annotations

import csv
import json
import math
import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from fedpet.biomarkers.radiomics.measure import ALL_AGGREGATIONS, measure_region
from fedpet.biomarkers.radiomics.mesh import surface_of
from fedpet.biomarkers.radiomics.region import Levels, Region, cut_region, to_levels
from fedpet.errors import DataError
from fedpet.imaging.volume import Grid, Volume

IBSI = Path(__file__).resolve().parents[2].parent / "shared/data/ibsi"
TABLE = IBSI / "reference_values/ibsi_1_dig_phantom.csv"


def reference() -> list[tuple[str, float, float]]:
    """Return (tag, value, tolerance) of all consensus values; three digits were published."""
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))[1:]
    found = []
    for value, tolerance, tag in (row for row in rows if row[0]):
        number = float(value)
        digits = 0.5 * 10 ** (math.floor(math.log10(abs(number))) - 2) if number else 1e-9
        found.append((tag, number, float(tolerance) + digits * (1 + 1e-9)))
    return found


@cache
def measured(kind: str) -> dict[str, float]:
    """Return every feature of the digital phantom."""
    if kind == "nifti":
        import nibabel as nib

        folder = IBSI / "digital_phantom/nifti"
        image, mask = (
            np.asarray(nib.load(folder / name).dataobj).transpose(2, 1, 0)
            for name in ("image/phantom.nii.gz", "mask/mask.nii.gz")
        )
    else:
        import pydicom

        folder = IBSI / "digital_phantom/dicom"
        image, mask = (
            pydicom.dcmread(folder / name).pixel_array.transpose(1, 0, 2)[:, ::-1]
            for name in ("image/phantom.dcm", "mask/mask.dcm")  # stored in coronal planes
        )
    shape = (image.shape[0], image.shape[1], image.shape[2])
    grid = Grid(shape=shape, spacing_mm=(2.0, 2.0, 2.0), origin_mm=(0.0, 0.0, 0.0))
    region = cut_region(Volume(array=image, grid=grid), mask > 0)
    levels = Levels(width=1.0, lowest=0.5)
    return measure_region(region, levels, aggregations=ALL_AGGREGATIONS)


@pytest.mark.skipif(not TABLE.exists(), reason="the IBSI digital phantom is not here")
@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_every_consensus_value_of_the_digital_phantom_is_met(kind: str) -> None:
    """482 values of 11 families in up to 6 aggregations: the meaning of 'IBSI-conformant'."""
    found = measured(kind)
    wrong = {
        tag: (found.get(tag), value)
        for tag, value, tolerance in reference()
        if not abs(found.get(tag, math.nan) - value) <= tolerance
    }
    assert not wrong
    assert len(reference()) == len(found) == 482


def ball(radius: int) -> NDArray[np.bool_]:
    """Return a ball of voxels."""
    return sum(x**2 for x in np.ogrid[(slice(-radius, radius + 1),) * 3]) <= radius**2


def test_the_surface_of_a_box_is_that_of_its_corners_cut() -> None:
    """A convex mask has the mesh of its convex hull, which another library knows."""
    found = surface_of(np.ones((3, 4, 5), bool), (2.0, 1.5, 3.0))
    hull = ConvexHull(found.vertices_mm)
    assert found.volume_mm3 == pytest.approx(hull.volume)
    assert found.area_mm2 == pytest.approx(hull.area)


def test_the_surface_equals_the_marching_cubes_of_scikit_image() -> None:
    """Numbers of scikit-image 0.26.0, marching_cubes(ball padded, 0.5, spacing 2 mm)."""
    one = surface_of(sum(x**2 for x in np.ogrid[-8:9, -8:9, -8:9]) < 50, (2.0, 2.0, 2.0))
    assert one.area_mm2 == pytest.approx(2589.4079170086593, rel=1e-12)
    assert one.volume_mm3 == pytest.approx(11217.333333333334, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_mask_and_the_rest_of_the_box_share_their_volume(seed: int) -> None:
    """The surface is closed, or the divergence theorem would not give a volume."""
    shape = np.random.default_rng(seed).random((4, 5, 3)) < 0.6
    if not shape.any():
        return
    found = surface_of(shape, (1.0, 2.0, 1.5))
    moved = surface_of(np.pad(shape, ((3, 0), (0, 2), (1, 4))), (1.0, 2.0, 1.5))
    assert 0 < found.volume_mm3 <= shape.sum() * 3.0
    assert moved.volume_mm3 == pytest.approx(found.volume_mm3)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), axes=st.permutations((0, 1, 2)))
def test_turning_a_region_changes_no_feature_in_three_dimensions(
    seed: int, axes: tuple[int, int, int]
) -> None:
    """What depends on how the patient lay would not be a property of the lesion."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 7, (5, 6, 4)).astype(float)
    inside = rng.random(values.shape) < 0.7
    inside[1:3, 1:4, 1:3] = True
    first = _measured(values, inside)
    turned = _measured(values.transpose(axes)[::-1].copy(), inside.transpose(axes)[::-1].copy())
    assert first.keys() == turned.keys()
    for name, value in first.items():
        assert turned[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


def _measured(values: NDArray[np.float64], inside: NDArray[np.bool_]) -> dict[str, float]:
    region = Region(values=values, shape=inside, inside=inside, spacing_mm=(2.0, 2.0, 2.0))
    return measure_region(region, Levels(width=1.0, lowest=0.5), aggregations=("3D_avg", "3D_comb"))


def test_one_voxel_and_a_flat_region_end_without_warning() -> None:
    """The smallest lesions come in every cohort; what is not defined is NaN and nothing else."""
    for shape in ((1, 1, 1), (1, 3, 3), (3, 3, 3)):
        found = _measured(np.full(shape, 4.0), np.ones(shape, bool))
        assert found["stat_mean"] == 4
        assert found["morph_volume"] > 0
        assert not any(math.isinf(value) for value in found.values())


def test_interpolation_keeps_a_linear_image_linear_and_a_ball_its_volume() -> None:
    """Coarse and fine voxels of one lesion must be comparable between hospitals."""
    inside = np.pad(ball(9), 4)
    grid = Grid(shape=inside.shape, spacing_mm=(2.0, 2.0, 2.0), origin_mm=(0.0, 0.0, 0.0))
    ramp = np.broadcast_to(np.arange(inside.shape[2], dtype=float), inside.shape)
    region = cut_region(Volume(array=ramp, grid=grid), inside, spacing_mm=(3.0, 3.0, 3.0))
    steps = np.diff(region.values, axis=2)
    assert np.allclose(steps, 1.5)
    assert region.values[region.inside].mean() == pytest.approx(ramp[inside].mean())
    assert region.shape.sum() * 27 == pytest.approx(inside.sum() * 8, rel=0.06)
    cubic = cut_region(Volume(array=ramp, grid=grid), inside, spacing_mm=(3.0, 3.0, 3.0), order=3)
    assert np.allclose(cubic.values[cubic.inside], region.values[region.inside], atol=0.02)


def test_outliers_and_values_out_of_range_leave_the_intensities_not_the_shape() -> None:
    """IBSI keeps two masks: what was drawn has the volume that was drawn."""
    values = np.ones((4, 4, 4))
    values[0, 0, 0], values[1, 1, 1] = 500, -2000
    grid = Grid(shape=values.shape, spacing_mm=(1.0, 1.0, 1.0), origin_mm=(0.0, 0.0, 0.0))
    image, drawn = Volume(array=values, grid=grid), np.ones(values.shape, bool)
    region = cut_region(image, drawn, value_range=(-1000, 400))
    assert (region.shape.sum(), region.inside.sum()) == (64, 62)
    assert cut_region(image, drawn, outliers_sd=3).inside.sum() == 63


def test_nonsense_is_refused_in_words() -> None:
    """A wrong setting must not end as a table of numbers."""
    grid = Grid(shape=(2, 2, 2), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(0.0, 0.0, 0.0))
    image = Volume(array=np.full(grid.shape, 9.0), grid=grid)
    with pytest.raises(DataError, match="no voxel"):
        cut_region(image, np.zeros(grid.shape, bool))
    with pytest.raises(DataError, match="not finite"):
        cut_region(Volume(array=image.array * math.nan, grid=grid), np.ones(grid.shape, bool))
    region = cut_region(image, np.ones(grid.shape, bool))
    for levels in (Levels(), Levels(width=1.0, count=3), Levels(width=0.0), Levels(count=0)):
        with pytest.raises(DataError):
            to_levels(region, levels)
    with pytest.raises(DataError, match="levels go from"):
        to_levels(region, Levels(width=1.0, lowest=20.0))


def test_a_second_library_agrees_on_a_region_of_22_levels() -> None:
    """The phantom has 74 voxels and 4 levels; pyradiomics 3.0.1 measured 2,984 voxels here."""
    folder = Path(__file__).resolve().parents[1] / "reference"
    told = json.loads((folder / "radiomics.json").read_text(encoding="utf-8"))
    made = runpy.run_path(str(folder / "radiomics.py"))
    image, inside = made["case"]()
    grid = Grid(shape=image.shape, spacing_mm=made["SPACING_MM"], origin_mm=(0.0, 0.0, 0.0))
    region = cut_region(Volume(array=image, grid=grid), inside)
    levels = Levels(width=1.0, lowest=float(image[inside].min()))
    found = measure_region(region, levels, aggregations=("3D_avg",))
    for tag, value in told["features"].items():
        assert found[tag] == pytest.approx(value, rel=1e-9), tag
