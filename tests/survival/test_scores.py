"""Concordance, AUC, Brier score and calibration from sums equal the textbook's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.survival import scores
from fedpet.survival.grid import grid_of
from fedpet.survival.preprocessing import MONTH_DAYS
from references import brca, lung, reference

DAYS = np.array([180.0, 365.0, 540.0])


def ranks(risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a risk's place among its distinct values in [0, 1], and edges around each place."""
    values, place = np.unique(risk, return_inverse=True)
    return (place + 0.5) / len(values), np.linspace(0, 1, len(values) + 1)


def lung_sums(*, time_edges=None, risk_edges=None, replicates=0):
    """Judge R's pooled Efron fit on the lung data."""
    data, r = lung(), reference()
    risk = data.x @ r["efron"]["beta"]
    survival = np.exp(-np.exp(risk)[:, None] * r["baseline_efron"]["hazard"])
    place, exact = ranks(risk)
    edges = np.unique(np.concatenate([[0.0], DAYS, data.time]))
    edges = edges if time_edges is None else time_edges
    summed = scores.performance_sums(
        risk=np.round(risk, 12),
        binned_risk=place,
        survival=survival,
        time_days=data.time,
        event=data.event,
        strata=data.inst,
        weights=scores.bootstrap_weights(
            [str(i) for i in range(226)], replicates=replicates, seed=1
        ),
        horizons_days=DAYS,
        time_edges_days=edges,
        risk_edges=exact if risk_edges is None else risk_edges,
    )
    return scores.performance(summed, horizons_days=DAYS, time_edges_days=edges), summed


def values(measured) -> list[float]:
    return [one.estimate().value for one in measured]


def test_on_a_fine_grid_every_number_equals_its_reference():
    """C-index of R; Brier score and AUC of riskRegression (G just before an event)."""
    found, summed = lung_sums()
    r = reference()
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


def test_scikit_survivals_brier_score_is_as_near_as_conventions_allow():
    """scikit-survival weights an event with G at its time, we with G just before: < 1e-4."""
    found, _ = lung_sums()
    np.testing.assert_allclose(values(found.brier), [0.17830912, 0.22702779, 0.17922698], atol=1e-4)


def test_the_grid_of_a_plan_costs_less_than_its_bound():
    """Half months and 42 risk bins: C and AUC within 0.005, Brier score within 0.002."""
    grid = grid_of(list(DAYS / MONTH_DAYS))
    found, _ = lung_sums(time_edges=grid.time_edges_days, risk_edges=grid.risk_edges)
    r = reference()
    assert abs(values([found.c_global])[0] - r["concordance"]["pooled"][0]) < 5e-3
    assert np.abs(np.array(values(found.auc)) - r["accuracy"]["auc"]).max() < 5e-3
    assert np.abs(np.array(values(found.brier)) - r["accuracy"]["brier"]).max() < 2e-3
    np.testing.assert_allclose(values([found.c_within])[0], 0.669665809769, atol=1e-12)


@pytest.mark.parametrize("name", ["brca_pooled", "brca_stratified"])
def test_concordance_on_fed_tcga_brca_equals_r(name):
    """Test fold of six regions, pooled and within regions."""
    data, expected = brca(), reference()[name]
    test = ~data.train
    risk = np.round(data.x[test] @ expected["beta"], 12)
    place, edges = ranks(risk)
    times = np.unique(np.concatenate([[0.0, 365.25], data.time[test]]))
    summed = scores.performance_sums(
        risk=risk,
        binned_risk=place,
        survival=np.full((len(risk), 1), 0.9),
        time_days=data.time[test],
        event=data.event[test],
        strata=data.region[test],
        weights=np.ones((1, len(risk))),
        horizons_days=np.array([365.25]),
        time_edges_days=times,
        risk_edges=edges,
    )
    found = scores.performance(summed, horizons_days=np.array([365.25]), time_edges_days=times)
    np.testing.assert_allclose(values([found.c_within])[0], expected["c_within"][0], atol=1e-12)
    np.testing.assert_allclose(values([found.c_global])[0], expected["c_global"][0], atol=1e-12)


@st.composite
def judged(draw):
    """Draw predictions and outcomes of a few small sites."""
    n = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    risk = rng.integers(0, draw(st.integers(2, 40)), n) / 40
    return {
        "risk": risk,
        "binned_risk": risk,
        "survival": np.sort(rng.random((n, 2)), axis=1)[:, ::-1],
        "time_days": rng.integers(0, 60, n).astype(float),
        "event": rng.random(n) < draw(st.floats(0, 1)),
        "strata": rng.integers(0, 3, n),
        "weights": scores.bootstrap_weights([str(i) for i in range(n)], replicates=25, seed=n),
    }


GRID = {
    "horizons_days": np.array([20.0, 40.0]),
    "time_edges_days": np.arange(0.0, 51.0, 5.0),
    "risk_edges": np.linspace(0, 1, 21),
}


def rows_of(data: dict, rows: np.ndarray) -> dict:
    return {
        name: array[:, rows] if name == "weights" else array[rows] for name, array in data.items()
    }


