"""Fit a Cox model over hospitals: exact, by Newton steps on sums.

```
moments in two passes -> [ grid of time, events by cell ] -> Newton steps -> [ robust errors ]
      -> baseline hazard
```
With the site as stratum one exchange is one evaluation. With one baseline for all, an evaluation
is two exchanges, on cells of time that tell of several subjects each.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import PlanError, RefusalError
from fedpet.federation.asking import Execution, answered, masks
from fedpet.federation.newton_walk import DropoutError, climb
from fedpet.federation.records import Record
from fedpet.federation.statistics.cox_model import (
    CommonBaseline,
    CoxModel,
    CumulativeHazard,
    Strata,
)
from fedpet.federation.statistics.question import EVERYBODY, Subjects, inquire, sites_of
from fedpet.federation.statistics.time_grid import WEEKS, Counted, TimeGrid, count
from fedpet.parameters import Array, Parameters
from fedpet.survival import cox as sums
from fedpet.survival import cox_scores, pooled_baseline
from fedpet.survival.baseline import piecewise_hazard
from fedpet.survival.cox import CoxSums
from fedpet.survival.newton import Choice, CoxFit
from fedpet.survival.pooled_baseline import Cells
from fedpet.survival.preprocessing import MONTH_DAYS, Preprocessing
from fedpet.survival.risk_sets import Steps

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxOptions:
    """How a Cox model is fitted.

    Args:
        strata: `site`, every hospital with its own baseline hazard, or `none`, one for all.
        ties: `efron` or `breslow`.
        ridge: theta of the penalty theta/2 * |beta|^2, as in R's `ridge(theta=, scale=FALSE)`.
            lifelines' `penalizer` is theta over the number of subjects, with `standardize`.
        standardize: Whether the penalty is on coefficients per standard deviation.
        entry: A column: days at which a subject comes under observation, or None.
        robust: `site` or `subject`, for standard errors that are robust to clusters, or None.
        unidentified: `error`, or `drop` covariates that cannot be estimated, with the reason.
        grid: Cells of time for one baseline.
    """

    strata: Strata = "site"
    ties: str = "efron"
    ridge: float = 0.0
    standardize: bool = False
    entry: str | None = None
    robust: cox_scores.Cluster | None = None
    unidentified: Choice = "error"
    grid: TimeGrid = WEEKS


def cox(
    run: Execution,
    endpoint: str,
    covariates: Sequence[str],
    *,
    subjects: Subjects = EVERYBODY,
    options: CoxOptions | None = None,
) -> Generator[Record, None, CoxModel]:
    """Fit a Cox model to the subjects whose covariates are all known.

    A hospital that drops out between two steps is left out and the fit begins again without it.

    Args:
        run: The execution.
        endpoint: One of the plan's survival endpoints.
        covariates: Columns of the plan; those in `inputs.log` are taken as log(1 + x).
        subjects: Whom it is about.
        options: How.

    Raises:
        PlanError: If there is no covariate, one is named twice, or the plan does not allow it.
        DataError: If a covariate cannot be estimated; it is named.
        RefusalError: If one baseline is wanted, and sums are not masked.
        UpdateError: If fewer sites than needed answered; it lists why.
    """
    how = options or CoxOptions()
    sums.require_ties(how.ties)
    if not covariates or len(set(covariates)) < len(covariates):
        raise PlanError("A Cox model needs covariates, each named once.")
    known = (*covariates, *subjects.complete, *([how.entry] if how.entry else []))
    body = {
        "endpoint": endpoint,
        "select": replace(subjects, complete=tuple(sorted(set(known)))).choice(),
        "ties": how.ties,
        "entry": how.entry,
    }
    sites = sites_of(run)
    if how.strata == "none" and not masks(run, sites):
        raise RefusalError(
            "One baseline hazard for all hospitals is fitted under the secure sum only.",
            why="A hospital's own sums over those at risk tell of single patients.",
            do="Keep `secure_sum = true` in [privacy] and ask three hospitals or more, or give "
            "every hospital its own baseline (strata by site).",
        )
    while True:
        walk = _Walk(run=run, body=body, columns=tuple(covariates), sites=sites, how=how)
        try:
            return (yield from walk.fit())
        except DropoutError as changed:
            sites = changed.sites


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One fit over hospitals that all stay; counts what they send."""

    run: Execution
    body: dict[str, Any]
    columns: tuple[str, ...]
    sites: tuple[str, ...]
    how: CoxOptions
    floats: int = 0
    settled: bool = False
    prep: dict[str, Array] = field(default_factory=dict)

    def ask(
        self, kind: str, label: str, arrays: Parameters, **values: object
    ) -> Generator[Record, None, Parameters]:
        """Ask the sites of this walk; a first question settles who they are.

        Raises:
            DropoutError: If one that answered before does not.
        """
        closed = yield from inquire(
            self.run,
            "cox",
            kind=kind,
            label=label,
            body={**self.body, "columns": list(self.columns), **values},
            arrays={**self.prep, **arrays},
            sites=self.sites,
        )
        if self.settled and answered(closed) != self.sites:
            raise DropoutError(answered(closed))
        self.sites, self.settled = answered(closed), True
        self.floats += sum(array.size for array in closed.arrays.values())
        return closed.arrays

    def fit(self) -> Generator[Record, None, CoxModel]:
        """Walk from moments to the model."""
        prep = yield from self.moments()
        self.prep = {f"prep.{name}": array for name, array in prep.to_arrays().items()}
        theta = self.how.ridge / (1.0 if self.how.standardize else prep.sd**2)
        theta = np.broadcast_to(theta, (len(self.columns),)).astype(np.float64)
        common = _Common(walk=self) if self.how.strata == "none" else None
        if common is not None:
            yield from common.agree()
        fit = yield from climb(
            self.own_baselines if common is None else common.evaluate,
            covariates=self.columns,
            ridge=theta,
            unidentified=self.how.unidentified,
        )
        shared = None if common is None else (yield from common.settled(fit))
        kept = [index for index, name in enumerate(prep.columns) if name in fit.covariates]
        prep = self.keep(prep, kept)
        baseline = yield from self.baseline(fit, prep, shared)
        variance = yield from self.errors(fit, shared)
        return CoxModel(
            endpoint=str(self.body["endpoint"]),
            strata=self.how.strata,
            ties=self.how.ties,
            robust=self.how.robust,
            sites=self.sites,
            prep=prep,
            penalty=theta[kept],
            fit=fit,
            variance=variance,
            baseline=baseline,
            common=shared,
            body=dict(self.body),
            floats_per_site=self.floats,
            notes=_notes(fit, prep, shared),
        )

    def moments(self) -> Generator[Record, None, Preprocessing]:
        """Centre and scale the covariates; a constant one keeps its scale, to be named later.

        Over everybody who has a value, as `describe` asks: values summed over the fitted subjects
        alone would tell, by subtraction, those of the few who are left out.
        """
        whole = {"select": EVERYBODY.choice(), "endpoint": None}
        first = yield from self.ask("moments", "Means of the covariates", {}, **whole)
        count = np.maximum(first["count"], 1.0)
        center = first["sum"] / count
        second = yield from self.ask(
            "moments", "Spreads of the covariates", {"center": center}, **whole
        )
        sd = np.sqrt(second["sum_squares"] / count)
        flat = sd <= 1e-9 * (1 + np.abs(center))
        return Preprocessing(
            columns=self.columns,
            log=np.array([name in self.run.plan.inputs.log for name in self.columns]),
            mean=center,
            sd=np.where(flat, 1.0, sd),
            indicator=np.zeros(len(self.columns), bool),
        )

    def own_baselines(self, number: int, beta: Floats) -> Generator[Record, None, CoxSums]:
        """Evaluate with the site as stratum: one exchange."""
        found = yield from self.ask("cox", f"Cox model, evaluation {number}", {"beta": beta})
        return sums.from_arrays(found)

    def keep(self, prep: Preprocessing, kept: list[int]) -> Preprocessing:
        """Go on with the covariates that were kept, and return their scaling."""
        found = Preprocessing(
            columns=tuple(prep.columns[index] for index in kept),
            log=prep.log[kept],
            mean=prep.mean[kept],
            sd=prep.sd[kept],
            indicator=prep.indicator[kept],
        )
        self.columns = found.columns
        self.prep = {f"prep.{name}": array for name, array in found.to_arrays().items()}
        return found

    def baseline(
        self, fit: CoxFit, prep: Preprocessing, shared: CommonBaseline | None
    ) -> Generator[Record, None, CumulativeHazard]:
        """Return the baseline hazard over all sites, at covariates of 0."""
        at_zero = float(np.exp(-fit.params @ (prep.mean / prep.sd)))
        if shared is not None:
            hazard = pooled_baseline.baseline_hazard(shared.cells, shared.steps)
            days, hazard = shared.edges_days, np.concatenate([[0.0], hazard[:-1]])
            return CumulativeHazard(days=days, hazard=hazard * at_zero, steps=True)
        summed = yield from self.ask("exposure", "Baseline hazard", {"cox.beta": fit.params})
        edges = np.asarray(self.run.plan.model.intervals_months, np.float64) * MONTH_DAYS
        each = piecewise_hazard(summed)[:-1] * np.diff(edges)
        return CumulativeHazard(
            days=edges, hazard=np.concatenate([[0.0], np.cumsum(each)]) * at_zero, steps=False
        )

    def errors(self, fit: CoxFit, shared: CommonBaseline | None) -> Generator[Record, None, Floats]:
        """Return the variance of the coefficients, robust if it is wanted."""
        if self.how.robust is None:
            return fit.variance
        arrays = {"beta": fit.params}
        if shared is not None:
            pieces = cox_scores.score_pieces(shared.steps)
            arrays |= {**pieces, "used": shared.cells.used, "edges_days": shared.edges_days}
        found = yield from self.ask(
            "cox-scores", "Robust standard errors", arrays, cluster=self.how.robust
        )
        return cox_scores.sandwich(fit.variance, found["meat"])


