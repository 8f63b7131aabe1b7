"""Biomarkers against published values and against laws that hold for any definition of them."""

from __future__ import annotations

import csv
import math

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedpet.biomarkers.catalogue import DEFAULT_GROUPS, biomarkers_of
from fedpet.biomarkers.metabolic import PEAK_RADIUS_MM, measure, sphere_weights, suv_peak
from fedpet.errors import DataError
from fedpet.imaging.volume import Grid, Volume
from pet_files import need

SPACINGS = st.tuples(*[st.sampled_from((1.5, 2.0, 3.27, 4.0, 4.6875, 6.5))] * 3)


def volumes(
    suv: NDArray[np.floating], labels: NDArray[np.integer], spacing: tuple[float, float, float]
) -> tuple[Volume, Volume]:
    """Return SUV and labels on one grid."""
    grid = Grid(shape=suv.shape, spacing_mm=spacing, origin_mm=(0.0, 0.0, 0.0))
    return Volume(array=suv, grid=grid), Volume(array=labels.astype(np.uint16), grid=grid)


def test_the_ibsi_phantom_has_its_consensus_values() -> None:
    """Volume, mean and maximum agreed on by more than twenty groups."""
    folder = need("ibsi")
    with (folder / "reference_values/ibsi_1_dig_phantom.csv").open() as file:
        agreed = {
            row["tag"]: (float(row["reference value"]), float(row["tolerance"]))
            for row in csv.DictReader(file, delimiter=";")
            if row["reference value"]
        }
    parts = []
    for name in ("image/phantom", "mask/mask"):
        image = nib.load(folder / f"digital_phantom/nifti/{name}.nii.gz")
        parts.append(np.asarray(image.dataobj).transpose(2, 1, 0))
    found = measure(*volumes(parts[0].astype("f4"), parts[1], (2.0, 2.0, 2.0)))
    for name, tag, scale in (
        ("tmtv_ml", "morph_vol_approx", 1000.0),
        ("suvmean", "stat_mean", 1.0),
        ("suvmax", "stat_max", 1.0),
    ):
        value, tolerance = agreed[tag]
        assert found[name] * scale == pytest.approx(value, abs=tolerance + 0.005)


def test_real_lesion_values_agree_between_raw_and_published_suv() -> None:
    """One tumour, once from raw GE slices and once from the IBSI author's SUV volume."""
    from fedpet.imaging.index import find_scans
    from fedpet.imaging.scan import read_scan

    raw = read_scan(find_scans(need("sts_001_pet")).scans[0])
    reference = need("sts_001_pet", "reference")
    suv = np.asarray(nib.load(reference / "image/image.nii.gz").dataobj).transpose(2, 1, 0)
    mask = np.asarray(nib.load(reference / "mask/mask.nii.gz").dataobj).transpose(2, 1, 0)
    assert raw.lesions is not None
    ours = measure(raw.suv, raw.lesions)
    theirs = measure(*volumes(suv, mask, (3.27, 4.6875, 4.6875)))
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], rel=2e-4), name
    voxels = int((mask > 0).sum())
    assert ours["tmtv_ml"] == pytest.approx(voxels * 3.27 * 4.6875**2 / 1000)
    assert ours["suvmean"] == pytest.approx(float(suv[mask > 0].mean()), rel=1e-4)


def test_measure_gives_exactly_the_biomarkers_of_the_catalogue() -> None:
    """Plans name them; a name without a number or a unit would fail late."""
    found = measure(*volumes(np.ones((3, 3, 3), "f4"), np.ones((3, 3, 3), int), (4.0, 4.0, 4.0)))
    assert tuple(found) == tuple(biomarkers_of(DEFAULT_GROUPS))


def test_no_lesion_is_no_tumour_not_a_missing_value() -> None:
    """A complete responder has zero burden, and models cannot read NaN."""
    found = measure(*volumes(np.ones((3, 3, 3), "f4"), np.zeros((3, 3, 3), int), (4.0, 4.0, 4.0)))
    assert set(found.values()) == {0.0}


