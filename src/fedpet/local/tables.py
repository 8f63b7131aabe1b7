"""Turn a mapping of columns, or a data frame, into a cohort in memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort, Outcome
from fedpet.errors import DataError
from fedpet.plan import STATISTICS, Endpoints, Evaluation, Inputs, Plan, Sites, Statistics

Floats = NDArray[np.float64]
SPACING_MM = 4.0
TIME = re.compile(r"(?P<name>.+)_days")


@runtime_checkable
class Frame(Protocol):
    """What is read of a data frame: its columns, each a sequence of values."""

    @property
    def columns(self) -> Iterable[str]:
        """Names of the columns."""
        ...

    def __getitem__(self, name: str) -> Iterable[object]:
        """Return a column."""
        ...


Table: TypeAlias = Mapping[str, Sequence[object]] | Frame


def cohort_of(table: Table, *, site: str, name: str) -> Cohort:
    """Return a table as a cohort without images.

    A pair of columns `<endpoint>_days` and `<endpoint>_event` is an endpoint (days from its origin
    to event or censoring; 1 or True for an event); every other column is a covariate in numbers.

    Args:
        table: Columns of equal length: lists, arrays, or a data frame.
        site: Name of the site, for messages.
        name: Name of the cohort.

    Raises:
        DataError: If columns differ in length, hold something else than numbers, or if a time is
            negative or an event is neither 0 nor 1. It names the site and the column, nobody.
    """
    names = names_of(table)
    values = {column: _numbers(table[column], name=column, site=site) for column in names}
    sizes = {column: len(one) for column, one in values.items()}
    if len(set(sizes.values())) > 1:
        column = min(sizes, key=lambda one: sizes[one])
        raise DataError(
            f"Site '{site}': column '{column}' is shorter than others.",
            do="Give columns of equal length, with None for what is missing.",
        )
    endpoints = endpoints_of(names)
    outcomes = {one: _outcome(values, one, site=site) for one in endpoints}
    columns = covariates_of(names)
    subjects = max(sizes.values(), default=0)
    rows = np.stack([values[c] for c in columns], axis=1) if columns else np.empty((subjects, 0))
    content = hashlib.sha256(f"{site}\n{names}".encode())
    for column in names:
        content.update(values[column].tobytes())
    return Cohort(
        name=name,
        fingerprint=content.hexdigest(),
        phantom=False,
        spacing_mm=SPACING_MM,
        subjects=tuple(f"{site}-{row}" for row in range(subjects)),
        strata=(site,) * subjects,
        columns=columns,
        table=rows,
        outcomes=outcomes,
        binary={},
        mips=np.zeros((subjects, 2, 1, 1), np.float16),
    )


def names_of(table: Table) -> list[str]:
    """Return the names of a table's columns."""
    return [str(column) for column in (table.columns if isinstance(table, Frame) else table)]


def plan_of(columns: Sequence[str], *, cohort: str) -> Plan:
    """Return a plan that allows every statistic on the columns of tables.

    Raises:
        DataError: If there is no endpoint or no covariate among them.
    """
    endpoints, covariates = endpoints_of(columns), covariates_of(columns)
    if not endpoints or not covariates:
        raise DataError(
            "The tables hold no endpoint." if not endpoints else "The tables hold no covariate.",
            why="An endpoint is a pair of columns, such as pfs_days and pfs_event.",
            do="Rename or add the columns, or give a plan.",
        )
    return Plan(
        name="local-statistics",
        title="Statistics on tables in memory",
        cohort=cohort,
        sites=Sites(subjects_min=1),
        inputs=Inputs(clinical=covariates, biomarkers=(), spacing_mm=SPACING_MM),
        endpoints=Endpoints(primary=endpoints[0], survival=endpoints, binary=()),
        evaluation=Evaluation(baselines=()),
        statistics=Statistics(allowed=STATISTICS, queries_max=100_000),
    )


def endpoints_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the endpoints among columns, in their order.

    Examples:
        >>> endpoints_of(["age", "pfs_days", "pfs_event", "stay_days"])
        ('pfs',)
    """
    found = (TIME.fullmatch(name) for name in names)
    return tuple(one["name"] for one in found if one and f"{one['name']}_event" in names)


def covariates_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are no part of an endpoint, in their order."""
    taken = {f"{one}_{part}" for one in endpoints_of(names) for part in ("days", "event")}
    return tuple(name for name in names if name not in taken)


def _numbers(column: Iterable[object], *, name: str, site: str) -> Floats:
    """Return a column as float64, NaN for what is missing."""
    plain = np.asarray(column)
    if plain.dtype.kind in "biuf":
        values = plain.astype(np.float64)
    else:
        values = np.array([_number(value, name=name, site=site) for value in column], np.float64)
    if values.ndim != 1 or np.isinf(values).any():
        found = "an infinite value" if values.ndim == 1 else "a table"
        raise DataError(
            f"Site '{site}': column '{name}' holds {found}; expected one number for each subject.",
            do="Give None for what is missing.",
        )
    return values


def _number(value: object, *, name: str, site: str) -> float:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # a data frame's missing
        return np.nan
    if isinstance(value, int | float | np.generic):
        return float(value)
    raise DataError(
        f"Site '{site}': column '{name}' holds text; expected numbers.",
        why="Statistics are sums, and a category is told by a number.",
        do="Code categories as numbers, and give None for what is missing.",
    )


def _outcome(values: Mapping[str, Floats], endpoint: str, *, site: str) -> Outcome:
    time, event = values[f"{endpoint}_days"], values[f"{endpoint}_event"]
    known = ~np.isnan(time) & ~np.isnan(event)
    wrong = ""
    if (time[known] < 0).any():
        wrong = f"column '{endpoint}_days' holds negative times; expected days from the origin"
    elif not np.isin(event[known], (0.0, 1.0)).all():
        wrong = f"column '{endpoint}_event' holds other values than 0 and 1"
    if wrong:
        raise DataError(
            f"Site '{site}': {wrong}.", do="Correct the table, or give None for what is unknown."
        )
    return Outcome(time_days=np.where(known, time, np.nan), event=known & (event == 1))
