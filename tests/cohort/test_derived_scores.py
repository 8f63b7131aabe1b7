"""Scores, categories of response, merged rows and the day on which the data were closed."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.cohort.clinical import Table, read_table
from fedpet.cohort.derived import SCORES, Derived, compute
from fedpet.cohort.dictionary import load_dictionary
from fedpet.cohort.endpoints import Course, derive, derive_until, endpoints_of
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.cohort.response import categories
from fedpet.errors import DataError

KEYS = Pseudonyms(b"k" * 32)
TODAY = date(2026, 1, 1)
ALL = Derived(lipi=True, dnlr=True, nlr=True, ldh_uln_ratio=True, bmi=True, ldh_uln_u_l=250.0)
# By hand. LIPI as in Mezquita 2018, table 1: good 0, intermediate 1, poor 2.
CASES = [
    # anc, wbc, lymphocytes, ldh, weight, height -> dnlr, nlr, ldh/uln, lipi, bmi
    ((6.0, 10.0, 2.0, 200.0, 70.0, 1.75), (1.5, 3.0, 0.8, 0, 22.857142857)),
    ((8.0, 10.0, 1.0, 200.0, 70.0, 1.75), (4.0, 8.0, 0.8, 1, 22.857142857)),
    ((6.0, 10.0, 2.0, 251.0, 70.0, 1.75), (1.5, 3.0, 1.004, 1, 22.857142857)),
    ((9.0, 11.0, 1.5, 500.0, 110.0, 1.60), (4.5, 6.0, 2.0, 2, 42.96875)),
    # exactly 3 and exactly the limit are not above it
    ((7.5, 10.0, 2.5, 250.0, 70.0, 2.0), (3.0, 3.0, 1.0, 0, 17.5)),
    # missing inputs
    ((math.nan, 10.0, 2.0, 200.0, 70.0, math.nan), (math.nan, math.nan, 0.8, math.nan, math.nan)),
    # neutrophils without other white cells, or more of them than white cells; a height in cm
    ((10.0, 10.0, 0.0, 200.0, 70.0, 175.0), (math.nan, math.nan, 0.8, math.nan, math.nan)),
    ((11.0, 10.0, 1.0, -1.0, 70.0, 0.0), (math.nan, 11.0, math.nan, math.nan, math.nan)),
]
INPUTS = ("anc_10e9_l", "wbc_10e9_l", "lymphocytes_10e9_l", "ldh_u_l", "weight_kg", "height_m")
OUT = ("dnlr", "nlr", "ldh_uln_ratio", "lipi", "bmi")


def test_scores_are_those_that_were_worked_out_by_hand():
    """A score that decides on treatment is worth a table of cases."""
    columns = np.array([case for case, _ in CASES]).T
    values = dict(zip(INPUTS, columns, strict=True))
    scores, odd = compute(ALL, values, subjects=len(CASES))
    for at, name in enumerate(OUT):
        expected = np.array([told[at] for _, told in CASES], float)
        np.testing.assert_allclose(scores[name], expected, rtol=1e-9, err_msg=name)
    assert odd["dnlr"].tolist() == [False] * 6 + [True, True]
    assert odd["bmi"].tolist() == [False] * 6 + [True, True]
    assert odd["nlr"].tolist() == [False] * 6 + [True, False]


@given(
    st.lists(
        st.tuples(*[st.floats(allow_nan=True, allow_infinity=True, width=64)] * 6),
        min_size=1,
        max_size=8,
    )
)
def test_no_input_makes_a_score_that_is_not_plausible(rows):
    """Neither a warning of NumPy (tests fail on them), nor a number beyond its range."""
    columns = np.array(rows, float).T
    values = {
        name: np.where(np.isfinite(column), column, np.nan)
        for name, column in zip(INPUTS, columns, strict=True)
    }
    scores, odd = compute(ALL, values, subjects=len(rows))
    for name, found in scores.items():
        low, high = SCORES[name].range
        known = found[~np.isnan(found)]
        assert ((known >= low) & (known <= high)).all()
        assert np.isnan(found[odd[name]]).all()


DICTIONARY = """
[subject]
column = "id"
{rows}
[dates]
origin = "start"
progression = "pd"
death = "death"
last_contact = "seen"
{dates}
{response}
[variables.anc_10e9_l]
column = "anc"
[variables.wbc_10e9_l]
column = "wbc"
scale = 0.001
[variables.ldh_u_l]
column = "ldh"
[derived]
{derived}
"""
HEADER = "id,start,pd,death,seen,bor,anc,wbc,ldh"


def read(folder: Path, *rows: str, header: str = HEADER, **parts: str) -> Table:
    told = {"rows": "", "dates": "", "response": "", "derived": "dnlr = true", **parts}
    path = folder / "dictionary.toml"
    path.write_text(DICTIONARY.format(**told), encoding="utf-8")
    table = folder / "clinical.csv"
    table.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return read_table(table, load_dictionary(path), KEYS)


def column(table: Table, name: str, subject: str) -> float:
    return float(table.values[table.subjects.index(KEYS.of(subject)), table.columns.index(name)])


ROWS = (
    "A,2021-01-01,,,2022-01-01,CR,8,10000,300",
    "B,2021-01-01,,,2022-01-01,PD,2,6000,",
    "C,2021-01-01,,,2022-01-01,SD,9,9,200",
)


def test_scores_stand_beside_the_variables_and_implausible_inputs_are_told(tmp_path):
    """White cells in another unit than the dictionary says must not become a score."""
    table = read(tmp_path, *ROWS, derived="dnlr = true\nlipi = true\nldh_uln_u_l = 250")
    assert table.columns == ("anc_10e9_l", "wbc_10e9_l", "ldh_u_l", "lipi", "dnlr")
    assert column(table, "dnlr", "A") == 4.0
    assert column(table, "lipi", "A") == 2.0
    assert math.isnan(column(table, "lipi", "B"))
    odd = [f for f in table.findings if f.code == "FP-2171"]
    assert [f.subjects for f in odd] == [(KEYS.of("C"),)] * 2


@pytest.mark.parametrize(
    ("derived", "words"),
    [
        ("bmi = true", '"bmi" needs weight_kg and height_m as variables'),
        ("lipi = true", '"lipi" needs ldh_uln_u_l as variables'),
        ("lipy = true", 'Did you mean "lipi"?'),
    ],
)
def test_a_score_that_cannot_be_computed_is_refused_at_the_door(tmp_path, derived, words):
    """Better than a column of missing values."""
    with pytest.raises(DataError) as caught:
        read(tmp_path, *ROWS, derived=derived)
    assert words in f"{caught.value.title} {caught.value.why}"


@pytest.mark.parametrize(
    ("criterion", "cells", "expected"),
    [
        ("RECIST 1.1", ("CR", "pr", "SD", "PD", "NE", ""), (1, 1, 0, 0, None, None)),
        ("RECIST 1.1", ("Partial Response", "CMR"), (1, None)),
        ("iRECIST", ("iCR", "iPR", "iSD", "iUPD", "iCPD", "NE"), (1, 1, 0, 0, 0, None)),
        ("PERCIST", ("CMR", "PMR", "SMD", "PMD", "NE"), (1, 1, 0, 0, None)),
        ("PERCIST", ("UPMD", "complete  metabolic response"), (0, 1)),
    ],
)
def test_response_is_read_by_the_names_of_a_criterion(tmp_path, criterion, cells, expected):
    """The criteria name their categories; no hospital should have to list them."""
    rows = [f"P{n},2021-01-01,,,2022-01-01,{cell},1,4000,1" for n, cell in enumerate(cells)]
    told = f'[response]\ncolumn = "bor"\ncriterion = "{criterion}"'
    table = read(tmp_path, *rows, response=told)
    assert table.response is not None
    for n, number in enumerate(expected):
        found = table.response[table.subjects.index(KEYS.of(f"P{n}"))]
        assert math.isnan(found) if number is None else found == number
    unknown = [f for f in table.findings if f.code == "FP-2162"]
    assert len(unknown) == ("CMR" in cells and criterion == "RECIST 1.1")


def test_the_criteria_do_not_share_a_word_with_two_meanings():
    """The list of iRECIST contains that of RECIST; nothing else overlaps but "not evaluable"."""
    percist, recist = categories("PERCIST"), categories("RECIST 1.1")
    assert {k for k in set(percist) & set(recist) if percist[k] == percist[k]} == set()
    assert all(categories("iRECIST")[k] == v for k, v in recist.items() if v == v)


def test_rows_of_events_are_merged_where_the_dictionary_says_so(tmp_path):
    """REDCap writes one row for each event and repeating instrument."""
    header = "id,redcap_event_name,start,pd,death,seen,bor,anc,wbc,ldh"
    rows = (
        "A,baseline,2021-01-01,,,2021-01-01,,8,10000,300",
        "A,month_3,,2021-04-01,,2021-04-02,PD,7,,",
        "A,month_6,,,,2021-07-01,,,,",
        "B,baseline,2021-01-01,,,2021-09-01,CR,2,6000,100",
    )
    refused = read(tmp_path, *rows, header=header)
    assert refused.subjects == (KEYS.of("B"),)
    (finding,) = [f for f in refused.findings if f.code == "FP-2152"]
    assert 'rows = "merge"' in finding.fix
    table = read(tmp_path, *rows, header=header, rows='rows = "merge"')
    row = table.subjects.index(KEYS.of("A"))
    assert column(table, "anc_10e9_l", "A") == 8.0
    assert str(table.dates["last_contact"].days[row]) == "2021-07-01"
    assert str(table.dates["progression"].days[row]) == "2021-04-01"
    (told,) = [f for f in table.findings if f.code == "FP-2175"]
    assert told.details == ("anc: 1 subject with several values",)


def test_what_happened_after_the_data_were_closed_does_not_count(tmp_path):
    """Otherwise those whose events were noted late would have longer follow-up than others."""
    rows = (
        "A,2021-01-01,,2023-06-01,2023-06-01,,1,4000,1",
        "B,2021-01-01,2021-03-01,,2022-12-01,,1,4000,1",
        "C,2021-01-01,,,2021-06-01,,1,4000,1",
        "D,2023-02-01,,,2023-06-01,,1,4000,1",
    )
    table = read(tmp_path, *rows, dates='cutoff = "2023-01-01"')
    ends = endpoints_of(table, today=TODAY)
    at = {name: table.subjects.index(KEYS.of(name)) for name in "ABCD"}
    os = ends.outcomes["os"]
    assert (os.time_days[at["A"]], os.event[at["A"]]) == (730, False)
    assert (ends.outcomes["pfs"].time_days[at["B"]], bool(ends.outcomes["pfs"].event[at["B"]])) == (
        59,
        True,
    )
    assert os.time_days[at["C"]] == 151
    assert math.isnan(os.time_days[at["D"]])
    told = {f.code: f.subjects for f in ends.findings}
    assert told["FP-2176"] == (KEYS.of("A"),)
    assert told["FP-2169"] == (KEYS.of("C"),)
    assert told["FP-2164"] == (KEYS.of("D"),)


days = st.dates(date(2020, 1, 1), date(2024, 1, 1))
courses = st.builds(
    Course,
    origin=days,
    progression=st.none() | days,
    confirmed=st.none() | days,
    death=st.none() | days,
    last_contact=st.none() | days,
)


@given(course=courses, cutoff=days)
def test_closing_the_data_never_lengthens_follow_up_nor_adds_events(course, cutoff):
    """Law of administrative censoring."""
    whole = derive(course, today=TODAY)
    closed = derive_until(course, today=TODAY, confirmation=True, cutoff=cutoff)
    for before, after in ((whole.pfs, closed.pfs), (whole.os, closed.os)):
        if after is None:
            continue
        assert before is not None
        assert after[0] <= max(before[0], (cutoff - course.origin).days)
        assert after[0] <= (cutoff - course.origin).days or before == after
        if after[1]:
            assert before == after


def test_a_late_cutoff_changes_nothing():
    """The default, and a day after the last one, are the same."""
    seen = Course(origin=date(2021, 1, 1), progression=date(2021, 4, 1),
                  confirmed=date(2021, 5, 3), last_contact=date(2021, 12, 31))  # fmt: skip
    late = derive_until(seen, today=TODAY, confirmation=True, cutoff=date(2022, 1, 1))
    assert late == derive(seen, today=TODAY)
