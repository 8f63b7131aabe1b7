"""pacs.toml and patient lists: strict at the door, every mistake at once, no identifier told."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import DataError, NotFoundError
from fedpet.imaging.pacs.list import ListOptions, read_list
from fedpet.node.pacs_file import TEMPLATE, load_pacs

ROOT = Path(__file__).resolve().parents[2]


def mistakes(folder: Path, text: str) -> str:
    (folder / "pacs.toml").write_text(text)
    with pytest.raises(DataError) as told:
        load_pacs(folder)
    assert told.value.code == "FP-3011"
    return str(told.value)


def test_the_template_is_right(tmp_path):
    """What we tell people to write must work."""
    (tmp_path / "pacs.toml").write_text(TEMPLATE)
    settings = load_pacs(tmp_path)
    assert (settings.ae_title, settings.pacs.port, settings.pacs.retrieve) == ("FEDPET", 104, "get")
    assert settings.callers == ("PACSCHU",)


def test_the_example_of_the_help_and_the_guide_is_right(tmp_path):
    """Both are copied and edited."""
    import tomllib

    topic = tomllib.loads((ROOT / "src/fedpet/cli/topics.toml").read_text())["pacs"]["text"]
    guide = (ROOT / "docs/guides/pacs.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", guide, flags=re.DOTALL)
    example = "\n".join(line[2:] for line in topic.splitlines() if line.startswith("  "))
    assert blocks
    for text in (example, *blocks):
        (tmp_path / "pacs.toml").write_text(text)
        load_pacs(tmp_path)


def test_every_key_is_explained_in_the_guide():
    """A setting that nobody explains is a setting that nobody dares to use."""
    from dataclasses import fields

    from fedpet.imaging.pacs import settings as made

    guide = (ROOT / "docs/guides/pacs.md").read_text()
    for section in (made.Peer, made.Listen, made.Tls, made.Web, made.Limits):
        for one in fields(section):
            assert f"`{one.name}`" in guide, one.name


def test_a_hospital_without_the_file_is_told_what_to_write(tmp_path):
    """The first call of everybody."""
    with pytest.raises(NotFoundError, match="fedpet help pacs"):
        load_pacs(tmp_path)


def test_every_mistake_is_told_at_once_with_its_line(tmp_path):
    """A misspelt key must not be silently left out."""
    told = mistakes(
        tmp_path,
        'ae_titel = "A"\nae_title = "FEDPET"\n'
        '[pacs]\nae_title = "PACS"\nhost = "p"\nport = 70000\n',
    )
    assert 'line 1: unknown key "ae_titel". Did you mean "ae_title"?' in told
    assert "line 6" in told


@pytest.mark.parametrize("title", ["SEVENTEEN LETTERS", "BACK\\\\SLASH", " SPACE", ""])
def test_an_ae_title_that_dicom_forbids_is_refused(tmp_path, title):
    """PS3.5 6.2: sixteen characters, no backslash."""
    mistakes(tmp_path, TEMPLATE.replace('"PACSCHU" ', f'"{title}" '))


def test_web_needs_an_address(tmp_path):
    """Otherwise the first pull would tell, hours later."""
    assert "[web] url" in mistakes(tmp_path, TEMPLATE.replace('"get"', '"web"'))


def listed(folder: Path, text: str, options: ListOptions | None = None):
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return read_list(path, options)


def test_a_text_file_is_one_patient_a_line(tmp_path):
    """Comments and empty lines are for people."""
    found = listed(tmp_path, "# cohort of spring\nP1\n\n  P2  \nP1\n")
    assert [(one.row, one.patient_id) for one in found] == [(2, "P1"), (4, "P2"), (5, "P1")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_names_patients_and_days(tmp_path, separator):
    """As spreadsheets of any country save it."""
    rows = [["PatientID", "from", "to", "note"], ["P1", "2025-01-02", "2025-02-01", "x"]]
    text = "\n".join(separator.join(row) for row in rows)
    (one,) = listed(tmp_path, text)
    assert (one.row, one.patient_id, one.window) == (2, "P1", "20250102-20250201")


def test_days_around_a_date_and_defaults(tmp_path):
    """The scan before the first infusion, give or take."""
    text = "patient_id,date\nP1,2025-03-01\nP2,\n"
    options = ListOptions(days=30, first=date(2020, 1, 1))
    first, second = listed(tmp_path, text, options)
    assert (first.window, second.window) == ("20250130-20250331", "20200101-")


def test_a_clinical_table_serves_as_list(tmp_path):
    """With the column that the dictionary calls the subject."""
    (one,) = listed(tmp_path, "ipp,age\nP1,61\n", ListOptions(column="ipp"))
    assert one.patient_id == "P1"
    with pytest.raises(DataError, match='Did you mean "ipp"'):
        listed(tmp_path, "ipp,age\nP1,61\n", ListOptions(column="ip"))


def test_accession_numbers_are_asked_for_as_such(tmp_path):
    """In a text file by an option, in a table by the column."""
    (one,) = listed(tmp_path, "A1\n", ListOptions(accession=True))
    (two,) = listed(tmp_path, "accession_number\nA1\n")
    assert one.accession == two.accession == "A1"


@pytest.mark.parametrize("bad", ["SECRET*", "SECRET?", "SECRET\\OTHER", "SECRET" * 20])
def test_an_identifier_that_would_ask_for_others_is_refused(tmp_path, bad):
    """A wildcard asks for patients who are not on the list; it is told by line number only."""
    with pytest.raises(DataError, match="Line 2") as told:
        listed(tmp_path, f"P1\n{bad}\n")
    assert "SECRET" not in str(told.value)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_list_or_an_error(tmp_path_factory, data):
    """Bad input ends in our words, and no line of a list asks for everybody."""
    path = tmp_path_factory.mktemp("list") / "list.csv"
    path.write_bytes(data)
    try:
        found = read_list(path)
    except DataError:
        return
    assert all(one.patient_id or one.accession for one in found)
    assert not any(set("*?\\") & set(one.patient_id + one.accession) for one in found)
