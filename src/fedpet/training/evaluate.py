"""Predict at the site, and sum how good the predictions were."""

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
from fedpet.survival import binary, scores
from fedpet.survival.baseline import survival_at
from fedpet.survival.bootstrap import bootstrap_weights
from fedpet.survival.concordance import influence_sums, pair_sums
from fedpet.survival.grid import DISTRIBUTION_BINS, grid_of
from fedpet.survival.likelihoods import survival_from_logits
from fedpet.training.batches import samples_of
from fedpet.training.keeping import personal
from fedpet.training.networks import load_model, network_of
from fedpet.training.selection import labels_of, select
from fedpet.training.statistics import design, edges_days, known_outcome, stratum_codes

Floats = NDArray[np.float64]
Body = Mapping[str, Any]
BATCH = 64


def evaluate(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Sum how a model does on the selected subjects, for one endpoint.

    Args:
        cohort: The site's cohort.
        plan: Names endpoints and horizons, and with them the grid; number and seed of bootstraps.
        body: `model`, `endpoint`, `columns`, `select`.
        arrays: The model; `risk.cdf` to spread risks evenly over the bins.

    Returns:
        `scores.performance_sums`, or `binary.binary_sums` for a binary endpoint.
    """
    if body["endpoint"] in plan.endpoints.binary:
        return _evaluate_binary(cohort, plan, body, arrays)
    rows, time, event = known_outcome(cohort, plan, body)
    survival = predict_survival(cohort, plan, body, arrays, rows)
    return dict(
        scores.performance_sums(
            predicted(plan, survival, time, event, cdf=arrays.get("risk.cdf")),
            time_days=time,
            event=event,
            strata=stratum_codes(cohort)[rows],
            weights=_weights(cohort, plan, rows),
            grid=grid_of(plan.endpoints.horizons_months, plan.model.intervals_months),
        )
    )


def predicted(
    plan: Plan, survival: Floats, time: Floats, event: NDArray[np.bool_], *, cdf: Array | None
) -> scores.Predicted:
    """Turn survival at the plan's interval ends, [n, K], into what the sums are made of.

    Between two ends the hazard is constant; behind the last one nothing is predicted, and a
    follow-up ends there.
    """
    grid = grid_of(plan.endpoints.horizons_months, plan.model.intervals_months)
    edges = edges_days(plan)
    ends = edges[1:]
    risk = mean_risk(survival)
    return scores.Predicted(
        risk=risk,
        binned=_spread(risk, cdf),
        survival=np.stack([_at(survival, ends, days) for days in grid.brier_days], axis=1),
        own=_at_own_time(survival, edges, time),
        own_event=event & (time <= ends[-1]),
    )


def concordance(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Count a model's concordant pairs here: all that a hospital releases of its own results."""
    rows, time, event = known_outcome(cohort, plan, body)
    risk = mean_risk(predict_survival(cohort, plan, body, arrays, rows))
    weights, strata = _weights(cohort, plan, rows), stratum_codes(cohort)[rows]
    return {
        "pairs": pair_sums(risk, time, event, strata, weights),
        "influence": influence_sums(risk, time, event, strata),
        "subjects": np.array([float(len(rows))]),
        "events": np.array([float(event.sum())]),
    }


def risks(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Count the selected subjects' risks in equal bins of [0, 1]."""
    rows, _, _ = known_outcome(cohort, plan, body)
    risk = mean_risk(predict_survival(cohort, plan, body, arrays, rows))
    counted, _ = np.histogram(risk, bins=DISTRIBUTION_BINS, range=(0.0, 1.0))
    return {"histogram": counted.astype(np.float64)}


def mean_risk(survival: Floats) -> Floats:
    """Return one minus the mean survival over the plan's intervals: the share of time lost, [n].

    One number that ranks subjects over the whole follow-up, and not at a single horizon.
    """
    risk: Floats = 1 - survival.mean(axis=1)
    return risk


def predict_survival(
    cohort: Cohort, plan: Plan, body: Body, arrays: Parameters, rows: NDArray[np.intp]
) -> Floats:
    """Predict the probability of being event-free at each interval's end, [n, K].

    Raises:
        UpdateError: If the kind of model is unknown, or a prediction is not finite.
    """
    if body["model"] == "cox":
        log_hazard = design(cohort, plan, body, arrays)[rows] @ arrays["cox.beta"]
        edges = edges_days(plan)
        predicted = survival_at(log_hazard, arrays["cox.hazard"], edges, edges[1:])
    elif body["model"] in ("network", "ensemble"):
        each = [
            survival_from_logits(_logits(cohort, plan, body, one, rows).double()).numpy()
            for one in members_of(body["model"], arrays)
        ]
        predicted = np.mean(each, axis=0) if len(each) > 1 else each[0]
    else:
        raise UpdateError(f"'{body['model']}' is no kind of model.")
    if not np.isfinite(predicted).all():
        raise UpdateError("The model's predictions are not finite at this hospital.")
    return predicted


def members_of(kind: str, arrays: Parameters) -> list[dict[str, Array]]:
    """Return the networks of a model: one with its arrays, or each member of an ensemble.

    A site that keeps weights of its own (`keep.personal.*`) has them in place of the global ones.

    Raises:
        UpdateError: If an ensemble has no member.
    """
    if kind == "network":
        return [personal(arrays)]
    shared = {name: array for name, array in arrays.items() if not name.startswith("member.")}
    members: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        if name.startswith("member."):
            _, number, own = name.split(".", 2)
            members.setdefault(number, dict(shared))[own] = array
    if not members:
        raise UpdateError("The ensemble has no member.")
    return [members[number] for number in sorted(members)]


def _evaluate_binary(
    cohort: Cohort, plan: Plan, body: Body, arrays: Parameters
) -> dict[str, Array]:
    rows = select(cohort, plan, body["select"])
    labels = labels_of(cohort, body["endpoint"])
    rows = rows[~np.isnan(labels[rows])]
    each = [
        torch.sigmoid(_logits(cohort, plan, body, one, rows)[:, 0].double()).numpy()
        for one in members_of(body["model"], arrays)
    ]
    probability = np.mean(each, axis=0) if len(each) > 1 else each[0]
    return dict(
        binary.binary_sums(
            score=probability, label=labels[rows] > 0.5, weights=_weights(cohort, plan, rows)
        )
    )


def _logits(
    cohort: Cohort, plan: Plan, body: Body, arrays: Parameters, rows: NDArray[np.intp]
) -> torch.Tensor:
    matrix = design(cohort, plan, body, arrays)
    network = network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    load_model(network, arrays)
    network.eval()
    found = [torch.zeros((0, _outputs(plan, body["endpoint"])))]
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            samples = samples_of(cohort, plan, rows[start : start + BATCH], matrix)
            found.append(network(samples.images, samples.covariates)[body["endpoint"]])
    return torch.cat(found)


def _outputs(plan: Plan, endpoint: str) -> int:
    return 1 if endpoint in plan.endpoints.binary else len(plan.model.intervals_months) - 1


def _at(survival: Floats, ends: Floats, time: float) -> Floats:
    """Return survival at a time on an interval's end, [n]."""
    column: Floats = survival[:, int(np.argmin(np.abs(ends - time)))]
    return column


def _at_own_time(survival: Floats, edges: Floats, time: Floats) -> Floats:
    """Return each subject's survival at its own time, [n]; log survival is linear in between."""
    start = np.zeros((len(survival), 1))
    logarithm = np.concatenate([start, np.log(np.maximum(survival, 1e-300))], axis=1)
    place = np.clip(np.searchsorted(edges, time, side="left") - 1, 0, len(edges) - 2)
    share = np.clip((time - edges[place]) / (edges[place + 1] - edges[place]), 0.0, 1.0)
    each = np.arange(len(survival))
    low, high = logarithm[each, place], logarithm[each, place + 1]
    own: Floats = np.exp(low + share * (high - low))
    return own


def _spread(risk: Floats, cdf: Array | None) -> Floats:
    if cdf is None:
        return risk
    spread: Floats = np.interp(risk, np.linspace(0.0, 1.0, len(cdf)), cdf)
    return spread


def _weights(cohort: Cohort, plan: Plan, rows: NDArray[np.intp]) -> Floats:
    keys = [cohort.subjects[row] for row in rows]
    return bootstrap_weights(keys, replicates=plan.evaluation.bootstrap, seed=plan.seed)
