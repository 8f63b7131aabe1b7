"""Laws that SUV obeys whatever the header holds, and the traps that other programs fell into."""

from __future__ import annotations

import copy
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from fedpet.errors import DataError
from fedpet.imaging import clock
from fedpet.imaging.body_size import NAMES, Kind
from fedpet.imaging.facts import Corrections, PetFacts
from fedpet.imaging.index import find_scans
from fedpet.imaging.plausibility import about_dose
from fedpet.imaging.provenance import worked_lines
from fedpet.imaging.reference_time import mean_activity_s
from fedpet.imaging.scan import read_scan
from fedpet.imaging.suv import to_suv
from pet_files import factor_bqml, need, write_series

DAY = clock.DAY_S * 9000
TEN = 36000.0
FACTS = PetFacts(
    units="BQML",
    decay_correction="START",
    corrected=("ATTN", "DECY"),
    weight_kg=70.0,
    height_m=1.75,
    sex="M",
    dose_bq=350e6,
    half_life_s=6586.2,
    injection=DAY + TEN,
    injection_time=TEN,
    series=DAY + TEN + 3600,
    ge_scan=DAY + TEN + 3600,
    siemens_decay=DAY + TEN + 3600,
    philips_suv=0.0005,
    philips_activity=1.2,
    acquired=(DAY + TEN + 3600, DAY + TEN + 3720),
    frame_reference_s=(60.0, 180.0),
    frame_duration_s=(120.0, 120.0),
)
EXPECTED = 70_000 / (350e6 * 0.5 ** (3600 / 6586.2))
CORRECTIONS = st.sampled_from(("START", "ADMIN", "NONE"))


@given(
    weight=st.floats(30, 200),
    dose=st.floats(5e7, 8e8),
    times=st.floats(1.01, 1.9),
    correction=CORRECTIONS,
)
def test_suv_is_linear_in_weight_and_inverse_in_dose(
    weight: float, dose: float, times: float, correction: str
) -> None:
    """Law: twice the weight is twice the SUV, twice the dose half of it."""
    facts = replace(FACTS, decay_correction=correction, weight_kg=weight, dose_bq=dose)
    once = to_suv(facts).factors
    assert np.allclose(to_suv(replace(facts, weight_kg=weight * times)).factors, once * times)
    assert np.allclose(to_suv(replace(facts, dose_bq=dose * times)).factors, once / times)


@given(shift_s=st.floats(-6 * 3600, 10 * 3600), days=st.integers(-9000, 3000))
@pytest.mark.parametrize("correction", ["START", "ADMIN", "NONE"])
@pytest.mark.parametrize("dated", [True, False])
def test_shifting_all_times_changes_nothing(
    correction: str, dated: bool, shift_s: float, days: int
) -> None:
    """Law: only differences of times matter, over midnight and over years."""
    by = days * clock.DAY_S + shift_s
    facts = replace(FACTS, decay_correction=correction, injection=DAY + TEN if dated else None)
    moved = replace(
        facts,
        injection=None if facts.injection is None else facts.injection + by,
        injection_time=(TEN + shift_s) % clock.DAY_S,
        series=DAY + TEN + 3600 + by,
        ge_scan=DAY + TEN + 3600 + by,
        siemens_decay=DAY + TEN + 3600 + by,
        acquired=tuple(time + by for time in FACTS.acquired if time is not None),
    )
    assert np.allclose(to_suv(moved).factors, to_suv(facts).factors, rtol=1e-9)


ABSENT: dict[str, object] = {
    "suv_type": "",
    "decay_correction": "",
    "corrected": (),
    "sex": "",
    "acquired": (None, None),
    "frame_reference_s": (None, None),
    "frame_duration_s": (None, None),
}
OPTIONAL = tuple(
    one.name for one in fields(PetFacts) if one.name not in ("units", "stated", "sources")
)


