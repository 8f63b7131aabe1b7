"""Newton's steps on summed likelihoods: when to halve, when to stop, and what cannot be estimated.

The steps are a generator: it yields a beta, is sent the sums at that beta, and returns the fit. So
that the same steps serve a table in memory and hospitals that are asked one exchange at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.survival.cox import CoxSums

Floats = NDArray[np.float64]
Choice = Literal["error", "drop"]

EVALUATIONS_MAX = 60
HALVINGS_MAX = 30
# Twice the log-likelihood still to be gained, per event; float64 reaches it in one more step.
TOLERANCE = 1e-20
# Below this the full step is taken unseen: sums with 32 fractional bits cannot order such gains.
UNSEEN_GAIN = 1e-6
# Where quantised sums make the gain stand still, it has to be this small, per event.
STANDSTILL = 1e-13
ALIASED = 1e-9
FADED = 1e-4
GONE = 1e-6
RUNAWAY = 3.0
NEARLY_THERE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxFit:
    """A fitted Cox model.

    Args:
        covariates: Names of the p covariates.
        params: beta, [p].
        standard_errors: [p], from the inverse of the (penalised) information.
        variance: That inverse, [p, p].
        log_likelihood: At `params`, without the penalty.
        log_likelihood_null: At 0.
        score_test: g' H^-1 g at 0, with the penalty in H.
        information: [p, p], without the penalty.
        subjects: Number of subjects.
        events: Number of events.
        iterations: Evaluations of the sums that were needed.
        dropped: Covariates that were left out, with the reason.
        remarks: What a reader should know, such as covariates that only the ridge tells apart.
    """

    covariates: tuple[str, ...]
    params: Floats
    standard_errors: Floats
    variance: Floats
    log_likelihood: float
    log_likelihood_null: float
    score_test: float
    information: Floats
    subjects: int
    events: int
    iterations: int
    dropped: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A covariate whose coefficient cannot be estimated.

    Args:
        index: Its place among the covariates.
        reason: Why, as a sentence that names it.
    """

    index: int
    reason: str


def fit(
    evaluate: Callable[[Floats], CoxSums],
    *,
    covariates: Sequence[str],
    ridge: float | Floats = 0.0,
    unidentified: Choice = "error",
) -> CoxFit:
    """Maximise the (ridge-penalised) partial likelihood of sums that are at hand.

    Args:
        evaluate: Returns the sums over all sites at a beta.
        covariates: Names of the p covariates.
        ridge: theta, or one of each covariate; see `steps`.
        unidentified: See `steps`.

    Raises:
        DataError: As `steps`.
    """
    walk = steps(covariates=covariates, ridge=ridge, unidentified=unidentified)
    beta = next(walk)
    while True:
        try:
            beta = walk.send(evaluate(beta))
        except StopIteration as stop:
            found: CoxFit = stop.value
            return found


