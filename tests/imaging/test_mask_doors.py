"""Damaged and lying masks end in words or in a mask, never in a traceback, and within bounds."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.errors import DataError
from fedpet.imaging.contours import read_structures
from fedpet.imaging.index import find_scans
from fedpet.imaging.masks import read_masks
from fedpet.imaging.nifti import read_nifti_mask
from fedpet.imaging.scan import read_scan
from fedpet.imaging.segmentation import read_segmentation
from fedpet.imaging.segments import write_segmentation
from fedpet.imaging.series import Series
from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic.masks import nifti
from pet_files import write_series, write_structures

SHAPE = (6, 10, 12)
EXAMPLES = int(os.environ.get("FEDPET_FUZZ", "60"))
IDENTIFIERS = ("Doe", "Jane", "P1")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Series, dict[str, bytes]]:
    """A PET and one good mask of each kind."""
    folder = tmp_path_factory.mktemp("doors")
    paths = write_series(folder / "pet", np.ones(SHAPE))
    pet = find_scans(folder / "pet").scans[0].pet
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:4, 3:7, 4:8] = 1
    lesions = Volume(array=labels, grid=pet.grid)
    write_segmentation(lesions, pet, folder / "seg", method="given")
    square = [(-4.0, -8.0, 38.0), (4.0, -8.0, 38.0), (4.0, 4.0, 38.0), (-4.0, 4.0, 38.0)]
    write_structures(folder / "rs", {"GTV": [square], "Liver": [square]}, references=paths[0])
    (folder / "nii.nii.gz").write_bytes(nifti(lesions))
    (folder / "plain.nii").write_bytes(gzip.decompress(nifti(lesions)))
    names = ("seg", "rs", "nii.nii.gz", "plain.nii")
    return folder, pet, {name: (folder / name).read_bytes() for name in names}


def read_any(path: Path, kind: str, grid: Grid) -> None:
    """Read a mask file by its own door."""
    if kind == "seg":
        read_segmentation(str(path))
    elif kind == "rs":
        read_structures(str(path), grid)
    else:
        read_nifti_mask(str(path), allowed=[grid])


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["seg", "rs", "nii.nii.gz", "plain.nii"])
def test_any_damage_is_an_error_in_words_or_a_mask(
    doors: tuple[Path, Series, dict[str, bytes]], kind: str, data: st.DataObject
) -> None:
    """Bytes turned, cut and doubled: what a broken disk or a careless export does."""
    folder, pet, files = doors
    content = bytearray(files[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        # Headers come first, and are where damage does most.
        place = data.draw(st.integers(0, data.draw(st.sampled_from((400, len(content)))) - 1))
        place = min(place, len(content) - 1)
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    path = folder / f"damaged-{kind}"
    path.write_bytes(bytes(content))
    told = ""
    try:
        read_any(path, kind, pet.grid)
    except DataError as error:
        told = str(error)
    assert not any(word in told for word in IDENTIFIERS)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 500.0), (900.0, 0.0, 0.0)])
def test_a_segmentation_of_another_place_is_left_out(
    doors: tuple[Path, Series, dict[str, bytes]], tmp_path: Path, shift: tuple[float, ...]
) -> None:
    """One frame of reference, other positions: its lesions are not in this PET."""
    folder, pet, _ = doors
    told = pydicom.dcmread(folder / "seg")
    for frame in told.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0]
        position.ImagePositionPatient = [
            float(a) + b for a, b in zip(position.ImagePositionPatient, shift, strict=True)
        ]
    told.save_as(tmp_path / "seg")
    write_series(tmp_path / "pet", np.ones(SHAPE))
    images = read_scan(find_scans(tmp_path).scans[0])
    assert images.lesions is None
    assert "FP-2140" in [remark.code for remark in images.remarks]
    del pet


def test_contours_of_points_that_are_no_numbers_are_refused(
    doors: tuple[Path, Series, dict[str, bytes]], tmp_path: Path
) -> None:
    """A contour with a missing coordinate must not be closed over the gap."""
    folder, pet, _ = doors
    told = pydicom.dcmread(folder / "rs")
    contour = told.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = contour.ContourData[:-1]
    told.save_as(tmp_path / "rs")
    with pytest.raises(DataError, match="not made of points"):
        read_structures(str(tmp_path / "rs"), pet.grid)


def test_a_mask_file_is_read_whatever_its_kind(
    doors: tuple[Path, Series, dict[str, bytes]],
) -> None:
    """The three doors lead to the same voxels of the PET."""
    folder, pet, _ = doors
    found = []
    for name in ("seg", "nii.nii.gz"):
        (scan,) = find_scans(folder).scans
        kind = "SEG" if name == "seg" else "NIFTI"
        assert scan.mask is not None
        mask = replace(scan.mask, path=str(folder / name), kind=kind, target="pet")
        lesions = read_masks(mask, pet=pet, ct=None).lesions
        assert lesions is not None
        found.append(lesions.array)
    assert np.array_equal(found[0], found[1])
