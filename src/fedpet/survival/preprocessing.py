"""Scaling and imputation of covariates, fitted on sums over the training sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.survival.combat import Combat

Floats = NDArray[np.float64]
MONTH_DAYS = 30.4375
MISSING_MIN = 5
COMBAT = "combat."


def moment_sums(
    table: Floats, *, log: NDArray[np.bool_], center: Floats | None = None
) -> dict[str, Floats]:
    """Sum a site's covariates, or their squares about a center; missing values do not count.

    Two passes are exact where sums of raw squares would cancel.

    Args:
        table: [n, p], NaN for missing.
        log: [p], columns taken as log(1 + x) first.
        center: [p], the mean over all sites; None in the first pass.

    Returns:
        `count` and `sum`, or `count` and `sum_squares`, each [p].

    Raises:
        DataError: If a value to be taken as log(1 + x) is negative.

    Examples:
        >>> sums = moment_sums(np.array([[1.0], [3.0], [np.nan]]), log=np.array([False]))
        >>> sums["count"].tolist(), sums["sum"].tolist()
        ([2.0], [4.0])
    """
    values = logged(table, log)
    known = ~np.isnan(values)
    count = known.sum(axis=0).astype(np.float64)
    if center is None:
        return {"count": count, "sum": np.where(known, values, 0.0).sum(axis=0)}
    squares = np.where(known, values - center, 0.0) ** 2
    return {"count": count, "sum_squares": squares.sum(axis=0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How raw covariates become a design matrix, the same at every site.

    Args:
        columns: Names of the p raw columns.
        log: [p], columns taken as log(1 + x) first.
        mean: [p], after the logarithm, over all training subjects.
        sd: [p], population standard deviation about `mean`.
        indicator: [p], columns that get a missingness indicator.
        fill: [p], what stands for a missing value, after the logarithm; None for the mean.
        combat: Harmonisation of the plan's features between hospitals, before scaling; or None.
    """

    columns: tuple[str, ...]
    log: NDArray[np.bool_]
    mean: Floats
    sd: Floats
    indicator: NDArray[np.bool_]
    fill: Floats | None = None
    combat: Combat | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the design's columns: the raw ones, then the missingness indicators."""
        missing = tuple(
            f"{name} missing"
            for name, wanted in zip(self.columns, self.indicator, strict=True)
            if wanted
        )
        return (*self.columns, *missing)

    def transform(self, table: Floats) -> Floats:
        """Return the design matrix, [n, len(names)], without missing values.

        A missing value becomes `fill`, or the mean, that is 0; where missingness is frequent
        enough to be told apart, its indicator carries the difference, so that no information is
        made up.
        """
        return self.scaled(logged(table, self.log))

    def scaled(self, values: Floats) -> Floats:
        """Return the design matrix of values that are already logarithms, and harmonised."""
        standard = (values - self.mean) / self.sd
        missing = np.isnan(standard)
        stand_in = 0.0 if self.fill is None else (self.fill - self.mean) / self.sd
        filled = np.where(missing, stand_in, standard)
        return np.concatenate([filled, missing[:, self.indicator].astype(np.float64)], axis=1)

    def to_arrays(self) -> dict[str, Floats]:
        """Return the numbers as named float64 arrays."""
        return {
            "log": self.log.astype(np.float64),
            "mean": self.mean,
            "sd": self.sd,
            "indicator": self.indicator.astype(np.float64),
            **({} if self.fill is None else {"fill": self.fill}),
        } | combat_arrays(self.combat)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats], *, columns: Sequence[str]) -> Preprocessing:
        """Read what `to_arrays` wrote.

        Raises:
            DataError: If an array is missing or has another length than the columns.
        """
        given = ("log", "mean", "sd", "indicator", *(["fill"] if "fill" in arrays else []))
        for name in given:
            if name not in arrays or arrays[name].shape != (len(columns),):
                raise DataError(f"The scaling's '{name}' does not fit {len(columns)} columns.")
        return cls(
            columns=tuple(columns),
            log=arrays["log"] > 0,
            mean=arrays["mean"],
            sd=arrays["sd"],
            indicator=arrays["indicator"] > 0,
            fill=arrays.get("fill"),
            combat=combat_of(arrays),
        )


def fit_preprocessing(
    first: Mapping[str, Floats],
    second: Mapping[str, Floats],
    *,
    columns: Sequence[str],
    log: Sequence[str],
    subjects: int,
    fill: Floats | None = None,
    combat: Combat | None = None,
) -> Preprocessing:
    """Fit scaling and imputation from the two passes' sums.

    A column gets a missingness indicator when at least five subjects lack it and five have it.

    Raises:
        DataError: If a column has no value at all or is constant over all sites.
    """
    count, summed = first["count"], first["sum"]
    if empty := [name for name, n in zip(columns, count, strict=True) if n < 2]:
        raise DataError(
            f"Column '{empty[0]}' has no values at the training sites.",
            do="Remove it from the plan's inputs, or complete the tables.",
        )
    mean = summed / count
    sd = np.sqrt(second["sum_squares"] / second["count"])
    if flat := [n for n, s, m in zip(columns, sd, mean, strict=True) if s <= 1e-12 * (1 + abs(m))]:
        raise DataError(
            f"Column '{flat[0]}' has the same value for every training subject.",
            do="Remove it from the plan's inputs.",
        )
    missing = subjects - count
    return Preprocessing(
        columns=tuple(columns),
        log=np.array([name in log for name in columns]),
        mean=mean,
        sd=sd,
        indicator=(missing >= MISSING_MIN) & (count >= MISSING_MIN),
        fill=fill,
        combat=combat,
    )


def combat_arrays(combat: Combat | None) -> dict[str, Floats]:
    """Return a harmonisation as arrays beside those of a scaling; nothing for none."""
    arrays = combat.to_arrays() if combat else {}
    return {f"{COMBAT}{name}": array for name, array in arrays.items()}


def combat_of(arrays: Mapping[str, Floats]) -> Combat | None:
    """Read what `combat_arrays` wrote.

    Raises:
        DataError: If an array is missing, or shapes do not agree.
    """
    carried = {
        name.removeprefix(COMBAT): array
        for name, array in arrays.items()
        if name.startswith(COMBAT)
    }
    return Combat.from_arrays(carried) if carried else None


def logged(table: Floats, log: NDArray[np.bool_]) -> Floats:
    """Return a table with some columns as log(1 + x).

    Raises:
        DataError: If a value to be taken as log(1 + x) is negative.
    """
    values = np.array(table, np.float64)
    if (values[:, log] < 0).any():
        raise DataError("A covariate to be taken as log(1 + x) holds negative values.")
    values[:, log] = np.log1p(values[:, log])
    return values
