"""The Cox model as sums: each site computes its own, the server takes Newton steps.

With the site as stratum the partial likelihood of all hospitals is the sum of their own ones, so
that the sums of log-likelihood, gradient and information are the answer, exactly. Nothing that is
resolved in time leaves a site. `fedpet.survival.newton` takes the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError
from fedpet.survival.risk_sets import (
    TIES,
    Steps,
    Subjects,
    curvature,
    event_steps,
    risk_sums,
    strata_of,
)

Floats = NDArray[np.float64]


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
        weights: Case weights, [n]; ones unless told. A subject of weight 0 is not there.
        entry: Time at which a subject comes under observation, [n]; -infinity unless told.

    Returns:
        Sums over all strata; zeros for a site without subjects or events.

    Raises:
        DataError: If a covariate or time is not finite, a subject entered after it left, or
            `ties` is unknown.

    Source:
        Efron 1977; Breslow 1974; notation of Therneau & Grambsch 2000.

    Examples:
        >>> sums = cox_sums(np.array([[0.0], [1.0]]), np.array([1.0, 2.0]),
        ...                 np.array([True, True]), np.zeros(1))
        >>> round(sums.log_likelihood, 4), sums.gradient.tolist()
        (-0.6931, [-0.5])
    """
    require_ties(ties)
    p = x.shape[1]
    log_likelihood, gradient, information = 0.0, np.zeros(p), np.zeros((p, p))
    subjects = events = 0.0
    for group in strata_of(x, time, event, strata=strata, weights=weights, entry=entry):
        subjects += len(group.x)
        events += float(group.event.sum())
        if not group.event.any():
            continue
        hazard, shift = relative_hazard(group, beta)
        times = group.event_times()
        steps = event_steps(risk_sums(group, hazard, times), efron=ties == "efron")
        dead = group.case[group.event]
        log_likelihood += float(
            dead @ (group.x[group.event] @ beta) - steps.scale @ (np.log(steps.phi) + shift)
        )
        gradient += dead @ group.x[group.event] - steps.scale @ steps.mean
        information += curvature(group, hazard, times, steps.hazard, steps.tied_hazard)
        information -= outer(steps, steps.scale)
    return CoxSums(
        log_likelihood=log_likelihood,
        gradient=gradient,
        information=information,
        subjects=subjects,
        events=events,
    )


def relative_hazard(group: Subjects, beta: Floats) -> tuple[Floats, float]:
    """Return case weight times exp(x beta - shift), and the shift that keeps it from overflow."""
    log_hazard = group.x @ beta
    shift = float(log_hazard.max())
    return group.case * np.exp(log_hazard - shift), shift


def outer(steps: Steps, scale: Floats) -> Floats:
    """Return the sum over steps of scale * m m', [p, p]."""
    product: Floats = (steps.mean * scale[:, None]).T @ steps.mean
    return product


def require_ties(ties: str) -> None:
    """Refuse an unknown way of breaking ties.

    Raises:
        DataError: If so.
    """
    if ties not in TIES:
        raise DataError(f"Ties '{ties}' are unknown; expected efron or breslow.")


def pack(matrix: Floats) -> Floats:
    """Return the upper triangle of a symmetric matrix, [p (p + 1) / 2].

    Examples:
        >>> pack(np.array([[1.0, 2.0], [2.0, 3.0]])).tolist()
        [1.0, 2.0, 3.0]
    """
    upper: Floats = matrix[np.triu_indices(len(matrix))]
    return upper


def unpack(upper: Floats) -> Floats:
    """Return the symmetric matrix whose upper triangle `pack` wrote.

    Raises:
        DataError: If the length belongs to no triangle.

    Examples:
        >>> unpack(np.array([1.0, 2.0, 3.0])).tolist()
        [[1.0, 2.0], [2.0, 3.0]]
    """
    p = int((np.sqrt(8 * len(upper) + 1) - 1) / 2 + 0.5)
    if p * (p + 1) // 2 != len(upper):
        raise DataError(f"{len(upper)} values are no triangle of a matrix.")
    matrix = np.zeros((p, p))
    matrix[np.triu_indices(p)] = upper
    return matrix + np.triu(matrix, 1).T


def to_arrays(sums: CoxSums) -> dict[str, Floats]:
    """Return the sums as named arrays; adding arrays adds sums."""
    return {
        "log_likelihood": np.array([sums.log_likelihood]),
        "gradient": sums.gradient,
        "information": pack(sums.information),
        "subjects": np.array([sums.subjects]),
        "events": np.array([sums.events]),
    }


def from_arrays(arrays: Mapping[str, Floats]) -> CoxSums:
    """Read what `to_arrays` wrote."""
    return CoxSums(
        log_likelihood=float(arrays["log_likelihood"].sum()),
        gradient=arrays["gradient"],
        information=unpack(arrays["information"]),
        subjects=float(arrays["subjects"].sum()),
        events=float(arrays["events"].sum()),
    )
