"""REDCap's dictionary and a plain header to a draft; what names a person is never read."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from fedpet.cli.main import run
from fedpet.cohort.clinical import read_table
from fedpet.cohort.dictionary import Dictionary, load_dictionary
from fedpet.cohort.draft import draft_dictionary
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.cohort.redcap import parse_choices, read_redcap
from fedpet.cohort.tablefile import read_sheet
from fedpet.errors import DataError

KEYS = Pseudonyms(b"k" * 32)
# The 18 columns, as REDCap 14 writes them.
COLUMNS = (
    "Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
    "Choices, Calculations, OR Slider Labels", "Field Note",
    "Text Validation Type OR Show Slider Number", "Text Validation Min", "Text Validation Max",
    "Identifier?", "Branching Logic (Show field only if...)", "Required Field?",
    "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?",
    "Field Annotation",
)  # fmt: skip
# name, type, label, choices, validation, min, max, identifier
FIELDS = (
    ("record_id", "text", "Record ID", "", "", "", "", ""),
    ("last_name", "text", "Family name", "", "", "", "", "y"),
    ("town", "text", "Where does the patient live?", "", "", "", "", "y"),
    ("birth", "text", "Date of birth", "", "date_dmy", "", "", "y"),
    ("age", "text", "Age at first infusion", "", "integer", "18", "100", ""),
    ("sex", "radio", "Sex", "1, Male | 2, Female", "", "", "", ""),
    ("ecog", "dropdown", "ECOG performance status", "0, 0 | 1, 1 | 2, 2", "", "", "", ""),
    ("mets", "checkbox", "Metastases", "1, Brain | 2, Liver", "", "", "", ""),
    ("anc", "text", "Neutrophils", "", "number", "", "", ""),
    ("wbc", "text", "White cells", "", "number", "", "", ""),
    ("steroids", "yesno", "Steroids", "", "", "", "", ""),
    ("ici_start", "text", "First infusion", "", "date_ymd", "", "", ""),
    ("progression_date", "text", "Date of progression", "", "date_ymd", "", "", ""),
    ("death_date", "text", "Date of death", "", "date_ymd", "", "", ""),
    ("last_contact", "text", "Last contact", "", "date_ymd", "", "", ""),
    ("best_response", "radio", "Best response", "1, Complete response | 2, Partial response | "
     "3, Stable disease | 4, Progressive disease | 9, Not evaluable", "", "", "", ""),
    ("comment", "notes", "Comment", "", "", "", "", ""),
)  # fmt: skip
RAW = """\
record_id,last_name,town,birth,age,sex,ecog,mets___1,mets___2,anc,wbc,steroids,ici_start,\
progression_date,death_date,last_contact,best_response,comment
11,Martin-Zyx,Quimper-Zyx,1955-01-01,66,1,1,1,0,8,10,0,2021-01-04,,,2022-01-04,2,called Zyx
12,Petit-Zyx,Morlaix-Zyx,1950-01-01,71,2,0,0,1,3,6,1,2021-02-01,,,2022-02-01,4,
"""
LABELS = """\
"Record ID","Family name","Where does the patient live?","Date of birth","Age at first infusion",\
"Sex","ECOG performance status","Metastases (choice=Brain)","Metastases (choice=Liver)",\
"Neutrophils","White cells","Steroids","First infusion","Date of progression","Date of death",\
"Last contact","Best response","Comment"
11,Martin-Zyx,Quimper-Zyx,1955-01-01,66,Male,1,Checked,Unchecked,8,10,No,2021-01-04,,,2022-01-04,\
"Partial response",called Zyx
12,Petit-Zyx,Morlaix-Zyx,1950-01-01,71,Female,0,Unchecked,Checked,3,6,Yes,2021-02-01,,,2022-02-01,\
"Progressive disease",
"""


def redcap(folder: Path, *, columns: tuple[str, ...] = COLUMNS) -> Path:
    """Write the project's data dictionary."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for name, kind, label, choices, validation, low, high, identifier in FIELDS:
        row = [name, "baseline", "", kind, label, choices, "", validation, low, high, identifier]
        writer.writerow([*row, *[""] * (len(columns) - len(row))])
    path = folder / "project_DataDictionary.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def drafted(folder: Path, export: str) -> tuple[str, Dictionary]:
    (folder / "clinical.csv").write_text(export, encoding="utf-8")
    draft = draft_dictionary(read_sheet(folder / "clinical.csv"), read_redcap(redcap(folder)))
    assert draft.open == ()
    path = folder / "dictionary.toml"
    path.write_text(draft.text, encoding="utf-8")
    return draft.text, load_dictionary(path)