def steps(
    *, covariates: Sequence[str], ridge: float | Floats = 0.0, unidentified: Choice = "error"
) -> Generator[Floats, CoxSums, CoxFit]:
    """Yield the betas at which the sums are needed; be sent the sums; return the fit.

    Args:
        covariates: Names of the p covariates.
        ridge: theta of the penalty theta/2 * |beta|^2 (the convention of R's `ridge()`), or one
            theta of each covariate, [p]. lifelines penalises the mean over n subjects, of
            covariates over their sample standard deviation: theta = penalizer * n on those.
        unidentified: What happens to a covariate that is constant, that repeats others, or that
            separates events from non-events: `error` names it, `drop` leaves it out.

    Raises:
        DataError: If there is no event, if a covariate cannot be estimated and `unidentified` is
            `error`, or if the steps do not settle.
    """
    names = tuple(covariates)
    theta = np.broadcast_to(np.asarray(ridge, np.float64), (len(names),))
    null = yield np.zeros(len(names))
    if null.events < 1:
        raise DataError(
            "The Cox model needs events; no training subject had one.",
            do="Check the endpoint's dates, or choose another endpoint.",
        )
    dropped: list[tuple[str, str]] = []
    kept = list(range(len(names)))
    evaluations = 1
    for problem in unidentified_at(null.information, names, penalty=theta):
        _drop_or_raise(problem, names, kept, dropped, unidentified)
    remarks = _held_by_ridge(null.information, names, theta, kept)
    while True:
        beta, sums, used, problem_found = yield from _climb(
            null, names, kept=kept, theta=theta, budget=EVALUATIONS_MAX
        )
        evaluations += used
        if problem_found is None:
            break
        _drop_or_raise(problem_found, names, kept, dropped, unidentified)
    index = np.array(kept, np.intp)
    penalty = np.diag(theta[index])
    information = sums.information[np.ix_(index, index)]
    variance: Floats = np.linalg.inv(information + penalty).astype(np.float64)
    start = null.gradient[index]
    return CoxFit(
        covariates=tuple(names[i] for i in kept),
        params=beta[index],
        standard_errors=np.sqrt(np.diag(variance)),
        variance=variance,
        log_likelihood=sums.log_likelihood,
        log_likelihood_null=null.log_likelihood,
        score_test=float(
            start @ np.linalg.solve(null.information[np.ix_(index, index)] + penalty, start)
        ),
        information=information,
        subjects=round(sums.subjects),
        events=round(sums.events),
        iterations=evaluations,
        dropped=tuple(dropped),
        remarks=remarks,
    )


def unidentified_at(
    information: Floats, names: Sequence[str], *, penalty: Floats
) -> tuple[Problem, ...]:
    """Find covariates without information of their own at beta = 0, last one first.

    Of covariates that carry the same information, the first stays.

    Args:
        information: [p, p], without the penalty.
        names: [p].
        penalty: theta of each covariate, [p]; one above 0 is always identified.
    """
    found = []
    own = np.sqrt(np.clip(np.diag(information), 0, None))
    flat = own < ALIASED
    for index in np.flatnonzero(flat & (penalty <= 0)).tolist():
        found.append(
            Problem(
                index=index,
                reason=f"Covariate '{names[index]}' does not vary within any hospital "
                "among subjects at risk.",
            )
        )
    scale = np.where(flat, 1.0, own)
    scaled = information / np.outer(scale, scale) + np.diag(penalty / scale**2)
    for repeat, others in repeats(scaled, usable=~flat):
        together = ", ".join([*(names[i] for i in others), names[repeat]])
        found.append(
            Problem(index=repeat, reason=f"Covariates {together} carry the same information.")
        )
    return tuple(sorted(found, key=lambda problem: -problem.index))


def repeats(correlation: Floats, *, usable: NDArray[np.bool_]) -> list[tuple[int, tuple[int, ...]]]:
    """Return each column that earlier ones determine, with those.

    Examples:
        >>> repeats(np.array([[1.0, 1.0], [1.0, 1.0]]), usable=np.array([True, True]))
        [(1, (0,))]
    """
    basis: list[int] = []
    found = []
    for index in np.flatnonzero(usable).tolist():
        if basis:
            inner = correlation[np.ix_(basis, basis)]
            weights = np.linalg.solve(inner, correlation[basis, index])
            rest = correlation[index, index] - correlation[basis, index] @ weights
        else:
            weights, rest = np.zeros(0), correlation[index, index]
        if rest < ALIASED * 0.1:
            others = tuple(b for b, w in zip(basis, weights, strict=True) if abs(w) > 1e-4)
            found.append((index, others))
        else:
            basis.append(index)
    return found


