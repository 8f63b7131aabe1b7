"""Attacks on membership and gradients: seen to succeed where they should, and to fail elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from fedpet.survival.reconstruction import at_risk_sums, rebuild, rows_found
from fedpet.training.inversion import invert
from fedpet.training.membership import BINS, counted, statistics_of


def rates(statistic, members, *, bins):
    """Return shares of members found and of false alarms, in the top bins."""
    counts = counted(statistic, members)
    return tuple(
        counts[who][BINS - bins :].sum() / counts[who].sum() for who in ("members", "others")
    )


@pytest.fixture
def crowd():
    """Return difficulty of each subject, who trained the attacked model, and who the others."""
    rng = np.random.default_rng(3)
    difficulty = rng.gamma(2.0, 1.0, 4000)
    trained = rng.random((5, 4000)) < 0.5
    return rng, difficulty, trained


def test_an_overfitted_model_is_found_out(crowd):
    """A model that knows its members by heart: many found at one false alarm in a hundred."""
    rng, difficulty, trained = crowd
    losses = np.where(trained, 0.1, 1.0) * difficulty + 0.05 * rng.random((5, 4000))
    for name, least in (("loss", 0.02), ("reference", 0.9)):
        true, false = rates(statistics_of(losses)[name], trained[0], bins=1)
        assert false < 0.02
        assert true > least, name


def test_references_find_more_than_the_loss_alone(crowd):
    """A subject that is hard for all is no stranger; only references can tell."""
    _, difficulty, trained = crowd
    losses = difficulty - 0.5 * trained
    found = statistics_of(losses)
    assert rates(found["reference"], trained[0], bins=10)[0] > 0.5
    assert rates(found["loss"], trained[0], bins=10)[0] < 0.4


def test_a_model_that_learned_nothing_tells_nothing(crowd):
    """A constant model: members are found as often as false alarms are raised."""
    _, difficulty, trained = crowd
    losses = np.tile(difficulty, (5, 1))
    for statistic in statistics_of(losses).values():
        for bins in (1, 10, 50):
            true, false = rates(statistic, trained[0], bins=bins)
            assert abs(true - false) < 0.04


def test_ties_are_no_hits():
    """Where all have the same loss nobody is told from anybody."""
    members = np.arange(200) < 100
    assert rates(np.zeros(200), members, bins=40) == (0.0, 0.0)


@pytest.fixture(scope="module")
def inverted():
    return {(one.network, one.seen): one.error for one in invert(trials=3, mixed=8)}


def test_one_subject_is_rebuilt_from_an_update_in_clear(inverted):
    """The attack works: to the last digit on a linear network, nearly so with a hidden layer."""
    assert inverted["linear", "clear"] < 1e-9
    assert inverted["hidden", "clear"] < 0.05


def test_nobody_is_rebuilt_from_what_the_coordinator_has(inverted):
    """Under the mask the attacker does worse than with the mean image."""
    assert inverted["linear", "masked"] > 1
    assert inverted["hidden", "masked"] > 1


def test_rows_are_rebuilt_from_exact_times_and_not_from_checked_ones():
    """Sums over those at risk give single rows wherever one subject leaves alone."""
    found = {one.grid: one.rows for one in rebuild()}
    assert found["days"] > 100
    assert found["weeks"] > 0
    assert found["checked"] == 0


def test_a_row_is_found_by_subtraction():
    """Three subjects who leave on three days: all rows; on one day: none."""
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    assert rows_found(at_risk_sums(rows, np.array([1.0, 2.0, 3.0]), edges), rows) == 3
    assert rows_found(at_risk_sums(rows, np.array([3.0, 3.0, 3.0]), edges), rows) == 0
