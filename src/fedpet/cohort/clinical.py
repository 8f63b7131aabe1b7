"""The clinical table: cells to numbers and dates, every cell that cannot be used a finding."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.dates import DateColumn, Days, Form, read_days
from fedpet.cohort.derived import SCORES, compute
from fedpet.cohort.dictionary import Dictionary, ResponseColumn, Variable
from fedpet.cohort.findings import Finding, counted, found, left_out
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.cohort.tablefile import Rows, read_rows

Floats = NDArray[np.float64]
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", ".", "-", "?"})
SCALES = (1000.0, 100.0, 10.0, 0.1, 0.01, 0.001)
REPEATED = (
    "The table is a REDCap export with several events or instruments: export one of them, or set "
    '`rows = "merge"` under [subject] in dictionary.toml.'
)
VARIABLE_CODES = "Add the code to `coding` in dictionary.toml, or correct the cells."
RESPONSE_CODES = (
    "Add the code to `yes`, `no` or `missing` under [response] in dictionary.toml, "
    "or correct the cells."
)
ROLES = {
    "origin": "first infusion",
    "progression": "progression",
    "progression_confirmed": "confirmation",
    "death": "death",
    "last_contact": "last contact",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """One date of every subject.

    Args:
        days: datetime64[D] [subjects]; NaT where the cell is empty or unreadable.
        unreadable: bool [subjects]; a cell that holds something that is not a date.
    """

    days: NDArray[np.datetime64]
    unreadable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The clinical table, one row a subject, without identifiers.

    Args:
        subjects: Pseudonyms, in ascending order.
        loose: What the pseudonyms would be without leading zeros and case; see `quality`.
        columns: Canonical names of the variables, then of the scores derived from them.
        values: float64 [subjects, columns], canonical units, NaN for missing.
        dates: By role: `origin`, `progression`, `progression_confirmed`, `death`, `last_contact`.
        response: float64 [subjects], 1 for yes, 0 for no, NaN; None where it is not recorded.
        rows: Rows read, copies and refused ones included.
        findings: About cells, lines and rows.
        forms: Format in which each column of dates was read, by role.
        cutoff: Day on which the data were closed; None where it is not told.
    """

    subjects: tuple[str, ...]
    loose: tuple[str, ...]
    columns: tuple[str, ...]
    values: Floats
    dates: Mapping[str, Dates]
    response: Floats | None
    rows: int
    findings: tuple[Finding, ...]
    forms: Mapping[str, str] = field(default_factory=dict)
    cutoff: date | None = None


def read_table(path: Path, dictionary: Dictionary, pseudonyms: Pseudonyms) -> Table:
    """Read a clinical table by its dictionary.

    A number out of range, a text where a number should be, an unknown code and an unreadable date
    are findings; the value is missing from then on. Rows of one subject that differ are findings,
    and none of them is used.

    Raises:
        NotFoundError: If there is no such file.
        DataError: If it is not a table, or columns of the dictionary are not in it.
    """
    rows = read_rows(path, dictionary.columns, dictionary="the dictionary")
    column = dictionary.subject.column
    merged, findings = _merged(rows, dictionary)
    ids = [row[column] for row in merged.cells]
    keep, about_rows = _one_row_each(merged, ids, pseudonyms)
    findings += about_rows
    order = sorted(keep, key=lambda row: pseudonyms.of(ids[row]))
    subjects = tuple(pseudonyms.of(ids[row]) for row in order)
    cells = _Cells(subjects, tuple(merged.cells[row] for row in order), rows.decimal_comma)
    values = {}
    for name, variable in dictionary.variables.items():
        values[name], about = cells.variable(name, variable)
        findings += about
    scores, about = cells.scores(dictionary, values)
    values |= scores
    findings += about
    dates, forms, about = cells.dates(dictionary)
    findings += about
    response = None
    if dictionary.response is not None:
        response, about = cells.response(dictionary.response)
        findings += about
    cutoff = dictionary.dates.cutoff
    return Table(
        subjects=subjects,
        loose=tuple(pseudonyms.loosely(ids[row]) for row in order),
        columns=tuple(values),
        values=np.stack(list(values.values()), axis=1) if subjects else np.zeros((0, len(values))),
        dates=dates,
        response=response,
        rows=len(rows.cells),
        findings=(*rows.findings, *findings),
        forms=forms,
        cutoff=None if cutoff is None else date.fromisoformat(cutoff),
    )


