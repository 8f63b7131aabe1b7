"""Phantom hospitals as folders: complete, repeatable, and without the truth in them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import stat
import tomllib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from fedpet.errors import DataError
from fedpet.synthetic import tables
from fedpet.synthetic.hospitals import write_hospitals
from fedpet.synthetic.profiles import FLAWS, HOSPITALS, Masks, share
from fedpet.synthetic.subject import Roll, people


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file below a folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hospitals of three subjects, written in this process."""
    folder = tmp_path_factory.mktemp("tiny")
    list(write_hospitals(folder, subjects=9, sites=3, seed=7, workers=1))
    return folder


def test_two_processes_write_the_same_bytes_as_one(tiny: Path, tmp_path: Path) -> None:
    """A result can only be reproduced if its data can."""
    written = list(write_hospitals(tmp_path, subjects=9, sites=3, seed=7, workers=2))
    assert {record.site for record in written} == {"lyon", "marseille", "nice"}
    assert digests(tmp_path) == digests(tiny)


def test_another_seed_writes_other_patients(tiny: Path, tmp_path: Path) -> None:
    """Identifiers, tables and keys must not be shared between federations."""
    list(write_hospitals(tmp_path, subjects=1, sites=1, seed=8, workers=1))
    for name in ("clinical.csv", "pseudonym.key", "images/0000/pet/0050.dcm"):
        assert (tmp_path / "lyon" / name).read_bytes() != (tiny / "lyon" / name).read_bytes()


def test_a_hospital_folder_holds_what_a_cohort_build_reads(tiny: Path) -> None:
    """Folder layout is a contract with the cohort room."""
    for index, site in enumerate(("lyon", "marseille", "nice")):
        home = tiny / site
        settings = tomllib.loads((home / "cohort.toml").read_text())
        assert settings["site"] == site
        assert settings["phantom"] is True
        key = home / "pseudonym.key"
        assert len(key.read_text().strip()) == 64
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        rows = list(csv.DictReader(io.StringIO((home / "clinical.csv").read_text())))
        dictionary = tomllib.loads((home / "dictionary.toml").read_text())
        named = {variable["column"] for variable in dictionary["variables"].values()}
        named |= {dictionary["subject"]["column"], dictionary["response"]["column"]}
        named |= {name for role, name in dictionary["dates"].items() if role != "format"}
        assert set(rows[0]) == named
        ids = [row[dictionary["subject"]["column"]] for row in rows]
        assert ids == [Roll(seed=7, index=index, subjects=3).patient_id(n) for n in range(3)]


def test_the_truth_stays_outside_every_hospital(tiny: Path) -> None:
    """A model that could read the log hazard would be no test of learning."""
    truth = json.loads((tiny / "truth.json").read_text())
    assert set(truth["ceiling"]) == {"pfs", "os"}
    assert set(truth["ceiling"]["pfs"]) == {"all", "clinical", "image"}
    rows = list(csv.DictReader(io.StringIO((tiny / "truth.csv").read_text())))
    assert len(rows) == 9
    names = {
        file.name for site in ("lyon", "marseille", "nice") for file in (tiny / site).iterdir()
    }
    assert names <= {
        "cohort.toml",
        "clinical.csv",
        "dictionary.toml",
        "images",
        "masks",
        "phantom.json",
        "pseudonym.key",
    }


def test_a_killed_run_goes_on_where_it_stopped(tiny: Path, tmp_path: Path) -> None:
    """Complete hospitals are kept untouched; a half-written one is written again."""
    run = write_hospitals(tmp_path, subjects=9, sites=3, seed=7, workers=1)
    first = next(run).site
    run.close()
    assert not (tmp_path / "truth.json").exists()
    before = (tmp_path / first / "clinical.csv").stat().st_mtime_ns
    again = {
        record.site: record.seconds
        for record in write_hospitals(tmp_path, subjects=9, sites=3, seed=7, workers=1)
    }
    assert again[first] == 0.0
    assert sum(seconds > 0 for seconds in again.values()) == 2
    assert (tmp_path / first / "clinical.csv").stat().st_mtime_ns == before
    assert digests(tmp_path) == digests(tiny)


def test_a_folder_of_somebody_else_is_never_touched(tmp_path: Path) -> None:
    """A hospital's name is also a name that real data may have."""
    (tmp_path / "lyon").mkdir()
    (tmp_path / "lyon" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="lyon"):
        list(write_hospitals(tmp_path, subjects=2, sites=1, workers=1))
    assert (tmp_path / "lyon" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(("subjects", "sites"), [(10, 11), (10, 0), (2, 3)])
def test_impossible_numbers_are_refused_in_words(tmp_path: Path, subjects: int, sites: int) -> None:
    """Bad input ends in a sentence."""
    with pytest.raises(DataError, match="phantom hospitals"):
        list(write_hospitals(tmp_path, subjects=subjects, sites=sites, workers=1))


def test_shares_add_up_and_keep_the_order_of_size() -> None:
    """The demo asks for 320, the full run for 1,110, tests for a handful."""
    for subjects in (10, 57, 205, 320, 1110, 5000):
        for sites in (1, 3, 10):
            counts = share(subjects, sites=sites)
            assert sum(counts) == subjects
            assert list(counts) == sorted(counts, reverse=True)
            assert min(counts) >= min(20, subjects // sites)


def test_gaps_are_as_frequent_as_each_hospital_is_said_to_leave_them() -> None:
    """Missing values differ between hospitals; imputation has to meet that."""
    for index, hospital in enumerate(HOSPITALS):
        roll = Roll(seed=1, index=index, subjects=3000)
        ids = [roll.patient_id(number) for number in range(roll.subjects)]
        text = tables.clinical_table(hospital, people(roll), ids, roll.stream(3))
        rows = list(csv.DictReader(io.StringIO(text)))
        for name in tables.VARIABLES:
            column = tables.column(hospital, name)
            gaps = np.mean([row[column] == "" for row in rows])
            assert gaps == pytest.approx(hospital.missing.get(name, 0.0), abs=0.035)
    rates = [hospital.missing["pdl1_tps_percent"] for hospital in HOSPITALS]
    assert min(rates) >= 0.2
    assert max(rates) <= 0.4
    assert max(hospital.missing["albumin_g_l"] for hospital in HOSPITALS) > 0.9


def test_dates_lie_between_2018_and_2023_and_follow_each_hospitals_format() -> None:
    """A calendar outside the era of the treatment would make a physician frown."""
    for index in (0, 2):
        roll = Roll(seed=1, index=index, subjects=200)
        ids = [roll.patient_id(number) for number in range(roll.subjects)]
        text = tables.clinical_table(roll.hospital, people(roll), ids, roll.stream(3))
        for row in csv.DictReader(io.StringIO(text)):
            for name in tables.DATES[:1] + tables.DATES[3:]:
                cell = row[tables.column(roll.hospital, name)]
                if cell:
                    day = datetime.strptime(cell, roll.hospital.date_format)
                    assert 2018 <= day.year <= 2023


def test_few_subjects_have_flaws_and_every_kind_of_mask_is_there() -> None:
    """The demo must show findings without drowning in them."""
    assert len(FLAWS) / 320 < 0.02
    kinds = [hospital.masks for hospital in HOSPITALS]
    assert [kinds.count(kind) for kind in (Masks.RTSTRUCT, Masks.SEG, Masks.NIFTI, Masks.NONE)] == [
        4,
        3,
        2,
        1,
    ]
