"""Curves, their comparison and Cox models over 18 institutions as hospitals, equal to R's."""

import numpy as np
import pytest

from fedpet.errors import DataError, NotFoundError, PlanError, UpdateError
from fedpet.federation.statistics.cox import CoxOptions
from fedpet.federation.statistics.curves import Groups
from fedpet.federation.statistics.time_grid import DAYS, TimeGrid
from fedpet.local.opening import federation
from fedpet.node.policy import Policy
from fedpet.survival.random_effects import random_effects
from references import LUNG_COVARIATES, brca, lung, reference

SEX = Groups(column="sex", levels=(1, 2))
EXACT = TimeGrid(step_days=1.0, until_days=1100.0, merge=False)
OPEN = Policy(
    endpoints=("os",),
    releases=("counts", "site-coefficients", "site-curves"),
    subjects_min=0,
    statistics_subjects_min=0,
    stratum_events_min=0,
    covariates_per_subject_max=100.0,
    grid_days_min=0.0,
    difference_min=0,
    queries_max=100_000,
)


def institutions(*, complete: bool = True):
    """Return the lung data as a table of each institution."""
    data = lung(complete=complete)
    late = np.minimum(np.arange(1, len(data.time) + 1) % 7 * 20.0, data.time - 1)
    return {
        f"inst-{code:02d}": {
            **{
                name: data.x[data.inst == code, index] for index, name in enumerate(LUNG_COVARIATES)
            },
            "entry": late[data.inst == code],
            "late": data.time[data.inst == code],
            "os_days": data.time[data.inst == code],
            "os_event": data.event[data.inst == code].astype(float),
        }
        for code in np.unique(data.inst)
    }


@pytest.fixture(scope="module")
def hospitals():
    """Open 18 hospitals whose covariates are complete."""
    with federation(institutions(), policy=OPEN, workers=1) as found:
        yield found


@pytest.fixture(scope="module")
def everyone():
    """Open 18 hospitals with all 227 subjects."""
    with federation(institutions(complete=False), policy=OPEN, workers=1) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "ties", "strata", "entry"),
    [
        ("pooled", "efron", "none", None),
        ("pooled", "breslow", "none", None),
        ("stratified", "efron", "site", None),
        ("late", "efron", "none", "entry"),
        ("late_stratified", "breslow", "site", "entry"),
    ],
)
def test_cox_models_over_18_hospitals_equal_r_survival(hospitals, name, ties, strata, entry):
    """Coefficients, errors plain and robust, likelihood, baseline, and the test of its shape."""
    expected = reference("cox_curves")[f"{name}_{ties}"]
    found = {}
    for robust in (None, "site", "subject"):
        options = CoxOptions(strata=strata, ties=ties, entry=entry, grid=EXACT, robust=robust)
        found[robust] = hospitals.cox("os", LUNG_COVARIATES, options=options)
    model = found[None]
    np.testing.assert_allclose(list(model.params_.values()), expected["beta"], atol=1e-8)
    np.testing.assert_allclose(list(model.standard_errors_.values()), expected["se"], atol=1e-8)
    np.testing.assert_allclose(model.log_likelihood_, expected["log_likelihood"][1], atol=1e-8)
    np.testing.assert_allclose(model.fit.score_test, expected["score"][0], atol=1e-7)
    for robust in ("site", "subject"):
        errors = list(found[robust].standard_errors_.values())
        np.testing.assert_allclose(errors, expected[f"robust_{robust}"], atol=1e-8)
    for transform in ("identity", "log", "km", "rank"):
        test = model.check_proportional_hazards(transform, grid=EXACT)
        np.testing.assert_allclose(
            [*test.chi_square, test.global_chi_square], expected[f"zph_{transform}"], atol=1e-7
        )
    if strata == "none":
        hazard = model.baseline_cumulative_hazard_.at(np.array([100.0, 365.0, 730.0]))
        np.testing.assert_allclose(hazard, expected["hazard"], atol=1e-8)
    assert (model.fit.subjects, model.fit.events, len(model.sites)) == (226, 163, 18)


