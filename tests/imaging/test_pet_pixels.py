"""Stored values come out as pydicom reads them, and nothing that is not a number gets through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from fedpet.errors import DataError
from fedpet.imaging.hounsfield import read_ct
from fedpet.imaging.index import find_scans
from fedpet.imaging.pixels import read_stored
from fedpet.imaging.scan import read_scan
from pet_files import factor_bqml, need, write_series

VALUES = np.random.default_rng(1).integers(0, 1000, (3, 4, 5))


def test_stored_values_equal_pydicom_on_a_real_series() -> None:
    """Pixels are found by offset, so a wrong header length would shift the whole image."""
    scan = find_scans(need("sts_001_petct_crop")).scans[0]
    assert scan.ct is not None
    for series in (scan.pet, scan.ct):
        for one in series.slices[::7]:
            ours = read_stored(one, series.pixels)
            assert np.array_equal(ours, pydicom.dcmread(one.path).pixel_array)


def test_every_slice_has_its_own_slope(tmp_path: Path) -> None:
    """Half of all PET series do; reading one slope for all is a silent error."""
    write_series(tmp_path, VALUES, slopes=[1.0, 2.5, 0.125])
    suv = read_scan(find_scans(tmp_path).scans[0]).suv.array
    expected = VALUES * np.array([1.0, 2.5, 0.125])[:, None, None] * factor_bqml()
    assert np.allclose(suv, expected, rtol=1e-6)


def test_a_first_slice_with_slope_one_does_not_round_the_others(tmp_path: Path) -> None:
    """SimpleITK's reader turns such a series into integers without a word."""

    def in_suv(dataset: Dataset, number: int) -> None:
        dataset.Units = "GML"

    write_series(tmp_path, VALUES, slopes=[1.0, 0.01, 0.01], change=in_suv)
    suv = read_scan(find_scans(tmp_path).scans[0]).suv.array
    assert np.allclose(suv[1:], VALUES[1:] * 0.01, rtol=1e-6)


def test_compressed_slices_are_read_through_pydicom(tmp_path: Path) -> None:
    """Archives compress; RLE needs no further package."""
    paths = write_series(tmp_path, VALUES, slopes=2.0)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    suv = read_scan(find_scans(tmp_path).scans[0]).suv.array
    assert np.allclose(suv, VALUES * 2 * factor_bqml(), rtol=1e-6)


def test_bits_above_the_stored_ones_are_ignored(tmp_path: Path) -> None:
    """Old scanners kept overlays there."""

    def twelve_bits(dataset: Dataset, number: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        stored = VALUES[number].astype("<u2") | 0xA000
        dataset.PixelData = stored.tobytes()

    write_series(tmp_path, VALUES, change=twelve_bits)
    scan = find_scans(tmp_path).scans[0]
    assert np.array_equal(read_stored(scan.pet.slices[1], scan.pet.pixels), VALUES[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_no_number_refuses_the_scan(tmp_path: Path, bad: float) -> None:
    """A NaN would travel through every sum up to the model."""

    def floats(dataset: Dataset, number: int) -> None:
        values = np.ones((4, 5), "<f4")
        values[2, 2] = bad if number == 1 else 1
        del dataset.PixelData
        dataset.BitsAllocated = dataset.BitsStored = 32
        dataset.HighBit = 31
        dataset.FloatPixelData = values.tobytes()

    write_series(tmp_path, VALUES, change=floats)
    with pytest.raises(DataError, match="1 voxels of the PET are not finite"):
        read_scan(find_scans(tmp_path).scans[0])


def test_a_slope_that_is_no_number_rejects_the_series(tmp_path: Path) -> None:
    """NaN is a legal word for Python's float and none for DICOM."""
    path = write_series(tmp_path, VALUES, slopes=[2.0, 7.25, 2.0])[1]
    path.write_bytes(path.read_bytes().replace(b"7.25", b"NaN "))
    index = find_scans(tmp_path)
    assert not index.scans
    assert "Rescale Slope" in index.rejected[0].reason


def test_a_file_that_shrank_after_indexing_is_an_error(tmp_path: Path) -> None:
    """A network drive may drop out between index and reading."""
    paths = write_series(tmp_path, VALUES)
    scan = find_scans(tmp_path).scans[0]
    paths[1].write_bytes(paths[1].read_bytes()[:-10])
    with pytest.raises(DataError, match="ends before its last pixel"):
        read_scan(scan)
    paths[2].unlink()
    with pytest.raises(DataError):
        read_scan(scan)


def test_ct_padding_becomes_air_and_values_are_clipped(tmp_path: Path) -> None:
    """Padding of -2000 or metal of 30000 HU would spoil every average."""
    stored = np.full((2, 4, 5), 1024)
    stored[0, 0, 0], stored[1, 1, 1] = -2000, 30000

    def padded(dataset: Dataset, number: int) -> None:
        dataset.RescaleIntercept = "-1024"
        dataset.add_new(0x00280120, "SS", -2000)

    write_series(tmp_path, VALUES)
    write_series(
        tmp_path,
        stored,
        modality="CT",
        series="ct",
        slopes=1.0,
        change=padded,
        origin=(-10.0, -20.0, 30.0),
    )
    ct = find_scans(tmp_path).scans[0].ct
    assert ct is not None
    hu = read_ct(ct).array
    assert (hu[0, 0, 0], hu[1, 1, 1], hu[0, 1, 1]) == (-1024, 3071, 0)
