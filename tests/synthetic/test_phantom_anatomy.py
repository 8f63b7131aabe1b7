"""The painted bodies and lesions measure what they were meant to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedpet.synthetic.lesions import Organ
from fedpet.synthetic.population import draw_population
from fedpet.synthetic.profiles import HOSPITALS
from fedpet.synthetic.scanner import Body, Scan, acquire
from fedpet.synthetic.subject import body


def scans(index: int, *, subjects: int, seed: int) -> tuple[list[Body], list[Scan]]:
    """Simulate some subjects of a hospital."""
    people = draw_population(
        HOSPITALS[index], subjects=subjects, rng=np.random.default_rng((seed, index))
    )
    bodies = [body(people, number) for number in range(subjects)]
    return bodies, [
        acquire(one, HOSPITALS[index].scanner, np.random.default_rng((seed, index, number)))
        for number, one in enumerate(bodies)
    ]


def test_masks_are_as_large_as_the_painted_lesions() -> None:
    """Total metabolic volume drives the hazard; the masks must carry it."""
    nominal, painted, masked = [], [], []
    for index in (0, 4):
        bodies, found = scans(index, subjects=20, seed=2)
        nominal += [one.volume_ml.sum() for one in bodies]
        painted += [scan.painted_ml.sum() for scan in found]
        masked += [
            np.count_nonzero(scan.lesions.array) * scan.lesions.grid.voxel_ml for scan in found
        ]
    nominal, painted, masked = map(np.array, (nominal, painted, masked))
    assert painted.sum() == pytest.approx(nominal.sum(), rel=0.04)
    assert masked.sum() == pytest.approx(painted.sum(), rel=0.06)
    assert np.corrcoef(np.log(masked), np.log(nominal))[0, 1] > 0.97


@pytest.mark.parametrize("volume_ml", [2.0, 10.0, 60.0])
def test_one_lesion_has_the_volume_that_was_asked_for(volume_ml: float) -> None:
    """A soft edge on coarse voxels must not inflate small lesions."""
    (start, *_), _ = scans(0, subjects=1, seed=5)
    one = replace(
        start,
        organ=np.array([Organ.LUNG], np.int8),
        centre_mm=np.array([[-78.0, 0.0, -420.0]]),
        volume_ml=np.array([volume_ml]),
        suv=np.array([9.0]),
    )
    painted, masked = [], []
    for number in range(12):
        scan = acquire(one, HOSPITALS[0].scanner, np.random.default_rng(number))
        painted.append(scan.painted_ml.sum())
        masked.append(np.count_nonzero(scan.lesions.array) * scan.lesions.grid.voxel_ml)
    assert np.mean(painted) == pytest.approx(volume_ml, rel=0.06)
    assert np.mean(masked) == pytest.approx(volume_ml, rel=0.2)


def test_a_body_looks_like_a_body() -> None:
    """Uptake and density where a physician expects them, brain and bladder above the liver."""
    scanner = replace(HOSPITALS[0].scanner, noise=0.05)
    nothing = Body(
        scale=(1.0, 1.0, 1.0),
        male=True,
        organ=np.zeros(0, np.int8),
        centre_mm=np.zeros((0, 3)),
        volume_ml=np.zeros(0),
        suv=np.zeros(0),
    )
    scan = acquire(nothing, scanner, np.random.default_rng(1))

    def at(volume: object, x: float, y: float, z: float) -> float:
        # The first slice lies 12 mm above the vertex; the field is centred on the body.
        shape, step = volume.grid.shape, volume.grid.spacing_mm
        k = round((12 - z) / step[0])
        j, i = round(y / step[1] + (shape[1] - 1) / 2), round(x / step[2] + (shape[2] - 1) / 2)
        return float(volume.array[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2].mean())

    liver = at(scan.suv, -85, -5, -560)
    assert 1.3 < liver < 3.5
    assert at(scan.suv, 0, 0, -80) > 1.5 * liver
    assert at(scan.suv, 0, -48, -812) > 1.5 * liver
    assert at(scan.suv, -85, 0, -420) < 0.5 * liver
    assert -900 < at(scan.ct, -85, 0, -420) < -700
    assert 20 < at(scan.ct, -85, -5, -560) < 100
    assert at(scan.ct, 0, 66, -420) > 80
    body_suv = scan.suv.array[scan.suv.array > 0.1]
    assert 0.5 < body_suv.mean() < 1.5
    assert not scan.lesions.array.any()


def test_hospitals_scan_with_different_noise_and_calibration() -> None:
    """Models meet scanners they were not trained on; these must differ to be a test."""
    empty = np.zeros(0)
    one = Body(
        scale=(1.0, 1.0, 1.0),
        male=True,
        organ=np.zeros(0, np.int8),
        centre_mm=np.zeros((0, 3)),
        volume_ml=empty,
        suv=empty,
    )
    roughness = []
    for index in (4, 3):
        scan = acquire(one, HOSPITALS[index].scanner, np.random.default_rng(2))
        step = scan.suv.grid.spacing_mm
        k, j = round(575 / step[0]), scan.suv.array.shape[1] // 2
        i = round(-80 / step[2] + (scan.suv.array.shape[2] - 1) / 2)
        patch = scan.suv.array[k - 3 : k + 4, j - 3 : j + 4, i - 3 : i + 4]
        roughness.append(patch.std() / patch.mean())
    assert roughness[1] > 1.4 * roughness[0]