def test_the_ridge_and_the_summary_follow_r_and_lifelines(hospitals):
    """Theta on raw coefficients unless told; hazard ratios, limits, z and p from them."""
    options = CoxOptions(strata="none", grid=EXACT, ridge=5.0)
    model = hospitals.cox("os", LUNG_COVARIATES, options=options)
    expected = reference("cox_curves")["ridge_pooled"]["beta"]
    np.testing.assert_allclose(list(model.params_.values()), expected, atol=1e-8)
    row = model.summary[1]
    assert row.covariate == "sex"
    np.testing.assert_allclose(row.hazard_ratio, np.exp(row.coef))
    np.testing.assert_allclose(np.log([row.low, row.high]), model.confidence_intervals_["sex"])
    scaled = CoxOptions(strata="none", grid=EXACT, ridge=5.0, standardize=True)
    other = hospitals.cox("os", LUNG_COVARIATES, options=scaled)
    assert abs(other.params_["sex"]) > abs(model.params_["sex"])


def test_predictions_come_with_either_baseline(hospitals):
    """A man of 65 with ECOG 1: the exact curve, and within a tenth of it that of the strata."""
    man = {"age": [65.0], "sex": [1.0], "ph.ecog": [1.0]}
    pooled = hospitals.cox("os", LUNG_COVARIATES, options=CoxOptions(strata="none", grid=EXACT))
    strata = hospitals.cox("os", LUNG_COVARIATES)
    expected = reference("cox_curves")["pooled_efron"]
    at_zero = expected["hazard"][1]
    relative = np.exp(np.array([65.0, 1.0, 1.0]) @ expected["beta"])
    one = pooled.predict_survival(man, [365.0])[0, 0]
    np.testing.assert_allclose(one, np.exp(-at_zero * relative), atol=1e-8)
    assert abs(strata.predict_survival(man, [365.0])[0, 0] - one) < 0.1
    with pytest.raises(DataError, match="reads 'sex'"):
        pooled.predict_survival({"age": [60.0]}, [1.0])


def test_hospitals_agree_on_sex_from_sums_and_from_their_own_coefficients(hospitals):
    """The random-effects summary needs no hospital's own number; with them it is the same."""
    model = hospitals.cox("os", LUNG_COVARIATES)
    found = model.heterogeneity("sex", method="dersimonian-laird", by_hospital=True)
    own = [one for one in found.sites if one.estimate is not None]
    listed = random_effects(
        np.array([one.estimate for one in own]),
        np.array([one.se for one in own]),
        method="dersimonian-laird",
        hartung_knapp=True,
    )
    assert found.effects.sites == len(own)
    np.testing.assert_allclose(found.effects.estimate, listed.estimate, atol=1e-8)
    np.testing.assert_allclose(found.effects.q, listed.q, atol=1e-8)
    data = reference("cox_curves")
    large = [f"inst-{int(code):02d}" for code in data["lung_sites_inst"]["inst"]]
    by_name = {one.site: one for one in found.sites}
    np.testing.assert_allclose(
        [by_name[site].estimate for site in large], data["lung_sites"]["estimate"], atol=1e-8
    )
    with pytest.raises(NotFoundError, match="no covariate 'wbc'"):
        model.heterogeneity("wbc")


def test_a_coarse_grid_is_merged_until_it_tells_of_five(hospitals):
    """Weeks over 18 hospitals: every cell left by five, and died in by nobody or by five."""
    model = hospitals.cox("os", LUNG_COVARIATES, options=CoxOptions(strata="none"))
    counts = model.common.counts
    assert (counts[:2].sum(axis=0) >= 5).all()
    assert ((counts[1] == 0) | (counts[1] >= 5)).all()
    exact = reference("cox_curves")["pooled_efron"]
    shift = np.abs(list(model.params_.values()) - exact["beta"]) / exact["se"]
    assert (shift < 0.3).all()
    assert any("merged" in line for line in model.report_disclosure())


def test_what_cannot_be_estimated_is_named_or_left_out(hospitals):
    """The entry times of a table that repeats itself."""
    tables = {
        site: {**table, "years": table["age"] / 2, "three": table["age"] * 0 + 3}
        for site, table in institutions().items()
    }
    names = (*LUNG_COVARIATES, "years", "three")
    with federation(tables, policy=OPEN, workers=1) as found:
        with pytest.raises(DataError, match="'three' does not vary"):
            found.cox("os", names)
        for strata in ("site", "none"):
            options = CoxOptions(strata=strata, grid=EXACT, unidentified="drop", robust="site")
            model = found.cox("os", names, options=options)
            key = "stratified_efron" if strata == "site" else "pooled_efron"
            expected = reference("cox_curves")[key]
            assert model.covariates == LUNG_COVARIATES
            np.testing.assert_allclose(list(model.params_.values()), expected["beta"], atol=1e-8)
            errors = list(model.standard_errors_.values())
            np.testing.assert_allclose(errors, expected["robust_site"], atol=1e-8)
            test = model.check_proportional_hazards("identity")
            chi_square = [*test.chi_square, test.global_chi_square]
            np.testing.assert_allclose(chi_square, expected["zph_identity"], atol=1e-7)
            assert any("'three'" in note for note in model.notes)