@pytest.mark.parametrize("export", [RAW, LABELS], ids=["raw", "labels"])
def test_both_kinds_of_export_are_read_alike_by_their_draft(tmp_path, export):
    """People export whichever button they find first."""
    _, dictionary = drafted(tmp_path, export)
    table = read_table(tmp_path / "clinical.csv", dictionary, KEYS)
    first, second = (table.subjects.index(KEYS.of(one)) for one in ("11", "12"))
    found = dict(zip(table.columns, table.values.T, strict=True))
    expected = {
        "age_years": (66, 71), "sex_male": (1, 0), "ecog": (1, 0), "brain_metastases": (1, 0),
        "anc_10e9_l": (8, 3), "wbc_10e9_l": (10, 6), "steroids": (0, 1), "mets_2": (0, 1),
    }  # fmt: skip
    assert {k: (v[first], v[second]) for k, v in found.items()} == expected
    assert table.response is not None
    assert (table.response[first], table.response[second]) == (1, 0)
    assert str(table.dates["origin"].days[first]) == "2021-01-04"
    assert dictionary.variables["age_years"].range == (18, 100)
    assert {f.code for f in table.findings} == {"FP-2167"}


@pytest.mark.parametrize("export", [RAW, LABELS], ids=["raw", "labels"])
def test_what_names_a_person_is_listed_and_cannot_be_read(tmp_path, export):
    """The project marks it, so nobody can use it by mistake, not even on purpose."""
    text, dictionary = drafted(tmp_path, export)
    assert len(dictionary.identifying) == 3
    assert "Zyx" not in text
    town = dictionary.identifying[1]
    path = tmp_path / "dictionary.toml"
    path.write_text(f'{text}\n[variables.town]\ncolumn = "{town}"\n', encoding="utf-8")
    with pytest.raises(DataError, match="names a person"):
        load_dictionary(path)


def test_choices_may_hold_commas_and_odd_spaces():
    """Labels are written by people."""
    assert parse_choices("1, No, never|2,Yes | 3 , <b>Unsure</b> ") == (
        ("1", "No, never"),
        ("2", "Yes"),
        ("3", "Unsure"),
    )


def test_another_file_is_not_taken_for_a_dictionary(tmp_path):
    """The export of the data is the usual mistake."""
    path = tmp_path / "data.csv"
    path.write_text(RAW, encoding="utf-8")
    with pytest.raises(DataError, match="no column 'Variable / Field Name'") as caught:
        read_redcap(path)
    assert "Zyx" not in str(caught.value)


def test_a_draft_from_a_header_names_what_is_open_and_marks_every_guess(tmp_path):
    """A guess that looks like a fact is worse than none."""
    path = tmp_path / "t.csv"
    path.write_text("IPP;Nom;Prénom;Sexe;Date de décès;bidule\n1;a;b;F;2021-01-01;9\n")
    draft = draft_dictionary(read_sheet(path))
    assert draft.identifying == ("Nom", "Prénom")
    assert draft.open == ("dates.origin", "dates.progression", "dates.last_contact")
    assert draft.unused == 1
    for line in draft.text.splitlines():
        if line.startswith("column =") and "ipp" not in line.casefold():
            assert "check" in line


def test_the_command_writes_a_draft_once(tmp_path, capsys):
    """A dictionary that somebody corrected is never written over."""
    (tmp_path / "clinical.csv").write_text(RAW, encoding="utf-8")
    args = ["cohort", "dictionary", str(tmp_path), "--redcap", str(redcap(tmp_path))]
    assert run(args) == 0
    told = capsys.readouterr().out
    assert "Never read, as they name a person: 3 columns." in told
    assert "Zyx" not in told
    written = (tmp_path / "dictionary.toml").read_bytes()
    assert (tmp_path / "dictionary.toml").stat().st_mode & 0o777 == 0o600
    assert run(args) == 3
    assert (tmp_path / "dictionary.toml").read_bytes() == written


def test_what_a_draft_leaves_open_is_asked_for_by_its_key(tmp_path: Path) -> None:
    """Four open places are four things to fill in, not one column with four meanings."""
    (tmp_path / "dictionary.toml").write_text(
        '[subject]\ncolumn = "id"\n[dates]\norigin = "?"\nprogression = "?"\ndeath = "?"\n'
        'last_contact = "?"\n[variables.age_years]\ncolumn = "age"\ntype = "number"\n'
    )
    with pytest.raises(DataError) as refused:
        load_dictionary(tmp_path / "dictionary.toml")
    for role in ("origin", "progression", "death", "last_contact"):
        assert f'"dates.{role}" still says "?"; name its column.' in str(refused.value)
    assert "already" not in str(refused.value)
