"""One number from each hospital: what they have in common, and how much they differ.

Every hospital gives an estimate and its standard error, for instance of a log hazard ratio or of
its own C-index. Beside the common value and its interval stands the **prediction interval**: where
the value of a hospital that took no part is expected to lie.

All of it follows from a few sums over hospitals, so that no hospital has to tell its own estimate:
`effect_sums` is what one adds, `summary` asks for the sums and ends with the result.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError

Floats = NDArray[np.float64]
Method = Literal["dersimonian-laird", "reml"]
Z95 = 1.959963984540054
STEPS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomEffects:
    """What the estimates of several hospitals say together.

    Args:
        method: How `tau2` was estimated.
        sites: Number of estimates, k.
        estimate: Mean weighted with 1 / (se^2 + tau^2).
        se: Its standard error.
        low: Lower 95 % limit, normal, or t with k - 1 degrees of freedom (Hartung-Knapp).
        high: Upper 95 % limit.
        prediction_low: Lower limit of the 95 % prediction interval, t with k - 2 degrees of
            freedom; None with fewer than three estimates.
        prediction_high: Its upper limit.
        tau2: Variance between hospitals, beyond chance.
        q: Cochran's Q, chi-square with k - 1 degrees of freedom if hospitals do not differ.
        q_p: Its p-value; None with one estimate.
        i2: tau^2 over tau^2 plus the typical variance of one estimate, between 0 and 1.
        fixed: Mean weighted with 1 / se^2.
        fixed_se: Its standard error.
    """

    method: Method
    sites: int
    estimate: float
    se: float
    low: float
    high: float
    prediction_low: float | None
    prediction_high: float | None
    tau2: float
    q: float
    q_p: float | None
    i2: float
    fixed: float
    fixed_se: float


def random_effects(
    estimates: Floats, errors: Floats, *, method: Method = "reml", hartung_knapp: bool = False
) -> RandomEffects:
    """Summarise estimates of several hospitals that may differ beyond chance.

    Args:
        estimates: One per hospital, on a scale where they are about normal, [k].
        errors: Their standard errors, [k].
        method: `reml` (restricted maximum likelihood) or `dersimonian-laird` (moments).
        hartung_knapp: Whether error and interval of the mean follow Hartung and Knapp.

    Returns:
        The summary; with one hospital its own estimate, without a variance between hospitals.

    Raises:
        DataError: If there is no estimate, one is not finite, or an error is not positive.

    Examples:
        >>> both = random_effects(np.array([0.2, 0.6, 0.4]), np.array([0.1, 0.1, 0.2]))
        >>> round(both.estimate, 3), round(both.tau2, 3), round(both.i2, 2)
        (0.4, 0.037, 0.71)
    """
    y, se = np.asarray(estimates, np.float64), np.asarray(errors, np.float64)
    if y.ndim != 1 or y.shape != se.shape or len(y) == 0:
        raise DataError("A random-effects summary needs one estimate and one error per hospital.")
    if not (np.isfinite(y).all() and np.isfinite(se).all() and (se > 0).all()):
        raise DataError(
            "A hospital's estimate is not finite, or its standard error is not positive.",
            do="Leave that hospital out of the summary and name it.",
        )
    walk = summary(method=method, hartung_knapp=hartung_knapp)
    tau2, center = next(walk)
    while True:
        try:
            tau2, center = walk.send(effect_sums(y, se**2, tau2=tau2, center=center))
        except StopIteration as stop:
            found: RandomEffects = stop.value
            return found


def effect_sums(
    estimates: Floats, variances: Floats, *, tau2: float, center: float
) -> dict[str, Floats]:
    """Return what some hospitals add to a summary; zeros for none.

    Args:
        estimates: [k].
        variances: Squares of their standard errors, [k].
        tau2: Variance between hospitals to weigh with, w = 1 / (variance + tau2).
        center: About which residuals r are taken.

    Returns:
        `sites` [1]; `weight` and `weight2`: sums of w and w^2, [1]; `first` and `first2`: of w r
        and w^2 r; `second` and `second2`: of w r^2 and w^2 r^2.
    """
    w, r = 1.0 / (variances + tau2), estimates - center
    return {
        "sites": np.array([float(len(r))]),
        **{
            name: np.array([float(values.sum())])
            for name, values in (
                ("weight", w),
                ("weight2", w**2),
                ("first", w * r),
                ("first2", w**2 * r),
                ("second", w * r**2),
                ("second2", w**2 * r**2),
            )
        },
    }


def summary(
    *, method: Method = "reml", hartung_knapp: bool = False
) -> Generator[tuple[float, float], Mapping[str, Floats], RandomEffects]:
    """Yield the tau2 and center at which `effect_sums` are needed; return the summary.

    Args:
        method: As in `random_effects`.
        hartung_knapp: As in `random_effects`.

    Raises:
        DataError: If no hospital has an estimate.

    Source:
        DerSimonian & Laird 1986; REML: Viechtbauer 2005, equation 10; I2: Higgins & Thompson 2002,
        equation 9; prediction interval: Higgins, Thompson & Spiegelhalter 2009; Hartung & Knapp
        2001.
    """
    start = yield 0.0, 0.0
    k = round(float(start["sites"].sum()))
    if k == 0:
        raise DataError(
            "No hospital could estimate the coefficient from its own subjects.",
            do="Use fewer covariates, or set a ridge.",
        )
    first = _Moments.of(start, center=0.0)
    about_fixed = yield 0.0, first.mean
    fixed = _Moments.of(about_fixed, center=first.mean)
    tau2 = 0.0
    if k > 1:
        tau2 = max(0.0, (fixed.spread - (k - 1)) / (fixed.total - fixed.squares / fixed.total))
        if method == "reml":
            tau2 = yield from _reml(tau2, center=fixed.mean, sites=k)
    last = _Moments.of((yield tau2, fixed.mean), center=fixed.mean)
    error, t_or_z = float(1 / np.sqrt(last.total)), Z95
    if hartung_knapp and k > 1:
        error = float(np.sqrt(last.spread / ((k - 1) * last.total)))
        t_or_z = _t(k - 1)
    predicted = _prediction(last.mean, error, tau2, k)
    typical = (k - 1) * fixed.total / (fixed.total**2 - fixed.squares) if k > 1 else 1.0
    return RandomEffects(
        method=method,
        sites=k,
        estimate=last.mean,
        se=error,
        low=last.mean - t_or_z * error,
        high=last.mean + t_or_z * error,
        prediction_low=predicted[0],
        prediction_high=predicted[1],
        tau2=tau2,
        q=fixed.spread,
        q_p=_chi_square_tail(fixed.spread, k - 1),
        i2=tau2 / (tau2 + typical),
        fixed=fixed.mean,
        fixed_se=float(1 / np.sqrt(fixed.total)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moments:
    """Sums about the weighted mean, from sums about any centre near it."""

    mean: float
    total: float
    squares: float
    spread: float
    spread2: float

    @classmethod
    def of(cls, summed: Mapping[str, Floats], *, center: float) -> _Moments:
        one = {name: float(array.sum()) for name, array in summed.items()}
        off = one["first"] / one["weight"]
        return cls(
            mean=center + off,
            total=one["weight"],
            squares=one["weight2"],
            spread=max(0.0, one["second"] - off**2 * one["weight"]),
            spread2=one["second2"] - 2 * off * one["first2"] + off**2 * one["weight2"],
        )


def _reml(
    start: float, *, center: float, sites: int
) -> Generator[tuple[float, float], Mapping[str, Floats], float]:
    """Find the root of REML's score in tau^2, truncated at zero.

    The first step is about Fisher's, the next are secants of the score: few exchanges where every
    one asks all hospitals.
    """
    tau2, change, before = start, np.inf, (start, np.inf)
    for _ in range(STEPS_MAX):
        at = _Moments.of((yield tau2, center), center=center)
        score = at.spread2 - (at.total - at.squares / at.total)
        falls = at.squares * (sites - 1) / sites  # the information if all weighed the same
        if tau2 != before[0] and (before[1] - score) / (tau2 - before[0]) > 0:
            falls = (before[1] - score) / (tau2 - before[0])
        new = max(0.0, tau2 + score / falls)
        last, change = change, abs(new - tau2)
        # Sums that were rounded for masking stand still a little above float64's last digits.
        if change <= 1e-12 * (1e-3 + new) or (change < 1e-7 and change >= last):
            return new
        tau2, before = new, (tau2, score)
    return tau2


def _prediction(
    mean: float, error: float, tau2: float, k: int
) -> tuple[float | None, float | None]:
    if k < 3:
        return None, None
    width = _t(k - 2) * float(np.sqrt(tau2 + error**2))
    return mean - width, mean + width


def _t(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def _chi_square_tail(statistic: float, freedom: int) -> float | None:
    if freedom < 1:
        return None
    from scipy.special import chdtrc

    return float(chdtrc(freedom, statistic))
