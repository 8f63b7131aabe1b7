"""Which of a site's subjects a step is about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.plan import Plan

Rows = NDArray[np.intp]
SIDES = ("in", "out")
GUARD_MIN = 10
OTHER = {"train": "test", "test": "train", "in": "out", "out": "in"}
OTHER_WITHIN = {"fit": "validation", "validation": "fit"}


def select(cohort: Cohort, plan: Plan, choice: Mapping[str, Any]) -> Rows:
    """Return the rows of a cohort that a request selects.

    Args:
        cohort: The site's cohort.
        plan: The plan; its seed and number of folds decide who is held out.
        choice: `part` (`all`, `train` or `test`), `fold` (one of the plan's if the part is not
            `all`) and `members` (sites of a pooled cohort, or None); `guard` (`in` or `out`: who
            judges candidates, or does not) and `half` (number and `in` or `out`: a random half of
            the privacy audit), where the plan has them; where training
            stops early `within` (`fit` or `validation`); of a statistic also `complete`
            (columns that must be known) and `where` (`column`, `low`, `high`: low <= value < high).

    Returns:
        Row numbers, increasing.

    Raises:
        UpdateError: If the choice is not understood, or parts subjects that the plan does not.
    """
    part, fold, members = choice.get("part"), choice.get("fold"), choice.get("members")
    chosen = np.ones(len(cohort.subjects), bool)
    if members is not None:
        chosen &= np.isin(np.array(cohort.strata), list(members))
    if part in ("train", "test"):
        folds = plan.evaluation.folds
        if plan.evaluation.scheme != "held-out-subjects":
            raise UpdateError("The plan holds out hospitals; it parts nobody's subjects.")
        if type(fold) is not int or not 0 <= fold < folds:
            raise UpdateError(f"The plan has folds 0 to {folds - 1}, and no other.")
        held_out = np.array(
            [fold_of(name, seed=plan.seed, folds=folds) for name in cohort.subjects]
        )
        chosen &= (held_out == fold) == (part == "test")
    elif part != "all":
        raise UpdateError(f"Subjects cannot be selected by part '{part}'.")
    chosen &= _guards(cohort, plan, choice) & _half(cohort, plan, choice)
    chosen &= _within(cohort, plan, choice.get("within"))
    return np.flatnonzero(chosen & _analysed(cohort, plan, choice))


def _within(cohort: Cohort, plan: Plan, within: object) -> NDArray[np.bool_]:
    """Return who is fitted to, or who is kept to tell when to stop; everybody for None.

    Raises:
        UpdateError: If the plan keeps nobody, or the word is not understood.
    """
    if within is None:
        return np.ones(len(cohort.subjects), bool)
    if within not in ("fit", "validation") or not plan.training.patience:
        raise UpdateError(f"Subjects cannot be selected within '{within!s:.40}'.")
    share = plan.training.validation_share
    kept = np.array([_draw(f"validation/{plan.seed}/{s}") < share for s in cohort.subjects], bool)
    return kept if within == "validation" else ~kept


def _analysed(cohort: Cohort, plan: Plan, choice: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return who belongs to the analysis set of a statistic."""
    chosen = np.ones(len(cohort.subjects), bool)
    complete, where = choice.get("complete") or (), choice.get("where") or ()
    if complete:
        chosen &= ~np.isnan(columns_of(cohort, plan, complete)).any(axis=1)
    for one in where:
        value = columns_of(cohort, plan, [one["column"]])[:, 0]
        low, high = one.get("low"), one.get("high")
        chosen &= (value >= (-np.inf if low is None else low)) & (
            value < (np.inf if high is None else high)
        )
    return chosen


