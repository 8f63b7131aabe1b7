"""Samples as tensors, and the small changes that make few of them last longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fedpet.cohort.samples import Cohort
from fedpet.errors import DataError
from fedpet.plan import Plan
from fedpet.training.selection import labels_of

SHIFT_PIXELS = 3
GAIN_SD = 0.06
NOISE_SD = 0.05
TURN_MAX = 0.09  # radians, 5 degrees
ZOOM_MAX = 0.05
USUAL = ("shift", "gain", "noise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Everything that a network reads of some subjects.

    Args:
        images: SUV projections, float32 [n, 2, height, width].
        covariates: Design matrix, float32 [n, q].
        times: Follow-up in days by survival endpoint, float32 [n], 0 where unknown.
        events: Whether the event was seen, bool [n]; labels of binary endpoints.
        known: Whether the endpoint is known, bool [n], for every endpoint.
    """

    images: Tensor
    covariates: Tensor
    times: Mapping[str, Tensor]
    events: Mapping[str, Tensor]
    known: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Tensor) -> Samples:
        """Return the samples of some rows."""
        return Samples(
            images=self.images[rows],
            covariates=self.covariates[rows],
            times={name: values[rows] for name, values in self.times.items()},
            events={name: values[rows] for name, values in self.events.items()},
            known={name: values[rows] for name, values in self.known.items()},
        )


def samples_of(
    cohort: Cohort, plan: Plan, rows: NDArray[np.intp], design: NDArray[np.float64]
) -> Samples:
    """Read the selected subjects' images, covariates and outcomes.

    Args:
        cohort: The site's cohort.
        plan: Names the endpoints.
        rows: Rows of the cohort.
        design: Design matrix of the whole cohort, [subjects, q].

    Raises:
        DataError: If an image holds a value that is not finite.
    """
    images = torch.from_numpy(np.asarray(cohort.mips[rows])).float()
    if not torch.isfinite(images.sum(dtype=torch.float64)):  # one pass, and nothing is stored
        bad = int((~torch.isfinite(images)).flatten(1).any(dim=1).sum())
        raise DataError(f"{bad} images hold values that are not finite.")
    times, events, known = {}, {}, {}
    for name in plan.endpoints.survival:
        outcome = cohort.outcomes.get(name)
        days = np.full(len(rows), np.nan) if outcome is None else outcome.time_days[rows]
        seen = np.zeros(len(rows), bool) if outcome is None else outcome.event[rows]
        known[name] = torch.from_numpy(~np.isnan(days))
        times[name] = torch.from_numpy(np.nan_to_num(days).astype(np.float32))
        events[name] = torch.from_numpy(seen.astype(bool))
    for name in plan.endpoints.binary:
        labels = labels_of(cohort, name)[rows]
        known[name] = torch.from_numpy(~np.isnan(labels))
        events[name] = torch.from_numpy(np.nan_to_num(labels) > 0.5)
    return Samples(
        images=images,
        covariates=torch.from_numpy(design[rows].astype(np.float32)),
        times=times,
        events=events,
        known=known,
    )


def batches(
    samples: Samples,
    *,
    size: int,
    augment: bool,
    generator: torch.Generator,
    ways: Sequence[str] = USUAL,
) -> Iterator[Samples]:
    """Yield all samples once, in random order.

    Args:
        samples: All of them.
        size: Samples in a batch; the last one may be smaller.
        augment: Whether images are changed.
        generator: Source of all randomness.
        ways: In which ways they are changed; names of the plan's `training.augmentations`.
    """
    order = torch.randperm(len(samples), generator=generator)
    for start in range(0, len(samples), size):
        batch = samples.take(order[start : start + size])
        if augment:
            images = augmented(batch.images, generator, ways)
            batch = Samples(
                images=images,
                covariates=batch.covariates,
                times=batch.times,
                events=batch.events,
                known=batch.known,
            )
        yield batch


def augmented(images: Tensor, generator: torch.Generator, ways: Sequence[str] = USUAL) -> Tensor:
    """Change a batch a little: by default shifted, each SUV scaled, a little noise added.

    No flip unless asked for: the side of the liver and of the heart is information.

    Args:
        images: SUV, [n, views, height, width].
        generator: Source of all randomness.
        ways: Names of the plan's `training.augmentations`, in any order.
    """
    if "affine" in ways:
        images = _turned(images, generator)
    if "flip" in ways:
        drawn = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(drawn[:, None, None, None], images.flip(3), images)
    if "blur" in ways:
        images = _blurred(images, generator)
    if "shift" in ways:
        most = SHIFT_PIXELS
        down, right = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
        images = torch.roll(images, (down, right), dims=(2, 3))
    if "gain" in ways:
        drawn = torch.randn((len(images), 1, 1, 1), generator=generator)
        images = images * torch.exp(GAIN_SD * drawn)
    if "noise" in ways:
        images = images * (1 + NOISE_SD * torch.randn(images.shape, generator=generator))
    return images


def _turned(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn and zoom each subject's views about their centre."""
    turn, zoom = torch.rand((2, len(images)), generator=generator) * 2 - 1
    angle, size = TURN_MAX * turn, 1 + ZOOM_MAX * zoom
    ratio = images.shape[2] / images.shape[3]
    none = torch.zeros_like(angle)
    rows = torch.stack(
        [
            torch.stack([size * angle.cos(), -size * angle.sin() * ratio, none], dim=1),
            torch.stack([size * angle.sin() / ratio, size * angle.cos(), none], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _blurred(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mix each subject's images with their mean over 3 x 3 pixels: a scanner of less resolution."""
    smooth = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.rand((len(images), 1, 1, 1), generator=generator)
    return images + share * (smooth - images)
