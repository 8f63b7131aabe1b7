"""How good a candidate for the global model is on the subjects that judge it, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.survival.concordance import pair_sums
from fedpet.survival.likelihoods import survival_from_logits
from fedpet.training.batches import Samples, samples_of
from fedpet.training.losses import losses_of
from fedpet.training.networks import load_model, network_of
from fedpet.training.selection import select
from fedpet.training.statistics import design, edges_days, stratum_codes

LOSS_MAX = 1e6
BATCH = 64
Body = Mapping[str, Any]


def score(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Sum a model's losses over the selected subjects.

    Args:
        cohort: The site's cohort.
        plan: Names the endpoints.
        body: `columns`, `select`.
        arrays: `prep.*`, and the model as `model.*`.

    Returns:
        `loss.<endpoint>` and `weight.<endpoint>`, the number of subjects behind it.
    """
    if len(select(cohort, plan, body["select"])) == 0:
        names = (*plan.endpoints.survival, *plan.endpoints.binary)
        return {f"{what}.{name}": np.zeros(1) for name in names for what in ("loss", "weight")}
    found = {}
    for name, each in subject_losses(cohort, plan, body, arrays).items():
        known = each[~np.isnan(each)]
        found[f"loss.{name}"] = np.array([known.sum()])
        found[f"weight.{name}"] = np.array([float(len(known))])
    return found


def vote(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Compare a candidate with the model accepted last; what it finds stays in the hospital.

    Args:
        cohort: The site's cohort.
        plan: Names the endpoints.
        body: `columns`, `select`.
        arrays: `prep.*`, the candidate as `model.*`, the accepted one as `last.*`.

    Raises:
        UpdateError: If nobody is kept apart here.

    Returns:
        `loss` and `c_index` (primary endpoint, 0.5 without a pair), each [candidate, accepted].
    """
    if len(select(cohort, plan, body["select"])) == 0:
        raise UpdateError("This hospital is too small to keep subjects apart, and does not vote.")
    shared = {name: array for name, array in arrays.items() if not name.startswith("last.")}
    last = {f"model.{n.removeprefix('last.')}": a for n, a in arrays.items() if n[:5] == "last."}
    prep = {name: array for name, array in shared.items() if not name.startswith("model.")}
    both = [_measured(cohort, plan, body, one) for one in (shared, {**prep, **last})]
    return {
        "loss": np.array([loss for loss, _ in both]),
        "c_index": np.array([c_index for _, c_index in both]),
    }


def subject_losses(
    cohort: Cohort, plan: Plan, body: Body, arrays: Parameters
) -> dict[str, NDArray[np.float64]]:
    """Return each selected subject's loss by endpoint, [n]; NaN where the endpoint is unknown.

    A loss that is not finite, or huge, counts as `LOSS_MAX`: a broken model must be found bad,
    and not stop who judges it.
    """
    losses: dict[str, list[NDArray[np.float64]]] = {}
    edges = torch.from_numpy(edges_days(plan).astype(np.float32))
    for logits, batch in _outputs(cohort, plan, body, arrays):
        for name, each in losses_of(logits, batch, edges).items():
            value = np.nan_to_num(each.double().numpy(), nan=LOSS_MAX, posinf=LOSS_MAX)
            value = np.clip(value, -LOSS_MAX, LOSS_MAX)
            value[~batch.known[name].numpy()] = np.nan
            losses.setdefault(name, []).append(value)
    return {name: np.concatenate(parts) for name, parts in losses.items()}


def _outputs(
    cohort: Cohort, plan: Plan, body: Body, arrays: Parameters
) -> list[tuple[dict[str, torch.Tensor], Samples]]:
    rows = select(cohort, plan, body["select"])
    matrix = design(cohort, plan, body, arrays)
    network = network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    load_model(network, arrays)
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            batch = samples_of(cohort, plan, rows[start : start + BATCH], matrix)
            found.append((dict(network(batch.images, batch.covariates)), batch))
    return found


def _measured(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> tuple[float, float]:
    losses = subject_losses(cohort, plan, body, arrays)
    means = [np.nanmean(each) for each in losses.values() if not np.isnan(each).all()]
    return float(sum(means)), _c_index(cohort, plan, body, arrays)


def _c_index(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> float:
    """Return the share of concordant pairs for the primary endpoint; 0.5 without a pair."""
    primary = plan.endpoints.primary
    parts = _outputs(cohort, plan, body, arrays)
    survival = [survival_from_logits(logits[primary].double()).numpy() for logits, _ in parts]
    risk = 1 - np.nan_to_num(np.concatenate(survival)).mean(axis=1)
    known = np.concatenate([batch.known[primary].numpy() for _, batch in parts])
    time = np.concatenate([batch.times[primary].numpy() for _, batch in parts]).astype(np.float64)
    event = np.concatenate([batch.events[primary].numpy() for _, batch in parts])
    rows = select(cohort, plan, body["select"])
    strata = stratum_codes(cohort)[rows][known]
    ones = np.ones((1, int(known.sum())))
    agree, tied, pairs = pair_sums(risk[known], time[known], event[known], strata, ones)[0]
    return float((agree + tied / 2) / pairs) if pairs > 0 else 0.5