@pytest.mark.parametrize("strata", ["none", "site"])
def test_breast_cancer_over_six_regions_equals_r_and_costs_few_numbers(strata):
    """39 covariates of rank 32, ridge 10: at most 100,000 numbers pooled, 10,000 stratified."""
    data = brca()
    rows = data.train
    tables = {
        f"region-{code}": {
            **{f"x{i:02d}": data.x[rows & (data.region == code), i] for i in range(39)},
            "os_days": data.time[rows & (data.region == code)],
            "os_event": data.event[rows & (data.region == code)].astype(float),
        }
        for code in range(6)
    }
    grid = TimeGrid(step_days=1.0, until_days=9000.0, merge=False)
    options = CoxOptions(strata=strata, ridge=10.0, grid=grid, standardize=False)
    with federation(tables, policy=OPEN, workers=1) as found:
        model = found.cox("os", [f"x{i:02d}" for i in range(39)], options=options)
    expected = reference()["brca_pooled" if strata == "none" else "brca_stratified"]
    np.testing.assert_allclose(list(model.params_.values()), expected["beta"], atol=1e-8)
    np.testing.assert_allclose(model.log_likelihood_, expected["log_likelihood"][0], atol=1e-7)
    assert model.floats_per_site <= (100_000 if strata == "none" else 10_000)
    if strata == "none":
        base = reference("cox_curves")["brca_baseline"]
        hazard = model.baseline_cumulative_hazard_.at(base["days"])
        np.testing.assert_allclose(hazard, base["hazard"], atol=1e-8)


@pytest.mark.parametrize("limits", ["plain", "log", "log-log"])
@pytest.mark.parametrize("entry", [None, "entry"])
def test_curves_over_18_hospitals_equal_r_survival(everyone, limits, entry):
    """Survival, errors, limits, median, hazard and restricted mean on single days."""
    expected = reference("cox_curves")["km_late" if entry else "km"]
    found = everyone.kaplan_meier("os", grid=EXACT, limits=limits, entry=entry).groups[0]
    days, key = expected["days"], limits.replace("-", "_")
    np.testing.assert_allclose(found.survival_at(days), expected["survival"], atol=1e-12)
    np.testing.assert_allclose(found.se_at(days), expected["se"], atol=1e-12)
    low, high = found.interval_at(days)
    np.testing.assert_allclose(low, expected[f"low_{key}"], atol=1e-12)
    np.testing.assert_allclose(high, expected[f"high_{key}"], atol=1e-12)
    np.testing.assert_allclose(found.cumulative_hazard_at(days), expected["hazard"], atol=1e-12)
    assert [found.median.days, found.median.low, found.median.high] == expected[
        f"median_{key}"
    ].tolist()
    mean = found.rmst(365.0)
    np.testing.assert_allclose([mean.days, mean.se], expected["rmst"], atol=1e-9)
    assert found.at_risk[-1].count is None


@pytest.mark.parametrize(
    ("key", "by", "strata", "rho"),
    [
        ("sex", SEX, "none", 0.0),
        ("sex_by_inst", SEX, "site", 0.0),
        ("sex_rho_1", SEX, "none", 1.0),
        ("sex_by_inst_rho_1", SEX, "site", 1.0),
        ("inst", "site", "none", 0.0),
        ("ecog", Groups(column="ph.ecog", levels=(0, 1, 2, 3)), "none", 0.0),
        ("ecog_by_inst", Groups(column="ph.ecog", cuts=(1, 2, 3)), "site", 0.0),
    ],
)
def test_log_rank_tests_over_18_hospitals_equal_r_survival(everyone, key, by, strata, rho):
    """`survdiff`: by sex, by four states of performance, by hospital; plain and stratified."""
    found = everyone.log_rank("os", by, strata=strata, rho=rho, grid=EXACT)
    expected = reference("cox_curves")["log_rank"][key][0]
    np.testing.assert_allclose(found.test.statistic, expected, atol=1e-10)
    if strata == "site":
        groups = len(found.groups)
        assert found.floats_per_site == groups * (groups + 2)


