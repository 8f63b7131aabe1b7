"""Concordance, AUC, Brier score and calibration from sums equal the textbook's."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.survival import binary, scores
from fedpet.survival.bootstrap import bootstrap_weights
from fedpet.survival.concordance import concordance_error, influence_sums
from fedpet.survival.decision import decision_curve, decision_sums
from fedpet.survival.grid import Grid, grid_of
from fedpet.survival.preprocessing import MONTH_DAYS
from judging import DAYS, exact_grid, judged_brca, judged_lung
from references import brca, lung, reference


def lung_performance(*, grid=None, replicates=0, **options) -> scores.Performance:
    summed, grid = judged_lung(grid=grid, replicates=replicates)
    return scores.performance(summed, grid=grid, **options)


def values(measured) -> list[float]:
    return [one.estimate().value for one in measured]


def test_on_a_fine_grid_every_number_equals_its_reference():
    """C-index of R; Brier score and AUC of riskRegression (G just before an event)."""
    summed, grid = judged_lung()
    found, r = scores.performance(summed, grid=grid), reference()
    assert summed["pairs"].tolist() == [[1037.0, 10.0, 1556.0]]
    np.testing.assert_allclose(values([found.c_within])[0], 0.669665809769, atol=1e-12)
    np.testing.assert_allclose(
        values([found.c_global])[0], r["concordance"]["pooled"][0], atol=1e-12
    )
    np.testing.assert_allclose(values(found.brier), r["accuracy"]["brier"], atol=1e-12)
    np.testing.assert_allclose(values(found.auc), r["accuracy"]["auc"], atol=1e-12)
    # As printed by riskRegression itself.
    np.testing.assert_allclose(
        values(found.brier), [0.1782626256, 0.2269846943, 0.1791964688], atol=1e-10
    )
    np.testing.assert_allclose(values(found.auc), [0.7000943, 0.6421335, 0.6634406], atol=1e-7)
    assert (found.subjects, found.events) == (226, 163)


def test_with_g_at_the_event_every_number_equals_scikit_survival():
    """Brier score, its mean over time, AUC, Uno's C-index; 1e-10 where riskRegression differs."""
    expected = reference("accuracy")["lung"]
    found = lung_performance(when="at")
    np.testing.assert_allclose(values(found.brier), expected["brier"], atol=1e-12)
    np.testing.assert_allclose(values([found.ibs]), expected["ibs"], atol=1e-12)
    np.testing.assert_allclose(values(found.auc), expected["auc"], atol=1e-12)
    for tau, uno in zip(expected["tau"], expected["uno"], strict=True):
        grid = exact_grid(
            DAYS, lung().time, np.array([tau]), risk_edges=judged_lung()[1].risk_edges
        )
        measured = lung_performance(grid=grid, when="at", tau_days=tau - 1).c_uno
        np.testing.assert_allclose(values([measured]), uno, atol=1e-12)


def test_scikit_survivals_own_fit_has_the_brier_score_that_it_prints():
    """Efron coefficients with a Breslow baseline: .17830912, .22702779, .17922698."""
    expected = reference("accuracy")["lung"]
    summed, grid = judged_lung(hazard=expected["own_hazard"])
    found = values(scores.performance(summed, grid=grid, when="at").brier)
    np.testing.assert_allclose(found, expected["own_brier"], atol=1e-8)
    np.testing.assert_allclose(found, [0.17830912, 0.22702779, 0.17922698], atol=1e-8)


def test_unos_concordance_equals_r():
    """R's `concordance(timewt = "n/G2")`, the same tau, G just before the event."""
    expected = reference("performance")["lung_uno"]
    for tau, uno in zip(expected["tau"], expected["c"], strict=True):
        grid = exact_grid(
            DAYS, lung().time, np.array([tau]), risk_edges=judged_lung()[1].risk_edges
        )
        found = lung_performance(grid=grid, tau_days=tau).c_uno
        np.testing.assert_allclose(values([found]), uno, atol=1e-10)


