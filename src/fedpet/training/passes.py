"""One round at one site: passes over its subjects, step by step.

A step puts its subjects through the network in one part, or in several that add up to the same
gradient; where memory does not suffice for a part, parts are halved.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fedpet.errors import UpdateError
from fedpet.plan import Plan
from fedpet.training.batches import Samples, batches
from fedpet.training.losses import losses_of

log = logging.getLogger(__name__)
NO_MEMORY = ("can't allocate memory", "out of memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What is added to the gradient of every step: proximal * (w - anchor) + correction.

    Args:
        proximal: mu.
        anchor: The weights that w is held near, by parameter.
        correction: By parameter; empty for none.
    """

    proximal: float = 0.0
    anchor: Mapping[str, Tensor] = field(default_factory=dict)
    correction: Mapping[str, Tensor] = field(default_factory=dict)

    def add_to(self, network: nn.Module) -> None:
        """Add it to the gradients of a network."""
        if not self.proximal and not self.correction:
            return
        for name, parameter in network.named_parameters():
            if parameter.grad is None:
                continue
            if self.proximal:
                parameter.grad += self.proximal * (parameter.detach() - self.anchor[name])
            if self.correction:
                parameter.grad += self.correction[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What a round was.

    Args:
        losses: Sum of losses in the last pass, by endpoint.
        steps: Steps of the optimiser.
    """

    losses: Mapping[str, float]
    steps: int


def optimiser_of(network: nn.Module, plan: Plan, *, rate: float) -> torch.optim.AdamW:
    """Return an optimiser that remembers nothing yet."""
    decay = plan.training.weight_decay
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, foreach=True)


def train_round(
    network: nn.Module,
    samples: Samples,
    plan: Plan,
    *,
    optimiser: torch.optim.AdamW,
    edges: Tensor,
    generator: torch.Generator,
    pull: Pull,
) -> Passed:
    """Pass over a site's subjects as often as the plan says.

    Args:
        network: Changed in place.
        samples: The subjects.
        plan: Training settings.
        optimiser: Of the network's parameters, with the round's learning rate.
        edges: Of the plan's intervals, in days.
        generator: Source of all randomness.
        pull: What is added to every gradient.

    Raises:
        UpdateError: If a loss or a gradient is not finite, or one subject does not fit in memory.
    """
    settings = plan.training
    network.train()
    summed: dict[str, float] = {}
    steps, parts = 0, settings.accumulate
    for _ in range(settings.local_epochs):
        summed = dict.fromkeys(samples.known, 0.0)
        for batch in batches(
            samples,
            size=settings.batch_size,
            augment=settings.augment,
            generator=generator,
            ways=settings.augmentations,
        ):
            optimiser.zero_grad()
            losses, parts = gradient(network, batch, edges, parts=parts)
            if not losses:
                continue
            pull.add_to(network)
            norm = nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm_max)
            if not torch.isfinite(norm):
                raise UpdateError("A gradient is not finite at this hospital.")
            optimiser.step()
            steps += 1
            for name, each in losses.items():
                summed[name] += float(each.sum())
    return Passed(losses=summed, steps=steps)


def gradient(
    network: nn.Module, batch: Samples, edges: Tensor, *, parts: int
) -> tuple[dict[str, Tensor], int]:
    """Add the gradient of a batch's loss to a network's gradients.

    The loss is the sum over endpoints of the mean over subjects whose endpoint is known.

    Args:
        network: Its gradients are zero or None.
        batch: The subjects.
        edges: Of the plan's intervals, in days.
        parts: In how many parts they go through the network.

    Returns:
        Each subject's loss by endpoint, nothing if no endpoint of theirs is known; and in how many
        parts it was done.

    Raises:
        UpdateError: If the loss is not finite, or one subject does not fit in memory.
    """
    counts = {name: int(known.sum()) for name, known in batch.known.items()}
    if not any(counts.values()):
        return {}, parts
    while True:
        size = -(-len(batch) // parts)
        try:
            return _in_parts(network, batch, edges, counts, size=size), parts
        except (MemoryError, RuntimeError) as error:
            if not _no_memory(error):
                raise
            if size == 1:
                raise UpdateError(
                    "One subject does not fit in the memory of this hospital's machine.",
                    do="Take a smaller model.width, or a coarser inputs.spacing_mm.",
                ) from None
        parts = -(-len(batch) // (size // 2))
        network.zero_grad()
        log.warning("batch_halved: memory suffices for %d subjects at once, no more", size // 2)


def _in_parts(
    network: nn.Module, batch: Samples, edges: Tensor, counts: Mapping[str, int], *, size: int
) -> dict[str, Tensor]:
    found: list[dict[str, Tensor]] = []
    for start in range(0, len(batch), size):
        whole = size >= len(batch)
        part = batch if whole else batch.take(torch.arange(start, min(start + size, len(batch))))
        losses = losses_of(network(part.images, part.covariates), part, edges)
        terms = [each.sum() / counts[name] for name, each in losses.items() if counts[name]]
        loss = torch.stack(terms).sum()
        if not torch.isfinite(loss):
            raise UpdateError("The training loss is not finite at this hospital.")
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
        found.append({name: each.detach() for name, each in losses.items()})
    return {name: torch.cat([one[name] for one in found]) for name in found[0]}


def _no_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(word in str(error) for word in NO_MEMORY)
