"""Archives are read in place and in bounds; a DICOMDIR is a hint and never a way out."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.fileset import FileSet
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, RLELossless

from fedpet.imaging.index import Index, find_scans
from fedpet.imaging.scan import read_scan
from fedpet.synthetic.hospitals import write_hospitals
from pet_files import need, write_series, write_structures

VALUES = np.random.default_rng(5).integers(0, 1000, (6, 4, 5))


def reasons(index: Index) -> str:
    """Return all reasons of an index in one text."""
    return " | ".join(one.reason for one in index.rejected)


def pack(folder: Path, archive: Path, *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Pack a folder with Python's zipfile, as spreadsheets and PACS exports do."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", method) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(folder).as_posix())
    return archive


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_packed_export_gives_the_same_images_as_the_folder(tmp_path: Path, method: int) -> None:
    """Real PET, CT and contours, read inside the archive; nothing is written beside it."""
    source = need("sts_001_petct_crop")
    archive = pack(source, tmp_path / "in/export.zip", method=method)
    expected = read_scan(find_scans(source).scans[0])
    for place in (tmp_path / "in", archive):
        index = find_scans(place)
        found = read_scan(index.scans[0])
        assert np.array_equal(found.suv.array, expected.suv.array)
        assert found.ct is not None
        assert expected.ct is not None
        assert np.array_equal(found.ct.array, expected.ct.array)
        assert found.lesions is not None
        assert expected.lesions is not None
        assert np.array_equal(found.lesions.array, expected.lesions.array)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["export.zip"]


def test_slices_in_a_folder_and_in_an_archive_are_one_series(tmp_path: Path) -> None:
    """A PACS splits large exports as it likes."""
    paths = write_series(tmp_path / "all", VALUES)
    for number, path in enumerate(paths):
        part = tmp_path / f"part{number % 2}" / path.name
        part.parent.mkdir(exist_ok=True)
        shutil.move(path, part)
    pack(tmp_path / "part1", tmp_path / "all/rest.zip")
    shutil.rmtree(tmp_path / "part1")
    (scan,) = find_scans(tmp_path).scans
    assert len(scan.pet.slices) == 6


def test_the_digest_follows_the_content_of_an_archive(tmp_path: Path) -> None:
    """Packing again the same files is no change; another slope is one."""
    write_series(tmp_path / "a", VALUES)
    archive = pack(tmp_path / "a", tmp_path / "in/x.zip")
    first = find_scans(archive).scans[0].content_digest()
    pack(tmp_path / "a", archive, method=zipfile.ZIP_STORED)
    assert find_scans(archive).scans[0].content_digest() == first
    write_series(tmp_path / "a", VALUES, slopes=3.0)
    pack(tmp_path / "a", archive)
    assert find_scans(archive).scans[0].content_digest() != first


@pytest.mark.parametrize("name", ["../out.dcm", "/etc/out.dcm", "a/../../out.dcm", "C:\\out.dcm"])
def test_a_member_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    """Such names overwrite files where an archive is unpacked."""
    slice_ = write_series(tmp_path / "a", VALUES)[0]
    archive = pack(tmp_path / "a", tmp_path / "in/x.zip")
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr(zipfile.ZipInfo(name), slice_.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    index = find_scans(tmp_path / "in")
    assert len(index.scans) == 1
    assert "lead out of it" in reasons(index)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_in_an_archive_stays_closed(tmp_path: Path) -> None:
    """Nested archives are how a kilobyte becomes a petabyte."""
    write_series(tmp_path / "a", VALUES)
    pack(tmp_path / "a", tmp_path / "b/inner.zip")
    pack(tmp_path / "b", tmp_path / "in/outer.zip")
    index = find_scans(tmp_path / "in")
    assert not index.scans
    assert "inside a zip archive is not opened" in reasons(index)


def test_encrypted_and_rarely_packed_members_are_named(tmp_path: Path) -> None:
    """Hospitals protect exports with a password; silence would look like an empty export."""
    write_series(tmp_path / "a", VALUES)
    archive = pack(tmp_path / "a", tmp_path / "in/x.zip", method=zipfile.ZIP_LZMA)
    assert "packed in a rare way" in reasons(find_scans(archive))
    archive = pack(tmp_path / "a", tmp_path / "in/x.zip")
    data = bytearray(archive.read_bytes())
    at = -1
    while (at := data.find(b"PK\1\2", at + 1)) >= 0:
        data[at + 8] |= 1
    archive.write_bytes(bytes(data))
    assert "encrypted" in reasons(find_scans(archive))


def test_a_bomb_is_refused_by_its_own_figures(tmp_path: Path) -> None:
    """Four gigabytes of zeros in four megabytes: no export of scans is like that."""
    write_series(tmp_path / "a", VALUES)
    archive = tmp_path / "in/bomb.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x.dcm", b"\0" * (8 << 20))
    data = bytearray(archive.read_bytes())
    at = data.rfind(b"PK\1\2")
    struct.pack_into("<I", data, at + 24, 0xFFFFFFF0)
    archive.write_bytes(bytes(data))
    assert "says that it holds 3 GiB" in reasons(find_scans(archive))


def test_a_bomb_that_lies_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    """Its members inflate to zeros behind a DICOM header; no more is inflated than is read."""
    slice_ = write_series(tmp_path / "a", VALUES)[0]
    archive = tmp_path / "in/bomb.zip"
    archive.parent.mkdir()
    bomb = slice_.read_bytes() + b"\0" * (32 << 20)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(3):
            packed.writestr(f"{number}.dcm", bomb)
    del bomb
    tracemalloc.start()
    start = time.process_time()
    find_scans(archive)
    assert time.process_time() - start < 2
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_a_deflated_slice_that_inflates_without_end_is_bounded(tmp_path: Path) -> None:
    """The deflated transfer syntax is a bomb without an archive."""
    for path in write_series(tmp_path / "a", VALUES[:2]):
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x7FE10010, "LO", "NOBODY")
        dataset.add_new(0x7FE11010, "OB", b"\0" * (32 << 20))
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(path)
    assert max(path.stat().st_size for path in (tmp_path / "a").iterdir()) < 100_000
    tracemalloc.start()
    scan = find_scans(tmp_path).scans[0]
    read_scan(scan)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("cut", [30, 400, -1, -30])
def test_a_damaged_archive_is_named_and_the_rest_is_read(tmp_path: Path, cut: int) -> None:
    """A download that was interrupted has no list of members."""
    write_series(tmp_path / "a", VALUES)
    archive = pack(tmp_path / "a", tmp_path / "x.zip")
    archive.write_bytes(archive.read_bytes()[:cut])
    index = find_scans(tmp_path)
    assert len(index.scans) == 1
    assert "A zip archive is damaged" in reasons(index)


def test_other_archives_are_named(tmp_path: Path) -> None:
    """Whoever exported a .tar.gz must learn why nothing was found."""
    (tmp_path / "export.tar.gz").write_bytes(b"\x1f\x8b" + b"x" * 1000)
    assert "not a zip is not opened" in reasons(find_scans(tmp_path))


def dicomdir(folder: Path, source: Path) -> list[Path]:
    """Make the file set of a folder of slices with pydicom; return its files."""
    made = FileSet()
    for path in sorted(source.iterdir()):
        dataset = pydicom.dcmread(path)
        dataset.StudyDescription = dataset.SeriesDescription = ""
        dataset.PatientName = "Doe^Jane"
        made.add(dataset)
    made.write(folder)
    made._stage["t"].cleanup()
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "DICOMDIR")


def test_a_file_set_is_read_and_its_lost_files_are_named(tmp_path: Path) -> None:
    """A CD that was copied in part looks like a shorter scan."""
    write_series(tmp_path / "a", VALUES)
    files = dicomdir(tmp_path / "cd", tmp_path / "a")
    index = find_scans(tmp_path / "cd")
    assert len(index.scans) == 1
    assert not index.rejected
    files[-1].unlink()
    index = find_scans(tmp_path / "cd")
    (lost,) = index.rejected
    assert (lost.patient_id, lost.modality, lost.files) == ("P1", "PT", 1)
    assert "names files of this series that are missing" in lost.reason
    assert lost.series == index.scans[0].pet.series_uid


def test_a_file_set_in_an_archive_or_in_small_letters_is_whole(tmp_path: Path) -> None:
    """CDs hold capitals; what copies them often does not."""
    write_series(tmp_path / "a", VALUES)
    dicomdir(tmp_path / "cd", tmp_path / "a")
    pack(tmp_path / "cd", tmp_path / "in/cd.zip")
    assert not find_scans(tmp_path / "in").rejected
    lower = tmp_path / "lower"
    for path in (tmp_path / "cd").rglob("*"):
        if path.is_file():
            copy = lower / str(path.relative_to(tmp_path / "cd")).lower()
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    assert not find_scans(lower).rejected


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_a_file_set_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    """Files outside of the folder that a hospital named are none of our business."""
    write_series(tmp_path / "a", VALUES)
    dicomdir(tmp_path / "cd", tmp_path / "a")
    shutil.move(tmp_path / "a", tmp_path / "elsewhere")
    made = pydicom.dcmread(tmp_path / "cd/DICOMDIR")
    images = [one for one in made.DirectoryRecordSequence if one.DirectoryRecordType == "IMAGE"]
    images[0].ReferencedFileID = ["..", "elsewhere", "pet-000"]
    images[1].ReferencedFileID = ["", "etc", "passwd"]
    images[2].ReferencedFileID = "C:"
    made.save_as(tmp_path / "cd/DICOMDIR")
    index = find_scans(tmp_path / "cd")
    assert len(index.scans) == 1
    assert [(one.files, "outside of its folder" in one.reason) for one in index.rejected] == [
        (3, True)
    ]


def test_a_lonely_file_set_says_so(tmp_path: Path) -> None:
    """Who copies the DICOMDIR alone has copied nothing."""
    write_series(tmp_path / "a", VALUES)
    dicomdir(tmp_path / "cd", tmp_path / "a")
    (tmp_path / "in").mkdir()
    shutil.copy(tmp_path / "cd/DICOMDIR", tmp_path / "in")
    assert "without the files that it names" in reasons(find_scans(tmp_path / "in"))


def test_ten_thousand_other_files_are_passed_over_quickly(tmp_path: Path) -> None:
    """A project folder holds everything; the one scan in it must be found."""
    write_series(tmp_path / "a", VALUES)
    chance = np.random.default_rng(1)
    for number in range(10_000):
        folder = tmp_path / f"{number % 100}"
        folder.mkdir(exist_ok=True)
        ending = ("txt", "dcm", "png", "xlsx", "nii.gz")[number % 5]
        (folder / f"{number}.{ending}").write_bytes(chance.bytes(number % 300))
    start = time.process_time()
    index = find_scans(tmp_path)
    assert time.process_time() - start < 5
    assert (len(index.scans), index.files) == (1, 10_006)


def test_deep_folders_pipes_and_loops_do_not_stop_the_walk(tmp_path: Path) -> None:
    """A mount may hold anything."""
    write_series(tmp_path / "a", VALUES)
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.dcm").symlink_to(tmp_path / "nowhere")
    current = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
        os.chdir(current)
        index = find_scans(tmp_path)
    finally:
        os.chdir(current)
        # What tidies up after tests goes down by recursion, and would not come back from here.
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)
    assert len(index.scans) == 1
    assert reasons(index) == "A link to a folder is not followed; move the folder here."


def test_contours_in_an_archive_are_read(tmp_path: Path) -> None:
    """A mask is exported with its scan."""
    pet = write_series(tmp_path / "a", VALUES)
    square = [[(-9.0, -19.0, 34.0), (-2.0, -19.0, 34.0), (-2.0, -12.0, 34.0)]]
    write_structures(tmp_path / "a/rs", {"lesion": square}, references=pet[0])
    pack(tmp_path / "a", tmp_path / "in/x.zip")
    images = read_scan(find_scans(tmp_path / "in").scans[0])
    assert images.lesions is not None
    assert images.lesions.array.any()


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom subject of a hospital that hands lesions over as DICOM SEG."""
    folder = tmp_path_factory.mktemp("segmented")
    list(write_hospitals(folder, subjects=2, sites=2, workers=1))
    return folder / "marseille"


