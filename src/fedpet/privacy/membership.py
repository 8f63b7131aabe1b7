"""How well membership was told, what that proves, and what it could have proved at best.

An attack says of every subject whether it was among those who trained. True and false positives
are counts; the limits of their rates are exact, and so is the lower bound of epsilon that follows:
no training with a smaller epsilon could have lost so clearly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share with its exact two-sided limits.

    Args:
        hits: Subjects that the attack called members.
        of: Subjects in all.
        value: `hits / of`.
        low: Lower limit.
        high: Upper limit.
    """

    hits: int
    of: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one attack reached at one threshold.

    Args:
        false_alarms: Share of false alarms that the threshold was chosen for, before the data.
        true: Of those who trained.
        false: Of those who did not.
        epsilon: Lower bound of epsilon, 0 if nothing is proved.
    """

    false_alarms: float
    true: Rate
    false: Rate
    epsilon: float


def clopper_pearson(hits: int, of: int, *, level: float = LEVEL) -> Rate:
    """Return a share with its exact limits.

    Source:
        Clopper & Pearson 1934.

    Examples:
        >>> rate = clopper_pearson(0, 30)
        >>> rate.low, round(rate.high, 4)
        (0.0, 0.1157)
    """
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, of - hits + 1, tail))
    high = 1.0 if hits == of else float(betaincinv(hits + 1, of - hits, 1 - tail))
    return Rate(hits=hits, of=of, value=hits / of if of else math.nan, low=low, high=high)


def epsilon_proved(true: Rate, false: Rate, *, delta: float) -> float:
    """Return the smallest epsilon that could have lost so clearly; 0 if nothing is proved.

    With differential privacy, TPR <= e^eps FPR + delta, and the same for the other decision.

    Source:
        Kairouz et al. 2015, theorem 2.1; Jagielski et al. 2020, section 3.
    """
    found = [0.0]
    for more, less in ((true.low, false.high), (1 - false.high, 1 - true.low)):
        if more - delta > 0 and less > 0:
            found.append(math.log((more - delta) / less))
    return max(found)


def best_epsilon(members: int, others: int, *, delta: float = 0.0, level: float = LEVEL) -> float:
    """Return the largest epsilon that a perfect attack could prove with so many subjects.

    Examples:
        >>> [round(best_epsilon(m, m), 1) for m in (30, 100, 300, 1000)]
        [2.0, 3.3, 4.4, 5.6]
    """
    if not members or not others:
        return 0.0
    true = clopper_pearson(members, members, level=level)
    return epsilon_proved(true, clopper_pearson(0, others, level=level), delta=delta)


def found_at(
    false_alarms: float,
    *,
    true: int,
    members: int,
    false: int,
    others: int,
    delta: float,
    looks: int,
) -> Found:
    """Return what an attack reached at a threshold that was chosen before the data.

    Args:
        false_alarms: Share of false alarms that the threshold was chosen for.
        true: Members that were called so.
        members: Members in all.
        false: Others that were called members.
        others: Others in all.
        delta: Of the training; 0 without noise.
        looks: Attacks times thresholds; the proof holds for all of them together (Bonferroni).
    """
    strict = 1 - (1 - LEVEL) / looks
    proved = epsilon_proved(
        clopper_pearson(true, members, level=strict),
        clopper_pearson(false, others, level=strict),
        delta=delta,
    )
    return Found(
        false_alarms=false_alarms,
        true=clopper_pearson(true, members),
        false=clopper_pearson(false, others),
        epsilon=proved,
    )