def test_fed_tcga_brca_equals_scikit_survival_with_g_of_the_training_fold():
    """AUC, Brier score and its mean over five years; Uno's C-index up to five and ten years."""
    expected = reference("accuracy")["brca"]
    summed, grid, fitted = judged_brca("brca_pooled", until=brca().time[brca().train].max())
    found = scores.performance(summed, grid=grid, when="at", fitted=fitted)
    assert found.subjects == expected["subjects"][0] == 221
    np.testing.assert_allclose(values(found.brier), expected["brier"], atol=1e-10)
    np.testing.assert_allclose(values([found.ibs]), expected["ibs"], atol=1e-10)
    np.testing.assert_allclose(values([found.ibs]), 0.0700375823, atol=1e-10)
    np.testing.assert_allclose(values(found.auc), expected["auc"], atol=1e-10)
    summed, grid, fitted = judged_brca("brca_pooled")
    for tau, uno in zip(expected["tau"], (0.8098194323, 0.7100182626), strict=True):
        found = scores.performance(summed, grid=grid, when="at", fitted=fitted, tau_days=tau)
        np.testing.assert_allclose(values([found.c_uno]), uno, atol=1e-10)
    behind = grid.time_edges_days[-1]
    uno = scores.performance(summed, grid=grid, tau_days=behind).c_uno
    np.testing.assert_allclose(values([uno]), reference("performance")["brca_test"]["uno"])


def test_the_standard_error_of_the_c_index_equals_r():
    """Infinitesimal jackknife, within hospitals and over all."""
    data, r = lung(), reference("performance")
    risk = np.round(data.x @ reference()["efron"]["beta"], 12)
    for strata, expected in (
        (data.inst, r["lung_concordance"]["within_se"]),
        (np.zeros(226, int), r["lung_concordance"]["global_se"]),
    ):
        sums = influence_sums(risk, data.time, data.event, strata)
        pairs = scores.pair_sums(risk, data.time, data.event, strata, np.ones((1, 226)))[0]
        np.testing.assert_allclose(concordance_error(pairs, sums), expected, rtol=1e-10)


def test_d_calibration_equals_survival_eval():
    """Counts, statistic and p of Haider's test."""
    expected = reference("accuracy")["lung"]
    summed, grid = judged_lung()
    found = scores.performance(summed, grid=grid).d_calibration
    np.testing.assert_allclose(summed["d_calibration"][0], expected["d_calibration"], atol=1e-10)
    np.testing.assert_allclose(found.statistic, expected["d_calibration_statistic"], atol=1e-10)
    np.testing.assert_allclose(found.p, expected["d_calibration_p"], atol=1e-10)


def test_who_is_exactly_at_a_threshold_has_reached_it():
    """Models that predict few different risks put whole groups on a threshold."""
    counts = decision_sums(
        np.array([0.05, 0.0499, 0.5, 1.0]),
        np.full(4, 20.0),
        np.ones(4, bool),
        np.ones((1, 4)),
        edges=np.array([0.0, 10.0, 30.0]),
    )
    assert decision_curve(counts).subjects[:2] == (3, 2)
    assert decision_curve(counts).subjects[9:11] == (2, 1)


def test_a_decision_curve_with_censoring_equals_dcurves():
    """Net benefit at a year, Kaplan-Meier among those above the threshold."""
    expected = reference("accuracy")["lung"]
    curve = lung_performance().decision[1]
    np.testing.assert_allclose(curve.thresholds, expected["thresholds"])
    np.testing.assert_allclose(curve.treat_all, expected["treat_all"].astype(float), atol=1e-10)
    known = np.array([value is not None for value in expected["net_benefit"]])
    found = np.array(values(curve.model))
    np.testing.assert_allclose(
        found[known], expected["net_benefit"][known].astype(float), atol=1e-10
    )
    assert known.sum() == 17


def test_the_grid_of_a_plan_costs_less_than_its_bound():
    """Half months and 42 risk bins: C and AUC within 0.005, Brier score within 0.002."""
    found = lung_performance(grid=grid_of(list(DAYS / MONTH_DAYS)))
    r, uno = reference(), reference("performance")["lung_uno"]["c"][1]
    assert abs(values([found.c_global])[0] - r["concordance"]["pooled"][0]) < 5e-3
    assert abs(values([found.c_uno])[0] - uno) < 5e-3
    assert np.abs(np.array(values(found.auc)) - r["accuracy"]["auc"]).max() < 5e-3
    assert np.abs(np.array(values(found.brier)) - r["accuracy"]["brier"]).max() < 2e-3
    np.testing.assert_allclose(values([found.c_within])[0], 0.669665809769, atol=1e-12)


