"""`fedpet cohort changes`: two scans of each subject, compared inside the hospital."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pydicom
import pytest

from fedpet.cli.main import run
from fedpet.cohort.build import build
from fedpet.cohort.changes import compare
from fedpet.cohort.listing import FILE as LISTING
from fedpet.cohort.manifest import read_manifest
from fedpet.errors import DataError, NotFoundError, StoreError
from fedpet.synthetic.hospitals import write_hospitals

DAYS = 56
GAIN = 1.25


@pytest.fixture(scope="module")
def visits(tmp_path_factory) -> Path:
    """A phantom hospital `first` of subjects 1 and 2; `week8` of 2 and 3, eight weeks later.

    In `week8` every weight is 1.25 times what it was and all else is the same: by definition
    every SUV is 1.25 times what it was, and every volume and distance is the same.
    """
    root = tmp_path_factory.mktemp("visits")
    list(write_hospitals(root, subjects=3, sites=1, workers=1))
    first = root / "lyon"
    built(first, without="0002")
    week8 = root / "week8"
    shutil.copytree(root / "lyon", week8, ignore=shutil.ignore_patterns("cohort", "aside"))
    shutil.move(first / "aside/0002", week8 / "images/0002")
    shutil.rmtree(week8 / "images/0000")
    for path in week8.glob("images/**/*.dcm"):
        dataset = pydicom.dcmread(path)
        for element in list(dataset.iterall()):
            if element.VR in ("DA", "DT") and element.keyword != "PatientBirthDate":
                element.value = later(str(element.value))
        if dataset.Modality == "PT":
            dataset.PatientWeight = float(dataset.PatientWeight) * GAIN
        dataset.save_as(path)
    built(week8)
    return root


def later(text: str) -> str:
    """Move a DICOM date, or date and time, by eight weeks."""
    if not text:
        return text
    return f"{datetime.strptime(text[:8], '%Y%m%d') + timedelta(days=DAYS):%Y%m%d}{text[8:]}"


def built(folder: Path, *, without: str = "") -> None:
    """Build a hospital, with the images of one subject laid aside."""
    if without:
        (folder / "aside").mkdir()
        shutil.move(folder / f"images/{without}", folder / "aside")
    list(build(folder, workers=1))


@pytest.fixture
def week8(visits, tmp_path) -> Path:
    """A copy of the follow-up to spoil; images are links that nobody writes through."""

    def copy(source: str, target: str) -> None:
        (os.link if "/images/" in source else shutil.copy2)(source, target)

    return Path(shutil.copytree(visits / "week8", tmp_path / "week8", copy_function=copy))


def setting(folder: Path, key: str, value: str) -> None:
    """Change a line of cohort.toml and build again."""
    path = folder / "cohort.toml"
    text = re.sub(rf"(?m)^{key} = .*\n", "", path.read_text())
    path.write_text(f"{text}\n{key} = {value}\n")
    built(folder)


def test_a_known_change_of_weight_is_found_in_every_biomarker(visits, tmp_path, capsys):
    """SUV is in proportion to the weight in the header, so that the answer is known: +25 %."""
    out = tmp_path / "week8.csv"
    args = ["cohort", "changes", str(visits / "lyon"), str(visits / "week8"), "-o", str(out)]
    assert run([*args, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    expected = dict.fromkeys(("tmtv_ml", "lesion_count", "dmax_mm"), 0.0)
    expected |= dict.fromkeys(("tlg_g", "suvmax", "suvmean", "suvpeak"), GAIN - 1)
    (row,) = data["changes"]
    assert row["days"] == DAYS
    assert row["earlier_in"] == "baseline"
    assert row["changes"] == {
        f"delta_{name}": pytest.approx(change, abs=1e-6) for name, change in expected.items()
    }
    subjects = {
        name: set(read_manifest(visits / name / "cohort").subjects) for name in ("lyon", "week8")
    }
    assert {row["subject"]} == subjects["lyon"] & subjects["week8"]
    assert set(data["subjects"]["only_baseline"]) == subjects["lyon"] - subjects["week8"]
    assert set(data["subjects"]["only_followup"]) == subjects["week8"] - subjects["lyon"]
    assert data["medians"]["delta_suvmax"]["median"] == pytest.approx(0.25, abs=1e-6)
    with out.open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["subject"] == row["subject"]
    assert int(line["days"]) == DAYS
    assert {name: float(line[name]) for name in row["changes"]} == row["changes"]


def test_the_file_is_for_its_owner_and_names_no_patient(visits, capsys):
    """It lies beside the cohort, with pseudonyms and without any date."""
    assert run(["cohort", "changes", str(visits / "lyon"), str(visits / "week8")]) == 0
    told = capsys.readouterr()
    path = visits / "week8/changes.csv"
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "LYO" not in text + told.out + told.err
    dates = {str(pydicom.dcmread(path).StudyDate) for path in visits.rglob("rtstruct.dcm")}
    assert len(dates) == 4
    assert [day for day in dates if day in text or f"{day[:4]}-{day[4:6]}" in text] == []
    for words in ("1 subject in both", "1 only in the first", "1 only in the second", "+25.0%"):
        assert words in told.out
    assert run(["cohort", "changes", str(visits / "lyon"), str(visits / "week8")]) == 0
    path.unlink()


def test_the_earlier_day_is_the_baseline_whichever_folder_is_named_first(visits, tmp_path, capsys):
    """Two folders are swapped easily; a fall must not become a rise."""
    told = compare(visits / "week8", visits / "lyon")
    straight = compare(visits / "lyon", visits / "week8")
    assert told.rows[0].changes == straight.rows[0].changes
    assert (told.rows[0].days, told.rows[0].earlier_in) == (DAYS, "followup")
    args = [str(visits / "week8"), str(visits / "lyon"), "-o", str(tmp_path / "x.csv")]
    assert run(["cohort", "changes", *args]) == 0
    assert "lies in the second folder for 1 of 1 subjects" in capsys.readouterr().err.replace(
        "\n", " "
    )


def test_days_are_found_again_when_the_listing_is_gone(visits, week8):
    """The listing may be deleted at any time."""
    (week8 / "cohort" / LISTING).unlink()
    assert compare(visits / "lyon", week8) == compare(visits / "lyon", visits / "week8")


def test_another_key_is_refused(visits, week8, capsys):
    """Two hospitals' pseudonyms never match; without a word nobody would be in both."""
    (week8 / "pseudonym.key").write_text("ab" * 32 + "\n")
    assert run(["cohort", "changes", str(visits / "lyon"), str(week8)]) == 3
    told = capsys.readouterr().err
    assert told.startswith("FP-2193  The two folders have different pseudonym keys")
    assert not (week8 / "changes.csv").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("suv", '"bsa"', 'suv = "bw" and "bsa"'),
        ("lesions", '"suv4.0"', 'lesions = "given" and "suv4.0"'),
    ],
)
def test_another_way_of_measuring_is_refused(visits, week8, key, value, said):
    """A change of the method is no change of the tumour."""
    setting(week8, key, value)
    with pytest.raises(DataError) as error:
        compare(visits / "lyon", week8)
    assert error.value.code == "FP-2193"
    assert said in error.value.why


