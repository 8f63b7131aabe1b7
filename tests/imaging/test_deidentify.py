"""A DICOM header loses its patient and keeps what SUV needs."""

from __future__ import annotations

import io
import json
import os
import warnings
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.errors import DataError
from fedpet.imaging.deidentify.attributes import Deidentifier
from fedpet.imaging.deidentify.profile import Options, read_table
from fedpet.imaging.deidentify.refusals import WANTED, objection
from fedpet.imaging.deidentify.values import clean_label, shift
from fedpet.imaging.reading import read_header
from pet_files import write_series

SECRET = Pseudonyms(b"k" * 32)
NOTHING = Options(
    dates=False, characteristics=False, device=False, descriptors=False, safe_private=False
)
REFERENCE = Path(__file__).resolve().parents[1] / "reference/deidentify_basic.json"
NAMES = (
    "Quentinson^Zebulonius", "HOSP-778812", "19441231", "ACC55512", "Clinique Zorglub",
    "Docteur^Mabuse", "1.2.999.111.222", "zorglubian remark",
)  # fmt: skip


def _engine(options: Options | None = None) -> Deidentifier:
    return Deidentifier(SECRET, options or Options())


def _file(syntax: str = ExplicitVRLittleEndian) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    meta.MediaStorageSOPInstanceUID = "1.2.999.111.222.9"
    meta.SourceApplicationEntityTitle = "ZORGLUB"
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"zorglub!" * 16)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.999.111.222.1", "1.2.999.111.222.2"
    dataset.FrameOfReferenceUID = "1.2.999.111.222.3"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAMES[:3]
    dataset.AccessionNumber, dataset.InstitutionName, dataset.ReferringPhysicianName = NAMES[3:6]
    dataset.Modality, dataset.PatientSex, dataset.PatientAge = "PT", "F", "093Y"
    dataset.PatientWeight, dataset.PatientSize = "70.5", "1.7"
    dataset.StudyDate = dataset.SeriesDate = "20250301"
    dataset.SeriesTime = "101530.25"
    dataset.SeriesDescription = "PET WB AC Zebulonius 12/03/1950"
    dataset.ImageComments = dataset.PatientComments = NAMES[7]
    dataset.Units = "BQML"
    return dataset


def _again(dataset: FileDataset) -> FileDataset:
    """Return what another program reads after writing."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream)


def _apply(dataset: FileDataset, options: Options | None = None) -> tuple[FileDataset, bytes]:
    read = _again(dataset)
    _engine(options).apply(read, patient_id=NAMES[1])
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read.preamble = b"\0" * 128
        pydicom.dcmwrite(stream, read, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(stream.getvalue())), stream.getvalue()


def _value(vr: str) -> object:
    """Return a value of a type; the same as in reference/deidentify_basic.py."""
    if vr == "SQ":
        item = Dataset()
        item.ReferencedSOPInstanceUID = "1.2.3.4"
        return [item]
    if vr in ("OB", "OW", "UN", "OB or OW"):
        return b"bytes!"
    return {
        "DA": "20240102", "DT": "20240102030405", "TM": "030405", "AS": "050Y", "DS": "1.5",
        "IS": "7", "UI": "1.2.3.4", "PN": "Doe^Jane", "CS": "WORD", "AE": "SCANNER", "US": 7,
        "FD": 1.5, "FL": 1.5, "UL": 7, "SS": 7, "SL": 7, "AT": 0x00100010, "UR": "http://a.b/c",
    }.get(vr, "some text")  # fmt: skip


def _verdict(number: int) -> str:
    """Return what the basic profile of ours does to an attribute on its own."""
    vr = dictionary_VR(number)
    dataset = FileDataset("", {}, file_meta=FileMetaDataset())
    dataset.add_new(number, vr.split(" or ")[0], _value(vr))
    _engine(NOTHING).apply(dataset, patient_id="P")
    if number not in dataset:
        return "removed"
    after = dataset[number].value
    if vr == "SQ" and after:
        uid = after[0].get("ReferencedSOPInstanceUID")
        return "kept" if uid == "1.2.3.4" else "renumbered"
    if after in (None, "", b"") or (vr == "SQ" and not after):
        return "emptied"
    return "kept" if after == _value(vr) else "replaced"


# The table's alternatives in the words of the verdicts.
_ALLOWED = {"X": {"removed"}, "Z": {"emptied", "replaced"}, "D": {"replaced"}, "U": {"replaced"}}
# What says of itself that patients were taken out is written, not taken out.
_OURS = {0x00100010, 0x00100020}


def test_the_basic_profile_does_what_dicom_anonymizer_does_or_the_table_allows_as_well():
    """623 attributes through another program's code; where we differ the standard has a choice."""
    told = json.loads(REFERENCE.read_text())["verdicts"]
    table = read_table()
    other, wrong = [], []
    for text, (name, theirs) in told.items():
        number = int(text, 16)
        ours = _verdict(number)
        if ours == theirs or number in _OURS:
            continue
        other.append(name)
        codes = table[number].basic.split("/")
        allowed = set().union(*(_ALLOWED[code] for code in codes if code in _ALLOWED))
        if "U" in table[number].basic:
            allowed |= {"renumbered", "replaced"}
        is_sequence = dictionary_VR(number) == "SQ"
        if ours not in allowed and not (is_sequence and "D" in codes and ours == "emptied"):
            wrong.append((name, ours, theirs, table[number].basic))
    assert len(told) == 623
    assert not wrong
    assert len(other) < 80, other


