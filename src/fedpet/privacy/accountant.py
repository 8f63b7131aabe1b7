"""How much is told about one patient, over every step of every experiment: epsilon.

One record is one patient with all of the patient's data at a site. Two cohorts are neighbours
if one patient is added or removed. The loss of all steps is composed numerically (privacy loss
distributions), which is tight: bounds by Renyi divergence are some 10 % looser.

Source:
    Koskela et al. 2020 and Gopi et al. 2021, numerical composition; the computation is that of
    Google's `dp-accounting`, checked in our tests against the PRV accountant of Opacus.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from fedpet.errors import StoreError
from fedpet.plan import Plan

FALSE_ALARM = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Some equal steps of the subsampled Gaussian mechanism.

    Args:
        sampling: Probability with which each patient is in a step.
        noise: Standard deviation of the noise, in units of one patient's largest contribution.
        steps: How many.
    """

    sampling: float
    noise: float
    steps: int


def epsilon_of(spent: Iterable[Spending], *, delta: float) -> float:
    """Return epsilon of all steps together; infinite if one of them had no noise.

    Args:
        spent: What was done, in any order.
        delta: Probability with which the bound may fail.

    Raises:
        StoreError: If the accountant is not installed.

    Examples:
        >>> spent = [Spending(sampling=0.08, noise=4.0, steps=1250)]
        >>> round(epsilon_of(spent, delta=1e-4), 1)
        2.6
        >>> epsilon_of([], delta=1e-4)
        0.0
    """
    steps: Counter[tuple[float, float]] = Counter()
    for one in spent:
        if one.steps:
            steps[(one.sampling, one.noise)] += one.steps
    return _composed(tuple(sorted(steps.items())), delta)


@lru_cache(maxsize=256)
def _composed(steps: tuple[tuple[tuple[float, float], int], ...], delta: float) -> float:
    if not steps:
        return 0.0
    if any(noise <= 0 for (_, noise), _ in steps):
        return math.inf
    try:
        from dp_accounting import dp_event
        from dp_accounting.pld import PLDAccountant
    except ImportError as error:
        raise StoreError(
            "The accountant of differential privacy is not installed.",
            do="pip install 'fedpet[dp]'",
            code="FP-3046",
        ) from error
    accountant = PLDAccountant()
    for (sampling, noise), count in steps:
        event = dp_event.GaussianDpEvent(noise)
        accountant.compose(dp_event.PoissonSampledDpEvent(sampling, event), count)
    return float(accountant.get_epsilon(delta))


def best_attack(epsilon: float, delta: float) -> float:
    """Return the largest share of members that any attack finds at 1 % false alarms.

    Source:
        Kairouz et al. 2015, *The composition theorem for differential privacy*, theorem 2.1.

    Examples:
        >>> best_attack(0.0, 0.0), round(best_attack(2.0, 0.0), 4)
        (0.01, 0.0739)
    """
    if math.isinf(epsilon):
        return 1.0
    odds = math.exp(min(epsilon, 700.0))
    first = odds * FALSE_ALARM + delta
    second = 1 - (1 - delta - FALSE_ALARM) / odds
    return max(FALSE_ALARM, min(1.0, first, second))


def steps_in_round(plan: Plan, *, subjects: int, alone: bool = False) -> int:
    """Return the noisy steps that one round takes at a site.

    Args:
        plan: The plan.
        subjects: That the site trains with.
        alone: Whether the site trains for itself, as the comparison with local training does.
    """
    if plan.privacy.differential_privacy == "distributed" and not alone:
        return 1
    return plan.training.local_epochs * max(1, -(-subjects // plan.training.batch_size))


def sampling_of(plan: Plan, *, subjects: int) -> float:
    """Return the probability with which each patient of a site is in a step."""
    return min(1.0, plan.training.batch_size / max(1, subjects))


def planned(plan: Plan, *, subjects: int) -> tuple[Spending, ...]:
    """Return what a whole plan spends at a site; nothing for a plan without noise.

    Every patient is in at most as many fits as this counts: all folds but one and the model that
    is kept, where folds hold out hospitals; all folds and the model that is kept otherwise.

    Args:
        plan: The plan.
        subjects: Of the site.
    """
    privacy = plan.privacy
    if privacy.differential_privacy == "none":
        return ()
    folds = plan.evaluation.folds - (plan.evaluation.scheme == "held-out-sites")
    rounds, sampling = plan.training.rounds, sampling_of(plan, subjects=subjects)
    steps = (folds + 1) * rounds * steps_in_round(plan, subjects=subjects)
    if "local" in plan.evaluation.baselines:
        steps += folds * rounds * steps_in_round(plan, subjects=subjects, alone=True)
    return (Spending(sampling=sampling, noise=privacy.noise_multiplier, steps=steps),)


def promised(plan: Plan, subjects: Iterable[int]) -> dict[str, float | str | None]:
    """Return what a plan's noise promises at the hospital where it promises least.

    Args:
        plan: The plan.
        subjects: Of each hospital.

    Returns:
        `mode`; with noise also `delta`, `epsilon` and `found`, the largest share of members that
        any attack finds at 1 % false alarms; both None where the accountant is not installed.
    """
    mode, delta = plan.privacy.differential_privacy, plan.privacy.delta
    counts = [count for count in subjects if count > 0]
    if mode == "none" or not counts:
        return {"mode": mode}
    try:
        epsilon = epsilon_of(planned(plan, subjects=min(counts)), delta=delta)
    except StoreError:
        return {"mode": mode, "delta": delta, "epsilon": None, "found": None}
    return {
        "mode": mode,
        "delta": delta,
        "epsilon": round(epsilon, 3) if math.isfinite(epsilon) else None,
        "found": round(best_attack(epsilon, delta), 4),
    }
