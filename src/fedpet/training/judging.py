"""Work on models that are judged beside the experiment: slopes, follow-up, one hospital's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.survival import cox, newton
from fedpet.survival.baseline import exposure_sums, piecewise_hazard
from fedpet.survival.combat import confounding_sums
from fedpet.survival.describe import histogram_sums
from fedpet.survival.disclosure import CELL_MIN
from fedpet.survival.grid import grid_of
from fedpet.survival.kaplan_meier import event_table
from fedpet.survival.preprocessing import fit_preprocessing, moment_sums
from fedpet.survival.preprocessing import logged as logged_table
from fedpet.survival.quantiles import medians
from fedpet.survival.site_performance import linear_predictor, site_sums
from fedpet.training.evaluate import mean_risk, predict_survival
from fedpet.training.selection import columns_of
from fedpet.training.statistics import edges_days, known_outcome, stratum_codes

Floats = NDArray[np.float64]
Body = Mapping[str, Any]


def slope(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Sum the site-stratified Cox likelihood of a model's linear predictor at `beta`, [1]."""
    rows, time, event = known_outcome(cohort, plan, body)
    survival = predict_survival(cohort, plan, body, arrays, rows)
    latest = int(np.argmax(plan.endpoints.horizons_months))
    sums = cox.cox_sums(
        linear_predictor(_at_horizons(plan, survival)[:, latest])[:, None],
        time,
        event,
        arrays["beta"],
        strata=stratum_codes(cohort)[rows],
        ties=plan.cox.ties,
    )
    return dict(cox.to_arrays(sums))


def follow_up(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Count censorings and events on the plan's grid of evaluation, [2, T]."""
    del arrays
    _, time, event = known_outcome(cohort, plan, body)
    grid = grid_of(plan.endpoints.horizons_months, plan.model.intervals_months)
    return {"counts": event_table(time, event, grid.time_edges_days)}


def own_performance(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Compute what this hospital releases of its own about a model: `site_sums`."""
    rows, time, event = known_outcome(cohort, plan, body)
    survival = predict_survival(cohort, plan, body, arrays, rows)
    return dict(
        site_sums(
            risk=mean_risk(survival),
            survival=_at_horizons(plan, survival),
            time_days=time,
            event=event,
            horizons_days=grid_of(plan.endpoints.horizons_months).horizons_days,
        )
    )


def fit_cox(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Fit the plan's Cox model on this hospital's subjects alone: the release `local-model`.

    Returns:
        The model's `prep.*`, `cox.hazard` and `cox.beta`; beta has two places for each column, the
        second for its missingness indicator, so that all hospitals answer in one shape.
    """
    del arrays
    rows, time, event = known_outcome(cohort, plan, body)
    columns = list(body["columns"])
    table = columns_of(cohort, plan, columns)[rows]
    log = [name for name in columns if name in plan.inputs.log]
    logged = np.array([name in log for name in columns], bool)
    first = moment_sums(table, log=logged)
    count = first["count"]
    center = np.divide(first["sum"], count, out=np.zeros_like(count), where=count > 0)
    second = moment_sums(table, log=logged, center=center)
    fill = _medians(logged_table(table, logged), first, second)
    prep = fit_preprocessing(
        first,
        second,
        columns=columns,
        log=log,
        subjects=len(rows),
        fill=fill if plan.inputs.impute == "median" else None,
    )
    x = prep.transform(table)
    fit = newton.fit(
        lambda beta: cox.cox_sums(
            x, time, event, beta, strata=stratum_codes(cohort)[rows], ties=plan.cox.ties
        ),
        covariates=prep.names,
        ridge=plan.cox.ridge,
    )
    hazard = piecewise_hazard(exposure_sums(x @ fit.params, time, event, edges_days(plan)))
    beta = np.zeros(2 * len(columns))
    beta[np.concatenate([np.ones(len(columns), bool), prep.indicator])] = fit.params
    carried = {f"prep.{name}": array for name, array in prep.to_arrays().items()}
    return {**carried, "cox.beta": beta, "cox.hazard": hazard}


def _medians(values: Floats, first: Mapping[str, Floats], second: Mapping[str, Floats]) -> Floats:
    """Find the medians of one hospital as those of many are found: of five subjects at least."""
    sums = first["count"], first["sum"], second["sum_squares"]
    walk = medians(*sums, least=CELL_MIN)
    try:
        wanted, edges = next(walk)
        while True:
            wanted, edges = walk.send(histogram_sums(values[:, wanted], edges)["cells"])
    except StopIteration as stop:
        found: Floats = stop.value
        return found


def confounding(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Sum events and days by interval; or, at `hazard`, compare events with those expected."""
    rows, time, event = known_outcome(cohort, plan, body)
    edges = edges_days(plan)
    if "hazard" not in arrays:
        return dict(exposure_sums(np.zeros(len(rows)), time, event, edges))
    ends = np.append(edges[1:], np.inf)
    days = np.clip(np.minimum(time[:, None], ends) - edges, 0.0, None)
    return dict(confounding_sums(days @ arrays["hazard"], event))


def _at_horizons(plan: Plan, survival: Floats) -> Floats:
    ends = list(plan.model.intervals_months[1:])
    columns = [ends.index(horizon) for horizon in plan.endpoints.horizons_months]
    chosen: Floats = survival[:, columns]
    return chosen
