"""What a node counts for survival curves and their comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.survival.kaplan_meier import event_table
from fedpet.survival.log_rank import log_rank_sums
from fedpet.training.selection import columns_of
from fedpet.training.statistics import entry_days, known_outcome, stratum_codes

Floats = NDArray[np.float64]
Body = Mapping[str, Any]
GROUPS_MAX = 40


def counts(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Count censorings, events and entries of each group by cell of the grid `edges_days`."""
    rows, time, event = known_outcome(cohort, plan, body)
    entry = entry_days(cohort, plan, body, rows, time)
    group, groups = group_of(cohort, plan, body, rows)
    tables = _tables(time, event, group, groups, arrays["edges_days"], entry)
    return {"counts": tables}


def compared(cohort: Cohort, plan: Plan, body: Body, arrays: Parameters) -> dict[str, Floats]:
    """Compare the groups within this site, on its own exact times; only the totals leave."""
    del arrays
    rows, time, event = known_outcome(cohort, plan, body)
    entry = entry_days(cohort, plan, body, rows, time)
    group, groups = group_of(cohort, plan, body, rows)
    strata = stratum_codes(cohort)[rows]
    total = log_rank_sums(np.zeros((groups, 2, 1)))
    for code in np.unique(strata):
        here = strata == code
        late = None if entry is None else entry[here]
        known = [[-1.0], time[here], *([] if late is None else [late])]
        edges = np.unique(np.concatenate(known))
        tables = _tables(time[here], event[here], group[here], groups, edges, late)
        sums = log_rank_sums(tables, rho=float(body["rho"]), gamma=float(body["gamma"]))
        total = {name: total[name] + array for name, array in sums.items()}
    return total


def group_of(
    cohort: Cohort, plan: Plan, body: Body, rows: NDArray[np.intp]
) -> tuple[NDArray[np.int64], int]:
    """Return the group of each row, -1 for none, and how many groups there are.

    Groups are those of a column: `{"column": name, "cuts": [..]}` (below the first cut, from one
    cut to below the next, and so on) or `{"column": name, "levels": [..]}` (its values, each one a
    group). Without `by` all are one group.

    Raises:
        UpdateError: If the groups cannot be understood.
    """
    by = body.get("by")
    if by is None:
        return np.zeros(len(rows), np.int64), 1
    value = columns_of(cohort, plan, [by["column"]])[rows, 0]
    if by.get("levels"):
        levels = _increasing(by["levels"])
        at = np.clip(np.searchsorted(levels, value), 0, len(levels) - 1)
        return np.where(levels[at] == value, at, -1), len(levels)
    cuts = _increasing(by.get("cuts") or [])
    group = np.searchsorted(cuts, value, side="right")
    return np.where(np.isnan(value), -1, group), len(cuts) + 1


def groups_of(cohort: Cohort, plan: Plan, body: Body) -> tuple[tuple[str, NDArray[np.bool_]], ...]:
    """Return the sets of subjects that the answer to a request tells of by its groups.

    Groups between cuts are differences of those below each cut, so that it is these which other
    answers must not come near to.

    Returns:
        What a set is, the same words for sets that can be compared, and who is in it.
    """
    by = body.get("by")
    if by is None:
        return ()
    group, _ = group_of(cohort, plan, body, np.arange(len(cohort.subjects)))
    if by.get("levels"):
        return tuple(
            (f"{by['column']} = {level:g}", group == code)
            for code, level in enumerate(by["levels"])
        )
    return tuple(
        (f"{by['column']} below a cut", (group >= 0) & (group <= code))
        for code in range(len(by["cuts"]))
    )


def _increasing(values: Sequence[float]) -> Floats:
    found = np.asarray(values, np.float64)
    if not 0 < len(found) <= GROUPS_MAX or not (np.diff(found) > 0).all():
        raise UpdateError(f"Groups need 1 to {GROUPS_MAX} cuts or levels, increasing.")
    return found


def _tables(
    time: Floats,
    event: NDArray[np.bool_],
    group: NDArray[np.int64],
    groups: int,
    edges: Floats,
    entry: Floats | None,
) -> Floats:
    """Return the counts of each group, [groups, 2 or 3, cells]."""
    each = []
    for code in range(groups):
        here = group == code
        late = None if entry is None else entry[here]
        each.append(event_table(time[here], event[here], edges, entry=late))
    return np.stack(each)
