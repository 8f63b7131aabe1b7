"""What a hospital sums so that a model can later say how sure it is of one subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedpet.cohort.samples import Cohort
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.survival import conformal
from fedpet.survival.grid import grid_of
from fedpet.survival.likeness import Likeness, feature_sums
from fedpet.training.batches import samples_of
from fedpet.training.evaluate import BATCH, predict_survival, predicted
from fedpet.training.networks import load_model, network_of
from fedpet.training.selection import select
from fedpet.training.statistics import design, known_outcome

Floats = NDArray[np.float64]
Body = Mapping[str, Any]


def levels(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Count at which predicted level the selected subjects failed: `conformal.level_sums`."""
    rows, time, event = known_outcome(cohort, plan, body)
    survival = predict_survival(cohort, plan, body, arrays, rows)
    told = predicted(plan, survival, time, event, cdf=None)
    grid = grid_of(plan.endpoints.horizons_months, plan.model.intervals_months)
    return dict(
        conformal.level_sums(
            told.own,
            time_days=time,
            event=event,
            event_predicted=told.own_event,
            edges_days=grid.time_edges_days,
        )
    )


def features(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Sum what the network sees in the selected subjects."""
    rows = select(cohort, plan, body["select"])
    return dict(feature_sums(features_of(cohort, plan, body, arrays, rows)))


def distances(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Count the selected subjects by their distance from the mean of all."""
    rows = select(cohort, plan, body["select"])
    known = Likeness(mean=arrays["likeness.mean"], inverse=arrays["likeness.inverse"])
    return {"histogram": known.histogram(features_of(cohort, plan, body, arrays, rows))}


def features_of(
    cohort: Cohort, plan: Plan, body: Body, arrays: Parameters, rows: NDArray[np.intp]
) -> Floats:
    """Return what the primary endpoint's head reads of some subjects, [n, q].

    For a network without a head of that name, such as a researcher's own, the covariates.
    """
    matrix = design(cohort, plan, body, arrays)
    network = network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    head = dict(network.named_modules()).get(f"heads.{plan.endpoints.primary}")
    if not isinstance(head, nn.Module):
        return matrix[rows]
    load_model(network, arrays)
    network.eval()
    seen: list[Tensor] = []
    listening = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        with torch.inference_mode():
            for start in range(0, len(rows), BATCH):
                samples = samples_of(cohort, plan, rows[start : start + BATCH], matrix)
                network(samples.images, samples.covariates)
    finally:
        listening.remove()
    found: Floats = torch.cat(seen).flatten(1).double().numpy()
    return found