def test_a_group_of_few_has_no_curve(everyone):
    """One subject with ECOG 3 is not drawn, and is said to be left out."""
    by = Groups(column="ph.ecog", cuts=(1, 3))
    found = everyone.kaplan_meier("os", by=by)
    assert [one.label for one in found.groups] == ["ph.ecog < 1", "1 <= ph.ecog < 3"]
    assert found.groups_hidden == ("ph.ecog >= 3",)
    assert "ph.ecog >= 3" in found.report_disclosure()[-1]


def test_what_was_asked_before_needs_no_hospital(everyone):
    """The same question is answered from the journal, with the same bytes."""
    one = everyone.kaplan_meier("os", by=SEX)
    records = []
    everyone._watch = records.append
    two = everyone.kaplan_meier("os", by=SEX)
    everyone._watch = None
    np.testing.assert_array_equal(one.groups[0].curve.low, two.groups[0].curve.low)
    assert records[-1].replayed


@pytest.mark.parametrize(
    ("ask", "error", "found"),
    [
        (lambda f: f.cox("os", []), PlanError, "needs covariates"),
        (lambda f: f.cox("os", ["age", "age"]), PlanError, "each named once"),
        (lambda f: f.cox("os", ["weight"]), UpdateError, "does not name column 'weight'"),
        (lambda f: f.cox("pfs", ["age"]), UpdateError, "not name the endpoint 'pfs'"),
        (lambda f: f.cox("os", ["age"], options=CoxOptions(ties="exact")), DataError, "'exact'"),
        (lambda f: f.kaplan_meier("os", by=Groups(column="age")), PlanError, "cuts or levels"),
        (
            lambda f: f.kaplan_meier("os", by=Groups(column="age", cuts=(60, 50))),
            PlanError,
            "which increase",
        ),
        (
            lambda f: f.kaplan_meier("os", grid=TimeGrid(step_days=0)),
            DataError,
            "has no cell",
        ),
        (lambda f: f.log_rank("os", SEX, rho=-1), DataError, "not negative"),
        (lambda f: f.kaplan_meier("os", entry="late"), UpdateError, "entered at or after"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_in_words(hospitals, ask, error, found):
    """Never a traceback of NumPy, never NaN."""
    with pytest.raises(error, match=found):
        ask(hospitals)


def test_single_days_are_refused_by_the_default_policy():
    """Times of events point to persons; a hospital tells weeks at the finest."""
    data = lung(complete=False)
    tables = {
        f"site-{part}": {
            "sex": data.x[part::3, 1],
            "os_days": data.time[part::3],
            "os_event": data.event[part::3].astype(float),
        }
        for part in range(3)
    }
    with federation(tables, workers=1) as found:
        with pytest.raises(UpdateError, match="does not start at 0"):
            found.kaplan_meier("os", grid=DAYS)
        assert found.kaplan_meier("os").groups[0].subjects == 227
        with pytest.raises(UpdateError, match="does not release 'site-curves'"):
            found.log_rank("os", "site")


def test_a_hospital_without_the_covariate_is_named():
    """The others go on; the one that lacks a column says so by its own name."""
    data = lung()
    tables = {
        f"site-{part}": {
            "sex": data.x[part::4, 1],
            **({"age": data.x[part::4, 0]} if part else {}),
            "os_days": data.time[part::4],
            "os_event": data.event[part::4].astype(float),
        }
        for part in range(4)
    }
    from fedpet.local.tables import plan_of

    plan = plan_of(["sex", "age", "os_days", "os_event"], cohort="local")
    with federation(tables, plan=plan, workers=1) as found:
        model = found.cox("os", ["sex", "age"])
        assert model.sites == ("site-1", "site-2", "site-3")


def test_cuts_that_part_few_subjects_from_an_earlier_answer_are_refused():
    """Two curves, below 60 and below 61, would tell by subtraction when those of 60 died."""
    data = lung(complete=False)
    tables = {
        f"site-{part}": {
            "age": data.x[part::3, 0],
            "os_days": data.time[part::3],
            "os_event": data.event[part::3].astype(float),
        }
        for part in range(3)
    }
    with federation(tables, workers=1) as found:
        for _ in range(2):
            found.kaplan_meier("os", by=Groups(column="age", cuts=(50, 60, 70)))
            found.log_rank("os", Groups(column="age", cuts=(50, 60, 70)))
        found.kaplan_meier("os", by=Groups(column="age", cuts=(60,)))
        with pytest.raises(UpdateError, match="fewer than 5 subjects"):
            found.kaplan_meier("os", by=Groups(column="age", cuts=(61,)))
