"""Networks by name. A plan can ask for what stands here, and for nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fedpet import plan as plans
from fedpet.errors import PlanError
from fedpet.models.mip_fusion import MipFusion
from fedpet.models.own import Shape, build_own

NAMES = ("mip-fusion",)


def build(
    settings: plans.Model,
    *,
    image_shape: Sequence[int],
    covariates: int,
    survival: Sequence[str],
    binary: Sequence[str],
) -> nn.Module:
    """Build a network; its weights mean nothing until `initialise` or a state gives them.

    Args:
        settings: Name and size, or a researcher's own code, from the plan.
        image_shape: Channels, height and width of one subject's images.
        covariates: Columns of the design matrix.
        survival: Endpoints that get a discrete-time hazard head.
        binary: Endpoints that get a single logit.

    Returns:
        A module that maps (images [n, 2, height, width], covariates [n, q]) to logits by
        endpoint. Its parameters are named `heads.<endpoint>.*`, or anything else if shared.

    Raises:
        PlanError: If there is no network of this name.
        RefusalError: If the network is a researcher's own, outside an isolated worker.
    """
    intervals = len(settings.intervals_months) - 1
    outputs = {**dict.fromkeys(survival, intervals), **dict.fromkeys(binary, 1)}
    if settings.code:
        image = tuple(int(size) for size in image_shape)
        return build_own(settings, Shape(image=image, covariates=covariates, outputs=outputs))
    if settings.name not in NAMES:
        raise PlanError(
            f"There is no network named '{settings.name}'.", why=f"Known: {', '.join(NAMES)}."
        )
    network = MipFusion(
        width=settings.width,
        image_features=settings.image_features,
        hidden=settings.hidden,
        covariates=covariates,
        outputs=outputs,
        film=settings.fusion == "film",
    )
    # Channels last: a step takes a quarter less time on the processors that hospitals have.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def initialise(network: nn.Module, *, seed: int, survival: Sequence[str]) -> None:
    """Fill a network with weights that depend on the seed only, on every machine of a kind.

    Hazard heads start at a monthly-to-yearly plausible level, so that the first rounds are not
    spent on the average.

    Args:
        network: From `build`.
        seed: The plan's seed.
        survival: Endpoints with hazard heads.
    """
    generator = torch.Generator().manual_seed(seed)
    hazard_heads = {f"heads.{name}.bias" for name in survival}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:
                fan_in = parameter[0].numel()
                scale = (2.0 / fan_in) ** 0.5 * (0.1 if name.startswith("heads.") else 1.0)
                parameter.normal_(0.0, scale, generator=generator)
            elif name.endswith("weight"):
                parameter.fill_(1.0)
            else:
                parameter.fill_(-1.8 if name in hazard_heads else 0.0)
