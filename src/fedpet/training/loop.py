"""One site, one round: from the global model to the change that this site asks for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.models.catalogue import build, initialise
from fedpet.parameters import Array, Parameters, weight_of
from fedpet.plan import Plan
from fedpet.survival.likelihoods import logistic_hazard_loss
from fedpet.training.batches import Samples, batches, samples_of
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
    return {**_weights(network), "weight.shared": np.ones(1)}


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
    before = _weights(network)
    losses: dict[str, float] = {}
    for number in rounds:
        generator = torch.Generator().manual_seed(_seed(plan, cohort, body, number))
        losses = _round(network, samples, plan, rate=_rate(plan, number), generator=generator)
    after = _weights(network)
    weights = {"weight.shared": np.array([float(len(rows))])}
    for name, known in samples.known.items():
        weights[f"weight.{name}"] = np.array([float(known.sum())])
    changes = {
        name: (after[name].astype(np.float64) - before[name]) * weights[weight_of(name)]
        for name in before
    }
    summed = {f"loss.{name}": np.array([value]) for name, value in losses.items()}
    return {**changes, **weights, **summed}


def network_of(plan: Plan, *, covariates: int, image_shape: Sequence[int]) -> nn.Module:
    """Build the plan's network, without weights."""
    return build(
        plan.model,
        image_shape=image_shape,
        covariates=covariates,
        survival=plan.endpoints.survival,
        binary=plan.endpoints.binary,
    )


def load_model(network: nn.Module, arrays: Parameters) -> None:
    """Fill a network with the `model.*` arrays of a request.

    Raises:
        UpdateError: If names or shapes are not those of the plan's network.
    """
    state = {
        name.removeprefix("model."): torch.from_numpy(np.array(array, np.float32))
        for name, array in arrays.items()
        if name.startswith("model.")
    }
    try:
        lacking = set(network.load_state_dict(state, strict=False).missing_keys)
    except RuntimeError as error:
        raise UpdateError("The global model does not fit the plan's network.") from error
    # Constants that a network keeps beside its parameters are made by its constructor.
    parameters = {name for name, _ in network.named_parameters()}
    if lacking & parameters or state.keys() - parameters:
        raise UpdateError("The global model does not fit the plan's network.")


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


def _weights(network: nn.Module) -> dict[str, Array]:
    return {
        name: parameter.detach().numpy().copy() for name, parameter in network.named_parameters()
    }
