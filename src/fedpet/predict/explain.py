"""Where did the network look? Attributions of a risk to pixels and covariates.

Integrated gradients from an average subject, whose body is this one's with no uptake above a
background, to the subject. Attributions add up to the difference of the two risks, so that nothing
is left unexplained and nothing is counted twice. An empty image would be no good start: networks
that normalise what they see cannot tell a faint body from a bright one, and jump at none.

Source:
    Sundararajan, Taly & Yan 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Score = Callable[[Tensor, Tensor], Tensor]
BACKGROUND_SUV = 2.5
STEPS = 128
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What raises (positive) or lowers a risk.

    Args:
        images: [views, height, width].
        covariates: [q].
        start: The risk at the beginning of the path.
        end: The risk of the subject.
    """

    images: Floats
    covariates: Floats
    start: float
    end: float

    @property
    def unexplained(self) -> float:
        """What the attributions lack of the difference; the error of the integral."""
        found = self.end - self.start - self.images.sum() - self.covariates.sum()
        return float(found)


def attribute(
    score: Score, images: Tensor, covariates: Tensor, *, steps: int = STEPS
) -> Attribution:
    """Attribute a score of one subject to what it was made of.

    Args:
        score: Maps (images [n, views, h, w], covariates [n, q]) to one number each, [n].
        images: SUV projections, [views, h, w], from 0.
        covariates: Standardised design, [q]; 0 is the average.
        steps: Points of the midpoint rule.
    """
    faint = images.clamp(max=BACKGROUND_SUV)
    rise = images - faint
    by_image = torch.zeros(images.shape, dtype=torch.float64)
    by_row = torch.zeros(covariates.shape, dtype=torch.float64)
    for first in range(0, steps, BATCH):
        at = (torch.arange(first, min(first + BATCH, steps)) + 0.5) / steps
        seen = (faint + at[:, None, None, None] * rise).requires_grad_()
        told = (at[:, None] * covariates).requires_grad_()
        slopes = torch.autograd.grad(score(seen, told).sum(), (seen, told), allow_unused=True)
        if slopes[0] is not None:
            # Where nothing changes the slope does not count; that of a root at 0 is infinite.
            by_image += torch.where(rise == 0, 0.0, slopes[0].double()).sum(dim=0)
        if slopes[1] is not None:
            by_row += slopes[1].double().sum(dim=0)
    with torch.no_grad():
        ends = score(
            torch.stack([faint, images]), torch.stack([torch.zeros_like(covariates), covariates])
        )
    return Attribution(
        images=(by_image * rise / steps).numpy(),
        covariates=(by_row * covariates / steps).numpy(),
        start=float(ends[0]),
        end=float(ends[1]),
    )