def test_two_hundred_risk_bins_give_the_auc_within_a_thousandth():
    """Exact times, risks in 200 bins of equal size: the error that the method promises."""
    grid = exact_grid(DAYS, lung().time, risk_edges=np.linspace(0, 1, 201))
    found, r = lung_performance(grid=grid), reference()
    assert np.abs(np.array(values(found.auc)) - r["accuracy"]["auc"]).max() < 1e-3
    assert abs(values([found.c_global])[0] - r["concordance"]["pooled"][0]) < 7e-4


@pytest.mark.parametrize("name", ["brca_pooled", "brca_stratified"])
def test_concordance_on_fed_tcga_brca_equals_r(name):
    """Test fold of six regions, pooled and within regions."""
    summed, grid, _ = judged_brca(name)
    found, expected = scores.performance(summed, grid=grid), reference()[name]
    np.testing.assert_allclose(values([found.c_within])[0], expected["c_within"][0], atol=1e-12)
    np.testing.assert_allclose(values([found.c_global])[0], expected["c_global"][0], atol=1e-12)


@st.composite
def judged(draw):
    """Draw predictions and outcomes of a few small sites."""
    n = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    risk = rng.integers(0, draw(st.integers(2, 40)), n) / 40
    event = rng.random(n) < draw(st.floats(0, 1))
    return {
        "predicted": scores.Predicted(
            risk=risk,
            binned=risk,
            survival=np.sort(rng.random((n, 3)), axis=1)[:, ::-1],
            own=rng.integers(0, 11, n) / 10,
            own_event=event,
        ),
        "time_days": rng.integers(0, 60, n).astype(float),
        "event": event,
        "strata": rng.integers(0, 3, n),
        "weights": bootstrap_weights([str(i) for i in range(n)], replicates=25, seed=n),
    }


GRID = Grid(
    horizons_days=np.array([20.0, 40.0]),
    brier_days=np.array([10.0, 20.0, 40.0]),
    time_edges_days=np.arange(0.0, 51.0, 5.0),
    risk_edges=np.linspace(0, 1, 21),
)


def predicted_of(predicted: scores.Predicted, rows: np.ndarray) -> scores.Predicted:
    values = {f.name: getattr(predicted, f.name)[rows] for f in dataclasses.fields(predicted)}
    return scores.Predicted(**values)


def rows_of(data: dict, rows: np.ndarray) -> dict:
    chosen = {
        name: array[:, rows] if name == "weights" else array[rows]
        for name, array in data.items()
        if name != "predicted"
    }
    return {"predicted": predicted_of(data["predicted"], rows), **chosen}


@given(data=judged())
def test_the_sums_of_the_sites_add_up_to_those_of_the_pooled_table(data):
    """Every site alone, then added: what one table with strata gives, all replicates."""
    whole = scores.performance_sums(**data, grid=GRID)
    parts = [
        scores.performance_sums(**rows_of(data, np.flatnonzero(data["strata"] == code)), grid=GRID)
        for code in np.unique(data["strata"])
    ]
    for name, array in whole.items():
        np.testing.assert_allclose(
            array, sum(part[name] for part in parts), atol=1e-9, err_msg=name
        )


@given(data=judged(), seed=st.integers(0, 1000))
def test_the_order_of_subjects_does_not_matter(data, seed):
    """A permuted table gives the same sums."""
    order = np.random.default_rng(seed).permutation(len(data["event"]))
    one = scores.performance_sums(**data, grid=GRID)
    two = scores.performance_sums(**rows_of(data, order), grid=GRID)
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], atol=1e-9, err_msg=name)


@given(data=judged())
def test_pairs_equal_a_double_loop(data):
    """Concordant, tied and comparable pairs within sites, counted one by one."""
    risk = data["predicted"].risk
    time, event, site = (data[k] for k in ("time_days", "event", "strata"))
    counted = [0.0, 0.0, 0.0]
    for i in range(len(risk)):
        for j in range(len(risk)):
            later = time[i] < time[j] or (time[i] == time[j] and not event[j])
            if i != j and site[i] == site[j] and event[i] and later:
                counted[0] += risk[i] > risk[j]
                counted[1] += risk[i] == risk[j]
                counted[2] += 1
    assert scores.performance_sums(**data, grid=GRID)["pairs"][0].tolist() == counted


