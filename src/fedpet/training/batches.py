"""Samples as tensors, and the small changes that make few of them last longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedpet.cohort.samples import Cohort
from fedpet.errors import DataError
from fedpet.plan import Plan
from fedpet.training.selection import labels_of

SHIFT_PIXELS = 3
GAIN_SD = 0.06
NOISE_SD = 0.05


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
    images = np.asarray(cohort.mips[rows], np.float32)
    if not np.isfinite(images).all():
        bad = int((~np.isfinite(images)).any(axis=(1, 2, 3)).sum())
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
        images=torch.from_numpy(images),
        covariates=torch.from_numpy(design[rows].astype(np.float32)),
        times=times,
        events=events,
        known=known,
    )


def batches(
    samples: Samples, *, size: int, augment: bool, generator: torch.Generator
) -> Iterator[Samples]:
    """Yield all samples once, in random order.

    Args:
        samples: All of them.
        size: Samples in a batch; the last one may be smaller.
        augment: Whether images are changed.
        generator: Source of all randomness.
    """
    order = torch.randperm(len(samples), generator=generator)
    for start in range(0, len(samples), size):
        batch = samples.take(order[start : start + size])
        if augment:
            images = augmented(batch.images, generator)
            batch = Samples(
                images=images,
                covariates=batch.covariates,
                times=batch.times,
                events=batch.events,
                known=batch.known,
            )
        yield batch


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift a batch by up to three pixels, scale each SUV by about 6 %, add a little noise.

    No flip: the side of the liver and of the heart is information.
    """
    down, right = torch.randint(-SHIFT_PIXELS, SHIFT_PIXELS + 1, (2,), generator=generator).tolist()
    gain = torch.exp(GAIN_SD * torch.randn((len(images), 1, 1, 1), generator=generator))
    noise = 1 + NOISE_SD * torch.randn(images.shape, generator=generator)
    return torch.roll(images, (down, right), dims=(2, 3)) * gain * noise