def test_no_attribute_of_the_table_is_kept_by_the_basic_profile():
    """Whatever PS3.15 lists must change, also where the value is of an odd type."""
    kept = [
        keyword_for_tag(number)
        for number in read_table()
        if keyword_for_tag(number) and number >> 16 > 4 and _verdict(number) == "kept"
    ]
    assert not kept


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_nothing_that_names_the_patient_is_left_in_the_bytes(syntax):
    """Names, numbers, dates of birth, places, people, UIDs, remarks, nested and in the preamble."""
    dataset = _file(syntax)
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.999.111.222.8"
    item.OperatorsName, item.CodeMeaning = "Docteur^Mabuse", "seen by Mabuse"
    inner = Dataset()
    inner.PatientID = NAMES[1]
    inner.add_new(0x00331001, "LO", NAMES[0])
    item.ReferencedInstanceSequence = [inner]
    dataset.ReferencedImageSequence = [item]
    dataset.ManufacturerModelName = "Scanner of Zebulonius"
    block = dataset.private_block(0x0033, "ZORGLUB PRIVATE", create=True)
    block.add_new(1, "LO", NAMES[0])
    nested = Dataset()
    nested.PatientName = NAMES[0]
    block.add_new(2, "SQ", [nested])
    _, data = _apply(dataset)
    low = data.lower()
    words = [word for name in NAMES for word in name.replace("^", " ").split()]
    left = [word for word in words if word.lower().encode() in low and word != "Docteur"]
    assert left == []


def test_what_suv_needs_is_kept():
    """Weight, size, sex, times of day and dates that fit together."""
    dataset = _file()
    source = Dataset()
    source.RadiopharmaceuticalStartDateTime = "20250301091530"
    source.RadionuclideTotalDose, source.RadionuclideHalfLife = "350000000", "6586.2"
    dataset.RadiopharmaceuticalInformationSequence = [source]
    after, _ = _apply(dataset)
    assert (after.PatientWeight, after.PatientSize, after.PatientSex) == (70.5, 1.7, "F")
    assert (after.SeriesTime, after.Units) == ("101530.25", "BQML")
    inside = after.RadiopharmaceuticalInformationSequence[0]
    assert inside.RadiopharmaceuticalStartDateTime[:8] == after.SeriesDate == after.StudyDate
    assert inside.RadiopharmaceuticalStartDateTime[8:] == "091530"
    assert inside.RadionuclideTotalDose == 350e6


