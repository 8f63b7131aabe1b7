"""What a node adds up for Cox models: strata of its own, or a baseline that all sites share.

Subjects are those that a request selects, whose endpoint is known. Work that uses a common
baseline is on cells of the agreed grid `edges_days`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.errors import DataError, UpdateError
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.survival import cox, cox_scores, newton, pooled_baseline, random_effects
from fedpet.survival import proportional_hazards as ph
from fedpet.survival.kaplan_meier import cell_of
from fedpet.survival.risk_sets import Subjects
from fedpet.training.statistics import design, entry_days, known_outcome, stratum_codes

Floats = NDArray[np.float64]
Body = Mapping[str, Any]


def stratified(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Sum log-likelihood, gradient and information at `beta`; each site has its own baseline."""
    found = _Table(cohort, plan, body, arrays)
    sums = cox.cox_sums(
        found.x,
        found.time,
        found.event,
        arrays["beta"],
        strata=found.strata,
        ties=found.ties,
        entry=found.entry,
    )
    return cox.to_arrays(sums)


def cells(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Count the events in each cell of the grid, and sum their covariates."""
    found = _Table(cohort, plan, body, arrays)
    return pooled_baseline.cell_sums(found.on_cells(arrays["edges_days"]), _cells(arrays))


def risk(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Add up risk sets at `beta` in the cells `used`, and deaths in those that are `tied`."""
    group = _Table(cohort, plan, body, arrays).on_cells(arrays["edges_days"])
    return pooled_baseline.risk_arrays(group, arrays["beta"], arrays["used"], arrays["tied"] > 0)


def information(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Add up one matrix at `beta`, given increments of the common hazard in the cells `used`."""
    group = _Table(cohort, plan, body, arrays).on_cells(arrays["edges_days"])
    return pooled_baseline.curvature_arrays(
        group, arrays["beta"], arrays["used"], arrays["hazard"], arrays["tied_hazard"]
    )


def scores(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Sum outer products of score residuals at `beta`, by site or by subject."""
    found = _Table(cohort, plan, body, arrays)
    beta = arrays["beta"]
    if "edges_days" in arrays:
        group = found.on_cells(arrays["edges_days"])
        hazard = np.exp(group.x @ beta)
        residuals = [cox_scores.score_residuals(group, hazard, arrays["used"], dict(arrays))]
    else:
        residuals = cox_scores.stratified_residuals(
            found.x,
            found.time,
            found.event,
            beta,
            strata=found.strata,
            ties=found.ties,
            entry=found.entry,
        )
    cluster = body.get("cluster")
    if cluster not in ("site", "subject"):
        raise UpdateError(f"Residuals cannot be added by '{cluster}'; expected site or subject.")
    return cox_scores.meat(residuals, cluster=cluster, p=len(beta))


def changing(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Sum score and information of coefficients that change with time.

    Time is transformed by name, or told by `g` for each cell of the grid.
    """
    found = _Table(cohort, plan, body, arrays)
    beta = arrays["beta"]
    if "used" in arrays:
        group = found.on_cells(arrays["edges_days"])
        hazard = np.exp(group.x @ beta)
        back = (arrays["hazard"], arrays["tied_hazard"], arrays["g"])
        return ph.site_part(group, hazard, arrays["used"], *back)
    if "g" in arrays:
        g = arrays["g"][cell_of(found.time, arrays["edges_days"])]
    else:
        g = np.zeros(len(found.time))
        seen = found.time[found.event] / float(arrays["unit_days"].sum())
        g[found.event] = ph.of_times(str(body["transform"]), seen)
    return ph.stratified_sums(
        found.x,
        found.time,
        found.event,
        beta,
        g,
        strata=found.strata,
        ties=found.ties,
        entry=found.entry,
    )


def effect(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Fit the model here alone and give one coefficient's part of a random-effects summary.

    A site that cannot fit it gives zeros, and is not counted.

    Raises:
        UpdateError: If the covariate is not among the model's.
    """
    found = _Table(cohort, plan, body, arrays)
    names = [str(name) for name in body["covariates"]]
    if body.get("covariate") not in names or len(names) != found.x.shape[1]:
        raise UpdateError(f"'{body.get('covariate')}' is not a covariate of the model.")

    def evaluate(beta: Floats) -> cox.CoxSums:
        return cox.cox_sums(
            found.x,
            found.time,
            found.event,
            beta,
            strata=found.strata,
            ties=found.ties,
            entry=found.entry,
        )

    at = names.index(str(body["covariate"]))
    try:
        fit = newton.fit(evaluate, covariates=names, ridge=arrays["ridge"])
    except DataError:
        estimates, errors = np.zeros(0), np.zeros(0)
    else:
        unit = float(arrays["unit"].sum())
        estimates = fit.params[at : at + 1] / unit
        errors = fit.standard_errors[at : at + 1] / unit
    return random_effects.effect_sums(
        estimates,
        errors**2,
        tau2=float(arrays["tau2"].sum()),
        center=float(arrays["center"].sum()),
    )


class _Table:
    """Design, outcome, strata and entry of the selected subjects."""

    def __init__(self, cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> None:
        rows, self.time, self.event = known_outcome(cohort, plan, body)
        self.x = design(cohort, plan, body, arrays)[rows]
        self.entry = entry_days(cohort, plan, body, rows, self.time)
        self.strata = stratum_codes(cohort)[rows]
        self.ties = str(body.get("ties", plan.cox.ties))

    def on_cells(self, edges_days: Floats) -> Subjects:
        """Return the subjects on cells of a grid, all with one baseline."""
        return pooled_baseline.on_cells(self.x, self.time, self.event, edges_days, entry=self.entry)


def _cells(arrays: Parameters) -> int:
    return len(arrays["edges_days"])
