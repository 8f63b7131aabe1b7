"""How a sum becomes the next global model. What a strategy cannot see, it cannot take.

What a strategy remembers from round to round (`Server.state`) follows from the sums before; a run
that is resumed takes it from its journal, bit for bit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedpet import plan as plans
from fedpet.errors import PlanError, UpdateError
from fedpet.parameters import Array, Parameters, weight_of

Floats = NDArray[np.float64]
STEPS = "weight.steps"
JOINED = "weight.joined."


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the coordinator stands between two rounds.

    Args:
        model: The global model.
        state: What the strategy remembers, as `<word>.<parameter>`; empty at the start.
    """

    model: Mapping[str, Array]
    state: Mapping[str, Array] = field(default_factory=dict)


class Strategy(Protocol):
    """The next model from the present one and a sum over sites."""

    def advance(self, server: Server, summed: Parameters) -> Server:
        """Return where the coordinator stands after a round.

        Args:
            server: Where it stood.
            summed: `sum(w_i * change_i)` for every parameter, and `weight.<group>` beside them.
        """
        ...


@dataclass(frozen=True, slots=True)
class FedAvg:
    """Add the weighted mean of the sites' changes to the global model.

    Every head is averaged over the subjects whose endpoint is known; a head that no subject
    informed in this round stays as it is. FedProx, FedBN and Ditto are this at the coordinator.

    Args:
        server_rate: Step along the mean; 1.0 is plain federated averaging.

    Source:
        McMahan et al. 2017, algorithm 1; server rate from Reddi et al. 2021, algorithm 1.
    """

    server_rate: float = 1.0

    def next_model(self, model: Parameters, summed: Parameters) -> dict[str, Array]:
        """Return `model + server_rate * sum(w_i * change_i) / sum(w_i)`, parameter by parameter."""
        steps = {name: self.server_rate * mean for name, mean in means(model, summed).items()}
        return moved(model, steps)

    def advance(self, server: Server, summed: Parameters) -> Server:
        """Return the next model; nothing is remembered."""
        return Server(model=self.next_model(server.model, summed))


@dataclass(frozen=True, slots=True)
class FedAvgM:
    """Let the mean change gather speed: v <- momentum * v + mean; model <- model + rate * v.

    Args:
        server_rate: Step along v.
        momentum: Share of v that is kept; 0 is FedAvg.

    Source:
        Hsu, Qi, Brown 2019, *Measuring the effects of non-identical data distribution*.
    """

    server_rate: float = 1.0
    momentum: float = 0.9

    def advance(self, server: Server, summed: Parameters) -> Server:
        """Return the next model, and v as `speed.*`."""
        speed = dict(server.state)
        steps: dict[str, Floats] = {}
        for name, mean in means(server.model, summed).items():
            speed[f"speed.{name}"] = self.momentum * speed.get(f"speed.{name}", 0.0) + mean
            steps[name] = self.server_rate * speed[f"speed.{name}"]
        return Server(model=moved(server.model, steps), state=speed)


@dataclass(frozen=True, slots=True)
class FedAdam:
    """Scale every weight's step by how much the mean change of that weight has varied.

    m <- b1 m + (1 - b1) mean;  v <- b2 v + (1 - b2) mean^2  (Yogi: v - (1 - b2) mean^2
    sign(v - mean^2));  model <- model + rate * m / (sqrt(v) + adaptivity), from v = adaptivity^2.

    Args:
        server_rate: Length of a step, roughly, of every weight.
        momentum: b1.
        second_moment: b2.
        adaptivity: Guards small v.
        yogi: Whether v moves by steps that do not depend on how far it has to go.

    Source:
        Reddi et al. 2021, *Adaptive federated optimization*, algorithm 2.
    """

    server_rate: float = 0.01
    momentum: float = 0.9
    second_moment: float = 0.99
    adaptivity: float = 1e-3
    yogi: bool = False

    def advance(self, server: Server, summed: Parameters) -> Server:
        """Return the next model, m as `first.*` and v as `second.*`."""
        state = dict(server.state)
        steps: dict[str, Floats] = {}
        for name, mean in means(server.model, summed).items():
            first: Floats = self.momentum * state.get(f"first.{name}", 0.0) + (
                (1 - self.momentum) * mean
            )
            before = np.asarray(state.get(f"second.{name}", self.adaptivity**2))
            gap = before - mean**2
            second = before - (1 - self.second_moment) * (
                mean**2 * np.sign(gap) if self.yogi else gap
            )
            state[f"first.{name}"], state[f"second.{name}"] = first, second
            steps[name] = self.server_rate * first / (np.sqrt(second) + self.adaptivity)
        return Server(model=moved(server.model, steps), state=state)