def test_the_file_says_what_was_done_to_it():
    """PS3.15 E.1.1: identity removed, method and codes, dates modified; the pseudonym as ID."""
    after, _ = _apply(_file())
    assert after.PatientIdentityRemoved == "YES"
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = {item.CodeValue for item in after.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113105", "113107", "113108", "113109", "113111"}
    assert after.PatientID == str(after.PatientName) == SECRET.of(NAMES[1])
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert "SourceApplicationEntityTitle" not in after.file_meta


def test_ages_above_89_are_capped():
    """So few people are 93 that the age alone may name one."""
    assert _apply(_file())[0].PatientAge == "090Y"


def test_private_values_that_suv_needs_stay_with_their_creators_and_no_others():
    """Philips' factors and GE's and Siemens' times of reference; by creator, in any block."""
    dataset = _file()
    philips = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
    philips.add_new(0, "DS", "0.000728")
    philips.add_new(9, "DS", "1.25")
    philips.add_new(3, "LO", "Quentinson")
    dataset.private_block(0x0009, "SOMEBODY ELSE", create=True).add_new(0x0D, "LO", "Quentinson")
    ge = dataset.private_block(0x0009, "GEMS_PETD_01", create=True)
    ge.add_new(0x0D, "DT", "20250301101530")
    dataset.private_block(0x0071, "SIEMENS MED PT", create=True).add_new(0x22, "LO", "Quentinson")
    after, data = _apply(dataset)
    assert after.private_block(0x7053, "Philips PET Private Group")[0].value == 0.000728
    assert after.private_block(0x7053, "Philips PET Private Group")[9].value == 1.25
    time = after.private_block(0x0009, "GEMS_PETD_01")[0x0D].value
    assert time == after.SeriesDate + "101530"
    assert sum(element.tag.is_private for element in after) == 5
    assert b"uentinson" not in data


def test_references_between_objects_still_fit():
    """The same UID becomes the same UID wherever it stands, in every file; classes stay."""
    one, other = _file(), _file()
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = one.SeriesInstanceUID, [item]
    other.ReferencedSeriesSequence = [series]
    other.SOPInstanceUID = "1.2.999.111.222.77"
    (first, _), (second, _) = _apply(one), _apply(other)
    there = second.ReferencedSeriesSequence[0]
    assert there.SeriesInstanceUID == first.SeriesInstanceUID
    inside = there.ReferencedInstanceSequence[0]
    assert inside.ReferencedSOPInstanceUID == first.SOPInstanceUID != second.SOPInstanceUID
    assert inside.ReferencedSOPClassUID == first.SOPClassUID == one.SOPClassUID


@given(
    day=st.dates(date(1990, 1, 1), date(2040, 1, 1)),
    days=st.integers(0, 4000),
    patient=st.text(min_size=1, max_size=16),
)
def test_dates_of_a_subject_move_by_one_number_of_days(day, days, patient):
    """Intervals are what outcome studies need; the shift is what hides the calendar."""
    move = SECRET.shift_days(patient)
    later = day + timedelta(days)
    moved = [shift("DA", one.strftime("%Y%m%d"), move) for one in (day, later)]
    dates = [date(int(one[:4]), int(one[4:6]), int(one[6:])) for one in moved]
    assert dates[1] - dates[0] == later - day
    assert dates[0] - day == timedelta(move)
    assert -3650 <= move <= -30


@given(st.text(max_size=60))
def test_a_label_keeps_known_words_only(text):
    """Whatever people type, no word of theirs is left; cleaning twice changes nothing."""
    cleaned = clean_label(text)
    assert cleaned.isascii()
    assert clean_label(cleaned) == cleaned
    assert "quentinson" not in clean_label(text + " Quentinson " + text).lower()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PatientWeight", b"Quentinson"),
        ("SeriesDate", b"Quentinson"),
        ("SeriesTime", b"Quentin "),
        ("PatientSex", b"\xff\xfeQuentinson"),
        ("StudyInstanceUID", b"Quentinson"),
        ("AcquisitionDateTime", b"2025"),
        ("RescaleSlope", b"1.0\\Quentinson "),
        ("TimezoneOffsetFromUTC", b"Quentinson"),
    ],
)
def test_a_value_that_is_not_what_its_type_says_is_dropped(name, value):
    """Systems write names into fields of numbers and dates; such a value is no number to keep."""
    dataset = _again(_file())
    tag = pydicom.tag.Tag(name)
    for vr in ("UN", dictionary_VR(tag)):
        dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)
        _, data = _apply(dataset)
        assert b"uentin" not in data


