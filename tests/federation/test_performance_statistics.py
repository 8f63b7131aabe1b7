"""Models judged over hospitals in nodes, gates and sums equal the same on one table."""

import dataclasses

import numpy as np
import pytest

from federated import federation, small_hospitals, small_plan
from fedpet import plan as plans
from fedpet.errors import DataError, PlanError, UpdateError
from fedpet.federation.session import Federation
from fedpet.federation.statistics.performance import Estimator
from fedpet.local import federation as local
from fedpet.node.policy import Policy
from fedpet.plan import STATISTICS
from fedpet.survival import scores
from fedpet.survival.bootstrap import bootstrap_weights
from fedpet.survival.grid import grid_of
from fedpet.survival.site_performance import linear_predictor, site_performance, site_sums
from fedpet.training.evaluate import mean_risk, predict_survival, predicted
from fedpet.training.statistics import known_outcome
from references import brca, lung, reference
from toy import toy_hospitals

OPEN = Policy(
    secure_sum="optional", releases=("counts", "site-results", "local-model"), sites_min=2
)
ASK_ALL = plans.Statistics(allowed=STATISTICS)


def asking(**changes) -> plans.Plan:
    return small_plan(statistics=ASK_ALL, **changes)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Judge a federated Cox model at five hospitals, and everything else of this file once."""
    hospitals = toy_hospitals(sites=5, subjects=40)
    plan = asking(evaluation=plans.Evaluation(bootstrap=30))
    policies = dict.fromkeys(hospitals, OPEN)
    with federation(tmp_path_factory.mktemp("run"), plan, hospitals, policies=policies) as run:
        sites = Federation(run)
        model = sites.fit()
        yield {
            "plan": plan,
            "hospitals": hospitals,
            "model": model,
            "evaluation": sites.evaluate(model),
            "loso": sites.leave_one_site_out(),
            "matrix": sites.cross_site_matrix(),
            "sites": sites,
        }


def alone(judged, cohort, model):
    """Predict a cohort's subjects as its node does."""
    body, arrays = model.question("pfs")
    body["select"] = {"fold": None, "part": "all", "members": None}
    rows, time, event = known_outcome(cohort, judged["plan"], body)
    survival = predict_survival(cohort, judged["plan"], body, arrays, rows)
    return rows, time, event, survival


def test_an_evaluation_over_hospitals_equals_that_of_one_table(judged):
    """Every number and every replicate, from predictions laid side by side."""
    plan, model = judged["plan"], judged["model"]
    grid = grid_of(plan.endpoints.horizons_months, plan.model.intervals_months)
    parts = [alone(judged, cohort, model) for cohort in judged["hospitals"].values()]
    time, event = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    survival = np.concatenate([part[3] for part in parts])
    names = [
        c.subjects[r]
        for c, p in zip(judged["hospitals"].values(), parts, strict=True)
        for r in p[0]
    ]
    risk = mean_risk(survival)
    counted, _ = np.histogram(risk, bins=1000, range=(0, 1))
    cdf = np.concatenate([[0.0], np.cumsum(counted) / counted.sum()])
    summed = scores.performance_sums(
        predicted(plan, survival, time, event, cdf=cdf),
        time_days=time,
        event=event,
        strata=np.concatenate([np.full(len(p[1]), k) for k, p in enumerate(parts)]),
        weights=bootstrap_weights(names, replicates=30, seed=plan.seed),
        grid=grid,
    )
    expected, found = scores.performance(summed, grid=grid), judged["evaluation"].performance
    for name in ("c_within", "c_global", "c_uno", "ibs"):
        one, two = getattr(expected, name), getattr(found, name)
        np.testing.assert_allclose(one.replicates, two.replicates, atol=1e-8, err_msg=name)
    np.testing.assert_allclose(expected.d_calibration.shares, found.d_calibration.shares)
    for one, two in zip(expected.decision, found.decision, strict=True):
        assert one.subjects == two.subjects


def test_the_calibration_slope_of_a_fit_on_its_own_subjects_is_near_one(judged):
    """A ridge shrinks, so that the slope is a little above one; its interval holds one."""
    slope = judged["evaluation"].slope
    assert 1.0 < slope.value < 1.6
    assert slope.low < 1.1 < slope.high


def test_each_hospital_left_out_is_judged_as_its_own_table_says(judged):
    """The hospital's own numbers from its own predictions; nothing else was released."""
    found = judged["loso"]
    assert sorted(found.sites) == sorted(judged["hospitals"])
    assert found.reasons == {}
    assert found.performance.subjects == sum(one.subjects for one in found.sites.values())
    assert found.c_index.sites == 5
    assert found.c_index.prediction[0] < found.c_index.value.low
    assert found.c_index.value.high < found.c_index.prediction[1]
    assert [one.sites for one in found.observed_expected[:2]] == [5, 5]
    assert 0.3 < found.slope.value.value < 3


def test_the_matrix_holds_every_pair_of_hospitals(judged):
    """Results of k models at k sites; each row is summarised over the other hospitals."""
    found = judged["matrix"]
    table = found.c_index()
    assert table.shape == (5, 5)
    assert np.isfinite(table).all()
    assert {one.sites for one in found.travelled.values()} == {4}
    # Models are better at home, where they were fitted, than elsewhere.
    assert np.diag(table).mean() > table[~np.eye(5, dtype=bool)].mean()


def test_what_was_asked_before_is_answered_from_the_journal(judged):
    """The same question costs the hospitals nothing and gives the same numbers."""
    again = judged["sites"].evaluate(judged["model"])
    one, two = again.performance.c_uno, judged["evaluation"].performance.c_uno
    assert one.replicates.tobytes() == two.replicates.tobytes()


