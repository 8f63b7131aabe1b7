"""One number from each hospital: what they have in common, and how much they differ.

Every hospital gives an estimate and its standard error, for instance of a log hazard ratio or of
its own C-index. Beside the common value and its interval stands the **prediction interval**: where
the value of a hospital that took no part is expected to lie.
"""

from __future__ import annotations

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
        low: Lower 95 % limit, normal.
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


def random_effects(estimates: Floats, errors: Floats, *, method: Method = "reml") -> RandomEffects:
    """Summarise estimates of several hospitals that may differ beyond chance.

    Args:
        estimates: One per hospital, on a scale where they are about normal, [k].
        errors: Their standard errors, [k].
        method: `reml` (restricted maximum likelihood) or `dersimonian-laird` (moments).

    Returns:
        The summary; with one hospital its own estimate, without a variance between hospitals.

    Raises:
        DataError: If there is no estimate, one is not finite, or an error is not positive.

    Source:
        DerSimonian & Laird 1986; REML: Viechtbauer 2005, equation 10; I2: Higgins & Thompson 2002,
        equation 9; prediction interval: Higgins, Thompson & Spiegelhalter 2009.

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
    variance = se**2
    fixed, fixed_se = _mean(y, variance)
    q = float((((y - fixed) / se) ** 2).sum())
    tau2 = 0.0
    if len(y) > 1:
        moments = _moments(y, variance, q)
        tau2 = moments if method == "dersimonian-laird" else _reml(y, variance, start=moments)
    mean, error = _mean(y, variance + tau2)
    predicted = _prediction(mean, error, tau2, len(y))
    return RandomEffects(
        method=method,
        sites=len(y),
        estimate=mean,
        se=error,
        low=mean - Z95 * error,
        high=mean + Z95 * error,
        prediction_low=predicted[0],
        prediction_high=predicted[1],
        tau2=tau2,
        q=q,
        q_p=_chi_square_tail(q, len(y) - 1),
        i2=tau2 / (tau2 + _typical(variance)),
        fixed=fixed,
        fixed_se=fixed_se,
    )


def _mean(y: Floats, variance: Floats) -> tuple[float, float]:
    weight = 1 / variance
    return float((weight * y).sum() / weight.sum()), float(1 / np.sqrt(weight.sum()))


def _typical(variance: Floats) -> float:
    """Return the variance within hospitals that I2 compares with; any positive one for k = 1."""
    weight = 1 / variance
    spread = weight.sum() ** 2 - (weight**2).sum()
    return float((len(variance) - 1) * weight.sum() / spread) if len(variance) > 1 else 1.0


def _moments(y: Floats, variance: Floats, q: float) -> float:
    weight = 1 / variance
    scale = weight.sum() - (weight**2).sum() / weight.sum()
    return max(0.0, float((q - (len(y) - 1)) / scale))


def _reml(y: Floats, variance: Floats, *, start: float) -> float:
    """Fisher scoring, truncated at zero; the score of REML in tau^2."""
    tau2 = start
    for _ in range(STEPS_MAX):
        weight = 1 / (variance + tau2)
        total, squares, cubes = (float((weight**power).sum()) for power in (1, 2, 3))
        residual = y - float((weight * y).sum()) / total
        trace = total - squares / total
        score = float((weight**2 * residual**2).sum()) - trace
        information = squares - 2 * cubes / total + (squares / total) ** 2
        new = max(0.0, tau2 + score / information)
        if abs(new - tau2) <= 1e-14 * (1e-6 + new):
            return new
        tau2 = new
    return tau2


def _prediction(
    mean: float, error: float, tau2: float, k: int
) -> tuple[float | None, float | None]:
    if k < 3:
        return None, None
    from scipy.stats import t

    width = float(t.ppf(0.975, k - 2)) * float(np.sqrt(tau2 + error**2))
    return mean - width, mean + width


def _chi_square_tail(statistic: float, freedom: int) -> float | None:
    if freedom < 1:
        return None
    from scipy.stats import chi2

    return float(chi2.sf(statistic, freedom))
