"""A volume in one multi-frame file is the volume that its slices are."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless, generate_uid

from fedpet.imaging import reading, tags
from fedpet.imaging.index import Index, find_scans
from fedpet.imaging.reading import read_header
from fedpet.imaging.scan import read_scan
from pet_files import factor_bqml, need, write_series

VALUES = np.random.default_rng(3).integers(0, 1000, (6, 4, 5))
SLOPES = [1.0, 2.5, 0.125, 3.0, 0.75, 2.0]
LEGACY_PET = "1.2.840.10008.5.1.4.1.1.128.1"
ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"


def convert(folder: Path, target: Path, *, modality: str = "PET") -> Path:
    """Convert the slices of a folder with highdicom, which has no line of ours."""
    from highdicom.legacy import LegacyConvertedEnhancedCTImage, LegacyConvertedEnhancedPETImage

    kind = LegacyConvertedEnhancedPETImage if modality == "PET" else LegacyConvertedEnhancedCTImage
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = kind(
            slices,
            series_instance_uid=generate_uid(),
            series_number=7,
            sop_instance_uid=generate_uid(),
            instance_number=1,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        made.save_as(target)
    logging.disable(logging.NOTSET)
    return target


def one_item(**values: object) -> list[Dataset]:
    """Return a sequence of one item."""
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return [item]


def enhanced(folder: Path, target: Path) -> pydicom.FileDataset:
    """Make the Enhanced PET object (PS3.3 A.56) of a folder of slices, by its modules."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    made = pydicom.dcmread(sorted(folder.iterdir())[0])
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = ENHANCED_PET
    made.SeriesInstanceUID, made.SOPInstanceUID = generate_uid(), generate_uid()
    gone = (
        "ImagePositionPatient ImageOrientationPatient PixelSpacing RescaleSlope Units "
        "RescaleIntercept CorrectedImage DecayCorrection SeriesType FrameReferenceTime "
        "ActualFrameDuration DecayFactor AcquisitionDate AcquisitionTime SliceThickness"
    )
    for name in gone.split():
        if name in made:
            delattr(made, name)
    made.NumberOfFrames = len(slices)
    made.PixelData = b"".join(one.PixelData for one in slices)
    made.DecayCorrected = made.AttenuationCorrected = made.ScatterCorrected = "YES"
    made.DecayCorrectionDateTime = "20250102110000.000000+0100"
    made.SeriesTime = "095959"  # when the series was begun in the console, as it often is
    units = one_item(CodeValue="Bq/ml", CodingSchemeDesignator="UCUM")
    made.SharedFunctionalGroupsSequence = one_item(
        PlaneOrientationSequence=one_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelMeasuresSequence=one_item(PixelSpacing=[4, 4], SliceThickness=4),
        PETFrameTypeSequence=one_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
    )
    made.PerFrameFunctionalGroupsSequence = [
        one_item(
            PlanePositionSequence=one_item(ImagePositionPatient=one.ImagePositionPatient),
            FrameContentSequence=one_item(
                FrameAcquisitionDateTime="20250102110000", FrameAcquisitionDuration=120000.0
            ),
            PixelValueTransformationSequence=one_item(
                RescaleSlope="1", RescaleIntercept="0", RescaleType="US"
            ),
            RealWorldValueMappingSequence=one_item(
                RealWorldValueSlope=float(one.RescaleSlope),
                RealWorldValueIntercept=0.0,
                MeasurementUnitsCodeSequence=units,
            ),
        )[0]
        for one in slices
    ]
    target.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(target)
    return made


def reasons(index: Index) -> str:
    """Return all reasons of an index in one text."""
    return " | ".join(one.reason for one in index.rejected)


def test_a_real_pet_converted_by_others_is_the_same_volume(tmp_path: Path) -> None:
    """SimpleITK reads such a file with spacing 1 and one slope for all: 56,166 of 273,860."""
    folder = need("sts_001_pet", "image")
    convert(folder, tmp_path / "one")
    slices, frames = (read_scan(find_scans(one).scans[0]) for one in (folder, tmp_path))
    assert np.array_equal(frames.suv.array, slices.suv.array)
    assert frames.suv.grid == slices.suv.grid
    assert frames.provenance == slices.provenance


def test_a_real_ct_converted_by_others_is_the_same_volume(tmp_path: Path) -> None:
    """Slices and frames may even lie side by side: the PET here, the CT there."""
    folder = need("sts_001_petct_crop")
    convert(folder / "CT/image", tmp_path / "ct", modality="CT")
    convert(folder / "PET/image", tmp_path / "pet")
    expected = read_scan(find_scans(folder).scans[0])
    found = read_scan(find_scans(tmp_path).scans[0])
    assert expected.ct is not None
    assert found.ct is not None
    assert np.array_equal(found.ct.array, expected.ct.array)
    assert found.ct.grid == expected.ct.grid
    assert np.array_equal(found.suv.array, expected.suv.array)


