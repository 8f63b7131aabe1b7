"""ComBat over sites in two sums, fitted on the sites and subjects of a fold only."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from fedpet.errors import DataError
from fedpet.federation.asking import Execution, Question, answered, ask, by_site
from fedpet.federation.preparation import Fold
from fedpet.federation.records import Record
from fedpet.parameters import Array, Parameters
from fedpet.survival.baseline import piecewise_hazard
from fedpet.survival.combat import Combat, confounding_p, effects_of, fit_combat

CONFOUNDED_P = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Harmonised:
    """A fitted harmonisation.

    Args:
        combat: What every site needs to harmonise its own features.
        sites: Sites behind it; one with fewer than 20 complete subjects is not among them.
        confounding_p: P-value of the primary endpoint being the same at all of them.
    """

    combat: Combat
    sites: tuple[str, ...]
    confounding_p: float


def fit_harmonisation(run: Execution, fold: Fold) -> Generator[Record, None, Harmonised]:
    """Fit ComBat on the training subjects of a fold.

    Raises:
        DataError: If hospitals differ in the primary endpoint more than chance allows, so that
            ComBat would take a part of the outcome out of the features; or if a feature or
            covariate cannot be used.
    """
    inputs = run.plan.inputs
    p_value = yield from _confounding(run, fold)
    if p_value < CONFOUNDED_P:
        raise DataError(
            f"Hospitals differ in '{run.plan.endpoints.primary}' (p = {p_value:.1g}); ComBat would "
            "take a part of the outcome out of the features.",
            do="Leave inputs.harmonise empty; compare hospitals with a site-stratified model.",
        )
    first = yield from _ask(run, fold, "combat-1", {})
    fold = replace(fold, train_sites=first[1])
    beta = effects_of(first[0], covariates=inputs.preserve)
    second = yield from _ask(run, fold, "combat-2", {"beta": beta})
    if second[1] != first[1]:
        raise DataError(
            "A hospital dropped out between the two sums of ComBat.",
            do="Resume when it is back, or leave it out of the plan's sites.",
        )
    reference = None
    if inputs.harmonise_to:
        reference = yield from _reference(run, fold, beta)
    combat = fit_combat(
        first[0], second[0], beta=beta, features=inputs.harmonise, reference=reference
    )
    return Harmonised(combat=combat, sites=first[1], confounding_p=p_value)


def _confounding(run: Execution, fold: Fold) -> Generator[Record, None, float]:
    body = {"endpoint": run.plan.endpoints.primary, "select": fold.training()}
    question = Question(
        step=f"{fold.path}/combat-events",
        label=f"Do hospitals differ in the outcome, {fold.label}",
        kind="combat-confounding",
        sites=fold.train_sites,
        body=body,
    )
    counted = yield from ask(run, question)
    hazard = piecewise_hazard(counted.arrays)
    compared = yield from ask(
        run,
        replace(
            question,
            step=f"{fold.path}/combat-expected",
            sites=answered(counted),
            arrays={"hazard": hazard},
        ),
    )
    return confounding_p(compared.arrays)


def _body(run: Execution, fold: Fold) -> dict[str, Any]:
    inputs = run.plan.inputs
    return {"columns": [*inputs.harmonise, *inputs.preserve], "select": fold.training()}


def _ask(
    run: Execution, fold: Fold, name: str, arrays: Parameters
) -> Generator[Record, None, tuple[Parameters, tuple[str, ...]]]:
    closed = yield from ask(
        run,
        Question(
            step=f"{fold.path}/{name}",
            label=f"Harmonising features, {fold.label}",
            kind="combat",
            sites=fold.train_sites,
            body=_body(run, fold),
            arrays=arrays,
        ),
    )
    return closed.arrays, answered(closed)


def _reference(run: Execution, fold: Fold, beta: Array) -> Generator[Record, None, Parameters]:
    site = run.plan.inputs.harmonise_to
    if site not in fold.train_sites:
        raise DataError(f"'{site}', to which others are moved, does not take part, {fold.label}.")
    closed = yield from ask(
        run,
        Question(
            step=f"{fold.path}/combat-reference",
            label=f"Means and spreads of {site}, {fold.label}",
            kind="combat-reference",
            sites=(site,),
            body=_body(run, fold),
            arrays={"beta": beta},
            release="site-results",
            sites_min=1,
        ),
    )
    return by_site(closed)[site]
