"""Whom answers are about: the cohort without those who withdrew, and without traces of them.

Two sums, one with a subject and one without, tell that subject by subtraction. So whoever
withdraws leaves together with others: some subjects, drawn by chance, rest beside them, until
what is answered differs from all that was answered before by enough subjects, or by none.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.samples import Cohort, Outcome
from fedpet.node.store import Absent
from fedpet.plan import Plan
from fedpet.training.selection import select


def without(cohort: Cohort, absent: Collection[str]) -> Cohort:
    """Return a cohort without some of its subjects; itself if it holds none of them."""
    gone = set(cohort.subjects) & set(absent)
    if not gone:
        return cohort
    rows = np.array([i for i, name in enumerate(cohort.subjects) if name not in gone], np.intp)
    told = "\n".join([cohort.fingerprint, *sorted(gone)])
    return replace(
        cohort,
        fingerprint=hashlib.sha256(told.encode()).hexdigest(),
        subjects=tuple(cohort.subjects[i] for i in rows),
        strata=tuple(cohort.strata[i] for i in rows),
        table=cohort.table[rows],
        outcomes={
            name: Outcome(time_days=one.time_days[rows], event=one.event[rows])
            for name, one in cohort.outcomes.items()
        },
        binary={name: labels[rows] for name, labels in cohort.binary.items()},
        mips=cohort.mips[rows],
    )


def present(
    cohort: Cohort,
    absent: Sequence[Absent],
    *,
    editions: Collection[tuple[str, ...]],
    least: int,
) -> Cohort:
    """Return a cohort as it may be answered for.

    Who has withdrawn is never in it, however often it is built anew. Who rests beside them comes
    back once enough others came or went.

    Args:
        cohort: As it was built.
        absent: Who is absent, and why.
        editions: Every set of subjects that was answered for.
        least: Subjects by which two sums must differ, if they differ.
    """
    withdrawn = [one.subject for one in absent if one.why == "withdrawn"]
    resting = [one.subject for one in absent if one.why == "resting"]
    whole = without(cohort, withdrawn)
    if resting and not apart(whole.subjects, editions, least=least):
        return without(cohort, [*withdrawn, *resting])
    return whole


def over_all(mask: NDArray[np.bool_], cohort: Cohort, *, whole: Cohort) -> NDArray[np.bool_]:
    """Return a mask over the subjects that are present as one over all that were built.

    Args:
        mask: [subjects of `cohort`].
        cohort: The cohort as it is answered for.
        whole: The cohort as it was built.
    """
    chosen = {name for name, told in zip(cohort.subjects, mask, strict=True) if told}
    return np.array([name in chosen for name in whole.subjects], bool)


def companions(
    subjects: Sequence[str],
    withdrawn: Collection[str],
    editions: Collection[Collection[str]],
    *,
    least: int,
) -> tuple[str, ...]:
    """Choose who rests beside those who withdraw, so that no earlier sum differs by few.

    Args:
        subjects: The cohort as it was answered for until now.
        withdrawn: Who leaves.
        editions: Every set of subjects that was answered for.
        least: Subjects by which two sums must differ, if they differ.

    Returns:
        Nobody, if no earlier sum holds any of them or they are enough; else the fewest that make
        the difference, drawn by chance.

    Examples:
        >>> companions(["a", "b", "c"], ["a"], [], least=2)
        ()
        >>> len(companions(["a", "b", "c"], ["a"], [["a", "b", "c"]], least=2))
        1
    """
    left = [name for name in subjects if name not in set(withdrawn)]
    resting: list[str] = []
    while left and not apart(left, editions, least=least):
        resting.append(left.pop(secrets.randbelow(len(left))))
    return tuple(sorted(resting))


def apart(subjects: Collection[str], editions: Collection[Collection[str]], *, least: int) -> bool:
    """Say whether a set differs from each earlier one by nobody or by enough subjects.

    Examples:
        >>> apart(["a", "b"], [["a", "b", "c"]], least=2), apart(["a"], [["a", "b", "c"]], least=2)
        (False, True)
    """
    now = set(subjects)
    return all(not 0 < len(now ^ set(before)) < least for before in editions)


def objections(
    cohort: Cohort,
    plan: Plan,
    choice: Mapping[str, object],
    *,
    editions: Collection[tuple[str, ...]],
    least: int,
) -> tuple[str, ...]:
    """Object to a sum that differs by few subjects from one over an earlier state of the cohort.

    Args:
        cohort: As it is now.
        plan: The approved plan; its folds part the subjects.
        choice: The request's selection.
        editions: Every state of the cohort that was answered for.
        least: Subjects by which two sums must differ, if they differ.

    Raises:
        UpdateError: If the selection is not understood.
    """
    # What more narrows a statistic's selection is compared in the ledger, subject by subject.
    part = {name: choice.get(name) for name in ("part", "fold", "members")}
    now = {cohort.subjects[row] for row in select(cohort, plan, part)}
    if len(set(cohort.strata)) > 1:  # pooled, with everybody's permission
        return ()
    for edition in editions:
        earlier = replace(cohort, subjects=edition, strata=cohort.strata[:1] * len(edition))
        before = {edition[row] for row in select(earlier, plan, part)}
        if not apart(now, [before], least=least):
            return (
                f"The cohort has changed by fewer than {least} subjects since it was answered "
                "for; theirs could be found by subtraction.",
            )
    return ()