def test_a_folder_that_changed_since_its_build_is_refused(visits, week8):
    """The days of its scans would be those of other scans."""
    (week8 / "fixes.csv").write_text("subject,field,value\nLYO00012013,weight_kg,70\n")
    with pytest.raises(DataError) as error:
        compare(visits / "lyon", week8)
    assert error.value.code == "FP-2190"
    (week8 / "fixes.csv").unlink()
    with (week8 / "cohort.toml").open("a") as file:
        file.write('prefer = ["EARL"]\n')
    with pytest.raises(DataError) as error:
        compare(visits / "lyon", week8)
    assert error.value.code == "FP-2190"


def test_nobody_in_both_and_scans_of_one_day_are_said(visits, week8):
    """An empty table would look like an answer."""
    with pytest.raises(DataError, match="No subject has scans of two days"):
        compare(visits / "week8", week8)
    shutil.rmtree(week8 / "images/0001")
    built(week8)
    with pytest.raises(DataError, match="no subject in common"):
        compare(visits / "lyon", week8)


def test_a_folder_without_a_cohort_is_not_found(visits, tmp_path):
    """Whichever of the two it is."""
    for pair in ((visits / "lyon", tmp_path), (tmp_path, visits / "lyon")):
        with pytest.raises(NotFoundError, match="No cohort has been built here"):
            compare(*pair)


def test_a_file_of_something_else_is_not_written_over(visits, tmp_path, capsys):
    """`-o clinical.csv` is one slip of completion away."""
    table = tmp_path / "clinical.csv"
    table.write_text("patient_id,age\n")
    args = ["cohort", "changes", str(visits / "lyon"), str(visits / "week8"), "-o", str(table)]
    assert run(args) == StoreError.exit_code
    assert "does not hold changes" in capsys.readouterr().err
    assert table.read_text() == "patient_id,age\n"
