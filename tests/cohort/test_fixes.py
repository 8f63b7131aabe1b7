"""fixes.csv: the hospital's word in place of a header, said aloud, and never by mistake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fedpet.cohort.build import Built, build
from fedpet.cohort.cache import open_volume
from fedpet.cohort.findings import read_findings
from fedpet.cohort.fixes import load_fixes
from fedpet.cohort.manifest import read_manifest
from fedpet.cohort.pseudonyms import load_pseudonyms
from fedpet.cohort.samples import open_cohort, pool
from fedpet.cohort.summary import check
from fedpet.cohort.worked import work_out
from fedpet.errors import DataError, NotFoundError
from fedpet.imaging.body_size import body_size
from fedpet.imaging.index import find_scans
from fedpet.synthetic.hospitals import write_hospitals


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A small phantom hospital."""
    folder = tmp_path_factory.mktemp("fixes")
    list(write_hospitals(folder, subjects=3, sites=1, workers=1))
    return folder / "lyon"


@pytest.fixture
def hospital(written, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(written, tmp_path / "lyon"))


def built(folder: Path) -> Built:
    *_, last = build(folder, workers=1)
    assert isinstance(last, Built)
    return last


def write(folder: Path, *lines: str) -> None:
    (folder / "fixes.csv").write_text("\n".join(("subject,field,value", *lines)) + "\n")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("4711,weight,70", "expected one of weight_kg"),
        ("4711,weight_kg,700", "from 1.5 to 400"),
        ("4711,weight_kg,seventy", "from 1.5 to 400"),
        ("4711,weight_kg,nan", "from 1.5 to 400"),
        ("4711,height_m,175", "from 0.3 to 2.6"),
        ("4711,dose_bq,350", "from 1e\\+06"),
        ("4711,injection_datetime,09:30", "YYYY-MM-DD"),
        ("4711,injection_datetime,2025-02-30T09:30:00", "YYYY-MM-DD"),
        ("4711,sex,male", "M, F or O"),
        ("4711,weight_kg", "a subject, a field and a value"),
        (",weight_kg,70", "a subject, a field and a value"),
        ("4711,weight_kg,70\n4711,weight_kg,71", "stands in line 2 too"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_not_by_its_subject(
    tmp_path: Path, line: str, word: str
) -> None:
    """Nothing of a table with a mistake is used: half a correction is worse than none."""
    write(tmp_path, line)
    with pytest.raises(DataError, match=word) as caught:
        load_fixes(tmp_path)
    assert "Line " in str(caught.value)
    assert "4711" not in str(caught.value)
    assert caught.value.code == "FP-2191"


@pytest.mark.parametrize(
    "content", [b"", b"subject;value\n", b"\xff\xfe\x00", b'subject,field,value\n"a,b\n']
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    """Never a traceback."""
    (tmp_path / "fixes.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"fixes\.csv"):
        load_fixes(tmp_path)


def test_spreadsheets_of_other_countries_are_read(tmp_path: Path) -> None:
    """Semicolons, a byte order mark and a decimal comma."""
    text = "\ufeffsubject;field;value\n4711;weight_kg;82,5\n\n4711;sex;F\n"
    (tmp_path / "fixes.csv").write_text(text, encoding="utf-8")
    found = load_fixes(tmp_path).of(" 4711")
    assert found is not None
    assert (found.weight_kg, found.sex) == (82.5, "F")
    assert load_fixes(tmp_path).of("4712") is None


def test_a_correction_changes_the_sample_its_record_and_nothing_else(hospital: Path) -> None:
    """SUV follows the stated weight; the finding says so; the others keep their entries."""
    built(hospital)
    before = read_manifest(hospital / "cohort")
    scan = find_scans(hospital / "images").scans[0]
    weight = scan.pet.header.number(0x00101030)
    subject = load_pseudonyms(hospital).of(scan.patient_id)
    old = open_volume(hospital / "cohort", subject).suv
    write(hospital, f"{scan.patient_id},weight_kg,{0.9 * weight:.6f}")
    assert check(hospital).changes
    again = built(hospital)
    after = read_manifest(hospital / "cohort")
    assert again.fingerprint != before.fingerprint
    changed = {one for one in after.subjects if after.entries[one] != before.entries[one]}
    assert changed == {subject}
    new = open_volume(hospital / "cohort", subject).suv
    # The window follows the body, whose edge is where SUV is 0.2: it may move by a part of a voxel.
    assert np.median(new[old > 1] / old[old > 1]) == pytest.approx(0.9, abs=0.005)
    assert "FP-2126" in [one.code for one in read_findings(hospital / "cohort/findings.json")]
    record = json.loads(
        (hospital / "cohort/cache" / after.entries[subject] / "record.json").read_text()
    )
    assert record["provenance"]["stated"] == "weight_kg"
    assert record["provenance"]["weight_kg"] == pytest.approx(0.9 * weight)
    assert scan.patient_id not in json.dumps(record)
    assert not check(hospital).changes


def test_a_correction_of_nobody_is_refused(hospital: Path) -> None:
    """A mistyped number would leave the scan as it is."""
    write(hospital, "NOBODY-4711,weight_kg,70")
    with pytest.raises(DataError, match="no PET scan here: line 2") as caught:
        built(hospital)
    assert "4711" not in str(caught.value)


def test_a_cohort_of_lean_mass_has_its_own_fingerprint_and_is_not_mixed(hospital: Path) -> None:
    """The manifest, the cohort and the refusal to pool name the kind of SUV."""
    first = built(hospital)
    by_weight = open_cohort(hospital / "cohort")
    settings = hospital / "cohort.toml"
    settings.write_text(settings.read_text() + 'suv = "lbm-janmahasatian"\n')
    second = built(hospital)
    assert second.fingerprint != first.fingerprint
    lean = open_cohort(hospital / "cohort")
    assert (by_weight.suv, lean.suv) == ("bw", "lbm-janmahasatian")
    assert read_manifest(hospital / "cohort").suv == "lbm-janmahasatian"
    scan = find_scans(hospital / "images").scans[0]
    header = scan.pet.header
    size = body_size(
        "lbm-janmahasatian",
        weight_kg=header.number(0x00101030),
        height_m=header.number(0x00101020),
        sex=header.text(0x00100040),
    )
    ratio = size.value / (1000 * header.number(0x00101030))
    row = lean.subjects.index(load_pseudonyms(hospital).of(scan.patient_id))
    suvmax = lean.columns.index("suvmax")
    assert lean.table[row, suvmax] == pytest.approx(ratio * by_weight.table[row, suvmax], rel=1e-5)
    volume = lean.columns.index("tmtv_ml")
    assert lean.table[row, volume] == by_weight.table[row, volume]
    with pytest.raises(DataError, match="cannot be pooled"):
        pool({"lyon": by_weight, "nice": lean}, name="both")


def test_the_worked_log_of_a_hospital_needs_no_cohort_and_names_nobody(hospital: Path) -> None:
    """Before the first build, a physicist can look at every decision."""
    list(build(hospital, workers=1))
    scans = find_scans(hospital / "images").scans
    told = list(work_out(hospital))
    assert len(told) == len(scans)
    one = next(work_out(hospital, subject=told[0].subject[:6]))
    text = "\n".join(one.lines)
    assert "factor = " in text
    assert "liver, 3 cm sphere: " in text
    assert not any(scan.patient_id in text for scan in scans)
    with pytest.raises(NotFoundError):
        list(work_out(hospital, subject="zz"))