@settings(max_examples=300)
@given(
    missing=st.sets(st.sampled_from(OPTIONAL)),
    units=st.sampled_from(("BQML", "CNTS", "GML", "CM2ML", "PROPCNTS", "CPS", "")),
    correction=st.sampled_from(("START", "ADMIN", "NONE", "", "OTHER")),
    kind=st.sampled_from(sorted(NAMES)),
    stated=st.builds(
        Corrections,
        weight_kg=st.none() | st.floats(30, 200),
        dose_bq=st.none() | st.floats(1e7, 1e9),
        injection=st.none() | st.floats(DAY, DAY + 90_000),
    ),
)
def test_any_header_gives_a_finite_factor_or_says_what_is_missing(
    missing: set[str], units: str, correction: str, kind: Kind, stated: Corrections
) -> None:
    """Law: no subset of a header ends in NaN or in a traceback; a factor has its formula."""
    facts = replace(FACTS, units=units, decay_correction=correction)
    facts = replace(facts, **{name: ABSENT.get(name) for name in missing})
    refused = None
    try:
        scale = to_suv(facts, kind=kind, corrections=stated)
    except DataError as error:
        refused = error
    if refused is not None:
        assert refused.title
        assert refused.code in ("FP-2112", "FP-2113", "FP-2114")
        return
    assert np.isfinite(scale.factors).all()
    assert (scale.factors > 0).all()
    assert math.isfinite(scale.provenance.factor_max)
    lines = worked_lines(scale.provenance, scale.remarks)
    assert scale.provenance.formula in lines
    assert "nan" not in " ".join(lines).lower()


@given(
    values=st.fixed_dictionaries(
        {
            "weight_kg": st.floats(allow_nan=False, allow_infinity=False),
            "dose_bq": st.floats(allow_nan=False, allow_infinity=False),
            "half_life_s": st.floats(allow_nan=False, allow_infinity=False),
            "height_m": st.floats(allow_nan=False, allow_infinity=False),
            "philips_suv": st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False),
        }
    ),
    kind=st.sampled_from(sorted(NAMES)),
    units=st.sampled_from(("BQML", "CNTS", "GML", "CM2ML")),
)
def test_absurd_numbers_are_refused_by_name(
    values: dict[str, float], kind: Kind, units: str
) -> None:
    """Law: whatever number a header holds, the factor is finite or refused."""
    try:
        scale = to_suv(replace(FACTS, units=units, suv_type="LBM", **values), kind=kind)
    except DataError:
        return
    assert np.isfinite(scale.factors).all()
    about_dose(scale.provenance, height_m=scale.facts.height_m)


UNITS = ("BQML", "CNTS", "GML", "CM2ML", "PROPCNTS")
REMOVABLE = (
    "PatientWeight", "PatientSize", "PatientSex", "SeriesDate", "SeriesTime", "AcquisitionDate",
    "AcquisitionTime", "StudyDate", "DecayCorrection", "CorrectedImage", "FrameReferenceTime",
    "ActualFrameDuration", "DecayFactor", "RadionuclideTotalDose", "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime", "RadiopharmaceuticalInformationSequence", "RescaleSlope",
    "RescaleIntercept", "Units", "SeriesType", "ImageType",
)  # fmt: skip


def test_a_first_slice_with_a_whole_slope_does_not_round_the_others(tmp_path) -> None:
    """SimpleITK's series reader takes its pixel type from the first slice: 12.12 became 12."""
    stored = np.full((3, 4, 4), 303)
    stored[0] = 0

    def gml(dataset: Dataset, number: int) -> None:
        dataset.Units = "GML"

    write_series(tmp_path, stored, slopes=[1.0, 0.04, 0.0123], change=gml)
    found = read_scan(find_scans(tmp_path).scans[0]).suv.array
    assert np.allclose(found[:, 0, 0], (0, 12.12, 3.7269), rtol=1e-6)


def test_always_computing_back_would_err_by_slice_on_a_real_ge_scan() -> None:
    """Acquisition time is constant there, frame reference time runs to 1215 s: up to 11 %."""
    scan = find_scans(need("sts_001_pet")).scans[0]
    images = read_scan(scan)
    starts = [
        one.acquired + mean_activity_s(one.frame_duration_s, 6588.0) - one.frame_reference_s
        for one in scan.pet.slices
    ]
    assert max(starts) - min(starts) == pytest.approx(1215, abs=1)
    assert 2 ** ((max(starts) - min(starts)) / 6588.0) - 1 > 0.11
    assert images.provenance.reference == "series time"
    assert images.provenance.uptake_s == 2711.0
    assert any("1215 s apart" in said for said in images.provenance.aside)


