"""A Cox model fitted over hospitals, with the attribute names of lifelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.parameters import Array
from fedpet.survival.newton import CoxFit
from fedpet.survival.pooled_baseline import Cells
from fedpet.survival.preprocessing import Preprocessing
from fedpet.survival.risk_sets import Steps

Floats = NDArray[np.float64]
Strata = Literal["site", "none"]
Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One covariate of a fitted model.

    Args:
        covariate: Its name.
        coef: Log hazard ratio per unit of the covariate.
        se: Its standard error; robust if the model is.
        hazard_ratio: exp(coef).
        low: Lower 95 % limit of the hazard ratio.
        high: Its upper limit.
        z: coef / se.
        p: Two-sided p-value (Wald).
        coef_per_sd: Log hazard ratio per standard deviation over all subjects.
    """

    covariate: str
    coef: float
    se: float
    hazard_ratio: float
    low: float
    high: float
    z: float
    p: float
    coef_per_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonBaseline:
    """What the sites shared to fit one baseline hazard.

    Args:
        edges_days: Cells of time, [T].
        counts: Censorings, events and entries in each, [2 or 3, T].
        cells: Events of all sites by cell.
        steps: At the fitted coefficients.
        merged: Cells that told of few and were merged with their neighbours.
    """

    edges_days: Floats
    counts: Floats
    cells: Cells
    steps: Steps
    merged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CumulativeHazard:
    """A baseline hazard that is added up, at covariates of 0.

    Args:
        days: Times, from 0, increasing.
        hazard: Cumulative hazard at each.
        steps: Whether it jumps at the times, or grows evenly between them.
    """

    days: Floats
    hazard: Floats
    steps: bool

    def at(self, days: Floats) -> Floats:
        """Return the cumulative hazard at some times; flat behind the last one."""
        if self.steps:
            index = np.searchsorted(self.days, days, side="right") - 1
            return np.where(index >= 0, self.hazard[np.clip(index, 0, None)], 0.0)
        found: Floats = np.interp(days, self.days, self.hazard)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxModel:
    """A fitted Cox model; coefficients are per unit of each covariate as the cohort holds it.

    Args:
        endpoint: What it is about.
        strata: `site`, every hospital its own baseline, or `none`, one baseline.
        ties: `efron` or `breslow`.
        robust: Whose residuals the errors are robust to, `site` or `subject`, or None.
        sites: Hospitals behind it.
        prep: Centre and scale of the covariates that were kept.
        penalty: theta of each, on the scale of `fit`, [p].
        fit: On centred and scaled covariates.
        variance: Of the coefficients on that scale, [p, p].
        baseline: The baseline hazard over all sites, at covariates of 0.
        common: What was shared for one baseline, or None.
        body: The question's values, to ask more about the same subjects.
        floats_per_site: Numbers that each hospital sent.
        notes: What a reader should know.
    """

    endpoint: str
    strata: Strata
    ties: str
    robust: str | None
    sites: tuple[str, ...]
    prep: Preprocessing
    penalty: Floats
    fit: CoxFit
    variance: Floats
    baseline: CumulativeHazard
    common: CommonBaseline | None
    body: Mapping[str, Any] = field(repr=False)
    floats_per_site: int
    notes: tuple[str, ...] = ()

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates that were kept."""
        return self.fit.covariates

    @property
    def merged(self) -> int:
        """How many cells of time told of few and were merged with their neighbours."""
        return 0 if self.common is None else self.common.merged

    @property
    def params_(self) -> dict[str, float]:
        """Log hazard ratio of each covariate, per unit."""
        return self._named(self.fit.params / self.prep.sd)

    @property
    def hazard_ratios_(self) -> dict[str, float]:
        """Hazard ratio of each covariate, per unit."""
        return self._named(np.exp(self.fit.params / self.prep.sd))

    @property
    def variance_matrix_(self) -> Floats:
        """Variance of the coefficients, [p, p]; robust if the model is."""
        return self.variance / np.outer(self.prep.sd, self.prep.sd)

    @property
    def standard_errors_(self) -> dict[str, float]:
        """Standard error of each coefficient."""
        return self._named(np.sqrt(np.diag(self.variance_matrix_)))

    @property
    def confidence_intervals_(self) -> dict[str, tuple[float, float]]:
        """95 % interval of each coefficient."""
        return {
            one.covariate: (float(np.log(one.low)), float(np.log(one.high))) for one in self.summary
        }

    @property
    def log_likelihood_(self) -> float:
        """Log partial likelihood, without the penalty."""
        return self.fit.log_likelihood

    @property
    def log_likelihood_ratio_(self) -> float:
        """Twice the gain of log-likelihood over the model without covariates."""
        return 2 * (self.fit.log_likelihood - self.fit.log_likelihood_null)

    @property
    def baseline_cumulative_hazard_(self) -> CumulativeHazard:
        """The baseline hazard added up, at covariates of 0."""
        return self.baseline

    @property
    def summary(self) -> tuple[Coefficient, ...]:
        """One row for each covariate."""
        from scipy.special import ndtr

        errors = self.standard_errors_
        rows = []
        for name, coef, scaled in zip(
            self.covariates, self.params_.values(), self.fit.params, strict=True
        ):
            se = errors[name]
            rows.append(
                Coefficient(
                    covariate=name,
                    coef=coef,
                    se=se,
                    hazard_ratio=float(np.exp(coef)),
                    low=float(np.exp(coef - Z95 * se)),
                    high=float(np.exp(coef + Z95 * se)),
                    z=coef / se,
                    p=float(2 * ndtr(-abs(coef / se))),
                    coef_per_sd=float(scaled),
                )
            )
        return tuple(rows)

    def predict_log_partial_hazard(self, table: Mapping[str, Sequence[float]]) -> Floats:
        """Return x beta of given subjects, [n].

        Raises:
            DataError: If a covariate is missing, or not finite.
        """
        if absent := [name for name in self.covariates if name not in table]:
            raise DataError(f"The model reads '{absent[0]}', which the table does not hold.")
        x = np.column_stack([np.asarray(table[name], np.float64) for name in self.covariates])
        if not np.isfinite(x).all():
            raise DataError("The model needs finite covariates.")
        log = np.array(self.prep.log, bool)
        x[:, log] = np.log1p(x[:, log])
        found: Floats = x @ np.array(list(self.params_.values()))
        return found

    def predict_survival(
        self, table: Mapping[str, Sequence[float]], days: Sequence[float]
    ) -> Floats:
        """Return the probability of no event by each time, [n, times].

        With the site as stratum it is that of an average hospital.

        Raises:
            DataError: As `predict_log_partial_hazard`.
        """
        hazard = np.exp(self.predict_log_partial_hazard(table))
        probability: Floats = np.exp(
            -hazard[:, None] * self.baseline.at(np.asarray(days, np.float64))
        )
        return probability

    def report_disclosure(self) -> tuple[str, ...]:
        """Say what left each hospital for this model, in sentences."""
        left = [
            f"{self.floats_per_site:,} numbers left each of {len(self.sites)} hospitals, "
            f"each a sum over its subjects, in {self.fit.iterations} evaluations."
        ]
        if self.common is None:
            left.append("Every hospital kept its own baseline: nothing resolved in time left it.")
        else:
            left.append(
                f"Risk sets were summed in the {int((self.common.cells.deaths > 0).sum())} cells "
                f"with events of {len(self.common.edges_days)} cells of time; "
                "sums over a single death were not sent."
            )
        return (*left, *self.notes)

    def arrays(self) -> dict[str, Array]:
        """Return scaling and coefficients as a question carries them."""
        prep = {f"prep.{name}": array for name, array in self.prep.to_arrays().items()}
        return {**prep, "beta": self.fit.params}

    def _named(self, values: Floats) -> dict[str, float]:
        return dict(zip(self.covariates, values.tolist(), strict=True))
