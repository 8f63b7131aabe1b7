"""dictionary.toml: which column of a hospital's table is which variable, in which coding."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from annotated_types import Gt, Len, Predicate

from fedpet.cohort.derived import Derived, missing_inputs
from fedpet.cohort.response import Criterion, categories
from fedpet.cohort.settings import DOOR
from fedpet.errors import DataError, NotFoundError
from fedpet.tomldoor import Door, Mistake, did_you_mean

VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
Role: TypeAlias = Literal["origin", "progression", "progression_confirmed", "death", "last_contact"]
EXAMPLE_DATE = date(2021, 3, 24)
DICTIONARY = Door(
    error=DataError,
    code="FP-2102",
    do="Correct the dictionary; every key is explained by `fedpet help cohort`.",
)


def rise_from_least_to_greatest(bounds: tuple[float, float]) -> bool:
    """Tell whether bounds enclose anything."""
    return bounds[0] < bounds[1]


Bounds: TypeAlias = Annotated[tuple[float, float], Predicate(rise_from_least_to_greatest)]


# What a draft says where a person must fill in a column.
OPEN: Final = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectColumn:
    """The column that holds the subject's number, equal to DICOM PatientID (0010,0020).

    Args:
        column: Its name.
        rows: `one`: several rows of a subject that differ are refused; `merge`: of each column the
            first cell that is filled in counts, in the order of the file, and of the last contact
            the last one (REDCap events and repeating instruments).
    """

    __pydantic_config__ = DOOR

    column: Annotated[str, Len(1, 200)]
    rows: Literal["one", "merge"] = "one"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateColumns:
    """The columns of dates.

    Args:
        origin: First infusion, the time origin of every endpoint.
        progression: First progression by RECIST 1.1 (iRECIST: iUPD).
        progression_confirmed: The scan that confirmed it; absent where this is not recorded.
        death: Death from any cause.
        last_contact: Last day on which the subject was known to be alive.
        format: As in strptime, such as `%d/%m/%Y`; told from the cells unless given.
        formats: The same for single columns, by role.
        criterion: By which progressions were called; kept with the cohort.
        cutoff: Day on which the data were closed: what happened later does not count.
    """

    __pydantic_config__ = DOOR

    origin: Annotated[str, Len(1, 200)]
    progression: Annotated[str, Len(1, 200)]
    progression_confirmed: Annotated[str, Len(1, 200)] | None = None
    death: Annotated[str, Len(1, 200)]
    last_contact: Annotated[str, Len(1, 200)]
    format: Annotated[str, Len(1, 40)] | None = None
    formats: Mapping[Role, Annotated[str, Len(1, 40)]] = field(default_factory=dict)
    criterion: Criterion | None = None
    cutoff: Annotated[str, Len(10, 10)] | None = None

    @property
    def formats_by_role(self) -> dict[str, str | None]:
        """Formats of single columns, by role."""
        return {str(role): form for role, form in self.formats.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseColumn:
    """The column of the best response and what its codes mean.

    Args:
        column: Its name.
        criterion: `RECIST 1.1`, `iRECIST` or `PERCIST`: the codes are the names of its categories;
            see `response`.
        yes: The hospital's own codes of a response; they come before those of the criterion.
        no: Codes of no response.
        missing: Codes of "not evaluable".
    """

    __pydantic_config__ = DOOR

    column: Annotated[str, Len(1, 200)]
    criterion: Criterion | None = None
    yes: Annotated[tuple[str, ...], Len(0, 50)] = ()
    no: Annotated[tuple[str, ...], Len(0, 50)] = ()
    missing: tuple[str, ...] = ()

    @property
    def coding(self) -> dict[str, float]:
        """Number of each code in lower case: 1 for yes, 0 for no, NaN for not evaluable."""
        own = dict.fromkeys((code.casefold() for code in self.yes), 1.0)
        own |= dict.fromkeys((code.casefold() for code in self.no), 0.0)
        own |= dict.fromkeys((code.casefold() for code in self.missing), math.nan)
        return {**categories(self.criterion), **own}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A clinical variable; its key in the dictionary is the canonical name that plans use.

    Args:
        column: Name of the column in the table.
        type: `number`, `integer` or `category`.
        unit: Canonical unit of the value after `scale`.
        scale: The cell is multiplied by this; 10 turns albumin in g/dL into g/L.
        range: Least and greatest plausible value, in the canonical unit.
        required: A subject without it is left out.
        description: For people.
        coding: For `category`: the number of each code.
        missing: Codes that mean "not known", beside the empty cell.
    """

    __pydantic_config__ = DOOR

    column: Annotated[str, Len(1, 200)]
    type: Literal["number", "integer", "category"] = "number"
    unit: str = ""
    scale: Annotated[float, Gt(0)] = 1.0
    range: Bounds | None = None
    required: bool = False
    description: str = ""
    coding: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """The data dictionary of one hospital's clinical table.

    Args:
        subject: The subject's number.
        dates: Dates of the endpoints.
        response: The best response; None where it is not recorded.
        variables: Clinical variables by canonical name.
        derived: Scores that are computed from them.
        identifying: Columns that name a person; the dictionary may not use them.
    """

    __pydantic_config__ = DOOR

    subject: SubjectColumn
    dates: DateColumns
    response: ResponseColumn | None = None
    variables: Annotated[Mapping[str, Variable], Len(1, 500)]
    derived: Derived = field(default_factory=Derived)
    identifying: tuple[str, ...] = ()

    @property
    def criteria(self) -> dict[str, str]:
        """By which rules progression and response were called, where it is told."""
        told = {"progression": self.dates.criterion}
        told["response"] = self.response.criterion if self.response is not None else None
        return {name: criterion for name, criterion in told.items() if criterion is not None}

    @property
    def date_columns(self) -> dict[str, str]:
        """Column of each date, by its role; roles without a column are absent."""
        roles = ("origin", "progression", "progression_confirmed", "death", "last_contact")
        named = {role: getattr(self.dates, role) for role in roles}
        return {role: column for role, column in named.items() if column is not None}

    @property
    def columns(self) -> dict[str, str]:
        """Every column that is read, and the key in the dictionary that names it."""
        keys = {"subject.column": self.subject.column}
        keys |= {f"dates.{role}": column for role, column in self.date_columns.items()}
        if self.response is not None:
            keys["response.column"] = self.response.column
        keys |= {f"variables.{name}.column": v.column for name, v in self.variables.items()}
        named: dict[str, str] = {}
        for key, column in keys.items():
            named.setdefault(column, key)
        return named