def test_the_acquisition_time_of_any_file_is_not_the_reference_of_a_multi_bed_scan() -> None:
    """Taking the last bed's time, as many scripts do, is 8 % on a scan of nine beds."""
    beds = tuple(DAY + TEN + 3600 + 1 + 106 * bed for bed in range(9))
    half = mean_activity_s(100.0, 6586.2)
    facts = replace(
        FACTS,
        ge_scan=None,
        siemens_decay=None,
        acquired=beds,
        frame_reference_s=tuple(bed - beds[0] + 1 + half for bed in beds),
        frame_duration_s=(100.0,) * 9,
    )
    assert np.allclose(to_suv(facts).factors, EXPECTED)
    assert 2 ** ((beds[-1] - (DAY + TEN + 3600)) / 6586.2) - 1 > 0.08


def test_a_private_time_of_another_day_keeps_its_time_of_day() -> None:
    """De-identification shifts public dates and leaves private ones."""
    facts = replace(FACTS, ge_scan=DAY + TEN + 3600 - 400 * clock.DAY_S)
    scale = to_suv(facts)
    assert np.allclose(scale.factors, EXPECTED)
    assert "FP-2131" in [one.code for one in scale.remarks]


def test_a_series_time_of_another_day_is_not_believed() -> None:
    """A date of series that was left when the others were shifted."""
    scale = to_suv(replace(FACTS, ge_scan=None, series=DAY + TEN - 30 * clock.DAY_S))
    # Computed back from frame reference times that count from the middle of each frame.
    assert scale.provenance.reference == "frame reference time"
    assert np.allclose(scale.factors, EXPECTED, rtol=1e-4)
    assert any("not of this scan" in said for said in scale.provenance.aside)


@pytest.mark.parametrize("correction", ["START", "NONE"])
def test_a_scan_over_midnight_whose_date_stays_is_put_in_order(correction: str) -> None:
    """Beds after midnight would else lie a day before the injection."""
    start = DAY + 86_400 - 60
    facts = replace(
        FACTS,
        decay_correction=correction,
        injection=start - 3600,
        injection_time=None,
        series=start,
        ge_scan=None,
        siemens_decay=None,
        acquired=(start, start + 120),
    )
    stayed = to_suv(replace(facts, acquired=(start, start + 120 - clock.DAY_S)))
    assert np.allclose(stayed.factors, to_suv(facts).factors, rtol=1e-12)
    assert [one.code for one in stayed.remarks] == ["FP-2131"]


@settings(max_examples=20, deadline=None)
@given(lost=st.sets(st.sampled_from(REMOVABLE), max_size=6), units=st.sampled_from(UNITS))
def test_any_attributes_missing_from_files_end_in_a_finite_image_or_in_words(
    tmp_path_factory, lost: set[str], units: str
) -> None:
    """Law: through the DICOM door too; and never with the patient's number in the message."""

    def change(dataset: Dataset, number: int) -> None:
        dataset.Units = units
        dose = dataset.RadiopharmaceuticalInformationSequence[0]
        for name in lost:
            for place in (dataset, dose):
                if name in place:
                    delattr(place, name)

    folder = tmp_path_factory.mktemp("lost")
    write_series(folder, np.full((3, 4, 4), 7), patient="SECRET-77", change=change)
    index = find_scans(folder)
    said = " ".join(one.reason for one in index.rejected)
    assert "SECRET" not in said
    for scan in index.scans:
        try:
            images = read_scan(scan)
        except DataError as error:
            said += str(error)
        else:
            assert np.isfinite(images.suv.array).all()
            said += " ".join(one.text for one in images.remarks)
    assert "SECRET" not in said
    assert index.scans or index.rejected


