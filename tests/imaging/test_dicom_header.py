"""Our header reader equals pydicom where it answers, and steps aside where it cannot."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from fedpet.errors import DataError
from fedpet.imaging import reading, tags
from fedpet.imaging.header import Header
from fedpet.imaging.reading import read_header
from pet_files import DATA, need, write_series


@pytest.fixture(scope="module")
def one_slice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one PET slice of 4 x 5 pixels."""
    folder = tmp_path_factory.mktemp("slice")
    return write_series(folder, np.arange(40).reshape(2, 4, 5))[0]


def test_the_header_reader_equals_pydicom_on_every_real_file() -> None:
    """Another value than pydicom's would be a silent error in SUV or in the place of a slice."""
    need("sts_001_pet")
    files = [path for path in sorted(DATA.rglob("*")) if path.is_file()]
    read = 0
    for path in files:
        ours = read_header(str(path))
        if ours is None:
            continue
        theirs = reading._read_with_pydicom(str(path), tags.INDEX)
        assert (ours.values, ours.sequences, ours.syntax) == (
            theirs.values,
            theirs.sequences,
            theirs.syntax,
        )
        read += 1
    assert read > 500


def test_a_real_header_needs_no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The speed of the index rests on it."""
    folder = need("sts_001_pet", "image")

    def forbidden(*_: object) -> Header:
        raise AssertionError("pydicom was asked")

    monkeypatch.setattr(reading, "_read_with_pydicom", forbidden)
    for path in sorted(folder.iterdir())[:20]:
        assert read_header(str(path)) is not None


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_unusual_encodings_are_read_through_pydicom(
    one_slice: Path, tmp_path: Path, syntax: str
) -> None:
    """A folder may hold them; they are slower, not refused."""
    expected = read_header(str(one_slice))
    dataset = pydicom.dcmread(one_slice)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
    target = tmp_path / "other"
    pydicom.dcmwrite(
        target, dataset, implicit_vr=False, little_endian=syntax != ExplicitVRBigEndian
    )
    found = read_header(str(target))
    assert found is not None
    assert expected is not None
    assert found.values == expected.values
    assert found.sequences == expected.sequences


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("implicit", [True, False])
def test_sequences_of_known_and_unknown_length_read_alike(
    one_slice: Path, tmp_path: Path, undefined: bool, implicit: bool
) -> None:
    """Vendors write both, also around sequences that we skip."""
    dataset = pydicom.dcmread(one_slice)
    inner, outer = Dataset(), Dataset()
    inner.CodeValue = "X"
    outer.ConceptNameCodeSequence = [inner, inner]
    dataset.AnatomicRegionSequence = [outer, outer]
    for name in ("RadiopharmaceuticalInformationSequence", "AnatomicRegionSequence"):
        element = dataset[name]
        element.is_undefined_length = undefined
        for item in element.value:
            item.is_undefined_length_sequence_item = undefined
    if implicit:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pydicom.dcmwrite(tmp_path / "s", dataset, implicit_vr=implicit, little_endian=True)
    found = read_header(str(tmp_path / "s"))
    assert found is not None
    assert found.first(tags.RADIOPHARMACEUTICAL).number(tags.HALF_LIFE) == 6586.2
    assert found.pixels is not None


def test_a_header_longer_than_one_read_is_read_whole(one_slice: Path, tmp_path: Path) -> None:
    """Some vendors put 100 kB of private data before the pixels."""
    dataset = pydicom.dcmread(one_slice)
    block = dataset.private_block(0x0019, "SOMEONE", create=True)
    block.add_new(0x01, "OB", b"\1" * 100_000)
    dataset.save_as(tmp_path / "long")
    found, expected = read_header(str(tmp_path / "long")), read_header(str(one_slice))
    assert found is not None
    assert expected is not None
    assert found.values == expected.values


@pytest.mark.parametrize("block", [0x10, 0x12])
def test_a_vendor_value_is_found_in_the_block_its_creator_reserved(
    one_slice: Path, tmp_path: Path, block: int
) -> None:
    """Philips' factor stands in (7053,xx00), where xx is wherever the creator registered."""
    dataset = pydicom.dcmread(one_slice)
    for other in range(0x10, block):
        dataset.add_new((0x7053, other), "LO", "Someone Else")
        dataset.add_new((0x7053, other << 8), "DS", "9")
    dataset.add_new((0x7053, block), "LO", "Philips PET Private Group")
    dataset.add_new((0x7053, block << 8), "DS", "0.0005")
    dataset.save_as(tmp_path / "philips")
    found = read_header(str(tmp_path / "philips"))
    assert found is not None
    assert found.private(tags.PHILIPS_SUV) == "0.0005"


def test_names_and_birth_dates_never_enter_the_program(one_slice: Path) -> None:
    """What is never decoded can never leak into a log, a message or a cache."""
    found = read_header(str(one_slice))
    assert found is not None
    assert "Doe" not in str(found)
    assert "19500101" not in str(found)


def test_text_is_decoded_by_its_character_set(one_slice: Path, tmp_path: Path) -> None:
    """A patient id with an accent must equal the one in the clinical table."""
    dataset = pydicom.dcmread(one_slice)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientID = "Hôpital-7"
    dataset.save_as(tmp_path / "accent")
    found = read_header(str(tmp_path / "accent"))
    assert found is not None
    assert found.text(tags.PATIENT_ID) == "Hôpital-7"


def test_files_that_are_not_dicom_are_passed_over(tmp_path: Path) -> None:
    """Folders hold notes, thumbnails and empty files."""
    for number, content in enumerate((b"", b"DICM", b"x" * 5000, b"\0" * 132)):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert read_header(str(path)) is None


@given(cut=st.integers(0, 1700))
def test_a_header_cut_anywhere_ends_in_an_answer_or_a_data_error(one_slice: Path, cut: int) -> None:
    """An interrupted copy is the most common damage."""
    data = one_slice.read_bytes()[:cut]
    path = one_slice.parent / "cut.bin"
    path.write_bytes(data)
    try:
        found = read_header(str(path))
    except DataError:
        return
    assert found is None or isinstance(found, Header)


@given(seed=st.integers(0, 10_000))
def test_a_header_with_flipped_bytes_ends_in_an_answer_or_a_data_error(
    one_slice: Path, seed: int
) -> None:
    """No damage may end in a traceback, an endless loop or a huge allocation."""
    chance = random.Random(seed)
    data = bytearray(one_slice.read_bytes())
    for _ in range(chance.randint(1, 12)):
        data[chance.randrange(132, len(data))] = chance.randrange(256)
    path = one_slice.parent / "flipped.bin"
    path.write_bytes(bytes(data))
    try:
        found = read_header(str(path))
    except DataError:
        return
    assert found is None or isinstance(found, Header)


def test_deeply_nested_sequences_are_refused_not_followed(tmp_path: Path) -> None:
    """A crafted file may nest sequences until the stack ends."""
    buffer = io.BytesIO()
    buffer.write(b"\0" * 128 + b"DICM")
    buffer.write(b"\2\0\x10\0UI\x14\x00" + b"1.2.840.10008.1.2.1\0")
    for _ in range(3000):
        buffer.write(b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff")
    path = tmp_path / "nested"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError):
        read_header(str(path))