def load_dictionary(path: Path, *, reserved: tuple[str, ...] = ()) -> Dictionary:
    """Read a data dictionary.

    Args:
        path: The file.
        reserved: Names that variables may not have, such as those of image biomarkers.

    Raises:
        NotFoundError: If the file is absent.
        DataError: Listing every mistake in it (FP-2102).
    """
    absent = NotFoundError(
        f"The hospital's folder has no {path.name}.",
        do="Draft one: fedpet cohort dictionary FOLDER",
    )
    text = DICTIONARY.text_of(path, absent=absent)
    dictionary = DICTIONARY.values(text, Dictionary, name=path.name)
    mistakes = [
        *_about_columns(dictionary),
        *_about_format("dates.format", dictionary.dates.format),
        *_about_dates(dictionary.dates),
        *_about_response(dictionary.response),
        *_about_derived(dictionary),
    ]
    for name, variable in dictionary.variables.items():
        mistakes += _about_variable(name, variable, reserved)
    if mistakes:
        raise DICTIONARY.refusal(path.name, text, mistakes)
    return dictionary


def _about_columns(dictionary: Dictionary) -> list[Mistake]:
    """Object to one column for two things, which is a slip of the pen more often than a wish."""
    mistakes = []
    seen: dict[str, str] = {}
    roles = {f"dates.{role}": column for role, column in dictionary.date_columns.items()}
    for key, column in {"subject.column": dictionary.subject.column, **roles}.items():
        if column == OPEN:
            mistakes.append(Mistake(key, f'"{key}" still says "{OPEN}"; name its column.'))
            continue
        if column in seen:
            mistakes.append(Mistake(key, f'column "{column}" is already {seen[column]}.'))
        seen.setdefault(column, key)
    for name, variable in dictionary.variables.items():
        key = f"variables.{name}.column"
        if variable.column in seen:
            other = seen[variable.column]
            mistakes.append(Mistake(key, f'column "{variable.column}" is already {other}.'))
        seen.setdefault(variable.column, key)
    names = {column.casefold() for column in dictionary.identifying}
    for column, key in dictionary.columns.items():
        if key != "subject.column" and column.casefold() in names:
            text = f'column "{column}" names a person (`identifying`) and is never read.'
            mistakes.append(Mistake(key, text))
    return mistakes


