"""How does a model do at a hospital that it has never seen? Leave one out, or compare all.

A hospital's own result and a model fitted at one hospital alone are named releases, `site-results`
and `local-model`; a hospital whose policy refuses one is listed with its reason, and the rest goes
on.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fedpet.errors import FedpetError, UpdateError
from fedpet.federation.arms import Fitted, initial_network, train_at
from fedpet.federation.asking import Execution, Question, ask, by_site
from fedpet.federation.moments import moments_of
from fedpet.federation.records import Record
from fedpet.federation.statistics.performance import (
    COX,
    Estimator,
    columns_of,
    everybody,
    fit,
    survival_endpoint,
)
from fedpet.federation.statistics.question import EVERYBODY, inquire, require_allowed, sites_of
from fedpet.parameters import Array
from fedpet.plan import Statistic
from fedpet.survival import scores
from fedpet.survival.grid import grid_of
from fedpet.survival.site_performance import (
    SitePerformance,
    Summary,
    site_performance,
    summarise_concordance,
    summarise_observed_expected,
    summarise_slope,
)

LEAVE_ONE_OUT: Statistic = "leave-one-site-out"
MATRIX: Statistic = "cross-site-matrix"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveOneSiteOut:
    """Models fitted without each site, judged there.

    Args:
        endpoint: The endpoint.
        horizons_months: What `observed_expected` is aligned with.
        sites: Results of the hospitals that released their own.
        reasons: Why a site has no result of its own, or no model without it.
        performance: All subjects together, each judged by the model that never saw its hospital.
        c_index: C-indices over hospitals, random effects.
        observed_expected: Observed over expected over hospitals, at each horizon.
        slope: Calibration slopes over hospitals.
    """

    endpoint: str
    horizons_months: tuple[float, ...]
    sites: Mapping[str, SitePerformance]
    reasons: Mapping[str, str]
    performance: scores.Performance
    c_index: Summary | None
    observed_expected: tuple[Summary | None, ...]
    slope: Summary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSiteMatrix:
    """Models fitted at each site alone, judged at every site.

    Args:
        endpoint: The endpoint.
        sites: Names of rows and columns.
        results: By site of the model, then by site that judged; the diagonal is apparent, because
            there a model is judged on the subjects that it was fitted to.
        reasons: Why a site has no model, or gave no results.
        travelled: By site of the model, its C-index over the other hospitals, random effects.
    """

    endpoint: str
    sites: tuple[str, ...]
    results: Mapping[str, Mapping[str, SitePerformance]]
    reasons: Mapping[str, str]
    travelled: Mapping[str, Summary | None]

    def c_index(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the C-indices, [model, judge], NaN where there is none."""
        table = np.full((len(self.sites), len(self.sites)), np.nan)
        for row, trained in enumerate(self.sites):
            for column, judge in enumerate(self.sites):
                found = self.results.get(trained, {}).get(judge)
                if found is not None and found.c_index is not None:
                    table[row, column] = found.c_index.value
        return table


def leave_one_site_out(
    run: Execution, estimator: Estimator = COX, *, endpoint: str | None = None
) -> Generator[Record, None, LeaveOneSiteOut]:
    """Fit a model without each site, judge it there, and summarise over sites.

    Args:
        run: The execution.
        estimator: What is fitted.
        endpoint: The plan's primary one unless told.

    Raises:
        PlanError: If the plan does not allow it.
        UpdateError: If too few sites are left to fit, or to judge.
    """
    require_allowed(run, LEAVE_ONE_OUT)
    endpoint = survival_endpoint(run, endpoint)
    sites = sites_of(run)
    if len(sites) <= run.plan.sites.sites_min:
        raise UpdateError(
            f"{len(sites)} sites, and one is left out; the plan needs {run.plan.sites.sites_min} "
            "to fit.",
            do="Ask more sites.",
        )
    models: dict[str, Fitted] = {}
    reasons: dict[str, str] = {}
    for site in sites:
        others = tuple(one for one in sites if one != site)
        fold = everybody(run, LEAVE_ONE_OUT, others)
        try:
            models[site] = yield from fit(
                run, estimator, endpoint=endpoint, topic=LEAVE_ONE_OUT, fold=fold
            )
        except FedpetError as error:
            reasons[site] = f"No model without it: {error.title} {error.why}".strip()
    if not models:
        raise UpdateError(
            "No model could be fitted without one of the sites.",
            why="; ".join(f"{site}: {why}" for site, why in reasons.items()),
        )
    for site, model in models.items():
        others = model.sites or tuple(one for one in sites if one != site)
        models[site] = yield from _spread(run, model, endpoint, others)
    judged = yield from _judge_together(run, models, endpoint)
    each, refused = yield from _judge_apart(run, LEAVE_ONE_OUT, models, endpoint)
    horizons = run.plan.endpoints.horizons_months
    return LeaveOneSiteOut(
        endpoint=endpoint,
        horizons_months=horizons,
        sites=each,
        reasons={**refused, **reasons},
        performance=judged,
        c_index=summarise_concordance(each),
        observed_expected=tuple(summarise_observed_expected(each, h) for h in range(len(horizons))),
        slope=summarise_slope(each),
    )


