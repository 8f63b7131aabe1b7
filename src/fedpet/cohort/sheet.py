"""A table before anything is known about it: a header and rows of text."""

from __future__ import annotations

from dataclasses import dataclass

from fedpet.errors import DataError

SIZE_LIMIT_BYTES = 256 << 20
SAVE_AS_CSV = "Save the table as CSV, UTF-8, with one header line and one row for each subject."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The cells of a table, without white space around them; blank lines are left out.

    Args:
        header: Names of the columns, from the first line that is not blank.
        rows: Cells of each line, as many as the header has.
        lines: Line of the file on which each row ends, from 1.
        ragged: Lines that have more or fewer fields than the header.
        decimal_comma: Whether numbers may be written `1,5`.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    ragged: tuple[int, ...] = ()
    decimal_comma: bool


def no_table(title: str, *, why: str = "", do: str = SAVE_AS_CSV) -> DataError:
    """Return the error that a file is not a table."""
    return DataError(title, why=why, do=do, code="FP-2103")
