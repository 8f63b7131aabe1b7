"""A cutpoint that was chosen because it parts best is told with what it owes to the choice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.statistics import logrank_test
from scipy.stats import false_discovery_control

from fedpet.survival.cutpoints import best_cutpoint, cut_sums
from fedpet.survival.multiplicity import benjamini_hochberg, holm

SHARES = np.linspace(0.1, 0.9, 17)


def trial(rng, *, subjects=120, effect=0.0):
    """Simulate a biomarker with a given log hazard ratio above its median."""
    value = rng.normal(size=subjects)
    hazard = np.exp(effect * (value > 0)) / 300
    death, end = rng.exponential(1 / hazard), rng.uniform(100, 900, subjects)
    return value, np.minimum(death, end).round(), death <= end


def searched(value, time, event, *, replicates=0, rng=None):
    """Search all candidates."""
    cuts = np.quantile(value, SHARES)
    drawn = [] if rng is None else list(rng.poisson(1.0, (replicates, len(value))))
    weights = np.array([np.ones(len(value)), *drawn], float)
    sums = cut_sums(value, time, event, cuts=cuts, weights=weights)
    return best_cutpoint(
        sums["excess"], sums["variance"], cuts=cuts, above=sums["above"], subjects=len(value)
    )


def test_every_candidate_is_the_log_rank_test():
    """Lifelines says the same of each cut, ties and all."""
    value, time, event = trial(np.random.default_rng(1), effect=0.7)
    cuts = np.quantile(value, SHARES)
    sums = cut_sums(value, time, event, cuts=cuts, weights=np.ones((1, len(value))))
    for index, cut in enumerate(cuts):
        high = value >= cut
        found = logrank_test(time[high], time[~high], event[high], event[~high]).test_statistic
        ours = sums["excess"][0, index] ** 2 / sums["variance"][0, index]
        assert ours == pytest.approx(found, rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_a_whole_weight_is_as_many_subjects(seed, weight):
    """A bootstrap replicate is a sample in which some subjects stand several times."""
    rng = np.random.default_rng(seed)
    value, time, event = trial(rng, subjects=30)
    weights = rng.integers(0, weight + 1, 30)
    cuts = np.quantile(value, [0.3, 0.6])
    once = cut_sums(value, time, event, cuts=cuts, weights=weights[None, :].astype(float))
    many = np.repeat(np.arange(30), weights)
    again = cut_sums(
        value[many], time[many], event[many], cuts=cuts, weights=np.ones((1, len(many)))
    )
    np.testing.assert_allclose(once["excess"], again["excess"], atol=1e-10)
    np.testing.assert_allclose(once["variance"], again["variance"], atol=1e-10)


def test_the_corrected_p_value_holds_its_level_and_the_naive_one_does_not():
    """Without any effect, 5 % of biomarkers may be found, not every third."""
    rng = np.random.default_rng(7)
    found = [searched(*trial(rng)) for _ in range(300)]
    assert np.mean([one.p_naive < 0.05 for one in found]) > 0.2
    assert np.mean([one.p_corrected < 0.05 for one in found]) < 0.08


def test_the_bootstrap_takes_off_most_of_the_optimism():
    """Over many trials the corrected effect is nearer to the truth than the one that was seen."""
    rng = np.random.default_rng(11)
    truth = 0.0
    found = [searched(*trial(rng, effect=truth), replicates=40, rng=rng) for _ in range(60)]
    seen = np.mean([abs(one.log_hazard_ratio) for one in found])
    left = np.mean([abs(one.corrected) for one in found])
    assert left < 0.6 * seen
    assert all(one.optimism >= 0 for one in found)


def test_a_true_cutpoint_is_found_and_kept():
    """A strong effect at the median survives all corrections."""
    rng = np.random.default_rng(3)
    found = searched(*trial(rng, subjects=400, effect=1.2), replicates=60, rng=rng)
    assert abs(found.cut) < 0.3
    assert found.p_corrected < 1e-6
    assert 0.6 < found.corrected < 1.5
    assert found.low < found.corrected < found.high


def test_nobody_apart_gives_no_cutpoint():
    """A biomarker that all share parts nobody; that is said, and no number made up."""
    _, time, event = trial(np.random.default_rng(1))
    value = np.zeros(len(time))
    sums = cut_sums(value, time, event, cuts=np.array([0.0]), weights=np.ones((1, len(value))))
    assert (
        best_cutpoint(
            sums["excess"], sums["variance"], cuts=np.zeros(1), above=sums["above"], subjects=120
        )
        is None
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_those_of_scipy_and_of_the_definition(p_values):
    """Benjamini-Hochberg as in scipy; Holm never below Bonferroni's best, never out of order."""
    np.testing.assert_allclose(
        benjamini_hochberg(p_values), false_discovery_control(p_values), atol=1e-12
    )
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values)).all()
    assert adjusted.min() == pytest.approx(min(1.0, len(p_values) * min(p_values)))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
