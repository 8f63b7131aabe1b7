"""Two arms in every run: the exact Cox model, and the network. Both see sums only."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import UpdateError
from fedpet.federation.acceptance import Guard
from fedpet.federation.asking import Execution, Question, answered, ask, by_site
from fedpet.federation.newton_walk import DropoutError, climb
from fedpet.federation.preparation import Fold
from fedpet.federation.private import train_with_noise
from fedpet.federation.records import Record
from fedpet.federation.rounds import train_rounds
from fedpet.federation.strategies import FedAvg
from fedpet.parameters import Array
from fedpet.plan import PERSONAL, Plan
from fedpet.survival import cox
from fedpet.survival.baseline import piecewise_hazard
from fedpet.survival.newton import CoxFit
from fedpet.survival.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A model as it travels to where it is judged.

    Args:
        kind: `cox`, `network`, or `ensemble` of networks.
        columns: Covariates that it reads, before preprocessing.
        endpoints: What it predicts.
        arrays: `prep.*`, and `cox.*`, `model.*` or `member.<number>.model.*`.
        sites: For a Cox model, the sites whose subjects it was fitted on.
        cdf: Distribution function of its risks over the training subjects, by endpoint, at
            `DISTRIBUTION_BINS` + 1 equally spaced risks; maps a risk to the share below it.
        fit: Name of the fit that a part of the model was kept at sites in; empty for none.
        kept: The round that each such site kept its part of.
    """

    kind: str
    columns: tuple[str, ...]
    endpoints: tuple[str, ...]
    arrays: Mapping[str, Array]
    sites: tuple[str, ...] = ()
    cdf: Mapping[str, Array] = field(default_factory=dict)
    fit: str = ""
    kept: Mapping[str, int] = field(default_factory=dict)

    def kept_at(self, site: str) -> dict[str, Any]:
        """Return what a question says of the part of the model that a site keeps."""
        if site not in self.kept:
            return {}
        return {"fit": self.fit, "kept": self.kept[site]}

    def prep(self) -> Preprocessing:
        """Return the scaling and imputation that the model carries."""
        arrays = {
            name.removeprefix("prep."): array
            for name, array in self.arrays.items()
            if name.startswith("prep.")
        }
        return Preprocessing.from_arrays(arrays, columns=self.columns)

    def with_cdf(self, cdf: Mapping[str, Array]) -> Fitted:
        """Return the model with a distribution of risks."""
        return replace(self, cdf=cdf)

    def question(self, endpoint: str) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return body and arrays of a question about this model."""
        body = {"model": self.kind, "columns": list(self.columns), "endpoint": endpoint}
        arrays = dict(self.arrays)
        if endpoint in self.cdf:
            arrays["risk.cdf"] = self.cdf[endpoint]
        return body, arrays


def fit_cox(
    run: Execution, fold: Fold, prep: Preprocessing, *, arm: str, endpoint: str, site: str | None
) -> Generator[Record, None, tuple[Fitted, CoxFit]]:
    """Fit the site-stratified ridge Cox model by Newton steps on sums, then its baseline.

    A site that drops out between two steps is left out and the fit begins again without it.

    Args:
        run: The execution.
        fold: Who fits.
        prep: Scaling and imputation of the covariates.
        arm: Name of the arm, for the steps' names.
        endpoint: The survival endpoint.
        site: A single pooled site to fit on instead, or None.
    """
    sites = fold.train_sites if site is None else (site,)
    select = fold.training(members=None if site is None else fold.train_sites)
    arrays = _prefixed("prep.", prep.to_arrays())
    body = {
        "endpoint": endpoint,
        "columns": list(prep.columns),
        "select": select,
    }
    sites_min = 1 if site is not None else None
    while True:
        path = f"{fold.path}/{arm}/{endpoint}/{len(sites)}-sites"
        question = Question(
            step=path,
            label=f"Cox model for {endpoint}, {fold.label}",
            kind="cox",
            sites=sites,
            body=body,
            arrays=arrays,
            sites_min=sites_min,
        )
        try:
            fit = yield from climb(
                partial(_evaluate, run, question), covariates=prep.names, ridge=run.plan.cox.ridge
            )
            break
        except DropoutError as changed:
            sites = changed.sites
    model = {**arrays, "cox.beta": fit.params}
    summed = yield from ask(
        run,
        Question(
            step=f"{path}/baseline",
            label=f"Baseline hazard for {endpoint}, {fold.label}",
            kind="exposure",
            sites=sites,
            body={"model": "cox", **body},
            arrays=model,
            sites_min=sites_min,
        ),
    )
    hazard = piecewise_hazard(summed.arrays)
    fitted = Fitted(
        kind="cox",
        columns=prep.columns,
        endpoints=(endpoint,),
        arrays={**model, "cox.hazard": np.asarray(hazard)},
        sites=sites,
    )
    return fitted, fit


def _evaluate(
    run: Execution, question: Question, number: int, beta: NDArray[np.float64]
) -> Generator[Record, None, cox.CoxSums]:
    """Ask for the sums at one beta.

    Raises:
        DropoutError: If a site is no longer among those that answer.
    """
    asked = replace(
        question,
        step=f"{question.step}/newton-{number:02d}",
        arrays={**question.arrays, "beta": beta},
    )
    closed = yield from ask(run, asked)
    if answered(closed) != question.sites:
        raise DropoutError(answered(closed))
    return cox.from_arrays(closed.arrays)


def initial_network(
    run: Execution, fold: Fold, prep: Preprocessing
) -> Generator[Record, None, dict[str, Array]]:
    """Return the initial weights: every site makes the same ones from the plan's seed."""
    closed = yield from ask(
        run,
        Question(
            step=f"{fold.path}/network/initial",
            label=f"Initial network, {fold.label}",
            kind="initialise",
            sites=fold.train_sites,
            body={"columns": list(prep.columns), "select": fold.training()},
            arrays=_prefixed("prep.", prep.to_arrays()),
        ),
    )
    weight = closed.arrays["weight.shared"].sum()
    return {
        name: (array / weight).astype(np.float32)
        for name, array in closed.arrays.items()
        if not name.startswith("weight.")
    }


