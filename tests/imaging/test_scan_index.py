"""A messy folder becomes one PET-CT per subject, and everything else gets a reason."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from fedpet.errors import DataError
from fedpet.imaging.index import Index, find_scans
from fedpet.imaging.scan import read_scan
from pet_files import Change, need, write_series, write_structures

VALUES = np.random.default_rng(5).integers(0, 1000, (6, 4, 5))


def reasons(index: Index) -> str:
    """Return all reasons of an index in one text."""
    return " | ".join(one.reason for one in index.rejected)


def setting(**values: object) -> Change:
    """Return a change that sets attributes of every file."""

    def change(dataset: Dataset, number: int) -> None:
        for name, value in values.items():
            setattr(dataset, name, value)

    return change


def test_a_real_pair_with_two_contour_sets_is_paired() -> None:
    """PET and CT share a frame of reference; the contours drawn on the PET are used."""
    index = find_scans(need("sts_001_petct_crop"))
    (scan,) = index.scans
    assert (scan.pet.modality, scan.pet.grid.shape) == ("PT", (59, 43, 41))
    assert scan.ct is not None
    assert scan.ct.grid.shape == (59, 202, 198)
    assert scan.mask is not None
    assert (scan.mask.kind, scan.mask.target) == ("RTSTRUCT", "pet")
    assert [one.modality for one in index.rejected] == ["RTSTRUCT"]


@given(seed=st.integers(0, 1000))
def test_names_places_and_order_of_files_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Law: exports have random names; slices are ordered by their position alone."""
    chance = random.Random(seed)
    source = tmp_path_factory.mktemp("source")
    write_series(source, VALUES)
    target = tmp_path_factory.mktemp("target")
    for path in source.iterdir():
        folder = target / chance.choice(("a", "b/c", "."))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{chance.random()}.{chance.choice(('txt', 'dcm', 'nii'))}")
    plain, shuffled = (read_scan(find_scans(one).scans[0]).suv for one in (source, target))
    assert np.array_equal(plain.array, shuffled.array)
    assert plain.grid == shuffled.grid


