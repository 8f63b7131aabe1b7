"""What phantom hospitals write is DICOM, and it says what was simulated."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Polygon
from pydicom.dataset import Dataset

from fedpet.synthetic.hospitals import SiteWritten, write_hospitals
from fedpet.synthetic.masks import outlines
from fedpet.synthetic.profiles import HOSPITALS, Masks, Vendor
from fedpet.synthetic.subject import Roll, examine, write_subjects

SEED = 11
ROLLS = [Roll(seed=SEED, index=index, subjects=1) for index in range(len(HOSPITALS))]
EVERY_HOSPITAL = pytest.mark.parametrize("roll", ROLLS, ids=lambda roll: roll.hospital.site)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All ten hospitals with one subject each."""
    folder = tmp_path_factory.mktemp("federation")
    written = list(write_hospitals(folder, subjects=10, sites=10, seed=SEED, workers=1))
    assert all(isinstance(site, SiteWritten) for site in written)
    return folder


@cache
def read(folder: Path) -> dict[str, list[Dataset]]:
    """Read everything in a folder with pydicom, by series description."""
    found = defaultdict(list)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        data_set = pydicom.dcmread(file)
        found[data_set.SeriesDescription].append(data_set)
    for series in found.values():
        if "ImagePositionPatient" in series[0]:
            series.sort(key=lambda ds: -ds.ImagePositionPatient[2])
    return found


def suv_by_the_book(series: list[Dataset], vendor: Vendor) -> tuple[np.ndarray, np.ndarray]:
    """Compute SUV slice by slice from the headers, as the makers tell; return it and its step."""
    slopes = np.array([float(ds.RescaleSlope) for ds in series])[:, None, None]
    stored = np.stack([ds.pixel_array for ds in series]).astype(np.float64)
    first = series[0]
    tracer = first.RadiopharmaceuticalInformationSequence[0]
    dose = float(tracer.RadionuclideTotalDose) * (1e6 if tracer.RadionuclideTotalDose < 1e5 else 1)
    if vendor is Vendor.PHILIPS:
        factor = float(first[0x7053, 0x1000].value)
    else:

        def seconds(text: str) -> float:
            return int(text[:2]) * 3600 + int(text[2:4]) * 60 + float(text[4:])

        start = first[0x0009, 0x100D].value[8:] if vendor is Vendor.GE else first.SeriesTime
        uptake = seconds(start) - seconds(tracer.RadiopharmaceuticalStartTime)
        if first.DecayCorrection == "START":
            dose *= 2 ** (-uptake / float(tracer.RadionuclideHalfLife))
        factor = float(first.PatientWeight) * 1000 / dose
    return stored * slopes * factor, slopes * factor


@EVERY_HOSPITAL
def test_suv_comes_back_within_one_step_of_storage(federation: Path, roll: Roll) -> None:
    """Three makers store activity in three ways; the physics behind it must be the same."""
    _, scan = examine(roll, 0)
    series = read(federation / roll.hospital.site / "images")["PET WB"]
    suv, step = suv_by_the_book(series, roll.hospital.scanner.vendor)
    assert suv.shape == scan.suv.array.shape
    assert (np.abs(suv - scan.suv.array) <= 0.51 * step + 1e-6 * scan.suv.array).all()


@pytest.mark.parametrize(
    "roll",
    [roll for roll in ROLLS if roll.hospital.scanner.vendor is Vendor.PHILIPS],
    ids=lambda roll: roll.hospital.site,
)
def test_the_counts_of_philips_agree_with_their_own_activity_factor(
    federation: Path, roll: Roll
) -> None:
    """(7053,1000) and (7053,1009) are two ways to the same SUV; a reader may cross-check them."""
    ds = read(federation / roll.hospital.site / "images")["PET WB"][0]
    exam, _ = examine(roll, 0)
    assert ds.Units == "CNTS"
    activity = float(ds[0x7053, 0x1009].value) * exam.suv_factor(float(ds.PatientWeight))
    assert activity == pytest.approx(float(ds[0x7053, 0x1000].value), rel=1e-9)


@EVERY_HOSPITAL
def test_positions_times_and_identifiers_fit_together(federation: Path, roll: Roll) -> None:
    """A reader sorts by position, pairs by frame of reference and trusts unique identifiers."""
    exam, scan = examine(roll, 0)
    found = read(federation / roll.hospital.site / "images")
    pet, ct = found["PET WB"], found["CT WB low dose"]
    everything = [ds for series in found.values() for ds in series]
    uids = [ds.SOPInstanceUID for ds in everything]
    assert len(set(uids)) == len(uids)
    assert all(uid.is_valid and len(uid) == 44 for uid in uids)
    assert all(ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID for ds in everything)
    assert {ds.FrameOfReferenceUID for ds in (*pet, *ct)} == {exam.uid("frame of reference")}
    assert len({ds.StudyInstanceUID for ds in everything}) == 1
    assert {ds.PatientID for ds in everything} == {exam.patient_id}
    for series, volume in ((pet, scan.suv), (ct, scan.ct)):
        z = np.array([float(ds.ImagePositionPatient[2]) for ds in series])
        assert np.allclose(np.diff(z), -volume.grid.spacing_mm[0], atol=2e-3)
        assert series[0].ImagePositionPatient == pytest.approx(volume.grid.origin_mm, abs=1e-3)
        assert tuple(series[0].PixelSpacing) == volume.grid.spacing_mm[1:]
    hounsfield = np.stack([ds.pixel_array for ds in ct]).astype(int) - 1024
    assert (hounsfield == scan.ct.array).all()
    ages = [float(ds.FrameReferenceTime) / 1000 for ds in pet]
    factors = [float(ds.DecayFactor) for ds in pet]
    assert np.allclose(factors, 2 ** (np.array(ages) / 6586.2), rtol=1e-6)
    assert len({ds.AcquisitionTime for ds in pet}) > 3


