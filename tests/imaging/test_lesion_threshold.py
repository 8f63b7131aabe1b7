"""The fixed threshold finds tumours and leaves out the organs that glow in everyone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging.lesions import find_lesions
from fedpet.imaging.volume import Grid, Volume

GRID = Grid(shape=(150, 50, 60), spacing_mm=(6.0, 6.0, 6.0), origin_mm=(-177.0, -147.0, -894.0))
PLACES = GRID.to_lps(np.stack(np.indices(GRID.shape), axis=-1).astype(float))
# A body whose vertex is at z = 0: (centre, radii) in mm, SUV.
ORGANS = {
    "brain": ((0, 0, -80), (70, 80, 65), 9.0),
    "heart": ((40, -30, -460), (45, 40, 45), 7.0),
    "kidney left": ((60, 45, -600), (25, 25, 45), 12.0),
    "kidney right": ((-60, 45, -605), (25, 25, 45), 12.0),
    "bladder": ((0, -30, -850), (35, 35, 30), 20.0),
}
TUMOURS = {
    "lung": ((62, 10, -380), (18, 18, 18), 8.0),
    "node": ((-5, 0, -360), (12, 12, 12), 6.0),
    "liver": ((-80, -10, -560), (20, 20, 20), 9.0),
    "femur": ((90, 10, -840), (15, 15, 15), 7.0),
}


def inside(centre: tuple[float, ...], radii: tuple[float, ...]) -> NDArray[np.bool_]:
    """Return the voxels of an ellipsoid."""
    return (((PLACES - centre) / radii) ** 2).sum(axis=-1) <= 1


def body() -> tuple[Volume, Volume]:
    """Return a PET and a CT of a body with organs and without tumours."""
    trunk = inside((0, 0, -600), (160, 110, 400)) | inside((0, 0, -90), (85, 100, 110))
    trunk |= inside((0, 0, -240), (60, 60, 90))
    suv = np.where(trunk, 0.8, 0.0).astype(np.float32)
    hu = np.where(trunk, 30, -1000).astype(np.int16)
    for side in (-1, 1):
        lung = inside((62 * side, 0, -415), (45, 70, 110))
        hu[lung], suv[lung] = -800, 0.4
    for centre, radii, uptake in ORGANS.values():
        organ = inside(centre, radii)
        suv[organ], hu[organ] = uptake, 40
    return Volume(array=suv, grid=GRID), Volume(array=hu, grid=GRID)


@pytest.mark.parametrize("with_ct", [True, False])
def test_organs_alone_give_no_lesion(with_ct: bool) -> None:
    """A healthy body has no tumour volume."""
    suv, ct = body()
    assert not find_lesions(suv, ct if with_ct else None).labels.array.any()


def test_tumours_are_found_with_their_own_voxels() -> None:
    """Whatever lies near the organs of the body."""
    suv, ct = body()
    expected = np.zeros(GRID.shape, bool)
    for centre, radii, uptake in TUMOURS.values():
        tumour = inside(centre, radii)
        suv.array[tumour] = uptake
        expected |= tumour
    found = find_lesions(suv, ct).labels
    assert found.array.dtype == np.uint16
    assert found.array.max() == len(TUMOURS)
    assert np.array_equal(found.array > 0, expected)


def test_places_do_not_depend_on_the_order_of_slices_or_on_the_table() -> None:
    """Feet first or head first, near or far from the scanner's middle: the same lesions."""
    suv, ct = body()
    for centre, radii, uptake in TUMOURS.values():
        suv.array[inside(centre, radii)] = uptake
    turned = Grid(
        shape=GRID.shape,
        spacing_mm=GRID.spacing_mm,
        origin_mm=(GRID.origin_mm[0] + 40, GRID.origin_mm[1] - 15, 333.0),
        direction=((0.0, 0.0, -1.0), *GRID.direction[1:]),
    )
    flipped = [Volume(array=one.array[::-1].copy(), grid=turned) for one in (suv, ct)]
    assert np.array_equal(
        find_lesions(*flipped).labels.array[::-1] > 0, find_lesions(suv, ct).labels.array > 0
    )


def test_specks_below_the_least_volume_are_noise() -> None:
    """One hot voxel of 0.216 mL is no lesion; a diagonal chain of three is one."""
    suv, ct = body()
    suv.array[100, 25, 30] = 9
    assert not find_lesions(suv, ct).labels.array.any()
    suv.array[101, 26, 31] = suv.array[102, 25, 32] = 9
    assert (find_lesions(suv, ct).labels.array == 1).sum() == 3


def test_a_method_that_does_not_exist_is_refused() -> None:
    """A typing error must not become another definition of tumour volume."""
    suv, _ = body()
    with pytest.raises(DataError, match=r"suv2\.5, suv4\.0, 41%, percist"):
        find_lesions(suv, None, method="threshold")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="0 or more"):
        find_lesions(suv, None, volume_min_ml=-1)
