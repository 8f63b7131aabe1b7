"""Organ ratios against the truth of phantoms, and the muscle index against arithmetic."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from fedpet.biomarkers.catalogue import biomarkers_of
from fedpet.biomarkers.organs import measure_organs, muscle_index
from fedpet.errors import DataError
from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic import anatomy
from fedpet.synthetic.canvas import Canvas
from fedpet.synthetic.scanner import Scan, acquire
from fedpet.synthetic.subject import Roll, body, people

GRID = Grid(shape=(6, 20, 20), spacing_mm=(3.0, 10.0, 5.0), origin_mm=(0.0, 0.0, 0.0))
SUBJECTS = [(hospital, number) for hospital in (0, 4, 6, 8) for number in (0, 3)]


def examined(
    hospital: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Scan, dict[str, float]]:
    """Return a phantom scan and the uptake that its organs were painted with."""
    truth: dict[str, float] = {}
    paint = anatomy.paint_body

    def listening(canvas: Canvas, rng: np.random.Generator, **options: bool) -> None:
        twin = copy.deepcopy(rng)  # the same draws, in the same order
        for name, (typical, spread) in anatomy._UPTAKE.items():
            truth[name] = typical * float(np.exp(spread * twin.normal()))
        paint(canvas, rng, **options)

    monkeypatch.setattr("fedpet.synthetic.scanner.paint_body", listening)
    roll = Roll(seed=7, index=hospital, subjects=8)
    scan = acquire(body(people(roll), number), roll.hospital.scanner, roll.stream(1, number))
    return scan, truth


def test_ratios_follow_the_painted_uptake(monkeypatch: pytest.MonkeyPatch) -> None:
    """No mask, four scanners, lesions about: ratios stay within 15 % of what was painted.

    The spine is painted with 0.95 of its marrow's uptake on average: discs are colder.
    """
    errors = []
    for hospital, number in SUBJECTS:
        scan, truth = examined(hospital, number, monkeypatch)
        found = measure_organs(scan.suv, scan.ct, lesions=scan.lesions)
        assert tuple(found) == tuple(biomarkers_of(("organs",)))
        errors.append(
            (
                found["spleen_liver_ratio"] / (truth["spleen"] / truth["liver"]) - 1,
                found["marrow_liver_ratio"] / (0.95 * truth["marrow"] / truth["liver"]) - 1,
            )
        )
    assert np.abs(errors).max() < 0.15
    assert np.abs(np.median(errors, axis=0)).max() < 0.05


def test_masks_come_before_the_search_and_lesions_never_count() -> None:
    """A drawn organ is the hospital's word; a metastasis in it is not organ."""
    suv = np.full(GRID.shape, 1.0, np.float32)
    masks = {}
    for place, (name, uptake) in enumerate((("liver", 2.0), ("spleen", 1.5), ("marrow", 1.0))):
        inside = np.zeros(GRID.shape, np.uint16)
        inside[place * 2 : place * 2 + 2] = 1
        suv[inside > 0] = uptake
        masks[name] = Volume(array=inside, grid=GRID)
    lesion = np.zeros(GRID.shape, np.uint16)
    lesion[0, 3:9, 3:9] = 1
    suv[lesion > 0] = 30
    found = measure_organs(
        Volume(array=suv, grid=GRID),
        None,
        lesions=Volume(array=lesion, grid=GRID),
        organs=masks,
    )
    assert found["spleen_liver_ratio"] == pytest.approx(0.75)
    assert found["marrow_liver_ratio"] == pytest.approx(0.5)
    assert math.isnan(found["muscle_index_cm2_m2"])


def test_muscle_counts_its_own_density_only() -> None:
    """Fat within the outline is not muscle, nor is bone; two slices are averaged."""
    hu = np.full(GRID.shape, 50, np.int16)
    hu[:, :5], hu[:, 5:10, :10] = -100, 400
    mask = np.zeros(GRID.shape, np.uint16)
    mask[2:4] = 1
    pixels = 20 * 20 - 5 * 20 - 5 * 10
    ct, muscle = Volume(array=hu, grid=GRID), Volume(array=mask, grid=GRID)
    assert muscle_index(ct, muscle, height_m=1.7) == pytest.approx(pixels * 0.5 / 1.7**2)
    with pytest.raises(DataError, match="height"):
        muscle_index(ct, muscle, height_m=170)
    with pytest.raises(DataError, match="empty"):
        muscle_index(ct, Volume(array=mask * 0, grid=GRID), height_m=1.7)


def test_nothing_is_made_up_where_nothing_is_seen() -> None:
    """A head alone has no liver: every ratio is missing, none is zero."""
    suv = Volume(array=np.ones(GRID.shape, np.float32), grid=GRID)
    ct = Volume(array=np.zeros(GRID.shape, np.int16), grid=GRID)
    assert all(math.isnan(value) for value in measure_organs(suv, ct).values())
