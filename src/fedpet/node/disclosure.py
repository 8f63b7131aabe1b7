"""What an answer must be before it may leave: bounded, finite, clipped."""

from __future__ import annotations

import numpy as np

from fedpet.errors import UpdateError
from fedpet.federation.messages import Request
from fedpet.node.policy import Policy
from fedpet.parameters import Array, Parameters, require_finite, weight_of
from fedpet.plan import Plan
from fedpet.privacy.clipping import clip_update

ANSWER_VALUES_MAX = 50_000_000


def released(arrays: Parameters, *, request: Request, plan: Plan, policy: Policy) -> Parameters:
    """Return what may leave of what the work gave.

    Args:
        arrays: What the work gave.
        request: What was asked.
        plan: The approved plan.
        policy: The hospital's policy; the strictest of both holds.

    Raises:
        UpdateError: If the answer is too large, or not finite.
    """
    if sum(array.size for array in arrays.values()) > ANSWER_VALUES_MAX:
        raise UpdateError(f"The answer holds more than {ANSWER_VALUES_MAX} values.")
    require_finite(arrays, where="The answer")
    if request.kind == "train" and request.body.get("release") is None:
        norm_max = min(policy.update_norm_max, plan.privacy.update_norm_max)
        arrays, _ = clip_update(arrays, norm_max=norm_max)
        require_short_control(arrays, norm_max=norm_max)
    if request.kind == "describe-site":
        return _large_cells(arrays, least=policy.cell_min)
    return arrays


def require_short_control(arrays: Parameters, *, norm_max: float) -> None:
    """Refuse a change of control variates that is longer than an update may be.

    Training bounds it (`training.steering`); to scale it here would part it from what is kept.

    Raises:
        UpdateError: If it is longer all the same.
    """
    square = 0.0
    for name, array in arrays.items():
        if name.startswith("control."):
            weight = float(arrays[weight_of(name)].sum())
            square += float(np.square(array, dtype=np.float64).sum()) / max(weight, 1.0) ** 2
    if square > (norm_max * 1.001) ** 2:
        raise UpdateError("The change of control variates is longer than an update may be.")


def _large_cells(arrays: Parameters, *, least: int) -> dict[str, Array]:
    """Return a table of one hospital, with -1 for counts below the smallest that is told."""
    return {
        name: np.where((array > 0) & (array < least), -1.0, array)
        if name.startswith("count.")
        else array
        for name, array in arrays.items()
    }
