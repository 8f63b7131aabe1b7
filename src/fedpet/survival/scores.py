"""How good is a model? Any model, any number of hospitals, from sums.

Each site bins its subjects by event, time and risk, counts concordant pairs and adds squared
errors; the server turns the sums into C-index, AUC, Brier score, calibration and decision curve.
Every sum is taken once with weight one and R times with Poisson weights that a site draws for its
own subjects, so that all numbers have bootstrap intervals and two models can be compared in pairs.

Conventions: at ties events come before censorings; the censoring distribution G comes from binned
times, of the judged subjects or of those that the model was fitted to; an event is weighted with
1/G just before or at its time (`fedpet.survival.censoring`), survival at a horizon with 1/G at the
horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.survival import kaplan_meier
from fedpet.survival.bootstrap import Measured, ratio, scatter
from fedpet.survival.calibration import (
    CalibrationBin,
    DCalibration,
    calibration_bins,
    d_calibration,
    d_calibration_sums,
    group_slope,
    risk_groups,
)
from fedpet.survival.censoring import Censoring, When, censoring
from fedpet.survival.concordance import (
    concordance_global,
    concordance_uno,
    concordance_within,
    pair_sums,
)
from fedpet.survival.decision import DecisionCurve, decision_curve, decision_sums
from fedpet.survival.grid import Grid

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What a model says of a site's subjects for one endpoint.

    Args:
        risk: Predicted risk, higher is worse, [n]; ranks subjects within a site.
        binned: A monotone function of it in [0, 1] that fills the bins evenly, [n].
        survival: Predicted probability of being event-free at each of the grid's `brier_days`,
            [n, E].
        own: The same at each subject's own follow-up, [n]; at the end of what the model predicts
            for those who were followed for longer.
        own_event: Whether the follow-up of `own` ended with the event, [n].
    """

    risk: Floats
    binned: Floats
    survival: Floats
    own: Floats
    own_event: NDArray[np.bool_]


def performance_sums(
    predicted: Predicted,
    *,
    time_days: Floats,
    event: NDArray[np.bool_],
    strata: NDArray[np.int64],
    weights: Floats,
    grid: Grid,
) -> dict[str, NDArray[np.float32] | Floats]:
    """Sum what a site's subjects say of a model's predictions for one endpoint.

    Args:
        predicted: The predictions.
        time_days: Follow-up, [n].
        event: Whether the event was seen, [n].
        strata: Site of each subject, [n].
        weights: From `bootstrap_weights`, [R + 1, n].
        grid: T time edges, behind the last a bin of its own; K risk bins; H horizons among the E
            times of the Brier score, all on time edges.

    Returns:
        `joint` [R + 1, 2, T, K]: weight by (censored or event, time bin, risk bin);
        `pairs` [R + 1, 3]: concordant, tied and all comparable pairs within strata;
        `predicted` [R + 1, H, K]: sum of predicted event probabilities by risk bin;
        `event_error` [R + 1, E, T] and `free_error` [R + 1, E]: squared errors of subjects with an
        event by its time bin, and of those event-free at the time;
        `d_calibration` [R + 1, 10]; `decision.<h>`: see `decision.decision_sums`.
    """
    edges, times, risks = grid.time_edges_days, len(grid.time_edges_days), len(grid.risk_edges) - 1
    which_time = np.clip(np.searchsorted(edges, time_days, side="left") - 1, 0, None)
    which_risk = np.searchsorted(grid.risk_edges, predicted.binned, side="right") - 1
    which_risk = np.clip(which_risk, 0, risks - 1)
    cells = (event.astype(np.int64) * times + which_time) * risks + which_risk
    joint = scatter(weights, cells, 2 * times * risks).reshape(len(weights), 2, times, risks)
    summed: dict[str, NDArray[np.float32] | Floats] = {
        "joint": joint.astype(np.float32),
        "pairs": pair_sums(predicted.risk, time_days, event, strata, weights),
        "d_calibration": d_calibration_sums(predicted.own, predicted.own_event, weights),
    }
    event_error, free_error = [], []
    for column, days in enumerate(grid.brier_days):
        survival, free = predicted.survival[:, column], time_days > days
        seen = event & ~free
        event_error.append(scatter(weights[:, seen] * survival[seen] ** 2, which_time[seen], times))
        free_error.append(weights @ (free * (1 - survival) ** 2))
    summed["event_error"] = np.stack(event_error, axis=1)
    summed["free_error"] = np.stack(free_error, axis=1)
    probabilities = []
    for h, (column, edge) in enumerate(zip(grid.horizon_columns, grid.horizon_edges, strict=True)):
        probability = 1 - predicted.survival[:, column]
        probabilities.append(scatter(weights * probability, which_risk, risks))
        counted = decision_sums(probability, time_days, event, weights, edges=edges[: edge + 1])
        summed[f"decision.{h}"] = counted.astype(np.float32)
    summed["predicted"] = np.stack(probabilities, axis=1)
    return summed


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """All that the sums say of one model on one endpoint; tuples are aligned with the horizons.

    Args:
        subjects: Number of subjects judged.
        events: Number of events.
        c_within: Concordance of pairs of the same hospital, exact.
        c_global: Concordance of all pairs, from the joint histogram.
        c_uno: The same up to tau, weighted with 1/G squared (Uno).
        auc: Cumulative/dynamic AUC at each horizon (inverse probability of censoring weights).
        brier: Brier score at each horizon, same weights.
        brier_reference: Brier score of the Kaplan-Meier estimate for everybody.
        ibs: Brier score averaged over time, from the first to the last of the grid's
            `brier_days`, by the trapezoidal rule.
        ibs_reference: The same of the Kaplan-Meier estimate for everybody.
        observed_expected: Observed over predicted probability of the event.
        slope: Calibration slope on the complementary log-log scale over risk groups.
        bins: Calibration by risk group.
        d_calibration: Calibration over the whole follow-up.
        decision: Net benefit at each horizon.
    """

    subjects: int
    events: int
    c_within: Measured
    c_global: Measured
    c_uno: Measured
    auc: tuple[Measured, ...]
    brier: tuple[Measured, ...]
    brier_reference: tuple[float, ...]
    ibs: Measured
    ibs_reference: float
    observed_expected: tuple[Measured, ...]
    slope: tuple[Measured, ...]
    bins: tuple[tuple[CalibrationBin, ...], ...]
    d_calibration: DCalibration | None
    decision: tuple[DecisionCurve, ...]


