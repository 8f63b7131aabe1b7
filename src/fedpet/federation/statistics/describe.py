"""Describe columns over all sites: how many, how many missing, mean and spread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from fedpet.federation.asking import Execution, answered
from fedpet.federation.records import Record
from fedpet.federation.statistics.question import EVERYBODY, Subjects, inquire
from fedpet.survival.describe import Moments, mean_of, moments_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Columns over all sites.

    Args:
        columns: Their names.
        moments: Counts, means and spreads, aligned with `columns`.
        sites: Sites behind them.
    """

    columns: tuple[str, ...]
    moments: Moments
    sites: tuple[str, ...]


def describe(
    run: Execution, *, columns: Sequence[str] = (), subjects: Subjects = EVERYBODY
) -> Generator[Record, None, Description]:
    """Count, average and spread columns of the plan.

    Args:
        run: The execution.
        columns: Names; all of the plan's inputs unless told.
        subjects: Whom it is about.
    """
    inputs = run.plan.inputs
    names = tuple(columns) or (*inputs.clinical, *inputs.biomarkers)
    body = {"columns": list(names), "select": subjects.choice()}
    first = yield from inquire(
        run, "describe", kind="describe-moments", label="Means of the columns", body=body
    )
    center = mean_of(first.arrays)
    scale = np.maximum(np.abs(center), 1.0)
    second = yield from inquire(
        run,
        "describe",
        kind="describe-moments",
        label="Spreads of the columns",
        body=body,
        arrays={"center": center, "scale": scale},
        sites=answered(first),
    )
    return Description(
        columns=names,
        moments=moments_of(second.arrays, center=center, scale=scale),
        sites=answered(second),
    )
