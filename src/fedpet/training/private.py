"""Training that tells little of any one patient: per-patient clipping, noise, random steps.

Every patient's gradient is computed alone and scaled down to the plan's norm, before anything is
added; so no patient moves the sum by more. Patients are drawn into a step independently of each
other. Losses, and how many patients have which endpoint, do not leave.

Source:
    Abadi et al. 2016, *Deep learning with differential privacy*, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.privacy.accountant import sampling_of, steps_in_round
from fedpet.privacy.noise import Noise, noise, rounding_of, share_of_noise
from fedpet.training.batches import Samples, augmented, samples_of
from fedpet.training.losses import losses_of
from fedpet.training.networks import load_model, network_of
from fedpet.training.selection import select
from fedpet.training.statistics import design, edges_days

Floats = NDArray[np.float64]
Body = Mapping[str, Any]
GRADIENT_VALUES_MAX = 1 << 27  # values of per-patient gradients held at once


def gradient_sum(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Sum clipped gradients of randomly drawn patients, with this site's share of the noise.

    Args:
        cohort: The site's cohort.
        plan: Model, batch size, clip norm, noise; `privacy.honest_sites_min` shares make it up.
        body: `round` (the step), `columns`, `select`.
        arrays: `prep.*`, and the model as `model.*`.

    Returns:
        For every parameter the noisy sum; `weight.shared`, the expected number of patients drawn.

    Raises:
        UpdateError: If the plan has no such step or no distributed noise, or nobody is selected.
    """
    if plan.privacy.differential_privacy != "distributed":
        raise UpdateError("The plan has no distributed noise.")
    if not 1 <= body["round"] <= plan.training.rounds:
        raise UpdateError(f"The plan has rounds 1 to {plan.training.rounds}, and no other.")
    network, samples = _prepared(cohort, plan, body, arrays)
    source, privacy = noise(), plan.privacy
    sampling = sampling_of(plan, subjects=len(samples))
    size = sum(parameter.numel() for parameter in network.parameters())
    least = privacy.clip_norm - rounding_of(size, norm_max=privacy.clip_norm)
    drawn = _drawn(samples, plan, sampling, source)
    summed = clipped_sum(network, drawn, edges_of(plan), norm_max=least)
    noisy = share_of_noise(
        summed,
        norm_max=privacy.clip_norm,
        multiplier=privacy.noise_multiplier,
        honest=privacy.honest_sites_min,
        source=source,
    )
    return {**_unflat(network, noisy), "weight.shared": np.array([sampling * len(samples)])}


def private_round(
    network: nn.Module, samples: Samples, plan: Plan, *, rate: float, multiplier: float
) -> None:
    """Train for one round with noise of this site alone.

    Args:
        network: Changed in place.
        samples: The site's patients.
        plan: Model and training settings.
        rate: The learning rate.
        multiplier: Standard deviation of the noise, in units of the clip norm.
    """
    source, settings = noise(), plan.training
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=rate, weight_decay=settings.weight_decay, foreach=True
    )
    sampling = sampling_of(plan, subjects=len(samples))
    expected = sampling * len(samples)
    edges, clip = edges_of(plan), plan.privacy.clip_norm
    network.train()
    for _ in range(steps_in_round(plan, subjects=len(samples), alone=True)):
        summed = clipped_sum(network, _drawn(samples, plan, sampling, source), edges, norm_max=clip)
        if multiplier:
            summed = summed + source.gaussian(multiplier * clip, summed.size)
        for name, parameter in network.named_parameters():
            del name
            part, summed = summed[: parameter.numel()], summed[parameter.numel() :]
            gradient = torch.from_numpy(part / expected).to(parameter.dtype)
            parameter.grad = gradient.reshape(parameter.shape)
        optimiser.step()


def clipped_sum(network: nn.Module, samples: Samples, edges: Tensor, *, norm_max: float) -> Floats:
    """Sum every patient's gradient of the loss, each scaled down to a norm, float64 [d].

    Raises:
        UpdateError: If a gradient is not finite.
    """
    parameters = dict(network.named_parameters())
    size = sum(parameter.numel() for parameter in parameters.values())
    summed = torch.zeros(size, dtype=torch.float64)

    def loss_of(weights: Mapping[str, Tensor], one: Mapping[str, Tensor]) -> Tensor:
        alone = _as_samples({name: value.unsqueeze(0) for name, value in one.items()}, samples)
        logits = functional_call(network, dict(weights), (alone.images, alone.covariates))
        return torch.stack([each[0] for each in losses_of(logits, alone, edges).values()]).sum()

    held = max(1, GRADIENT_VALUES_MAX // size)
    detached = {name: parameter.detach() for name, parameter in parameters.items()}
    for start in range(0, len(samples), held):
        rows = torch.arange(start, min(start + held, len(samples)))
        each = vmap(grad(loss_of), in_dims=(None, 0))(detached, _as_table(samples.take(rows)))
        flat = torch.cat([each[name].flatten(1) for name in parameters], dim=1).double()
        norms = flat.norm(dim=1, keepdim=True)
        if not torch.isfinite(norms).all():
            raise UpdateError("A gradient is not finite at this hospital.")
        summed += (flat * (norm_max / norms.clamp(min=norm_max))).sum(dim=0)
    found: Floats = summed.numpy()
    return found


def edges_of(plan: Plan) -> Tensor:
    """Return the edges of the plan's intervals in days."""
    return torch.from_numpy(edges_days(plan).astype(np.float32))


def _prepared(
    cohort: Cohort, plan: Plan, body: Body, arrays: Parameters
) -> tuple[nn.Module, Samples]:
    rows = select(cohort, plan, body["select"])
    if len(rows) == 0:
        raise UpdateError("No subject is selected for training at this hospital.")
    matrix = design(cohort, plan, body, arrays)
    network = network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    load_model(network, arrays)
    network.train()
    return network, samples_of(cohort, plan, rows, matrix)


def _drawn(samples: Samples, plan: Plan, sampling: float, source: Noise) -> Samples:
    """Draw each patient with the same probability, and change the images if the plan says so."""
    rows = torch.from_numpy(np.flatnonzero(source.bernoulli(sampling, len(samples))))
    drawn = samples.take(rows)
    if not plan.training.augment or not len(drawn):
        return drawn
    seed = int(source.uniform(1)[0] * 2**53)
    generator = torch.Generator().manual_seed(seed)
    images = augmented(drawn.images, generator, plan.training.augmentations)
    return Samples(
        images=images,
        covariates=drawn.covariates,
        times=drawn.times,
        events=drawn.events,
        known=drawn.known,
    )


def _as_table(samples: Samples) -> dict[str, Tensor]:
    table = {"images": samples.images, "covariates": samples.covariates}
    table |= {f"times.{name}": value for name, value in samples.times.items()}
    table |= {f"events.{name}": value for name, value in samples.events.items()}
    return table | {f"known.{name}": value for name, value in samples.known.items()}


def _as_samples(table: Mapping[str, Tensor], like: Samples) -> Samples:
    return Samples(
        images=table["images"],
        covariates=table["covariates"],
        times={name: table[f"times.{name}"] for name in like.times},
        events={name: table[f"events.{name}"] for name in like.events},
        known={name: table[f"known.{name}"] for name in like.known},
    )


def _unflat(network: nn.Module, flat: Floats) -> dict[str, Array]:
    found, at = {}, 0
    for name, parameter in network.named_parameters():
        found[name] = flat[at : at + parameter.numel()].reshape(tuple(parameter.shape))
        at += parameter.numel()
    return found
