"""Masks from contours, segmentations and NIfTI files land on the right voxels of the PET."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.imaging.contours import fill_polygon
from fedpet.imaging.index import find_scans
from fedpet.imaging.regions import is_lesion
from fedpet.imaging.scan import Images, read_scan
from fedpet.imaging.segmentation import read_segmentation
from pet_files import need, write_series, write_structures

SHAPE = (6, 10, 12)
VALUES = np.random.default_rng(7).integers(1, 1000, SHAPE)
ORIGIN = (-10.0, -20.0, 30.0)


def reading(folder: Path, masks: Path | None = None) -> Images:
    """Read the only scan of a folder."""
    return read_scan(find_scans(folder, masks=masks).scans[0])


def codes(images: Images) -> list[str]:
    """Return the codes of the remarks."""
    return [remark.code for remark in images.remarks]


def a_mask(seed: int = 0) -> NDArray[np.bool_]:
    """Return two separate blocks of voxels."""
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 2:5, 3:6] = True
    mask[4, 7:9, 8:11] = True
    return mask


def test_real_contours_equal_the_reference_mask_voxel_by_voxel() -> None:
    """The reference is the IBSI author's own mask of the tumour."""
    reference = need("sts_001_pet", "reference", "mask") / "mask.nii.gz"
    expected = np.asarray(nib.load(reference).dataobj).transpose(2, 1, 0) > 0
    crop = reading(need("sts_001_petct_crop"))
    assert crop.lesions is not None
    assert np.array_equal(crop.lesions.array > 0, expected)
    whole = reading(need("sts_001_pet"))
    assert whole.lesions is not None
    z, y, x = np.rint(whole.suv.grid.to_index(np.array([-21.09375, -86.71875, -881.3]))).astype(int)
    found = whole.lesions.array
    assert np.array_equal(found[z : z + 59, y : y + 43, x : x + 41] > 0, expected)
    assert (found > 0).sum() == expected.sum()
    assert "FP-2142" in codes(whole)  # GTV_Edema was left out


def test_the_ibsi_phantom_segmentation_equals_its_nifti_mask() -> None:
    """Bits are packed across rows and frames: 20 voxels take two and a half bytes."""
    folder = need("ibsi", "digital_phantom")
    drawn = read_segmentation(str(folder / "dicom/mask/mask.dcm"))
    assert drawn.labels is not None
    expected = np.asarray(nib.load(folder / "nifti/mask/mask.nii.gz").dataobj) > 0
    # The DICOM is coronal: frames run along y, rows along -z; the NIfTI array runs x, y, -z.
    found = drawn.labels.array > 0
    assert np.array_equal(found.transpose(2, 0, 1), expected)
    assert found.sum() == 74


def write_segmentation(
    path: Path, images: list[Path], masks: list[NDArray[np.bool_]], labels: list[str]
) -> None:
    """Write a DICOM SEG with highdicom; empty frames are left out, as it does by default."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import highdicom as hd
        from pydicom.sr.codedict import codes as known

        described = [
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=label,
                segmented_property_category=known.SCT.MorphologicallyAbnormalStructure
                if "Organ" not in label
                else known.SCT.AnatomicalStructure,
                segmented_property_type=known.SCT.Neoplasm
                if "Organ" not in label
                else known.SCT.Liver,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number, label in enumerate(labels, start=1)
        ]
        hd.seg.Segmentation(
            source_images=[pydicom.dcmread(one) for one in images],
            pixel_array=np.stack(masks, axis=-1).astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=described,
            series_instance_uid=hd.UID(),
            series_number=9,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="Nobody",
            manufacturer_model_name="None",
            software_versions="0",
            device_serial_number="0",
        ).save_as(path)


def test_segmentations_of_highdicom_land_on_their_voxels(tmp_path: Path) -> None:
    """Sparse frames, two overlapping segments and an organ, written by another library."""
    paths = write_series(tmp_path / "pet", VALUES)
    first, second = a_mask(), np.zeros(SHAPE, bool)
    second[2:4, 4:7, 5:8] = True
    organ = np.zeros(SHAPE, bool)
    organ[0] = True
    write_segmentation(
        tmp_path / "seg", paths, [first, second, organ], ["One", "Two", "Organ liver"]
    )
    images = reading(tmp_path)
    assert images.lesions is not None
    assert np.array_equal(images.lesions.array > 0, first | second)
    assert images.lesions.array.max() == 3  # two parts of the first, what is left of the second
    assert "FP-2142" in codes(images)


def test_a_segmentation_drawn_on_the_ct_comes_to_the_pet(tmp_path: Path) -> None:
    """Most readers draw on the CT; the PET's voxels decide."""
    write_series(tmp_path / "pet", VALUES)
    fine = np.zeros((12, 20, 24), np.int16)
    paths = write_series(
        tmp_path / "ct",
        fine,
        modality="CT",
        series="ct",
        slopes=1.0,
        spacing=(2.0, 2.0, 2.0),
        origin=(-11.0, -21.0, 29.0),
    )
    mask = a_mask()
    finer = mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    write_segmentation(tmp_path / "seg", paths, [finer], ["One"])
    images = reading(tmp_path)
    assert images.lesions is not None
    assert np.array_equal(images.lesions.array > 0, mask)


