"""Bound what one site can add to a sum."""

from __future__ import annotations

import math

import numpy as np

from fedpet.errors import UpdateError
from fedpet.parameters import Array, Parameters, require_finite, weight_of

BESIDE = ("weight.", "loss.", "control.")


def clip_update(summand: Parameters, *, norm_max: float) -> tuple[dict[str, Array], float]:
    """Scale a weighted update down so that the change it asks for has at most this L2 norm.

    Args:
        summand: `weight * change` for every model parameter, with the weights beside them as
            `weight.<group>` (see `fedpet.parameters.weight_of`) and losses as `loss.<group>`;
            changes of control variates as `control.<parameter>`.
        norm_max: Largest L2 norm of the change over all parameters together.

    Returns:
        The summand, its changes scaled, its weights and losses untouched; and the norm that the
        change had before.

    Raises:
        UpdateError: If a value is not finite or a weight is negative.

    Source:
        McMahan et al. 2018, *Learning differentially private recurrent language models*, flat
        clipping.

    Examples:
        >>> clipped, norm = clip_update(
        ...     {"w": np.array([6.0, 8.0]), "weight.shared": np.array([2.0])}, norm_max=2.5)
        >>> clipped["w"].tolist(), norm
        ([3.0, 4.0], 5.0)
    """
    require_finite(summand, where="The site's update")
    changes = [name for name in summand if not name.startswith(BESIDE)]
    square = 0.0
    for name in changes:
        weight = float(summand[weight_of(name)].sum())
        if weight < 0:
            raise UpdateError(f"The site's update: '{weight_of(name)}' is negative.")
        if weight > 0:
            square += float(np.square(summand[name], dtype=np.float64).sum()) / weight**2
    norm = math.sqrt(square)
    if norm <= norm_max:
        return dict(summand), norm
    scale = norm_max / norm
    return {
        name: (array * np.asarray(scale, array.dtype) if name in set(changes) else array)
        for name, array in summand.items()
    }, norm
