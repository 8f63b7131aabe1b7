"""Lesions go out as DICOM SEG and come back the same, in our reader and in another's."""

from __future__ import annotations

import shutil
import stat
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging.index import find_scans
from fedpet.imaging.scan import read_scan
from fedpet.imaging.segmentation import read_segmentation
from fedpet.imaging.segments import write_segmentation
from fedpet.imaging.series import Series
from fedpet.imaging.volume import Volume
from pet_files import need, write_series, write_structures

SHAPE = (6, 10, 12)
VALUES = np.random.default_rng(7).integers(1, 1000, SHAPE)


def labels() -> NDArray[np.uint16]:
    """Return three lesions, two of which touch over a corner."""
    found = np.zeros(SHAPE, np.uint16)
    found[1:3, 2:5, 3:6] = 1
    found[3, 5:7, 6:8] = 4
    found[4, 7:9, 8:11] = 2
    return found


def the_pet(folder: Path) -> Series:
    return find_scans(folder).scans[0].pet


def test_a_segmentation_comes_back_as_it_went(tmp_path: Path) -> None:
    """Export, look, import again: no voxel may move; touching lesions stay two."""
    write_series(tmp_path / "images", VALUES)
    pet = the_pet(tmp_path / "images")
    lesions = Volume(array=labels(), grid=pet.grid)
    path = tmp_path / "images" / "lesions.dcm"
    write_segmentation(lesions, pet, path, method="suv4.0")
    images = read_scan(find_scans(tmp_path / "images").scans[0])
    assert images.lesions is not None
    assert np.array_equal(images.lesions.array > 0, labels() > 0)
    for own in (1, 2, 4):
        numbers = np.unique(images.lesions.array[labels() == own])
        assert len(numbers) == 1
    assert images.lesions.array.max() == 3


def test_another_library_reads_the_same_voxels_and_the_method(tmp_path: Path) -> None:
    """A viewer sees segments named in order, on the slices of the PET, and what drew them."""
    import highdicom as hd

    paths = write_series(tmp_path / "pet", VALUES)
    pet = the_pet(tmp_path / "pet")
    path = tmp_path / "lesions.dcm"
    write_segmentation(Volume(array=labels(), grid=pet.grid), pet, path, method="percist")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = hd.seg.segread(path)
        uids = [str(pydicom.dcmread(one).SOPInstanceUID) for one in paths]
        pixels = told.get_pixels_by_source_instance(uids, combine_segments=True)
    assert np.array_equal(pixels > 0, labels() > 0)
    assert told.number_of_segments == 3
    first = told.SegmentSequence[0]
    assert first.SegmentLabel == "Lesion 1"
    assert first.SegmentAlgorithmName == "fedpet percist"
    assert told.PatientID == "P1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_lesions_have_the_same_identifiers(tmp_path: Path) -> None:
    """A second export must not look like a second reading in the PACS."""
    write_series(tmp_path / "pet", VALUES)
    pet = the_pet(tmp_path / "pet")
    uids = []
    for method in ("given", "given", "percist"):
        path = tmp_path / "lesions.dcm"
        write_segmentation(Volume(array=labels(), grid=pet.grid), pet, path, method=method)
        uids.append(str(pydicom.dcmread(path).SOPInstanceUID))
    assert uids[0] == uids[1] != uids[2]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
def test_the_validator_of_dicom3tools_finds_no_error(tmp_path: Path) -> None:
    """Real PET of a real scanner as the source, as its header is the one that is copied."""
    folder = need("sts_001_petct_crop")
    scan = find_scans(folder).scans[0]
    lesions = read_scan(scan).lesions
    assert lesions is not None
    path = tmp_path / "lesions.dcm"
    write_segmentation(lesions, scan.pet, path, method="given")
    back = read_segmentation(str(path)).labels
    assert back is not None
    assert (back.array > 0).sum() == (lesions.array > 0).sum()
    told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    assert "Error" not in told.stderr + told.stdout


def test_nothing_to_write_is_told(tmp_path: Path) -> None:
    """An empty file would look like a reading that found nothing."""
    write_series(tmp_path / "pet", VALUES)
    pet = the_pet(tmp_path / "pet")
    nothing = Volume(array=np.zeros(SHAPE, np.uint16), grid=pet.grid)
    with pytest.raises(DataError, match="no lesion"):
        write_segmentation(nothing, pet, tmp_path / "lesions.dcm", method="given")


def square(x: float, y: float, z: float, side: float) -> list[tuple[float, float, float]]:
    """Return a square contour."""
    return [(x, y, z), (x + side, y, z), (x + side, y + side, z), (x, y + side, z)]


def test_organs_of_a_mask_are_kept_for_ratios_and_never_lesions(tmp_path: Path) -> None:
    """Liver, spleen and L3 muscle are what organ biomarkers are measured on."""
    paths = write_series(tmp_path / "pet", VALUES)
    regions = {
        name: [square(-8.0 + shift, -18.0, 34.0, 6.0)]
        for shift, name in enumerate(("GTV", "Liver", "muscle_L3"))
    }
    write_structures(tmp_path / "rs", regions, references=paths[0])
    images = read_scan(find_scans(tmp_path).scans[0])
    assert images.lesions is not None
    assert images.lesions.array.max() == 1
    assert set(images.organs) == {"liver", "muscle"}
    assert images.organs["liver"].array.any()


def test_a_mask_that_reaches_beyond_the_pet_is_told(tmp_path: Path) -> None:
    """What lies outside is lost to every biomarker; somebody should know."""
    write_series(tmp_path / "big", np.tile(VALUES, (2, 1, 1)), series="big")
    pet = the_pet(tmp_path / "big")
    both = np.concatenate([np.zeros(SHAPE, np.uint16), labels()])
    both[5] = both[8]
    write_series(tmp_path / "pet", VALUES)
    path = tmp_path / "pet" / "lesions"
    write_segmentation(Volume(array=both, grid=pet.grid), pet, path, method="given")
    images = read_scan(find_scans(tmp_path / "pet").scans[0])
    assert "FP-2146" in [remark.code for remark in images.remarks]


def test_lesions_of_an_enhanced_pet_refer_to_its_frames(tmp_path: Path) -> None:
    """One file holds the whole PET; highdicom converted it, and its frames are the slices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import highdicom as hd

        sources = [pydicom.dcmread(one) for one in write_series(tmp_path / "single", VALUES)]
        made = hd.legacy.LegacyConvertedEnhancedPETImage(
            sources,
            series_instance_uid=hd.UID(),
            series_number=3,
            sop_instance_uid=hd.UID(),
            instance_number=1,
        )
        (tmp_path / "enhanced").mkdir()
        made.save_as(tmp_path / "enhanced" / "pet.dcm")
    pet = the_pet(tmp_path / "enhanced")
    path = tmp_path / "enhanced" / "lesions.dcm"
    write_segmentation(Volume(array=labels(), grid=pet.grid), pet, path, method="percist")
    images = read_scan(find_scans(tmp_path / "enhanced").scans[0])
    assert images.lesions is not None
    assert np.array_equal(images.lesions.array > 0, labels() > 0)
