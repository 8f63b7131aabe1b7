"""What people write of subjects and columns on the command line, and what it means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import click

from fedpet.errors import PlanError
from fedpet.federation.statistics.question import Range, Subjects
from fedpet.plan import Plan
from fedpet.tomldoor import did_you_mean

WHERE = re.compile(r"\s*(?P<column>[\w.-]+)\s*(?P<sign>>=|<)\s*(?P<value>[-+.\deE]+)\s*")


def listed(values: Sequence[str]) -> tuple[str, ...]:
    """Return names that were given with commas, or one by one.

    Examples:
        >>> listed(["age_years,ecog", "nlr"])
        ('age_years', 'ecog', 'nlr')
    """
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def columns_of(plan: Plan, names: Sequence[str]) -> tuple[str, ...]:
    """Return columns that a plan knows.

    Raises:
        PlanError: If one is not among its inputs.
    """
    known = (*plan.inputs.clinical, *plan.inputs.biomarkers)
    for name in names:
        if name not in known:
            raise PlanError(
                f"The plan has no column '{name}'.{did_you_mean(name, known)}",
                why=f"Its columns: {', '.join(known)}.",
                do="Choose one of them, or add it to the plan's inputs.",
                code="FP-2014",
            )
    return tuple(names)


def endpoint_of(plan: Plan, name: str | None) -> str:
    """Return a survival endpoint of a plan; its primary one unless told.

    Raises:
        PlanError: If the plan has no such endpoint.
    """
    known = plan.endpoints.survival
    if name is not None and name not in known:
        raise PlanError(
            f"The plan has no survival endpoint '{name}'.{did_you_mean(name, known)}",
            why=f"Its endpoints: {', '.join(known)}.",
            do="Choose one of them, or add it to the plan.",
            code="FP-2014",
        )
    return name or plan.endpoints.primary


def numbers(option: str, text: str | None) -> tuple[float, ...]:
    """Return numbers that were given with commas.

    Raises:
        click.UsageError: If one is no number, or they do not increase.

    Examples:
        >>> numbers("--cuts", "1,2.5")
        (1.0, 2.5)
    """
    if not text:
        return ()
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or any(not low < high for low, high in pairwise((float("-inf"), *found))):
        raise click.UsageError(f"{option} '{text}' is not understood; write numbers that increase.")
    return found


def subjects_of(plan: Plan, complete: Sequence[str], where: Sequence[str]) -> Subjects:
    """Return the analysis set that was asked for.

    Args:
        plan: The plan.
        complete: Columns that must be known.
        where: Such as `age_years>=65` and `age_years<80`.

    Raises:
        PlanError: If a column is not the plan's.
        click.UsageError: If a condition cannot be understood.
    """
    ranges = []
    for text in where:
        found = WHERE.fullmatch(text)
        try:
            value = float(found["value"]) if found else float("nan")
        except ValueError:
            found = None
        if found is None:
            raise click.UsageError(
                f"--where '{text}' is not understood; write COLUMN>=NUMBER or COLUMN<NUMBER."
            )
        columns_of(plan, [found["column"]])
        low = value if found["sign"] == ">=" else None
        high = value if found["sign"] == "<" else None
        ranges.append(Range(column=found["column"], low=low, high=high))
    return Subjects(complete=columns_of(plan, listed(complete)), where=tuple(ranges))
