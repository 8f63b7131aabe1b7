"""Tell at the site who trained a model, and count how often that is right; counts leave only.

The attack scores each subject by a statistic, and each score is the share of those at the same
site who did not train and have a smaller one. Thresholds on it are fixed before the data are seen:
a score of 0.9 or more is meant to raise one false alarm in ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.training.accepting import subject_losses
from fedpet.training.selection import in_half

BINS = 100
Floats = NDArray[np.float64]
Body = Mapping[str, Any]


def attack(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Array]:
    """Attack the model of half 0, with those of the other halves as references.

    Args:
        cohort: The site's cohort.
        plan: Its `audit.references` tells how many references there are.
        body: `columns`, `select` (all subjects).
        arrays: `prep.*`; the models as `m0.*`, `m1.*` and so on.

    Returns:
        For `loss` (a small loss tells a member) and `reference` (a loss that is small beside that
        of the references): `<attack>.members` and `<attack>.others`, subjects by score in
        `BINS` equal bins of [0, 1].

    Source:
        Yeom et al. 2018 (loss); Zarifzadeh et al. 2024, *RMIA* (ratios to references, ranked among
        others of the population).
    """
    prep = {name: array for name, array in arrays.items() if name.startswith("prep.")}
    losses = []
    for number in range(plan.audit.references + 1):
        start = f"m{number}."
        model = {
            f"model.{n.removeprefix(start)}": a for n, a in arrays.items() if n.startswith(start)
        }
        each = subject_losses(cohort, plan, body, {**prep, **model})
        table = np.stack(list(each.values()))
        losses.append(np.where(np.isnan(table).all(axis=0), np.nan, np.nansum(table, axis=0)))
    found = np.stack(losses)
    known = ~np.isnan(found[0])
    members = in_half(cohort, plan, 0)[known]
    return {
        f"{name}.{who}": counts
        for name, statistic in statistics_of(found[:, known]).items()
        for who, counts in counted(statistic, members).items()
    }


def statistics_of(losses: Floats) -> dict[str, Floats]:
    """Return what each attack goes by, [subjects]; large values speak for membership.

    Args:
        losses: [models, subjects], the attacked model first.
    """
    likelihood = -losses
    top = likelihood[1:].max(axis=0)
    reference = top + np.log(np.exp(likelihood[1:] - top).mean(axis=0))
    return {"loss": likelihood[0], "reference": likelihood[0] - reference}


def counted(statistic: Floats, members: NDArray[np.bool_]) -> dict[str, Array]:
    """Count members and others by score."""
    others = np.sort(statistic[~members])
    scores = {}
    for who, values, own in (("members", statistic[members], 0), ("others", others, 1)):
        below = np.searchsorted(others, values, "left").astype(np.float64)
        ties = np.searchsorted(others, values, "right") - below - own
        share = (below + ties / 2) / max(1, len(others) - own)
        scores[who] = np.histogram(np.clip(share, 0, 1), bins=BINS, range=(0.0, 1.0))[0]
    return {who: counts.astype(np.float64) for who, counts in scores.items()}