def test_two_times_of_injection_that_disagree_are_told() -> None:
    """The full date and time counts; which one is right only the hospital knows."""
    scale = to_suv(replace(FACTS, injection_time=TEN + 900))
    assert np.allclose(scale.factors, EXPECTED)
    assert [one.code for one in scale.remarks] == ["FP-2131"]
    assert len(scale.provenance.injections) == 2


def test_a_tracer_that_lives_for_days_may_be_injected_days_before() -> None:
    """Zirconium-89 is imaged after days; its date is not an error, and without it nothing is."""
    days = 4 * clock.DAY_S
    facts = replace(FACTS, half_life_s=282_240.0, injection=DAY + TEN - days, injection_time=TEN)
    scale = to_suv(facts)
    assert scale.provenance.uptake_s == days + 3600
    assert "FP-2132" not in [one.code for one in scale.remarks]
    assert "FP-2134" in [one.code for one in scale.remarks]
    with pytest.raises(DataError, match="without its date"):
        to_suv(replace(facts, injection=None))


def test_several_injections_are_not_guessed(tmp_path) -> None:
    """Dual tracers, or a second injection after extravasation: the first item need not be it."""

    def twice(dataset: Dataset, number: int) -> None:
        (first,) = dataset.RadiopharmaceuticalInformationSequence
        second = copy.deepcopy(first)
        second.RadionuclideTotalDose = "100000000"
        dataset.RadiopharmaceuticalInformationSequence = [first, second]

    def same(dataset: Dataset, number: int) -> None:
        (first,) = dataset.RadiopharmaceuticalInformationSequence
        dataset.RadiopharmaceuticalInformationSequence = [first, copy.deepcopy(first)]

    stored = np.full((2, 3, 3), 5)
    write_series(tmp_path / "twice", stored, change=twice)
    write_series(tmp_path / "same", stored, change=same)
    scan = find_scans(tmp_path / "twice").scans[0]
    with pytest.raises(DataError, match="2 different injections"):
        read_scan(scan)
    by = Corrections(dose_bq=350e6, injection=clock.parse_datetime("20250102100000"))
    found = read_scan(scan, corrections=by).suv.array
    expected = read_scan(find_scans(tmp_path / "same").scans[0]).suv.array
    assert np.allclose(found, expected)


def test_counts_per_second_are_refused_with_the_reason() -> None:
    """The calibration factor of the header is that of an image which is calibrated already."""
    with pytest.raises(DataError, match=r"0054,1322") as error:
        to_suv(replace(FACTS, units="CPS"))
    assert "calibrated series, in Bq/mL" in error.value.do[0]
    assert "private tags" not in error.value.do[0]  # they would not help


def test_philips_factors_are_compared_where_both_are_there() -> None:
    """A real pair agrees to 0.06 %; a wrong weight shows as a contradiction."""
    facts = replace(FACTS, units="CNTS", philips_activity=2.0, philips_suv=2.0 * EXPECTED)
    scale = to_suv(facts)
    assert scale.provenance.cross_check == pytest.approx(1)
    assert not scale.remarks
    wrong = to_suv(replace(facts, weight_kg=77.0))
    assert [one.code for one in wrong.remarks] == ["FP-2135"]
    assert np.allclose(wrong.factors, 2.0 * EXPECTED)


def test_what_the_hospital_states_replaces_the_header_and_is_said() -> None:
    """Weight, dose and time of injection, as a physicist knows them better."""
    wrong = replace(FACTS, weight_kg=700.0, dose_bq=35e6, injection=None, injection_time=None)
    by = Corrections(weight_kg=70.0, dose_bq=350e6, injection=DAY + TEN)
    scale = to_suv(wrong, corrections=by)
    assert np.allclose(scale.factors, EXPECTED)
    assert [one.code for one in scale.remarks] == ["FP-2126"] * 3
    assert scale.provenance.stated == ("weight_kg", "dose_bq", "injection")
    assert scale.provenance.injection == "injection_datetime of fixes.csv"