def _about_dates(dates: DateColumns) -> list[Mistake]:
    mistakes = []
    for role, form in dates.formats.items():
        mistakes += _about_format(f"dates.formats.{role}", form)
        if getattr(dates, role) is None:
            mistakes.append(Mistake("dates.formats", f'there is no column of "{role}".'))
    if dates.cutoff is not None:
        try:
            date.fromisoformat(dates.cutoff)
        except ValueError:
            text = f'"cutoff" is "{dates.cutoff}"; write a day as YYYY-MM-DD.'
            mistakes.append(Mistake("dates.cutoff", text))
    return mistakes


def _about_derived(dictionary: Dictionary) -> list[Mistake]:
    mistakes = []
    for name in dictionary.derived.names:
        key = f"derived.{name}"
        if name in dictionary.variables:
            mistakes.append(Mistake(key, f'"{name}" is a variable already; take one of the two.'))
        if lacking := missing_inputs(name, dictionary.derived, frozenset(dictionary.variables)):
            mistakes.append(Mistake(key, f'"{name}" needs {" and ".join(lacking)} as variables.'))
    return mistakes


def _about_format(key: str, form: str | None) -> list[Mistake]:
    if form is None:
        return []
    try:
        again = datetime.strptime(EXAMPLE_DATE.strftime(form), form).date()
    except (ValueError, re.error):
        again = None
    if again == EXAMPLE_DATE:
        return []
    return [Mistake(key, f'"{form}" does not tell day, month and year; try "%d/%m/%Y".')]


def _about_response(response: ResponseColumn | None) -> list[Mistake]:
    if response is None:
        return []
    groups = (response.yes, response.no, response.missing)
    codes = [code.casefold() for group in groups for code in set(group)]
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if response.criterion is None and not (response.yes and response.no):
        text = "[response] needs `yes` and `no`, or `criterion`."
        return [Mistake("response", text)]
    return [
        Mistake("response", f'code "{code}" stands in two of yes, no, missing.') for code in twice
    ]


def _about_variable(name: str, variable: Variable, reserved: tuple[str, ...]) -> list[Mistake]:
    mistakes = []
    key = f"variables.{name}"
    if not VARIABLE.fullmatch(name):
        mistakes.append(Mistake(key, f'"{name}" must be lower case letters, digits and "_".'))
    if name in reserved:
        mistakes.append(Mistake(key, f'"{name}" is the name of an image biomarker.'))
    if variable.type == "category" and not variable.coding:
        mistakes.append(Mistake(key, f'"{name}" is a category and needs `coding`.'))
    if variable.type != "category" and variable.coding:
        hint = did_you_mean("category", ["category"])
        mistakes.append(Mistake(key, f'"{name}" has `coding` but is a {variable.type}.{hint}'))
    return mistakes
