"""A first dictionary.toml: from a table's header, or from REDCap's own dictionary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fedpet.cohort.clinical import MISSING, NUMBER
from fedpet.cohort.dates import readings
from fedpet.cohort.dictionary import OPEN
from fedpet.cohort.guesses import (
    IDENTIFYING,
    RESPONSE,
    SUBJECT,
    VARIABLES,
    number_of,
    plain,
    resembles,
    role_of,
    variable_of,
)
from fedpet.cohort.redcap import Field
from fedpet.cohort.response import NO, YES, Criterion
from fedpet.cohort.sheet import Sheet

CHECK = "  # check: guessed from the name"
DATE_ROLES = ("origin", "progression", "progression_confirmed", "death", "last_contact")
OPTIONAL = frozenset({"progression_confirmed"})
CODES_MAX = 12
HEAD = """\
# Data dictionary: which column of the table holds what. Every line marked "check" is a guess.
# `fedpet help cohort` explains the keys; `fedpet cohort build` tells every mistake.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table, and what is known of it.

    Args:
        name: In the table's header.
        names: The same and other names that it has, such as a label.
        cells: Values that are there.
        field: Its field of REDCap; None without one.
    """

    name: str
    names: tuple[str, ...]
    cells: tuple[str, ...] = ()
    field: Field | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A draft of a dictionary.

    Args:
        text: TOML.
        open: Keys that must be filled in before a build.
        guessed: How many columns were given a meaning.
        identifying: Columns that are never read.
        unused: How many columns have no meaning that is known.
    """

    text: str
    open: tuple[str, ...]
    guessed: int
    identifying: tuple[str, ...]
    unused: int


@dataclass(slots=True)
class _Sorted:
    """Columns by what they are taken for."""

    subject: str = OPEN
    dates: dict[str, str] = field(default_factory=dict)
    response: Column | None = None
    variables: dict[str, Column] = field(default_factory=dict)
    identifying: list[str] = field(default_factory=list)
    unused: int = 0


def draft_dictionary(sheet: Sheet | None, fields: Sequence[Field] = ()) -> Draft:
    """Draft a dictionary.

    Args:
        sheet: The table; None where there is none yet.
        fields: Of REDCap's dictionary, if there is one.
    """
    found = _sort(_columns(sheet, fields))
    parts = [HEAD]
    if found.identifying:
        named = ", ".join(json.dumps(name, ensure_ascii=False) for name in found.identifying)
        parts.append(f"# Columns that name a person. They are never read into the cohort.\n"
                     f"identifying = [{named}]\n")  # fmt: skip
    subject = f"column = {_quoted(found.subject)}  # equals PatientID (0010,0020) of the images"
    merge = ""
    if sheet is not None and any(name.startswith("redcap_") for name in sheet.header):
        merge = 'rows = "merge"  # check: of each column the first value counts\n'
    parts.append(f"[subject]\n{subject}\n{merge}")
    parts.append(_dates(found.dates))
    if found.response is not None:
        parts.append(_response(found.response))
    parts += [_variable(name, column) for name, column in found.variables.items()]
    if not found.variables:
        parts.append(
            '# [variables.age_years]\n# column = "age"\n# unit = "years"\n# range = [18, 110]\n'
        )
    if offered := _offered(frozenset(found.variables)):
        parts.append(f"[derived]\n{offered}")
    open_ = ["subject.column"] if found.subject == OPEN else []
    open_ += [f"dates.{r}" for r in DATE_ROLES if r not in found.dates and r not in OPTIONAL]
    open_ += [] if found.variables else ["variables"]
    return Draft(
        text="\n".join(parts),
        open=tuple(open_),
        guessed=len(found.variables) + len(found.dates) + (found.response is not None),
        identifying=tuple(found.identifying),
        unused=found.unused,
    )


def _columns(sheet: Sheet | None, fields: Sequence[Field]) -> list[Column]:
    """Bring header and fields together, whether the table was exported raw or with labels."""
    by_name: dict[str, tuple[Field, tuple[str, str]]] = {}
    for one in fields:
        for pair in one.columns:
            for name in pair:
                by_name.setdefault(name, (one, pair))
    if sheet is None:
        return [
            Column(name=raw, names=(raw, label), field=one)
            for one in fields
            for raw, label in one.columns
        ]
    columns = []
    for at, name in enumerate(sheet.header):
        if not name or sheet.header.count(name) > 1:
            continue
        known = by_name.get(name)
        cells = tuple(row[at] for row in sheet.rows if row[at].casefold() not in MISSING)
        columns.append(
            Column(
                name=name,
                names=(name, *(known[1] if known else (name, name))),
                cells=cells,
                field=known[0] if known else None,
            )
        )
    return columns


def _sort(columns: Sequence[Column]) -> _Sorted:
    found = _Sorted()
    subjects = [one for one in columns if resembles(SUBJECT, *one.names)]
    if subjects:
        found.subject = subjects[0].name
    for column in columns:
        named = column.field is not None and column.field.identifier
        if column.name == found.subject:
            continue
        if named or resembles(IDENTIFYING, *column.names):
            found.identifying.append(column.name)
            continue
        role, variable = role_of(*column.names), variable_of(*column.names)
        if role is not None and role not in found.dates and _holds_dates(column):
            found.dates[role] = column.name
        elif resembles(RESPONSE, *column.names) and found.response is None:
            found.response = column
        elif variable is not None and variable not in found.variables:
            found.variables[variable] = column
        elif column.field is not None and _useful(column.field):
            name = plain(column.field.name if column.field.type != "checkbox" else column.names[-2])
            if name[:1].isalpha() and name not in found.variables:
                found.variables[name] = column
        else:
            found.unused += 1
    return found


