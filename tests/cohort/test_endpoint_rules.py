"""Endpoints by rule: named cases that a statistician would write, and laws over all courses."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.cohort.endpoints import Course, Problem, derive

START = date(2021, 1, 1)
TODAY = date(2026, 1, 1)


def day(number: int | None) -> date | None:
    return None if number is None else START + timedelta(days=number)


def course(
    *,
    progression: int | None = None,
    confirmed: int | None = None,
    death: int | None = None,
    contact: int | None = None,
) -> Course:
    """Write a course in days from the first infusion."""
    return Course(
        origin=START,
        progression=day(progression),
        confirmed=day(confirmed),
        death=day(death),
        last_contact=day(contact),
    )


CASES = {
    "a confirmed progression counts at the date of the first one": (
        course(progression=90, confirmed=120, contact=400), (90, True), (400, False), 1.0,
    ),
    "a confirmation on day 28 is late enough": (
        course(progression=90, confirmed=118, contact=400), (90, True), (400, False), 1.0,
    ),
    "a confirmation on day 27 is too early": (
        course(progression=90, confirmed=117, contact=400), (400, False), (400, False), 0.0,
    ),
    "pseudo-progression: an unconfirmed progression does not count": (
        course(progression=60, contact=500), (500, False), (500, False), 0.0,
    ),
    "death without progression counts at the date of death": (
        course(death=150), (150, True), (150, True), 1.0,
    ),
    "death soon after an unconfirmed progression counts at the date of death": (
        course(progression=100, death=110), (110, True), (110, True), 1.0,
    ),
    "a confirmed progression then death": (
        course(progression=200, confirmed=230, death=300), (200, True), (300, True), 0.0,
    ),
    "no event is censored at the last contact": (
        course(contact=365), (365, False), (365, False), 0.0,
    ),
    "censored before six months leaves early failure unknown": (
        course(contact=182), (182, False), (182, False), math.nan,
    ),
    "censored a day after six months is no early failure": (
        course(contact=183), (183, False), (183, False), 0.0,
    ),
    "an event on day 182 is early, on day 183 it is not": (
        course(death=183), (183, True), (183, True), 0.0,
    ),
    "an event on the day of the first infusion has time zero": (
        course(death=0), (0, True), (0, True), 1.0,
    ),
    "a death on the day of the last contact is no contradiction": (
        course(death=50, contact=50), (50, True), (50, True), 1.0,
    ),
    "a stale last contact gives way to the later confirmation": (
        course(progression=90, confirmed=130, contact=30), (90, True), (130, False), 1.0,
    ),
    "a progression before treatment makes PFS unknown and leaves OS": (
        course(progression=-5, confirmed=40, contact=100), None, (100, False), math.nan,
    ),
    "a progression before treatment is never a negative follow-up": (
        course(progression=-5), None, None, math.nan,
    ),
    "a death before treatment": (course(death=-1), None, None, math.nan),
    "a last contact before treatment": (course(contact=-30), None, None, math.nan),
    "a last contact after death": (course(death=100, contact=130), None, None, math.nan),
    "a progression after death": (course(progression=120, death=100), None, None, math.nan),
    "a confirmation before the progression": (
        course(progression=90, confirmed=60, contact=300), None, (300, False), math.nan,
    ),
    "a confirmation without a progression": (
        course(confirmed=60, contact=300), None, (300, False), math.nan,
    ),
    "a date in the future": (course(contact=4000), None, None, math.nan),
    "neither death nor contact": (course(), None, None, math.nan),
    "no first infusion": (Course(death=date(2022, 1, 1)), None, None, math.nan),
    "the year 21 instead of 2021": (
        Course(origin=date(21, 1, 1), death=date(2022, 1, 1)), None, None, math.nan,
    ),
    "an unreadable progression makes PFS unknown, not free of progression": (
        replace(course(contact=300), unreadable=frozenset({"progression"})),
        None, (300, False), math.nan,
    ),
    "an unreadable death makes both unknown, not alive": (
        replace(course(contact=300), unreadable=frozenset({"death"})), None, None, math.nan,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "pfs", "os", "early"), CASES.values(), ids=CASES.keys())
def test_each_named_course_has_the_endpoints_that_the_rules_say(subject, pfs, os, early):
    """The table is the specification: a change of a rule must change a line here."""
    ends = derive(subject, today=TODAY)
    assert (ends.pfs, ends.os) == (pfs, os)
    assert ends.early_failure == early or (math.isnan(early) and math.isnan(ends.early_failure))


def test_every_progression_counts_where_confirmation_is_not_recorded():
    """A hospital that follows RECIST 1.1 has no date of confirmation to give."""
    seen = course(progression=60, contact=500)
    assert derive(seen, today=TODAY, confirmation=False).pfs == (60, True)


def test_a_course_without_contradiction_has_no_problem():
    """Findings must be worth reading; a normal course makes none."""
    seen = course(progression=90, confirmed=130, death=300, contact=290)
    assert derive(seen, today=TODAY).problems == frozenset()


def test_an_unknown_endpoint_always_has_a_reason_told():
    """Nothing becomes unknown silently, whatever the row says."""
    for subject, pfs, os, _ in CASES.values():
        ends = derive(subject, today=TODAY)
        assert (pfs is not None and os is not None) or ends.problems or subject.unreadable


dates = st.none() | st.dates(min_value=date(2019, 1, 1), max_value=date(2025, 12, 31))
courses = st.builds(
    Course,
    origin=dates,
    progression=dates,
    confirmed=dates,
    death=dates,
    last_contact=dates,
    unreadable=st.frozensets(
        st.sampled_from(["origin", "progression", "progression_confirmed", "death", "last_contact"])
    ),
).map(
    lambda c: replace(
        c,
        origin=None if "origin" in c.unreadable else c.origin,
        progression=None if "progression" in c.unreadable else c.progression,
        confirmed=None if "progression_confirmed" in c.unreadable else c.confirmed,
        death=None if "death" in c.unreadable else c.death,
        last_contact=None if "last_contact" in c.unreadable else c.last_contact,
    )
)


@given(courses, st.booleans())
def test_pfs_never_exceeds_os_and_no_time_is_negative(subject, confirmation):
    """Progression-free survival ends at death at the latest; time starts at the first infusion."""
    ends = derive(subject, today=TODAY, confirmation=confirmation)
    for end in (ends.pfs, ends.os):
        assert end is None or end[0] >= 0
    if ends.pfs is not None and ends.os is not None:
        assert ends.pfs[0] <= ends.os[0]
        assert ends.pfs[1] or not ends.os[1]


@given(courses)
def test_early_failure_agrees_with_pfs(subject):
    """The yes-or-no question is read off the same curve."""
    ends = derive(subject, today=TODAY)
    if ends.early_failure == 1:
        assert ends.pfs is not None
        assert ends.pfs[1]
        assert ends.pfs[0] <= 182
    if ends.early_failure == 0:
        assert ends.pfs is not None
        assert ends.pfs[0] >= 183


@given(courses)
def test_confirming_a_progression_later_never_lengthens_pfs(subject):
    """Confirmation can only turn a censored or later time into the earlier event."""
    if (
        subject.progression is None
        or Problem.UNCONFIRMED not in derive(subject, today=TODAY).problems
    ):
        return
    before = derive(subject, today=TODAY).pfs
    confirmed = replace(subject, confirmed=subject.progression + timedelta(days=40))
    after = derive(confirmed, today=TODAY).pfs
    if before is not None and after is not None:
        assert after[0] <= before[0]
