"""Rebuild a subject's image from what a site sends: in clear, and as the coordinator sees it.

Nobody's image is used: the subjects are made up, the networks are tiny, and the update is that of
one step on one subject, which is the worst case for the patient. What the coordinator sees is the
same update, written into the ring and masked as every site masks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedpet.privacy.secure_sum.lanes import encode, layout_of
from fedpet.privacy.secure_sum.masks import apply

HEIGHT, WIDTH = 16, 8
STEPS = 40
BITS = 28
Floats = NDArray[np.float64]
Gradients = tuple[Tensor, ...]
View = Callable[[Gradients, int], Gradients]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverted:
    """How near an attacker came to a subject's image.

    Args:
        network: `linear` or `hidden` (one hidden layer).
        seen: `clear` (one subject's update), `mixed` (a step over several subjects, in clear), or
            `masked` (what the coordinator has under the secure sum).
        subjects: Subjects in the step.
        error: Squared error as a share of that of the mean image, median over trials; 0 is the
            very image, 1 is no better than knowing what people look like on average.
        trials: Subjects attacked.
    """

    network: str
    seen: str
    subjects: int
    error: float
    trials: int


def invert(*, trials: int = 5, mixed: int = 16, seed: int = 2026) -> tuple[Inverted, ...]:
    """Attack made-up subjects in every way, and compare with the mean image.

    Args:
        trials: Subjects to attack.
        mixed: Subjects of the step over several.
        seed: Of subjects and networks.
    """
    generator = torch.Generator().manual_seed(seed)
    people = _people(64 + trials * mixed, generator)
    mean, people = people[:64].mean(dim=0), people[64:]
    found = []
    for network in ("linear", "hidden"):
        for seen, size, view in (
            ("clear", 1, _open),
            ("mixed", mixed, _open),
            ("masked", 1, _masked),
        ):
            errors = []
            for trial in range(trials):
                batch = people[trial * mixed : trial * mixed + size]
                net = _network(network, generator)
                labels = torch.randint(0, 2, (size,), generator=generator)
                told = view(_gradients(net, batch, labels), seed + trial)
                guess = (
                    _analytic(told)
                    if network == "linear"
                    else _matched(net, told, labels[:1], mean)
                )
                errors.append(_error(guess, batch, mean))
            found.append(
                Inverted(
                    network=network,
                    seen=seen,
                    subjects=size,
                    error=float(np.median(errors)),
                    trials=trials,
                )
            )
    return tuple(found)


def _people(count: int, generator: torch.Generator) -> Tensor:
    """Return made-up images, [n, pixels]: a body that all share, and a few spots of one's own."""
    rows = torch.linspace(-1, 1, HEIGHT)[:, None]
    columns = torch.linspace(-1, 1, WIDTH)[None, :]
    body = torch.exp(-3 * columns**2) * torch.ones_like(rows)
    images = body.expand(count, HEIGHT, WIDTH).clone()
    for _ in range(3):
        centre = torch.rand((count, 2, 1, 1), generator=generator) * 1.6 - 0.8
        height = 1 + 2 * torch.rand((count, 1, 1), generator=generator)
        distance = (rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2
        images += height * torch.exp(-distance / 0.05)
    return images.reshape(count, -1)


def _network(name: str, generator: torch.Generator) -> nn.Sequential:
    pixels = HEIGHT * WIDTH
    layers: list[nn.Module] = (
        [nn.Linear(pixels, 2)]
        if name == "linear"
        else [nn.Linear(pixels, 48), nn.Sigmoid(), nn.Linear(48, 2)]
    )
    network = nn.Sequential(*layers)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return network


def _gradients(
    network: nn.Module, images: Tensor, labels: Tensor, *, keep: bool = False
) -> Gradients:
    loss = nn.functional.cross_entropy(network(images), labels, reduction="mean")
    return torch.autograd.grad(loss, tuple(network.parameters()), create_graph=keep)


def _open(told: Gradients, seed: int) -> Gradients:
    del seed
    return told


def _masked(told: Gradients, seed: int) -> Gradients:
    """Return an update as the coordinator has it: ring words under a mask that two sites share."""
    arrays = {f"{index:03d}": one.numpy().astype(np.float64) for index, one in enumerate(told)}
    norm = float(np.sqrt(sum((array**2).sum() for array in arrays.values())))
    layout = layout_of(
        arrays, kinds=dict.fromkeys(arrays, "update"), sites=3, bound=2 * norm, total=3.0
    )
    narrow, wide = encode(arrays, layout, share=1 / 3, canary=bytes(32))
    apply(narrow, wide, add=[np.random.default_rng(seed).bytes(32)])
    words = narrow.view(np.int32).astype(np.float64) / 2**BITS
    seen, place = [], 0
    for one in told:
        seen.append(torch.from_numpy(words[place : place + one.numel()].astype(np.float32)))
        place += one.numel()
    return tuple(each.reshape(one.shape) for each, one in zip(seen, told, strict=True))


def _analytic(told: Gradients) -> Tensor:
    """Return the image that a linear layer's gradients spell out: weight over bias."""
    weight, bias = told
    row = int(bias.abs().argmax())
    return weight[row] / bias[row]


def _matched(network: nn.Module, told: Gradients, label: Tensor, start: Tensor) -> Tensor:
    """Return the image whose own gradients are nearest to those that were seen.

    Source:
        Zhu et al. 2019, *Deep leakage from gradients*, with the label known.
    """
    guess = start.clone().unsqueeze(0).requires_grad_(True)
    optimiser = torch.optim.LBFGS([guess], lr=1.0, max_iter=STEPS, line_search_fn="strong_wolfe")
    scale = sum(float((one**2).sum()) for one in told) + 1e-12

    def closure() -> Tensor:
        optimiser.zero_grad()
        own = _gradients(network, guess, label, keep=True)
        terms = [((a - b) ** 2).sum() for a, b in zip(own, told, strict=True)]
        gap = torch.stack(terms).sum() / scale
        gap.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
        return gap

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return guess.detach()[0]


def _error(guess: Tensor, batch: Tensor, mean: Tensor) -> float:
    """Return the error to the nearest subject of the step, as a share of the mean image's."""
    guess = torch.nan_to_num(guess, nan=0.0, posinf=1e6, neginf=-1e6).double()
    errors = ((batch.double() - guess) ** 2).sum(dim=1)
    nearest = int(errors.argmin())
    return float(errors[nearest] / ((batch[nearest] - mean).double() ** 2).sum())
