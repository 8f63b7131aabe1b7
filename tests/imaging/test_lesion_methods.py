"""Each method of finding lesions follows its own definition, and spares the organs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from fedpet.errors import DataError
from fedpet.imaging.index import find_scans
from fedpet.imaging.landmarks import find_tissues
from fedpet.imaging.lesions import METHODS, find_lesions
from fedpet.imaging.scan import read_scan
from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic.scanner import Scan, acquire
from fedpet.synthetic.subject import Roll, body, people
from pet_files import need

GRID = Grid(shape=(150, 50, 60), spacing_mm=(6.0, 6.0, 6.0), origin_mm=(-177.0, -147.0, -894.0))
PLACES = GRID.to_lps(np.stack(np.indices(GRID.shape), axis=-1).astype(float))


def inside(centre: tuple[float, ...], radii: tuple[float, ...]) -> NDArray[np.bool_]:
    """Return the voxels of an ellipsoid."""
    return (((PLACES - centre) / radii) ** 2).sum(axis=-1) <= 1


def torso(seed: int = 0) -> tuple[Volume, Volume]:
    """Return a body with lungs and a noisy liver of SUV 2.2, and its CT."""
    trunk = inside((0, 0, -600), (160, 110, 400)) | inside((0, 0, -90), (85, 100, 110))
    suv = np.where(trunk, 0.8, 0.0).astype(np.float32)
    hu = np.where(trunk, 30, -1000).astype(np.int16)
    for side in (-1, 1):
        lung = inside((62 * side, 0, -415), (45, 70, 110))
        hu[lung], suv[lung] = -800, 0.4
    liver = inside((-70, -5, -570), (70, 70, 60)) & (hu > -500)
    noise = np.random.default_rng(seed).normal(0, 0.25, GRID.shape).astype(np.float32)
    suv[liver] = (2.2 + noise)[liver]
    return Volume(array=suv, grid=GRID), Volume(array=hu, grid=GRID)


def test_two_and_a_half_takes_more_than_four_and_neither_takes_the_liver() -> None:
    """A node of SUV 3 is lesion by one rule and not by the other; noise of the liver by none."""
    suv, ct = torso()
    node = inside((-5, 0, -360), (12, 12, 12))
    suv.array[node] = 3.0
    assert (suv.array[inside((-70, -5, -570), (50, 50, 40))] > 2.5).sum() > 20
    low, high = (find_lesions(suv, ct, method=name) for name in ("suv2.5", "suv4.0"))
    assert np.array_equal(low.labels.array > 0, node)
    assert not high.labels.array.any()


def test_forty_one_percent_is_the_isocontour_of_the_hottest_voxel() -> None:
    """On a blob with a smooth edge the definition can be written down without any growing."""
    suv, ct = torso()
    apart = np.linalg.norm(PLACES - np.array((60, 10, -380)), axis=-1)
    blob = 12 * np.exp(-((apart / 18) ** 2))
    array = np.maximum(suv.array, blob).astype(np.float32)
    found = find_lesions(Volume(array=array, grid=GRID), ct, method="41%")
    assert np.array_equal(found.labels.array > 0, array * (apart < 60) >= 0.41 * array.max())


def test_forty_one_percent_of_a_faint_lesion_does_not_flood_the_body() -> None:
    """41 % of SUV 4.2 is colder than a liver: growth ends 10 mm from the seed."""
    suv, ct = torso()
    seed = inside((-60, 0, -560), (14, 14, 14))
    suv.array[seed] = 4.2
    found = find_lesions(suv, ct, method="41%").labels.array > 0
    reach = ndimage.distance_transform_edt(~seed, sampling=GRID.spacing_mm)
    assert found[seed].all()
    assert reach[found].max() <= 10


def test_percist_is_one_and_a_half_livers_and_two_deviations() -> None:
    """By weight or by lean mass the voxels are the same, as the rule is linear."""
    suv, ct = torso()
    for centre, uptake in (((60, 10, -380), 3.2), ((-5, 0, -360), 4.6)):
        suv.array[inside(centre, (14, 14, 14))] = uptake
    found = find_lesions(suv, ct, method="percist")
    liver = find_tissues(suv, ct).liver
    assert liver is not None
    assert found.threshold_suv == pytest.approx(1.5 * 2.2 + 2 * 0.25, abs=0.25)
    assert found.threshold_suv == 1.5 * liver.mean + 2 * liver.deviation
    assert np.array_equal(found.labels.array > 0, inside((-5, 0, -360), (14, 14, 14)))
    lean = Volume(array=suv.array * np.float32(0.72), grid=GRID)
    assert np.array_equal(find_lesions(lean, ct, method="percist").labels.array, found.labels.array)


def test_percist_without_a_liver_says_so() -> None:
    """A threshold from some other tissue would not be PERCIST."""
    suv, ct = torso()
    head = Grid(shape=(30, 50, 60), spacing_mm=GRID.spacing_mm, origin_mm=(-177.0, -147.0, -180.0))
    parts = [Volume(array=one.array[-30:], grid=head) for one in (suv, ct)]
    with pytest.raises(DataError, match="No healthy liver") as caught:
        find_lesions(*parts, method="percist")
    assert caught.value.code == "FP-2145"


@pytest.mark.parametrize("method", METHODS)
def test_every_lesion_is_connected_and_large_enough(method: str) -> None:
    """26 neighbours, half a millilitre, numbers without gaps: what the record promises."""
    scan = phantom(0, 1)
    found = find_lesions(scan.suv, scan.ct, method=method).labels  # type: ignore[arg-type]
    numbers = np.unique(found.array)[1:]
    assert numbers.tolist() == list(range(1, len(numbers) + 1))
    for number in numbers:
        own = found.array == number
        assert ndimage.label(own, np.ones((3, 3, 3)))[1] == 1
        assert own.sum() * found.grid.voxel_ml >= 0.5


def phantom(hospital: int, number: int) -> Scan:
    """Return one phantom examination with the lesions that were painted."""
    roll = Roll(seed=7, index=hospital, subjects=8)
    return acquire(body(people(roll), number), roll.hospital.scanner, roll.stream(1, number))


def test_phantom_lesions_are_found_where_they_were_painted() -> None:
    """Overlap with painted lesions over four hospitals: how far a threshold can be trusted."""
    shares: dict[str, list[float]] = {method: [] for method in METHODS}
    for hospital in (0, 2, 6, 8):
        scan = phantom(hospital, 2)
        truth = scan.lesions.array > 0
        for method in METHODS:
            found = find_lesions(scan.suv, scan.ct, method=method).labels.array > 0
            shares[method].append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    medians = {method: float(np.median(values)) for method, values in shares.items()}
    assert medians["percist"] > 0.7
    assert medians["suv4.0"] > 0.65
    assert medians["41%"] > 0.6
    assert medians["suv2.5"] > 0.35


def test_a_real_tumour_beside_the_midline_is_not_taken_for_the_bladder() -> None:
    """A sarcoma of the thigh, PET alone: its centre lies 41 mm from the middle of the body."""
    images = read_scan(find_scans(need("sts_001_pet")).scans[0])
    assert images.lesions is not None
    drawn = images.lesions.array > 0
    hot = drawn & (images.suv.array >= 2.5)
    found = find_lesions(images.suv, None, method="suv2.5").labels.array > 0
    assert (found & hot).sum() > 0.95 * hot.sum()
