"""Averaging a CT while it is read is averaging it afterwards, however its pixels are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from fedpet.errors import DataError
from fedpet.imaging.grid import to_common_grid
from fedpet.imaging.hounsfield import read_ct
from fedpet.imaging.index import find_scans
from fedpet.imaging.series import Series, span_grid
from fedpet.imaging.volume import Grid, Volume
from pet_files import write_series

HEAD_FIRST = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
SHAPE = (9, 18, 21)


def stored_as(kind: str) -> tuple[NDArray[np.generic], dict[str, object]]:
    """Return stored values and what their header says, for each way that scanners choose."""
    hu = np.random.default_rng(5).integers(-1024, 3072, SHAPE)
    overlay = np.random.default_rng(6).integers(0, 16, SHAPE) << 12
    plain = {"RescaleIntercept": "-1024", "PixelRepresentation": 0}
    if kind == "unsigned":
        return hu + 1024, plain
    if kind == "twelve bits, overlay above":
        return (hu + 1024) | overlay, {**plain, "BitsStored": 12, "HighBit": 11}
    if kind == "signed":
        return hu, {"RescaleIntercept": "0", "PixelRepresentation": 1}
    if kind == "signed twelve bits":
        return (np.clip(hu, -1024, 1023) & 0xFFF) | overlay, {
            "RescaleIntercept": "0",
            "PixelRepresentation": 1,
            "BitsStored": 12,
            "HighBit": 11,
        }
    if kind == "beyond the range":
        return hu * 9, {"RescaleIntercept": "0", "PixelRepresentation": 1}
    if kind == "padding":
        hu[:, :3] = -2000
        return hu, {"RescaleIntercept": "0", "PixelRepresentation": 1, "PixelPaddingValue": -2000}
    if kind == "padding within the range":
        hu[:, :3] = 50
        return hu, {"RescaleIntercept": "0", "PixelRepresentation": 1, "PixelPaddingValue": 50}
    if kind == "half slope":
        return hu * 2, {"RescaleIntercept": "0.5", "RescaleSlope": "0.5", "PixelRepresentation": 1}
    assert kind == "huge intercept"
    return hu + 40000, {"RescaleIntercept": "-40000", "PixelRepresentation": 0}


KINDS = (
    "unsigned",
    "twelve bits, overlay above",
    "signed",
    "signed twelve bits",
    "beyond the range",
    "padding",
    "padding within the range",
    "half slope",
    "huge intercept",
)


def ct_of(folder: Path, stored: NDArray[np.generic], header: dict[str, object]) -> Series:
    """Write a CT of 2 x 1 x 1 mm with a PET that it belongs to; return the CT as indexed."""

    def changed(dataset: Dataset, number: int) -> None:
        for name, value in header.items():
            setattr(dataset, name, value)
        dataset.PixelData = (stored[number] & 0xFFFF).astype("<u2").tobytes()

    write_series(folder, np.ones((5, 6, 6), np.int16), spacing=(4.0, 4.0, 4.0))
    write_series(
        folder,
        np.zeros(SHAPE, np.int16),
        modality="CT",
        series="ct",
        spacing=(2.0, 1.0, 1.0),
        slopes=1.0,
        change=changed,
    )
    ct = find_scans(folder).scans[0].ct
    assert ct is not None
    return ct


def by_pydicom(series: Series) -> NDArray[np.float64]:
    """Read HU as pydicom gives them; padding and range as the standard and the rules say."""
    planes = []
    for one in series.slices:
        dataset = pydicom.dcmread(one.path)
        stored = dataset.pixel_array.astype(float)
        hu = stored * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        if "PixelPaddingValue" in dataset:
            hu[stored == dataset.PixelPaddingValue] = -1024
        planes.append(np.clip(hu, -1024, 3071))
    return np.array(planes)


@pytest.mark.parametrize("kind", KINDS)
def test_hounsfield_units_equal_pydicom_however_they_are_stored(kind: str, tmp_path: Path) -> None:
    """The quick way through a buffer must not differ from the way of the standard."""
    series = ct_of(tmp_path, *stored_as(kind))
    found = read_ct(series)
    assert found.array.dtype == np.int16
    assert np.abs(found.array - by_pydicom(series)).max() <= 0.5
    assert found.grid == series.grid


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spacing", [1.0, 3.0, 4.0, 6.0])
def test_averaging_while_reading_equals_averaging_afterwards(
    kind: str, spacing: float, tmp_path: Path
) -> None:
    """Only the rows and columns that the grid shows are read; nothing that it shows may change."""
    series = ct_of(tmp_path, *stored_as(kind))
    target = Grid(
        shape=(4, 3, 4),
        spacing_mm=(spacing,) * 3,
        origin_mm=(-5.0, -17.0, 45.0),
        direction=HEAD_FIRST,
    )
    part, whole = read_ct(series, onto=target), read_ct(series)
    there = [to_common_grid(one, target, fill=-1024, kind="ct").array for one in (part, whole)]
    assert np.abs(there[0].astype(float) - there[1]).max() <= 0.5
    if spacing > 1:
        assert part.array.size < whole.array.size / 2


def test_a_short_file_is_an_error_in_both_ways(tmp_path: Path) -> None:
    """A slice of noise from the buffer of the slice before would look like a patient."""
    series = ct_of(tmp_path, *stored_as("unsigned"))
    path = Path(series.slices[4].path)
    path.write_bytes(path.read_bytes()[:-300])
    grid = Grid(
        shape=(4, 6, 7), spacing_mm=(3.0,) * 3, origin_mm=(-10.0, -20.0, 45.0), direction=HEAD_FIRST
    )
    for onto in (None, grid):
        with pytest.raises(DataError, match="ends before its last pixel"):
            read_ct(series, onto=onto)


@settings(max_examples=25, deadline=None)
@given(degrees=st.floats(-35, 35))
def test_a_tilted_gantry_moves_no_anatomy(degrees: float) -> None:
    """Slices are planes at an angle to the table; a straight rod must stay straight."""
    angle = np.deg2rad(degrees)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))
    table = np.array([-40.0, -30.0, 60.0]) + np.arange(40)[:, None] * [0.0, 0.0, 3.0]
    grid = span_grid(
        table,
        orientation=orientation,
        spacing_mm=(2.0, 2.0),
        rows=30,
        columns=40,
        tilted=True,
    )
    assert np.allclose(grid.to_lps(np.array([39.0, 0, 0])), table[-1])
    index = np.stack(np.indices(grid.shape), axis=-1).astype(float)
    place = grid.to_lps(index)
    rod = 1000 * np.exp(-(((place[..., 0] - 1) ** 2 + (place[..., 1] + 2) ** 2) / 80))
    target = Grid(
        shape=(5, 20, 20),
        spacing_mm=(2.0,) * 3,
        origin_mm=(-19.0, -21.0, 122.0),
        direction=HEAD_FIRST,
    )
    ct = Volume(array=np.rint(rod - 500).astype(np.int16), grid=grid)
    found = to_common_grid(ct, target, fill=-500, kind="ct").array + 500.0
    for plane in found:
        y, x = ndimage.center_of_mass(plane)
        assert abs(-19 + 2 * x - 1) < 0.1
        assert abs(-21 + 2 * y + 2) < 0.1


def test_a_tilted_ct_is_read_and_a_tilted_pet_is_not(tmp_path: Path) -> None:
    """No PET has a gantry that tilts; slices that wander are two volumes in one."""

    def series(modality: str, name: str, steps: Sequence[float]) -> None:
        def shifted(dataset: Dataset, number: int) -> None:
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [x, y + steps[number], z]

        write_series(
            tmp_path,
            np.ones((6, 8, 8), np.int16),
            modality=modality,
            series=name,
            slopes=1.0,
            change=shifted,
        )

    even = [0.7 * number for number in range(6)]
    series("PT", "pet", [0.0] * 6)
    series("CT", "even", even)
    series("CT", "uneven", [0, 0, 3, 0, 0, 0])
    index = find_scans(tmp_path)
    ct = index.scans[0].ct
    assert ct is not None
    assert ct.grid.to_lps(np.array([5.0, 0, 0])).tolist() == pytest.approx([-10, -16.5, 50])
    assert ct.grid.voxel_ml == pytest.approx(0.064)
    assert any("shifted against each other" in one.reason for one in index.rejected)
    series("PT", "pet", even)
    assert not find_scans(tmp_path).scans