def test_slices_beside_their_own_conversion_are_one_pet(tmp_path: Path) -> None:
    """Archives keep both; a copy is no second reconstruction."""
    write_series(tmp_path / "slices", VALUES, slopes=SLOPES)
    convert(tmp_path / "slices", tmp_path / "frames/one")
    index = find_scans(tmp_path)
    assert len(index.scans) == 1
    assert "copy of the series" in reasons(index)


def test_enhanced_pet_gives_the_suv_of_its_slices(tmp_path: Path) -> None:
    """Its units, corrections and decay time stand in attributes that single slices lack."""
    write_series(tmp_path / "slices", VALUES, slopes=SLOPES)
    enhanced(tmp_path / "slices", tmp_path / "frames/one")
    slices, frames = (
        read_scan(find_scans(tmp_path / name).scans[0]) for name in ("slices", "frames")
    )
    assert np.array_equal(frames.suv.array, slices.suv.array)
    assert frames.suv.grid == slices.suv.grid
    expected = VALUES * np.array(SLOPES)[:, None, None] * factor_bqml()
    assert np.allclose(frames.suv.array, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AttenuationCorrected", "NO", "lacks ATTN"),
        ("DecayCorrected", "", "lacks DECY"),
        ("NumberOfFrames", 7, "declares 7 frames and describes 6"),
        ("NumberOfFrames", "", "declares 0 frames and describes 6"),
        ("Rows", 5, "truncated"),
        ("PixelData", b"\0" * 120, "truncated"),
        ("SharedFunctionalGroupsSequence", None, "Image Orientation"),
    ],
)
def test_an_enhanced_pet_that_lacks_something_is_left_out_with_its_reason(
    tmp_path: Path, name: str, value: object, reason: str
) -> None:
    """The rules for slices hold for frames."""
    write_series(tmp_path / "slices", VALUES, slopes=SLOPES)
    made = enhanced(tmp_path / "slices", tmp_path / "frames/one")
    setattr(made, name, value)
    made.save_as(tmp_path / "frames/one")
    index = find_scans(tmp_path / "frames")
    assert not index.scans
    assert reason in reasons(index)


def test_gates_of_one_object_are_not_mixed_into_one_volume(tmp_path: Path) -> None:
    """Two time points in one file are two volumes; a person must say which."""
    write_series(tmp_path / "slices", VALUES, slopes=SLOPES)
    made = enhanced(tmp_path / "slices", tmp_path / "frames/one")
    groups = list(made.PerFrameFunctionalGroupsSequence)
    made.NumberOfFrames = 12
    made.PixelData = made.PixelData + bytes(reversed(made.PixelData))
    later = [pydicom.Dataset.from_json(group.to_json()) for group in groups]
    for number, group in enumerate([*groups, *later]):
        group.FrameContentSequence[0].TemporalPositionIndex = 1 + number // 6
    made.PerFrameFunctionalGroupsSequence = [*groups, *later]
    made.save_as(tmp_path / "frames/one")
    index = find_scans(tmp_path / "frames")
    assert not index.scans
    assert len(index.rejected) == 2
    assert "2 reconstructions are equal by every rule" in reasons(index)


def test_compressed_and_deflated_frames_equal_the_raw_ones(tmp_path: Path) -> None:
    """Frames are decoded one by one from one file."""
    write_series(tmp_path / "slices", VALUES, slopes=SLOPES)
    raw = read_scan(find_scans(tmp_path / "slices").scans[0]).suv.array
    made = enhanced(tmp_path / "slices", tmp_path / "deflated/one")
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.save_as(tmp_path / "deflated/one")
    made = enhanced(tmp_path / "slices", tmp_path / "rle/one")
    made.compress(RLELossless, generate_instance_uid=False)
    made.save_as(tmp_path / "rle/one")
    for name in ("deflated", "rle"):
        found = read_scan(find_scans(tmp_path / name).scans[0]).suv.array
        assert np.array_equal(found, raw)


def test_the_header_of_frames_equals_pydicom(tmp_path: Path) -> None:
    """Places and slopes of frames are read by our own reader, from sequences in sequences."""
    write_series(tmp_path / "slices", VALUES, slopes=SLOPES)
    convert(tmp_path / "slices", tmp_path / "legacy")
    enhanced(tmp_path / "slices", tmp_path / "enhanced")
    for name in ("legacy", "enhanced"):
        ours = read_header(str(tmp_path / name))
        theirs = reading._read_with_pydicom(str(tmp_path / name), tags.INDEX)
        assert ours is not None
        assert (ours.values, ours.sequences) == (theirs.values, theirs.sequences)
        assert len(ours.items(tags.FRAME_GROUPS)) == len(VALUES)
