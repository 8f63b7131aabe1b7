"""Risk sets as sums: what a site adds up at given times, and what follows from the total.

Notation (Therneau & Grambsch 2000, chapter 3): event times t_j with deaths D_j (d_j of them) and
risk set R_j; w_i = exp(x_i beta). Efron's approximation splits t_j into d_j steps with
alpha = l / d_j, l = 0 .. d_j - 1 (Breslow: alpha = 0), and

    phi = sum_R w - alpha * sum_D w           m = (sum_R w x - alpha * sum_D w x) / phi
    log L = sum_D x beta - sum log phi        gradient = sum_D x - sum m
    information = sum_j sum_l [(sum_R w x x' - alpha * sum_D w x x') / phi - m m']

The last sum is taken subject by subject, with A(t) = sum of 1/phi up to t, so that no array of
shape times x p x p is ever made. The same functions serve one site alone (its own event times) and
all sites together (agreed times, sums added in between).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError

Floats = NDArray[np.float64]
TIES = ("efron", "breslow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """The subjects of one stratum.

    Args:
        x: Covariates, [n, p], no missing values.
        time: Follow-up, [n], any unit; at ties events come before censorings.
        event: Whether the event was seen, [n].
        case: Case weights, [n], above 0.
        entry: Time at which a subject comes under observation, [n]; at risk after it. None if
            everybody is from the start.
    """

    x: Floats
    time: Floats
    event: NDArray[np.bool_]
    case: Floats
    entry: Floats | None = None

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Subjects:
        """Return some of the subjects, in the given order."""
        return Subjects(
            x=self.x[chosen],
            time=self.time[chosen],
            event=self.event[chosen],
            case=self.case[chosen],
            entry=None if self.entry is None else self.entry[chosen],
        )

    def event_times(self) -> Floats:
        """Return the distinct times of events, increasing."""
        return np.unique(self.time[self.event])


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSums:
    """Sums at m times; adding those of sites gives those of all.

    Args:
        deaths: Events at each time, [m].
        weight: Their case weights, [m].
        risk0: sum_R w, [m].
        risk1: sum_R w x, [m, p].
        dead0: sum_D w, [m].
        dead1: sum_D w x, [m, p].
    """

    deaths: Floats
    weight: Floats
    risk0: Floats
    risk1: Floats
    dead0: Floats
    dead1: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps that the events at m times are split into, K in all.

    Args:
        time_index: Which of the m times, [K].
        alpha: Share of the tied events that has already left, [K].
        scale: Case weight of the step, [K].
        phi: [K].
        mean: m, [K, p].
        times: m, the number of times.
    """

    time_index: NDArray[np.intp]
    alpha: Floats
    scale: Floats
    phi: Floats
    mean: Floats
    times: int

    def per_time(self, values: Floats) -> Floats:
        """Add up values of steps by time, [m] or [m, p]."""
        if values.ndim == 1:
            return np.bincount(self.time_index, values, self.times).astype(np.float64)
        summed = np.zeros((self.times, values.shape[1]))
        np.add.at(summed, self.time_index, values)
        return summed

    @property
    def hazard(self) -> Floats:
        """Increment of the baseline hazard at each time, sum_l 1 / phi, [m]."""
        return self.per_time(self.scale / self.phi)

    @property
    def tied_hazard(self) -> Floats:
        """The part of it that those who die at the time do not face, sum_l alpha / phi, [m]."""
        return self.per_time(self.scale * self.alpha / self.phi)


def strata_of(
    x: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    *,
    strata: NDArray[np.int64] | None = None,
    weights: Floats | None = None,
    entry: Floats | None = None,
) -> Iterator[Subjects]:
    """Yield the subjects of each stratum; those of case weight 0 are not there.

    Args:
        x: [n, p].
        time: [n].
        event: [n].
        strata: Integer code of each subject's stratum, [n]; one stratum unless told.
        weights: Case weights, [n]; ones unless told.
        entry: [n], or None.

    Raises:
        DataError: If a covariate or time is not finite, a weight is negative, or a subject
            entered after it left.
    """
    require_usable(x, time, entry=entry)
    case = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    if not (np.isfinite(case).all() and (case >= 0).all()):
        raise DataError("Case weights must be finite and not negative.")
    everybody = Subjects(x=x, time=time, event=event, case=case, entry=entry)
    codes = np.zeros(len(x), np.int64) if strata is None else np.asarray(strata)
    present = case > 0
    for code in np.unique(codes[present]):
        yield everybody.rows(present & (codes == code))


