"""How good is a model at one hospital, in few numbers; and over hospitals that differ.

The numbers of one hospital are a named release: pairs, one observed and one predicted probability
at each horizon, one slope. Nothing of them is resolved by time or risk. Summaries over hospitals
are random effects on the scale where estimates are about normal: logit of the C-index, logarithm
of observed over expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.survival import cox, newton
from fedpet.survival.bootstrap import Estimate
from fedpet.survival.concordance import (
    Z95,
    concordance_error,
    influence_sums,
    pair_sums,
    with_error,
)
from fedpet.survival.disclosure import CELL_MIN
from fedpet.survival.random_effects import Method, RandomEffects, random_effects

Floats = NDArray[np.float64]
LINEAR_PREDICTOR = "linear predictor"


def linear_predictor(survival: Floats) -> Floats:
    """Return log(-log(S)), [n]: of a Cox model its linear predictor, up to a constant."""
    inside = np.clip(survival, 1e-12, 1 - 1e-12)
    found: Floats = np.log(-np.log(inside))
    return found


def site_sums(
    *,
    risk: Floats,
    survival: Floats,
    time_days: Floats,
    event: NDArray[np.bool_],
    horizons_days: Floats,
) -> dict[str, Floats]:
    """Compute what one hospital may release of its own about a model.

    Args:
        risk: Predicted risk, higher is worse, [n].
        survival: Predicted probability of being event-free at each horizon, [n, H].
        time_days: Follow-up, [n].
        event: Whether the event was seen, [n].
        horizons_days: [H]; the slope is that of the predictions for the latest.

    Returns:
        `subjects`, `events`, each [1]; `pairs` and `influence`, each [3]; `known`, `observed`,
        `observed_variance` and `expected`, each [H], where `known` says whether anybody was
        followed that long; `slope` [3]: whether there is one, its value and variance.

    Raises:
        DataError: If fewer than five subjects have the event.
    """
    events = int(event.sum())
    if events < CELL_MIN:
        raise DataError(
            f"Fewer than {CELL_MIN} subjects here have the event; "
            "a result of this hospital alone would tell of them."
        )
    strata = np.zeros(len(risk), np.int64)
    reached = [time_days.max() >= horizon for horizon in horizons_days]
    curves = [_observed(time_days, event, horizon) for horizon in horizons_days]
    return {
        "subjects": np.array([float(len(risk))]),
        "events": np.array([float(events)]),
        "pairs": pair_sums(risk, time_days, event, strata, np.ones((1, len(risk))))[0],
        "influence": influence_sums(risk, time_days, event, strata),
        "known": np.array(reached, np.float64),
        "observed": np.array([one[0] for one in curves]),
        "observed_variance": np.array([one[1] for one in curves]),
        "expected": (1 - survival).mean(axis=0),
        "slope": _slope(
            linear_predictor(survival[:, int(np.argmax(horizons_days))]), time_days, event
        ),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePerformance:
    """A model at one hospital, with 95 % limits; None where the data do not define a number.

    Args:
        subjects: Number of subjects judged.
        events: Number of events.
        c_index: Concordance of the hospital's own pairs.
        c_error: Its standard error.
        observed_expected: Observed over expected probability of the event, by horizon.
        observed_expected_error: Standard errors of their logarithms.
        slope: Calibration slope: Cox model of the linear predictor.
        slope_error: Its standard error.
    """

    subjects: int
    events: int
    c_index: Estimate | None
    c_error: float | None
    observed_expected: tuple[Estimate | None, ...]
    observed_expected_error: tuple[float | None, ...]
    slope: Estimate | None
    slope_error: float | None


def site_performance(arrays: Mapping[str, Floats]) -> SitePerformance:
    """Read what `site_sums` computed at one hospital.

    Source:
        Standard error of the logarithm of O/E: Debray et al. 2017, with Greenwood's variance.
    """
    pairs = arrays["pairs"]
    error = concordance_error(pairs, arrays["influence"])
    ratios, errors = [], []
    for known, observed, variance, expected in zip(
        arrays["known"],
        arrays["observed"],
        arrays["observed_variance"],
        arrays["expected"],
        strict=True,
    ):
        usable = known > 0 and observed > 0 and expected > 0
        spread = float(np.sqrt(variance) / observed) if usable else 0.0
        ratios.append(_ratio(float(observed / expected), spread) if usable else None)
        errors.append(spread if usable and spread > 0 else None)
    has_slope, slope, slope_variance = arrays["slope"]
    slope_error = float(np.sqrt(slope_variance)) if has_slope > 0 else None
    return SitePerformance(
        subjects=round(float(arrays["subjects"].sum())),
        events=round(float(arrays["events"].sum())),
        c_index=None if error is None else with_error((pairs[0] + pairs[1] / 2) / pairs[2], error),
        c_error=error,
        observed_expected=tuple(ratios),
        observed_expected_error=tuple(errors),
        slope=None if slope_error is None else interval(float(slope), slope_error),
        slope_error=slope_error,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One number over hospitals, on its own scale, and how much hospitals differ.

    Args:
        sites: Hospitals behind it.
        value: The mean, with 95 % limits.
        prediction: Where the number of another hospital is expected, 95 %; None with fewer than
            three hospitals.
        effects: The same on the scale of the summary.
    """

    sites: int
    value: Estimate
    prediction: tuple[float, float] | None
    effects: RandomEffects


