"""Fit a model of the plan, and judge it over all sites, from sums only."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fedpet.errors import DataError, PlanError
from fedpet.federation.arms import Fitted, fit_cox, initial_network, train_federated
from fedpet.federation.asking import Execution, answered
from fedpet.federation.moments import moments_of
from fedpet.federation.preparation import Fold
from fedpet.federation.records import Record
from fedpet.federation.statistics.question import (
    EVERYBODY,
    Subjects,
    inquire,
    require_allowed,
    sites_of,
)
from fedpet.plan import Statistic
from fedpet.survival import binary, cox, newton, scores
from fedpet.survival.bootstrap import Estimate
from fedpet.survival.censoring import When
from fedpet.survival.grid import grid_of
from fedpet.survival.preprocessing import MONTH_DAYS
from fedpet.survival.site_performance import LINEAR_PREDICTOR, interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """A model of the plan, before it is fitted.

    Args:
        kind: `cox` (exact, site-stratified, the plan's ridge) or `network` (the plan's network and
            rounds).
        columns: Covariates of a Cox model; all of the plan's inputs unless told. A network reads
            the plan's clinical columns and images.
    """

    kind: Literal["cox", "network"] = "cox"
    columns: tuple[str, ...] = ()


COX = Estimator()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A model judged over all sites on one survival endpoint.

    Args:
        endpoint: The endpoint.
        horizons_months: What the tuples of `performance` are aligned with.
        performance: Concordance, AUC, Brier scores, calibration, decision curves.
        slope: Calibration slope by the site-stratified Cox model of the linear predictor, exact,
            with its Wald interval; None where the data do not define it.
        sites: Sites behind it.
    """

    endpoint: str
    horizons_months: tuple[float, ...]
    performance: scores.Performance
    slope: Estimate | None
    sites: tuple[str, ...]


def fit(
    run: Execution,
    estimator: Estimator = COX,
    *,
    endpoint: str | None = None,
    topic: Statistic = "evaluate",
    fold: Fold | None = None,
) -> Generator[Record, None, Fitted]:
    """Fit a model of the plan over all sites, or over those of a fold.

    Args:
        run: The execution.
        estimator: What is fitted.
        endpoint: Of a Cox model; the plan's primary one unless told.
        topic: The statistic that it is fitted for; the plan must allow it.
        fold: Who fits; everybody unless told.

    Raises:
        PlanError: If the plan does not allow the statistic, or does not name endpoint or column.
        DataError: If the model cannot be estimated.
    """
    require_allowed(run, topic)
    endpoint = survival_endpoint(run, endpoint)
    fold = fold or everybody(run, topic, sites_of(run))
    fold, moments = yield from moments_of(run, fold)
    if estimator.kind == "cox":
        columns = columns_of(run, estimator)
        prep = moments.preprocessing(columns)
        arm = "cox-" + "-".join(str(moments.columns.index(name)) for name in columns)
        model, _ = yield from fit_cox(run, fold, prep, arm=arm, endpoint=endpoint, site=None)
        return model
    prep = moments.preprocessing(run.plan.inputs.clinical)
    initial = yield from initial_network(run, fold, prep)
    model, _ = yield from train_federated(run, fold, prep, initial, subjects=moments.subjects)
    return model


def evaluate(
    run: Execution,
    model: Fitted,
    *,
    endpoint: str | None = None,
    subjects: Subjects = EVERYBODY,
    when: When = "before",
    fitted_on: Subjects | None = None,
    tau_months: float | None = None,
) -> Generator[Record, None, Evaluation]:
    """Judge a model on one survival endpoint, over all sites.

    Args:
        run: The execution.
        model: From `fit`.
        endpoint: The plan's primary one unless told.
        subjects: Who judges.
        when: Whether an event is weighted with the censoring distribution G just `before` its
            time (riskRegression) or `at` it (scikit-survival).
        fitted_on: G is estimated from these subjects; from those who judge unless told.
        tau_months: Where Uno's C-index ends; the last horizon unless told.

    Raises:
        PlanError: If the plan does not allow it, or does not name the endpoint.
        UpdateError: If fewer sites than needed answered.
    """
    endpoint = survival_endpoint(run, endpoint)
    plan = run.plan
    model = yield from _spread(run, model, endpoint, subjects)
    body, arrays = model.question(endpoint)
    body["select"] = subjects.choice()
    judged = yield from inquire(
        run, "evaluate", kind="evaluate", label=f"Judging, {endpoint}", body=body, arrays=arrays
    )
    counts = None
    if fitted_on is not None:
        followed = yield from inquire(
            run,
            "evaluate",
            kind="follow-up",
            label=f"Follow-up, {endpoint}",
            body={"endpoint": endpoint, "select": fitted_on.choice()},
        )
        counts = followed.arrays["counts"]
    slope = yield from calibration_slope(run, model, endpoint=endpoint, subjects=subjects)
    return Evaluation(
        endpoint=endpoint,
        horizons_months=plan.endpoints.horizons_months,
        performance=scores.performance(
            judged.arrays,
            grid=grid_of(plan.endpoints.horizons_months, plan.model.intervals_months),
            when=when,
            fitted=counts,
            tau_days=None if tau_months is None else tau_months * MONTH_DAYS,
        ),
        slope=slope,
        sites=answered(judged),
    )


