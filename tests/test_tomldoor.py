"""The door for TOML: one wording for plan.toml, cohort.toml, dictionary.toml and pacs.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.cohort.dictionary import DICTIONARY, Dictionary
from fedpet.cohort.settings import COHORT, Settings
from fedpet.errors import DataError, FedpetError, NotFoundError, PlanError
from fedpet.node.pacs_file import PACS
from fedpet.planfile import PLAN
from fedpet.tomldoor import Door, Mistake

DICTIONARY_TEXT = """\
identifying = []
[subject]
column = "patient_id"
[dates]
origin = "start"
progression = "progression"
death = "death"
last_contact = "contact"
[variables.age_years]
column = "age"
"""


def told(text: str, door: Door = DICTIONARY, kind: type = Dictionary) -> str:
    """Return what is said about a text with mistakes, without line breaks."""
    with pytest.raises((DataError, PlanError)) as caught:
        door.values(text, kind, name="x.toml")
    assert caught.value.do == (door.do,)
    return str(caught.value)


@pytest.mark.parametrize("door", [PLAN, COHORT, DICTIONARY, PACS])
def test_every_refusal_says_what_to_do(door):
    """A list of mistakes without a next step leaves a data manager where she was."""
    for mistakes in ([Mistake("a", "wrong.")], [Mistake("a", "wrong."), Mistake("b", "bad.")]):
        error = door.refusal("x.toml", "b = 1\na = 2\n", mistakes)
        assert error.do == (door.do,)
        assert error.code == door.code
        assert "x.toml line 2: wrong." in str(error)
    assert "not TOML" in told("name = ", door)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("unit = 3\n", '"unit" in [variables.age_years] is 3; it should be a text between quotes.'),
        ('missing = "x"\n', "is 'x'; it should be a list."),
        ("range = [1]\n", '"range" in [variables.age_years] is [1]; it has too few items.'),
        ("range = [1, 2, 3]\n", "it should have at most 2 items, not 3."),
        ("range = [5, 5]\n", "it should rise from least to greatest."),
        ("colum = 'x'\n", 'unknown key "colum" in [variables.age_years]. Did you mean "column"?'),
        ("[variables.sex]\n", 'line 11: "column" is missing in [variables.sex].'),
        ("[variables.'a b']\ncolumn = 3\n", 'line 12: "column" in [variables.a b] is 3'),
        ("[[derived]]\n", "line 11: \"derived\" is [{}]; it should be a section."),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_words_of_the_file(added, expected):
    """Tuples, dictionaries and validation are our words, not those of whoever wrote the file."""
    assert expected in told(DICTIONARY_TEXT + added)


def test_a_text_that_is_too_short_is_told_in_a_whole_sentence():
    """Once it read: it String should have at least 1 character."""
    text = told('name = ""\nsite = "lyon"\n', COHORT, Settings)
    assert "line 1: \"name\" is ''; it should have at least 1 character." in text


def test_a_reversed_range_is_told_with_the_other_mistakes():
    """One mistake per attempt is how an afternoon is lost."""
    text = DICTIONARY_TEXT + 'range = [110, 18]\nunits = "years"\ntype = "numbr"\n'
    found = told(text)
    assert found.startswith("3 mistakes in x.toml.")
    assert (
        'line 11: "range" in [variables.age_years] is [110, 18]; '
        "it should rise from least to greatest." in found
    )
    assert 'line 12: unknown key "units"' in found


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    """Missing, a folder, not UTF-8, too large: each has its sentence."""
    path, absent = tmp_path / "x.toml", NotFoundError("Nothing there.")
    for place in (path, tmp_path, path / "below"):
        with pytest.raises(NotFoundError, match="Nothing there"):
            DICTIONARY.text_of(place, absent=absent)
    path.write_bytes("title = 'é'".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        DICTIONARY.text_of(path, absent=absent)
    with pytest.raises(NotFoundError):
        DICTIONARY.text_of(path / "below", absent=absent)
    path.write_bytes(b"#" * (1 << 20) + b"##")
    with pytest.raises(DataError, match="1 MiB"):
        DICTIONARY.text_of(path, absent=absent)
    path.write_bytes(b"\xef\xbb\xbfa = 1")
    assert DICTIONARY.text_of(path, absent=absent) == "a = 1"


OURS = ("Tuple", "Predicate", "validation", "Input", "String")
SCRAPS = st.lists(
    st.sampled_from(
        [
            *DICTIONARY_TEXT.splitlines(), "range = [2, 1]", "range = [nan, 1]", "range = 'x'",
            "[[variables]]", "[variables.age_years.deep]", "a.b.c = 1", "x = {y = [1, {z = 2}]}",
            "'' = 1", '"ключ" = "значение"', "d = 2026-01-01T00:00:00Z", "coding = {M = 'x'}",
            "[dates.formats]", "originn = 'x'", "variables = 3", "[response]", "yes = [[1]]",
        ]
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=120)
@given(SCRAPS)
def test_scraps_of_toml_end_in_a_dictionary_or_in_words(lines):
    """No input of a person ends in a traceback, and no sentence has our words in it."""
    said = ""
    try:
        DICTIONARY.values("\n".join(lines), Dictionary, name="x.toml")
    except FedpetError as error:
        said = str(error)
    assert not [word for word in OURS if word in said]