@given(data=judged())
def test_no_number_of_a_report_is_infinite_and_what_is_unknown_is_none(data):
    """Few events, no events, everybody alike: an estimate is finite or None."""
    found = scores.performance(scores.performance_sums(**data, grid=GRID), grid=GRID)
    measured = [
        found.c_within, found.c_global, found.c_uno, *found.auc, *found.brier, found.ibs,
        *found.observed_expected, *found.slope, *found.decision[0].model, *found.decision[1].model,
    ]  # fmt: skip
    for one in measured:
        estimate = one.estimate()
        if estimate is not None:
            assert np.isfinite(estimate.value)
            assert estimate.low is None or np.isfinite([estimate.low, estimate.high]).all()
    assert all(np.isfinite(value) for value in (*found.brier_reference, found.ibs_reference))
    assert all(np.isfinite(curve.treat_all).all() for curve in found.decision)
    assert found.d_calibration is None or 0 <= found.d_calibration.p <= 1
    for auc in found.auc:
        estimate = auc.estimate()
        assert estimate is None or -1e-12 <= estimate.value <= 1 + 1e-12


def test_bootstrap_weights_have_mean_and_variance_one():
    """Poisson(1), first row ones, and the same for a subject wherever it stands in the table."""
    keys = [str(i) for i in range(500)]
    weights = bootstrap_weights(keys, replicates=400, seed=7)
    assert weights.shape == (401, 500)
    assert (weights[0] == 1).all()
    assert abs(weights[1:].mean() - 1) < 0.01
    assert abs(weights[1:].var() - 1) < 0.02
    backwards = bootstrap_weights(keys[::-1], replicates=400, seed=7)
    np.testing.assert_array_equal(backwards[:, ::-1], weights)
    assert (bootstrap_weights(keys, replicates=400, seed=8) != weights).any()


def test_the_bootstrap_error_of_the_c_index_is_that_of_the_literature():
    """R's asymptotic standard error of the lung C-index within sites is about 0.02."""
    found = lung_performance(replicates=400)
    sd = found.c_global.replicates[1:].std()
    assert 0.018 < sd < 0.032
    assert found.c_global.estimate().low < 0.6376 < found.c_global.estimate().high


def test_a_perfect_model_is_calibrated():
    """Predictions that are the truth: slope 1, observed over expected 1."""
    rng = np.random.default_rng(3)
    n = 20_000
    hazard = np.exp(rng.normal(-3.5, 0.7, n))
    time, censored = rng.exponential(1 / hazard), rng.uniform(10, 90, n)
    survival = np.exp(-hazard[:, None] * GRID.brier_days)
    place = (np.argsort(np.argsort(hazard)) + 0.5) / n
    grid = dataclasses.replace(GRID, time_edges_days=np.arange(0.0, 51.0))
    followed = np.minimum(time, censored)
    summed: dict[str, np.ndarray] = {}
    for site in range(40):
        rows = np.arange(site * 500, site * 500 + 500)
        part = scores.performance_sums(
            scores.Predicted(
                risk=place[rows],
                binned=place[rows],
                survival=survival[rows],
                own=np.exp(-hazard * followed)[rows],
                own_event=(time <= censored)[rows],
            ),
            time_days=followed[rows],
            event=(time <= censored)[rows],
            strata=np.zeros(500, int),
            weights=np.ones((1, 500)),
            grid=grid,
        )
        summed = {name: summed.get(name, 0) + array for name, array in part.items()}
    found = scores.performance(summed, grid=grid)
    assert found.d_calibration.p > 0.001
    np.testing.assert_allclose(found.d_calibration.shares, 0.1, atol=0.01)
    np.testing.assert_allclose(values(found.observed_expected), 1.0, atol=0.03)
    np.testing.assert_allclose(values(found.slope), 1.0, atol=0.05)
    for horizon, groups in zip(grid.horizons_days, found.bins, strict=True):
        assert [one.subjects for one in groups] == [2000] * 10
        for tenth, one in enumerate(groups):
            uncensored = time[(place * 10).astype(int) == tenth] <= horizon
            assert abs(one.observed - uncensored.mean()) < 0.01


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
)
def test_binary_auc_and_brier_equal_the_definition(rows):
    """With scores on the bins, the AUC is exact; the Brier score always is."""
    score = np.array([np.floor(s * 199.9) / 200 + 0.0025 for s, _ in rows])
    label = np.array([y for _, y in rows])
    found = binary.binary_performance(
        binary.binary_sums(score=score, label=label, weights=np.ones((1, len(rows))))
    )
    np.testing.assert_allclose(found.brier.estimate().value, ((score - label) ** 2).mean())
    yes, no = score[label], score[~label]
    estimate = found.auc.estimate()
    if len(yes) == 0 or len(no) == 0:
        assert estimate is None
        return
    greater = (yes[:, None] > no).mean() + 0.5 * (yes[:, None] == no).mean()
    np.testing.assert_allclose(estimate.value, greater, atol=1e-12)


