"""How good is a predicted probability of yes or no? From a histogram of scores by class.

A score counts as the middle of its bin; scores of one bin are ties. Rounded to the bins before,
the AUC, its variance and the decision curve are those of the pooled scores to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival.bootstrap import Estimate, Measured, ratio, scatter
from fedpet.survival.concordance import Z95
from fedpet.survival.decision import DecisionCurve, binary_decision_curve

Floats = NDArray[np.float64]
SCORE_BINS = 200


def binary_sums(*, score: Floats, label: NDArray[np.bool_], weights: Floats) -> dict[str, Floats]:
    """Sum what a site's subjects say of a predicted probability.

    Args:
        score: Predicted probability of yes, [n].
        label: [n].
        weights: From `bootstrap_weights`, [R + 1, n].

    Returns:
        `scores` [R + 1, 2, SCORE_BINS]: weight by (no or yes, score bin); `error` [R + 1]: squared
        errors; `expected` [R + 1]: sum of the scores.
    """
    which = np.clip((score * SCORE_BINS + 1e-9).astype(np.int64), 0, SCORE_BINS - 1)
    scores = scatter(weights, label.astype(np.int64) * SCORE_BINS + which, 2 * SCORE_BINS)
    return {
        "scores": scores.reshape(len(weights), 2, SCORE_BINS),
        "error": weights @ (score - label) ** 2,
        "expected": weights @ score,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryPerformance:
    """All that the sums say of a predicted probability.

    Args:
        subjects: Number of subjects judged.
        positives: Number of yes.
        auc: Area under the ROC curve; ties in a bin count half.
        delong: The same with DeLong's interval, None where a class is missing.
        delong_error: DeLong's standard error, None with fewer than two of a class.
        brier: Brier score.
        observed_expected: Number of yes over the sum of the predictions.
        decision: Net benefit by threshold.
    """

    subjects: int
    positives: int
    auc: Measured
    delong: Estimate | None
    delong_error: float | None
    brier: Measured
    observed_expected: Measured
    decision: DecisionCurve


def binary_performance(summed: Mapping[str, Floats]) -> BinaryPerformance:
    """Turn summed `binary_sums` into numbers with intervals."""
    no, yes = summed["scores"][:, 0], summed["scores"][:, 1]
    lower = np.cumsum(no, axis=1) - no
    agree = (yes * (lower + no / 2)).sum(axis=1)
    subjects = (no + yes).sum(axis=1)
    area = ratio(agree, yes.sum(axis=1) * no.sum(axis=1))
    error = delong_error(no[0], yes[0])
    return BinaryPerformance(
        subjects=round(float(subjects[0])),
        positives=round(float(yes[0].sum())),
        auc=Measured(replicates=area),
        delong=_interval(float(area[0]), error),
        delong_error=error,
        brier=Measured(replicates=ratio(summed["error"], subjects)),
        observed_expected=Measured(replicates=ratio(yes.sum(axis=1), summed["expected"])),
        decision=binary_decision_curve(summed["scores"]),
    )


def delong_error(no: Floats, yes: Floats) -> float | None:
    """Return DeLong's standard error of the AUC from counts of scores by class.

    Args:
        no: Subjects without the outcome by score bin, [B].
        yes: Subjects with it, [B].

    Returns:
        None with fewer than two subjects of a class.

    Source:
        DeLong et al. 1988.

    Examples:
        >>> round(delong_error(np.array([2.0, 1, 0]), np.array([0.0, 1, 2])), 4)
        0.0786
    """
    negatives, positives = no.sum(), yes.sum()
    if negatives < 2 or positives < 2:
        return None
    of_yes = (np.cumsum(no) - no / 2) / negatives
    of_no = 1 - (np.cumsum(yes) - yes / 2) / positives
    area = float((yes * of_yes).sum() / positives)
    variance = (yes * (of_yes - area) ** 2).sum() / (positives - 1) / positives
    variance += (no * (of_no - area) ** 2).sum() / (negatives - 1) / negatives
    return float(np.sqrt(variance))


def _interval(area: float, error: float | None) -> Estimate | None:
    if not np.isfinite(area):
        return None
    if error is None:
        return Estimate(value=area, low=None, high=None)
    low, high = max(0.0, area - Z95 * error), min(1.0, area + Z95 * error)
    return Estimate(value=area, low=low, high=high)
