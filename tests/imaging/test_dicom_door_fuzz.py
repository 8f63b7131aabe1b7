"""Whatever lies in the folder: an index with reasons, or one error; never a name, never a hang.

`FEDPET_FUZZ=5000 pytest tests/imaging/test_dicom_door_fuzz.py`, or `make fuzz`, tries more.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless, generate_uid
from test_compressed_pixels import compress
from test_multi_frame import convert

from fedpet.errors import DataError
from fedpet.imaging.index import find_scans
from fedpet.imaging.scan import read_scan
from pet_files import DATA, write_series, write_structures

EXAMPLES = int(os.environ.get("FEDPET_FUZZ", "200"))
SECONDS_MAX = 5.0
BYTES_MAX = 96 << 20
SECRET = "SECRET"
SLICES = 5
Spoil = Callable[[random.Random, list[Path]], None]

HOSTILE: dict[str, tuple[object, ...]] = {
    "RescaleSlope": ("-1", "0", "NaN", "1e300", "1e-300", "", "SECRET"),
    "RescaleIntercept": ("-5", "NaN", "1e300", "SECRET"),
    "ImagePositionPatient": (["NaN"] * 3, ["0", "0", "0"], ["0", "0"], "", ["1e30", "0", "0"]),
    "ImageOrientationPatient": (["0"] * 6, ["1", "0", "0", "1", "0", "0"], "", ["1e9"] * 6),
    "PixelSpacing": (["0", "0"], ["-1", "1"], ["1e-9", "1e9"], "", "SECRET"),
    "Rows": (0, 1, 65535),
    "Columns": (0, 1, 65535),
    "BitsAllocated": (0, 1, 8, 32, 64, 65535),
    "BitsStored": (0, 1, 17, 65535),
    "HighBit": (0, 31, 65535),
    "PixelRepresentation": (0, 7),
    "SamplesPerPixel": (0, 3, 65535),
    "NumberOfFrames": ("0", "2", "-1", "99999999", "SECRET"),
    "PatientWeight": ("0", "-1", "NaN", "SECRET", "1e30", ""),
    "PatientSize": ("0", "NaN", "999"),
    "PatientID": ("", "SECRET-OTHER", "*" * 64),
    "Modality": ("", "SECRET", "MR", "SEG", "RTSTRUCT", "CT", "PT"),
    "SOPClassUID": ("", "1.2", "1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.1.3.10"),
    "Units": ("", "SECRET", "CNTS", "CM2ML", "PROPCPS"),
    "DecayCorrection": ("", "NONE", "ADMIN", "SECRET"),
    "CorrectedImage": ("", ["DECY"], "SECRET"),
    "SeriesTime": ("", "999999", "SECRET", "235959.999999"),
    "SeriesDate": ("", "00000000", "SECRET", "99991231"),
    "AcquisitionTime": ("", "SECRET", "000000"),
    "FrameReferenceTime": ("NaN", "-1e30", "SECRET"),
    "ActualFrameDuration": ("0", "-1", "2147483647", "SECRET"),
    "FrameOfReferenceUID": ("", "1.2.3"),
    "SeriesInstanceUID": ("", "1.2.3"),
    "StudyDate": ("", "SECRET", "20990101"),
    "ImageType": ("", "SECRET", ["DERIVED", "SECONDARY", "MIP"]),
    "SeriesDescription": ("SECRET", ""),
    "SpecificCharacterSet": ("SECRET", "ISO_IR 192", "ISO 2022 IR 87"),
    "RadiopharmaceuticalInformationSequence": ([], [Dataset()]),
    "PixelData": (b"", b"\1", b"\0" * 7),
}


def spoil_bytes(chance: random.Random, paths: list[Path]) -> None:
    """Flip bits, most often in the header."""
    path = chance.choice(paths)
    data = bytearray(path.read_bytes())
    end = chance.choice((400, 3000, len(data)))
    for _ in range(chance.choice((1, 3, 20, 200))):
        if data:
            data[chance.randrange(min(end, len(data)))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(data))


def spoil_length(chance: random.Random, paths: list[Path]) -> None:
    """Cut a file, or write the end of another one behind it."""
    path = chance.choice(paths)
    data = path.read_bytes()
    cut = chance.randrange(len(data) + 1)
    other = chance.choice(paths).read_bytes()
    path.write_bytes(data[:cut] + chance.choice((b"", other[cut // 2 :], b"\xff" * 4000)))


def spoil_values(chance: random.Random, paths: list[Path]) -> None:
    """Give one file, or all, values that no scanner writes; or take attributes away."""
    name = chance.choice(sorted(HOSTILE))
    value = chance.choice(HOSTILE[name])
    for path in paths if chance.random() < 0.5 else [chance.choice(paths)]:
        try:
            dataset = pydicom.dcmread(path)
            if chance.random() < 0.2 and name in dataset:
                del dataset[name]
            else:
                setattr(dataset, name, value)
            dataset.save_as(path)
        except Exception:  # noqa: BLE001 - spoiled before; pydicom cannot mend it
            continue


def spoil_types(chance: random.Random, paths: list[Path]) -> None:
    """Write other value types, and lengths that are not known."""
    path = chance.choice(paths)
    data = path.read_bytes()
    types = (b"DS", b"US", b"UI", b"SQ", b"CS", b"LO", b"IS", b"TM", b"OW", b"UN", b"FD")
    for _ in range(chance.choice((1, 4))):
        at = data.find(chance.choice(types), 140 + chance.randrange(2000))
        if at >= 0:
            length = chance.choice((b"", b"\xff\xff", b"\0\0\xff\xff\xff\xff"))
            data = data[:at] + chance.choice(types) + length + data[at + 2 + len(length) :]
    path.write_bytes(data)


def spoil_encoding(chance: random.Random, paths: list[Path]) -> None:
    """Compress files with encoders of others, or turn their bytes around."""
    packed = (RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1)
    syntax = chance.choice((*packed, "big", "implicit"))
    for path in paths:
        try:
            dataset = pydicom.dcmread(path)
            if syntax in ("big", "implicit"):
                dataset.file_meta.TransferSyntaxUID = (
                    "1.2.840.10008.1.2.2" if syntax == "big" else "1.2.840.10008.1.2"
                )
                pydicom.dcmwrite(
                    path,
                    dataset,
                    implicit_vr=syntax != "big",
                    little_endian=syntax != "big",
                )
            else:
                compress(path, syntax)
        except Exception:  # noqa: BLE001 - spoiled before; it stays as it is
            continue


def spoil_folder(chance: random.Random, paths: list[Path]) -> None:
    """Add what folders hold besides: copies, doubles with other pixels, noise, other patients."""
    path = chance.choice(paths)
    match chance.randrange(4):
        case 0:
            shutil.copy(path, path.with_name(f"{path.name}-copy"))
        case 1:
            data = bytearray(path.read_bytes())
            data[-40:] = chance.randbytes(40)
            path.with_name(f"{path.name}-double").write_bytes(bytes(data))
        case 2:
            noise = chance.randbytes(chance.randrange(3000))
            start = chance.choice((b"", b"\0" * 128 + b"DICM", b"PK\3\4", b"PK\5\6"))
            path.with_name("noise.dcm").write_bytes(start + noise)
        case _:
            data = path.read_bytes().replace(b"SECRET-ID", b"SECRET-NO")
            path.with_name("other").write_bytes(data)


def spoil_archive(chance: random.Random, paths: list[Path]) -> None:
    """Pack everything, and damage the archive."""
    archive = paths[0].parent / f"SECRET-{chance.random()}.zip"
    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(archive, "w", method) as packed:
        for path in paths:
            packed.write(path, chance.choice(("", "../", "a/", "/")) + path.name)
            path.unlink()
    data = bytearray(archive.read_bytes())
    for _ in range(chance.choice((0, 1, 10))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    archive.write_bytes(bytes(data[: chance.choice((len(data), len(data), len(data) - 30))]))


SPOILS: Sequence[Spoil] = (
    *(spoil_bytes, spoil_bytes, spoil_length, spoil_values, spoil_values, spoil_types),
    *(spoil_encoding, spoil_folder, spoil_archive),
)


def real_slices(folder: Path, name: str) -> None:
    """Copy some slices of a real scan under a secret name."""
    (folder / name).mkdir(parents=True)
    for number, path in enumerate(sorted((DATA / "sts_001_petct_crop" / name).rglob("*.dcm"))):
        if "image" not in path.parts or number >= SLICES:
            continue
        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.PatientName = "SECRET-ID", "SECRET^NAME"
        dataset.StudyID = "1"
        dataset.save_as(folder / name / path.name)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return folders to spoil: real slices where they are, phantoms, frames, contours."""
    folder = tmp_path_factory.mktemp("sources")
    values = np.random.default_rng(2).integers(0, 1000, (SLICES, 36, 40))
    pet = write_series(folder / "phantom", values, patient="SECRET-ID")
    write_series(folder / "phantom", values, modality="CT", series="ct", patient="SECRET-ID")
    square = [[(-9.0, -19.0, 34.0), (-2.0, -19.0, 34.0), (-2.0, -12.0, 34.0)]]
    structures = folder / "phantom/rs"
    write_structures(structures, {"SECRET": square}, references=pet[0], patient="SECRET-ID")
    write_series(folder / "slices", values, patient="SECRET-ID")
    convert(folder / "slices", folder / "frames/one")
    found = [folder / "phantom", folder / "frames"]
    if (DATA / "sts_001_petct_crop").exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            real_slices(folder / "real", "PET")
            real_slices(folder / "real", "CT")
        found.append(folder / "real")
    return found