def train_federated(
    run: Execution,
    fold: Fold,
    prep: Preprocessing,
    initial: Mapping[str, Array],
    *,
    subjects: int,
    guard: Guard | None = None,
) -> Generator[Record, None, tuple[Fitted, list[float]]]:
    """Train the network for the plan's rounds; each round is one sum over sites.

    With distributed noise every round is one step, and no loss is told.

    Args:
        run: The execution.
        fold: Who trains.
        prep: Scaling and imputation of the covariates.
        initial: Weights to begin with.
        subjects: Number of training subjects at all sites of the fold.
        guard: Has candidates judged, and takes back those that got worse; None where the plan
            wants none of it.

    Returns:
        The model after the last round, and the training loss of each round.
    """
    plan = run.plan
    if plan.privacy.differential_privacy == "distributed":
        body = {"columns": list(prep.columns), "select": fold.training()}
        scaling = _prefixed("prep.", prep.to_arrays())
        noisy = yield from train_with_noise(run, fold, body, scaling, initial)
        return _network(plan, prep, noisy), []
    trained = yield from train_rounds(
        run,
        fold,
        prep.columns,
        _prefixed("prep.", prep.to_arrays()),
        initial,
        subjects=subjects,
        guard=guard,
    )
    network = _network(plan, prep, trained.model)
    if plan.strategy.name in PERSONAL:
        network = replace(network, fit=fold.path, kept=trained.kept)
    return network, trained.losses


def networks_of(network: Fitted, plan: Plan) -> tuple[Fitted, Fitted | None]:
    """Part what a site keeps beside the global model (Ditto) from the global model.

    What it keeps of the global model (FedBN) stays a part of it.
    """
    if plan.strategy.name != "ditto":
        return network, None
    return replace(network, fit="", kept={}), network


def ensemble_of(members: Mapping[str, Fitted]) -> Fitted:
    """Return the model that predicts the mean of what models trained alone predict."""
    arrays: dict[str, Array] = {}
    for number, site in enumerate(sorted(members)):
        for name, array in members[site].arrays.items():
            inside = name.startswith("model.")
            arrays[f"member.{number:04d}.{name}" if inside else name] = array
    first = members[min(members)]
    return replace(first, kind="ensemble", arrays=arrays, cdf={})


