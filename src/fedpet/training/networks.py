"""The plan's network as a module: built, filled with weights, and its weights taken out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from fedpet.errors import UpdateError
from fedpet.models.catalogue import build
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan


def network_of(plan: Plan, *, covariates: int, image_shape: Sequence[int]) -> nn.Module:
    """Build the plan's network, without weights."""
    return build(
        plan.model,
        image_shape=image_shape,
        covariates=covariates,
        survival=plan.endpoints.survival,
        binary=plan.endpoints.binary,
    )


def load_model(network: nn.Module, arrays: Parameters) -> None:
    """Fill a network with the `model.*` arrays of a request.

    Raises:
        UpdateError: If names or shapes are not those of the plan's network.
    """
    state = {
        name.removeprefix("model."): torch.from_numpy(np.array(array, np.float32))
        for name, array in arrays.items()
        if name.startswith("model.")
    }
    try:
        lacking = set(network.load_state_dict(state, strict=False).missing_keys)
    except RuntimeError as error:
        raise UpdateError("The global model does not fit the plan's network.") from error
    # Constants that a network keeps beside its parameters are made by its constructor.
    parameters = {name for name, _ in network.named_parameters()}
    if lacking & parameters or state.keys() - parameters:
        raise UpdateError("The global model does not fit the plan's network.")


def weights_of(network: nn.Module) -> dict[str, Array]:
    """Return a copy of a network's parameters by name."""
    return {
        name: parameter.detach().numpy().copy() for name, parameter in network.named_parameters()
    }