VRS = st.sampled_from(["UN", "LO", "OB", "PN", "DS", "UT", "SH", "US", "SQ", "CS", "DA"])


@settings(
    max_examples=int(os.environ.get("FEDPET_FUZZ", "100")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_any_header_is_either_clean_or_refused(data):
    """Names in any attribute of any type, private or public, nested or not: none gets through."""
    tags = st.one_of(
        st.sampled_from(sorted(read_table())),
        st.integers(0x00080000, 0x00540FFF),
        st.sampled_from([0x00331001, 0x70531000, 0x70531009, 0x0009100D, 0x00711022, 0x60003000]),
    )
    base = _file()
    raw = bytearray()
    for tag in sorted(set(data.draw(st.lists(tags, min_size=1, max_size=8)))):
        vr = data.draw(VRS)
        value = data.draw(st.sampled_from([b"Quentinson", b"HOSP-778812 ", b"x Zebulonius y"]))
        if tag in base or tag >> 16 < 8:
            continue
        head = tag.to_bytes(4, "big")
        head = head[1::-1] + head[3:1:-1] + vr.encode()
        if vr in ("UN", "OB", "UT", "SQ"):
            raw += head + b"\0\0" + len(value).to_bytes(4, "little") + value
        else:
            raw += head + len(value).to_bytes(2, "little") + value
    stream = io.BytesIO()
    base.save_as(stream, enforce_file_format=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read = pydicom.dcmread(io.BytesIO(stream.getvalue() + bytes(raw)))
            _engine().apply(read, patient_id=NAMES[1])
            out = io.BytesIO()
            read.preamble = b"\0" * 128
            pydicom.dcmwrite(out, read, enforce_file_format=True)
        except DataError:
            return
    low = out.getvalue().lower()
    assert b"quentinson" not in low
    assert b"zebulonius" not in low
    assert b"hosp-778812" not in low


def _header(tmp_path: Path, change) -> object:
    path = write_series(tmp_path, np.zeros((1, 4, 4)), change=lambda dataset, _: change(dataset))[0]
    return read_header(str(path), WANTED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: setattr(d, "BurnedInAnnotation", "YES"), "Burned In"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"), "secondary capture"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.22"), "report"),
        (lambda d: setattr(d, "ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"]), "screen"),
        (lambda d: setattr(d, "PhotometricInterpretation", "RGB"), "colours"),
        (lambda d: d.add_new(0x60000010, "US", 4), "overlay"),
        (lambda d: d.add_new(0x60020102, "US", 14), "unused bits"),
        (lambda d: setattr(d, "PatientID", " "), "Patient ID"),
    ],
)
def test_pictures_that_may_show_names_are_refused(tmp_path, change, reason):
    """Pixels cannot be searched for names; whatever may hold some stays in the hospital."""
    assert reason in objection(_header(tmp_path, change), Options())


def test_an_overlay_may_be_dropped_on_request(tmp_path):
    """A plane of its own can be left out; bits inside the pixels cannot."""
    options = Options(remove_overlays=True)
    header = _header(tmp_path, lambda d: d.add_new(0x60000010, "US", 4))
    assert objection(header, options) == ""
    dataset = _file()
    dataset.add_new(0x60000010, "US", 4)
    dataset.add_new(0x60003000, "OW", b"Quentinson")
    after, data = _apply(dataset, options)
    assert 0x60003000 not in after
    assert b"Quentinson" not in data


def test_sequences_nested_without_end_are_refused():
    """A file must not exhaust the program that cleans it."""
    dataset = inner = _file()
    for _ in range(40):
        item = Dataset()
        inner.ReferencedImageSequence = [item]
        inner = item
    with pytest.raises(DataError):
        _engine().apply(dataset, patient_id="P")
