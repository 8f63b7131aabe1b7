"""How good is a model? Any model, any number of hospitals, from sums.

Each site bins its subjects by event, time and risk, counts concordant pairs and adds squared
errors; the server turns the sums into C-index, AUC, Brier score and calibration. Every sum is
taken once with weight one and R times with Poisson weights that a site draws for its own
subjects, so that all numbers have bootstrap intervals and two models can be compared in pairs.

Conventions: at ties events come before censorings; the censoring distribution G comes from the
binned times; an event in a bin is weighted with 1/G at the bin's start, survival at a horizon
with 1/G at the horizon.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival import kaplan_meier

Floats = NDArray[np.float64]
REPLICATES_MIN = 20
SCORE_BINS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % bootstrap interval, None where too few replicates gave one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A statistic on the data and on every bootstrap replicate.

    Args:
        replicates: [R + 1]; first the data themselves. NaN where it is not defined.
    """

    replicates: Floats

    def estimate(self) -> Estimate | None:
        """Return value and percentile interval, or None if the data do not define it."""
        value = float(self.replicates[0])
        if not np.isfinite(value):
            return None
        known = self.replicates[1:][np.isfinite(self.replicates[1:])]
        if len(known) < REPLICATES_MIN:
            return Estimate(value=value, low=None, high=None)
        low, high = np.quantile(known, [0.025, 0.975])
        return Estimate(value=value, low=float(low), high=float(high))

    def minus(self, other: Measured) -> Measured:
        """Return the paired difference; both must come from the same run."""
        return Measured(replicates=self.replicates - other.replicates)


def bootstrap_weights(keys: Sequence[str], *, replicates: int, seed: int) -> Floats:
    """Draw Poisson(1) weights at the site, the same for every model of a run.

    Args:
        keys: Something that names each subject at its site only; it does not leave.
        replicates: R.
        seed: The plan's seed.

    Returns:
        [R + 1, n], the first row ones.

    Source:
        Hanley & MacGibbon 2006 (Poisson bootstrap).
    """
    weights = np.ones((replicates + 1, len(keys)))
    for column, key in enumerate(keys):
        number = int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:16], "little")
        weights[1:, column] = np.random.Generator(np.random.PCG64(number)).poisson(1.0, replicates)
    return weights


def performance_sums(
    *,
    risk: Floats,
    binned_risk: Floats,
    survival: Floats,
    time_days: Floats,
    event: NDArray[np.bool_],
    strata: NDArray[np.int64],
    weights: Floats,
    horizons_days: Floats,
    time_edges_days: Floats,
    risk_edges: Floats,
) -> dict[str, NDArray[np.float32] | Floats]:
    """Sum what a site's subjects say of a model's predictions for one endpoint.

    Args:
        risk: Predicted risk, higher is worse, [n]; ranks subjects within a site.
        binned_risk: A monotone function of it in [0, 1] that fills the bins evenly, [n].
        survival: Predicted probability of being event-free at each horizon, [n, H].
        time_days: Follow-up, [n].
        event: Whether the event was seen, [n].
        strata: Site of each subject, [n].
        weights: From `bootstrap_weights`, [R + 1, n].
        horizons_days: [H], each on a time edge.
        time_edges_days: [T + 1] from 0; times behind the last edge get a bin of their own.
        risk_edges: [K + 1] from 0 to 1.

    Returns:
        `joint` [R + 1, 2, T + 1, K]: weight by (censored or event, time bin, risk bin);
        `pairs` [R + 1, 3]: concordant, tied and all comparable pairs within strata;
        `predicted` [R + 1, H, K]: sum of predicted event probabilities by risk bin;
        `event_error` [R + 1, H, T + 1] and `free_error` [R + 1, H]: squared errors of subjects
        with an event by its time bin, and of those event-free at the horizon.
    """
    which_time = np.clip(np.searchsorted(time_edges_days, time_days, side="left") - 1, 0, None)
    which_risk = np.clip(np.searchsorted(risk_edges, binned_risk, side="right") - 1, 0, None)
    which_risk = np.minimum(which_risk, len(risk_edges) - 2)
    times, risks = len(time_edges_days), len(risk_edges) - 1
    joint = _scatter(
        weights,
        (event.astype(np.int64) * times + which_time) * risks + which_risk,
        2 * times * risks,
    )
    free = time_days[:, None] > horizons_days
    predicted, event_error, free_error = [], [], []
    for h in range(len(horizons_days)):
        predicted.append(_scatter(weights * (1 - survival[:, h]), which_risk, risks))
        seen = event & ~free[:, h]
        event_error.append(
            _scatter(weights[:, seen] * survival[seen, h] ** 2, which_time[seen], times)
        )
        free_error.append(weights @ (free[:, h] * (1 - survival[:, h]) ** 2))
    return {
        "joint": joint.reshape(len(weights), 2, times, risks).astype(np.float32),
        "pairs": _pairs(risk, time_days, event, strata, weights),
        "predicted": np.stack(predicted, axis=1),
        "event_error": np.stack(event_error, axis=1),
        "free_error": np.stack(free_error, axis=1),
    }