def test_a_stated_injection_after_the_scan_is_not_repaired() -> None:
    """A header's wrong date is repaired; a person's is asked for again."""
    with pytest.raises(DataError, match=r"fixes\.csv"):
        to_suv(FACTS, corrections=Corrections(injection=DAY + TEN + 7200))
    with pytest.raises(DataError, match=r"fixes\.csv"):
        to_suv(FACTS, corrections=Corrections(injection=DAY - clock.DAY_S))


def test_a_weight_stated_for_an_image_stored_as_suv_comes_too_late() -> None:
    """The scanner has divided by its own weight; to ignore the correction would be silent."""
    with pytest.raises(DataError, match="stored as SUV"):
        to_suv(replace(FACTS, units="GML"), corrections=Corrections(weight_kg=80.0))
    counts = replace(FACTS, units="CNTS", philips_activity=1.0)
    scale = to_suv(counts, corrections=Corrections(weight_kg=80.0))
    assert np.allclose(scale.factors, EXPECTED * 80 / 70)
    assert scale.provenance.rule == "counts by Philips (7053,1009)"
    same = to_suv(replace(FACTS, units="GML"), corrections=Corrections(weight_kg=70.0))
    assert same.factors.tolist() == [1.0, 1.0]


def test_an_uncorrected_series_of_files_has_the_suv_of_a_corrected_one(tmp_path) -> None:
    """The same phantom written with decay correction NONE, two beds, ten minutes apart."""
    stored = np.random.default_rng(7).integers(100, 3000, (4, 5, 5))
    decay = math.log(2) / 6586.2

    def none(dataset: Dataset, number: int) -> None:
        start = 3600 + 600 * (number // 2)
        mean = math.exp(-decay * start) * (1 - math.exp(-decay * 120)) / (decay * 120)
        dataset.DecayCorrection, dataset.CorrectedImage = "NONE", ["ATTN", "SCAT"]
        dataset.AcquisitionTime = f"11{10 * (number // 2):02d}00"
        dataset.RescaleSlope = f"{2.0 * mean / 0.5 ** (3600 / 6586.2):.9g}"

    write_series(tmp_path / "none", stored, change=none)
    write_series(tmp_path / "start", stored)
    one = read_scan(find_scans(tmp_path / "none").scans[0]).suv.array
    other = read_scan(find_scans(tmp_path / "start").scans[0]).suv.array
    assert np.allclose(one, other, rtol=1e-6)
    assert np.allclose(other, stored * 2.0 * factor_bqml(), rtol=1e-6)


def test_the_published_volume_of_a_real_scan_is_ours_with_its_values_cut_off() -> None:
    """Why the sums differ by 1.00005: the reference was stored again with whole numbers cut off.

    The published crop holds 16-bit numbers with a slope of its own for each slice. Every one of
    its values is ours divided by that slope, rounded down; no other difference is left.
    """
    reference = find_scans(need("sts_001_petct_crop")).scans[0]
    slopes = np.array([one.slope for one in reference.pet.slices])[:, None, None]
    published = read_scan(reference).suv
    scan = find_scans(need("sts_001_pet")).scans[0]
    images = read_scan(scan)
    ours = images.suv
    corner = ours.grid.to_index(published.grid.to_lps(np.zeros(3)))
    z, y, x = np.rint(corner).astype(int)
    depth, height, width = published.array.shape
    part = ours.array[z : z + depth, y : y + height, x : x + width].astype(np.float64)
    lost = (part - published.array) / slopes
    assert lost.min() > -0.01
    assert lost.max() < 1.01
    quanta = np.array([one.slope for one in scan.pet.slices])[z : z + depth]
    ratio = np.abs(quanta * images.provenance.factor_max / slopes[:, 0, 0] - 1)
    # Slices that kept their slope hold our whole numbers, or one less; the others lost what
    # stood behind the point, half a number on average.
    kept = lost[ratio < 1e-6]
    assert np.abs(kept - np.rint(kept)).max() < 0.01
    changed = lost[(ratio > 1e-3)][part[ratio > 1e-3] > 0.1]
    assert changed.mean() == pytest.approx(0.5, abs=0.03)
    assert changed.std() == pytest.approx(12**-0.5, abs=0.03)
