"""What a site does for ComBat: its sums, and its own features as if of the common scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.survival import combat
from fedpet.survival.preprocessing import combat_of, logged
from fedpet.training.selection import columns_of, select

Floats = NDArray[np.float64]
Body = Mapping[str, Any]
PREP = "prep."


def sums(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Sum the plan's features to harmonise, or what covariates leave of them at `beta`."""
    rows = select(cohort, plan, body["select"])
    features, preserved = _features(cohort, plan)
    return dict(combat.combat_sums(features[rows], preserved[rows], beta=arrays.get("beta")))


def reference(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Give both sums of this hospital alone, to which others are moved: a named release."""
    first = sums(cohort, plan, body, {})
    return {**first, **sums(cohort, plan, body, {"beta": arrays["beta"]})}


def values_of(
    cohort: Cohort, plan: Plan, body: Body, arrays: Parameters, *, log: NDArray[np.bool_]
) -> Floats:
    """Return the named columns of every subject, as logarithms where wanted, and harmonised.

    Shift and scale of each hospital are estimated here, from the subjects that fit in a fold that
    parts subjects, and from all of them, without their outcome, where the hospital is held out.

    Args:
        cohort: The site's cohort.
        plan: Names the features to harmonise.
        body: `columns` and `select`.
        arrays: Carry `prep.combat.*` if features are harmonised.
        log: Columns taken as log(1 + x), aligned with `columns`.
    """
    columns: Sequence[str] = body["columns"]
    values = logged(columns_of(cohort, plan, columns), log)
    carried = {n.removeprefix(PREP): array for n, array in arrays.items() if n.startswith(PREP)}
    fitted = combat_of(carried)
    if fitted is None:
        return values
    moved = _harmonised(cohort, plan, body, fitted)
    for index, name in enumerate(columns):
        if name in plan.inputs.harmonise:
            values[:, index] = moved[:, plan.inputs.harmonise.index(name)]
    return values


def _harmonised(cohort: Cohort, plan: Plan, body: Body, fitted: combat.Combat) -> Floats:
    features, preserved = _features(cohort, plan)
    choice = body["select"]
    if choice.get("part") == "test":
        choice = {**choice, "part": "train"}
    fits = np.zeros(len(features), bool)
    fits[select(cohort, plan, choice)] = True
    moved = features.copy()
    strata = np.array(cohort.strata)
    for site in np.unique(strata[fits]):
        rows = strata == site
        own = None
        if site != plan.inputs.harmonise_to:
            own = combat.adjustment(fitted, features[rows & fits], preserved[rows & fits])
        moved[rows] = combat.harmonise(fitted, own, features[rows], preserved[rows])
    return moved


def _features(cohort: Cohort, plan: Plan) -> tuple[Floats, Floats]:
    inputs = plan.inputs
    features, preserved = (
        logged(columns_of(cohort, plan, names), np.array([n in inputs.log for n in names], bool))
        for names in (inputs.harmonise, inputs.preserve)
    )
    return features, preserved