def performance(
    summed: Mapping[str, Floats],
    *,
    grid: Grid,
    when: When = "before",
    fitted: Floats | None = None,
    tau_days: float | None = None,
) -> Performance:
    """Turn summed `performance_sums` into numbers with intervals.

    Args:
        summed: Over all sites.
        grid: The one that the sites used.
        when: Whether an event is weighted with G just `before` its time, or `at` it.
        fitted: Censored and with the event by time bin, [2, T], of the subjects that the model was
            fitted to; G is estimated from them. None: from the judged subjects.
        tau_days: Events behind it do not count in Uno's C-index; on a time edge. The last horizon
            unless told.

    Source:
        C-index: Harrell 1982; within hospitals: van Klaveren et al. 2014. Uno's: Uno et al. 2011.
        AUC: Uno et al. 2007, Hung & Chiang 2010. Brier score: Graf et al. 1999.
    """
    joint = np.asarray(summed["joint"], np.float64)
    counts = joint.sum(axis=3)
    weights = censoring(counts if fitted is None else fitted[None], when=when)
    survived = kaplan_meier.survival(counts)
    tau = grid.horizons_days.max() if tau_days is None else tau_days
    errors = np.stack([_brier(joint, weights, e, summed, c) for c, e in _columns(grid)], axis=1)
    ofall = np.array([_brier_of_all(joint, weights, e, survived) for _, e in _columns(grid)])
    auc, ratios, slope, bins, decision = [], [], [], [], []
    for h, edge in enumerate(grid.horizon_edges):
        auc.append(Measured(replicates=_auc(joint, weights, edge)))
        expected = summed["predicted"][:, h].sum(axis=1)
        observed = (1 - survived[:, edge - 1]) * counts.sum(axis=(1, 2))
        ratios.append(Measured(replicates=ratio(observed, expected)))
        groups = risk_groups(joint, summed["predicted"][:, h], edge)
        slope.append(Measured(replicates=group_slope(*groups)))
        bins.append(calibration_bins(*groups))
        decision.append(decision_curve(np.asarray(summed[f"decision.{h}"], np.float64)))
    return Performance(
        subjects=round(float(joint[0].sum())),
        events=round(float(joint[0, 1].sum())),
        c_within=concordance_within(summed["pairs"]),
        c_global=Measured(replicates=concordance_global(joint)),
        c_uno=Measured(replicates=concordance_uno(joint, weights, edge=grid.edge_of(tau))),
        auc=tuple(auc),
        brier=tuple(Measured(replicates=errors[:, column]) for column in grid.horizon_columns),
        brier_reference=tuple(float(ofall[column]) for column in grid.horizon_columns),
        ibs=Measured(replicates=_mean_over_time(errors, grid.brier_days)),
        ibs_reference=float(_mean_over_time(ofall[None], grid.brier_days)[0]),
        observed_expected=tuple(ratios),
        slope=tuple(slope),
        bins=tuple(bins),
        d_calibration=d_calibration(summed["d_calibration"][0]),
        decision=tuple(decision),
    )


def _columns(grid: Grid) -> list[tuple[int, int]]:
    return [(column, grid.edge_of(days)) for column, days in enumerate(grid.brier_days)]


def _mean_over_time(errors: Floats, days: Floats) -> Floats:
    """Average [R + 1, E] over time; a single time stands for itself."""
    if len(days) == 1:
        return errors[:, 0]
    mean: Floats = np.trapezoid(errors, days, axis=1) / (days[-1] - days[0])
    return mean


def _auc(joint: Floats, weights: Censoring, edge: int) -> Floats:
    weight = weights.event_weights()[:, :edge]
    cases = (joint[:, 1, :edge] * weight[:, :, None]).sum(axis=1)
    controls = joint[:, :, edge:].sum(axis=(1, 2))
    lower = np.cumsum(controls, axis=1) - controls
    agree = (cases * (lower + controls / 2)).sum(axis=1)
    return ratio(agree, cases.sum(axis=1) * controls.sum(axis=1))


def _brier(
    joint: Floats, weights: Censoring, edge: int, summed: Mapping[str, Floats], column: int
) -> Floats:
    event_error, free_error = summed["event_error"][:, column], summed["free_error"][:, column]
    weighted = (event_error[:, :edge] * weights.event_weights()[:, :edge]).sum(axis=1)
    return ratio(weighted + free_error * weights.at(edge), joint.sum(axis=(1, 2, 3)))


def _brier_of_all(joint: Floats, weights: Censoring, edge: int, survived: Floats) -> float:
    probability = survived[0, edge - 1]
    events = joint[:1, 1].sum(axis=2) * probability**2
    controls = joint[:1, :, edge:].sum(axis=(1, 2, 3)) * (1 - probability) ** 2
    one = {"event_error": events[:, None], "free_error": controls[:, None]}
    first = Censoring(free=weights.free[:1], when=weights.when)
    return float(_brier(joint[:1], first, edge, one, 0)[0])