def _holds_dates(column: Column) -> bool:
    if column.field is not None:
        return column.field.is_date
    return all(readings(cell) for cell in column.cells[:20])


def _useful(one: Field) -> bool:
    """Tell whether a field of REDCap can be a variable: a number, or a choice."""
    return bool(one.choices) or one.validation in ("integer", "number") or one.type == "calc"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _dates(dates: Mapping[str, str]) -> str:
    lines = ["[dates]  # the format is told from the cells; `format` overrules it"]
    for role in DATE_ROLES:
        if role in dates:
            lines.append(f"{role} = {_quoted(dates[role])}{CHECK}")
        elif role not in OPTIONAL:
            lines.append(f'{role} = "{OPEN}"  # fill in: no column looks like it')
    lines.append('# criterion = "RECIST 1.1"  # or iRECIST, PERCIST')
    lines.append('# cutoff = "2024-12-31"  # day on which the data were closed')
    return "\n".join(lines) + "\n"


def _response(column: Column) -> str:
    codes = {cell.casefold() for cell in column.cells}
    names: tuple[Criterion, ...] = ("RECIST 1.1", "iRECIST", "PERCIST")
    likely = max(names, key=lambda one: len(codes & {*YES[one], *NO[one]}))
    best = likely if codes & {*YES[likely], *NO[likely]} else None
    lines = ["[response]", f"column = {_quoted(column.name)}{CHECK}"]
    if best is not None or not column.field or not column.field.choices:
        lines.append(f'criterion = "{best or "RECIST 1.1"}"{CHECK}')
    else:
        yes, no = [], []
        for code, label in column.field.choices:
            word = label.casefold()
            if any(_begins(word, y) for one in names for y in YES[one]):
                yes += [code, label]
            elif any(_begins(word, n) for one in names for n in NO[one]):
                no += [code, label]
        lines += [f"yes = {json.dumps(yes)}{CHECK}", f"no = {json.dumps(no)}{CHECK}"]
    return "\n".join(lines) + "\n"


def _begins(label: str, category: str) -> bool:
    """Tell whether a label is a category, alone or with words after it."""
    return label == category or label.startswith((f"{category} ", f"{category}:", f"{category},"))


def _variable(name: str, column: Column) -> str:
    known, one = VARIABLES.get(name), column.field
    lines = [f"[variables.{name}]", f"column = {_quoted(column.name)}{CHECK}"]
    kind = known.type if known is not None else _kind(column)
    span = one.range if one is not None and one.range is not None else None
    span = span or (known.range if known is not None else None)
    coding = _coding(name, column) if kind == "category" else {}
    if kind == "category" and not coding:
        kind = "number"
    lines.append(f'type = "{kind}"')
    if known is not None and known.unit:
        lines.append(f'unit = "{known.unit}"  # check the unit; `scale` converts')
    if span is not None and kind != "category":
        lines.append(f"range = [{span[0]:g}, {span[1]:g}]")
    if coding:
        told = ", ".join(f"{_quoted(code)} = {number:g}" for code, number in coding.items())
        lines.append(f"coding = {{ {told} }}{CHECK}")
    label = known.description if known is not None else (one.label if one is not None else "")
    if label:
        lines.append(f"description = {_quoted(label)}")
    return "\n".join(lines) + "\n"


def _kind(column: Column) -> str:
    one = column.field
    if one is not None and one.choices:
        return "category"
    if one is not None and one.validation == "integer":
        return "integer"
    return "number"


def _coding(name: str, column: Column) -> dict[str, float]:
    """Give a number to each code, raw and as a label; known categories by their meaning."""
    known, one = VARIABLES.get(name), column.field
    coding: dict[str, float] = {}
    if one is not None and one.type == "checkbox":
        return {"1": 1, "0": 0, "Checked": 1, "Unchecked": 0}
    if one is not None and one.choices:
        for at, (code, label) in enumerate(one.choices):
            number = number_of(label, known) if known is not None else None
            if number is None:
                number = float(code) if NUMBER.fullmatch(code) and known is None else float(at)
            for text in (code, label):
                if text.casefold() not in {told.casefold() for told in coding}:
                    coding[text] = number
        return coding
    codes = sorted(set(column.cells))
    if known is not None and 0 < len(codes) <= CODES_MAX:
        for code in codes:
            number = number_of(code, known)
            if number is not None:
                coding[code] = number
    return coding


def _offered(variables: frozenset[str]) -> str:
    """Offer the scores whose inputs are there, switched off."""
    lines = []
    counts = {"anc_10e9_l", "wbc_10e9_l"} <= variables
    if counts:
        lines.append("# dnlr = true  # ANC / (WBC - ANC)")
    if counts and variables & {"ldh_u_l", "ldh_uln_ratio"}:
        lines.append("# lipi = true  # one point each for dNLR > 3 and LDH above normal")
        if "ldh_u_l" in variables:
            lines.append("# ldh_uln_u_l = 250  # the laboratory's upper limit of normal")
    if {"anc_10e9_l", "lymphocytes_10e9_l"} <= variables and "nlr" not in variables:
        lines.append("# nlr = true")
    if {"weight_kg", "height_m"} <= variables:
        lines.append("# bmi = true")
    return "\n".join(lines) + ("\n" if lines else "")