def own_sums(
    *,
    risk: Floats,
    time_days: Floats,
    event: NDArray[np.bool_],
    strata: NDArray[np.int64],
    weights: Floats,
) -> dict[str, Floats]:
    """Sum what one hospital may release of its own: pairs and counts, nothing by time or risk.

    The arguments are those of `performance_sums`.

    Returns:
        `pairs` [R + 1, 3]; `subjects` and `events`, each [1].
    """
    return {
        "pairs": _pairs(risk, time_days, event, strata, weights),
        "subjects": np.array([float(len(risk))]),
        "events": np.array([float(event.sum())]),
    }


def concordance_within(pairs: Floats) -> Measured:
    """Turn summed pairs, [R + 1, 3], into the C-index within hospitals."""
    concordant, tied, comparable = pairs.T
    return Measured(replicates=_ratio(concordant + tied / 2, comparable))


def _scatter(weights: Floats, bins: NDArray[np.int64], count: int) -> Floats:
    """Add the columns of `weights` into their bins, [rows, count]."""
    summed = np.zeros((len(weights), count))
    if len(bins):
        order = np.argsort(bins, kind="stable")
        found, first = np.unique(bins[order], return_index=True)
        summed[:, found] = np.add.reduceat(weights[:, order], first, axis=1)
    return summed