def summarise_concordance(
    sites: Mapping[str, SitePerformance], *, method: Method = "reml"
) -> Summary | None:
    """Summarise C-indices on the logit scale; None without one that has an error.

    Source:
        Debray et al. 2017; Snell et al. 2018 (logit of C).
    """
    found = [
        (np.log(one.c_index.value / (1 - one.c_index.value)), one.c_error, one.c_index.value)
        for _, one in sorted(sites.items())
        if one.c_index is not None and one.c_error and 0 < one.c_index.value < 1
    ]
    centres = np.array([centre for centre, _, _ in found])
    errors = np.array([error / (value * (1 - value)) for _, error, value in found])
    return _summary(centres, errors, method, lambda x: 1 / (1 + np.exp(-x)))


def summarise_observed_expected(
    sites: Mapping[str, SitePerformance], horizon: int, *, method: Method = "reml"
) -> Summary | None:
    """Summarise observed over expected at one horizon, given by its place, as logarithms."""
    found = [
        (np.log(ratio.value), error)
        for _, one in sorted(sites.items())
        if (ratio := one.observed_expected[horizon]) is not None
        and (error := one.observed_expected_error[horizon]) is not None
    ]
    return _summary(*_split(found), method, np.exp)


def summarise_slope(
    sites: Mapping[str, SitePerformance], *, method: Method = "reml"
) -> Summary | None:
    """Summarise calibration slopes."""
    found = [
        (one.slope.value, one.slope_error)
        for _, one in sorted(sites.items())
        if one.slope is not None and one.slope_error
    ]
    return _summary(*_split(found), method, lambda x: x)


def interval(value: float, error: float) -> Estimate:
    """Return a number with normal 95 % limits."""
    return Estimate(value=value, low=value - Z95 * error, high=value + Z95 * error)


def _ratio(value: float, spread: float) -> Estimate:
    if not spread > 0:
        return Estimate(value=value, low=None, high=None)
    low, high = value * np.exp(np.array([-Z95, Z95]) * spread)
    return Estimate(value=value, low=float(low), high=float(high))


def _split(found: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    return np.array([one for one, _ in found]), np.array([error for _, error in found])


def _summary(
    centres: Floats, errors: Floats, method: Method, back: Callable[[Floats], Floats]
) -> Summary | None:
    if len(centres) == 0:
        return None
    effects = random_effects(centres, errors, method=method)
    value, low, high = back(np.array([effects.estimate, effects.low, effects.high]))
    prediction = None
    if effects.prediction_low is not None and effects.prediction_high is not None:
        ends = back(np.array([effects.prediction_low, effects.prediction_high]))
        prediction = (float(ends[0]), float(ends[1]))
    return Summary(
        sites=effects.sites,
        value=Estimate(value=float(value), low=float(low), high=float(high)),
        prediction=prediction,
        effects=effects,
    )


def _observed(time: Floats, event: NDArray[np.bool_], horizon: float) -> tuple[float, float]:
    """Return one minus Kaplan-Meier at a time, from exact times, and Greenwood's variance."""
    times = np.unique(time[event & (time <= horizon)])
    died = np.array([(event & (time == one)).sum() for one in times], np.float64)
    remaining = np.array([(time >= one).sum() for one in times], np.float64)
    survived = float(np.prod(1 - died / remaining))
    left = remaining > died
    terms = died[left] / (remaining[left] * (remaining[left] - died[left]))
    return 1 - survived, survived**2 * float(terms.sum())


def _slope(predictor: Floats, time: Floats, event: NDArray[np.bool_]) -> Floats:
    x = predictor[:, None]
    try:
        fit = newton.fit(
            lambda beta: cox.cox_sums(x, time, event, beta), covariates=(LINEAR_PREDICTOR,)
        )
    except DataError:  # everybody alike, or separated: there is no slope
        return np.zeros(3)
    return np.array([1.0, fit.params[0], fit.variance[0, 0]])
