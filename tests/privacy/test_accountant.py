"""Epsilon: equal to what others compute, never lower after more steps, and what it means."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.plan import Evaluation, Inputs, Plan, Privacy, Training
from fedpet.privacy.accountant import Spending, best_attack, epsilon_of, planned


def steps(sampling: float, noise: float, count: int) -> list[Spending]:
    return [Spending(sampling=sampling, noise=noise, steps=count)]


@pytest.mark.parametrize(
    ("noise", "published"), [(2.0, 6.35), (4.0, 2.61), (6.0, 1.62), (4 / 10**0.5, 12.8)]
)
def test_epsilon_is_what_was_measured_beforehand(noise, published):
    """Sampling 0.08, 1,250 steps, delta 1e-4: the table by which the three modes were chosen."""
    found = epsilon_of(steps(0.08, noise, 1250), delta=1e-4)
    assert found == pytest.approx(published, abs=0.012)


@pytest.mark.parametrize(
    ("subjects", "noise", "published"),
    [(50, 2.0, 7.8), (100, 2.0, 5.3), (200, 2.0, 3.7), (1000, 2.0, 1.6), (1000, 4.0, 0.7)],
)
def test_epsilon_of_one_hospital_alone_is_what_was_measured_beforehand(subjects, noise, published):
    """Batches of 8, 100 passes, delta a tenth of one over the patients."""
    spent = steps(8 / subjects, noise, round(100 * subjects / 8))
    assert epsilon_of(spent, delta=1 / (10 * subjects)) == pytest.approx(published, abs=0.05)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("sampling", "noise", "count"), [(0.08, 2.0, 1250), (0.16, 1.5, 300), (0.01, 0.8, 2000)]
)
def test_epsilon_equals_that_of_another_accountant(sampling, noise, count):
    """Opacus composes the same mechanism by another method; both are tight within 0.02."""
    prv = pytest.importorskip("opacus.accountants.prv")
    accountant = prv.PRVAccountant()
    accountant.history = [(noise, sampling, count)]
    theirs = accountant.get_epsilon(1e-4, eps_error=0.01)
    assert epsilon_of(steps(sampling, noise, count), delta=1e-4) == pytest.approx(theirs, abs=0.02)


@given(st.lists(st.sampled_from([(0.1, 4.0, 5), (0.3, 8.0, 9)]), max_size=4))
@settings(max_examples=8, deadline=None)
def test_more_steps_never_cost_less_and_their_order_does_not_matter(parts):
    """Experiments and restarts compose; nothing that was told is taken back."""
    spent = [one for part in parts for one in steps(*part)]
    whole = epsilon_of(spent, delta=1e-4)
    assert whole == epsilon_of(reversed(spent), delta=1e-4)
    assert whole >= epsilon_of(spent[:-1], delta=1e-4) - 1e-3  # the grid of the computation


def test_no_noise_is_no_promise():
    """A bound that does not exist is not a large number."""
    assert epsilon_of(steps(0.1, 0.0, 1), delta=1e-4) == math.inf
    assert best_attack(math.inf, 1e-4) == 1.0


def test_the_best_attack_lies_between_guessing_and_certainty():
    """What epsilon means for a person: how often membership can be told at 1 % false alarms."""
    found = [best_attack(epsilon, 1e-4) for epsilon in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 50.0)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.0101)
    assert 0.99 < found[-1] <= 1.0


def test_a_plan_counts_every_fit_that_a_patient_is_in():
    """Folds, the model that is kept, and the comparison with local training all tell something."""
    plan = Plan(
        name="p",
        title="t",
        cohort="c",
        inputs=Inputs(clinical=("age",), biomarkers=()),
        training=Training(rounds=10, batch_size=8),
        privacy=Privacy(differential_privacy="local", noise_multiplier=3.0),
        evaluation=Evaluation(folds=3, baselines=("local",)),
    )
    (spent,) = planned(plan, subjects=80)
    assert spent == Spending(sampling=0.1, noise=3.0, steps=(3 + 2) * 10 * 10)
