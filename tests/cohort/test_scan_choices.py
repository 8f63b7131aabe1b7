"""Every series stands in scans.csv with its reason, and people have the last word."""

from __future__ import annotations

import csv
import json
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from fedpet.cli.main import FEDPET
from fedpet.cli.terminal import Terminal
from fedpet.cohort.build import Built, build
from fedpet.cohort.choices import load_choices
from fedpet.cohort.inputs import read_inputs
from fedpet.cohort.scan_table import look
from fedpet.errors import DataError
from fedpet.imaging.index import Index
from pet_files import Change, write_series

VALUES = np.random.default_rng(7).integers(400, 1000, (24, 16, 16))
DICTIONARY = """
[subject]
column = "id"
[dates]
origin = "start"
progression = "progress"
death = "death"
last_contact = "contact"
[variables.age_years]
column = "age"
type = "number"
unit = "years"
range = [18, 110]
"""


def setting(**values: object) -> Change:
    """Return a change that sets attributes of every file."""

    def change(dataset: Dataset, number: int) -> None:
        for name, value in values.items():
            setattr(dataset, name, value)

    return change


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """Two subjects: SECRET-1 with two equal reconstructions, SECRET-2 with two days."""
    folder = tmp_path / "lyon"
    images = folder / "images"
    write = write_series
    write(images / "1a", VALUES, patient="SECRET-1", series="a")
    write(images / "1b", VALUES + 1, patient="SECRET-1", series="b", change=setting(SeriesNumber=2))
    write(images / "1n", VALUES, patient="SECRET-1", series="n", change=setting(CorrectedImage=""))
    for day in ("20240601", "20250601"):
        change = setting(StudyDate=day, SeriesDescription="WB^SECRET")
        write(images / day, VALUES, patient="SECRET-2", series=day, study=day, change=change)
    (folder / "cohort.toml").write_text(
        'name = "c"\nsite = "lyon"\nspacing_mm = 16.0\nlesions = "given"\n'
    )
    (folder / "dictionary.toml").write_text(DICTIONARY)
    rows = [f"SECRET-{n},60,2025-07-01,,2025-12-01,2025-12-01" for n in (1, 2)]
    (folder / "clinical.csv").write_text(
        "\n".join(["id,age,start,progress,death,contact", *rows]) + "\n"
    )
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    """Read scans.csv as a person's program does."""
    with (folder / "scans.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def override(folder: Path, series: str, word: str) -> None:
    """Write a word into the column `override`, as a person does in a spreadsheet."""
    rows = table(folder)
    for row in rows:
        if row["series"] == series:
            row["override"] = word
    with (folder / "scans.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def run(folder: Path) -> Built:
    """Build the cohort."""
    *_, last = build(folder, workers=1)
    assert isinstance(last, Built)
    return last


def index(folder: Path) -> Index:
    """Return the index as the build sees it."""
    return read_inputs(folder).index()


def test_every_series_stands_in_the_table_with_its_reason(hospital: Path) -> None:
    """Nobody can check a choice that is not written down."""
    run(hospital)
    rows = table(hospital)
    assert len(rows) == 5
    assert [row["role"] for row in rows].count("chosen") == 1
    assert all(row["reason"] for row in rows)
    reasons = {row["reason"] for row in rows}
    assert any("2 reconstructions are equal by every rule" in reason for reason in reasons)
    assert any("lacks ATTN" in reason for reason in reasons)
    assert any("nearer to the start of treatment" in reason for reason in reasons)
    chosen = next(row for row in rows if row["role"] == "chosen")
    assert (chosen["slices"], chosen["rows"], chosen["day"]) == ("24", "16", "365")


def test_the_table_names_nobody_and_is_for_the_owner_alone(hospital: Path) -> None:
    """It lies in a folder that a statistician may see."""
    run(hospital)
    text = (hospital / "scans.csv").read_text()
    assert "SECRET" not in text
    assert "1.2.826" not in text
    assert "2025" not in text
    assert stat.S_IMODE((hospital / "scans.csv").stat().st_mode) == 0o600


def test_a_word_in_the_table_changes_the_scan_and_stays(hospital: Path) -> None:
    """The table is rewritten by every build; what a person wrote must survive it."""
    run(hospital)
    assert len(index(hospital).scans) == 1
    tied = [row for row in table(hospital) if "equal by every rule" in row["reason"]]
    override(hospital, tied[1]["series"], "Chosen")
    assert run(hospital).subjects == 2
    row = next(row for row in table(hospital) if row["series"] == tied[1]["series"])
    assert (row["role"], row["override"]) == ("chosen", "chosen")
    assert row["reason"] == "It is used, as the hospital decided."
    assert run(hospital).subjects == 2
    override(hospital, tied[1]["series"], "excluded")
    assert run(hospital).subjects == 2
    (other,) = [row for row in table(hospital) if row["series"] == tied[0]["series"]]
    assert other["role"] == "chosen"


def test_an_own_file_does_the_same(hospital: Path) -> None:
    """Decisions may be kept under version control, apart from what is generated."""
    run(hospital)
    early = next(row for row in table(hospital) if "nearer" in row["reason"])
    (hospital / "choices.csv").write_text(f"series,choice\n{early['series']},chosen\n")
    scan = next(scan for scan in index(hospital).scans if scan.patient_id == "SECRET-2")
    assert scan.date == "20240601"
    look(hospital)
    (hospital / "choices.csv").unlink()
    assert {scan.date for scan in index(hospital).scans} == {"20250601"}


def test_the_preference_of_the_settings_decides(hospital: Path) -> None:
    """One line settles a thousand subjects."""
    with (hospital / "cohort.toml").open("a") as file:
        file.write('prefer = ["nothing", "^ *$"]\n')
    assert len(index(hospital).scans) == 1
    (hospital / "cohort.toml").write_text('name = "c"\nsite = "l"\nprefer = ["("]\n')
    with pytest.raises(DataError, match="no regular expression"):
        read_inputs(hospital)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("series,choice\nffffffffffff,chosen\n", "line 2: no series of the folder has the digest"),
        ("series,choice\n{nac},chosen\n", "cannot be chosen. It is not attenuation corrected"),
        ("series,choice\n{a},chosen\n{b},chosen\n", "cannot be chosen. The hospital chose another"),
        ("series,choice\n{a},best\n", "'choice' is 'best', expected chosen, excluded or nothing"),
        ("series,choice\n{a},chosen\n{a},excluded\n", "line 3: choices.csv line 2 says 'chosen'"),
        ("series\n{a}\n", "must have one column 'choice'"),
        ("series,choice\n,chosen\n", "it names no series"),
        ("series,choice\n{a},chosen,now\n", "line 2: it does not fit the header"),
    ],
)
def test_a_decision_that_cannot_be_followed_is_told(hospital: Path, text: str, told: str) -> None:
    """A mistyped digest would leave the wrong scan in use without a word."""
    run(hospital)
    tied = [row["series"] for row in table(hospital) if "equal" in row["reason"]]
    nac = next(row["series"] for row in table(hospital) if "ATTN" in row["reason"])
    (hospital / "choices.csv").write_text(text.format(a=tied[0], b=tied[1], nac=nac))
    before = (hospital / "scans.csv").read_bytes()
    with pytest.raises(DataError) as caught:
        run(hospital)
    assert told in str(caught.value)
    assert caught.value.code == "FP-2108"
    assert "SECRET" not in str(caught.value)
    with suppress(DataError):
        assert look(hospital).problem is not None
    assert (hospital / "scans.csv").read_bytes() == before


@given(data=st.binary(max_size=300))
def test_any_bytes_for_a_table_end_in_an_answer_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """People save spreadsheets under every name."""
    folder = tmp_path_factory.mktemp("choices")
    (folder / "choices.csv").write_bytes(data)
    (folder / "scans.csv").write_bytes(b"series,override\n" + data)
    with suppress(DataError):
        load_choices(folder)


def test_the_command_lists_writes_and_fails_as_it_says(hospital: Path) -> None:
    """The data manager meets all of this on the command line."""

    def fedpet(*args: str) -> tuple[int, str]:
        terminal = Terminal()
        answer = FEDPET.main(
            args=["cohort", "scans", str(hospital), *args], standalone_mode=False, obj=terminal
        )
        with CliRunner().isolation() as streams:
            code = terminal.answer(answer)
            return code, streams[0].getvalue().decode()

    code, told = fedpet()
    assert code == 0
    assert "Used: 1 PT." in told
    assert "equal by every rule" in " ".join(told.split())
    code, told = fedpet("--format", "json")
    assert len(json.loads(told)["data"]["scans"]) == 5 == len(table(hospital))
    (hospital / "choices.csv").write_text("series,choice\nffffffffffff,chosen\n")
    assert fedpet()[0] == 3