def _merged(rows: Rows, dictionary: Dictionary) -> tuple[Rows, list[Finding]]:
    """Make one row of all rows of a subject, where the dictionary says so.

    Of each column the first cell that is filled in counts, in the order of the file; of the last
    contact the last one.
    """
    if dictionary.subject.rows != "merge":
        return rows, []
    groups: dict[str, list[int]] = defaultdict(list)
    for number, cells in enumerate(rows.cells):
        # A row without a subject stays alone, and is told later.
        groups[cells[dictionary.subject.column].strip() or f"\0{number}"].append(number)
    last = dictionary.dates.last_contact
    merged: list[Mapping[str, str]] = []
    several: dict[str, int] = defaultdict(int)
    for group in groups.values():
        row: dict[str, str] = {}
        for column in rows.cells[group[0]]:
            filled = [c for r in group if (c := rows.cells[r][column]).casefold() not in MISSING]
            row[column] = "" if not filled else filled[-1 if column == last else 0]
            if len(set(filled)) > 1 and column != last:
                several[column] += 1
        merged.append(row)
    one = Rows(
        cells=tuple(merged),
        lines=tuple(rows.lines[group[0]] for group in groups.values()),
        decimal_comma=rows.decimal_comma,
        findings=rows.findings,
    )
    repeated = sum(len(group) > 1 for group in groups.values())
    if not repeated:
        return one, []
    title = f"{counted(repeated, 'subject')} with several rows, merged into one."
    details = [f"{column}: {counted(n, 'subject')} with several values" for column, n in
               several.items()]  # fmt: skip
    return one, [found("FP-2175", title, details=details)]


