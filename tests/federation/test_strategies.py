"""Strategies see sums only, and FedAvg is the weighted mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import PlanError, UpdateError
from fedpet.federation.asking import total
from fedpet.federation.strategies import FedAvg, strategy_of
from fedpet.plan import Strategy

SITES = st.lists(
    st.tuples(st.integers(1, 300), st.lists(st.floats(-10, 10), min_size=3, max_size=3)),
    min_size=1,
    max_size=10,
)


def summand(weight: float, change: list[float]) -> dict[str, np.ndarray]:
    return {"w": weight * np.array(change), "weight.shared": np.array([float(weight)])}


@given(sites=SITES)
def test_fedavg_equals_the_subject_weighted_mean(sites):
    """Ten hospitals, or one with all subjects: the same step."""
    summed = total({str(i): summand(weight, change) for i, (weight, change) in enumerate(sites)})
    following = FedAvg().next_model({"w": np.zeros(3)}, summed)
    mean = np.average([change for _, change in sites], axis=0, weights=[w for w, _ in sites])
    np.testing.assert_allclose(following["w"], mean, atol=1e-12)


def test_a_head_that_nobody_informs_stays_as_it_is():
    """A hospital without response data must not pull the response head."""
    model = {"heads.response.bias": np.array([0.7]), "encoder": np.array([1.0])}
    summed = {
        "heads.response.bias": np.array([0.0]),
        "encoder": np.array([4.0]),
        "weight.shared": np.array([2.0]),
        "weight.response": np.array([0.0]),
    }
    following = FedAvg().next_model(model, summed)
    assert following["heads.response.bias"].tolist() == [0.7]
    assert following["encoder"].tolist() == [3.0]


def test_a_sum_without_weight_is_refused():
    """A round that nobody contributed to gives an error, not a NaN."""
    with pytest.raises(UpdateError, match="positive weight"):
        FedAvg().next_model({"w": np.zeros(1)}, summand(0, [1.0]))


@given(sites=SITES, seed=st.integers(0, 1000))
def test_the_order_of_arrival_does_not_change_a_bit_of_the_sum(sites, seed):
    """Sums are taken in the order of names, so that a resumed run ends with the same bytes."""
    summands = {str(i): summand(weight, change) for i, (weight, change) in enumerate(sites)}
    shuffled = list(summands)
    np.random.default_rng(seed).shuffle(shuffled)
    first = total(summands)
    second = total({name: summands[name] for name in shuffled})
    assert first["w"].tobytes() == second["w"].tobytes()


def test_an_unknown_strategy_is_named():
    """A misspelt strategy is an error that lists what exists."""
    with pytest.raises(PlanError, match="fedavg"):
        strategy_of(Strategy(name="fedavgg"))
