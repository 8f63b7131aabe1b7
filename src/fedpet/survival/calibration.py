"""Does it happen as often as predicted? In all, by group of risk, and over the whole follow-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival import kaplan_meier
from fedpet.survival.bootstrap import Measured, ratio, scatter

Floats = NDArray[np.float64]
D_BINS = 10
GROUP_SUBJECTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Predicted and observed probability of the event in one group of similar risk."""

    predicted: float
    observed: float
    low: float | None
    high: float | None
    subjects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DCalibration:
    """Whether predicted survival at one's own time is spread evenly, as it must be if it is true.

    Args:
        shares: [D_BINS], share of subjects by predicted survival, from near 1 down to 0; a tenth
            each if calibrated.
        statistic: Chi-square with D_BINS - 1 degrees of freedom.
        p: Its p-value; a small one says that the predictions are not calibrated.
    """

    shares: tuple[float, ...]
    statistic: float
    p: float


def d_calibration_sums(own: Floats, event: NDArray[np.bool_], weights: Floats) -> Floats:
    """Spread a site's subjects over bins of predicted survival at their own time.

    A subject with an event counts in its bin; one censored at predicted survival s would have its
    event at some survival below s, and is spread evenly over [0, s].

    Args:
        own: Predicted survival of each subject at its own follow-up, [n].
        event: Whether the follow-up ended with the event, [n].
        weights: [R + 1, n].

    Returns:
        [R + 1, D_BINS], the first bin holds survival near 1.

    Source:
        Haider et al. 2020, appendix B.
    """
    edges = np.linspace(1.0, 0.0, D_BINS + 1)
    which = np.clip(np.searchsorted(-edges, -own, side="left") - 1, 0, D_BINS - 1)
    counts = scatter(weights[:, event], which[event].astype(np.int64), D_BINS)
    survival = own[~event]
    part = np.clip(survival[:, None] - edges[1:], 0.0, edges[:-1] - edges[1:])
    spread = ratio(part, survival[:, None], empty=0.0)
    spread[survival <= 0, -1] = 1.0
    total: Floats = counts + weights[:, ~event] @ spread
    return total


def d_calibration(counts: Floats) -> DCalibration | None:
    """Test summed `d_calibration_sums`, [D_BINS]; None where nobody was judged.

    Examples:
        >>> d_calibration(np.full(10, 12.0)).p
        1.0
    """
    from scipy.special import chdtrc

    total = counts.sum()
    if not total > 0:
        return None
    expected = total / D_BINS
    statistic = float(((counts - expected) ** 2).sum() / expected)
    return DCalibration(
        shares=tuple(float(share) for share in counts / total),
        statistic=statistic,
        p=float(chdtrc(D_BINS - 1, statistic)),
    )


def risk_groups(joint: Floats, predicted: Floats, edge: int) -> tuple[Floats, Floats, Floats]:
    """Put neighbouring risk bins into groups of similar size, at most ten.

    Args:
        joint: [R + 1, 2, T, K].
        predicted: Sum of predicted probabilities by risk bin, [R + 1, K].
        edge: Number of time bins up to the horizon.

    Returns:
        Subjects, mean predicted and observed (one minus Kaplan-Meier) probability, each
        [R + 1, groups].
    """
    size = joint.sum(axis=(1, 2))
    share = np.cumsum(size[0]) / max(size[0].sum(), 1e-12)
    groups = min(10, max(2, int(size[0].sum() // GROUP_SUBJECTS)))
    which = np.minimum((share - size[0] / max(2 * size[0].sum(), 1e-12)) * groups, groups - 1)
    member = np.eye(groups)[which.astype(np.int64)]
    subjects = size @ member
    observed = 1 - kaplan_meier.survival(np.einsum("retk,kg->rget", joint, member))[..., edge - 1]
    return subjects, ratio(predicted @ member, subjects), observed


def group_slope(subjects: Floats, predicted: Floats, observed: Floats) -> Floats:
    """Regress observed on predicted, both log(-log(1 - p)), weighted by subjects, [R + 1]."""
    usable = (observed > 0) & (observed < 1) & (predicted > 0) & (predicted < 1)
    weight = np.where(usable, subjects, 0.0)
    x, y = (np.log(-np.log1p(-np.where(usable, p, 0.5))) for p in (predicted, observed))
    total = weight.sum(axis=1, keepdims=True)
    x = x - ratio((weight * x).sum(axis=1, keepdims=True), total)
    y = y - ratio((weight * y).sum(axis=1, keepdims=True), total)
    slope = ratio((weight * x * y).sum(axis=1), (weight * x * x).sum(axis=1))
    return np.where(usable.sum(axis=1) >= 3, slope, np.nan)


def calibration_bins(
    subjects: Floats, predicted: Floats, observed: Floats
) -> tuple[CalibrationBin, ...]:
    """Return the groups of `risk_groups` that hold anybody, with intervals."""
    found = []
    for g in range(subjects.shape[1]):
        estimate = Measured(replicates=observed[:, g]).estimate()
        if estimate is None or not np.isfinite(predicted[0, g]):
            continue
        found.append(
            CalibrationBin(
                predicted=float(predicted[0, g]),
                observed=estimate.value,
                low=estimate.low,
                high=estimate.high,
                subjects=round(float(subjects[0, g])),
            )
        )
    return tuple(found)
