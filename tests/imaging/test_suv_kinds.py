"""Lean mass, ideal weight and surface: formulas, every direction, and the refusals between."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import DataError
from fedpet.imaging import clock
from fedpet.imaging.body_size import Kind, body_size
from fedpet.imaging.facts import PetFacts
from fedpet.imaging.index import find_scans
from fedpet.imaging.scan import read_scan
from fedpet.imaging.suv import to_suv
from pet_files import need

KINDS: tuple[Kind, ...] = get_args(Kind)
STORED = {"bw": "BW", "lbm-janmahasatian": "LBMJANMA", "lbm-james": "LBMJAMES128",
          "lbm-morgan": "LBM", "ibw": "IBW"}  # fmt: skip
DAY = clock.DAY_S * 9000
FACTS = PetFacts(
    units="BQML",
    decay_correction="START",
    corrected=("ATTN", "DECY"),
    weight_kg=70.0,
    height_m=1.75,
    sex="M",
    dose_bq=350e6,
    half_life_s=6586.2,
    injection_time=36000.0,
    series=DAY + 39600,
    acquired=(DAY + 39600,) * 2,
    frame_reference_s=(0.0, 0.0),
    frame_duration_s=(120.0, 120.0),
)


def stored_as(kind: str, facts: PetFacts = FACTS) -> PetFacts:
    """Return facts of an image that the scanner stored as SUV of a kind."""
    if kind == "bsa":
        return replace(facts, units="CM2ML")
    return replace(facts, units="GML", suv_type=STORED[kind])


@pytest.mark.parametrize(
    ("kind", "sex", "kilograms"),
    [
        # Worked by hand from the papers' formulas at 70 kg, 1.75 m (BMI 22.857142857).
        ("lbm-janmahasatian", "M", 9270 * 70 / (6680 + 216 * 22.857142857142858)),
        ("lbm-janmahasatian", "F", 9270 * 70 / (8780 + 244 * 22.857142857142858)),
        ("lbm-james", "M", 1.10 * 70 - 128 * 0.16),
        ("lbm-james", "F", 1.07 * 70 - 148 * 0.16),
        ("lbm-morgan", "M", 1.10 * 70 - 120 * 0.16),
        ("lbm-morgan", "F", 1.07 * 70 - 148 * 0.16),
        ("ibw", "M", 48 + 1.06 * 23),
        ("ibw", "F", 45.5 + 0.91 * 23),
    ],
)
def test_body_masses_are_those_of_their_papers(kind: Kind, sex: str, kilograms: float) -> None:
    """128 and 120 differ by 2 % of SUL; which one is meant must be in the name."""
    size = body_size(kind, weight_kg=70, height_m=1.75, sex=sex)
    assert size.value == pytest.approx(1000 * kilograms, rel=1e-12)
    assert size.unit == "g"


def test_the_surface_is_that_of_dubois() -> None:
    """1.85 m2 for 70 kg and 1.75 m, as in every table."""
    size = body_size("bsa", weight_kg=70, height_m=1.75, sex="")
    assert size.value == pytest.approx(18481, rel=2e-3)
    assert size.unit == "cm2"


@pytest.mark.parametrize("kind", ["lbm-janmahasatian", "lbm-james", "lbm-morgan", "ibw"])
def test_other_sex_takes_the_mean_of_both(kind: Kind) -> None:
    """DICOM knows O; leaving such subjects out would be a choice nobody made."""
    men, women, other = (
        body_size(kind, weight_kg=82, height_m=1.7, sex=sex).value for sex in "MFO"
    )
    assert other == pytest.approx((men + women) / 2, rel=1e-12)


@given(
    weight=st.floats(35, 160),
    height=st.floats(1.4, 2.1),
    sex=st.sampled_from("MFO"),
    pair=st.sampled_from(list(product(KINDS, KINDS))),
)
def test_conversions_agree_with_the_way_through_activity(
    weight: float, height: float, sex: str, pair: tuple[Kind, Kind]
) -> None:
    """Law: stored as one kind and read as another is what activity would have given."""
    source, target = pair
    facts = replace(FACTS, weight_kg=weight, height_m=height, sex=sex)
    try:
        expected = to_suv(facts, kind=target).factors / to_suv(facts, kind=source).factors
    except DataError:
        return  # a quadratic lean mass below zero
    found = to_suv(stored_as(source, facts), kind=target)
    assert np.allclose(found.factors, expected, rtol=1e-12)
    back = to_suv(stored_as(target, facts), kind=source)
    assert np.allclose(found.factors * back.factors, 1.0, rtol=1e-12)
    assert found.provenance.kind == target


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_stored_as_the_wanted_kind_needs_no_header(kind: Kind) -> None:
    """What is right already is not refused for a missing weight."""
    bare = stored_as(kind, replace(FACTS, weight_kg=None, height_m=None, sex=""))
    assert to_suv(bare, kind=kind).factors.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "kind", "word"),
    [
        ({"height_m": None}, "lbm-janmahasatian", "size"),
        ({"sex": ""}, "lbm-james", "sex"),
        ({"sex": "X"}, "ibw", "sex"),
        ({"weight_kg": None}, "bsa", "weight"),
        ({"weight_kg": 300.0, "height_m": 1.2, "sex": "F"}, "lbm-james", "body mass of -"),
    ],
)
def test_a_kind_that_needs_more_says_what(change: dict[str, object], kind: Kind, word: str) -> None:
    """Nothing is assumed for size or sex either."""
    with pytest.raises(DataError, match=word):
        to_suv(replace(FACTS, **change), kind=kind)


def test_a_quadratic_lean_mass_of_an_obese_subject_is_remarked() -> None:
    """James' formula falls above a body mass index of 36 to 43."""
    obese = replace(FACTS, weight_kg=130.0, height_m=1.6, sex="F")
    assert "FP-2127" in [one.code for one in to_suv(obese, kind="lbm-james").remarks]
    assert "FP-2127" not in [one.code for one in to_suv(obese, kind="lbm-janmahasatian").remarks]
    assert "FP-2127" not in [one.code for one in to_suv(FACTS, kind="lbm-james").remarks]