def test_hospitals_that_keep_their_own_results_are_named_and_the_rest_goes_on(tmp_path):
    """The policy refuses site results at one hospital, models at another."""
    hospitals = toy_hospitals(sites=4, subjects=40)
    policies = dict.fromkeys(hospitals, OPEN)
    policies["site-0"] = dataclasses.replace(OPEN, releases=("counts", "local-model"))
    policies["site-1"] = dataclasses.replace(OPEN, releases=("counts", "site-results"))
    with federation(tmp_path, asking(), hospitals, policies=policies) as run:
        sites = Federation(run)
        loso, matrix = sites.leave_one_site_out(), sites.cross_site_matrix()
    assert "site-results" in loso.reasons["site-0"]
    assert sorted(loso.sites) == ["site-1", "site-2", "site-3"]
    assert loso.performance.subjects > sum(one.subjects for one in loso.sites.values())
    assert sorted(matrix.results) == ["site-0", "site-2", "site-3"]
    assert set(matrix.reasons) == {"site-0", "site-1"}
    assert np.isnan(matrix.c_index()[1]).all()
    assert np.isnan(matrix.c_index()[:, 0]).all()


def test_a_network_is_judged_like_a_cox_model(tmp_path):
    """Fit, evaluate, response, leave one out and matrix with the plan's network."""
    plan = asking(training=plans.Training(rounds=1, batch_size=16))
    hospitals = toy_hospitals(sites=3, subjects=40)
    with federation(tmp_path, plan, hospitals, policies=dict.fromkeys(hospitals, OPEN)) as run:
        sites = Federation(run)
        network = Estimator(kind="network")
        model = sites.fit(network)
        assert sites.evaluate(model, when="at").performance.ibs.estimate().value > 0
        response = sites.evaluate_binary(model, endpoint="response")
        assert response.delong.low < response.auc.estimate().value < response.delong.high
        assert sites.leave_one_site_out(network).c_index.sites == 3
        assert sites.cross_site_matrix(network).c_index().shape == (3, 3)
        cox = sites.fit()
        with pytest.raises(DataError, match="does not predict"):
            sites.evaluate_binary(cox, endpoint="response")


def test_what_the_plan_does_not_name_is_refused_before_anybody_is_asked(judged):
    """Endpoint, column and statistic; in the words of the plan."""
    sites = judged["sites"]
    with pytest.raises(PlanError, match="'ttp'"):
        sites.evaluate(judged["model"], endpoint="ttp")
    with pytest.raises(PlanError, match="'shoe_size'"):
        sites.fit(Estimator(columns=("shoe_size",)))
    with pytest.raises(PlanError, match="yes-or-no endpoint 'cured'"):
        sites.evaluate_binary(judged["model"], endpoint="cured")


def test_a_single_site_result_of_few_events_stays(judged):
    """Four subjects with the event at a hospital: it says why, and releases nothing."""
    event = np.array([True] * 4 + [False] * 40)
    with pytest.raises(DataError, match="Fewer than 5"):
        site_sums(
            risk=np.arange(44.0),
            survival=np.full((44, 1), 0.5),
            time_days=np.arange(1.0, 45.0),
            event=event,
            horizons_days=np.array([10.0]),
        )


def test_too_few_sites_to_leave_one_out_are_told(tmp_path):
    """Two sites fit at least, so that three are needed."""
    hospitals = small_hospitals(sites=2)
    with federation(tmp_path, asking(), hospitals) as run, pytest.raises(UpdateError, match="left"):
        Federation(run).leave_one_site_out()


def test_slope_and_error_at_one_hospital_equal_r():
    """R's fit halved: the slope of the lung data is two, with R's standard error."""
    data, r, days = lung(), reference("performance"), np.array([365.0])
    half = np.round(data.x @ reference()["efron"]["beta"] / 2, 12)
    found = site_performance(
        site_sums(
            risk=half,
            survival=np.exp(-np.exp(half)[:, None] * 0.4),
            time_days=data.time,
            event=data.event,
            horizons_days=days,
        )
    )
    np.testing.assert_allclose(found.slope.value, r["lung_slope"]["pooled"], atol=1e-8)
    np.testing.assert_allclose(found.slope_error, r["lung_slope"]["pooled_se"], atol=1e-8)
    np.testing.assert_allclose(found.c_error, r["lung_concordance"]["global_se"], atol=1e-10)


def test_the_slope_of_fed_tcga_brca_over_six_regions_equals_r():
    """Cox on the linear predictor, stratified by region, asked of nodes as Newton steps."""
    data = brca()
    test = ~data.train
    lp = np.round(data.x @ reference()["brca_pooled"]["beta"], 12)
    tables = {
        f"region-{code}": {
            "lp": lp[test & (data.region == code)],
            "os_days": data.time[test & (data.region == code)],
            "os_event": data.event[test & (data.region == code)],
        }
        for code in np.unique(data.region)
    }
    expected = reference("performance")["brca_test"]
    policy = Policy(
        endpoints=("os",), subjects_min=1, statistics_subjects_min=1, sites_min=1,
        stratum_events_min=0,
    )  # fmt: skip
    with local(tables, policy=policy) as sites:
        model = sites.fit(endpoint="os")
        # One covariate: the model's own predictor is a multiple of lp.
        slope = sites.evaluate(model, endpoint="os").slope
        scale = model.arrays["cox.beta"][0] / model.arrays["prep.sd"][0]
    np.testing.assert_allclose(slope.value * scale, expected["slope_within"], atol=1e-7)
    width = (slope.high - slope.low) / 2 / 1.959963984540054
    np.testing.assert_allclose(width * scale, expected["slope_within_se"], atol=1e-7)
    assert linear_predictor(np.array([0.5])).shape == (1,)