def _one_row_each(
    rows: Rows, ids: Sequence[str], pseudonyms: Pseudonyms
) -> tuple[list[int], list[Finding]]:
    """Choose the rows that are used: the first of equal ones, none of several that differ."""
    findings = []
    if nameless := [line for line, one in zip(rows.lines, ids, strict=True) if not one]:
        title = f"{counted(len(nameless), 'line')} of the table without a subject."
        findings.append(found("FP-2154", title, lines=nameless))
    by_subject: dict[str, list[int]] = defaultdict(list)
    for row, one in enumerate(ids):
        if one:
            by_subject[pseudonyms.of(one)].append(row)
    repeated = {s: group for s, group in by_subject.items() if len(group) > 1}
    differ = {
        s
        for s, group in repeated.items()
        if any(rows.cells[r] != rows.cells[group[0]] for r in group)
    }
    if differ:
        title = f"{counted(len(differ), 'subject')} with several rows that differ."
        lines = [rows.lines[row] for s in differ for row in repeated[s]]
        fix = REPEATED if any(rows.repeated) else ""
        findings.append(found("FP-2152", title, subjects=differ, lines=lines, fix=fix))
    if copies := set(repeated) - differ:
        title = f"{counted(len(copies), 'subject')} with the same row more than once."
        lines = [rows.lines[row] for s in copies for row in repeated[s][1:]]
        findings.append(found("FP-2166", title, subjects=copies, lines=lines))
    refused = left_out(findings)
    return [group[0] for s, group in by_subject.items() if s not in refused], findings


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of the rows that are used, in the order of the subjects."""

    subjects: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    decimal_comma: bool

    def variable(self, name: str, variable: Variable) -> tuple[Floats, list[Finding]]:
        """Read a variable; what cannot be used is NaN and a finding."""
        cells = [row[variable.column] for row in self.rows]
        absent = _absent(cells, variable.missing, known=variable.coding)
        if variable.type == "category":
            coding = {code.casefold(): number for code, number in variable.coding.items()}
            values = np.array(
                [
                    np.nan if no else _code(cell, coding)
                    for cell, no in zip(cells, absent, strict=True)
                ]
            )
            code, what, fix = "FP-2162", "an unknown code", VARIABLE_CODES
        else:
            values = np.array(
                [
                    np.nan if no else self.number(cell)
                    for cell, no in zip(cells, absent, strict=True)
                ]
            )
            values = values * variable.scale
            if variable.type == "integer":
                values[np.mod(values, 1) != 0] = np.nan
            code, what, fix = "FP-2160", f"no {variable.type}", ""
        values = values.astype(np.float64)
        wrong = np.isnan(values) & ~absent
        findings = self._told(code, f"{what} in {name}", wrong, fix=fix)
        outside, about = self._outside(name, variable, values)
        values[outside] = np.nan
        findings += about
        if variable.required:
            findings += self._told("FP-2155", f"no {name}, which is required", np.isnan(values))
        return values, findings

    def number(self, cell: str) -> float:
        """Read a number, with decimal comma where the separator allows it; NaN if it is none."""
        if self.decimal_comma and "." not in cell:
            cell = cell.replace(",", ".", 1)
        return float(cell) if NUMBER.fullmatch(cell) else float("nan")

    def scores(
        self, dictionary: Dictionary, values: Mapping[str, Floats]
    ) -> tuple[dict[str, Floats], list[Finding]]:
        """Compute the scores that the dictionary asks for; what is not plausible is a finding."""
        scores, odd = compute(dictionary.derived, values, subjects=len(self.subjects))
        findings = []
        for name, rows in odd.items():
            low, high = SCORES[name].range
            findings += self._told(
                "FP-2171", f"inputs of {name} that give no value from {low:g} to {high:g}", rows
            )
        return scores, findings

    def dates(
        self, dictionary: Dictionary
    ) -> tuple[dict[str, Dates], dict[str, str], list[Finding]]:
        """Read the columns of dates, each in the one format that it is written in."""
        columns = dictionary.date_columns
        declared = (
            dict.fromkeys(columns, dictionary.dates.format) | dictionary.dates.formats_by_role
        )
        cells = {role: [row[column] for row in self.rows] for role, column in columns.items()}
        absent = {role: _absent(cells[role]) for role in columns}
        read = read_days(
            {
                columns[role]: DateColumn(
                    cells=[
                        "" if no else cell
                        for cell, no in zip(cells[role], absent[role], strict=True)
                    ],
                    declared=declared[role],
                )
                for role in columns
            }
        )
        dates = {}
        forms = {role: read[column].form for role, column in columns.items()}
        findings = _about_forms({role: read[columns[role]] for role in columns})
        for role, column in columns.items():
            days = np.array(read[column].days, dtype="datetime64[D]")
            unreadable = np.isnat(days) & ~absent[role]
            dates[role] = Dates(days=days, unreadable=unreadable)
            findings += self._told("FP-2163", f"an unreadable date of {ROLES[role]}", unreadable)
        return dates, forms, findings

    def response(self, response: ResponseColumn) -> tuple[Floats, list[Finding]]:
        """Read the response: 1 for yes, 0 for no, NaN for missing."""
        coding = {code: number for code, number in response.coding.items() if number >= 0}
        cells = [" ".join(row[response.column].split()) for row in self.rows]
        unknown = [code for code in response.coding if code not in coding]
        absent = _absent(cells, unknown, known=coding)
        values = np.array(
            [np.nan if no else _code(cell, coding) for cell, no in zip(cells, absent, strict=True)],
            dtype=np.float64,
        )
        wrong, what = np.isnan(values) & ~absent, "an unknown code in the response"
        return values, self._told("FP-2162", what, wrong, fix=RESPONSE_CODES)

    def _told(
        self, code: str, what: str, rows: NDArray[np.bool_], *, fix: str = ""
    ) -> list[Finding]:
        subjects = [self.subjects[row] for row in np.flatnonzero(rows)]
        if not subjects:
            return []
        title = f"{counted(len(subjects), 'subject')} with {what}."
        return [found(code, title, subjects=subjects, fix=fix)]

    def _outside(
        self, name: str, variable: Variable, values: Floats
    ) -> tuple[NDArray[np.bool_], list[Finding]]:
        """Find values out of range; where most are, guess the unit that they are in."""
        if variable.range is None:
            return np.zeros(len(values), bool), []
        low, high = variable.range
        outside = (values < low) | (values > high)
        findings = self._told("FP-2161", f"{name} out of range {low:g} to {high:g}", outside)
        if 2 * outside.sum() > (~np.isnan(values)).sum():
            for scale in SCALES:
                scaled = values[outside] * scale
                if ((scaled >= low) & (scaled <= high)).mean() >= 0.9:
                    fix = f"They fit if multiplied by {scale:g}: is the unit {variable.unit}? "
                    fix += f"If not, set `scale = {variable.scale * scale:g}`."
                    only = findings[0]
                    return outside, [found("FP-2161", only.title, subjects=only.subjects, fix=fix)]
        return outside, findings


def _absent(
    cells: Sequence[str], codes: Sequence[str] = (), *, known: Mapping[str, float] | None = None
) -> NDArray[np.bool_]:
    """Tell which cells mean "not known"; a code of the dictionary is never one of them."""
    meant = {code.casefold() for code in known or {}}
    missing = (MISSING | {code.casefold() for code in codes}) - meant
    return np.array([cell.casefold() in missing for cell in cells], dtype=bool)


def _code(cell: str, coding: Mapping[str, float]) -> float:
    """Look a code up; `1.0` stands for `1`, as spreadsheets write it."""
    folded = cell.casefold()
    return coding.get(folded, coding.get(re.sub(r"\.0+$", "", folded), float("nan")))


def _about_forms(read: Mapping[str, Days]) -> list[Finding]:
    """Tell in which format dates were read where it is neither ISO nor declared."""
    groups: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for role, days in read.items():
        if days.form in set(Form) - {Form.YEAR_FIRST}:
            groups[days.form, days.by_others].append(ROLES[role])
    return [
        found(
            "FP-2174",
            f"Dates of {', '.join(roles)} were read as {form}"
            + (", as the other columns are written." if by_others else "."),
        )
        for (form, by_others), roles in groups.items()
    ]