def test_a_paired_difference_of_a_model_with_itself_is_zero():
    """Replicates are shared, so that differences have honest intervals."""
    found = lung_performance(replicates=30)
    difference = found.c_within.minus(found.c_within).estimate()
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_delong_equals_proc():
    """AUC, variance and interval of 113 patients; scores put on the bins, ties and all."""
    data, expected = reference("performance")["asah"], reference("performance")["asah_roc"]
    values_, place = np.unique(data["score"], return_inverse=True)
    assert len(values_) <= binary.SCORE_BINS
    score, label = (place + 0.5) / binary.SCORE_BINS, data["label"] == 1
    found = binary.binary_performance(
        binary.binary_sums(score=score, label=label, weights=np.ones((1, len(label))))
    )
    np.testing.assert_allclose(found.auc.replicates[0], expected["auc"][0], atol=1e-12)
    np.testing.assert_allclose(found.delong_error**2, expected["variance"][0], atol=1e-12)
    limits = [found.delong.low, found.delong.high]
    np.testing.assert_allclose(limits, [expected["low"][0], expected["high"][0]], atol=1e-10)


def test_a_binary_decision_curve_equals_dcurves():
    """Net benefit from the histogram of scores: thresholds lie on the edges of its bins."""
    data, expected = reference("performance")["asah"], reference("accuracy")["binary"]
    score, label = 1 / (1 + np.exp(1.5 - 3 * data["score"])), data["label"] == 1
    found = binary.binary_performance(
        binary.binary_sums(score=score, label=label, weights=np.ones((1, len(label))))
    ).decision
    np.testing.assert_allclose(values(found.model), expected["net_benefit"], atol=1e-12)
    np.testing.assert_allclose(found.treat_all, expected["treat_all"], atol=1e-12)


@given(n=st.integers(4, 40), seed=st.integers(0, 999))
def test_a_constant_says_nothing_about_anybody(n, seed):
    """A model that says the same of everybody: C, AUC of any kind one half; treat-all its curve."""
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 60, n).astype(float), rng.random(n) < 0.6
    same = scores.Predicted(
        risk=np.zeros(n),
        binned=np.full(n, 0.5),
        survival=np.tile([0.04, 0.03, 0.02], (n, 1)),
        own=np.full(n, 0.5),
        own_event=event,
    )
    summed = scores.performance_sums(
        same,
        time_days=time,
        event=event,
        strata=np.zeros(n, int),
        weights=np.ones((1, n)),
        grid=GRID,
    )
    found = scores.performance(summed, grid=GRID)
    for one in (found.c_within, found.c_global, found.c_uno, *found.auc):
        assert one.estimate() is None or abs(one.estimate().value - 0.5) < 1e-12
    for curve in found.decision:
        np.testing.assert_allclose(values(curve.model), curve.treat_all, atol=1e-12)
    score = binary.binary_performance(
        binary.binary_sums(score=np.full(n, 0.3), label=event, weights=np.ones((1, n)))
    )
    assert score.auc.estimate() is None or score.auc.estimate().value == 0.5


def test_every_score_over_ten_sites_and_ten_thousand_subjects_takes_less_than_a_second():
    """Sums of one site after the other, and the server's part, on the processor; best of three."""
    import time

    rng = np.random.default_rng(5)
    grid = grid_of([6, 12, 24], [3, 6, 9, 12, 15, 18, 21, 24])
    n = 1000
    risk, event = rng.random(n), rng.random(n) < 0.6
    predicted = scores.Predicted(
        risk=risk,
        binned=risk,
        survival=np.exp(-np.outer(risk, grid.brier_days / 400)),
        own=rng.random(n),
        own_event=event,
    )
    seconds = []
    for _ in range(3):
        started, summed = time.process_time(), {}
        for _ in range(10):
            part = scores.performance_sums(
                predicted,
                time_days=rng.exponential(500, n),
                event=event,
                strata=np.zeros(n, int),
                weights=np.ones((1, n)),
                grid=grid,
            )
            summed = {name: summed.get(name, 0) + array for name, array in part.items()}
        scores.performance(summed, grid=grid)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 1