def _pairs(
    risk: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    strata: NDArray[np.int64],
    weights: Floats,
) -> Floats:
    total = np.zeros((len(weights), 3))
    for code in np.unique(strata):
        rows = strata == code
        r, t, e, w = risk[rows], time[rows], event[rows], weights[:, rows]
        later = (t[:, None] < t) | ((t[:, None] == t) & ~e)
        comparable = e[:, None] & later
        np.fill_diagonal(comparable, val=False)
        for column, chosen in enumerate(
            (comparable & (r[:, None] > r), comparable & (r[:, None] == r), comparable)
        ):
            total[:, column] += ((w @ chosen.astype(np.float64)) * w).sum(axis=1)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Predicted and observed probability of the event in one group of similar risk."""

    predicted: float
    observed: float
    low: float | None
    high: float | None
    subjects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """All that the sums say of one model on one endpoint; dictionaries are keyed by horizon.

    Args:
        subjects: Number of subjects judged.
        events: Number of events.
        c_within: Concordance of pairs of the same hospital, exact.
        c_global: Concordance of all pairs, from the joint histogram.
        auc: Cumulative/dynamic AUC at each horizon (inverse probability of censoring weights).
        brier: Brier score at each horizon, same weights.
        brier_reference: Brier score of the Kaplan-Meier estimate for everybody.
        observed_expected: Observed over predicted probability of the event.
        slope: Calibration slope on the complementary log-log scale over risk groups.
        bins: Calibration by risk group.
    """

    subjects: int
    events: int
    c_within: Measured
    c_global: Measured
    auc: tuple[Measured, ...]
    brier: tuple[Measured, ...]
    brier_reference: tuple[float, ...]
    observed_expected: tuple[Measured, ...]
    slope: tuple[Measured, ...]
    bins: tuple[tuple[CalibrationBin, ...], ...]


def performance(
    summed: Mapping[str, Floats], *, horizons_days: Floats, time_edges_days: Floats
) -> Performance:
    """Turn summed `performance_sums` into numbers with intervals.

    Source:
        C-index: Harrell 1982; within hospitals: van Klaveren et al. 2014. AUC: Uno et al. 2007,
        Hung & Chiang 2010. Brier score: Graf et al. 1999.
    """
    joint = np.asarray(summed["joint"], np.float64)
    horizon = [int(np.argmin(np.abs(time_edges_days - h))) for h in horizons_days]
    free = _censoring_free(joint)
    survived = kaplan_meier.survival(joint.sum(axis=3))
    auc, brier, reference, ratio, slope, bins = [], [], [], [], [], []
    for h, edge in enumerate(horizon):
        auc.append(Measured(replicates=_auc(joint, free, edge)))
        error = _brier(joint, free, edge, summed["event_error"][:, h], summed["free_error"][:, h])
        brier.append(Measured(replicates=error))
        reference.append(_brier_of_all(joint[:1], free[:1], edge, survived[0, edge - 1]))
        expected = summed["predicted"][:, h].sum(axis=1)
        observed = (1 - survived[:, edge - 1]) * joint.sum(axis=(1, 2, 3))
        ratio.append(Measured(replicates=_ratio(observed, expected)))
        points = _groups(joint, summed["predicted"][:, h], edge)
        slope.append(Measured(replicates=_slope(*points)))
        bins.append(_bins(*points))
    return Performance(
        subjects=round(float(joint[0].sum())),
        events=round(float(joint[0, 1].sum())),
        c_within=concordance_within(summed["pairs"]),
        c_global=Measured(replicates=_concordance(joint)),
        auc=tuple(auc),
        brier=tuple(brier),
        brier_reference=tuple(reference),
        observed_expected=tuple(ratio),
        slope=tuple(slope),
        bins=tuple(bins),
    )


def _censoring_free(joint: Floats) -> Floats:
    """Return G at the start of each time bin and behind the last, [R + 1, T + 2]."""
    counts = joint.sum(axis=3)
    lost = _ratio(counts[:, 0], kaplan_meier.at_risk(counts) - counts[:, 1], empty=0.0)
    steps = np.cumprod(1 - lost, axis=1)
    return np.concatenate([np.ones((len(joint), 1)), steps], axis=1)


def _concordance(joint: Floats) -> Floats:
    censored, events = joint[:, 0], joint[:, 1]
    both = censored + events
    later = np.cumsum(both[:, ::-1], axis=1)[:, ::-1] - both + censored
    lower = np.cumsum(later, axis=2) - later
    agree = (events * (lower + later / 2)).sum(axis=(1, 2))
    return _ratio(agree, (events * later.sum(axis=2, keepdims=True)).sum(axis=(1, 2)))


def _auc(joint: Floats, free: Floats, edge: int) -> Floats:
    weight = _ratio(np.ones_like(free), free, empty=0.0)[:, :edge]
    cases = (joint[:, 1, :edge] * weight[:, :, None]).sum(axis=1)
    controls = joint[:, :, edge:].sum(axis=(1, 2))
    lower = np.cumsum(controls, axis=1) - controls
    agree = (cases * (lower + controls / 2)).sum(axis=1)
    return _ratio(agree, cases.sum(axis=1) * controls.sum(axis=1))


def _brier(
    joint: Floats, free: Floats, edge: int, event_error: Floats, free_error: Floats
) -> Floats:
    weight = _ratio(np.ones_like(free), free, empty=0.0)
    squared = (event_error[:, :edge] * weight[:, :edge]).sum(axis=1) + free_error * weight[:, edge]
    return _ratio(squared, joint.sum(axis=(1, 2, 3)))


def _brier_of_all(joint: Floats, free: Floats, edge: int, survived: float) -> float:
    events = joint[:, 1].sum(axis=2) * survived**2
    controls = joint[:, :, edge:].sum(axis=(1, 2, 3)) * (1 - survived) ** 2
    return float(_brier(joint, free, edge, events, controls)[0])


def _groups(joint: Floats, predicted: Floats, edge: int) -> tuple[Floats, Floats, Floats]:
    """Return subjects, predicted and observed probability in risk groups, each [R + 1, groups]."""
    size = joint.sum(axis=(1, 2))
    share = np.cumsum(size[0]) / max(size[0].sum(), 1e-12)
    groups = min(10, max(2, int(size[0].sum() // 30)))
    which = np.minimum((share - size[0] / max(2 * size[0].sum(), 1e-12)) * groups, groups - 1)
    member = np.eye(groups)[which.astype(np.int64)]
    subjects = size @ member
    observed = 1 - kaplan_meier.survival(np.einsum("retk,kg->rget", joint, member))[..., edge - 1]
    return subjects, _ratio(predicted @ member, subjects), observed


def _slope(subjects: Floats, predicted: Floats, observed: Floats) -> Floats:
    """Regress observed on predicted, both log(-log(1 - p)), weighted by subjects."""
    usable = (observed > 0) & (observed < 1) & (predicted > 0) & (predicted < 1)
    weight = np.where(usable, subjects, 0.0)
    x, y = (np.log(-np.log1p(-np.where(usable, p, 0.5))) for p in (predicted, observed))
    total = weight.sum(axis=1, keepdims=True)
    x = x - _ratio((weight * x).sum(axis=1, keepdims=True), total)
    y = y - _ratio((weight * y).sum(axis=1, keepdims=True), total)
    slope = _ratio((weight * x * y).sum(axis=1), (weight * x * x).sum(axis=1))
    return np.where(usable.sum(axis=1) >= 3, slope, np.nan)


def _bins(subjects: Floats, predicted: Floats, observed: Floats) -> tuple[CalibrationBin, ...]:
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


def binary_sums(*, score: Floats, label: NDArray[np.bool_], weights: Floats) -> dict[str, Floats]:
    """Sum what a site's subjects say of a predicted probability.

    Args:
        score: Predicted probability of yes, [n].
        label: [n].
        weights: From `bootstrap_weights`, [R + 1, n].

    Returns:
        `scores` [R + 1, 2, SCORE_BINS]: weight by (no or yes, score bin); `error` [R + 1]: squared
        errors.
    """
    which = np.clip((score * SCORE_BINS).astype(np.int64), 0, SCORE_BINS - 1)
    scores = _scatter(weights, label.astype(np.int64) * SCORE_BINS + which, 2 * SCORE_BINS)
    return {
        "scores": scores.reshape(len(weights), 2, SCORE_BINS),
        "error": weights @ (score - label) ** 2,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryPerformance:
    """AUC (ties in a bin count half) and Brier score of a predicted probability."""

    subjects: int
    positives: int
    auc: Measured
    brier: Measured


def binary_performance(summed: Mapping[str, Floats]) -> BinaryPerformance:
    """Turn summed `binary_sums` into numbers with intervals."""
    no, yes = summed["scores"][:, 0], summed["scores"][:, 1]
    lower = np.cumsum(no, axis=1) - no
    agree = (yes * (lower + no / 2)).sum(axis=1)
    subjects = (no + yes).sum(axis=1)
    return BinaryPerformance(
        subjects=round(float(subjects[0])),
        positives=round(float(yes[0].sum())),
        auc=Measured(replicates=_ratio(agree, yes.sum(axis=1) * no.sum(axis=1))),
        brier=Measured(replicates=_ratio(summed["error"], subjects)),
    )


def _ratio(above: Floats, below: Floats, *, empty: float = np.nan) -> Floats:
    above, below = np.broadcast_arrays(above, below)
    ratio: Floats = np.divide(above, below, out=np.full(above.shape, empty), where=below > 0)
    return ratio
