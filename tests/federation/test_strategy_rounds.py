"""Whole federations under each strategy: real nodes, rounds, a journal; laws of the server."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federated import federation, small_plan, walk
from fedpet.errors import UpdateError
from fedpet.federation.arms import initial_network, train_federated
from fedpet.federation.moments import moments_of
from fedpet.federation.preparation import enrol, everybody
from fedpet.federation.strategies import (
    FedAdam,
    FedAvg,
    FedAvgM,
    Server,
    sites_of_round,
    strategy_of,
)
from fedpet.parameters import from_bytes, to_bytes
from fedpet.plan import Evaluation, Privacy, Sites, Strategy, Training
from toy import toy_hospitals

NAMES = ("a", "b", "c", "d", "e")


STEPS = ("all/network/validation-001", "all/network/round-006")


def summand(change: float, weight: float = 2.0) -> dict[str, np.ndarray]:
    return {"w": np.array([change * weight]), "weight.shared": np.array([weight])}


def walked(strategy, changes) -> float:
    server = Server(model={"w": np.zeros(1)})
    for change in changes:
        server = strategy.advance(server, summand(change))
    return float(server.model["w"][0])


@given(changes=st.lists(st.floats(-1, 1), min_size=1, max_size=5))
def test_momentum_zero_is_fedavg(changes):
    """Nothing gathers speed that keeps none."""
    assert walked(FedAvgM(momentum=0.0), changes) == walked(FedAvg(), changes)


def test_momentum_gathers_speed_as_the_geometric_series():
    """Three equal changes: 1 + (1 + 0.5) + (1 + 0.5 + 0.25)."""
    assert walked(FedAvgM(momentum=0.5), [1.0, 1.0, 1.0]) == pytest.approx(4.25)


@pytest.mark.parametrize("yogi", [False, True])
def test_adaptive_steps_are_those_of_the_paper(yogi):
    """Two steps of Reddi et al. 2021, algorithm 2, written out by hand."""
    rate, b1, b2, tau = 0.1, 0.9, 0.99, 1e-3
    m, v, x = 0.0, tau**2, 0.0
    for d in (0.3, -0.2):
        m = b1 * m + (1 - b1) * d
        v -= (1 - b2) * (d * d * np.sign(v - d * d) if yogi else v - d * d)
        x += rate * m / (np.sqrt(v) + tau)
    found = walked(FedAdam(server_rate=rate, yogi=yogi), [0.3, -0.2])
    assert found == pytest.approx(x, rel=1e-12)


@pytest.mark.parametrize("name", ["fedavg", "fedavgm", "fedadam", "fedyogi", "fedprox", "ditto"])
def test_a_head_that_nobody_informs_stays_as_it_is_in_every_strategy(name):
    """Also where a moment of former rounds would still push it."""
    strategy = strategy_of(Strategy(name=name, server_rate=0.1))
    server = Server(model={"heads.response.bias": np.array([0.7])})
    summed = {"heads.response.bias": np.array([1.0]), "weight.shared": np.array([2.0])}
    server = strategy.advance(server, {**summed, "weight.response": np.array([1.0])})
    moved = server.model["heads.response.bias"][0]
    assert moved != 0.7
    server = strategy.advance(server, {**summed, "weight.response": np.array([0.0])})
    assert server.model["heads.response.bias"][0] == moved


@settings(max_examples=50)
@given(share=st.floats(0.01, 1.0), least=st.integers(1, 5), seed=st.integers(0, 99))
def test_enough_sites_are_drawn_for_a_round(share, least, seed):
    """Never fewer than a sum needs, never more than there are, each from the list, once."""
    drawn = sites_of_round(NAMES, share=share, least=least, seed=seed, step="all/network/round-001")
    assert len(drawn) >= max(least, share * 5 - 1e-6)
    assert list(drawn) == sorted(set(drawn) & set(NAMES))


def test_every_site_is_drawn_in_the_long_run():
    """Two of five in each of 200 rounds: each site in some 80 of them."""
    rounds = [sites_of_round(NAMES, share=0.4, least=1, seed=1, step=str(n)) for n in range(200)]
    counts = [sum(name in drawn for drawn in rounds) for name in NAMES]
    assert sum(counts) == 400
    assert min(counts) > 50


def plan_of(name, *, training=None, baselines=("ensemble",), **changes):
    return small_plan(
        strategy=Strategy(name=name, **changes),
        training=training or Training(rounds=3, batch_size=16),
        evaluation=Evaluation(
            scheme="held-out-subjects", folds=2, bootstrap=0, baselines=baselines
        ),
        sites=Sites(sites_min=2),
    )


def drained(walking):
    """Return what a walk returns."""
    while True:
        try:
            next(walking)
        except StopIteration as stop:
            return stop.value


def trained(execution) -> bytes:
    """Train the network on everybody, and return its bytes."""
    enrolled = drained(enrol(execution))
    fold, moments = drained(moments_of(execution, everybody(enrolled)))
    prep = moments.preprocessing(execution.plan.inputs.clinical)
    initial = drained(initial_network(execution, fold, prep))
    network, _ = drained(train_federated(execution, fold, prep, initial, subjects=moments.subjects))
    return to_bytes(network.arrays)


@pytest.mark.parametrize(
    "plan",
    [
        plan_of("scaffold", training=Training(rounds=3, batch_size=16, optimiser="kept")),
        plan_of("fedbn"),
        plan_of("ditto", sites_share=0.6),
        plan_of(
            "fedyogi",
            server_rate=0.01,
            training=Training(rounds=4, patience=1, validation_share=0.5),
        ),
    ],
    ids=lambda plan: plan.strategy.name,
)
def test_a_run_that_is_interrupted_ends_with_the_same_bytes(plan, tmp_path):
    """Killed in the second round, after the sites kept their part: nothing is lost or doubled."""
    hospitals = toy_hospitals(sites=3, subjects=48)
    with federation(tmp_path / "whole", plan, hospitals) as execution:
        whole = trained(execution)

    def breaking(handler):
        def handle(data):
            answer = handler(data)  # the site has done its work, and kept its part
            if b"network/round-002" in data and not broken:
                broken.append(True)
                raise KeyboardInterrupt
            return answer

        return handle

    broken: list[bool] = []
    through = {"site-1": breaking}
    with (
        federation(tmp_path / "cut", plan, hospitals, through=through, workers=1) as execution,
        pytest.raises(KeyboardInterrupt),
    ):
        trained(execution)
    assert broken
    with federation(tmp_path / "cut", plan, hospitals) as execution:
        assert trained(execution) == whole


def test_ditto_and_the_ensemble_stand_beside_the_federated_network(tmp_path):
    """Each hospital's own network, and the mean of local ones, judged like any other arm."""
    plan = plan_of(
        "ditto", baselines=("local", "ensemble"), training=Training(rounds=2, batch_size=48)
    )
    with federation(tmp_path, plan, toy_hospitals(sites=3, subjects=48)) as execution:
        done, _ = walk(execution)
    arms = done.results["performance"]["pfs"]
    assert {"network-personal", "network-ensemble", "network-local"} <= set(arms)
    assert not any("personal" in name for name in done.models)