def test_slopes_change_from_slice_to_slice_where_the_maker_does_so(federation: Path) -> None:
    """A reader that takes the first slope for all must be caught."""
    for roll in ROLLS:
        series = read(federation / roll.hospital.site / "images")["PET WB"]
        slopes = {float(ds.RescaleSlope) for ds in series}
        assert (len(slopes) == 1) == (roll.hospital.scanner.vendor is Vendor.SIEMENS)


@EVERY_HOSPITAL
def test_masks_read_by_others_are_the_lesions(federation: Path, roll: Roll) -> None:
    """Whatever the format, the voxels inside must be those that were painted."""
    exam, scan = examine(roll, 0)
    home = federation / roll.hospital.site
    truth = scan.lesions.array
    if roll.hospital.masks is Masks.NIFTI:
        image = nib.load(home / "masks" / f"{exam.patient_id}.nii.gz")
        assert (np.asarray(image.dataobj).transpose(2, 1, 0) == truth).all()
        x, y, z = scan.lesions.grid.origin_mm
        assert np.allclose(image.affine[:3, 3], (-x, -y, z))
        step = image.affine[:3, :3] @ (0, 0, 1)
        assert np.allclose(step, (0, 0, -scan.lesions.grid.spacing_mm[0]))
    elif roll.hospital.masks is Masks.SEG:
        (file,) = home.rglob("seg.dcm")
        assert (from_segmentation(file, scan.lesions.grid) == truth).all()
    elif roll.hospital.masks is Masks.RTSTRUCT:
        (file,) = home.rglob("rtstruct.dcm")
        assert (from_structure_set(pydicom.dcmread(file), scan.lesions.grid) == truth).all()
    else:
        assert not list(home.rglob("*.nii.gz"))


def from_segmentation(file: Path, grid: object) -> np.ndarray:
    """Decode a segmentation with highdicom; frames are placed by their position."""
    seg = highdicom.seg.segread(file)
    labels = np.zeros(grid.shape, np.uint16)
    numbers = {s.SegmentNumber: int(s.SegmentLabel.split()[1]) for s in seg.SegmentSequence}
    for frame, groups in zip(
        np.atleast_3d(seg.pixel_array).reshape(-1, *grid.shape[1:]),
        seg.PerFrameFunctionalGroupsSequence,
        strict=True,
    ):
        z = float(groups.PlanePositionSequence[0].ImagePositionPatient[2])
        index = round((grid.origin_mm[2] - z) / grid.spacing_mm[0])
        segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        labels[index][frame > 0] = numbers[segment]
    return labels


def from_structure_set(ds: Dataset, grid: object) -> np.ndarray:
    """Fill contours by the even-odd rule at voxel centres, with matplotlib's polygon test."""
    labels = np.zeros(grid.shape, np.uint16)
    for region in ds.ROIContourSequence:
        inside = np.zeros(grid.shape, bool)
        for contour in region.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3) - grid.origin_mm
            columns, rows = points[:, 0] / grid.spacing_mm[2], points[:, 1] / grid.spacing_mm[1]
            index = round(-points[0, 2] / grid.spacing_mm[0])
            inside[index] ^= filled(np.column_stack([rows, columns]), grid.shape[1:])
        labels[inside] = int(region.ReferencedROINumber)
    return labels


def filled(corners: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return which pixel centres lie in a polygon."""
    centres = np.indices(shape).reshape(2, -1).T
    return Polygon(corners).contains_points(centres).reshape(shape)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_outlines_filled_by_the_even_odd_rule_give_the_mask_back(mask: np.ndarray) -> None:
    """Holes, touching corners and single pixels must survive the way through polygons."""
    again = np.zeros_like(mask)
    for polygon in outlines(mask):
        again ^= filled(polygon, mask.shape)
    assert (again == mask).all()


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
@EVERY_HOSPITAL
def test_an_independent_validator_finds_no_error(federation: Path, roll: Roll) -> None:
    """Conformance is what the standard's own checker says, not what we believe."""
    groups = defaultdict(list)
    for file in sorted((federation / roll.hospital.site / "images").rglob("*")):
        if file.is_file():
            groups[file.parent, file.name.rstrip("0123456789.dcm")].append(file)
    for files in groups.values():
        for file in {files[0], files[len(files) // 2], files[-1]}:
            done = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
            assert "Error" not in done.stderr + done.stdout


def test_messy_hospitals_send_more_than_was_asked_for(federation: Path) -> None:
    """An uncorrected PET, a screenshot and a dose in MBq must be there to be dealt with."""
    nac = read(federation / "rennes" / "images")["PET WB NAC"]
    assert "ATTN" not in nac[0].CorrectedImage
    (capture,) = read(federation / "nantes" / "images")["MIP"]
    assert capture.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    tracer = read(federation / "bordeaux" / "images")["PET WB"][0]
    dose = tracer.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose
    assert 100 < dose < 500


def test_a_forgotten_weight_stands_nowhere_in_the_files(tmp_path: Path) -> None:
    """The flawed subjects must be unusable in truth: no weight, and no factor that holds one."""
    for index, number in ((1, 3), (6, 4)):
        folder = tmp_path / str(index)
        folder.mkdir()
        roll = Roll(seed=1, index=index, subjects=20)
        write_subjects(roll, range(number, number + 1), folder)
        for ds in read(folder / "images")["PET WB"]:
            assert "PatientWeight" not in ds
            assert (0x7053, 0x1000) not in ds
