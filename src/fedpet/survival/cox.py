"""The Cox model as sums: each site computes its own, the server takes Newton steps.

With the site as stratum the partial likelihood of all hospitals is the sum of their own ones, so
that the sums of log-likelihood, gradient and information are the answer, exactly. Nothing that is
resolved in time leaves a site.

Notation (Therneau & Grambsch 2000, chapter 3): event times t_j with deaths D_j (d_j of them) and
risk set R_j; w_i = exp(x_i beta). Efron's approximation splits t_j into d_j steps with
alpha = l / d_j, l = 0 .. d_j - 1 (Breslow: alpha = 0), and

    phi = sum_R w - alpha * sum_D w           m = (sum_R w x - alpha * sum_D w x) / phi
    log L = sum_D x beta - sum log phi        gradient = sum_D x - sum m
    information = sum_j sum_l [(sum_R w x x' - alpha * sum_D w x x') / phi - m m']

The last sum is taken subject by subject, with A(t) = sum of 1/phi up to t, so that no array of
shape times x p x p is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError

Floats = NDArray[np.float64]
STEPS_MAX = 50
TOLERANCE = 1e-20


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxSums:
    """What one site, or the sum of sites, knows at one beta.

    Args:
        log_likelihood: Log partial likelihood.
        gradient: [p].
        information: [p, p], the negative Hessian.
        subjects: Number of subjects.
        events: Number of events.
    """

    log_likelihood: float
    gradient: Floats
    information: Floats
    subjects: float
    events: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxFit:
    """A fitted Cox model; attribute names follow lifelines.

    Args:
        covariates: Names of the p covariates.
        params: beta, [p].
        standard_errors: [p], from the inverse of the (penalised) information.
        log_likelihood: At `params`, without the penalty.
        information: [p, p], without the penalty.
        subjects: Number of subjects.
        events: Number of events.
        iterations: Evaluations of the sums that were needed.
    """

    covariates: tuple[str, ...]
    params: Floats
    standard_errors: Floats
    log_likelihood: float
    information: Floats
    subjects: int
    events: int
    iterations: int


def cox_sums(
    x: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    beta: Floats,
    *,
    strata: NDArray[np.int64] | None = None,
    ties: str = "efron",
    weights: Floats | None = None,
    entry: Floats | None = None,
) -> CoxSums:
    """Compute a site's log partial likelihood, gradient and information at beta.

    Args:
        x: Covariates, [n, p], no missing values.
        time: Follow-up, [n], any unit; at ties events come before censorings.
        event: Whether the event was seen, [n].
        beta: Coefficients, [p].
        strata: Integer code of each subject's stratum, [n]; one stratum unless told.
        ties: `efron` or `breslow`.
        weights: Case weights, [n]; ones unless told.
        entry: Time at which a subject comes under observation, [n]; -infinity unless told.

    Returns:
        Sums over all strata; zeros for a site without subjects or events.

    Raises:
        DataError: If a covariate or time is not finite, or `ties` is unknown.

    Source:
        Efron 1977; Breslow 1974; notation of Therneau & Grambsch 2000.

    Examples:
        >>> sums = cox_sums(np.array([[0.0], [1.0]]), np.array([1.0, 2.0]),
        ...                 np.array([True, True]), np.zeros(1))
        >>> round(sums.log_likelihood, 4), sums.gradient.tolist()
        (-0.6931, [-0.5])
    """
    if ties not in ("efron", "breslow"):
        raise DataError(f"Ties '{ties}' are unknown; expected efron or breslow.")
    if not (np.isfinite(x).all() and np.isfinite(time).all()):
        raise DataError("The Cox model needs finite covariates and times.")
    n, p = x.shape
    codes = np.zeros(n, np.int64) if strata is None else np.asarray(strata)
    case = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    total = CoxSums(
        log_likelihood=0.0,
        gradient=np.zeros(p),
        information=np.zeros((p, p)),
        subjects=float(n),
        events=float(event.sum()),
    )
    for code in np.unique(codes[event]):
        rows = codes == code
        one = _stratum(
            x[rows],
            time[rows],
            event[rows],
            beta,
            case=case[rows],
            entry=None if entry is None else entry[rows],
            efron=ties == "efron",
        )
        total = CoxSums(
            log_likelihood=total.log_likelihood + one[0],
            gradient=total.gradient + one[1],
            information=total.information + one[2],
            subjects=total.subjects,
            events=total.events,
        )
    return total


def _stratum(
    x: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    beta: Floats,
    *,
    case: Floats,
    entry: Floats | None,
    efron: bool,
) -> tuple[float, Floats, Floats]:
    order = np.argsort(time, kind="stable")
    x, time, event, case = x[order], time[order], event[order], case[order]
    log_hazard = x @ beta
    shift = float(log_hazard.max())
    hazard = case * np.exp(log_hazard - shift)
    times, which, deaths = np.unique(time[event], return_inverse=True, return_counts=True)
    at_risk = np.searchsorted(time, times, side="left")
    risk0, risk1 = _suffix(hazard)[at_risk], _suffix(hazard[:, None] * x)[at_risk]
    if entry is not None:
        entry = entry[order]
        late = np.argsort(entry, kind="stable")
        not_yet = np.searchsorted(entry[late], times, side="left")
        risk0 = risk0 - _suffix(hazard[late])[not_yet]
        risk1 = risk1 - _suffix(hazard[late, None] * x[late])[not_yet]
    dead0 = np.bincount(which, hazard[event], len(times))
    dead1 = np.zeros_like(risk1)
    np.add.at(dead1, which, hazard[event, None] * x[event])
    case_mean = np.bincount(which, case[event], len(times)) / deaths

    step = np.repeat(np.arange(len(times)), deaths)
    first = np.repeat(np.cumsum(deaths) - deaths, deaths)
    alpha = (np.arange(len(step)) - first) / deaths[step] if efron else np.zeros(len(step))
    phi = risk0[step] - alpha * dead0[step]
    mean = (risk1[step] - alpha[:, None] * dead1[step]) / phi[:, None]
    scale = case_mean[step]

    log_likelihood = case[event] @ log_hazard[event] - scale @ (np.log(phi) + shift)
    gradient = case[event] @ x[event] - scale @ mean
    cumulative = np.concatenate([[0.0], np.cumsum(np.bincount(step, scale / phi, len(times)))])
    own = cumulative[np.searchsorted(times, time, side="right")]
    if entry is not None:
        own = own - cumulative[np.searchsorted(times, entry, side="right")]
    own[event] -= np.bincount(step, scale * alpha / phi, len(times))[which]
    information = (x * (hazard * own)[:, None]).T @ x - (mean * scale[:, None]).T @ mean
    return float(log_likelihood), gradient, information


def _suffix(values: Floats) -> Floats:
    """Return sums from each row to the end, with a zero row behind the last."""
    ends = np.zeros((len(values) + 1, *values.shape[1:]))
    ends[:-1] = np.cumsum(values[::-1], axis=0)[::-1]
    return ends


def to_arrays(sums: CoxSums) -> dict[str, Floats]:
    """Return the sums as named arrays; adding arrays adds sums."""
    return {
        "log_likelihood": np.array([sums.log_likelihood]),
        "gradient": sums.gradient,
        "information": sums.information,
        "subjects": np.array([sums.subjects]),
        "events": np.array([sums.events]),
    }


def from_arrays(arrays: Mapping[str, Floats]) -> CoxSums:
    """Read what `to_arrays` wrote."""
    return CoxSums(
        log_likelihood=float(arrays["log_likelihood"].sum()),
        gradient=arrays["gradient"],
        information=arrays["information"],
        subjects=float(arrays["subjects"].sum()),
        events=float(arrays["events"].sum()),
    )


def fit(
    evaluate: Callable[[Floats], CoxSums], *, covariates: Sequence[str], ridge: float = 0.0
) -> CoxFit:
    """Maximise the (ridge-penalised) partial likelihood by Newton steps with halving.

    Args:
        evaluate: Returns the sums over all sites at a beta.
        covariates: Names of the p covariates.
        ridge: theta of the penalty theta/2 * |beta|^2 (the convention of R's `ridge()`).

    Raises:
        DataError: If there is no event, if covariates cannot be told apart, or if one separates
            events from non-events so that its coefficient has no finite value, or if the steps
            do not settle.
    """
    names = tuple(covariates)
    beta = np.zeros(len(names))
    sums = evaluate(beta)
    evaluations = 1
    if sums.events < 1:
        raise DataError(
            "The Cox model needs events; no training subject had one.",
            do="Check the endpoint's dates, or choose another endpoint.",
        )
    penalty = ridge * np.eye(len(names))
    _require_identified(sums.information + penalty, names)
    at_start = np.diag(sums.information)
    while evaluations < STEPS_MAX:
        gradient = sums.gradient - ridge * beta
        step = np.linalg.solve(sums.information + penalty, gradient)
        if gradient @ step <= TOLERANCE * max(1.0, sums.events):
            break
        before = sums.log_likelihood - ridge / 2 * beta @ beta
        for halving in range(30):
            candidate = beta + step / 2**halving
            trial = evaluate(candidate)
            evaluations += 1
            after = trial.log_likelihood - ridge / 2 * candidate @ candidate
            if np.isfinite(after) and after >= before - 1e-12 * abs(before):
                break
        beta, sums = candidate, trial
        _require_bounded(beta, sums, names, at_start=at_start)
    else:
        raise DataError(
            f"The Cox model did not settle within {STEPS_MAX} evaluations.",
            do="Set cox.ridge above 0, or remove covariates that nearly repeat each other.",
        )
    inverse = np.linalg.inv(sums.information + penalty)
    return CoxFit(
        covariates=names,
        params=beta,
        standard_errors=np.sqrt(np.diag(inverse)),
        log_likelihood=sums.log_likelihood,
        information=sums.information,
        subjects=int(sums.subjects),
        events=int(sums.events),
        iterations=evaluations,
    )


def _require_identified(information: Floats, names: tuple[str, ...]) -> None:
    scale = np.sqrt(np.clip(np.diag(information), 0, None))
    if flat := [name for name, value in zip(names, scale, strict=True) if value < 1e-9]:
        raise DataError(
            f"Covariate '{flat[0]}' does not vary within any hospital among subjects at risk.",
            do="Remove it from the plan, or set cox.ridge above 0.",
        )
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    if values[0] < 1e-10:
        involved = [n for n, v in zip(names, vectors[:, 0], strict=True) if abs(v) > 0.1]
        raise DataError(
            f"Covariates {', '.join(involved)} carry the same information.",
            do="Remove one of them from the plan, or set cox.ridge above 0.",
        )


def _require_bounded(
    beta: Floats, sums: CoxSums, names: tuple[str, ...], *, at_start: Floats
) -> None:
    """Refuse a coefficient that runs away, on the scale of its covariate, as information fades."""
    spread = np.sqrt(np.clip(at_start, 0, None) / max(1.0, sums.events))
    faded = np.diag(sums.information) < 1e-4 * at_start
    for name, value, gone in zip(names, beta * spread, faded, strict=True):
        if abs(value) > 6 and gone:
            raise DataError(
                f"Covariate '{name}' separates subjects with events from those without; "
                "its hazard ratio has no finite value.",
                do="Set cox.ridge above 0, or remove the covariate.",
            )
