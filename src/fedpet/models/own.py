"""A researcher's own network: a plain `nn.Module`, built where nothing else can be reached.

The contract, all of it:

1. `Net(image_shape, covariates, outputs)` is called with keywords: `image_shape` as (channels,
   height, width), the number of `covariates`, and `outputs`, the number of logits by endpoint.
2. `forward(images, covariates)` maps float32 [n, channels, height, width] (SUV) and [n, covariates]
   to a dictionary with [n, outputs] logits for every endpoint.
3. Parameters below `heads.<endpoint>` are averaged over the subjects whose endpoint is known, all
   others over all subjects.

The code never runs in a process that has keys, a network or another hospital's data: who asks
for such a network is given what `provided_by` says, and without it nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from fedpet import plan as plans
from fedpet.errors import RefusalError, UpdateError
from fedpet.parameters import Array, Parameters

PARAMETERS_MAX = 200_000_000
NAME = re.compile(r"[\w.]{1,200}")
RESERVED = (
    "weight.", "loss.", "prep.", "model.", "cox.", "risk.", "control.", "keep.", "member.",
)  # fmt: skip
DO = "docs/guides/your-own-network.md has the contract and a network to start from."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a network is built for.

    Args:
        image: Channels, height and width of one subject's images.
        covariates: Columns of the design matrix.
        outputs: Number of logits by endpoint.
    """

    image: tuple[int, ...]
    covariates: int
    outputs: Mapping[str, int]


Load: TypeAlias = Callable[[Parameters, int], None]
Forward: TypeAlias = Callable[[Array, Array], Parameters]
Provider: TypeAlias = Callable[[plans.Model, Shape], nn.Module]
_PROVIDER: ContextVar[Provider | None] = ContextVar("provider", default=None)


@contextmanager
def provided_by(provider: Provider) -> Iterator[None]:
    """Say where a researcher's own network comes from while the block lasts."""
    token = _PROVIDER.set(provider)
    try:
        yield
    finally:
        _PROVIDER.reset(token)


def build_own(settings: plans.Model, shape: Shape) -> nn.Module:
    """Return the plan's own network from whoever provides it.

    Raises:
        RefusalError: If nobody does: such code runs in an isolated worker only.
    """
    provider = _PROVIDER.get()
    if provider is None:
        raise RefusalError(
            "The plan's own network runs in an isolated worker only.", code="FP-5010"
        )
    return provider(settings, shape)


def execute(settings: plans.Model, shape: Shape) -> nn.Module:
    """Run the researcher's code and build its network. Call it in a confined process only.

    Raises:
        UpdateError: If there is no such class, or what it makes cannot be federated.
    """
    file, _, name = settings.code.partition(":")
    module = ModuleType("own_network")
    exec(compile(settings.source, file, "exec"), module.__dict__)  # noqa: S102  (what we are for)
    made = getattr(module, name, None)
    if not isinstance(made, type) or not issubclass(made, nn.Module):
        raise UpdateError(f"{file} has no class {name} that is an nn.Module.", do=DO)
    network = made(
        image_shape=shape.image, covariates=shape.covariates, outputs=dict(shape.outputs)
    )
    require_federable(network, shape)
    network.register_forward_hook(
        lambda _, inputs, found: require_logits(found, shape, subjects=len(inputs[0]))
    )
    return network


def require_federable(network: nn.Module, shape: Shape) -> None:
    """Refuse a network whose parameters cannot be averaged over hospitals.

    Raises:
        UpdateError: Naming what is wrong, and what to use instead.
    """
    for name, part in network.named_modules():
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.track_running_stats:
            raise UpdateError(
                f"'{name}' keeps running statistics of its subjects, which are never averaged.",
                do="Use nn.GroupNorm.",
            )
    total = 0
    for name, parameter in network.named_parameters():
        total += parameter.numel()
        if not NAME.fullmatch(name) or name.startswith(RESERVED):
            raise UpdateError(f"A parameter may not be named '{name[:60]}'.", do=DO)
        if name.startswith("heads.") and name.split(".")[1] not in shape.outputs:
            raise UpdateError(f"'{name[:60]}' is a head of no endpoint of the plan.", do=DO)
        if parameter.dtype != torch.float32:
            raise UpdateError(f"'{name[:60]}' is {parameter.dtype}, expected float32.", do=DO)
    if not 0 < total <= PARAMETERS_MAX:
        raise UpdateError(f"The network has {total} parameters; 1 to {PARAMETERS_MAX} are taken.")


def require_logits(found: object, shape: Shape, *, subjects: int) -> dict[str, Tensor]:
    """Return what a network answered if it is what was asked for.

    Args:
        found: What `forward` returned.
        shape: What the network was built for.
        subjects: Rows that were put in.

    Raises:
        UpdateError: Naming the endpoint and the shape that was expected.
    """
    if not isinstance(found, Mapping) or set(found) != set(shape.outputs):
        raise UpdateError(
            "forward must return a dictionary with the logits of "
            f"{', '.join(shape.outputs)}, and no other.",
            do=DO,
            code="FP-7013",
        )
    for name, size in shape.outputs.items():
        logits = found[name]
        expected = (subjects, size)
        if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
            shown = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise UpdateError(
                f"The logits of '{name}' are {shown}, expected {expected}.", do=DO, code="FP-7013"
            )
        if not logits.is_floating_point():
            raise UpdateError(f"The logits of '{name}' are {logits.dtype}.", do=DO, code="FP-7013")
    return dict(found)


class ElsewhereNetwork(nn.Module):
    """Stand in for a researcher's network that lives in another process.

    That process is given images and covariates, and gives logits; what is summed from them, with
    outcomes, is summed by whoever calls.

    Args:
        load: Takes weights as `model.*`, and the number of covariates.
        forward: Takes images and covariates, gives logits by endpoint.
        shape: What the network was built for.
    """

    def __init__(self, load: Load, forward: Forward, shape: Shape) -> None:
        super().__init__()
        self._load, self._forward, self._shape = load, forward, shape
        self._weights: dict[str, Tensor] = {}

    def load_state_dict(self, state_dict: Mapping[str, Any], *_: object, **__: object) -> Any:
        """Hand weights over."""
        self._weights = dict(state_dict)
        arrays = {f"model.{name}": value.numpy() for name, value in state_dict.items()}
        self._load(arrays, self._shape.covariates)
        return nn.modules.module._IncompatibleKeys([], [])

    def named_parameters(self, *_: object, **__: object) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the weights that were handed over."""
        for name, value in self._weights.items():
            yield name, nn.Parameter(value)

    def forward(self, images: Tensor, covariates: Tensor) -> dict[str, Tensor]:
        """Return the logits, checked."""
        found = self._forward(
            np.ascontiguousarray(images.numpy()), np.ascontiguousarray(covariates.numpy())
        )
        logits = {name: torch.from_numpy(array) for name, array in found.items()}
        return require_logits(logits, self._shape, subjects=len(images))