def cross_site_matrix(
    run: Execution, estimator: Estimator = COX, *, endpoint: str | None = None
) -> Generator[Record, None, CrossSiteMatrix]:
    """Fit a model at each site alone, and judge each at every site: k x k results.

    Args:
        run: The execution.
        estimator: What is fitted. Networks share scaling and initial weights, which are sums over
            all sites; everything of a Cox model is its site's own.
        endpoint: The plan's primary one unless told.

    Raises:
        PlanError: If the plan does not allow it.
    """
    require_allowed(run, MATRIX)
    endpoint = survival_endpoint(run, endpoint)
    if estimator.kind == "cox":
        models, reasons = yield from _cox_at_each(run, columns_of(run, estimator), endpoint)
    else:
        models, reasons = yield from _network_at_each(run)
    results: dict[str, dict[str, SitePerformance]] = {}
    for trained, model in sorted(models.items()):
        everywhere = dict.fromkeys(sites_of(run), model)
        results[trained], refused = yield from _judge_apart(run, MATRIX, everywhere, endpoint)
        reasons = {**refused, **reasons}
    return CrossSiteMatrix(
        endpoint=endpoint,
        sites=sites_of(run),
        results=results,
        reasons=reasons,
        travelled={
            trained: summarise_concordance(
                {judge: found for judge, found in row.items() if judge != trained}
            )
            for trained, row in results.items()
        },
    )


def _cox_at_each(
    run: Execution, columns: tuple[str, ...], endpoint: str
) -> Generator[Record, None, tuple[dict[str, Fitted], dict[str, str]]]:
    closed = yield from inquire(
        run,
        MATRIX,
        kind="fit-cox",
        label=f"Cox models of single hospitals, {endpoint}",
        body={"endpoint": endpoint, "columns": list(columns), "select": EVERYBODY.choice()},
        release="local-model",
        sites_min=0,
    )
    models = {}
    for site, arrays in by_site(closed).items():
        used = np.concatenate([np.ones(len(columns), bool), arrays["prep.indicator"] > 0])
        models[site] = Fitted(
            kind="cox",
            columns=columns,
            endpoints=(endpoint,),
            arrays={**arrays, "cox.beta": arrays["cox.beta"][used]},
            sites=(site,),
        )
    return models, {site: why for site, why in closed.sites.items() if why != "ok"}


def _network_at_each(
    run: Execution,
) -> Generator[Record, None, tuple[dict[str, Fitted], dict[str, str]]]:
    fold, moments = yield from moments_of(run, everybody(run, MATRIX, sites_of(run)))
    prep = moments.preprocessing(run.plan.inputs.clinical)
    initial = yield from initial_network(run, fold, prep)
    return (yield from train_at(run, fold, prep, initial, sites=fold.train_sites))


def _spread(
    run: Execution, model: Fitted, endpoint: str, sites: tuple[str, ...]
) -> Generator[Record, None, Fitted]:
    """Add the distribution of a model's risks over the subjects that it was fitted to."""
    body, arrays = model.question(endpoint)
    closed = yield from inquire(
        run,
        LEAVE_ONE_OUT,
        kind="risks",
        label=f"Distribution of risks, {endpoint}",
        body={**body, "select": EVERYBODY.choice()},
        arrays=arrays,
        sites=sites,
    )
    histogram = closed.arrays["histogram"]
    share = np.cumsum(histogram) / max(histogram.sum(), 1.0)
    return replace(model, cdf={endpoint: np.concatenate([[0.0], share])})


def _judge_together(
    run: Execution, models: Mapping[str, Fitted], endpoint: str
) -> Generator[Record, None, scores.Performance]:
    question = _question(
        models, endpoint, kind="evaluate", label=f"Judging hospitals left out, {endpoint}"
    )
    closed = yield from ask(run, question.named_by_digest(f"statistics/{LEAVE_ONE_OUT}"))
    plan = run.plan
    grid = grid_of(plan.endpoints.horizons_months, plan.model.intervals_months)
    return scores.performance(closed.arrays, grid=grid)


def _judge_apart(
    run: Execution, topic: Statistic, models: Mapping[str, Fitted], endpoint: str
) -> Generator[Record, None, tuple[dict[str, SitePerformance], dict[str, str]]]:
    question = _question(
        models, endpoint, kind="site-performance", label=f"Hospitals' own results, {endpoint}"
    )
    question = replace(question, release="site-results", sites_min=0)
    closed = yield from ask(run, question.named_by_digest(f"statistics/{topic}"))
    found = {site: site_performance(arrays) for site, arrays in by_site(closed).items()}
    return found, {site: why for site, why in closed.sites.items() if why != "ok"}


def _question(models: Mapping[str, Fitted], endpoint: str, *, kind: str, label: str) -> Question:
    bodies: dict[str, dict[str, Any]] = {}
    arrays: dict[str, dict[str, Array]] = {}
    for site, model in models.items():
        body, arrays[site] = model.question(endpoint)
        bodies[site] = {**body, "select": EVERYBODY.choice()}
    return Question(
        step="",
        label=label,
        kind=kind,
        sites=tuple(sorted(models)),
        body_by_site=bodies,
        arrays_by_site=arrays,
    )