def _climb(
    null: CoxSums, names: tuple[str, ...], *, kept: list[int], theta: Floats, budget: int
) -> Generator[Floats, CoxSums, tuple[Floats, CoxSums, int, Problem | None]]:
    """Take steps from 0 over the kept covariates until nothing is left to gain.

    Returns:
        beta, its sums, evaluations used, and a covariate that runs away, if one does.
    """
    index = np.array(kept, np.intp)
    beta, sums, used = np.zeros(len(names)), null, 0
    gain_before = np.inf
    while used < budget:
        step, gain = _newton_step(sums, beta, index, theta)
        if used and gain < NEARLY_THERE:  # a step too far would be pulled back by a large gain
            runaway = _runaway(beta, sums, null, names, index)
            if runaway is not None and not theta[runaway.index] > 0:
                return beta, sums, used, runaway
        if gain <= TOLERANCE * sums.events or (
            gain <= STANDSTILL * sums.events and gain > 0.25 * gain_before
        ):
            return beta, sums, used, None
        gain_before = gain
        before = sums.log_likelihood - beta @ (theta * beta) / 2
        for halving in range(HALVINGS_MAX):
            candidate = beta + step / 2**halving
            trial = yield candidate
            used += 1
            after = trial.log_likelihood - candidate @ (theta * candidate) / 2
            unseen = gain < UNSEEN_GAIN and halving == 0
            if np.isfinite(after) and (unseen or after >= before - 1e-12 * abs(before)):
                break
        beta, sums = candidate, trial
    raise DataError(
        f"The Cox model did not settle within {budget} evaluations.",
        do="Set cox.ridge above 0, or remove covariates that nearly repeat each other.",
    )


def _newton_step(
    sums: CoxSums, beta: Floats, index: NDArray[np.intp], theta: Floats
) -> tuple[Floats, float]:
    """Return the step in all p coefficients and g' H^-1 g, twice what it should gain."""
    gradient = (sums.gradient - theta * beta)[index]
    penalised = sums.information[np.ix_(index, index)] + np.diag(theta[index])
    scale = np.sqrt(np.clip(np.diag(penalised), 1e-300, None))  # so that units do not matter
    inner = np.linalg.lstsq(penalised / np.outer(scale, scale), gradient / scale, rcond=None)[0]
    inner = inner / scale
    step = np.zeros(len(beta))
    step[index] = inner
    return step, float(gradient @ inner)


def _runaway(
    beta: Floats, sums: CoxSums, null: CoxSums, names: tuple[str, ...], index: NDArray[np.intp]
) -> Problem | None:
    """Find a direction in which beta runs away as information fades: monotone likelihood.

    Directions are taken on the scale of the covariates, so that units do not matter.
    """
    if len(index) == 0:
        return None
    at_start = np.diag(null.information)[index]
    scale = np.sqrt(np.clip(at_start, 1e-300, None))
    now, then = (
        one.information[np.ix_(index, index)] / np.outer(scale, scale) for one in (sums, null)
    )
    values, vectors = np.linalg.eigh(now)
    spread = beta[index] * scale / np.sqrt(max(1.0, null.events))
    for value, vector in zip(values, vectors.T, strict=True):
        left = value / max(float(vector @ then @ vector), 1e-300)
        if left < GONE or (left < FADED and abs(spread @ vector) > RUNAWAY):
            involved = [int(i) for i in index[np.abs(vector) > 0.3]]
            worst = int(index[np.argmax(np.abs(vector * spread))])
            subject = (
                f"Covariate '{names[worst]}' separates"
                if len(involved) == 1
                else f"Covariates {', '.join(names[i] for i in involved)} together separate"
            )
            return Problem(
                index=worst,
                reason=f"{subject} subjects with events from those without; "
                "the hazard ratio has no finite value.",
            )
    return None


def _drop_or_raise(
    problem: Problem,
    names: tuple[str, ...],
    kept: list[int],
    dropped: list[tuple[str, str]],
    unidentified: Choice,
) -> None:
    if unidentified == "error":
        raise DataError(
            problem.reason,
            do="Set the ridge (cox.ridge in a plan) above 0, or remove the covariate.",
        )
    kept.remove(problem.index)
    if not kept:
        raise DataError(f"No covariate can be estimated. {problem.reason}")
    dropped.append((names[problem.index], problem.reason))


def _held_by_ridge(
    information: Floats, names: tuple[str, ...], theta: Floats, kept: list[int]
) -> tuple[str, ...]:
    """Tell which kept covariates only the ridge tells apart."""
    held = unidentified_at(information, names, penalty=np.zeros(len(names)))
    return tuple(
        f"{problem.reason} Only the ridge tells them apart."
        for problem in reversed(held)
        if problem.index in kept and theta[problem.index] > 0
    )
