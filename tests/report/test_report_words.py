"""Sentences in every language, numbers in the reader's notation, small counts hidden."""

from __future__ import annotations

import string
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.report.charts import scales
from fedpet.report.words import CATALOGUES, words_of
from fedpet.survival import disclosure


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("language", sorted(set(CATALOGUES) - {"en"}))
def test_every_language_says_everything_that_english_says(language):
    """A missing sentence would end a French report in a traceback."""
    english, other = CATALOGUES["en"], CATALOGUES[language]
    assert set(english) == set(other)
    for key, sentence in english.items():
        assert other[key]
        assert fields(other[key]) == fields(sentence), key


def test_french_lines_do_not_break_before_a_sign():
    """French sets a space before : ; ? ! and it must not break."""
    french: Mapping[str, str] = CATALOGUES["fr"]
    for key, sentence in french.items():
        assert not any(f" {sign}" in sentence for sign in ":;?!%»"), key


@given(st.floats(-1e6, 1e6), st.integers(0, 4), st.sampled_from(["en", "fr"]))
def test_a_printed_number_reads_back_as_the_rounded_one(value, decimals, language):
    """Thousands, decimal sign and minus differ by language; the number does not."""
    words = words_of(language)
    shown = words.number(value, decimals)
    plain = shown.replace(words("thousands"), "").replace(words("decimal"), ".")
    assert float(plain.replace("\u2212", "-")) == round(value, decimals)
    assert not shown.startswith("\u22120") or round(value, decimals) != 0


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=2, max_size=12))
def test_no_hidden_count_follows_from_the_others(pairs):
    """With the total known, one hidden cell alone would be no secret."""
    counts = [events for events, _ in pairs]
    totals = [events + rest for events, rest in pairs]
    cells = disclosure.events(counts, totals)
    for cell, events, total in zip(cells, counts, totals, strict=True):
        if cell.count is not None:
            assert cell.count == events >= disclosure.CELL_MIN
            assert total - events >= disclosure.CELL_MIN
    assert sum(cell.count is None for cell in cells) != 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8).map(lambda row: sorted(row)[::-1]))
def test_numbers_at_risk_never_return_after_they_were_hidden(row):
    """Rows fall, so that what comes after a small number is smaller still."""
    cells = disclosure.at_risk(row)
    for cell, value in zip(cells, row, strict=True):
        assert cell.count == (value if value >= disclosure.AT_RISK_MIN else None)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20))
def test_an_axis_holds_all_its_values_and_its_ends_are_ticks(values):
    """No mark lies outside the chart."""
    axis = scales.linear(values)
    assert axis.ticks[0] == axis.low <= min(values) + 1e-6
    assert axis.ticks[-1] == axis.high >= max(values) - 1e-6
    assert all(axis.start <= axis.x(value) <= axis.end for value in values)
    assert 2 <= len(axis.ticks) <= 9
