"""Everything that can be told of one subject by the models of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fedpet.cohort.samples import Cohort
from fedpet.errors import DataError, NotFoundError
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.predict.explain import Attribution, attribute
from fedpet.survival.conformal import bound_days, level_of
from fedpet.survival.likelihoods import survival_from_logits
from fedpet.survival.likeness import Likeness
from fedpet.survival.preprocessing import MONTH_DAYS
from fedpet.training.batches import samples_of
from fedpet.training.evaluate import predict_survival
from fedpet.training.likeness import features_of
from fedpet.training.networks import load_model, network_of
from fedpet.training.selection import columns_of
from fedpet.training.statistics import design, edges_days, preprocessing

Floats = NDArray[np.float64]
ALPHA = 0.1
UNLIKE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What a run keeps.

    Args:
        network: The network that tells the risk.
        refits: The same network fitted without some of the subjects, in the order of the folds.
        final: The network fitted on everybody; likeness is judged in what it sees.
        companion: From `federation.companion`; empty if the run kept none.
        unseen: Whether `network` was fitted without this subject.
    """

    network: Parameters
    refits: Sequence[Parameters]
    final: Parameters
    companion: Parameters
    unseen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """A covariate's part in the risk.

    Args:
        name: Canonical name.
        value: As recorded, in its unit; None if it is missing.
        amount: What it adds to the risk against an average subject.
    """

    name: str
    value: float | None
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the models say of one subject for one endpoint.

    Args:
        subject: Its pseudonym.
        endpoint: The endpoint.
        months: Ends of the intervals.
        survival: Probability of being event-free at each of them, [K].
        low: The lowest of the refitted networks, [K].
        high: The highest, [K].
        refits: How many networks `low` and `high` come from.
        bound_months: Event-free until then with `1 - ALPHA` certainty; None if nothing can be
            promised.
        share_as_far: Share of the training subjects that are at least as unusual; None if unknown.
        projections: SUV, [views, height, width].
        attribution: Where the risk over the whole follow-up comes from.
        contributions: Of the covariates, largest first.
        unseen: Whether the network that told this was fitted without the subject.
    """

    subject: str
    endpoint: str
    months: tuple[float, ...]
    survival: Floats
    low: Floats
    high: Floats
    refits: int
    bound_months: float | None
    share_as_far: float | None
    projections: NDArray[np.float32]
    attribution: Attribution
    contributions: tuple[Contribution, ...]
    unseen: bool

    @property
    def unlike(self) -> bool:
        """Whether the subject is unlike those that the network learned from."""
        return self.share_as_far is not None and self.share_as_far < UNLIKE


def predict(cohort: Cohort, plan: Plan, models: Models, *, subject: str) -> Prediction:
    """Tell of one subject what the models of a run say, for the plan's primary endpoint.

    Args:
        cohort: The hospital's.
        plan: The run's.
        models: From the run.
        subject: Pseudonym of the subject.

    Raises:
        NotFoundError: If the cohort has no such subject.
        DataError: If the cohort lacks a column that the network reads.
        UpdateError: If a network does not fit the plan, or its prediction is not finite.
    """
    if subject not in cohort.subjects:
        raise NotFoundError(
            "The cohort holds no subject of this pseudonym.",
            do="Take a pseudonym of cohort/cohort.json in the hospital's folder.",
            code="FP-6023",
        )
    row = np.array([cohort.subjects.index(subject)])
    columns = plan.inputs.clinical
    if lacking := [name for name in columns if name not in cohort.columns]:
        raise DataError(
            f"The cohort has no column '{lacking[0]}', which the network reads.",
            do="Add it to the dictionary and build the cohort again.",
        )
    endpoint = plan.endpoints.primary
    body = {
        "model": "network",
        "columns": list(columns),
        "endpoint": endpoint,
        "select": {"fold": None, "part": "all", "members": None},
    }
    survival = predict_survival(cohort, plan, body, models.network, row)
    others = [predict_survival(cohort, plan, body, one, row)[0] for one in models.refits]
    spread = np.stack(others) if others else survival
    attribution = _attribution(cohort, plan, models.network, body, row)
    return Prediction(
        subject=subject,
        endpoint=endpoint,
        months=plan.model.intervals_months[1:],
        survival=survival[0],
        low=spread.min(axis=0),
        high=spread.max(axis=0),
        refits=len(others),
        bound_months=_bound(survival, edges_days(plan), models.companion, endpoint),
        share_as_far=_share_as_far(cohort, plan, models, body, row),
        projections=np.asarray(cohort.mips[row[0]], np.float32),
        attribution=attribution,
        contributions=_contributions(cohort, plan, models.network, body, row, attribution),
        unseen=models.unseen,
    )


def mean_survival(predictions: Sequence[Floats]) -> Floats:
    """Return what an ensemble predicts: the mean of its members' survival, [n, K]."""
    mean: Floats = np.mean(np.stack(list(predictions)), axis=0)
    return mean


def _bound(survival: Floats, edges: Floats, companion: Parameters, endpoint: str) -> float | None:
    share = companion.get(f"failures.{endpoint}")
    level = 0.0 if share is None else level_of(share, alpha=ALPHA)
    return float(bound_days(survival, edges, level=level)[0]) / MONTH_DAYS if level > 0 else None


def _share_as_far(
    cohort: Cohort,
    plan: Plan,
    models: Models,
    body: Mapping[str, object],
    row: NDArray[np.intp],
) -> float | None:
    if "likeness.mean" not in models.companion:
        return None
    known = Likeness(
        mean=models.companion["likeness.mean"], inverse=models.companion["likeness.inverse"]
    )
    seen = features_of(cohort, plan, body, models.final, row)
    return float(known.share_as_far(seen, models.companion["likeness.histogram"])[0])


def _attribution(
    cohort: Cohort,
    plan: Plan,
    arrays: Parameters,
    body: Mapping[str, object],
    row: NDArray[np.intp],
) -> Attribution:
    matrix = design(cohort, plan, body, arrays)
    network = network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    load_model(network, arrays)
    network.eval()

    def score(images: Tensor, covariates: Tensor) -> Tensor:
        logits = network(images, covariates)[plan.endpoints.primary]
        return 1 - survival_from_logits(logits).mean(dim=1)

    samples = samples_of(cohort, plan, row, matrix)
    return attribute(score, samples.images[0], samples.covariates[0])


def _contributions(
    cohort: Cohort,
    plan: Plan,
    arrays: Parameters,
    body: Mapping[str, object],
    row: NDArray[np.intp],
    attribution: Attribution,
) -> tuple[Contribution, ...]:
    """Add up what a covariate and the mark that it is missing contribute."""
    amounts: dict[str, float] = {}
    prep = preprocessing(body, arrays)
    for name, amount in zip(prep.names, attribution.covariates, strict=True):
        column = name if name in prep.columns else name.removesuffix(" missing")
        amounts[column] = amounts.get(column, 0.0) + float(amount)
    values = dict(zip(prep.columns, columns_of(cohort, plan, prep.columns)[row[0]], strict=True))
    found = [
        Contribution(
            name=name,
            value=None if np.isnan(values[name]) else float(values[name]),
            amount=amount,
        )
        for name, amount in amounts.items()
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.amount)))