def test_a_node_that_lost_what_it_kept_says_so(tmp_path):
    """It takes no further part; nobody goes on from a guess."""
    plan = plan_of("scaffold")
    hospitals = toy_hospitals(sites=2, subjects=48)

    def losing(handler):
        def handle(data):
            if b"all/network/round-002" in data:
                for file in (tmp_path / "site-0" / "kept").rglob("*.safetensors"):
                    file.unlink()
            return handler(data)

        return handle

    with (
        federation(tmp_path, plan, hospitals, through={"site-0": losing}) as execution,
        pytest.raises(UpdateError) as caught,
    ):
        trained(execution)
    assert "has kept nothing of the round" in caught.value.why


def test_no_request_may_bring_what_a_hospital_keeps(tmp_path):
    """`keep.*` is the hospital's own: refused at the door."""
    from fedpet.federation.messages import Request
    from fedpet.node.kept import Kept

    request = Request(
        site="a", experiment="e", plan="p", step="s", kind="train",
        body={"fit": "all", "kept": 1}, arrays={"keep.control.w": np.zeros(1)},
    )  # fmt: skip
    with pytest.raises(UpdateError, match="is its own"):
        Kept(tmp_path).with_kept(request)
    bare = replace(request, arrays={}, body={"fit": "../../etc", "kept": 1})
    with pytest.raises(UpdateError, match="kept nothing"):
        Kept(tmp_path).with_kept(bare)


def test_training_stops_when_the_validation_loss_no_longer_falls(tmp_path):
    """With a rate that only does harm, the second round is the last, and the first is taken."""
    training = Training(
        rounds=6, patience=1, validation_share=0.5, learning_rate=3.0, batch_size=16
    )
    plan = plan_of("fedavg", training=training, baselines=())
    asked = []

    def listening(handler):
        def handle(data):
            asked.extend(step for step in STEPS if step.encode() in data)
            return handler(data)

        return handle

    through = {"site-0": listening}
    hospitals = toy_hospitals(sites=3, subjects=48)
    with federation(tmp_path, plan, hospitals, through=through) as execution:
        trained(execution)
    assert STEPS[0] in asked
    assert STEPS[1] not in asked


@pytest.mark.parametrize("name", ["scaffold", "fednova"])
def test_every_strategy_works_on_masked_sums(name, tmp_path):
    """Control variates and steps are sums like any other: masked or in clear, one network."""
    hospitals = toy_hospitals(sites=3, subjects=48)
    found = []
    for secure in (False, True):
        plan = replace(
            plan_of(name, training=Training(rounds=2, batch_size=48)),
            sites=Sites(sites_min=3),
            privacy=Privacy(secure_sum=secure),
        )
        with federation(tmp_path / str(secure), plan, hospitals) as execution:
            found.append(from_bytes(trained(execution)))
    for key, array in found[0].items():
        np.testing.assert_allclose(found[1][key], array, atol=1e-5, err_msg=key)
