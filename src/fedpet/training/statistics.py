"""Sums that a node computes of its table: counts, moments, the Cox model, its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.survival.baseline import exposure_sums
from fedpet.survival.describe import histogram_sums
from fedpet.survival.preprocessing import MONTH_DAYS, Preprocessing, moment_sums
from fedpet.training.harmonising import values_of
from fedpet.training.selection import columns_of, labels_of, select

Floats = NDArray[np.float64]
Body = Mapping[str, Any]
BINS_MAX = 256


def count(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Count the selected subjects, and those with known outcome and event per endpoint."""
    del arrays
    rows = select(cohort, plan, body["select"])
    counts = {"subjects": np.array([float(len(rows))])}
    for name in plan.endpoints.survival:
        outcome = cohort.outcomes.get(name)
        known = ~np.isnan(outcome.time_days[rows]) if outcome else np.zeros(len(rows), bool)
        counts[f"known.{name}"] = np.array([float(known.sum())])
        events = float(outcome.event[rows][known].sum()) if outcome else 0.0
        counts[f"events.{name}"] = np.array([events])
    for name in plan.endpoints.binary:
        labels = labels_of(cohort, name)[rows]
        counts[f"known.{name}"] = np.array([float((~np.isnan(labels)).sum())])
        counts[f"events.{name}"] = np.array([float(np.nansum(labels))])
    return counts


def moments(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Sum the covariates, or their squares about `center`."""
    rows = select(cohort, plan, body["select"])
    columns = list(body["columns"])
    log = np.array([name in plan.inputs.log for name in columns], bool)
    values = values_of(cohort, plan, body, arrays, log=log)[rows]
    return moment_sums(values, log=np.zeros(len(columns), bool), center=arrays.get("center"))


def histogram(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Count the covariates between `edges`, for their medians.

    Raises:
        UpdateError: If the edges do not fit the columns, or are too many.
    """
    rows = select(cohort, plan, body["select"])
    columns, edges = list(body["columns"]), arrays["edges"]
    if edges.ndim != 2 or len(edges) != len(columns) or edges.shape[1] > BINS_MAX:
        raise UpdateError(f"A histogram needs up to {BINS_MAX} edges for each of its columns.")
    log = np.array([name in plan.inputs.log for name in columns], bool)
    return histogram_sums(values_of(cohort, plan, body, arrays, log=log)[rows], edges)


def exposure(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Sum events and risk-weighted days under observation by interval, for a baseline hazard."""
    rows, time, event = known_outcome(cohort, plan, body)
    log_hazard = design(cohort, plan, body, arrays)[rows] @ arrays["cox.beta"]
    entry = entry_days(cohort, plan, body, rows, time)
    return exposure_sums(log_hazard, time, event, edges_days(plan), entry_days=entry)


def edges_days(plan: Plan) -> Floats:
    """Return the edges of the plan's intervals in days."""
    return np.asarray(plan.model.intervals_months, np.float64) * MONTH_DAYS


def preprocessing(body: Body, arrays: Parameters) -> Preprocessing:
    """Return the scaling that a request carries."""
    carried = {
        name.removeprefix("prep."): array
        for name, array in arrays.items()
        if name.startswith("prep.")
    }
    return Preprocessing.from_arrays(carried, columns=body["columns"])


def design(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> Floats:
    """Return the design matrix of every subject, [subjects, q], without missing values."""
    prep = preprocessing(body, arrays)
    return prep.scaled(values_of(cohort, plan, body, arrays, log=prep.log))


def known_outcome(
    cohort: Cohort, plan: Plan, body: Body
) -> tuple[NDArray[np.intp], Floats, NDArray[np.bool_]]:
    """Return rows, time and event of the selected subjects whose endpoint is known.

    Raises:
        UpdateError: If the plan does not name the endpoint, or the cohort does not have it.
    """
    endpoint = body["endpoint"]
    if endpoint not in plan.endpoints.survival:
        raise UpdateError(f"The plan does not name the survival endpoint '{endpoint}'.")
    if endpoint not in cohort.outcomes:
        raise UpdateError(f"This hospital's cohort has no endpoint '{endpoint}'.")
    outcome = cohort.outcomes[endpoint]
    rows = select(cohort, plan, body["select"])
    rows = rows[~np.isnan(outcome.time_days[rows])]
    return rows, outcome.time_days[rows], outcome.event[rows]


def entry_days(
    cohort: Cohort, plan: Plan, body: Body, rows: NDArray[np.intp], time_days: Floats
) -> Floats | None:
    """Return when each of the rows comes under observation; None if from the start.

    Raises:
        UpdateError: If the entry of a subject is not known, or does not precede its end.
    """
    column = body.get("entry")
    if column is None:
        return None
    entry: Floats = columns_of(cohort, plan, [column])[rows, 0]
    if np.isnan(entry).any():
        raise UpdateError(f"The entry '{column}' is not known for every selected subject.")
    if (entry >= time_days).any():
        raise UpdateError(f"By '{column}' a subject entered at or after the end of its follow-up.")
    return entry


def stratum_codes(cohort: Cohort) -> NDArray[np.int64]:
    """Return an integer for each subject's site."""
    return np.unique(np.array(cohort.strata), return_inverse=True)[1].astype(np.int64)
