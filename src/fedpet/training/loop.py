"""One site, one round: from the global model to the change that this site asks for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.models.catalogue import initialise
from fedpet.parameters import Array, Parameters, weight_of
from fedpet.plan import Plan
from fedpet.training.batches import Samples, samples_of
from fedpet.training.contribution import site_weights
from fedpet.training.keeping import (
    keeping,
    memory_of,
    normalisation_of,
    personal,
    remember,
)
from fedpet.training.losses import losses_of
from fedpet.training.networks import load_model, network_of, weights_of
from fedpet.training.passes import Passed, Pull, optimiser_of, train_round
from fedpet.training.private import edges_of, private_round
from fedpet.training.selection import select
from fedpet.training.statistics import design, preprocessing
from fedpet.training.steering import Steering

Body = Mapping[str, Any]


def initial(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Return the initial weights, which depend on the plan's seed and the design's size only.

    A researcher's own network keeps the weights that its constructor drew.
    """
    torch.manual_seed(plan.seed)
    network = network_of(
        plan,
        covariates=len(preprocessing(body, arrays).names),
        image_shape=cohort.mips.shape[1:],
    )
    if not plan.model.code:
        initialise(network, seed=plan.seed, survival=plan.endpoints.survival)
    return {**weights_of(network), "weight.shared": np.ones(1)}


