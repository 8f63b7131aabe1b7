"""Shapes of the tables that sections hand to the templates."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from fedpet.report.words import Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class StripRow:
    """A row with a small chart.

    Args:
        label: Heading of the row.
        note: Quiet words under it.
        strip: The chart.
        shown: The number that the chart draws.
        word: A conclusion in a word or two, empty if the table has none.
        sign: The same as one sign, for a narrow screen.
        strong: Whether the row is what the report is about.
    """

    label: str
    note: str
    strip: Markup
    shown: Shown
    word: str = ""
    sign: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StripTable:
    """A table with a chart through its rows; `key` makes identifiers unique in the page."""

    key: str
    caption: str
    heads: tuple[str, ...]
    axis: Markup
    rows: tuple[StripRow, ...]
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberTable:
    """A table of numbers with grouped columns.

    Args:
        caption: What it holds.
        corner: Heading of the column of row names.
        groups: Heading of each group of columns and how many columns it spans.
        heads: Heading of each column.
        rows: Name of the row, quiet words, its cells, and whether it is emphasised.
        note: Words under the table.
    """

    caption: str
    corner: str
    groups: tuple[tuple[str, int], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Shown, ...], bool], ...]
    note: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Each column with its group, where a reader sees one row of headings only."""
        groups = [name for name, span in self.groups for _ in range(span)]
        if not groups:
            return self.heads
        return tuple(f"{name}, {head}" for name, head in zip(groups, self.heads, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A table of words and counts; the first cell of each row is its heading.

    Args:
        caption: What it holds.
        heads: Heading of each column and whether it is aligned as a number.
        rows: Cells.
        note: Words under the table.
    """

    caption: str
    heads: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