def evaluate_binary(
    run: Execution, model: Fitted, *, endpoint: str, subjects: Subjects = EVERYBODY
) -> Generator[Record, None, binary.BinaryPerformance]:
    """Judge a network on one yes-or-no endpoint, over all sites.

    Raises:
        PlanError: If the plan does not allow it, or does not name the endpoint.
        DataError: If the model does not predict the endpoint.
    """
    if endpoint not in run.plan.endpoints.binary:
        raise PlanError(f"The plan does not name the yes-or-no endpoint '{endpoint}'.")
    if endpoint not in model.endpoints:
        raise DataError(f"The model does not predict '{endpoint}'.", do="Judge a network instead.")
    body, arrays = model.question(endpoint)
    judged = yield from inquire(
        run,
        "evaluate",
        kind="evaluate",
        label=f"Judging, {endpoint}",
        body={**body, "select": subjects.choice()},
        arrays=arrays,
    )
    return binary.binary_performance(judged.arrays)


def calibration_slope(
    run: Execution, model: Fitted, *, endpoint: str, subjects: Subjects = EVERYBODY
) -> Generator[Record, None, Estimate | None]:
    """Fit the site-stratified Cox model of a model's own linear predictor, by Newton steps.

    Returns:
        The slope: 1 where predictions spread as they should, less where they are too extreme; None
        where everybody is predicted alike or events are separated.
    """
    body, arrays = model.question(endpoint)
    body["select"] = subjects.choice()
    walk = newton.steps(covariates=(LINEAR_PREDICTOR,))
    beta = next(walk)
    sites: tuple[str, ...] | None = None
    while True:
        closed = yield from inquire(
            run,
            "evaluate",
            kind="slope",
            label=f"Calibration slope, {endpoint}",
            body=body,
            arrays={**arrays, "beta": beta},
            sites=sites,
        )
        sites = answered(closed)
        try:
            beta = walk.send(cox.from_arrays(closed.arrays))
        except StopIteration as stop:
            found: newton.CoxFit = stop.value
            return interval(float(found.params[0]), float(found.standard_errors[0]))
        except DataError:
            return None


def survival_endpoint(run: Execution, endpoint: str | None) -> str:
    """Return a survival endpoint of the plan, its primary one unless told.

    Raises:
        PlanError: If the plan does not name it.
    """
    chosen = endpoint or run.plan.endpoints.primary
    if chosen not in run.plan.endpoints.survival:
        known = ", ".join(run.plan.endpoints.survival)
        raise PlanError(
            f"The plan does not name the survival endpoint '{chosen}'.", why=f"It names {known}."
        )
    return chosen


def columns_of(run: Execution, estimator: Estimator) -> tuple[str, ...]:
    """Return the covariates of a Cox model.

    Raises:
        PlanError: If the plan does not name one.
    """
    known = (*run.plan.inputs.clinical, *run.plan.inputs.biomarkers)
    columns = estimator.columns or known
    if foreign := [name for name in columns if name not in known]:
        raise PlanError(
            f"The plan does not name column '{foreign[0]}'.", why=f"It names {', '.join(known)}."
        )
    return columns


def everybody(run: Execution, topic: Statistic, sites: tuple[str, ...]) -> Fold:
    """Return the fold that fits on all subjects of some sites, for a statistic."""
    left_out = [site for site in sites_of(run) if site not in sites]
    title = f"without {', '.join(left_out)}" if left_out else "all hospitals"
    return Fold(
        index=None,
        train_sites=sites,
        test_sites=(),
        train_part="all",
        test_part="all",
        name=f"statistics/{topic}/{'without-' + '-'.join(left_out) if left_out else 'all'}",
        title=title,
    )


def _spread(
    run: Execution, model: Fitted, endpoint: str, subjects: Subjects
) -> Generator[Record, None, Fitted]:
    """Add the distribution of risks of those who judge, so that risk bins are evenly filled."""
    if endpoint in model.cdf:
        return model
    body, arrays = model.question(endpoint)
    closed = yield from inquire(
        run,
        "evaluate",
        kind="risks",
        label=f"Distribution of risks, {endpoint}",
        body={**body, "select": subjects.choice()},
        arrays=arrays,
    )
    histogram = closed.arrays["histogram"]
    share = np.cumsum(histogram) / max(histogram.sum(), 1.0)
    return replace(model, cdf={**model.cdf, endpoint: np.concatenate([[0.0], share])})