@dataclass(frozen=True, slots=True)
class FedNova:
    """Average what sites ask for in one step, and go as many steps as they took on average.

    A site that took more steps pulls no harder for it. Sites send `w_i * change_i / steps_i`, and
    `weight.steps`, which is `w_i * steps_i`.

    Args:
        server_rate: Step along the result.

    Source:
        Wang et al. 2020, *Tackling the objective inconsistency problem*, equation 6.
    """

    server_rate: float = 1.0

    def advance(self, server: Server, summed: Parameters) -> Server:
        """Return `model + server_rate * mean steps * mean change per step`."""
        per_step = means(server.model, summed)
        steps = float(summed[STEPS].sum() / summed["weight.shared"].sum())
        go = {name: self.server_rate * steps * mean for name, mean in per_step.items()}
        return Server(model=moved(server.model, go))


@dataclass(frozen=True, slots=True)
class Scaffold:
    """FedAvg, and beside it the mean of the sites' gradients, by which sites are steered.

    Every site keeps its own gradient c_i at the global model; in a step it adds c - c_i to the
    gradient, where c is the weighted mean of the c_i of all sites that have taken part. Sites
    send the weighted change of c_i, and their weight once, when they join.

    Args:
        server_rate: Step along the mean.

    Source:
        Karimireddy et al. 2020, algorithm 1, option I for c_i, which holds for any optimiser.
    """

    server_rate: float = 1.0

    def advance(self, server: Server, summed: Parameters) -> Server:
        """Return the next model, c as `control.*`, and the sums that it is made of."""
        state = dict(server.state)
        for name, array in summed.items():
            if name.startswith(JOINED):
                state[name] = state.get(name, 0.0) + array
        for name in server.model:
            total = state.get(f"sum.{name}", 0.0) + summed[f"control.{name}"]
            weight = float(np.sum(state[JOINED + weight_of(name).removeprefix("weight.")]))
            state[f"sum.{name}"] = total
            state[f"control.{name}"] = total / weight if weight > 0 else np.zeros_like(total)
        model = FedAvg(server_rate=self.server_rate).next_model(server.model, summed)
        return Server(model=model, state=state)


def told_to_sites(server: Server) -> dict[str, Array]:
    """Return what sites are told besides the model: `control.*`."""
    return {n: array for n, array in server.state.items() if n.startswith("control.")}


def means(model: Parameters, summed: Parameters) -> dict[str, Floats]:
    """Return the weighted mean change of every parameter that a subject informed.

    Raises:
        UpdateError: If nobody informed anything.
    """
    if not summed["weight.shared"].sum() > 0:
        raise UpdateError("No site sent an update with a positive weight in this round.")
    found: dict[str, Floats] = {}
    for name in model:
        weight = float(summed[weight_of(name)].sum())
        if weight > 0:
            found[name] = summed[name] / weight
    return found


def moved(model: Parameters, steps: Mapping[str, Floats]) -> dict[str, Array]:
    """Return a model after steps; a parameter without one stays as it is."""
    return {
        name: (array + steps[name]).astype(array.dtype) if name in steps else array
        for name, array in model.items()
    }


def strategy_of(settings: plans.Strategy) -> Strategy:
    """Return the strategy that a plan names.

    Raises:
        PlanError: If there is no such strategy.
    """
    rate, momentum = settings.server_rate, settings.momentum
    if settings.name in ("fedavg", "fedprox", "fedbn", "ditto"):
        return FedAvg(server_rate=rate)
    if settings.name == "fedavgm":
        return FedAvgM(server_rate=rate, momentum=momentum)
    if settings.name in ("fedadam", "fedyogi"):
        return FedAdam(
            server_rate=rate,
            momentum=momentum,
            second_moment=settings.second_moment,
            adaptivity=settings.adaptivity,
            yogi=settings.name == "fedyogi",
        )
    if settings.name == "fednova":
        return FedNova(server_rate=rate)
    if settings.name == "scaffold":
        return Scaffold(server_rate=rate)
    raise PlanError(f"Unknown strategy '{settings.name}'; see docs/plan.md, strategy.name.")


def sites_of_round(
    sites: tuple[str, ...], *, share: float, least: int, seed: int, step: str
) -> tuple[str, ...]:
    """Draw the sites that train in a round; the same for the same seed and step.

    Args:
        sites: All that could.
        share: How many of them, from 0 to 1, rounded up.
        least: Never fewer than this.
        seed: The plan's.
        step: Name of the round.

    Examples:
        >>> sites_of_round(("a", "b", "c"), share=0.1, least=3, seed=1, step="round-001")
        ('a', 'b', 'c')
    """
    count = min(len(sites), max(least, math.ceil(share * len(sites) - 1e-9)))
    drawn = sorted(sites, key=lambda s: hashlib.sha256(f"{seed}/{step}/{s}".encode()).digest())
    return tuple(sorted(drawn[:count]))
