"""Everything that a node can be asked to compute, in one fixed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from fedpet.cohort.samples import Cohort
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.training import (
    accepting,
    cox,
    curves,
    describe,
    evaluate,
    harmonising,
    judging,
    likeness,
    loop,
    membership,
    private,
    screen,
    statistics,
)

Work: TypeAlias = Callable[[Cohort, Plan, Mapping[str, Any], Parameters], Mapping[str, Array]]

WORK: Mapping[str, Work] = {
    "count": statistics.count,
    "moments": statistics.moments,
    "cox": cox.stratified,
    "histogram": statistics.histogram,
    "exposure": statistics.exposure,
    "initialise": loop.initial,
    "train": loop.train,
    "loss": loop.loss,
    "gradient": private.gradient_sum,
    "risks": evaluate.risks,
    "evaluate": evaluate.evaluate,
    "features": likeness.features,
    "distances": likeness.distances,
    "levels": likeness.levels,
    "concordance": evaluate.concordance,
    "score": accepting.score,
    "vote": accepting.vote,
    "attack": membership.attack,
    "attest": statistics.count,  # the node signs what it knows itself; the count stays there
    "slope": judging.slope,
    "follow-up": judging.follow_up,
    "site-performance": judging.own_performance,
    "fit-cox": judging.fit_cox,
    "screen-cutpoints": screen.cutpoints,
    "combat": harmonising.sums,
    "combat-reference": harmonising.reference,
    "combat-confounding": judging.confounding,
    "cox-cells": cox.cells,
    "cox-risk": cox.risk,
    "cox-information": cox.information,
    "cox-scores": cox.scores,
    "cox-changing": cox.changing,
    "cox-effect": cox.effect,
    "curve": curves.counts,
    "log-rank": curves.compared,
    "describe-moments": describe.moments,
    "describe-histogram": describe.histogram,
    "describe-levels": describe.levels,
    "describe-site": describe.site,
    "describe-duplicates": describe.duplicates,
}


def threads() -> int:
    """Return how many threads work is done with in this process."""
    return torch.get_num_threads()
