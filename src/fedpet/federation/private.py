"""Distributed noise: every step of training is one sum of clipped gradients and noise shares.

The coordinator takes the step; sites only ever add. Under the secure sum nobody sees a single
site's gradient, so each site's share of the noise may be small; without it the shares are all
that stands between the coordinator and a site.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedpet.errors import UpdateError
from fedpet.federation.asking import Execution, Question, answered, ask
from fedpet.federation.preparation import Fold
from fedpet.federation.records import Record, RoundClosed
from fedpet.parameters import Array, Parameters

FIRST_DECAY, SECOND_DECAY, STABILITY = 0.9, 0.999, 1e-8


@dataclass(slots=True)
class AdamW:
    """The optimiser of `torch.optim.AdamW`, with its defaults, on named NumPy arrays.

    Args:
        weight_decay: Decoupled decay.

    Source:
        Loshchilov & Hutter 2019, algorithm 2.
    """

    weight_decay: float
    steps: int = 0
    first: dict[str, Array] = field(default_factory=dict)
    second: dict[str, Array] = field(default_factory=dict)

    def step(self, model: Parameters, gradient: Parameters, *, rate: float) -> dict[str, Array]:
        """Return the model after one step down a gradient."""
        self.steps += 1
        following = {}
        for name, weight in model.items():
            slope = gradient[name]
            first = self.first.get(name, 0.0) * FIRST_DECAY + (1 - FIRST_DECAY) * slope
            second = self.second.get(name, 0.0) * SECOND_DECAY + (1 - SECOND_DECAY) * slope**2
            self.first[name], self.second[name] = first, second
            mean = first / (1 - FIRST_DECAY**self.steps)
            spread = np.sqrt(second / (1 - SECOND_DECAY**self.steps)) + STABILITY
            decayed = weight.astype(np.float64) * (1 - rate * self.weight_decay)
            following[name] = (decayed - rate * mean / spread).astype(weight.dtype)
        return following


def train_with_noise(
    run: Execution, fold: Fold, body: Mapping[str, Any], arrays: Parameters, model: Parameters
) -> Generator[Record, None, dict[str, Array]]:
    """Train the network for the plan's rounds, each of them one noisy step over all sites.

    Args:
        run: The execution.
        fold: Who trains.
        body: Columns and selection.
        arrays: Scaling, as `prep.*`.
        model: The first weights.

    Returns:
        The weights after the last step.

    Raises:
        UpdateError: If no site expects a patient in a step.
    """
    plan = run.plan
    optimiser = AdamW(weight_decay=plan.training.weight_decay)
    present = dict(model)
    for number in range(1, plan.training.rounds + 1):
        closed = yield from ask(
            run,
            Question(
                step=f"{fold.path}/network/step-{number:05d}",
                label=f"Network, {fold.label}, step {number}",
                kind="gradient",
                sites=fold.train_sites,
                body={"round": number, **body},
                arrays={**arrays, **{f"model.{name}": array for name, array in present.items()}},
            ),
        )
        expected = float(closed.arrays["weight.shared"].sum())
        if not expected > 0:
            raise UpdateError("No site expects a patient in this step.")
        gradient = {name: closed.arrays[name] / expected for name in present}
        rate = plan.training.learning_rate * cosine(number, plan.training.rounds)
        present = optimiser.step(present, gradient, rate=rate)
        yield RoundClosed(
            label=f"Network, {fold.label}",
            fold=fold.index,
            folds=plan.evaluation.folds,
            round=number,
            rounds=plan.training.rounds,
            sites=len(answered(closed)),
            loss=None,
            seconds=closed.seconds,
        )
    return present


def cosine(number: int, rounds: int) -> float:
    """Return the share of the learning rate in a round: from 1 to a tenth along a cosine.

    Examples:
        >>> cosine(1, 20), round(cosine(20, 20), 6)
        (1.0, 0.1)
    """
    return float(0.1 + 0.45 * (1 + np.cos(np.pi * (number - 1) / max(1, rounds - 1))))
