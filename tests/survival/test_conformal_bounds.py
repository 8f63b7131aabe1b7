"""The bound holds for subjects that nobody counted, also if the model is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.survival.conformal import LEVELS, bound_days, failures, level_of, level_sums

EDGES = np.arange(0.0, 721.0, 15.0)
ENDS = np.arange(0.0, 721.0, 60.0)


def simulated(rng, subjects, *, exaggerated, followed=900):
    """Return survival that a model predicts, true times, and what censoring left of them."""
    x = rng.normal(size=subjects)
    time = rng.exponential(300 * np.exp(-0.8 * x))
    model = 300 * exaggerated * np.exp(-0.2 * x)  # wrong in level and in slope
    survival = np.exp(-ENDS[None, 1:] / model[:, None])
    end = rng.uniform(30, followed, subjects)
    return survival, model, time, end


def sums_of(rng, subjects, **how):
    """Return `level_sums` of one site."""
    _, model, time, end = simulated(rng, subjects, **how)
    seen, event = np.minimum(time, end), time <= end
    return level_sums(
        np.exp(-np.minimum(seen, ENDS[-1]) / model),
        time_days=seen,
        event=event,
        event_predicted=event & (seen <= ENDS[-1]),
        edges_days=EDGES,
    )


@pytest.mark.parametrize("exaggerated", [0.5, 1.0, 3.0])
def test_nine_in_ten_are_event_free_until_their_bound_whatever_the_model(exaggerated):
    """A model three times too hopeful, and one twice too gloomy, keep the promise alike."""
    rng = np.random.default_rng(5)
    sites = [sums_of(rng, 60, exaggerated=exaggerated) for _ in range(20)]
    summed = {name: sum(one[name] for one in sites) for name in sites[0]}
    level = level_of(failures(summed), alpha=0.1)
    survival, _, time, _ = simulated(rng, 20_000, exaggerated=exaggerated)
    bound = bound_days(survival, ENDS, level=level)
    covered = (time >= bound).mean()
    assert 0.885 < covered < 0.93


def test_who_was_lost_early_stands_for_those_who_were_not_seen_to_fail():
    """Counted as event-free, those lost early would make six in ten into five in ten."""
    rng = np.random.default_rng(7)
    sites = [sums_of(rng, 200, exaggerated=1.0, followed=300) for _ in range(20)]
    summed = {name: sum(one[name] for one in sites) for name in sites[0]}
    level = level_of(failures(summed), alpha=0.4)
    survival, _, time, _ = simulated(rng, 20_000, exaggerated=1.0)
    covered = (time >= bound_days(survival, ENDS, level=level)).mean()
    assert 0.59 < covered < 0.64


def test_the_promise_holds_on_average_over_small_samples():
    """Forty subjects without censoring: the mean over many samples is not below nine in ten."""
    rng = np.random.default_rng(11)
    covered = []
    for _ in range(300):
        uniform = rng.random(40)  # levels at which subjects of a perfect model fail
        summed = level_sums(
            1 - uniform,
            time_days=np.full(40, 10.0),
            event=np.ones(40, bool),
            event_predicted=np.ones(40, bool),
            edges_days=EDGES,
        )
        covered.append(1 - level_of(failures(summed), alpha=0.1))
    assert 0.9 <= np.mean(covered) < 0.94


def test_sites_or_one_site_with_everybody_give_the_same_bound():
    """The sums are all that the bound needs."""
    parts = [sums_of(np.random.default_rng(seed), 50, exaggerated=1.0) for seed in range(4)]
    summed = {name: sum(part[name] for part in parts) for name in parts[0]}
    counts = np.stack([failures(part) for part in parts])
    assert np.all(np.diff(failures(summed)) >= 0)
    assert counts.min() > 0
    assert summed["counts"].sum() == 200


@settings(deadline=None, max_examples=40)
@given(st.floats(0.01, 0.99), st.floats(20.0, 2000.0))
def test_the_bound_is_the_time_at_which_the_model_reaches_the_level(level, mean):
    """For an exponential the quantile is known; behind the last edge the bound ends."""
    survival = np.exp(-ENDS[None, 1:] / mean)
    known = min(-mean * np.log1p(-level), ENDS[-1])
    assert bound_days(survival, ENDS, level=level)[0] == pytest.approx(known, rel=1e-9)


def test_nothing_is_promised_where_too_few_were_seen():
    """With five subjects even the first failure may be one in six: more than one in ten."""
    summed = {"counts": np.array([[5.0], [0.0]]), "failed": np.zeros((1, LEVELS))}
    assert level_of(failures(summed), alpha=0.1) == 0.0