def _guards(cohort: Cohort, plan: Plan, choice: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return who is on the asked side of those kept to judge candidates.

    A hospital that is too small to keep `GUARD_MIN` apart keeps nobody, and does not vote.
    """
    side = choice.get("guard")
    if side is None:
        return np.ones(len(cohort.subjects), bool)
    if not plan.acceptance.every or side not in SIDES:
        raise UpdateError("The plan keeps no subjects apart to judge its models.")
    size = len(cohort.subjects)
    kept = round(plan.acceptance.guard_share * size)
    if min(kept, size - kept) < GUARD_MIN:
        kept = 0
    drawn = [drawn_of(name, f"guard/{plan.seed}") for name in cohort.subjects]
    guards = np.zeros(size, bool)
    guards[np.argsort(drawn, kind="stable")[:kept]] = True
    chosen: NDArray[np.bool_] = guards == (side == "in")
    return chosen


def _half(cohort: Cohort, plan: Plan, choice: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return who is on the asked side of a random half of the privacy audit."""
    half = choice.get("half")
    if half is None:
        return np.ones(len(cohort.subjects), bool)
    number, side = half
    if type(number) is not int or not 0 <= number <= plan.audit.references or side not in SIDES:
        raise UpdateError("The plan's privacy audit has no such half.")
    if not plan.audit.references:
        raise UpdateError("The plan attacks no models; it has no halves.")
    chosen: NDArray[np.bool_] = in_half(cohort, plan, number) == (side == "in")
    return chosen


def in_half(cohort: Cohort, plan: Plan, number: int) -> NDArray[np.bool_]:
    """Return who is in a random half of the privacy audit, [subjects]; the two are of one size."""
    name = f"half/{plan.seed}/{number}"
    order = np.argsort([drawn_of(one, name) for one in cohort.subjects], kind="stable")
    chosen = np.zeros(len(cohort.subjects), bool)
    chosen[order[: len(order) // 2]] = True
    return chosen


def drawn_of(pseudonym: str, name: str) -> float:
    """Return a number from 0 to 1 that depends on the subject and the name of the draw only.

    Examples:
        >>> 0 <= drawn_of("a41f", "guard/1") < 1
        True
    """
    digest = hashlib.sha256(f"{name}/{pseudonym}".encode()).digest()
    return int.from_bytes(digest[:8], "little") / 2**64


def fold_of(pseudonym: str, *, seed: int, folds: int) -> int:
    """Return the fold in which a subject is held out; it depends on nobody else.

    Examples:
        >>> fold_of("a41f", seed=1, folds=5) == fold_of("a41f", seed=1, folds=5)
        True
    """
    digest = hashlib.sha256(f"fold/{seed}/{pseudonym}".encode()).digest()
    return int.from_bytes(digest[:8], "little") % folds


def _draw(text: str) -> float:
    """Return a number from 0 to 1 that follows from a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") / 2**64


def subjects_behind(cohort: Cohort, plan: Plan, body: Mapping[str, Any]) -> int:
    """Count the subjects that an answer to a request would sum.

    Those that it selects and, if it names an endpoint, whose endpoint is known.
    """
    return _known(cohort, select(cohort, plan, body["select"]), body)


def subjects_left_out(cohort: Cohort, plan: Plan, body: Mapping[str, Any]) -> int:
    """Count the subjects that a request's fold, guard or half leaves out of an answer.

    The sum over them could be found by subtracting the answer from that over all subjects. Where
    several of these narrow a request, the fewest that one of them leaves out, but not nobody.
    """
    choice = body["select"]
    others = []
    if (part := OTHER.get(choice.get("part"))) is not None:
        others.append({**choice, "part": part})
    if choice.get("guard") in SIDES:
        others.append({**choice, "guard": OTHER[choice["guard"]]})
    if choice.get("half") is not None:
        number, side = choice["half"]
        others.append({**choice, "half": [number, OTHER.get(side)]})
    if (within := OTHER_WITHIN.get(choice.get("within"))) is not None:
        others.append({**choice, "within": within})
    left_out = [_known(cohort, select(cohort, plan, other), body) for other in others]
    return min((count for count in left_out if count), default=0)


def _known(cohort: Cohort, rows: Rows, body: Mapping[str, Any]) -> int:
    endpoint = body.get("endpoint")
    if isinstance(endpoint, str) and endpoint in cohort.outcomes:
        return int((~np.isnan(cohort.outcomes[endpoint].time_days[rows])).sum())
    if endpoint is not None:
        return int((~np.isnan(labels_of(cohort, endpoint)[rows])).sum())
    return len(rows)


def labels_of(cohort: Cohort, endpoint: str) -> NDArray[np.float64]:
    """Return a yes-or-no endpoint of every subject, NaN throughout if the cohort lacks it."""
    found = cohort.binary.get(endpoint)
    return np.full(len(cohort.subjects), np.nan) if found is None else found


def columns_of(cohort: Cohort, plan: Plan, columns: Sequence[str]) -> NDArray[np.float64]:
    """Return the named columns of a cohort's table, [subjects, columns].

    Raises:
        UpdateError: If the plan does not name a column, or the cohort lacks it.
    """
    allowed = (*plan.inputs.clinical, *plan.inputs.biomarkers)
    if foreign := [name for name in columns if name not in allowed]:
        raise UpdateError(f"The plan does not name column '{foreign[0]}'.")
    if missing := [name for name in columns if name not in cohort.columns]:
        raise UpdateError(f"This hospital's cohort has no column '{missing[0]}'.")
    index = [cohort.columns.index(name) for name in columns]
    table: NDArray[np.float64] = cohort.table[:, index]
    return table
