"""Do curves of groups differ? The log-rank family, from counts on a grid of times.

What one stratum knows is how many events each group had beyond those expected, and the covariance
of that; strata are compared by adding both. With the hospital as stratum each hospital sends
these few numbers, and nothing that is resolved in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.survival.kaplan_meier import at_risk, survival

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRank:
    """A test of equal hazards in groups.

    Args:
        statistic: Chi-square; None if fewer than two groups are ever at risk together.
        freedom: Degrees of freedom, the groups that can be compared less one.
        p_value: Of the statistic, or None.
        observed: Weighted events of each group, [groups].
        expected: Weighted events expected if hazards were equal, [groups].
    """

    statistic: float | None
    freedom: int
    p_value: float | None
    observed: Floats
    expected: Floats


def log_rank_sums(counts: Floats, *, rho: float = 0.0, gamma: float = 0.0) -> dict[str, Floats]:
    """Return observed and expected events of each group in one stratum, and their covariance.

    Args:
        counts: [groups, 2 or 3, T], as in `kaplan_meier`; cells as fine as they may be.
        rho: Weight S(t-)^rho (1 - S(t-))^gamma at each time, with S of the whole stratum. 0 and 0
            is the log-rank test; rho = 1 looks at early differences (Peto and Peto).
        gamma: Above 0 looks at late differences.

    Returns:
        `observed` and `expected` [groups], `covariance` [groups, groups].

    Raises:
        DataError: If rho or gamma is negative.

    Source:
        Mantel 1966; Peto & Peto 1972; Fleming & Harrington 1981; as in R's `survdiff`.
    """
    if rho < 0 or gamma < 0:
        raise DataError("The weights rho and gamma of a log-rank test are not negative.")
    each = at_risk(counts)
    events = counts[:, 1]
    together, died = each.sum(axis=0), events.sum(axis=0)
    before = np.concatenate([[1.0], survival(counts.sum(axis=0))[:-1]])
    weight = before**rho * (1.0 - before) ** gamma
    used = (together > 0) & (died > 0)
    share = each[:, used] / together[used]
    weight, died, together = weight[used], died[used], together[used]
    spread = np.divide(
        died * (together - died), together - 1, out=np.zeros_like(died), where=together > 1
    )
    factor = weight**2 * spread
    return {
        "observed": events[:, used] @ weight,
        "expected": share @ (weight * died),
        "covariance": np.diag(share @ factor) - (share * factor) @ share.T,
    }


def log_rank_test(summed: Mapping[str, Floats]) -> LogRank:
    """Test from the sums of one stratum, or of several.

    Args:
        summed: `observed`, `expected` and `covariance`.
    """
    from scipy.special import chdtrc

    observed, expected = summed["observed"], summed["expected"]
    compared = np.flatnonzero(expected > 0)[:-1]  # one group follows from the others
    difference = (observed - expected)[compared]
    covariance = summed["covariance"][np.ix_(compared, compared)]
    statistic = p_value = None
    if len(compared) and np.linalg.matrix_rank(covariance) == len(compared):
        statistic = float(difference @ np.linalg.solve(covariance, difference))
        p_value = float(chdtrc(len(compared), statistic))
    return LogRank(
        statistic=statistic,
        freedom=len(compared),
        p_value=p_value,
        observed=observed,
        expected=expected,
    )
