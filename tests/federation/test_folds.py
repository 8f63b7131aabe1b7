"""Nobody is judged by a model that was fitted to them, and everybody is judged once."""

from collections import Counter

import pytest

from fedpet.federation.preparation import Enrolled, everybody, folds_of
from fedpet.plan import Evaluation
from fedpet.training.selection import select
from toy import toy_hospitals, toy_plan

HOSPITALS = toy_hospitals(sites=6, subjects=30)
ENROLLED = Enrolled(
    subjects={site: len(cohort.subjects) for site, cohort in HOSPITALS.items()},
    events={site: {} for site in HOSPITALS},
    refusals={},
)


@pytest.mark.parametrize("scheme", ["held-out-sites", "held-out-subjects"])
@pytest.mark.parametrize("folds", [2, 3, 6])
def test_no_subject_both_fits_and_judges_and_each_judges_once(scheme, folds):
    """One subject on both sides would make every number of the report too good."""
    plan = toy_plan(evaluation=Evaluation(scheme=scheme, folds=folds))
    judged = Counter()
    for fold in folds_of(plan, ENROLLED):

        def chosen(sites, choice):
            rows = {site: select(HOSPITALS[site], plan, choice) for site in sites}
            return {HOSPITALS[site].subjects[row] for site in sites for row in rows[site]}

        fits = chosen(fold.train_sites, fold.training())
        judges = chosen(fold.test_sites, fold.testing())
        everyone = {name for cohort in HOSPITALS.values() for name in cohort.subjects}
        assert judges
        assert fits.isdisjoint(judges)
        assert fits | judges == everyone
        judged.update(judges)
    assert set(judged) == everyone
    assert set(judged.values()) == {1}


def test_the_model_that_is_kept_is_fitted_on_everybody_and_judged_on_nobody():
    """What is handed on saw all subjects, so that none is left to judge it."""
    fold = everybody(ENROLLED)
    assert fold.train_sites == tuple(sorted(HOSPITALS))
    assert fold.test_sites == ()
