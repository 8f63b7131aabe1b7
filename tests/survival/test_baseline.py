"""The piecewise-constant baseline is the maximum of its likelihood."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedpet.survival import baseline
from references import lung, reference

EDGES = np.array([0.0, 30.0, 90.0, 180.0, 365.0])


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60))
def test_exposure_adds_up_over_sites_and_counts_every_day(seed, n):
    """Every subject's days are counted once, every event too, however subjects are split."""
    rng = np.random.default_rng(seed)
    time, event, risk = rng.exponential(200, n), rng.random(n) < 0.5, rng.normal(size=n)
    whole = baseline.exposure_sums(risk, time, event, EDGES)
    np.testing.assert_allclose(whole["exposure"].sum(), (np.exp(risk) * time).sum())
    assert whole["events"].sum() == event.sum()
    parts = [baseline.exposure_sums(risk[i::2], time[i::2], event[i::2], EDGES) for i in (0, 1)]
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[0][name] + parts[1][name], atol=1e-9)


def test_the_hazard_maximises_the_poisson_likelihood():
    """No other hazard explains the events of an interval better."""
    rng = np.random.default_rng(4)
    time, event, risk = rng.exponential(200, 300), rng.random(300) < 0.6, rng.normal(size=300)
    sums = baseline.exposure_sums(risk, time, event, EDGES)
    hazard = baseline.piecewise_hazard(sums)

    def loglik(h):
        return sums["events"] * np.log(h) - h * sums["exposure"]

    assert (loglik(hazard) >= loglik(hazard * 1.01)).all()
    assert (loglik(hazard) >= loglik(hazard * 0.99)).all()


def test_on_a_fine_grid_it_comes_near_the_breslow_baseline_of_r():
    """Lung data, ten-day intervals: survival at a year within 0.005 of R's Efron baseline."""
    data, r = lung(), reference()
    risk = data.x @ r["efron"]["beta"]
    edges = np.arange(0.0, 1050.0, 10.0)
    hazard = baseline.piecewise_hazard(baseline.exposure_sums(risk, data.time, data.event, edges))
    days = r["baseline_efron"]["days"]
    found = baseline.survival_at(risk, hazard, edges, days)
    expected = np.exp(-np.exp(risk)[:, None] * r["baseline_efron"]["hazard"])
    assert np.abs(found - expected).max() < 0.02
    assert np.abs(found - expected).mean() < 0.005


def test_an_interval_without_exposure_has_no_hazard():
    """Zero events over zero days is no NaN."""
    sums = baseline.exposure_sums(np.zeros(1), np.array([5.0]), np.array([True]), EDGES)
    assert baseline.piecewise_hazard(sums).tolist() == [0.2, 0.0, 0.0, 0.0, 0.0]
