"""What a fitted Cox model assumes: hazard ratios that do not change, and hospitals that agree."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import NotFoundError
from fedpet.federation.asking import Execution, by_site
from fedpet.federation.records import Record
from fedpet.federation.statistics.cox_model import CoxModel
from fedpet.federation.statistics.question import inquire
from fedpet.federation.statistics.time_grid import WEEKS, TimeGrid, count
from fedpet.parameters import Array
from fedpet.survival import proportional_hazards as ph
from fedpet.survival.random_effects import Method, RandomEffects, summary

Floats = NDArray[np.float64]
UNIT_DAYS = 365.25


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteEffect:
    """One hospital's own coefficient, where its policy releases it.

    Args:
        site: The hospital.
        estimate: Log hazard ratio per unit; None if it could not be estimated there.
        se: Its standard error.
    """

    site: str
    estimate: float | None
    se: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heterogeneity:
    """How much one coefficient differs between hospitals.

    Args:
        covariate: Its name; the scale is the log hazard ratio per unit.
        effects: The random-effects summary.
        sites: Hospitals' own coefficients, if they were asked for.
        refused: Hospitals that did not release theirs, with the reason.
    """

    covariate: str
    effects: RandomEffects
    sites: tuple[SiteEffect, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


def proportional_hazards(
    run: Execution, model: CoxModel, *, transform: ph.Transform = "km", grid: TimeGrid = WEEKS
) -> Generator[Record, None, ph.ProportionalHazards]:
    """Test whether the hazard ratios of a fitted model stay the same over time.

    Args:
        run: The execution.
        model: The model.
        transform: Time as it is, its logarithm, 1 - S(t-) or its rank.
        grid: Cells of time for `km` and `rank`, with the site as stratum. A model with one
            baseline is tested on its own cells.

    Raises:
        DataError: If the transform is unknown, or an event at time 0 has no logarithm.
    """
    ph.require_transform(transform)
    arrays: dict[str, Array] = dict(model.arrays())
    g = np.zeros(0)
    if model.common is not None:
        shared = model.common
        used = shared.cells.deaths > 0
        g = _scaled(transform, shared.counts, shared.edges_days)[used]
        arrays |= {
            "used": shared.cells.used,
            "hazard": shared.steps.hazard,
            "tied_hazard": shared.steps.tied_hazard,
            "edges_days": shared.edges_days,
            "g": g,
        }
    elif transform in ("km", "rank"):
        body = {name: model.body[name] for name in ("endpoint", "select", "entry")}
        counted = yield from count(run, "cox", body=body, grid=grid, sites=model.sites)
        cells = _scaled(transform, counted.counts[0], counted.edges_days)
        arrays |= {"edges_days": counted.edges_days, "g": cells}
    else:
        arrays["unit_days"] = np.array([UNIT_DAYS])
    summed = yield from _ask(
        run, model, "cox-changing", "Do hazard ratios change?", arrays, transform=transform
    )
    if model.common is not None:
        summed = ph.less_means(summed, model.common.steps, g)
    return ph.proportional_hazards(
        summed,
        transform=transform,
        covariates=model.covariates,
        gradient=model.penalty * model.fit.params,
        information=model.fit.information,
        penalty=model.penalty,
    )


def heterogeneity(
    run: Execution,
    model: CoxModel,
    covariate: str,
    *,
    method: Method = "reml",
    hartung_knapp: bool = True,
    by_hospital: bool = False,
) -> Generator[Record, None, Heterogeneity]:
    """Summarise one coefficient over hospitals that each fit the model alone.

    The summary needs sums only. A hospital that cannot fit the model adds nothing.

    Args:
        run: The execution.
        model: The model.
        covariate: One of its covariates.
        method: `reml` or `dersimonian-laird`.
        hartung_knapp: Whether the interval follows Hartung and Knapp.
        by_hospital: Whether hospitals are asked to release their own coefficients
            (`site-coefficients` in their policy), for a forest plot.

    Raises:
        NotFoundError: If the model has no such covariate.
        DataError: If no hospital could estimate it.
    """
    if covariate not in model.covariates:
        raise NotFoundError(
            f"The model has no covariate '{covariate}'.",
            why=f"It has {', '.join(model.covariates)}.",
        )
    arrays: dict[str, Array] = dict(model.arrays())
    arrays["ridge"] = model.penalty
    arrays["unit"] = model.prep.sd[[model.covariates.index(covariate)]]
    label = f"How far hospitals agree on {covariate}"
    values: dict[str, Any] = {"covariate": covariate, "covariates": list(model.covariates)}
    walk = summary(method=method, hartung_knapp=hartung_knapp)
    tau2, center = next(walk)
    while True:
        at = {"tau2": np.array([tau2]), "center": np.array([center])}
        summed = yield from _ask(run, model, "cox-effect", label, {**arrays, **at}, **values)
        try:
            tau2, center = walk.send(summed)
        except StopIteration as stop:
            effects: RandomEffects = stop.value
            break
    if not by_hospital:
        return Heterogeneity(covariate=covariate, effects=effects)
    nothing = {"tau2": np.zeros(1), "center": np.zeros(1)}
    closed = yield from inquire(
        run,
        "cox",
        kind="cox-effect",
        label=label,
        body={**model.body, "columns": list(model.prep.columns), **values},
        arrays={**arrays, **nothing},
        sites=model.sites,
        release="site-coefficients",
        sites_min=0,
    )
    return Heterogeneity(
        covariate=covariate,
        effects=effects,
        sites=tuple(_site_effect(site, one) for site, one in sorted(by_site(closed).items())),
        refused=tuple((site, why) for site, why in sorted(closed.sites.items()) if why != "ok"),
    )


def _ask(
    run: Execution,
    model: CoxModel,
    kind: str,
    label: str,
    arrays: dict[str, Array],
    **values: object,
) -> Generator[Record, None, dict[str, Array]]:
    closed = yield from inquire(
        run,
        "cox",
        kind=kind,
        label=label,
        body={**model.body, "columns": list(model.prep.columns), **values},
        arrays=arrays,
        sites=model.sites,
        sites_min=len(model.sites),
    )
    return dict(closed.arrays)


def _scaled(transform: str, counts: Floats, edges_days: Floats) -> Floats:
    """Return g by cell, on a scale of about 1; the test does not depend on it."""
    g = ph.of_cells(transform, counts, edges_days)
    return g / max(1.0, float(np.abs(g).max()))


def _site_effect(site: str, one: dict[str, Array]) -> SiteEffect:
    weight = float(one["weight"].sum())
    if not weight > 0:
        return SiteEffect(site=site, estimate=None, se=None)
    return SiteEffect(
        site=site, estimate=float(one["first"].sum()) / weight, se=float(1 / np.sqrt(weight))
    )