@pytest.mark.parametrize("axes", [(), (0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_nifti_masks_are_placed_by_their_affine(
    tmp_path: Path, axes: tuple[int, ...], order: tuple[int, ...]
) -> None:
    """Tools flip and swap axes at will; only the affine tells."""
    write_series(tmp_path / "pet", VALUES)
    mask = a_mask()
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    affine[:3, 3] = [10.0, 20.0, 30.0]
    image = nib.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), affine)
    turn = [[axis, -1.0 if axis in axes else 1.0] for axis in order]
    (tmp_path / "masks").mkdir()
    nib.save(image.as_reoriented(turn), tmp_path / "masks/P1.nii.gz")
    images = reading(tmp_path / "pet", tmp_path / "masks")
    assert images.lesions is not None
    assert np.array_equal(images.lesions.array > 0, mask)


@pytest.mark.parametrize(
    "affine",
    [np.eye(4), np.diag([-4.0, -4.0, 5.0, 1.0]), np.diag([np.nan, 1, 1, 1]), np.zeros((4, 4))],
)
def test_a_nifti_mask_on_another_grid_is_left_out_and_said_so(
    tmp_path: Path, affine: NDArray[np.float64]
) -> None:
    """The usual slip is a mask saved without its affine."""
    write_series(tmp_path / "pet", VALUES)
    (tmp_path / "masks").mkdir()
    image = nib.Nifti1Image(a_mask().transpose(2, 1, 0).astype(np.uint8), None)
    image.header["sform_code"] = 1
    for row, name in zip(affine, ("srow_x", "srow_y", "srow_z"), strict=False):
        image.header[name] = row
    nib.save(image, tmp_path / "masks/P1.nii")
    images = reading(tmp_path / "pet", tmp_path / "masks")
    assert images.lesions is None
    assert codes(images) == ["FP-2140"]


def test_damaged_masks_are_left_out_and_said_so(tmp_path: Path) -> None:
    """The PET itself is still good."""
    paths = write_series(tmp_path / "pet", VALUES)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/P1.nii.gz").write_bytes(b"\x1f\x8b nonsense")
    assert codes(reading(tmp_path / "pet", tmp_path / "masks")) == ["FP-2140"]
    (tmp_path / "masks/P1.nii.gz").unlink()
    seg = tmp_path / "pet/seg"
    write_segmentation(seg, paths, [a_mask()], ["One"])
    seg.write_bytes(seg.read_bytes()[:-12])
    assert codes(reading(tmp_path / "pet")) == ["FP-2140"]


def test_a_contour_inside_another_cuts_a_hole(tmp_path: Path) -> None:
    """A necrotic core is drawn that way."""

    def square(low: float, high: float, z: float) -> list[tuple[float, float, float]]:
        x, y = ORIGIN[:2]
        corners = ((low, low), (high, low), (high, high), (low, high))
        return [(x + 4 * i, y + 4 * j, z) for i, j in corners]

    paths = write_series(tmp_path / "pet", VALUES)
    drawn = [square(0.5, 7.5, 38.0), square(2.5, 5.5, 38.0)]
    write_structures(tmp_path / "rs", {"GTV": drawn, "Liver": drawn}, references=paths[0])
    images = reading(tmp_path)
    assert images.lesions is not None
    expected = np.zeros(SHAPE, bool)
    expected[2, 1:8, 1:8] = True
    expected[2, 3:6, 3:6] = False
    assert np.array_equal(images.lesions.array > 0, expected)


def test_a_mask_of_organs_only_is_not_taken_for_lesions(tmp_path: Path) -> None:
    """Radiotherapy exports hold organs at risk."""
    paths = write_series(tmp_path / "pet", VALUES)
    points = [[(-9.0, -19.0, 34.0), (5.0, -19.0, 34.0), (5.0, -5.0, 34.0)]]
    write_structures(tmp_path / "rs", {"Heart": points, "PTV": points}, references=paths[0])
    images = reading(tmp_path)
    assert images.lesions is None
    assert codes(images) == ["FP-2141"]


def test_contours_outside_or_across_slices_are_refused(tmp_path: Path) -> None:
    """They belong to another image."""
    paths = write_series(tmp_path / "pet", VALUES)
    far = [[(900.0, 900.0, 34.0), (910.0, 900.0, 34.0), (910.0, 910.0, 34.0)]]
    write_structures(tmp_path / "rs", {"GTV": far}, references=paths[0])
    assert codes(reading(tmp_path)) == ["FP-2140"]
    tilted = [[(-9.0, -19.0, 34.0), (5.0, -19.0, 46.0), (5.0, -5.0, 34.0)]]
    write_structures(tmp_path / "rs", {"GTV": tilted}, references=paths[0])
    assert codes(reading(tmp_path)) == ["FP-2140"]


@given(
    points=st.lists(
        st.tuples(st.floats(-3, 12, width=32), st.floats(-3, 12, width=32)), min_size=3, max_size=9
    )
)
def test_polygon_filling_follows_the_even_odd_rule(points: list[tuple[float, float]]) -> None:
    """Law: each centre is tested on its own by the textbook ray; also for crossing outlines."""
    found = fill_polygon(np.array(points, float), rows=10, columns=10)
    for row in range(10):
        for column in range(10):
            inside = False
            for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1], strict=True):
                if (y0 > row) != (y1 > row):
                    crossing = x0 + (row - y0) * (x1 - x0) / (y1 - y0)
                    inside ^= column >= crossing
            edge = any(
                (y0 <= row) != (y1 <= row)
                and abs(column - (x0 + (row - y0) * (x1 - x0) / (y1 - y0))) < 1e-9
                for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1], strict=True)
            )
            assert edge or row in {y for y, _ in points} or found[row, column] == inside


def test_lesions_and_organs_are_told_by_their_names() -> None:
    """Names as real contour sets have them."""
    lesions = ("GTV_Mass", "Lesion 3", "lung tumor left", "LN4R node", "ROI", "brain met", "1")
    organs = ("Heart", "BODY", "External", "PTV_60", "GTV_Edema", "Liver ref", "spinal cord")
    assert all(is_lesion(name) for name in lesions)
    assert not any(is_lesion(name) for name in organs)


def test_an_oversized_segmentation_is_refused(tmp_path: Path) -> None:
    """A crafted header must not make us allocate a terabyte."""
    paths = write_series(tmp_path / "pet", VALUES)
    write_segmentation(tmp_path / "seg", paths, [a_mask()], ["One"])
    dataset = pydicom.dcmread(tmp_path / "seg")
    dataset.Rows, dataset.Columns = 65535, 65535
    dataset.save_as(tmp_path / "seg")
    with pytest.raises(DataError):
        read_segmentation(str(tmp_path / "seg"))
