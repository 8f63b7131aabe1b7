"""What a network is trained for: each subject's loss on each endpoint, none where unknown."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from fedpet.survival.likelihoods import logistic_hazard_loss
from fedpet.training.batches import Samples


def losses_of(logits: Mapping[str, Tensor], samples: Samples, edges: Tensor) -> dict[str, Tensor]:
    """Return each subject's loss by endpoint, [n]; 0 where the endpoint is unknown."""
    losses = {}
    for name, output in logits.items():
        if name in samples.times:
            each = logistic_hazard_loss(output, samples.times[name], samples.events[name], edges)
        else:
            each = functional.binary_cross_entropy_with_logits(
                output[:, 0], samples.events[name].to(output.dtype), reduction="none"
            )
        losses[name] = torch.where(samples.known[name], each, torch.zeros_like(each))
    return losses