@given(spacing=SPACINGS)
def test_the_peak_sphere_holds_one_millilitre(spacing: tuple[float, float, float]) -> None:
    """Law: weights times voxel volume are 1 cm3 for any voxel, and the centre counts most."""
    weights = sphere_weights(spacing)
    assert weights.sum() * math.prod(spacing) / 1000 == pytest.approx(1.0, rel=0.01)
    middle = tuple(count // 2 for count in weights.shape)
    assert weights[middle] == weights.max()
    assert np.array_equal(weights, weights[::-1, ::-1, ::-1])


@given(spacing=SPACINGS, level=st.floats(0.5, 30))
def test_the_peak_of_a_constant_is_that_constant(
    spacing: tuple[float, float, float], level: float
) -> None:
    """Law: also at the edge of the image, where the sphere is cut."""
    array = np.full((7, 6, 5), level, np.float32)
    suv, _ = volumes(array, array > 0, spacing)
    assert suv_peak(suv, array > 0) == pytest.approx(level, rel=1e-5)


@given(seed=st.integers(0, 500), scale=st.floats(0.1, 10))
def test_the_laws_of_uptake(seed: int, scale: float) -> None:
    """SUVpeak and SUVmean lie below SUVmax; uptake scales linearly, volume not at all."""
    chance = np.random.default_rng(seed)
    suv = chance.gamma(2, 2, (8, 9, 10)).astype(np.float32)
    labels = (chance.random(suv.shape) > 0.8).astype(int)
    first = measure(*volumes(suv, labels, (4.0, 5.0, 5.0)))
    second = measure(*volumes(suv * np.float32(scale), labels, (4.0, 5.0, 5.0)))
    assert first["suvmean"] <= first["suvmax"]
    assert first["suvpeak"] <= float(suv.max()) * (1 + 1e-6)
    assert first["tlg_g"] == pytest.approx(first["tmtv_ml"] * first["suvmean"])
    for name in ("tlg_g", "suvmax", "suvmean", "suvpeak"):
        assert second[name] == pytest.approx(first[name] * scale, rel=1e-4)
    for name in ("tmtv_ml", "lesion_count", "dmax_mm"):
        assert second[name] == first[name]


def test_the_peak_of_a_point_source_is_its_share_of_the_sphere() -> None:
    """One voxel of 64 mm3 with SUV 10 fills 6.4 % of 1 cm3."""
    array = np.zeros((9, 9, 9), np.float32)
    array[4, 4, 4] = 10
    suv, _ = volumes(array, array > 0, (4.0, 4.0, 4.0))
    assert suv_peak(suv, array > 0) == pytest.approx(0.64, rel=0.01)


def test_the_peak_may_be_centred_beside_the_maximum_and_leave_the_lesion() -> None:
    """PERCIST: the sphere goes where its mean is largest, not around SUVmax."""
    array = np.ones((11, 11, 21), np.float32)
    array[5, 5, 3] = 20  # a hot speck
    array[3:8, 3:8, 13:18] = 12  # a warm block
    inside = array > 1
    suv, _ = volumes(array, inside, (4.0, 4.0, 4.0))
    assert suv_peak(suv, inside) == pytest.approx(12.0, rel=1e-6)


@pytest.mark.parametrize("spacing", [(4.0, 4.0, 4.0), (3.0, 2.0, 2.0)])
def test_a_digital_ball_has_the_volume_of_a_ball(spacing: tuple[float, float, float]) -> None:
    """The textbook volume within the voxel grid's error."""
    index = np.stack(np.indices((40, 60, 60)), axis=-1) * np.array(spacing)
    centre = np.array((40, 60, 60)) * spacing / 2
    ball = np.linalg.norm(index - centre, axis=-1) <= 30
    found = measure(*volumes(np.full(ball.shape, 5, "f4"), ball, spacing))
    assert found["tmtv_ml"] == pytest.approx(4 / 3 * math.pi * 27, rel=0.02)
    assert found["suvpeak"] == pytest.approx(5.0)
    assert found["dmax_mm"] == 0.0


@given(
    places=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_lesions_are_counted_apart_and_dmax_is_the_largest_distance(
    places: list[tuple[int, int, int]],
) -> None:
    """Law: single voxels on a wide lattice, in one label or in many, with known distances."""
    spacing = (4.0, 3.0, 2.0)
    for many in (False, True):
        labels = np.zeros((18, 18, 18), int)
        for number, place in enumerate(places, start=1):
            labels[tuple(3 * np.array(place))] = number if many else 1
        found = measure(*volumes(np.ones(labels.shape, "f4"), labels, spacing))
        points = 3 * np.array(places) * np.array(spacing)
        apart = np.linalg.norm(points[:, None] - points[None], axis=-1).max()
        assert found["lesion_count"] == len(places)
        assert found["dmax_mm"] == pytest.approx(apart)


def test_distances_do_not_depend_on_how_the_patient_lay() -> None:
    """Oblique axes rotate all centroids alike."""
    labels = np.zeros((10, 10, 10), np.uint16)
    labels[1, 1, 1], labels[8, 7, 2] = 1, 2
    suv = np.ones(labels.shape, np.float32)
    turn = 0.3
    direction = (
        (0.0, 0.0, 1.0),
        (-math.sin(turn), math.cos(turn), 0.0),
        (math.cos(turn), math.sin(turn), 0.0),
    )
    found = []
    for axes in (direction, ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))):
        grid = Grid(
            shape=(10, 10, 10),
            spacing_mm=(3.0, 4.0, 4.0),
            origin_mm=(5.0, 6.0, 7.0),
            direction=axes,
        )
        found.append(
            measure(Volume(array=suv, grid=grid), Volume(array=labels, grid=grid))["dmax_mm"]
        )
    assert found[0] == pytest.approx(found[1])


def test_another_grid_or_a_nan_is_refused() -> None:
    """Both would give a plausible number."""
    suv, labels = volumes(np.ones((4, 4, 4), "f4"), np.ones((4, 4, 4), int), (4.0, 4.0, 4.0))
    other, _ = volumes(np.ones((4, 4, 5), "f4"), np.ones((4, 4, 5), int), (4.0, 4.0, 4.0))
    with pytest.raises(DataError, match="voxels"):
        measure(other, labels)
    suv.array[1, 1, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        measure(suv, labels)


def test_the_peak_radius_is_that_of_one_millilitre() -> None:
    """6.204 mm, as PERCIST's 1.2 cm diameter rounds."""
    assert pytest.approx(6.204, abs=5e-4) == PEAK_RADIUS_MM
