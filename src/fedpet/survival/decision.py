"""Decision curves: what a hospital gains by acting on a prediction above a threshold.

Net benefit at threshold t is the share of true positives minus the share of false positives times
t / (1 - t): the odds at which somebody who chose t trades one for the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival import kaplan_meier
from fedpet.survival.bootstrap import Measured, scatter

Floats = NDArray[np.float64]
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionCurve:
    """Net benefit by threshold probability.

    Args:
        thresholds: [D].
        model: Net benefit of treating whose predicted probability reaches the threshold.
        treat_all: Net benefit of treating everybody; treating nobody has 0.
        subjects: How many reach each threshold.
    """

    thresholds: tuple[float, ...]
    model: tuple[Measured, ...]
    treat_all: tuple[float, ...]
    subjects: tuple[int, ...]


def decision_sums(
    probability: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    weights: Floats,
    *,
    edges: Floats,
) -> Floats:
    """Count a site's subjects by predicted probability at a horizon, and by what happened.

    Args:
        probability: Predicted probability of the event by the horizon, [n].
        time: Follow-up, [n].
        event: Whether the event was seen, [n].
        weights: [R + 1, n].
        edges: Time edges from 0 to the horizon, [T + 1].

    Returns:
        [R + 1, D + 1, 2, T + 1]: by number of thresholds reached, censored or event, time bin;
        the last time bin is behind the horizon.
    """
    reached = np.searchsorted(np.array(THRESHOLDS), probability, side="right")
    when = np.clip(np.searchsorted(edges, time, side="left") - 1, 0, None)
    bins = (reached * 2 + event) * len(edges) + when
    shape = (len(weights), len(THRESHOLDS) + 1, 2, len(edges))
    return scatter(weights, bins.astype(np.int64), int(np.prod(shape[1:]))).reshape(shape)


def decision_curve(counts: Floats) -> DecisionCurve:
    """Turn summed `decision_sums` into net benefit; Kaplan-Meier where follow-up is censored.

    Source:
        Vickers & Elkin 2006; with censoring Vickers et al. 2008.
    """
    above = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    size = above.sum(axis=(2, 3))
    died = 1 - kaplan_meier.survival(above)[..., -2]
    everybody = size[:, :1]
    share = np.divide(size, everybody, out=np.zeros_like(size), where=everybody > 0)
    return _curve(share, died, size[0])


def binary_decision_curve(scores: Floats) -> DecisionCurve:
    """Turn a histogram of scores by class, [R + 1, 2, B], into net benefit.

    The bins must be equal and end at the thresholds; a score on a threshold reaches it.
    """
    width = scores.shape[2]
    first = [0, *(round(threshold * width) for threshold in THRESHOLDS)]
    behind = np.cumsum(scores[:, :, ::-1], axis=2)[:, :, ::-1][:, :, first]
    size = behind.sum(axis=1)
    everybody = size[:, :1]
    share = np.divide(size, everybody, out=np.zeros_like(size), where=everybody > 0)
    died = np.divide(behind[:, 1], size, out=np.zeros_like(size), where=size > 0)
    return _curve(share, died, size[0])


def _curve(share: Floats, died: Floats, size: Floats) -> DecisionCurve:
    """Return the curve from the share that reaches each threshold and its event probability.

    The first column is everybody.
    """
    odds = np.array(THRESHOLDS) / (1 - np.array(THRESHOLDS))
    model = share[:, 1:] * (died[:, 1:] - (1 - died[:, 1:]) * odds)
    treat_all = died[0, 0] - (1 - died[0, 0]) * odds
    return DecisionCurve(
        thresholds=THRESHOLDS,
        model=tuple(Measured(replicates=model[:, d]) for d in range(len(THRESHOLDS))),
        treat_all=tuple(float(value) for value in treat_all),
        subjects=tuple(round(float(value)) for value in size[1:]),
    )
