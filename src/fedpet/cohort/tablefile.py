"""The clinical table's file, whatever program saved it, to the columns that were asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedpet.cohort.csvfile import read_csv
from fedpet.cohort.findings import Finding, counted, found
from fedpet.cohort.sheet import SAVE_AS_CSV, SIZE_LIMIT_BYTES, Sheet, no_table
from fedpet.cohort.workbook import read_workbook
from fedpet.errors import DataError, NotFoundError
from fedpet.tomldoor import did_you_mean

WORKBOOK = b"PK\x03\x04"
OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The cells of a table that were asked for.

    Args:
        cells: Text of each row, by column, without white space around it.
        lines: Line of the file on which each row ends, from 1.
        decimal_comma: Whether numbers may be written `1,5`.
        repeated: What REDCap's columns say of each row: its event, instrument and instance;
            empty where the table has no such columns.
        findings: Lines that do not fit the header, and columns that nobody asked for.
    """

    cells: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]
    decimal_comma: bool
    repeated: tuple[str, ...] = ()
    findings: tuple[Finding, ...]


REDCAP_COLUMNS = (
    "redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance",
    "Event Name", "Repeat Instrument", "Repeat Instance",
)  # fmt: skip


def read_sheet(path: Path, wanted: Collection[str] = ()) -> Sheet:
    """Read a CSV file or an Excel workbook, told apart by their content.

    Args:
        path: The file.
        wanted: Columns that are hoped for; they help to tell separators and sheets.

    Raises:
        NotFoundError: If there is no such file.
        DataError: If it is not a table (FP-2103).
    """
    try:
        if path.stat().st_size > SIZE_LIMIT_BYTES:
            raise no_table(f"{path.name} has more than 256 MiB; is it a table?")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        others = [path.with_suffix(ending) for ending in (".xlsx", ".csv")]
        there = [one.name for one in others if one.name != path.name and one.exists()]
        raise NotFoundError(
            f"The hospital's folder has no {path.name}.",
            do=[f'Set `table = "{name}"` in cohort.toml.' for name in there] or SAVE_AS_CSV,
        ) from None
    except (IsADirectoryError, PermissionError):
        raise no_table(f"{path.name} is a folder, or may not be read.") from None
    if data.startswith(WORKBOOK):
        return read_workbook(path.name, data, wanted)
    if data.startswith(OLD_WORKBOOK):
        raise no_table(
            f"{path.name} is a spreadsheet of the old kind (.xls), or locked by a password.",
            do="Save it as .xlsx without a password, or as CSV.",
        )
    return read_csv(path.name, data, wanted)


def read_rows(path: Path, wanted: Mapping[str, str], *, dictionary: str) -> Rows:
    """Read the wanted columns of a table. Lines that do not fit the header are findings, not rows.

    Args:
        path: A CSV file or an Excel workbook.
        wanted: Columns that must be there, each with the dictionary's key that names it.
        dictionary: Name of the dictionary's file, for messages.

    Raises:
        NotFoundError: If there is no such file.
        DataError: If it is not a table (FP-2103), or wanted columns are not in it (FP-2104).
    """
    sheet = read_sheet(path, wanted)
    header = sheet.header
    _require_columns(path.name, header, wanted, dictionary)
    place = {column: header.index(column) for column in wanted}
    marks = [header.index(name) for name in REDCAP_COLUMNS if name in header]
    findings = []
    if sheet.ragged:
        verb = "does" if len(sheet.ragged) == 1 else "do"
        lines = counted(len(sheet.ragged), "line")
        title = f"{lines} of {path.name} {verb} not fit the header."
        findings.append(found("FP-2153", title, lines=sheet.ragged))
    if unused := [name for name in header if name and name not in wanted]:
        shown = ", ".join(f"'{name:.40}'" for name in unused[:10])
        more = ", ..." if len(unused) > 10 else ""
        title = f"{counted(len(unused), 'column')} of {path.name} not used: {shown}{more}."
        findings.append(found("FP-2167", title))
    return Rows(
        cells=tuple({column: row[at] for column, at in place.items()} for row in sheet.rows),
        lines=sheet.lines,
        decimal_comma=sheet.decimal_comma,
        repeated=tuple(" ".join(row[at] for at in marks) for row in sheet.rows) if marks else (),
        findings=tuple(findings),
    )


def _require_columns(
    name: str, header: Sequence[str], wanted: Mapping[str, str], dictionary: str
) -> None:
    """Refuse a table that lacks columns. Only names that resemble a wanted one are told.

    A file without a header line has a subject in its first line, which must not be shown.
    """
    if twice := sorted({column for column in wanted if header.count(column) > 1}):
        raise DataError(
            f"{name} has several columns named {', '.join(repr(column) for column in twice)}.",
            do="Give every column another name.",
            code="FP-2104",
        )
    missing = [column for column in wanted if column not in header]
    if not missing:
        return
    if len(missing) == len(wanted):
        raise DataError(
            f"{name} has none of the {len(wanted)} columns that {dictionary} names.",
            why="The first line must be the header.",
            do=["Add the header line.", f"Or correct the column names in {dictionary}."],
            code="FP-2104",
        )
    told = [
        f"{name} has no column '{column}' ({dictionary}: {wanted[column]})."
        + did_you_mean(column, [h for h in header if h and h not in wanted])
        for column in missing
    ]
    raise DataError(
        told[0] if len(told) == 1 else f"{len(told)} columns are not in {name}.",
        why="" if len(told) == 1 else "\n".join(told),
        do=f"Correct the names in {dictionary}, or in the table's header.",
        code="FP-2104",
    )
