"""What counts of hits can prove of epsilon, and what they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fedpet.privacy.membership import best_epsilon, clopper_pearson, epsilon_proved, found_at


@given(st.integers(0, 400), st.integers(1, 400))
def test_limits_are_those_of_scipy(hits, more):
    """An oracle that we did not write."""
    of = hits + more
    rate = clopper_pearson(hits, of)
    oracle = binomtest(hits, of).proportion_ci(0.95, method="exact")
    assert rate.low == pytest.approx(oracle.low, abs=1e-12)
    assert rate.high == pytest.approx(oracle.high, abs=1e-12)


@pytest.mark.parametrize(("members", "epsilon"), [(30, 2.0), (100, 3.3), (300, 4.4), (1000, 5.6)])
def test_even_a_perfect_attack_proves_little_with_few_subjects(members, epsilon):
    """The values of the project's specs, security, section 5."""
    assert best_epsilon(members, members) == pytest.approx(epsilon, abs=0.06)


def test_randomised_response_is_never_said_to_be_less_private_than_it_is():
    """With epsilon 1 known, a proof above it comes in at most one audit of twenty."""
    rng, epsilon, trials = np.random.default_rng(7), 1.0, 400
    honest = np.exp(epsilon) / (1 + np.exp(epsilon))
    above = 0
    for _ in range(trials):
        true, false = rng.binomial(300, honest), rng.binomial(300, 1 - honest)
        found = found_at(
            0.1, true=int(true), members=300, false=int(false), others=300, delta=0.0, looks=1
        )
        above += found.epsilon > epsilon
        assert found.epsilon > 0.3
    assert above / trials < 0.07


def test_chance_proves_nothing():
    """As many members found as false alarms raised."""
    rate = clopper_pearson(50, 100)
    assert epsilon_proved(rate, rate, delta=0.0) == 0.0
