"""How a sum becomes the next global model. What a strategy cannot see, it cannot take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fedpet import plan as plans
from fedpet.errors import PlanError, UpdateError
from fedpet.parameters import Array, Parameters, weight_of


class Strategy(Protocol):
    """The next model from the present one and a sum over sites."""

    def next_model(self, model: Parameters, summed: Parameters) -> dict[str, Array]:
        """Return the next global model.

        Args:
            model: The present global model.
            summed: `sum(w_i * change_i)` for every parameter, and `weight.<group>` beside them.
        """
        ...


@dataclass(frozen=True, slots=True)
class FedAvg:
    """Add the subject-weighted mean of the sites' changes to the global model.

    Every head is averaged over the subjects whose endpoint is known; a head that no subject
    informed in this round stays as it is.

    Args:
        server_rate: Step along the mean; 1.0 is plain federated averaging.

    Source:
        McMahan et al. 2017, algorithm 1; server rate from Reddi et al. 2021, algorithm 1.
    """

    server_rate: float = 1.0

    def next_model(self, model: Parameters, summed: Parameters) -> dict[str, Array]:
        """Return `model + server_rate * sum(w_i * change_i) / sum(w_i)`, parameter by parameter."""
        if not summed["weight.shared"].sum() > 0:
            raise UpdateError("No site sent an update with a positive weight in this round.")
        following = {}
        for name, array in model.items():
            weight = float(summed[weight_of(name)].sum())
            step = self.server_rate * summed[name] / weight if weight > 0 else 0.0
            following[name] = (array + step).astype(array.dtype)
        return following


def strategy_of(settings: plans.Strategy) -> Strategy:
    """Return the strategy that a plan names.

    Raises:
        PlanError: If there is no such strategy.
    """
    if settings.name == "fedavg":
        return FedAvg(server_rate=settings.server_rate)
    raise PlanError(f"Unknown strategy '{settings.name}'; known: fedavg.")
