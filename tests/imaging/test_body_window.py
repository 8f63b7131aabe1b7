"""PET and CT must show one body; head and arms can be left out, and nothing else with them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from fedpet.imaging.body import Match, about_match, find_arms, match
from fedpet.imaging.grid import common_grid, to_common_grid
from fedpet.imaging.physiologic import find_landmarks
from fedpet.imaging.volume import Grid, Volume
from fedpet.imaging.window import Window, show
from fedpet.synthetic.scanner import Scan
from fedpet.synthetic.subject import Roll, examine

HEAD_FIRST = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
SPACING = 8.0


@cache
def phantom(hospital: int, number: int) -> Scan:
    """One simulated PET-CT."""
    return examine(Roll(seed=7, index=hospital, subjects=8), number)[1]


def on_grid(scan: Scan, *, spacing: float = SPACING) -> tuple[Volume, Volume]:
    """Return SUV and HU on the common grid."""
    grid = common_grid(scan.suv, None, spacing_mm=spacing)
    hu = to_common_grid(scan.ct, grid, fill=-1024, kind="ct")
    return to_common_grid(scan.suv, grid, fill=0.0), hu


def moved(volume: Volume, mm: tuple[float, float, float]) -> Volume:
    """Return a volume somewhere else."""
    x, y, z = (float(a + b) for a, b in zip(volume.grid.origin_mm, mm, strict=True))
    return replace(volume, grid=replace(volume.grid, origin_mm=(x, y, z)))


@pytest.mark.parametrize("hospital", range(0, 10, 3))
def test_pet_and_ct_of_one_machine_lie_on_each_other(hospital: int) -> None:
    """A finding for every scan would be read by nobody."""
    scan = phantom(hospital, 0)
    for spacing in (4.0, 8.0):
        found = match(*on_grid(scan, spacing=spacing), scanned=scan.ct.grid)
        assert found is not None
        assert found.dice > 0.93
        assert found.shift_mm < 6
        assert about_match(found) == []


@pytest.mark.parametrize("mm", [(24.0, 0.0, 0.0), (0.0, -24.0, 0.0), (-16.0, 16.0, 0.0)])
def test_a_ct_that_lies_elsewhere_is_told(mm: tuple[float, float, float]) -> None:
    """The distance is told as it is, so that a person can judge it."""
    scan = phantom(0, 0)
    grid = common_grid(scan.suv, None, spacing_mm=SPACING)
    suv = to_common_grid(scan.suv, grid, fill=0.0)
    ct = moved(scan.ct, mm)
    hu = to_common_grid(ct, grid, fill=-1024, kind="ct")
    found = match(suv, hu, scanned=ct.grid)
    assert found is not None
    assert found.shift_mm == pytest.approx(np.linalg.norm(mm), abs=6)
    assert [one.code for one in about_match(found)] == ["FP-2148"]


def test_the_ct_of_another_patient_is_told() -> None:
    """Two thin and two thick people have one frame of reference after a bad copy."""
    grid = Grid(shape=(60, 40, 56), spacing_mm=(8.0,) * 3, origin_mm=(-220.0, -156.0, 0.0))
    _, y, x = np.indices(grid.shape) * 8.0
    thin, thick = (
        ((y - 156) / a) ** 2 + ((x - 220) / b) ** 2 < 1 for a, b in ((80, 120), (125, 175))
    )
    suv = Volume(array=thin.astype(np.float32), grid=grid)
    hu = Volume(array=np.where(thick, 30, -1000).astype(np.int16), grid=grid)
    found = match(suv, hu, scanned=grid)
    assert found is not None
    assert found.dice == pytest.approx(2 * thin.sum() / (thin.sum() + thick.sum()), abs=0.01)
    assert about_match(found)[0].text.startswith("The bodies in PET and CT overlap with a Dice of")


def test_what_the_ct_did_not_scan_is_not_compared() -> None:
    """A CT of the chest fits its PET as well as a CT of everything."""
    scan = phantom(0, 1)
    part = Volume(
        array=scan.ct.array[30:60],
        grid=replace(
            scan.ct.grid,
            shape=(30, *scan.ct.grid.shape[1:]),
            origin_mm=tuple(scan.ct.grid.to_lps(np.array([30.0, 0, 0])).tolist()),
        ),
    )
    grid = common_grid(scan.suv, None, spacing_mm=SPACING)
    hu = to_common_grid(part, grid, fill=-1024, kind="ct")
    found = match(to_common_grid(scan.suv, grid, fill=0.0), hu, scanned=part.grid)
    assert found is not None
    assert found.dice > 0.9


def test_an_empty_image_is_not_compared() -> None:
    """Two empty images would have no middle."""
    grid = Grid(shape=(9, 9, 9), spacing_mm=(8.0,) * 3, origin_mm=(0.0, 0.0, 0.0))
    air = Volume(array=np.full(grid.shape, -1000, np.int16), grid=grid)
    assert match(replace(air, array=np.zeros(grid.shape, np.float32)), air, scanned=grid) is None
    assert about_match(None) == []
    assert about_match(Match(dice=0.85, shift_mm=9.9)) == []


@pytest.mark.parametrize("hospital", [0, 4, 8])
def test_without_head_the_grid_begins_at_the_skull_base(hospital: int) -> None:
    """The brain is gone, the lungs are whole, and nothing moved by a part of a voxel."""
    scan = phantom(hospital, 1)
    lungs = find_landmarks(scan.suv, scan.ct)
    kept, dropped = (
        show(scan.suv, scan.ct, scan.lesions, Window(spacing_mm=4.0, head=head))
        for head in ("keep", "drop")
    )
    top = dropped.suv.grid.origin_mm[2] + 2.0
    assert lungs.apex_z + 126 <= top <= lungs.apex_z + 130
    steps = round((kept.suv.grid.origin_mm[2] - dropped.suv.grid.origin_mm[2]) / 4)
    assert steps > 10
    assert np.allclose(kept.suv.array[steps:], dropped.suv.array[: 240 - steps], atol=1e-4)
    assert kept.ct is not None
    assert dropped.ct is not None
    assert np.abs(kept.ct.array[steps:] - dropped.ct.array[: 240 - steps]).max() <= 1


def with_arms(*, up: bool) -> tuple[Volume, Volume, NDArray[np.bool_], NDArray[np.bool_], float]:
    """Draw a trunk with lungs, head, two legs and two arms; return SUV, HU, arms, rest, apex."""
    grid = Grid(
        shape=(240, 80, 112),
        spacing_mm=(4.0,) * 3,
        origin_mm=(-222.0, -158.0, 958.0),
        direction=HEAD_FIRST,
    )
    index = np.stack(np.indices(grid.shape), axis=-1).astype(float)
    x, y, z = np.moveaxis(grid.to_lps(index), -1, 0)
    head = (x / 75) ** 2 + (y / 95) ** 2 + ((z - 850) / 110) ** 2 < 1
    neck = (x**2 + y**2 < 55**2) & (abs(z - 730) < 60)
    trunk = ((x / 160) ** 2 + (y / 105) ** 2 < 1) & (z > 200) & (z < 700)
    legs = (z <= 200) & ((abs(x) - 85) ** 2 + y**2 < 75**2)
    lungs = (((abs(x) - 75) / 50) ** 2 + (y / 70) ** 2 + ((z - 560) / 110) ** 2) < 1
    side = (abs(x) - 205) ** 2 + y**2 < 38**2 if not up else (abs(x) - 125) ** 2 + y**2 < 38**2
    length = (z > 250) & (z < 690) if not up else (z > 690) & (z < 960)
    shoulder = (abs(x) < 215) & (abs(y) < 40) & (abs(z - 680) < 22)
    rest = head | neck | trunk | legs
    arms = side & length & ~rest & ~shoulder
    body = rest | arms | shoulder
    hu = np.where(lungs & trunk, -800, np.where(body, 40, -1000)).astype(np.int16)
    suv = np.where(body, 1, 0).astype(np.float32)
    return Volume(array=suv, grid=grid), Volume(array=hu, grid=grid), arms, rest, 670.0


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("with_ct", [True, False])
def test_arms_are_found_and_nothing_else(up: bool, with_ct: bool) -> None:
    """Arms up beside the head or down beside the trunk; legs are no arms."""
    suv, hu, arms, rest, apex = with_arms(up=up)
    found, left = find_arms(suv, hu if with_ct else None, apex_z=apex)
    assert (found & arms).sum() > 0.9 * arms.sum()
    assert (found & rest).sum() < 0.002 * rest.sum()
    assert not (found & left).any()


def test_without_arms_they_are_air_in_both_images() -> None:
    """A hot vein of the injected arm is no tumour."""
    suv, hu, arms, rest, _ = with_arms(up=False)
    suv.array[arms] = 30
    shown = show(suv, hu, None, Window(spacing_mm=4.0, arms="remove"))
    whole = show(suv, hu, None, Window(spacing_mm=4.0))
    assert whole.ct is not None
    assert shown.ct is not None
    assert (whole.suv.array > 20).sum() > 1000
    assert (shown.suv.array > 20).sum() < 0.1 * (whole.suv.array > 20).sum()
    gone = whole.suv.array - shown.suv.array > 0
    assert (shown.ct.array[gone] == -1024).all()
    assert (shown.suv.array > 0).sum() > 0.95 * rest.sum()


def test_arms_of_phantoms_do_not_take_the_trunk_along() -> None:
    """On a simulated patient, at most a tenth of the uptake may be called arms."""
    for hospital in (0, 5):
        scan = phantom(hospital, 2)
        whole, without = (
            show(scan.suv, scan.ct, None, Window(spacing_mm=SPACING, arms=arms))
            for arms in ("keep", "remove")
        )
        share = without.suv.array.sum() / whole.suv.array.sum()
        assert 0.85 < share <= 1
