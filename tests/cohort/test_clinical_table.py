"""Tables as hospitals really save them: read where they can be, refused in words where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedpet.cohort.clinical import RESPONSE_CODES, VARIABLE_CODES, Table, read_table
from fedpet.cohort.dictionary import load_dictionary
from fedpet.cohort.page_french import OWN_REMEDIES
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.cohort.settings import load_settings
from fedpet.errors import DataError, FedpetError, NotFoundError

DICTIONARY = """
[subject]
column = "patient_id"
[dates]
origin = "ici_start"
progression = "progression_date"
progression_confirmed = "confirmed"
death = "death_date"
last_contact = "last_contact_date"
{format}
[response]
column = "best_response"
yes = ["CR", "PR"]
no = ["SD", "PD"]
missing = ["NE"]
[variables.age_years]
column = "age"
unit = "years"
range = [18, 110]
required = true
[variables.albumin_g_l]
column = "albumin"
unit = "g/L"
range = [10, 60]
[variables.sex_male]
column = "sex"
type = "category"
coding = {{ M = 1, F = 0 }}
[variables.ecog]
column = "ecog"
type = "integer"
range = [0, 4]
"""
HEADER = (
    "patient_id,ici_start,progression_date,confirmed,death_date,last_contact_date,"
    "best_response,age,albumin,sex,ecog"
)
ROWS = (
    "PAT-1,2021-01-04,,,,2022-01-04,PR,64,38.5,M,1",
    "PAT-2,2021-02-01,2021-05-01,2021-06-15,2021-09-01,,PD,71,,F,2",
    "PAT-3,2021-03-01,,,,2021-12-24,NE,58,41,M,0",
)
KEYS = Pseudonyms(b"k" * 32)


def read(folder: Path, data: str | bytes, *, form: str = "") -> Table:
    path = folder / "dictionary.toml"
    path.write_text(DICTIONARY.format(format=form and f'format = "{form}"'), encoding="utf-8")
    table = folder / "clinical.csv"
    table.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_table(table, load_dictionary(path), KEYS)


def text(*rows: str, header: str = HEADER) -> str:
    return "\n".join((header, *rows)) + "\n"


def codes(table: Table) -> set[str]:
    return {finding.code for finding in table.findings}


def same(a: Table, b: Table) -> bool:
    return (
        a.subjects == b.subjects
        and np.array_equal(a.values, b.values, equal_nan=True)
        and all(np.array_equal(a.dates[r].days, b.dates[r].days, equal_nan=True) for r in a.dates)
    )


def test_a_clean_table_is_read_without_a_finding(tmp_path):
    """The usual case must stay silent, or nobody reads the findings."""
    table = read(tmp_path, text(*ROWS))
    assert table.findings == ()
    assert table.subjects == tuple(sorted(KEYS.of(f"PAT-{i}") for i in (1, 2, 3)))
    row = table.subjects.index(KEYS.of("PAT-1"))
    assert table.values[row].tolist() == [64.0, 38.5, 1.0, 1.0]
    assert table.response is not None
    assert table.response[row] == 1.0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_spreadsheets_of_all_habits_say_the_same(tmp_path, encoding, newline):
    """Excel in France writes semicolons, decimal commas, dd/mm/YYYY and its own encoding."""
    plain = read(tmp_path, text(*ROWS))
    header = HEADER.replace(",", ";") + ";Prénom"
    rows = (
        "PAT-1;04/01/2021;;;;04/01/2022;PR;64;38,5;M;1;Zoé",
        "PAT-2;01/02/2021;01/05/2021;15/06/2021;01/09/2021;;PD;71,0;NA;f;2,0;Noël",
        "PAT-3;01/03/2021;;;;24/12/2021;NE;58;41;m;0;Aimée",
        ";;;;;;;;;;;",
    )
    data = newline.join((header, *rows)).encode(encoding)
    french = read(tmp_path, data, form="%d/%m/%Y")
    assert same(plain, french)
    assert codes(french) == {"FP-2167"}


GARBAGE: dict[str, tuple[bytes, type[FedpetError], str]] = {
    "an empty file": (b"", DataError, "is empty"),
    "blank lines only": (b"\n \n\n", DataError, "is empty"),
    "a binary file": (bytes(range(256)) * 20, DataError, "is not text"),
    "an Excel workbook": (b"PK\x03\x04" + b"x" * 100, DataError, "spreadsheet"),
    "a file without a header": ("\n".join(ROWS).encode(), DataError, "none of the 11 columns"),
    "a wrong column": (
        text(*ROWS).replace("albumin", "albumine").encode(), DataError, 'Did you mean "albumine"',
    ),
    "two columns of one name": (
        text(*ROWS).replace("ecog", "age", 1).encode(), DataError, "several columns named 'age'",
    ),
    "a quote that is never closed": (
        text(ROWS[0], '"' + ROWS[1], ROWS[2]).encode(), DataError, "cannot be split",
    ),
    "half of UTF-16": ("\ufeff".encode("utf-16") + b"\x41", DataError, "is not text"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "words"), GARBAGE.values(), ids=GARBAGE.keys())
def test_a_file_that_is_no_table_is_refused_in_words(tmp_path, data, kind, words):
    """Bad input ends in a sentence, and the sentence shows no subject."""
    with pytest.raises(kind, match=words) as caught:
        read(tmp_path, data)
    assert "PAT-" not in str(caught.value)


def test_an_absent_table_is_named(tmp_path):
    """The commonest mistake of all."""
    (tmp_path / "dictionary.toml").write_text(DICTIONARY.format(format=""), encoding="utf-8")
    with pytest.raises(NotFoundError, match=r"clinical\.csv"):
        read_table(tmp_path / "clinical.csv", load_dictionary(tmp_path / "dictionary.toml"), KEYS)


CELLS: dict[str, tuple[str, str]] = {
    "a text for a number": (ROWS[0].replace("38.5", "<10"), "FP-2160"),
    "infinity": (ROWS[0].replace("38.5", "inf"), "FP-2160"),
    "a number with an underscore": (ROWS[0].replace("38.5", "3_8"), "FP-2160"),
    "a fraction for an integer": (ROWS[0].replace("M,1", "M,1.5"), "FP-2160"),
    "an age of 640": (ROWS[0].replace("64,", "640,"), "FP-2161"),
    "an unknown sex": (ROWS[0].replace(",M,", ",X,"), "FP-2162"),
    "an unknown response": (ROWS[0].replace(",PR,", ",XX,"), "FP-2162"),
    "a 30 February": (ROWS[0].replace("2022-01-04", "2022-02-30"), "FP-2163"),
    "an American date": (ROWS[0].replace("2022-01-04", "01/04/2022"), "FP-2163"),
    "a field too many": (ROWS[0] + ",9", "FP-2153"),
    "a field too few": (ROWS[0].rsplit(",", 1)[0], "FP-2153"),
    "no subject": (ROWS[0].removeprefix("PAT-1"), "FP-2154"),
    "a missing required value": (ROWS[0].replace("64,", ","), "FP-2155"),
}


@pytest.mark.parametrize(("row", "code"), CELLS.values(), ids=CELLS.keys())
def test_a_bad_cell_is_a_finding_and_a_missing_value(tmp_path, row, code):
    """One bad cell costs one value, never the table, and never a number made up."""
    table = read(tmp_path, text(row, *ROWS[1:]))
    assert code in codes(table)
    finding = next(f for f in table.findings if f.code == code)
    assert finding.subjects == (KEYS.of("PAT-1"),) or finding.lines == (2,)
    assert "PAT-1" not in repr(table)


def test_an_unknown_code_is_sent_to_the_keys_that_its_column_has(tmp_path):
    """A response has no `coding`; whoever added one would only meet the next error."""
    row = ROWS[0].replace(",M,", ",X,").replace(",PR,", ",XX,")
    fixes = {f.title: f.fix for f in read(tmp_path, text(row, *ROWS[1:])).findings}
    assert "`coding`" in fixes["1 subject with an unknown code in sex_male."]
    told = fixes["1 subject with an unknown code in the response."]
    assert "`yes`, `no` or `missing` under [response]" in told
    assert "coding" not in told
    assert {VARIABLE_CODES, RESPONSE_CODES} <= set(OWN_REMEDIES)


def test_one_line_does_not_fit_and_two_do_not(tmp_path):
    """A sentence with a slip in it is trusted less."""
    bad = ROWS[0] + ",9"
    for rows, told in (((bad,), "1 line of clinical.csv does not"), ((bad, bad), "2 lines of")):
        finding = next(f for f in read(tmp_path, text(*rows, *ROWS[1:])).findings)
        assert finding.title.startswith(told)
        assert finding.title.endswith("not fit the header.")


def test_rows_of_one_subject_that_differ_are_not_used(tmp_path):
    """Nobody can tell which of two rows is right."""
    table = read(tmp_path, text(*ROWS, ROWS[0].replace("64,", "65,"), ROWS[1]))
    assert codes(table) == {"FP-2152", "FP-2166"}
    assert set(table.subjects) == {KEYS.of("PAT-2"), KEYS.of("PAT-3")}


def test_a_wrong_unit_is_guessed_and_told_but_not_corrected(tmp_path):
    """Albumin in g/dL is the commonest unit error; a guess must stay a guess."""
    rows = [f"PAT-{i},2021-01-04,,,,2022-01-04,PR,64,{3.5 + i / 10:.1f},M,1" for i in range(6)]
    table = read(tmp_path, text(*rows))
    finding = next(f for f in table.findings if f.code == "FP-2161")
    assert "multiplied by 10" in finding.fix
    assert np.isnan(table.values[:, table.columns.index("albumin_g_l")]).all()


def test_a_table_with_a_header_only_has_no_subjects(tmp_path):
    """An empty export is not an error of the reader; the build says what is missing."""
    assert read(tmp_path, text()).subjects == ()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(lambda t: text(*ROWS, t).encode()))
def test_no_bytes_end_in_a_traceback(tmp_path, data):
    """Whatever lies under the name clinical.csv, the answer is a table or a sentence."""
    try:
        table = read(tmp_path, data)
    except FedpetError:
        return
    assert not np.isinf(table.values).any()


@given(st.permutations(range(3)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_rows_does_not_matter(tmp_path, order):
    """A table sorted another way is the same table."""
    assert same(read(tmp_path, text(*ROWS)), read(tmp_path, text(*(ROWS[i] for i in order))))


def test_all_mistakes_of_the_settings_come_at_once_with_their_lines(tmp_path):
    """A data manager corrects a file once, not once for each mistake."""
    (tmp_path / "cohort.toml").write_text(
        'name = "Nsclc IO"\nspacing = 4.0\nlesions = "gven"\nphantom = "no"\n', encoding="utf-8"
    )
    with pytest.raises(DataError, match="4 mistakes") as caught:
        load_settings(tmp_path)
    told = str(caught.value)
    assert 'line 2: unknown key "spacing". Did you mean "spacing_mm"?' in told
    assert "line 3" in told
    assert '"site" is missing' in told


DICTIONARIES = {
    "an unknown key": ('column = "ecog"', 'colum = "ecog"', 'Did you mean "column"'),
    "an empty range": ("[18, 110]", "[110, 18]", "range"),
    "a format without a month": ("{format}", 'format = "%d/%Y"', "day, month and year"),
    "one column for two things": ('"death_date"', '"ici_start"', "already dates.origin"),
    "a code that means yes and no": ('["SD", "PD"]', '["SD", "pr"]', "two of yes, no"),
    "a category without codes": ("coding = {{ M = 1, F = 0 }}", "", "needs `coding`"),
    "a name with capitals": ("variables.ecog", "variables.ECOG", "lower case"),
    "the name of a biomarker": ("variables.ecog", "variables.tmtv_ml", "biomarker"),
}


@pytest.mark.parametrize(("old", "new", "words"), DICTIONARIES.values(), ids=DICTIONARIES.keys())
def test_a_wrong_dictionary_is_refused_with_the_line(tmp_path, old, new, words):
    """The dictionary is written by hand, once per hospital."""
    path = tmp_path / "dictionary.toml"
    path.write_text(DICTIONARY.replace(old, new).format(format=""), encoding="utf-8")
    with pytest.raises(DataError, match=words) as caught:
        load_dictionary(path, reserved=("tmtv_ml",))
    assert "line " in str(caught.value)