def lesions(folder: Path) -> NDArray[np.generic]:
    """Read the lesions of the only scan of a folder, which must come from a SEG."""
    (scan,) = find_scans(folder).scans
    assert scan.mask is not None
    assert scan.mask.kind == "SEG"
    found = read_scan(scan).lesions
    assert found is not None
    return found.array


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_segmentation_in_an_archive_is_the_one_in_the_folder(
    segmented: Path, tmp_path: Path, method: int
) -> None:
    """Scan, CT and SEG of a phantom subject, all in one export."""
    pack(segmented / "images", tmp_path / "in/x.zip", method=method)
    expected = lesions(segmented / "images")
    assert expected.any()
    assert np.array_equal(lesions(tmp_path / "in"), expected)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, RLELossless])
def test_a_compressed_segmentation_is_read_in_a_folder_and_in_an_archive(
    segmented: Path, tmp_path: Path, syntax: UID, packed: bool
) -> None:
    """Viewers deflate segmentations, as they are mostly zeros; bytes in RLE are fractional."""
    expected = lesions(segmented / "images")
    shutil.copytree(segmented / "images", tmp_path / "in")
    path = Path(find_scans(tmp_path / "in").scans[0].mask.path)
    dataset = pydicom.dcmread(path)
    if syntax == RLELossless:
        frames = dataset.pixel_array.astype(np.uint8)
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = frames.tobytes()
        dataset.compress(RLELossless, encoding_plugin="pydicom")
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    if packed:
        pack(tmp_path / "in", tmp_path / "zip/x.zip")
    assert np.array_equal(lesions(tmp_path / ("zip" if packed else "in")), expected)


def test_no_name_of_a_file_or_member_is_told(tmp_path: Path) -> None:
    """Exports carry names of patients in the names of files."""
    archive = tmp_path / "DOE^JANE.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../DOE^JANE.dcm", b"x")
        packed.writestr("DOE^JANE/1", b"\0" * 128 + b"DICM" + b"DOE^JANE" * 9)
        inner = io.BytesIO()
        zipfile.ZipFile(inner, "w").close()
        packed.writestr("DOE^JANE.zip", inner.getvalue())
    told = reasons(find_scans(tmp_path))
    assert told
    assert "DOE" not in told
