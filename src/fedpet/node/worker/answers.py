"""What a worker's answer must look like; its author is code that nobody here trusts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.models.own import NAME, PARAMETERS_MAX, RESERVED
from fedpet.node.worker.words import failure
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.training.contribution import site_weights
from fedpet.training.keeping import KEEP
from fedpet.training.selection import select

VALUE_MAX = 1e9
KEPT_COPIES_MAX = 4  # of the model: control variates, an optimiser's memory, weights


def require_usable(arrays: Parameters) -> None:
    """Refuse values that are not finite, or beyond what any sum could carry.

    Raises:
        UpdateError: FP-7014.
    """
    for array in arrays.values():
        if array.dtype.kind not in "fiu" or not (np.abs(array, dtype=np.float64) < VALUE_MAX).all():
            raise failure("FP-7014")


def require_initial(arrays: Parameters) -> None:
    """Refuse first weights that are none: names, number and size of the values are checked.

    Raises:
        UpdateError: FP-7013 or FP-7014.
    """
    weights = {name: array for name, array in arrays.items() if name != "weight.shared"}
    named = all(NAME.fullmatch(n) and not n.startswith(RESERVED) for n in weights)
    size = sum(array.size for array in weights.values())
    alone = "weight.shared" in arrays and np.array_equal(arrays["weight.shared"], np.ones(1))
    if not (weights and named and alone and size <= PARAMETERS_MAX):
        raise failure("FP-7013")
    require_usable(arrays)


def require_update(
    found: Parameters,
    *,
    cohort: Cohort,
    plan: Plan,
    body: Mapping[str, Any],
    asked: Parameters,
) -> None:
    """Refuse an update with other arrays than the model has, or other weights than are true here.

    Args:
        found: The worker's answer.
        cohort: The cohort; subjects are counted again.
        plan: The plan.
        body: Of the request.
        asked: Arrays of the request, the model as `model.*`.

    Raises:
        UpdateError: FP-7013 or FP-7014.
    """
    model = {
        name.removeprefix("model."): array.shape
        for name, array in asked.items()
        if name.startswith("model.")
    }
    weights = _weights(cohort, plan, body)
    losses = {name.replace("weight.", "loss.") for name in weights} - {"loss.shared"}
    expected = model | dict.fromkeys(weights, (1,)) | dict.fromkeys(losses, (1,))
    if "repeat" not in body:
        expected |= _beside(plan, model, weights)
    kept = sum(array.size for name, array in found.items() if name.startswith(KEEP))
    leaving = {name: array.shape for name, array in found.items() if not name.startswith(KEEP)}
    if leaving != expected or kept > KEPT_COPIES_MAX * sum(map(math.prod, model.values())):
        raise failure("FP-7013")
    if any(float(found[name][0]) != count for name, count in weights.items()):
        raise failure("FP-7013")
    require_usable(found)


def _beside(
    plan: Plan, model: Mapping[str, tuple[int, ...]], weights: Mapping[str, float]
) -> dict[str, tuple[int, ...]]:
    """Return what a strategy's update holds besides changes, weights and losses."""
    if plan.strategy.name == "fednova":
        return {"weight.steps": (1,)}
    if plan.strategy.name != "scaffold":
        return {}
    joined = {name.replace("weight.", "weight.joined."): (1,) for name in weights}
    return joined | {f"control.{name}": shape for name, shape in model.items()}


def _weights(cohort: Cohort, plan: Plan, body: Mapping[str, Any]) -> dict[str, float]:
    rows = select(cohort, plan, body["select"])
    if len(rows) == 0:
        raise UpdateError("No subject is selected for training at this hospital.")
    return site_weights(cohort, plan, body, rows)
