"""A folder becomes one without patients, and stays the same images."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from fedpet.cohort.pseudonyms import Pseudonyms, load_pseudonyms
from fedpet.cohort.release import RECORDS, REPORT, Released, SubjectDone, deidentify
from fedpet.errors import DataError, StoreError
from fedpet.imaging.deidentify.profile import Options
from fedpet.imaging.index import find_scans
from fedpet.imaging.scan import read_scan
from pet_files import need, unlistable, write_series, write_structures

SECRET = Pseudonyms(b"k" * 32)
CASES = ("0_0", "1_0", "2_0", "2_4", "3_1", "3_2", "4_0", "4_2", "5_0")


def _release(source: Path, target: Path, **how: object) -> Released:
    *_, last = deidentify(source, target, pseudonyms=SECRET, options=Options(**how))
    assert isinstance(last, Released)
    return last


def _images(seed: int = 1, shape: tuple[int, int, int] = (6, 8, 8)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, shape)


def _same_suv(before: Path, after: Path) -> None:
    one, other = (find_scans(folder).scans[0] for folder in (before, after))
    first, second = read_scan(one), read_scan(other)
    assert first.suv.grid == second.suv.grid
    np.testing.assert_array_equal(first.suv.array, second.suv.array)
    assert first.provenance.rule == second.provenance.rule


@pytest.mark.parametrize("case", CASES)
def test_suv_is_bit_for_bit_the_same_on_digital_reference_objects(case, tmp_path):
    """Nine ways of storing SUV, vendor tags among them; by removing too much all would be lost."""
    source = need("suv_dro", f"DRO_{case}")
    released = _release(source, tmp_path / "out")
    assert not any(one.refused for one in released.series)
    _same_suv(source, tmp_path / "out")


def test_suv_and_lesions_of_a_real_scan_are_the_same(tmp_path):
    """A real GE series of 267 slices and its RTSTRUCT, which must still find its images."""
    source = tmp_path / "in"
    shutil.copytree(need("sts_001_pet", "image"), source / "image")
    shutil.copytree(need("sts_001_pet", "mask"), source / "mask")
    _release(source, tmp_path / "out")
    _same_suv(source, tmp_path / "out")
    one, other = (read_scan(find_scans(folder).scans[0]) for folder in (source, tmp_path / "out"))
    assert one.lesions is not None
    assert other.lesions is not None
    np.testing.assert_array_equal(one.lesions.array, other.lesions.array)


def test_pseudonyms_are_those_of_the_cohort(tmp_path):
    """Released images and a cohort that is built with the same key speak of the same subjects."""
    write_series(tmp_path / "in", _images(), patient="HOSP-4711")
    hospital = load_pseudonyms(tmp_path)
    *_, last = deidentify(tmp_path / "in", tmp_path / "out", pseudonyms=hospital)
    name = load_pseudonyms(tmp_path).of("HOSP-4711")
    assert isinstance(last, Released)
    assert {one.subject for one in last.series} == {name}
    assert find_scans(tmp_path / "out").scans[0].patient_id == name


def test_no_identifier_is_left_in_names_contents_report_or_notes(tmp_path):
    """Everything below the new folder is searched as bytes, file names too."""
    secrets = ("HOSP-4711", "Quentinson", "19441231", "ACC-99")
    uids = set()

    def change(dataset: Dataset, number: int) -> None:
        dataset.PatientName, dataset.PatientBirthDate = "Quentinson^Z", "19441231"
        dataset.AccessionNumber = "ACC-99"
        dataset.ImageComments = "Quentinson again"
        dataset.OperatorsName = "Quentinson"
        uids.update(
            (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID)
        )
        uids.add(dataset.SOPInstanceUID)

    folder = tmp_path / "in" / "Quentinson HOSP-4711"
    paths = write_series(folder, _images(), patient="HOSP-4711", change=change)
    write_structures(
        folder / "rt",
        {"GTV Quentinson": [[(0, 0, 34), (8, 0, 34), (8, 8, 34)]]},
        references=paths[0],
        patient="HOSP-4711",
    )
    released = _release(tmp_path / "in", tmp_path / "out")
    assert all(not one.refused for one in released.series)
    for path in (tmp_path / "out").rglob("*"):
        data = str(path.relative_to(tmp_path)).encode()
        data += path.read_bytes() if path.is_file() else b""
        found = [word for word in (*secrets, *uids) if word.lower().encode() in data.lower()]
        assert not found, (path.name, found)


def test_intervals_between_scans_of_a_subject_are_kept(tmp_path):
    """Two scans 70 days apart stay so; two subjects move by different days."""
    dates = {"A": ("20240105", "20240315"), "B": ("20240105", "20240315")}
    for patient, days in dates.items():
        for number, day in enumerate(days):
            write_series(
                tmp_path / "in", _images(number), patient=patient, series=f"{patient}{number}",
                study=f"{patient}{number}",
                change=lambda d, _, day=day: setattr(d, "StudyDate", day),
            )  # fmt: skip
    _release(tmp_path / "in", tmp_path / "out")
    found: dict[str, set[str]] = {}
    for path in (tmp_path / "out").rglob("*.dcm"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        found.setdefault(dataset.PatientID, set()).add(dataset.StudyDate)
    spans = []
    for days in found.values():
        first, second = (np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") for d in sorted(days))
        spans.append(int((second - first).astype(int)))
    assert spans == [70, 70]
    assert len(set().union(*found.values())) == 4


def test_a_second_call_reads_nothing_again_and_new_files_are_noticed(tmp_path):
    """Resumable: a subject in place is left alone until its files or the options change."""
    write_series(tmp_path / "in", _images(), patient="A", series="a")
    write_series(tmp_path / "in", _images(), patient="B", series="b", study="b")
    _release(tmp_path / "in", tmp_path / "out")
    first = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.dcm")}

    def cached() -> list[bool]:
        records = deidentify(tmp_path / "in", tmp_path / "out", pseudonyms=SECRET)
        return sorted(one.cached for one in records if isinstance(one, SubjectDone))

    assert cached() == [True, True]
    assert first == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.dcm")}
    write_series(tmp_path / "in", _images(2), patient="B", series="b2", study="b")
    assert cached() == [False, True]
    shutil.rmtree(tmp_path / "out" / SECRET.of("A"))
    assert cached() == [False, True]
    assert not list((tmp_path / "out").glob(".part-*"))


def test_an_interrupted_subject_leaves_nothing_half_done(tmp_path):
    """Either all files of a subject are in place, or none."""
    write_series(tmp_path / "in", _images(), patient="A")
    records = deidentify(tmp_path / "in", tmp_path / "out", pseudonyms=SECRET)
    next(records)
    records.close()
    (tmp_path / "out" / ".part-left-1").mkdir()
    released = _release(tmp_path / "in", tmp_path / "out")
    assert len(released.series) == 1
    assert {p.name for p in (tmp_path / "out").iterdir()} == {SECRET.of("A"), RECORDS, REPORT}


def test_one_bad_file_refuses_its_series_and_no_other(tmp_path):
    """Text in one slice may be in the next one too; the other series is as good as before."""

    def burn(dataset: Dataset, number: int) -> None:
        if number == 3:
            dataset.BurnedInAnnotation = "YES"

    write_series(tmp_path / "in", _images(), series="good")
    write_series(tmp_path / "in", _images(), series="bad", modality="CT", change=burn)
    (tmp_path / "in" / "letter.txt").write_text("Dear Mr Quentinson")
    (tmp_path / "in" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    released = _release(tmp_path / "in", tmp_path / "out")
    told = {one.modality: one.refused for one in released.series}
    assert told["PT"] == ""
    assert "Burned In" in told["CT"]
    assert released.others == 1
    assert sum(released.unnamed.values()) == 1
    names = {p.name[:2] for p in (tmp_path / "out" / SECRET.of("P1")).iterdir()}
    assert names == {"PT"}
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert report["profile"].endswith("2026c")


def test_a_zip_archive_is_read_where_it_is(tmp_path):
    """PACS export archives; nothing of them is unpacked beside the images."""
    paths = write_series(tmp_path / "plain", _images())
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "export.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
    released = _release(tmp_path / "in", tmp_path / "out")
    assert [one.files for one in released.series] == [6]
    _same_suv(tmp_path / "plain", tmp_path / "out")


def test_the_new_folder_must_be_empty_and_apart(tmp_path):
    """Nothing of the hospital is overwritten, nor given away with the rest."""
    write_series(tmp_path / "in", _images())
    with pytest.raises(DataError):
        _release(tmp_path / "in", tmp_path / "in" / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError):
        _release(tmp_path / "in", tmp_path / "other")
    assert (tmp_path / "other" / "thesis.txt").read_text() == "mine"


def test_two_processes_write_the_same_bytes_as_one(tmp_path):
    """The result hangs on the key and the files alone."""
    for patient in "ABC":
        write_series(tmp_path / "in", _images(), patient=patient, series=patient, study=patient)
    _release(tmp_path / "in", tmp_path / "one")
    list(deidentify(tmp_path / "in", tmp_path / "two", pseudonyms=SECRET, workers=2))
    one, two = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.dcm")}
        for name in ("one", "two")
    )
    assert one == two


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize(
    "folder", ["sts_001_pet/image", "suv_dro/DRO_0_0/PT", "sts_001_petct_crop"]
)
def test_dciodvfy_finds_no_error_that_was_not_there_before(folder, tmp_path):
    """Removing must not break an object: a validator that is not ours compares before and after."""
    source = tmp_path / "in"
    source.mkdir()
    chosen = [p for p in sorted(need(*folder.split("/")).rglob("*.dcm")) if p.is_file()]
    for number, path in enumerate([*chosen[:2], *chosen[-2:]]):
        shutil.copy(path, source / f"{number}.dcm")
    _release(source, tmp_path / "out")
    before, after = _errors(source), _errors(tmp_path / "out")
    assert after
    assert {one for errors in after for one in errors} <= {
        one for errors in before for one in errors
    }


def _errors(folder: Path) -> list[set[str]]:
    found = []
    for path in sorted(folder.rglob("*.dcm")):
        done = subprocess.run(
            ["dciodvfy", os.fspath(path)], capture_output=True, text=True, check=False
        )
        lines = (done.stderr + done.stdout).splitlines()
        found.append(
            {re.sub(r"[\d.]{10,}", "UID", line) for line in lines if line.startswith("Error")}
        )
    return found


def _by_others(kind: str, source: Path, target: Path) -> None:
    """Write slices as another program would: multi-frame, compressed, deflated, big endian."""
    slices = [pydicom.dcmread(path) for path in sorted(source.iterdir())]
    target.mkdir(parents=True)
    if kind == "multi-frame":
        from highdicom.legacy import LegacyConvertedEnhancedPETImage

        logging.disable(logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            LegacyConvertedEnhancedPETImage(
                slices, series_instance_uid=generate_uid(), series_number=7,
                sop_instance_uid=generate_uid(), instance_number=1,
            ).save_as(target / "one")  # fmt: skip
        logging.disable(logging.NOTSET)
        return
    for number, one in enumerate(slices):
        if kind == "RLE":
            one.compress(RLELossless, generate_instance_uid=False)
        elif kind == "deflated":
            one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        elif kind == "implicit":
            one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        one.save_as(target / f"{number}")


@pytest.mark.parametrize("kind", ["multi-frame", "RLE", "deflated", "implicit"])
@pytest.mark.parametrize("deface", [False, True])
def test_every_coding_keeps_its_suv_and_loses_its_names(kind, deface, tmp_path):
    """Names hide in items of items, and behind compression; a face is never left by mistake."""

    def change(dataset: Dataset, number: int) -> None:
        dataset.PatientName = "Quentinson^Z"
        dataset.PatientComments = "Quentinson"
        block = dataset.private_block(0x0033, "QUENTINSON", create=True)
        block.add_new(1, "LO", "Quentinson")

    write_series(tmp_path / "plain", _images(), patient="HOSP-4711", change=change)
    _by_others(kind, tmp_path / "plain", tmp_path / "in")
    released = _release(tmp_path / "in", tmp_path / "out", deface=deface)
    if kind == "multi-frame" and deface:
        assert "multi-frame" in released.series[0].refused
        return
    assert not released.series[0].refused
    for path in (tmp_path / "out").rglob("*.dcm"):
        told = str(pydicom.dcmread(path)) + path.read_bytes().decode("latin-1")
        assert "quentinson" not in told.lower()
        assert "HOSP-4711" not in told
    _same_suv(tmp_path / "plain", tmp_path / "out")


def test_a_segmentation_still_finds_its_pet(tmp_path):
    """UIDs change in PET, SEG and the references between them alike."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    paths = write_series(tmp_path / "in/pet", _images())
    mask = np.zeros((6, 8, 8), np.uint8)
    mask[2:4, 3:6, 3:6] = 1
    described = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Tumour of Quentinson",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hd.seg.Segmentation(
            source_images=[pydicom.dcmread(one) for one in paths],
            pixel_array=mask,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[described],
            series_instance_uid=hd.UID(), series_number=9,
            sop_instance_uid=hd.UID(), instance_number=1,
            manufacturer="Nobody", manufacturer_model_name="None",
            software_versions="0", device_serial_number="0",
        ).save_as(tmp_path / "in/seg")  # fmt: skip
    _release(tmp_path / "in", tmp_path / "out")
    lesions = read_scan(find_scans(tmp_path / "out").scans[0]).lesions
    assert lesions is not None
    np.testing.assert_array_equal(lesions.array > 0, mask > 0)
    seg = next((tmp_path / "out").rglob("SEG-*/*.dcm"))
    assert hd.seg.segread(seg).get_segment_description(1).segment_label == "Tumour of"


def test_folders_that_nobody_may_list_and_links_to_folders_are_counted(tmp_path):
    """A folder passed over in silence is a subject who is missing and nobody knows."""
    write_series(tmp_path / "in", _images())
    (tmp_path / "in" / "deep").mkdir()
    unlistable(tmp_path / "in" / "deep")
    write_series(tmp_path / "elsewhere", _images(2), patient="P2")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    released = _release(tmp_path / "in", tmp_path / "out")
    told = json.loads((tmp_path / "out" / REPORT).read_text())["files_refused_before_reading"]
    assert released.subjects == 1
    assert told == dict(released.unnamed)
    assert sorted(reason[:30] for reason in told) == [
        "A folder cannot be listed; che",
        "A link to a folder is not foll",
    ]
    shutil.rmtree(tmp_path / "in" / "deep")
