"""How a site is steered by the other sites' gradients (SCAFFOLD), and what it tells of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fedpet.errors import UpdateError
from fedpet.parameters import Array, Parameters, weight_of
from fedpet.plan import Plan
from fedpet.training.batches import Samples
from fedpet.training.keeping import kept
from fedpet.training.passes import gradient
from fedpet.training.private import edges_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """A site's gradient now, the one it kept, and the mean over sites.

    Args:
        own: c_i, the gradient of the site's loss at the global model, by parameter.
        before: c_i of the last round that counted; empty if the site joins.
        correction: c - c_i of the round before, added to every step's gradient; empty if the
            site joins.
    """

    own: Mapping[str, Array]
    before: Mapping[str, Array]
    correction: Mapping[str, Tensor]

    @classmethod
    def of(cls, network: nn.Module, samples: Samples, plan: Plan, arrays: Parameters) -> Steering:
        """Compute a site's gradient at the model that a network holds.

        It is scaled down to the plan's `gradient_norm_max`, and to half of `update_norm_max`, so
        that its change is never longer than an update may be.

        Raises:
            UpdateError: If the gradient is not finite.
        """
        network.train()
        network.zero_grad()
        gradient(
            network, samples, edges_of(plan), parts=-(-len(samples) // plan.training.batch_size)
        )
        bound = min(plan.training.gradient_norm_max, plan.privacy.update_norm_max / 2)
        norm = nn.utils.clip_grad_norm_(network.parameters(), bound)
        if not torch.isfinite(norm):
            raise UpdateError("A gradient is not finite at this hospital.")
        own = {
            name: np.zeros(tuple(p.shape)) if p.grad is None else p.grad.double().numpy().copy()
            for name, p in network.named_parameters()
        }
        network.zero_grad()
        before = kept(arrays, "control")
        told = {
            n.removeprefix("control."): a for n, a in arrays.items() if n.startswith("control.")
        }
        correction: dict[str, Tensor] = {}
        if before and told:
            correction = {
                name: torch.from_numpy((told[name] - before[name]).astype(np.float32))
                for name in own
            }
        return cls(own=own, before=before, correction=correction)

    def summand(self, weights: Mapping[str, float]) -> dict[str, Array]:
        """Return the weighted change of c_i, and the site's weights if it joins."""
        found: dict[str, Array] = {
            f"control.{name}": (array - self.before.get(name, 0.0)) * weights[weight_of(name)]
            for name, array in self.own.items()
        }
        for name, weight in weights.items():
            joins = 0.0 if self.before else weight
            found[f"weight.joined.{name.removeprefix('weight.')}"] = np.array([joins])
        return found
