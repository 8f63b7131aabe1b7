"""Endpoints from dates. The rules, as a statistician would write them down.

1. The time origin is the first infusion; times are whole days from it, never negative.
2. A progression counts if a scan at least 28 days later confirmed it; its date is that of the
   *first* progression. One that was not confirmed, or too early, does not count
   (pseudo-progression). Where a hospital does not record confirmation, every progression counts
   (RECIST 1.1), and a finding says so.
3. PFS ends at the progression that counts or at death from any cause, whichever is first. Death
   after an unconfirmed progression counts at the date of death.
4. OS ends at death from any cause.
5. Without an event, time is censored when the subject was last known to be alive: at the last
   contact, or at a later recorded progression or confirmation.
6. Early failure: 1 if the event of PFS came within 6 months (182.625 days), 0 if the subject was
   free of it for longer, unknown if censored before.
7. A date that cannot be read, lies before 1990 or in the future, or contradicts another one makes
   every endpoint unknown that depends on it; nothing is guessed.
8. Where the dictionary tells the day on which the data were closed, what happened later does not
   count: whoever was known to be alive after that day is censored on it. Whoever was last seen
   more than 180 days before it is told as lost to follow-up, and censored when last seen.

Source: RECIST 1.1 (Eisenhauer 2009); iRECIST (Seymour 2017) for the confirmation after 4 weeks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.clinical import ROLES, Table
from fedpet.cohort.findings import Finding, counted, found
from fedpet.cohort.samples import Outcome

CONFIRM_DAYS_MIN = 28
EARLY_DAYS = 182.625
LOST_DAYS = 180
EARLIEST = date(1990, 1, 1)
LABELS = {
    "pfs": "Progression-free survival",
    "os": "Overall survival",
    "response": "Response",
    "early_failure": "Early failure",
}


class Problem(StrEnum):
    """What is wrong with the dates of a subject, in the words of a finding."""

    NO_ORIGIN = "no date of first infusion"
    IMPLAUSIBLE = "a date before 1990 or in the future"
    PROGRESSION_BEFORE_ORIGIN = "a progression before the first infusion"
    DEATH_BEFORE_ORIGIN = "a death before the first infusion"
    CONTACT_BEFORE_ORIGIN = "a last contact before the first infusion"
    CONFIRMED_ALONE = "a confirmation without a progression"
    CONFIRMED_FIRST = "a confirmation before the progression"
    DEATH_BEFORE_CONTACT = "a death before the last contact"
    DEATH_BEFORE_PROGRESSION = "a death before the progression or its confirmation"
    NO_END = "neither a death nor a last contact"
    CONTACT_BEFORE_PROGRESSION = "a last contact before a recorded progression; the later one holds"
    CONFIRMED_EARLY = "a progression confirmed within 28 days, which does not count"
    UNCONFIRMED = "an unconfirmed progression, which does not count"
    AFTER_CUTOFF = "a first infusion after the data were closed"
    LATER = "events after the data were closed, which do not count"
    LOST = "a last contact long before the data were closed"


# Problems that make an endpoint unknown; the others are told and change nothing.
UNKNOWN_OS = frozenset(
    {
        Problem.NO_ORIGIN,
        Problem.IMPLAUSIBLE,
        Problem.DEATH_BEFORE_ORIGIN,
        Problem.CONTACT_BEFORE_ORIGIN,
        Problem.DEATH_BEFORE_CONTACT,
        Problem.DEATH_BEFORE_PROGRESSION,
        Problem.NO_END,
        Problem.AFTER_CUTOFF,
    }
)
UNKNOWN_PFS = UNKNOWN_OS - {Problem.NO_END} | {
    Problem.PROGRESSION_BEFORE_ORIGIN,
    Problem.CONFIRMED_ALONE,
    Problem.CONFIRMED_FIRST,
}
# Codes of the problems that are only good to know.
INFO = {
    Problem.CONFIRMED_EARLY: "FP-2165",
    Problem.UNCONFIRMED: "FP-2165",
    Problem.LATER: "FP-2176",
    Problem.LOST: "FP-2169",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The dates of one subject; None where nothing is recorded.

    Args:
        origin: First infusion.
        progression: First progression.
        confirmed: The scan that confirmed it.
        death: Death from any cause.
        last_contact: Last day known to be alive.
        unreadable: A cell held something that is not a date.
    """

    origin: date | None = None
    progression: date | None = None
    confirmed: date | None = None
    death: date | None = None
    last_contact: date | None = None
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Endpoints of one subject: (days, event), or None where unknown."""

    pfs: tuple[int, bool] | None
    os: tuple[int, bool] | None
    problems: frozenset[Problem]

    @property
    def early_failure(self) -> float:
        """1 if PFS ended by an event within 6 months, 0 if it lasted longer, NaN unknown.

        Examples:
            >>> Ends(pfs=(100, True), os=None, problems=frozenset()).early_failure
            1.0
            >>> Ends(pfs=(100, False), os=None, problems=frozenset()).early_failure
            nan
        """
        if self.pfs is None:
            return float("nan")
        days, event = self.pfs
        if days > EARLY_DAYS:
            return 0.0
        return 1.0 if event else float("nan")


def derive(course: Course, *, today: date, confirmation: bool = True) -> Ends:
    """Derive a subject's endpoints by the rules above.

    Args:
        course: The subject's dates.
        today: Dates after it are in the future.
        confirmation: False where the hospital does not record confirmation at all.

    Examples:
        >>> seen = Course(origin=date(2021, 1, 1), progression=date(2021, 4, 1),
        ...               confirmed=date(2021, 5, 3), last_contact=date(2021, 12, 31))
        >>> ends = derive(seen, today=date(2026, 1, 1))
        >>> ends.pfs, ends.os
        ((90, True), (364, False))
    """
    problems = frozenset(_problems(course, today=today, confirmation=confirmation))
    origin, death = course.origin, course.death
    if origin is None:
        return Ends(pfs=None, os=None, problems=problems)
    alive = _last_alive(course)
    counts = course.progression is not None and (
        not confirmation
        or (
            course.confirmed is not None
            and (course.confirmed - course.progression).days >= CONFIRM_DAYS_MIN
        )
    )
    os = pfs = None
    if not problems & UNKNOWN_OS and course.unreadable.isdisjoint({"origin", "death"}):
        if death is not None:
            os = ((death - origin).days, True)
        elif alive is not None and "last_contact" not in course.unreadable:
            os = ((alive - origin).days, False)
    if not problems & UNKNOWN_PFS and course.unreadable.isdisjoint(
        {"origin", "death", "progression", "progression_confirmed"}
    ):
        if counts and course.progression is not None:
            pfs = ((course.progression - origin).days, True)
        else:
            pfs = os
    return Ends(pfs=pfs, os=os, problems=problems)


def derive_until(course: Course, *, today: date, confirmation: bool, cutoff: date | None) -> Ends:
    """Derive a subject's endpoints from what was known when the data were closed (rule 8).

    Examples:
        >>> seen = Course(origin=date(2021, 1, 1), death=date(2023, 1, 1))
        >>> derive_until(seen, today=date(2026, 1, 1), confirmation=True,
        ...              cutoff=date(2022, 1, 1)).os
        (365, False)
    """
    whole = derive(course, today=today, confirmation=confirmation)
    if cutoff is None or course.origin is None or whole.problems & {Problem.IMPLAUSIBLE}:
        return whole
    if course.origin > cutoff:
        problems = whole.problems | {Problem.AFTER_CUTOFF}
        return Ends(pfs=None, os=None, problems=problems)
    events = (course.progression, course.confirmed, course.death)
    seen = [day for day in (*events, course.last_contact) if day is not None]
    if not any(day > cutoff for day in seen):
        alive = _last_alive(course)
        lost = course.death is None and alive is not None and (cutoff - alive).days > LOST_DAYS
        return replace(whole, problems=whole.problems | {Problem.LOST}) if lost else whole
    progression, confirmed, death = (d if d is not None and d <= cutoff else None for d in events)
    closed = derive(
        replace(
            course,
            progression=progression,
            confirmed=confirmed,
            death=death,
            last_contact=cutoff if death is None else course.last_contact,
        ),
        today=today,
        confirmation=confirmation,
    )
    later = {Problem.LATER} if any(d is not None and d > cutoff for d in events) else set()
    return Ends(
        pfs=None if whole.pfs is None else closed.pfs,
        os=None if whole.os is None else closed.os,
        problems=whole.problems | later,
    )


def _last_alive(course: Course) -> date | None:
    seen = (course.last_contact, course.progression, course.confirmed)
    start = course.origin or EARLIEST
    return max((day for day in seen if day is not None and day >= start), default=None)


def _problems(course: Course, *, today: date, confirmation: bool) -> list[Problem]:
    """List what is wrong with a subject's dates."""
    origin, progression, confirmed = course.origin, course.progression, course.confirmed
    death, contact = course.death, course.last_contact
    days = [day for day in (origin, progression, confirmed, death, contact) if day is not None]
    if any(not EARLIEST <= day <= today for day in days):
        return [Problem.IMPLAUSIBLE]
    if origin is None:
        return [] if "origin" in course.unreadable else [Problem.NO_ORIGIN]
    wrong = {
        Problem.PROGRESSION_BEFORE_ORIGIN: progression is not None and progression < origin,
        Problem.DEATH_BEFORE_ORIGIN: death is not None and death < origin,
        Problem.CONTACT_BEFORE_ORIGIN: contact is not None and contact < origin,
        Problem.CONFIRMED_ALONE: confirmed is not None
        and progression is None
        and "progression" not in course.unreadable,
        Problem.CONFIRMED_FIRST: progression is not None
        and confirmed is not None
        and confirmed < progression,
        Problem.DEATH_BEFORE_CONTACT: death is not None and contact is not None and death < contact,
        Problem.DEATH_BEFORE_PROGRESSION: death is not None
        and any(day is not None and death < day for day in (progression, confirmed)),
        Problem.NO_END: death is None
        and _last_alive(course) is None
        and course.unreadable.isdisjoint({"death", "last_contact"}),
        Problem.CONTACT_BEFORE_PROGRESSION: death is None
        and contact is not None
        and any(day is not None and contact < day for day in (progression, confirmed)),
    }
    problems = [problem for problem, is_wrong in wrong.items() if is_wrong]
    if confirmation and progression is not None and not problems:
        if confirmed is None and "progression_confirmed" not in course.unreadable:
            problems.append(Problem.UNCONFIRMED)
        elif confirmed is not None and (confirmed - progression).days < CONFIRM_DAYS_MIN:
            problems.append(Problem.CONFIRMED_EARLY)
    return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Endpoints of every subject of a table, rows as in the table.

    Args:
        outcomes: `pfs` and `os`.
        binary: `early_failure`, and `response` where it is recorded.
        findings: Contradictions, and progressions that do not count.
    """

    outcomes: Mapping[str, Outcome]
    binary: Mapping[str, NDArray[np.float64]]
    findings: tuple[Finding, ...]


def endpoints_of(table: Table, *, today: date) -> Endpoints:
    """Derive the endpoints of every subject of a table."""
    confirmation = "progression_confirmed" in table.dates
    courses = _courses(table)
    ends = [
        derive_until(course, today=today, confirmation=confirmation, cutoff=table.cutoff)
        for course in courses
    ]
    concerned: dict[Problem, list[str]] = defaultdict(list)
    for subject, end in zip(table.subjects, ends, strict=True):
        for problem in end.problems:
            concerned[problem].append(subject)
    findings = [
        found(
            INFO.get(problem, "FP-2164"),
            f"{counted(len(subjects), 'subject')} with {problem}.",
            subjects=subjects,
        )
        for problem, subjects in sorted(concerned.items())
    ]
    if not confirmation:
        findings.append(found("FP-2168", "PFS counts every progression, confirmed or not."))
    binary = {"early_failure": np.array([end.early_failure for end in ends], dtype=np.float64)}
    if table.response is not None:
        binary["response"] = table.response
    return Endpoints(
        outcomes={
            "pfs": _outcome([end.pfs for end in ends]),
            "os": _outcome([end.os for end in ends]),
        },
        binary=binary,
        findings=tuple(findings),
    )


def _courses(table: Table) -> list[Course]:
    days = {role: dates.days.astype(object) for role, dates in table.dates.items()}
    nothing = np.full(len(table.subjects), None, dtype=object)
    return [
        Course(
            origin=days["origin"][row],
            progression=days["progression"][row],
            confirmed=days.get("progression_confirmed", nothing)[row],
            death=days["death"][row],
            last_contact=days["last_contact"][row],
            unreadable=frozenset(
                role for role in ROLES if role in table.dates and table.dates[role].unreadable[row]
            ),
        )
        for row in range(len(table.subjects))
    ]


def _outcome(ends: list[tuple[int, bool] | None]) -> Outcome:
    return Outcome(
        time_days=np.array([np.nan if end is None else float(end[0]) for end in ends]),
        event=np.array([end is not None and end[1] for end in ends], dtype=bool),
    )
