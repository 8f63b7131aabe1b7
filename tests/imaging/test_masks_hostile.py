"""Masks that fool a reader: sparse, overlapping, fractional, of two places, of thinner slices."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from fedpet.imaging.index import find_scans
from fedpet.imaging.scan import Images, read_scan
from pet_files import write_series, write_structures

SHAPE = (16, 10, 12)
VALUES = np.random.default_rng(9).integers(1, 1000, SHAPE)
X, Y, Z = -10.0, -20.0, 30.0
MM = 4.0


def reading(folder: Path, masks: Path | None = None) -> Images:
    """Read the only scan of a folder."""
    return read_scan(find_scans(folder, masks=masks).scans[0])


def lesions(images: Images) -> NDArray[np.bool_]:
    """Return which voxels are lesions."""
    assert images.lesions is not None, images.remarks
    return images.lesions.array > 0


def segment(path: Path, images: list[Path], mask: NDArray[np.generic], **kind: object) -> None:
    """Write a SEG by highdicom: [frames, rows, columns] or with segments behind."""
    count = 1 if mask.ndim == 3 else mask.shape[3]
    made = hd.seg.Segmentation(
        [pydicom.dcmread(one) for one in images],
        mask,
        kind.pop("type", "BINARY"),
        [
            hd.seg.SegmentDescription(
                segment_number=number + 1,
                segment_label=f"Lesion {number + 1}",
                segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=codes.SCT.Neoplasm,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number in range(count)
        ],
        series_instance_uid=hd.UID(),
        series_number=7,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Nobody",
        manufacturer_model_name="None",
        software_versions="0",
        device_serial_number="0",
        **kind,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)


@pytest.mark.parametrize("planes", [(2, 9), (3, 7, 11), (5,), (0, 15)])
def test_lesions_of_single_slices_far_apart_stay_single_slices(
    tmp_path: Path, planes: tuple[int, ...]
) -> None:
    """Empty frames are not stored; the least gap between those that are is no slice thickness."""
    paths = write_series(tmp_path / "pet", VALUES)
    mask = np.zeros(SHAPE, np.uint8)
    mask[list(planes), 2:5, 3:7] = 1
    segment(tmp_path / "seg" / "one", paths, mask)
    images = reading(tmp_path)
    assert np.array_equal(lesions(images), mask > 0)
    assert images.lesions is not None
    assert images.lesions.array.max() == len(planes)
    assert images.remarks == ()


def test_half_of_a_fraction_is_a_lesion_and_less_is_not(tmp_path: Path) -> None:
    """Probabilities and occupancies are stored as parts of 255."""
    paths = write_series(tmp_path / "pet", VALUES)
    fraction = np.zeros(SHAPE, np.float32)
    fraction[4, 2, 1:8] = (0.1, 0.3, 0.49, 0.51, 0.7, 0.9, 1.0)
    segment(
        tmp_path / "seg" / "one",
        paths,
        fraction,
        type="FRACTIONAL",
        fractional_type="PROBABILITY",
        max_fractional_value=255,
    )
    assert np.array_equal(lesions(reading(tmp_path)), fraction >= 0.5)


def test_segments_that_overlap_count_each_voxel_once(tmp_path: Path) -> None:
    """Their union is the tumour; adding their volumes would count the overlap twice."""
    paths = write_series(tmp_path / "pet", VALUES)
    mask = np.zeros((*SHAPE, 2), np.uint8)
    mask[3:6, 2:6, 2:6, 0] = 1
    mask[4:8, 4:8, 4:8, 1] = 1
    segment(tmp_path / "seg" / "one", paths, mask)
    found = reading(tmp_path)
    assert np.array_equal(lesions(found), mask.any(axis=3))


def square(low: float, high: float, z: float) -> list[tuple[float, float, float]]:
    corners = ((low, low), (high, low), (high, high), (low, high))
    return [(X + MM * i, Y + MM * j, z) for i, j in corners]


def test_contours_of_thinner_slices_do_not_cut_each_other_out(tmp_path: Path) -> None:
    """Drawn every 2 mm and read every 4 mm, two contours in one slice are no ring and its hole."""
    paths = write_series(tmp_path / "pet", VALUES)
    drawn = [square(0.5, 6.5, Z + 1.0 + 2.0 * step) for step in range(3, 17)]
    write_structures(tmp_path / "rs", {"GTV": drawn}, references=paths[0])
    expected = np.zeros(SHAPE, bool)
    expected[2:9, 1:7, 1:7] = True
    assert np.array_equal(lesions(reading(tmp_path)), expected)


def test_a_keyhole_is_a_hole_and_neighbours_in_a_slice_are_two(tmp_path: Path) -> None:
    """Planning systems tie the inner to the outer outline by a channel without width."""
    paths = write_series(tmp_path / "pet", VALUES)
    z = Z + 3 * MM
    outer, inner = square(0.5, 7.5, z), square(2.5, 5.5, z)
    keyhole = [*outer, outer[0], inner[0], *reversed(inner[1:]), inner[0], outer[0]]
    apart = [
        (X + MM * i, Y + MM * j, z) for i, j in ((9.5, 7.5), (10.5, 7.5), (10.5, 8.5), (9.5, 8.5))
    ]
    write_structures(tmp_path / "rs", {"GTV": [keyhole, apart]}, references=paths[0])
    expected = np.zeros(SHAPE, bool)
    expected[3, 1:8, 1:8] = True
    expected[3, 3:6, 3:6] = False
    expected[3, 8, 10] = True
    found = reading(tmp_path)
    assert np.array_equal(lesions(found), expected)
    assert found.lesions is not None
    assert found.lesions.array.max() == 2


def nifti(folder: Path, mask: NDArray[np.uint8], sform: object, qform: object) -> Path:
    """Write a mask with two affines; None leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(mask.transpose(2, 1, 0), None)
    image.header.set_sform(sform, code=0 if sform is None else 2)
    image.header.set_qform(qform, code=0 if qform is None else 1)
    nib.save(image, folder / "P1.nii.gz")
    return folder


AFFINE = np.array([[-MM, 0, 0, -X], [0, -MM, 0, -Y], [0, 0, MM, Z], [0, 0, 0, 1.0]])
ELSEWHERE = AFFINE + np.array([[0, 0, 0, 1.3], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
SHIFTED = AFFINE + np.array([[0, 0, 0, MM], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("sform", "qform", "fits"),
    [
        (AFFINE, AFFINE, True),
        (AFFINE, None, True),
        (None, AFFINE, True),
        (AFFINE, ELSEWHERE, True),  # only one of them is a place of this scan
        (ELSEWHERE, AFFINE, True),
        (AFFINE, SHIFTED, False),  # both are: which one, nobody knows
        (SHIFTED, AFFINE, False),
        (ELSEWHERE, ELSEWHERE, False),
    ],
)
def test_a_nifti_mask_of_two_places_is_not_placed_by_chance(
    tmp_path: Path, sform: object, qform: object, fits: bool
) -> None:
    """ITK believes the qform, nibabel the sform: a voxel's width of the wrong tumour."""
    write_series(tmp_path / "pet", VALUES)
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:7, 3:6, 2:5] = 1
    images = reading(tmp_path / "pet", nifti(tmp_path / "masks", mask, sform, qform))
    if fits:
        assert np.array_equal(lesions(images), mask > 0)
    else:
        assert images.lesions is None
        assert [one.code for one in images.remarks] == ["FP-2140"]
