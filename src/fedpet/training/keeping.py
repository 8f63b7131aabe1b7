"""What a site keeps for itself between two rounds: gradients, an optimiser's memory, weights.

All of it travels as `keep.*` between the node's own disk and the work; it never leaves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from fedpet.errors import UpdateError
from fedpet.parameters import Array, Parameters

KEEP = "keep."
NORMALISATION = (
    nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm,
    nn.modules.batchnorm._BatchNorm,
)  # fmt: skip


def kept(arrays: Parameters, what: str) -> dict[str, Array]:
    """Return what was kept under a word: `control`, `personal`, `first` or `second`."""
    prefix = f"{KEEP}{what}."
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def keeping(what: str, arrays: Parameters) -> dict[str, Array]:
    """Return arrays as what is kept under a word."""
    return {f"{KEEP}{what}.{name}": array for name, array in arrays.items()}


def personal(arrays: Parameters) -> dict[str, Array]:
    """Return a request's arrays with the weights that a site keeps in place of the global ones."""
    own = {f"model.{name}": array for name, array in kept(arrays, "personal").items()}
    return {**arrays, **own}


def normalisation_of(network: nn.Module) -> frozenset[str]:
    """Return the names of the parameters of a network's normalisation layers."""
    return frozenset(
        f"{name}.{own}" if name else own
        for name, module in network.named_modules()
        if isinstance(module, NORMALISATION)
        for own, _ in module.named_parameters(recurse=False)
    )


def remember(optimiser: torch.optim.Optimizer, network: nn.Module, arrays: Parameters) -> None:
    """Give an optimiser back what it remembered, if anything was kept.

    Raises:
        UpdateError: If what was kept does not fit the network.
    """
    first, second = kept(arrays, "first"), kept(arrays, "second")
    steps = kept(arrays, "steps")
    for name, parameter in network.named_parameters():
        if name not in first:
            continue
        if first[name].shape != tuple(parameter.shape):
            raise UpdateError("What this hospital kept of its optimiser fits another network.")
        optimiser.state[parameter] = {
            "step": torch.tensor(float(steps[name].sum())),
            "exp_avg": _like(first[name], parameter),
            "exp_avg_sq": _like(second[name], parameter),
        }


def memory_of(optimiser: torch.optim.Optimizer, network: nn.Module) -> dict[str, Array]:
    """Return what an optimiser remembers, to be kept."""
    found: dict[str, Array] = {}
    for name, parameter in network.named_parameters():
        state: Mapping[str, Tensor] = optimiser.state.get(parameter, {})
        if state:
            found[f"{KEEP}first.{name}"] = state["exp_avg"].detach().cpu().numpy().copy()
            found[f"{KEEP}second.{name}"] = state["exp_avg_sq"].detach().cpu().numpy().copy()
            found[f"{KEEP}steps.{name}"] = np.array([float(state["step"])])
    return found


def _like(array: Array, parameter: Tensor) -> Tensor:
    given = torch.from_numpy(np.array(array, np.float32))
    return torch.empty_like(parameter).copy_(given)