def test_units_that_contradict_the_type_are_remarked() -> None:
    """CM2ML can only be by surface."""
    scale = to_suv(replace(FACTS, units="CM2ML", suv_type="BW"))
    assert [one.code for one in scale.remarks] == ["FP-2135"]


def rewritten(source: Path, target: Path, *, kind: Kind, units: str, suv_type: str, sex: str):
    """Write a reference object again as SUV of another kind, by pydicom alone."""
    target.mkdir()
    for path in sorted(source.glob("PT/*")):
        dataset = pydicom.dcmread(path)
        dataset.PatientSex = sex
        weight, height = float(dataset.PatientWeight), float(dataset.PatientSize)
        size = body_size(kind, weight_kg=weight, height_m=height, sex=sex)
        dataset.RescaleSlope = f"{float(dataset.RescaleSlope) * size.value / (1000 * weight):.9e}"
        dataset.Units, dataset.SUVType = units, suv_type
        dataset.save_as(target / path.name)


@pytest.mark.parametrize(
    ("kind", "units", "suv_type", "sex"),
    [
        ("lbm-james", "GML", "LBMJAMES128", "M"),  # as DRO_2_1
        ("ibw", "GML", "IBW", "O"),  # as DRO_2_2
        ("bsa", "CM2ML", "", "M"),  # as DRO_2_3, without its coarse slope
        ("lbm-janmahasatian", "GML", "LBMJANMA", "F"),
        ("lbm-morgan", "GML", "LBM", "F"),
    ],
)
def test_reference_objects_in_other_kinds_give_the_same_body_weight_suv(
    tmp_path: Path, kind: Kind, units: str, suv_type: str, sex: str
) -> None:
    """IBSI's object stored as each kind: 0.20, 1.00 and 4.00 again."""
    folder = need("suv_dro", "DRO_2_0")
    rewritten(folder, tmp_path / "dro", kind=kind, units=units, suv_type=suv_type, sex=sex)
    images = read_scan(find_scans(tmp_path / "dro").scans[0])
    mask = np.asarray(nib.load(folder / "mask/DRO_mask.nii.gz").dataobj).transpose(2, 1, 0) > 0
    inside = images.suv.array[mask]
    assert np.allclose((inside.min(), np.median(inside), inside.max()), (0.2, 1, 4), atol=0.005)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", ["0_0", "2_4", "3_1"])
def test_reference_objects_read_as_each_kind_scale_by_its_formula(case: str, kind: Kind) -> None:
    """From activity, from counts and from injection-corrected activity alike."""
    folder = need("suv_dro", f"DRO_{case}")
    scan = find_scans(folder).scans[0]
    image = pydicom.dcmread(scan.pet.slices[0].path, stop_before_pixels=True)
    weight, height, sex = float(image.PatientWeight), float(image.PatientSize), image.PatientSex
    size = body_size(kind, weight_kg=weight, height_m=height, sex=sex)
    mask = np.asarray(nib.load(folder / "mask/DRO_mask.nii.gz").dataobj).transpose(2, 1, 0) > 0
    inside = read_scan(scan, kind=kind).suv.array[mask]
    found = np.array((inside.min(), np.median(inside), inside.max()))
    expected = np.array((0.2, 1.0, 4.0)) * size.value / (1000 * weight)
    assert np.allclose(found, expected, rtol=0.005, atol=0.005 * size.value / (1000 * weight))


def test_a_coarse_slope_limits_suv_to_its_stored_unit(tmp_path: Path) -> None:
    """As DRO_2_3: by surface with slope 0.01, 1.00 is read as 0.985; one unit is the tolerance."""
    folder = need("suv_dro", "DRO_2_0")
    fine = read_scan(find_scans(folder).scans[0]).suv.array
    (tmp_path / "dro").mkdir()
    unit = 0.0
    for path in sorted(folder.glob("PT/*")):
        dataset = pydicom.dcmread(path)
        weight, height = float(dataset.PatientWeight), float(dataset.PatientSize)
        area = body_size("bsa", weight_kg=weight, height_m=height, sex="").value
        unit = 0.01 * 1000 * weight / area
        values = dataset.pixel_array * float(dataset.RescaleSlope)
        dataset.PixelData = np.floor(values / unit).astype("<i2").tobytes()
        dataset.Units, dataset.RescaleSlope = "CM2ML", "0.01"
        dataset.save_as(tmp_path / "dro" / path.name)
    coarse = read_scan(find_scans(tmp_path / "dro").scans[0]).suv.array
    assert (fine - coarse).max() <= unit * 1.001
    assert (fine - coarse).min() >= -1e-5
    assert unit > 0.02
