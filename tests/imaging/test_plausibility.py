"""A wrong weight, dose or time shows in liver, blood, body and total activity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_suv import FACTS

from fedpet.imaging.index import find_scans
from fedpet.imaging.plausibility import about_dose, about_saturation, judge
from fedpet.imaging.provenance import SuvProvenance
from fedpet.imaging.remarks import TITLES
from fedpet.imaging.scan import read_scan
from fedpet.imaging.suv import to_suv
from fedpet.imaging.volume import Volume
from fedpet.synthetic.subject import Roll, examine
from pet_files import need, write_series

HOW = SuvProvenance(units="BQML", rule="", to_body_weight=1.0, weight_kg=75.0)


@pytest.fixture(scope="module")
def phantom() -> tuple[Volume, Volume, float]:
    """A PET and CT of a subject whose liver has the usual uptake."""
    exam, scan = examine(Roll(seed=2026, index=1, subjects=4), 0)
    assert exam.weight_kg is not None
    return scan.suv, scan.ct, exam.weight_kg


def codes(suv: Volume, ct: Volume | None, how: SuvProvenance) -> set[str]:
    """Return what is not as usual."""
    return {one.code for one in judge(suv, ct, how).remarks}


def times(suv: Volume, factor: float) -> Volume:
    """Return SUV as a wrong header would give it."""
    return replace(suv, array=suv.array * np.float32(factor))


def test_a_usual_scan_gives_no_doubt(phantom) -> None:
    """Warnings that always come are not read."""
    suv, ct, weight = phantom
    assert codes(suv, ct, replace(HOW, weight_kg=weight)) == set()


def test_a_real_scan_gives_no_doubt() -> None:
    """Real GE scan of a patient with a sarcoma, without CT."""
    images = read_scan(find_scans(need("sts_001_pet")).scans[0])
    found = judge(images.suv, None, images.provenance)
    assert found.remarks == ()
    assert found.liver_suv == pytest.approx(2.0, abs=0.3)
    assert found.body_suv == pytest.approx(0.85, abs=0.1)
    assert 0.4 < found.activity_share < 1.0


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.37, {"FP-2120", "FP-2123", "FP-2121"}),  # the dose was 10 mCi, the header says 1000
        (3.0, {"FP-2120", "FP-2121", "FP-2122", "FP-2123"}),
        (2.2, {"FP-2120", "FP-2123", "FP-2122"}),  # the weight was in pounds
    ],
)
def test_a_wrong_scale_is_seen(phantom, factor: float, expected: set[str]) -> None:
    """A dose in mCi, a weight in pounds, a time that is an hour off."""
    suv, ct, weight = phantom
    assert expected <= codes(times(suv, factor), ct, replace(HOW, weight_kg=weight)) | {"FP-2121"}


def test_other_kinds_are_judged_by_body_weight(phantom) -> None:
    """Lean SUV of a liver is 1.6; it is as usual as 2.2 by weight."""
    suv, ct, weight = phantom
    how = replace(HOW, weight_kg=weight, kind="lbm-janmahasatian", to_body_weight=1.4)
    by_weight = judge(suv, ct, replace(HOW, weight_kg=weight))
    lean = judge(times(suv, 1 / 1.4), ct, how)
    assert lean.remarks == ()
    assert lean.liver_suv == pytest.approx(by_weight.liver_suv, rel=1e-5)
    assert lean.activity_share == pytest.approx(by_weight.activity_share, rel=1e-5)
    assert judge(suv, ct, replace(how, to_body_weight=None)).liver_suv is None


def test_a_body_that_kept_all_activity_balances() -> None:
    """Law: SUV 1 everywhere in 75 kg of water is the whole dose, and not more."""
    grid = examine(Roll(seed=1, index=0, subjects=1), 0)[1].suv.grid
    litres = 75.0
    array = np.zeros(grid.shape, np.float32)
    array.ravel()[: int(litres * 1000 / grid.voxel_ml)] = 1.0
    found = judge(Volume(array=array, grid=grid), None, HOW)
    assert found.activity_share == pytest.approx(1.0, abs=1e-3)
    assert "FP-2122" not in {one.code for one in found.remarks}


def test_dose_and_size_are_looked_at() -> None:
    """0.5 MBq/kg is a dose in another unit; 150 kg at 1.2 m are swapped."""
    scale = to_suv(replace(FACTS, dose_bq=35e6))
    assert [one.code for one in about_dose(scale.provenance, height_m=1.75)] == ["FP-2124"]
    scale = to_suv(replace(FACTS, weight_kg=175.0))
    assert [one.code for one in about_dose(scale.provenance, height_m=0.7)] == ["FP-2128"]
    assert about_dose(to_suv(FACTS).provenance, height_m=1.75) == []


def test_saturated_slices_are_seen_and_scaled_ones_are_not(tmp_path) -> None:
    """One voxel at the top is how scanners scale a slice; eleven are a cut."""
    stored = np.full((3, 20, 20), 500)
    stored[:, 0, 0] = 32767
    stored[1, 3, :11] = 32767
    write_series(tmp_path, stored, slopes=[1.0, 2.5, 0.3])
    scan = find_scans(tmp_path).scans[0]
    images = read_scan(scan)
    found = [one for one in images.remarks if one.code == "FP-2125"]
    assert len(found) == 1
    assert found[0].text.startswith("12 voxels in 1 slice")
    factors = to_suv(FACTS).factors[:1].repeat(3)
    assert about_saturation(scan.pet, times(images.suv, 0.5), factors * 0.9) == []


def test_uptake_far_outside_has_a_code_of_its_own() -> None:
    """40 minutes are early; 20 are another measurement."""
    for minutes, code in ((60, None), (40, "FP-2133"), (100, "FP-2133"), (20, "FP-2129"),
                          (130, "FP-2129")):  # fmt: skip
        start = FACTS.series - 3600 + 60 * minutes
        facts = replace(FACTS, series=start, acquired=(start, start))
        assert [one.code for one in to_suv(facts).remarks] == ([code] if code else [])


def test_every_doubt_has_a_title() -> None:
    """Findings group remarks by their titles."""
    assert {f"FP-21{number}" for number in range(20, 30)} <= set(TITLES)