def told_of(folder: Path) -> list[str]:
    """Return everything that a person would read about a folder."""
    try:
        index = find_scans(folder, masks=folder)
    except DataError as error:
        return [str(error)]
    told = [f"{one.modality} {one.reason} {one.number}" for one in index.rejected]
    for scan in index.scans:
        told += [remark.text for remark in scan.remarks]
        try:
            images = read_scan(scan)
        except DataError as error:
            told.append(str(error))
            continue
        assert np.isfinite(images.suv.array).all()
        told += [remark.text for remark in images.remarks]
    return told


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore")
def test_a_spoiled_folder_ends_in_reasons_or_one_error(sources: list[Path], seed: int) -> None:
    """Bits flipped, files cut, values that cannot be, archives cut open: bounded and named."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copytree(chance.choice(sources), folder, dirs_exist_ok=True)
        for _ in range(chance.choice((1, 1, 2, 4))):
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            chance.choice(SPOILS)(chance, paths)
        watched = EXAMPLES > 1000 or chance.random() < 0.2
        if watched:
            tracemalloc.start()
        start = time.process_time()
        told = told_of(folder)
        seconds = time.process_time() - start
        if watched:
            assert tracemalloc.get_traced_memory()[1] < BYTES_MAX
            tracemalloc.stop()
        assert seconds < SECONDS_MAX
        assert told or find_scans(folder).scans
        assert not [text for text in told if SECRET in text.upper()]
        assert not [text for text in told if generate_uid(prefix=None)[:4] in text]
