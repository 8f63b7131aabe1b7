"""Compression changes no value: what was packed by others comes out as it went in."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import get_encoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from fedpet.errors import DataError
from fedpet.imaging.index import Index, find_scans
from fedpet.imaging.pixels import read_stored
from fedpet.imaging.scan import read_scan
from pet_files import need, write_series

VALUES = np.random.default_rng(1).integers(0, 1000, (4, 40, 36))


def reasons(index: Index) -> str:
    """Return all reasons of an index in one text."""
    return " | ".join(one.reason for one in index.rejected)


def compress(path: Path, syntax: str) -> None:
    """Compress a file in place with pydicom's encoders, or with GDCM's where it has none."""
    if syntax == JPEGLosslessSV1:
        gdcm = pytest.importorskip("gdcm")
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the real files have texts that are too long
        _rewrite(path, syntax)


def _rewrite(path: Path, syntax: str) -> None:
    dataset = pydicom.dcmread(path)
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False)
        return
    else:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)


@pytest.mark.parametrize(
    "syntax",
    [
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
        JPEGLosslessSV1,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
    ],
)
def test_a_compressed_real_scan_equals_the_raw_one(tmp_path: Path, syntax: str) -> None:
    """Archives compress as they like; SUV and HU must not know."""
    if syntax not in (JPEGLosslessSV1, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        assert get_encoder(syntax).is_available
    source = need("sts_001_petct_crop")
    raw = find_scans(source).scans[0]
    chosen = {Path(one.path) for one in raw.pet.slices[10:16]}
    assert raw.ct is not None
    chosen |= {Path(one.path) for one in raw.ct.slices[10:16]}
    for path in chosen:
        copy = tmp_path / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
        compress(copy, syntax)
    packed = find_scans(tmp_path).scans[0]
    assert packed.ct is not None
    for ours, theirs in ((packed.pet, raw.pet), (packed.ct, raw.ct)):
        assert len(ours.slices) == 6
        for one, other in zip(ours.slices, theirs.slices[10:16], strict=True):
            stored = read_stored(one, ours.pixels)
            assert np.array_equal(stored, read_stored(other, theirs.pixels))
            assert (one.slope, one.position) == (other.slope, other.position)


def test_a_pet_that_lost_values_is_refused(tmp_path: Path) -> None:
    """JPEG that looks the same has other numbers."""
    paths = write_series(tmp_path / "near", VALUES)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEGLSNearLossless, generate_instance_uid=False, jls_error=2)
        dataset.save_as(path)
    write_series(
        tmp_path / "told",
        VALUES,
        patient="P2",
        change=lambda dataset, _: setattr(dataset, "LossyImageCompression", "01"),
    )
    index = find_scans(tmp_path)
    assert not index.scans
    assert [one.reason.startswith("It was compressed with loss") for one in index.rejected] == [
        True,
        True,
    ]


def test_a_ct_that_lost_values_is_used_and_said_so(tmp_path: Path) -> None:
    """The CT tells where, not how much."""
    write_series(tmp_path / "pet", VALUES)

    def lossy(dataset: Dataset, _: int) -> None:
        dataset.LossyImageCompression = "01"

    write_series(tmp_path / "ct", VALUES, modality="CT", series="ct", change=lossy)
    (scan,) = find_scans(tmp_path).scans
    assert scan.ct is not None
    assert [remark.code for remark in scan.remarks] == ["FP-2149"]


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_stream_of_another_size_is_refused_before_it_is_decoded(
    tmp_path: Path, syntax: str
) -> None:
    """A stream may declare 60,000 x 60,000 pixels in a file of a kilobyte."""
    paths = write_series(tmp_path, VALUES)
    for path in paths:
        compress(path, syntax)
    dataset = pydicom.dcmread(paths[1])
    start = dataset.PixelData.index(b"\xff\x4f" if syntax == JPEG2000Lossless else b"\xff\xd8")
    huge = bytearray(dataset.PixelData)
    if syntax == JPEG2000Lossless:
        huge[start + 8 : start + 16] = b"\0\0\xea\x60" * 2
    else:
        at = huge.index(b"\xff\xf7")
        huge[at + 5 : at + 9] = b"\xea\x60" * 2
    dataset.PixelData = bytes(huge)
    dataset.save_as(paths[1])
    scan = find_scans(tmp_path).scans[0]
    with pytest.raises(DataError, match="60000x60000 pixels, its header says 40x36"):
        read_scan(scan)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_a_damaged_stream_is_an_error_of_its_scan(tmp_path: Path, syntax: str) -> None:
    """One bad block on a disk must not end the build."""
    paths = write_series(tmp_path, VALUES)
    for path in paths:
        compress(path, syntax)
    data = bytearray(paths[1].read_bytes())
    data[-120:-20] = b"\x5a" * 100
    paths[1].write_bytes(bytes(data))
    scan = find_scans(tmp_path).scans[0]
    with suppress(DataError):
        read_scan(scan)


def test_a_folder_named_dl_beside_a_script_breaks_nothing(tmp_path: Path) -> None:
    """GDCM imports whatever has that name; for a deep-learning project it is a likely one."""
    (tmp_path / "dl").mkdir()
    (tmp_path / "dl/__init__.py").write_text("raise RuntimeError")
    script = tmp_path / "script.py"
    script.write_text("import fedpet.imaging.index, sys; assert 'dl' not in sys.modules")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
