"""A cohort on disk and in memory: what a model reads, checked, cached and hashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A time-to-event endpoint of every subject of a cohort.

    Args:
        time_days: float64 [subjects], days from time origin to event or censoring; NaN unknown.
        event: bool [subjects], True if the event was observed; False where time is NaN.
    """

    time_days: NDArray[np.float64]
    event: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Samples of one site, rows aligned across all arrays, in the order of `subjects`.

    Args:
        name: Cohort name, as in the plan.
        fingerprint: SHA-256 over the content of all its files.
        phantom: True if the subjects are simulated; only then may data be pooled freely.
        subjects: Pseudonyms; they never leave the node.
        strata: Site of each subject; all equal, except in a pooled cohort.
        columns: Names of the columns of `table`: clinical variables, then biomarkers.
        table: float64 [subjects, columns], canonical units, NaN for missing.
        outcomes: Survival endpoints by name (`pfs`, `os`).
        binary: Yes-or-no endpoints by name (`response`, `early_failure`): 1.0, 0.0 or NaN.
        mips: float16 memory map [subjects, views, height, width]: SUV maximum projections,
            views = (coronal, sagittal), head first, padded to one width.
    """

    name: str
    fingerprint: str
    phantom: bool
    subjects: tuple[str, ...]
    strata: tuple[str, ...]
    columns: tuple[str, ...]
    table: NDArray[np.float64]
    outcomes: Mapping[str, Outcome]
    binary: Mapping[str, NDArray[np.float64]]
    mips: NDArray[np.float16]