@dataclass(slots=True, kw_only=True)
class _Common:
    """One baseline hazard for all sites of a walk."""

    walk: _Walk
    counted: Counted | None = None
    cells: Cells | None = None
    steps: Steps | None = None
    beta: Floats | None = None

    def agree(self) -> Generator[Record, None, None]:
        """Agree on cells of time from counts over all sites, and count events in them."""
        walk = self.walk
        counted = yield from count(
            walk.run, "cox", body=walk.body, grid=walk.how.grid, sites=walk.sites, safe=True
        )
        walk.floats += counted.closed.arrays["counts"].size
        if answered(counted.closed) != walk.sites:
            raise DropoutError(answered(counted.closed))
        self.counted = counted
        found = yield from walk.ask(
            "cox-cells", "Events by cell of time", {"edges_days": counted.edges_days}
        )
        self.cells = pooled_baseline.cells_of(found)

    def evaluate(self, number: int, beta: Floats) -> Generator[Record, None, CoxSums]:
        """Evaluate in two exchanges: risk sets, then one matrix."""
        walk, cells, counted = self.walk, self.cells, self.counted
        assert cells is not None
        assert counted is not None
        label = f"Cox model, evaluation {number}"
        if not cells.deaths.any():
            return pooled_baseline.unreachable(cells)
        back = {"beta": beta, "used": cells.used, "edges_days": counted.edges_days}
        tied = cells.tied.astype(np.float64)
        first = yield from walk.ask("cox-risk", f"{label}, risk sets", {**back, "tied": tied})
        steps = pooled_baseline.steps_of(cells, first, efron=walk.how.ties == "efron")
        if steps is None:
            return pooled_baseline.unreachable(cells)
        self.steps, self.beta = steps, beta
        hazards = {"hazard": steps.hazard, "tied_hazard": steps.tied_hazard}
        second = yield from walk.ask("cox-information", label, {**back, **hazards})
        return pooled_baseline.sums_of(cells, beta, steps, second)

    def settled(self, fit: CoxFit) -> Generator[Record, None, CommonBaseline]:
        """Return what was shared, at the fitted coefficients and for the kept covariates."""
        cells, counted = self.cells, self.counted
        assert cells is not None
        assert counted is not None
        columns = self.walk.columns
        beta = np.zeros(len(columns))
        kept = [columns.index(name) for name in fit.covariates]
        beta[kept] = fit.params
        if self.beta is None or not np.array_equal(self.beta, beta):
            yield from self.evaluate(fit.iterations, beta)
        assert self.steps is not None
        return CommonBaseline(
            edges_days=counted.edges_days,
            counts=counted.counts[0],
            cells=replace(cells, event_x=cells.event_x[kept]),
            steps=replace(self.steps, mean=self.steps.mean[:, kept]),
            merged=counted.merged,
        )


def _notes(fit: CoxFit, prep: Preprocessing, shared: CommonBaseline | None) -> tuple[str, ...]:
    notes = [f"{reason} It was left out." for _, reason in fit.dropped]
    notes += fit.remarks
    logged = [name for name, log in zip(prep.columns, prep.log, strict=True) if log]
    if logged:
        notes.append(f"Taken as log(1 + x): {', '.join(logged)}.")
    if shared is not None and shared.merged:
        notes.append(
            f"{shared.merged} cells of time told of few subjects, or of nobody, and were merged "
            "with their neighbours."
        )
    return tuple(notes)
