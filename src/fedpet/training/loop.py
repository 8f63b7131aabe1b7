"""One site, one round: from the global model to the change that this site asks for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.models.catalogue import initialise
from fedpet.parameters import Array, Parameters, weight_of
from fedpet.plan import Plan
from fedpet.training.batches import Samples, batches, samples_of
from fedpet.training.losses import losses_of
from fedpet.training.networks import load_model, network_of, weights_of
from fedpet.training.private import private_round
from fedpet.training.selection import select
from fedpet.training.statistics import design, edges_days, preprocessing

GRADIENT_NORM_MAX = 5.0
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

    The optimiser begins anew in every round, so that a round depends on nothing but the request.

    Args:
        cohort: The site's cohort.
        plan: Model and training settings.
        body: `round` (for the learning rate), `columns`, `select`, maybe `repeat`.
        arrays: `prep.*`, and the global model as `model.*`.

    Returns:
        For every parameter its change times its weight; `weight.shared` (subjects) and
        `weight.<endpoint>` (subjects with known endpoint); `loss.<endpoint>`, the sum of losses in
        the last pass.

    Raises:
        UpdateError: If the selection is empty, the plan has no such round, or the loss is not
            finite.
        DataError: If an image is not finite.
    """
    rounds = _rounds(plan, body)
    rows = select(cohort, plan, body["select"])
    if len(rows) == 0:
        raise UpdateError("No subject is selected for training at this hospital.")
    matrix = design(cohort, plan, body, arrays)
    samples = samples_of(cohort, plan, rows, matrix)
    network = network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    load_model(network, arrays)
    before = weights_of(network)
    losses: dict[str, float] = {}
    if plan.privacy.differential_privacy != "none":
        return _private(network, samples, plan, rounds)
    for number in rounds:
        generator = torch.Generator().manual_seed(_seed(plan, cohort, body, number))
        losses = _round(network, samples, plan, rate=_rate(plan, number), generator=generator)
    after = weights_of(network)
    weights = {"weight.shared": np.array([float(len(rows))])}
    for name, known in samples.known.items():
        weights[f"weight.{name}"] = np.array([float(known.sum())])
    changes = {
        name: (after[name].astype(np.float64) - before[name]) * weights[weight_of(name)]
        for name in before
    }
    summed = {f"loss.{name}": np.array([value]) for name, value in losses.items()}
    return {**changes, **weights, **summed}


def _private(network: nn.Module, samples: Samples, plan: Plan, rounds: range) -> dict[str, Array]:
    """Train with noise; what is returned tells of no patient but through the noisy steps."""
    before = weights_of(network)
    for number in rounds:
        private_round(
            network,
            samples,
            plan,
            rate=_rate(plan, number),
            multiplier=plan.privacy.noise_multiplier,
        )
    count = float(len(samples))
    changes = {
        name: (after.astype(np.float64) - before[name]) * count
        for name, after in weights_of(network).items()
    }
    weights = {f"weight.{name}": np.array([count]) for name in ("shared", *samples.known)}
    return {**changes, **weights}


def _round(
    network: nn.Module,
    samples: Samples,
    plan: Plan,
    *,
    rate: float,
    generator: torch.Generator,
) -> dict[str, float]:
    settings = plan.training
    edges = torch.from_numpy(edges_days(plan).astype(np.float32))
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=rate, weight_decay=settings.weight_decay, foreach=True
    )
    network.train()
    summed: dict[str, float] = {}
    for _ in range(settings.local_epochs):
        summed = dict.fromkeys(samples.known, 0.0)
        for batch in batches(
            samples, size=settings.batch_size, augment=settings.augment, generator=generator
        ):
            losses = losses_of(network(batch.images, batch.covariates), batch, edges)
            counts = {name: int(batch.known[name].sum()) for name in losses}
            terms = [each.sum() / counts[name] for name, each in losses.items() if counts[name]]
            if not terms:
                continue
            loss = torch.stack(terms).sum()
            if not torch.isfinite(loss):
                raise UpdateError("The training loss is not finite at this hospital.")
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM_MAX)
            optimiser.step()
            for name, each in losses.items():
                summed[name] += float(each.detach().sum())
    return summed


def _rounds(plan: Plan, body: Body) -> range:
    first, count = body["round"], body.get("repeat", 1)
    if first < 1 or count < 1 or first + count - 1 > plan.training.rounds:
        raise UpdateError(f"The plan has rounds 1 to {plan.training.rounds}, and no other.")
    return range(first, first + count)


def _rate(plan: Plan, number: int) -> float:
    """Return the learning rate of a round: cosine from the plan's rate to a tenth of it."""
    progress = (number - 1) / max(1, plan.training.rounds - 1)
    return plan.training.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def _seed(plan: Plan, cohort: Cohort, body: Body, number: int) -> int:
    """Derive the round's seed from the plan, the site, the selection and the round."""
    sites = ",".join(sorted(set(cohort.strata)))
    text = f"{plan.seed}/{sites}/{body['select']}/{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