@given(data=judged())
def test_the_sums_of_the_sites_add_up_to_those_of_the_pooled_table(data):
    """Every site alone, then added: what one table with strata gives, all replicates."""
    whole = scores.performance_sums(**data, **GRID)
    parts = [
        scores.performance_sums(**rows_of(data, np.flatnonzero(data["strata"] == code)), **GRID)
        for code in np.unique(data["strata"])
    ]
    for name, array in whole.items():
        np.testing.assert_allclose(
            array, sum(part[name] for part in parts), atol=1e-9, err_msg=name
        )


@given(data=judged(), seed=st.integers(0, 1000))
def test_the_order_of_subjects_does_not_matter(data, seed):
    """A permuted table gives the same sums."""
    order = np.random.default_rng(seed).permutation(len(data["risk"]))
    one = scores.performance_sums(**data, **GRID)
    two = scores.performance_sums(**rows_of(data, order), **GRID)
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], atol=1e-9, err_msg=name)


@given(data=judged())
def test_pairs_equal_a_double_loop(data):
    """Concordant, tied and comparable pairs within sites, counted one by one."""
    risk, time, event, site = (data[k] for k in ("risk", "time_days", "event", "strata"))
    counted = [0.0, 0.0, 0.0]
    for i in range(len(risk)):
        for j in range(len(risk)):
            later = time[i] < time[j] or (time[i] == time[j] and not event[j])
            if i != j and site[i] == site[j] and event[i] and later:
                counted[0] += risk[i] > risk[j]
                counted[1] += risk[i] == risk[j]
                counted[2] += 1
    assert scores.performance_sums(**data, **GRID)["pairs"][0].tolist() == counted


@given(data=judged())
def test_no_number_of_a_report_is_infinite_and_what_is_unknown_is_none(data):
    """Few events, no events, everybody alike: an estimate is finite or None."""
    found = scores.performance(
        scores.performance_sums(**data, **GRID),
        horizons_days=GRID["horizons_days"],
        time_edges_days=GRID["time_edges_days"],
    )
    measured = [
        found.c_within, found.c_global, *found.auc, *found.brier, *found.observed_expected,
        *found.slope,
    ]  # fmt: skip
    for one in measured:
        estimate = one.estimate()
        if estimate is not None:
            assert np.isfinite(estimate.value)
            assert estimate.low is None or np.isfinite([estimate.low, estimate.high]).all()
    assert all(np.isfinite(value) for value in found.brier_reference)
    for auc in found.auc:
        estimate = auc.estimate()
        assert estimate is None or -1e-12 <= estimate.value <= 1 + 1e-12


def test_bootstrap_weights_have_mean_and_variance_one():
    """Poisson(1), first row ones, and the same for a subject wherever it stands in the table."""
    keys = [str(i) for i in range(500)]
    weights = scores.bootstrap_weights(keys, replicates=400, seed=7)
    assert weights.shape == (401, 500)
    assert (weights[0] == 1).all()
    assert abs(weights[1:].mean() - 1) < 0.01
    assert abs(weights[1:].var() - 1) < 0.02
    backwards = scores.bootstrap_weights(keys[::-1], replicates=400, seed=7)
    np.testing.assert_array_equal(backwards[:, ::-1], weights)
    assert (scores.bootstrap_weights(keys, replicates=400, seed=8) != weights).any()


def test_the_bootstrap_error_of_the_c_index_is_that_of_the_literature():
    """R's asymptotic standard error of the lung C-index within sites is about 0.02."""
    found, _ = lung_sums(replicates=400)
    sd = found.c_global.replicates[1:].std()
    assert 0.018 < sd < 0.032
    assert found.c_global.estimate().low < 0.6376 < found.c_global.estimate().high


def test_a_perfect_model_is_calibrated():
    """Predictions that are the truth: slope 1, observed over expected 1."""
    rng = np.random.default_rng(3)
    n = 20_000
    hazard = np.exp(rng.normal(-3.5, 0.7, n))
    time, censored = rng.exponential(1 / hazard), rng.uniform(10, 90, n)
    survival = np.exp(-hazard[:, None] * GRID["horizons_days"])
    place = (np.argsort(np.argsort(hazard)) + 0.5) / n
    grid = {**GRID, "time_edges_days": np.arange(0.0, 51.0)}
    summed: dict[str, np.ndarray] = {}
    for site in range(40):
        rows = np.arange(site * 500, site * 500 + 500)
        part = scores.performance_sums(
            risk=place[rows],
            binned_risk=place[rows],
            survival=survival[rows],
            time_days=np.minimum(time, censored)[rows],
            event=(time <= censored)[rows],
            strata=np.zeros(500, int),
            weights=np.ones((1, 500)),
            **grid,
        )
        summed = {name: summed.get(name, 0) + array for name, array in part.items()}
    found = scores.performance(
        summed, horizons_days=grid["horizons_days"], time_edges_days=grid["time_edges_days"]
    )
    np.testing.assert_allclose(values(found.observed_expected), 1.0, atol=0.03)
    np.testing.assert_allclose(values(found.slope), 1.0, atol=0.05)
    for horizon, groups in zip(grid["horizons_days"], found.bins, strict=True):
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
    found = scores.binary_performance(
        scores.binary_sums(score=score, label=label, weights=np.ones((1, len(rows))))
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
    found, _ = lung_sums(replicates=30)
    difference = found.c_within.minus(found.c_within).estimate()
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