def train(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Train for one round, or for `repeat` rounds in a row, on the selected subjects.

    A round depends on nothing but the request, and on what the site kept of the round before if
    the plan has it keep anything. With `repeat` the site trains alone, by no strategy.

    Args:
        cohort: The site's cohort.
        plan: Model, training and strategy.
        body: `round` (for the learning rate), `columns`, `select`, maybe `repeat`.
        arrays: `prep.*`, and the global model as `model.*`; for `scaffold` the mean gradient as
            `control.*`; what the site kept as `keep.*`.

    Returns:
        For every parameter its change times its weight (`fednova`: for one step);
        `weight.shared` and `weight.<endpoint>`; `loss.<endpoint>`, the mean loss in the last pass
        times its weight; `keep.*`, which stays at the site.

    Raises:
        UpdateError: If the selection is empty, the plan has no such round, or a loss or gradient
            is not finite.
        DataError: If an image is not finite.
    """
    rounds = _rounds(plan, body)
    rows = select(cohort, plan, body["select"])
    if len(rows) == 0:
        raise UpdateError("No subject is selected for training at this hospital.")
    matrix = design(cohort, plan, body, arrays)
    samples = samples_of(cohort, plan, rows, matrix)
    network = network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    if plan.privacy.differential_privacy != "none":
        load_model(network, arrays)
        return _private(network, samples, plan, rounds)
    site = _Site(cohort=cohort, plan=plan, body=body, samples=samples, network=network)
    weights = site_weights(cohort, plan, body, rows)
    return site.alone(arrays, rounds, weights) if "repeat" in body else site.round(arrays, weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """Everything that a site's training needs, whatever the strategy."""

    cohort: Cohort
    plan: Plan
    body: Body
    samples: Samples
    network: nn.Module

    def alone(
        self, arrays: Parameters, rounds: range, weights: Mapping[str, float]
    ) -> dict[str, Array]:
        """Train for some rounds without anybody."""
        load_model(self.network, arrays)
        before = weights_of(self.network)
        passed, optimiser = None, optimiser_of(self.network, self.plan, rate=0.0)
        for number in rounds:
            if self.plan.training.optimiser == "reset":
                optimiser = optimiser_of(self.network, self.plan, rate=0.0)
            passed = self._pass(optimiser, number, Pull())
        assert passed is not None
        return _summand(before, weights_of(self.network), passed, weights, self.samples)

    def round(self, arrays: Parameters, weights: Mapping[str, float]) -> dict[str, Array]:
        """Train for one round as the plan's strategy has it."""
        strategy, number = self.plan.strategy, self.body["round"]
        first = personal(arrays) if strategy.name == "fedbn" else arrays
        load_model(self.network, first)
        before = weights_of(self.network)
        optimiser = optimiser_of(self.network, self.plan, rate=0.0)
        keep: dict[str, Array] = {}
        beside: dict[str, Array] = {}
        pull = Pull()
        if strategy.name == "fedprox":
            pull = Pull(proximal=strategy.proximal, anchor=_anchor(self.network))
        if strategy.name == "scaffold":
            steering = Steering.of(self.network, self.samples, self.plan, arrays)
            pull = Pull(correction=steering.correction)
            keep |= keeping("control", steering.own)
            beside = steering.summand(weights)
        if self.plan.training.optimiser == "kept":
            remember(optimiser, self.network, arrays)
        passed = self._pass(optimiser, number, pull)
        if self.plan.training.optimiser == "kept":
            keep |= memory_of(optimiser, self.network)
        after = weights_of(self.network)
        if strategy.name == "fedbn":
            local = normalisation_of(self.network)
            keep |= keeping("personal", {name: after[name] for name in local})
            after |= {name: before[name] for name in local}
        found = _summand(before, after, passed, weights, self.samples)
        if strategy.name == "fednova":
            found = _per_step(found, before, passed.steps)
        if strategy.name == "ditto":
            keep |= self._personal(arrays, number)
        return {**found, **beside, **keep}

    def _personal(self, arrays: Parameters, number: int) -> dict[str, Array]:
        """Train the site's own model, held near the global one that the round began with."""
        load_model(self.network, arrays)
        anchor = _anchor(self.network)
        load_model(self.network, personal(arrays))
        pull = Pull(proximal=self.plan.strategy.proximal, anchor=anchor)
        self._pass(optimiser_of(self.network, self.plan, rate=0.0), number, pull)
        return keeping("personal", weights_of(self.network))

    def _pass(self, optimiser: torch.optim.AdamW, number: int, pull: Pull) -> Passed:
        for group in optimiser.param_groups:
            group["lr"] = rate_of(self.plan, number)
        seed = _seed(self.plan, self.cohort, self.body, number)
        return train_round(
            self.network,
            self.samples,
            self.plan,
            optimiser=optimiser,
            edges=edges_of(self.plan),
            generator=torch.Generator().manual_seed(seed),
            pull=pull,
        )


def loss(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Sum a model's losses on the selected subjects: what tells when to stop.

    Returns:
        `loss.<endpoint>`, and `weight.<endpoint>`, the subjects whose endpoint is known.
    """
    rows = select(cohort, plan, body["select"])
    matrix = design(cohort, plan, body, arrays)
    network = network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    load_model(network, personal(arrays) if plan.strategy.name == "fedbn" else arrays)
    network.eval()
    found = {
        f"{what}.{name}": np.zeros(1)
        for name in (*plan.endpoints.survival, *plan.endpoints.binary)
        for what in ("loss", "weight")
    }
    with torch.inference_mode():
        for start in range(0, len(rows), plan.training.batch_size):
            part = samples_of(cohort, plan, rows[start : start + plan.training.batch_size], matrix)
            logits = network(part.images, part.covariates)
            for name, each in losses_of(logits, part, edges_of(plan)).items():
                found[f"loss.{name}"] += float(each.double().sum())
                found[f"weight.{name}"] += float(part.known[name].sum())
    return found


def _private(network: nn.Module, samples: Samples, plan: Plan, rounds: range) -> dict[str, Array]:
    """Train with noise; what is returned tells of no patient but through the noisy steps."""
    before = weights_of(network)
    for number in rounds:
        private_round(
            network,
            samples,
            plan,
            rate=rate_of(plan, number),
            multiplier=plan.privacy.noise_multiplier,
        )
    count = float(len(samples))
    changes = {
        name: (after.astype(np.float64) - before[name]) * count
        for name, after in weights_of(network).items()
    }
    weights = {f"weight.{name}": np.array([count]) for name in ("shared", *samples.known)}
    return {**changes, **weights}


def _summand(
    before: Parameters,
    after: Parameters,
    passed: Passed,
    weights: Mapping[str, float],
    samples: Samples,
) -> dict[str, Array]:
    """Return changes, weights and losses as they are added over sites."""
    found: dict[str, Array] = {
        name: (after[name].astype(np.float64) - before[name]) * weights[weight_of(name)]
        for name in before
    }
    found |= {name: np.array([weight]) for name, weight in weights.items()}
    for name, value in passed.losses.items():
        known, weight = float(samples.known[name].sum()), weights[f"weight.{name}"]
        # Written so that nothing is rounded where a site counts by subjects.
        scale = 1.0 if weight == known else weight / known
        found[f"loss.{name}"] = np.array([value * scale])
    return found


def _per_step(found: Parameters, model: Parameters, steps: int) -> dict[str, Array]:
    """Return the same for one step of the optimiser, and how many there were."""
    counted = {"weight.steps": found["weight.shared"] * steps}
    return {n: a / max(steps, 1) if n in model else a for n, a in found.items()} | counted


def _anchor(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def _rounds(plan: Plan, body: Body) -> range:
    first, count = body["round"], body.get("repeat", 1)
    if first < 1 or count < 1 or first + count - 1 > plan.training.rounds:
        raise UpdateError(f"The plan has rounds 1 to {plan.training.rounds}, and no other.")
    return range(first, first + count)


def rate_of(plan: Plan, number: int) -> float:
    """Return the learning rate of a round: cosine from the plan's to a tenth of it, or constant."""
    if plan.training.schedule == "constant":
        return plan.training.learning_rate
    progress = (number - 1) / max(1, plan.training.rounds - 1)
    return plan.training.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def _seed(plan: Plan, cohort: Cohort, body: Body, number: int) -> int:
    """Derive the round's seed from the plan, the site, the selection and the round."""
    sites = ",".join(sorted(set(cohort.strata)))
    text = f"{plan.seed}/{sites}/{body['select']}/{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