def train_alone(
    run: Execution, fold: Fold, prep: Preprocessing, initial: Mapping[str, Array]
) -> Generator[Record, None, dict[str, Fitted]]:
    """Train the same network at single sites, without federation, for comparison.

    Every training site trains alone if the plan compares with `local` or `ensemble`; the pooled
    site trains on
    everybody if the plan compares with `pooled` and pooling is allowed. A model trained at one
    site is a named release, which that site's policy allows or refuses.

    Returns:
        The models by site; a site that refused is not among them.
    """
    plan = run.plan
    sites: tuple[str, ...] = ()
    if {"local", "ensemble"} & set(plan.evaluation.baselines):
        sites = fold.train_sites
    if "pooled" in plan.evaluation.baselines and run.pooled is not None:
        sites = (run.pooled, *sites)
    if not sites:
        return {}
    models, _ = yield from train_at(run, fold, prep, initial, sites=sites)
    return models


def train_at(
    run: Execution,
    fold: Fold,
    prep: Preprocessing,
    initial: Mapping[str, Array],
    *,
    sites: tuple[str, ...],
) -> Generator[Record, None, tuple[dict[str, Fitted], dict[str, str]]]:
    """Train the same network at each of some sites alone: the release `local-model`.

    Returns:
        The models by site, and why a site has none.
    """
    plan = run.plan
    body = {
        "round": 1,
        "repeat": plan.training.rounds,
        "columns": list(prep.columns),
        "select": fold.training(),
    }
    pooled = {"select": fold.training(members=fold.train_sites)}
    closed = yield from ask(
        run,
        Question(
            step=f"{fold.path}/network/alone",
            label=f"Pooled and local-only networks, {fold.label}",
            kind="train",
            sites=sites,
            body=body,
            body_by_site={} if run.pooled is None else {run.pooled: pooled},
            arrays={**_prefixed("prep.", prep.to_arrays()), **_prefixed("model.", initial)},
            release="local-model",
            sites_min=0,
        ),
    )
    models = {
        site: _network(plan, prep, FedAvg().next_model(initial, summand))
        for site, summand in by_site(closed).items()
    }
    return models, {site: why for site, why in closed.sites.items() if why != "ok"}


def with_risks(
    run: Execution, fold: Fold, fitted: Fitted, *, arm: str, site: str | None = None
) -> Generator[Record, None, Fitted]:
    """Add the distribution of a model's risks over its training subjects, per endpoint.

    Returns:
        The model with `cdf`, values from 0 to 1, for each survival endpoint it predicts.
    """
    sites = fold.train_sites if site is None else (site,)
    members = fold.train_sites if site is not None else None
    cdf = dict(fitted.cdf)
    for endpoint in run.plan.endpoints.survival:
        if endpoint not in fitted.endpoints:
            continue
        body, arrays = fitted.question(endpoint)
        closed = yield from ask(
            run,
            Question(
                step=f"{fold.path}/{arm}/{endpoint}/risks",
                label=f"Distribution of risks, {fold.label}",
                kind="risks",
                sites=sites,
                body={**body, "select": fold.training(members=members)},
                body_by_site={site: fitted.kept_at(site) for site in sites if site in fitted.kept},
                arrays=arrays,
                sites_min=None if site is None else 1,
            ),
        )
        histogram = closed.arrays["histogram"]
        if not histogram.sum() > 0:
            raise UpdateError(f"No training subject has a risk for {endpoint}, {fold.label}.")
        cdf[endpoint] = np.concatenate([[0.0], np.cumsum(histogram) / histogram.sum()])
    return replace(fitted, cdf=cdf)


def _network(plan: Plan, prep: Preprocessing, model: Mapping[str, Array]) -> Fitted:
    return Fitted(
        kind="network",
        columns=prep.columns,
        endpoints=(*plan.endpoints.survival, *plan.endpoints.binary),
        arrays={**_prefixed("prep.", prep.to_arrays()), **_prefixed("model.", model)},
    )


def _prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{prefix}{name}": array for name, array in arrays.items()}
