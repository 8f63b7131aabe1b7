"""A network that lives in a worker: here it is only a name, weights and a line to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedpet.errors import UpdateError
from fedpet.models.own import Shape, require_logits
from fedpet.node.worker.answers import require_usable
from fedpet.node.worker.process import Worker
from fedpet.node.worker.words import failure


class RemoteNetwork(nn.Module):
    """Stand in for a researcher's network where subjects are judged.

    The worker sees images and covariates of the subjects, and gives logits; what is summed from
    them, with outcomes, is summed by the node's own code.

    Args:
        worker: Where the network lives.
        shape: What it was built for.
    """

    def __init__(self, worker: Worker, shape: Shape) -> None:
        super().__init__()
        self._worker = worker
        self._shape = shape
        self._weights: dict[str, Tensor] = {}

    def load_state_dict(self, state_dict: Mapping[str, Any], *_: object, **__: object) -> Any:  # noqa: ANN401
        """Hand weights to the worker's network."""
        self._weights = dict(state_dict)
        arrays = {f"model.{name}": value.numpy() for name, value in state_dict.items()}
        self._worker.load(arrays, covariates=self._shape.covariates)
        return nn.modules.module._IncompatibleKeys([], [])

    def named_parameters(self, *_: object, **__: object) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the weights that were handed over."""
        for name, value in self._weights.items():
            yield name, nn.Parameter(value)

    def forward(self, images: Tensor, covariates: Tensor) -> dict[str, Tensor]:
        """Return the worker's logits, checked."""
        found = self._worker.forward(
            np.ascontiguousarray(images.numpy()), np.ascontiguousarray(covariates.numpy())
        )
        require_usable(found)
        logits = {name: torch.from_numpy(array) for name, array in found.items()}
        try:
            return require_logits(logits, self._shape, subjects=len(images))
        except UpdateError as error:  # its words name what the worker named
            raise failure("FP-7013") from error