def test_a_folder_without_dicom_is_an_error_that_says_so(tmp_path: Path) -> None:
    """The most common first mistake is the wrong folder."""
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="No DICOM file among the 1 files"):
        find_scans(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        find_scans(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (setting(CorrectedImage=["DECY"]), "lacks ATTN"),
        (setting(CorrectedImage=["ATTN"]), "lacks DECY"),
        (setting(ImageType=["DERIVED", "SECONDARY", "MIP"]), "derived view"),
        (setting(SeriesType=["WHOLEBODY", "REPROJECTION"]), "reprojection"),
        (setting(SeriesType=["GATED", "IMAGE"]), "gated"),
        (setting(SeriesType=["DYNAMIC", "IMAGE"]), "dynamic"),
        (setting(Units="PROPCNTS"), "PROPCNTS"),
        (setting(RescaleIntercept="-5"), "intercept"),
        (setting(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "secondary capture"),
        (setting(Modality="SR"), "neither PET"),
        (setting(PatientID=""), "no (0010,0020)"),
        (setting(ImageOrientationPatient=[1, 0, 0, 0, 0.5, 0.5]), "orthogonal"),
        (setting(BitsAllocated=12, BitsStored=12, HighBit=11), "12 in 12 bits"),
        (setting(NumberOfFrames=2), "multi-frame"),
        (setting(PixelSpacing=["0.00001", "4"]), "Pixel Spacing"),
        (setting(PixelSpacing=["1e30", "4"]), "Pixel Spacing"),
        (setting(RescaleSlope="1e300"), "Rescale Slope"),
        (setting(ImagePositionPatient=["1e9", "0", "0"]), "Image Position"),
        (setting(ImagePositionPatient=["0", "0", "0"]), "lie at one position"),
    ],
)
def test_a_series_that_is_no_usable_pet_is_left_out_with_its_reason(
    tmp_path: Path, change: Change, reason: str
) -> None:
    """Not corrected, derived and gated images give numbers that look like SUV."""
    write_series(tmp_path, VALUES, change=change)
    index = find_scans(tmp_path)
    assert not index.scans
    assert reason in reasons(index)


@pytest.mark.parametrize(
    ("missing", "reason"),
    [((3,), "1 slice(s) are missing"), ((2, 3), "2 slice(s) are missing"), ((1, 4), "2 slice(s)")],
)
def test_missing_slices_are_counted_and_refuse_the_series(
    tmp_path: Path, missing: tuple[int, ...], reason: str
) -> None:
    """A volume with a hole has a wrong volume of tumour."""
    paths = write_series(tmp_path, np.tile(VALUES, (2, 1, 1)))
    for number in missing:
        paths[number].unlink()
    assert reason in reasons(find_scans(tmp_path))


def test_slices_lost_at_the_end_are_told_by_the_declared_number(tmp_path: Path) -> None:
    """Nothing in the geometry shows them."""
    paths = write_series(tmp_path, VALUES, change=setting(NumberOfSlices=6))
    paths[-1].unlink()
    remarks = read_scan(find_scans(tmp_path).scans[0]).remarks
    assert [remark.code for remark in remarks] == ["FP-2139"]


def test_small_jitter_of_slice_positions_is_accepted(tmp_path: Path) -> None:
    """The GE series of the Soft-tissue-Sarcoma collection steps by 3.19 to 3.29 mm."""

    def jitter(dataset: Dataset, number: int) -> None:
        dataset.ImagePositionPatient[2] += 0.1 * (number % 2)

    write_series(tmp_path, VALUES, change=jitter)
    assert find_scans(tmp_path).scans


def test_unevenly_spaced_and_sheared_slices_are_refused(tmp_path: Path) -> None:
    """Their voxels do not lie where a grid says."""

    def uneven(dataset: Dataset, number: int) -> None:
        dataset.ImagePositionPatient[2] += 1.5 * (number == 3)

    def sheared(dataset: Dataset, number: int) -> None:
        dataset.ImagePositionPatient[1] += 0.5 * number

    write_series(tmp_path / "1", VALUES, change=uneven)
    write_series(tmp_path / "2", VALUES, change=sheared)
    assert "unevenly spaced" in reasons(find_scans(tmp_path / "1"))
    assert "shifted" in reasons(find_scans(tmp_path / "2"))


def test_a_slice_found_twice_is_used_once_and_said_so(tmp_path: Path) -> None:
    """PACS exports often hold copies."""
    paths = write_series(tmp_path, VALUES)
    shutil.copy(paths[2], tmp_path / "copy")
    (scan,) = find_scans(tmp_path).scans
    assert scan.pet.grid.shape[0] == 6
    assert [remark.code for remark in scan.remarks] == ["FP-2137"]


def test_two_different_slices_at_one_place_refuse_the_series(tmp_path: Path) -> None:
    """Dynamic frames in one series would be mixed into one volume."""
    write_series(tmp_path / "a", VALUES)
    write_series(
        tmp_path / "b", VALUES + 1, change=lambda d, n: setattr(d, "SOPInstanceUID", f"1.2.{n}")
    )
    assert "lie at one position" in reasons(find_scans(tmp_path))


def test_slices_of_two_patients_in_one_series_are_kept_apart(tmp_path: Path) -> None:
    """An anonymiser may give one series UID to many."""
    write_series(tmp_path / "a", VALUES)
    write_series(tmp_path / "b", VALUES, patient="P2")
    assert [scan.patient_id for scan in find_scans(tmp_path).scans] == ["P1", "P2"]


def test_slices_that_disagree_on_the_weight_refuse_the_series(tmp_path: Path) -> None:
    """One SUV needs one weight."""

    def change(dataset: Dataset, number: int) -> None:
        dataset.PatientWeight = "70" if number < 3 else "90"

    write_series(tmp_path, VALUES, change=change)
    assert "disagree on weight" in reasons(find_scans(tmp_path))


def test_a_truncated_slice_refuses_its_series(tmp_path: Path) -> None:
    """Half a slice is no slice."""
    paths = write_series(tmp_path, VALUES)
    paths[2].write_bytes(paths[2].read_bytes()[:-8])
    assert "truncated" in reasons(find_scans(tmp_path))
    paths[2].write_bytes(paths[2].read_bytes()[:700])
    index = find_scans(tmp_path)
    assert not index.scans
    assert "Damaged DICOM" in reasons(index) or "missing" in reasons(index)


def test_the_baseline_pet_is_the_earliest_and_the_rest_is_recorded(tmp_path: Path) -> None:
    """A follow-up PET shows the effect that is to be predicted."""
    write_series(
        tmp_path / "0", VALUES, series="late", study="s2", change=setting(StudyDate="20250601")
    )
    write_series(tmp_path / "1", VALUES, series="early")
    write_series(tmp_path / "2", VALUES[:2], series="short")
    write_series(
        tmp_path / "3", VALUES, series="second", change=setting(ImageType=["DERIVED", "SECONDARY"])
    )
    index = find_scans(tmp_path)
    assert index.scans[0].pet.date == "20250102"
    assert len(index.scans[0].pet.slices) == 6
    assert index.scans[0].pet.header.values[0x00080008].startswith("ORIGINAL")
    assert len(index.rejected) == 3
    assert "An earlier PET" in reasons(index)


def test_equal_reconstructions_wait_for_a_person(tmp_path: Path) -> None:
    """A silent choice would differ from hospital to hospital; the list names the candidates."""
    write_series(tmp_path / "1", VALUES, series="a")
    write_series(tmp_path / "2", VALUES + 1, series="b", change=setting(SeriesNumber="7"))
    index = find_scans(tmp_path)
    assert not index.scans
    assert "2 reconstructions are equal by every rule (series numbers 1, 7)" in reasons(index)
    earl = setting(SeriesDescription="PET EARL2")
    write_series(tmp_path / "4", VALUES + 2, series="d", change=earl)
    index = find_scans(tmp_path)
    assert index.scans[0].pet.description == "PET EARL2"
    assert [remark.code for remark in index.scans[0].remarks] == ["FP-2138"]


def test_the_ct_is_in_the_frame_of_the_pet_and_covers_it(tmp_path: Path) -> None:
    """A CT from another visit would be laid over the wrong place."""
    write_series(tmp_path / "pet", VALUES)
    write_series(tmp_path / "1", VALUES, modality="CT", series="other", frame="elsewhere")
    write_series(tmp_path / "2", VALUES, modality="CT", series="half", origin=(-10.0, -20.0, 42.0))
    write_series(
        tmp_path / "3",
        VALUES,
        modality="CT",
        series="scout",
        change=setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    )
    (scan,) = find_scans(tmp_path).scans
    assert scan.ct is not None
    assert [remark.code for remark in read_scan(scan).remarks] == ["FP-2136"]
    write_series(
        tmp_path / "4",
        VALUES,
        modality="CT",
        series="lung",
        change=setting(ConvolutionKernel="LUNG"),
    )
    write_series(
        tmp_path / "5",
        VALUES,
        modality="CT",
        series="soft",
        change=setting(ConvolutionKernel="STANDARD"),
    )
    (scan,) = find_scans(tmp_path).scans
    assert scan.ct is not None
    assert scan.ct.header.text(0x00181210) == "STANDARD"


def test_contours_on_the_pet_win_over_contours_on_the_ct(tmp_path: Path) -> None:
    """And the newest wins among those; equal ones are not guessed."""
    pet = write_series(tmp_path / "pet", VALUES)
    ct = write_series(tmp_path / "ct", VALUES, modality="CT", series="ct")
    square = [[(-9.0, -19.0, 34.0), (-2.0, -19.0, 34.0), (-2.0, -12.0, 34.0)]]
    write_structures(tmp_path / "on-ct", {"lesion": square}, references=ct[0])
    assert find_scans(tmp_path).scans[0].mask.target == "ct"  # type: ignore[union-attr]
    write_structures(tmp_path / "on-pet", {"lesion": square}, references=pet[0])
    index = find_scans(tmp_path)
    assert index.scans[0].mask.target == "pet"  # type: ignore[union-attr]
    shutil.copy(tmp_path / "on-pet", tmp_path / "copy")
    assert find_scans(tmp_path).scans[0].mask is not None
    write_structures(tmp_path / "again", {"lesion": square}, references=pet[0])
    index = find_scans(tmp_path)
    assert index.scans[0].mask is None
    assert "equally new" in reasons(index)


def test_a_mask_without_its_pet_is_recorded(tmp_path: Path) -> None:
    """It would otherwise vanish without a trace."""
    pet = write_series(tmp_path / "pet", VALUES)
    write_structures(tmp_path / "rs", {"lesion": []}, references=pet[0], patient="P9")
    index = find_scans(tmp_path)
    assert "no usable PET" in reasons(index)


def test_the_digest_changes_with_content_and_not_with_reading(tmp_path: Path) -> None:
    """It is the key of the cache: a stale hit would be a silent error."""
    paths = write_series(tmp_path, VALUES)
    first = find_scans(tmp_path).scans[0].content_digest()
    assert find_scans(tmp_path).scans[0].content_digest() == first
    dataset = pydicom.dcmread(paths[0])
    dataset.RescaleSlope = "2.5"
    dataset.save_as(paths[0])
    assert find_scans(tmp_path).scans[0].content_digest() != first


def test_no_reason_names_the_patient(tmp_path: Path) -> None:
    """Reasons are shown to people who may not see identifiers."""
    write_series(tmp_path / "a", VALUES, patient="SECRET-77", change=setting(Units="1CM"))
    write_series(tmp_path / "b", VALUES[:1], patient="SECRET-78")
    index = find_scans(tmp_path)
    assert len(index.rejected) == 2
    assert "SECRET" not in reasons(index)
    assert generate_uid() not in reasons(index)