def require_usable(x: Floats, time: Floats, *, entry: Floats | None) -> None:
    """Refuse values that are not finite, and subjects that entered when they had left.

    Raises:
        DataError: If so; the message names nobody.
    """
    if not (np.isfinite(x).all() and np.isfinite(time).all()):
        raise DataError("The Cox model needs finite covariates and times.")
    if entry is not None and (np.isnan(entry).any() or (entry >= time).any()):
        raise DataError(
            "A subject came under observation at or after the end of its follow-up.",
            do="Correct the entry times, or leave such subjects out.",
        )


def risk_sums(group: Subjects, hazard: Floats, times: Floats) -> RiskSums:
    """Add up risk sets and deaths of one stratum at the given times.

    Args:
        group: The subjects.
        hazard: w times the case weight, [n].
        times: [m], increasing; each event's time is among them.

    Examples:
        >>> two = Subjects(x=np.array([[1.0], [3.0]]), time=np.array([1.0, 2.0]),
        ...                event=np.array([True, True]), case=np.ones(2))
        >>> risk_sums(two, np.ones(2), np.array([1.0, 2.0])).risk1.tolist()
        [[4.0], [3.0]]
    """
    order = np.argsort(group.time, kind="stable")
    first = np.searchsorted(group.time[order], times, side="left")
    weighted = np.column_stack([hazard, hazard[:, None] * group.x])
    risk = _suffix(weighted[order])[first]
    if group.entry is not None:
        late = np.argsort(group.entry, kind="stable")
        not_yet = np.searchsorted(group.entry[late], times, side="left")
        risk = risk - _suffix(weighted[late])[not_yet]
    which = np.searchsorted(times, group.time[group.event])
    dead = np.zeros((len(times), weighted.shape[1]))
    np.add.at(dead, which, weighted[group.event])
    return RiskSums(
        deaths=np.bincount(which, minlength=len(times)).astype(np.float64),
        weight=np.bincount(which, group.case[group.event], len(times)).astype(np.float64),
        risk0=risk[:, 0],
        risk1=risk[:, 1:],
        dead0=dead[:, 0],
        dead1=dead[:, 1:],
    )


def event_steps(sums: RiskSums, *, efron: bool) -> Steps:
    """Split tied events into steps.

    Raises:
        DataError: If nobody is at risk where an event was counted.
    """
    deaths = np.rint(sums.deaths).astype(np.int64)
    index = np.repeat(np.arange(len(deaths)), deaths)
    first = np.repeat(np.cumsum(deaths) - deaths, deaths)
    alpha = (np.arange(len(index)) - first) / deaths[index] if efron else np.zeros(len(index))
    phi = sums.risk0[index] - alpha * sums.dead0[index]
    if not (phi > 0).all():
        raise DataError("Events were counted where no subject is at risk.")
    return Steps(
        time_index=index,
        alpha=alpha,
        scale=(sums.weight / np.maximum(deaths, 1))[index],
        phi=phi,
        mean=(sums.risk1[index] - alpha[:, None] * sums.dead1[index]) / phi[:, None],
        times=len(deaths),
    )


def exposure(group: Subjects, times: Floats, hazard_at: Floats, tied_at: Floats) -> Floats:
    """Add up increments over the times at which each subject is at risk.

    Args:
        group: The subjects.
        times: [m].
        hazard_at: Increment at each time, [m] or [m, p].
        tied_at: What those who die at a time are spared of it, like `hazard_at`.

    Returns:
        [n] or [n, p].
    """
    zero = np.zeros((1, *hazard_at.shape[1:]))
    cumulative = np.concatenate([zero, np.cumsum(hazard_at, axis=0)])
    own = cumulative[np.searchsorted(times, group.time, side="right")]
    if group.entry is not None:
        own = own - cumulative[np.searchsorted(times, group.entry, side="right")]
    own[group.event] -= tied_at[np.searchsorted(times, group.time[group.event])]
    return own


def curvature(
    group: Subjects, hazard: Floats, times: Floats, hazard_at: Floats, tied_at: Floats
) -> Floats:
    """Return sum_j [(sum_R w x x') h_j - (sum_D w x x') c_j], [p, p], subject by subject."""
    own = exposure(group, times, hazard_at, tied_at)
    squares: Floats = (group.x * (hazard * own)[:, None]).T @ group.x
    return squares


def _suffix(values: Floats) -> Floats:
    """Return sums from each row to the end, with a zero row behind the last."""
    ends = np.zeros((len(values) + 1, *values.shape[1:]))
    ends[:-1] = np.cumsum(values[::-1], axis=0)[::-1]
    return ends
