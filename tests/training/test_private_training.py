"""Training with noise: equal to plain training without it, bounded for one patient with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fedpet.errors import UpdateError
from fedpet.parameters import weight_of
from fedpet.plan import Privacy, Sites, Training
from fedpet.privacy.accountant import Spending, best_attack, epsilon_of
from fedpet.privacy.noise import Noise, drawn_from, share_of_noise
from fedpet.training import loop, private
from fedpet.training.losses import losses_of
from fedpet.training.networks import weights_of
from noisy import BODY, request
from toy import toy_cohort, toy_plan

torch.set_num_threads(1)
COHORT = toy_cohort("a", subjects=24, seed=3, missing=0.0)
KNOWN = replace(COHORT, binary={"response": np.nan_to_num(COHORT.binary["response"])})


def plan_of(**privacy):
    return toy_plan(
        training=Training(rounds=3, batch_size=24, augment=False),
        sites=Sites(sites_min=2),
        privacy=Privacy(**{"differential_privacy": "local", **privacy}),
    )


@pytest.fixture
def secret():
    with drawn_from(Noise(bytes(32))):
        yield


def test_without_noise_and_with_a_wide_clip_it_is_plain_training():
    """Everybody in the step, every endpoint known: the same step, whichever way it is computed."""
    plan = plan_of(noise_multiplier=1.0, clip_norm=100.0)
    arrays = request(KNOWN, plan)
    network, samples = private._prepared(KNOWN, plan, BODY, arrays)
    before = weights_of(network)
    with drawn_from(Noise(bytes(32))):
        private.private_round(network, samples, plan, rate=2e-3, multiplier=0.0)
    noisy = weights_of(network)
    plain_plan = replace(plan, privacy=Privacy())
    found = loop.train(KNOWN, plain_plan, BODY, arrays)
    for name, weight in before.items():
        step = found[name] / found[weight_of(name)]
        moved = noisy[name].astype(np.float64) - weight
        np.testing.assert_allclose(moved, step, atol=2e-5)


def test_every_patients_gradient_is_that_of_the_patient_alone():
    """Computed for many at once it must be what backpropagation gives for one."""
    plan = plan_of()
    network, samples = private._prepared(COHORT, plan, BODY, request(COHORT, plan))
    edges = private.edges_of(plan)
    for row in (0, 7):
        one = samples.take(torch.tensor([row]))
        network.zero_grad()
        losses = losses_of(network(one.images, one.covariates), one, edges)
        torch.stack([each[0] for each in losses.values()]).sum().backward()
        alone = torch.cat([p.grad.flatten() for p in network.parameters()]).numpy()
        found = private.clipped_sum(network, one, edges, norm_max=1e9)
        np.testing.assert_allclose(found, alone, rtol=1e-3, atol=1e-6)
        clipped = private.clipped_sum(network, one, edges, norm_max=0.01)
        assert np.linalg.norm(clipped) == pytest.approx(0.01, rel=1e-5)


def test_one_patient_more_moves_the_sum_by_no_more_than_the_clip():
    """The bound on which every promise rests, also for an image of absurd values."""
    plan = plan_of(clip_norm=0.5)
    network, samples = private._prepared(COHORT, plan, BODY, request(COHORT, plan))
    edges = private.edges_of(plan)
    loud = replace(samples, images=samples.images.clone(), covariates=samples.covariates.clone())
    loud.images[5] = 1e4
    loud.covariates[5] = 1e3
    rows = torch.tensor([row for row in range(24) if row != 5])
    whole = private.clipped_sum(network, loud, edges, norm_max=0.5)
    without = private.clipped_sum(network, loud.take(rows), edges, norm_max=0.5)
    assert np.linalg.norm(whole - without) <= 0.5 + 1e-6


def test_what_is_told_with_noise_holds_no_loss_and_no_count_of_outcomes(secret):
    """A sum of losses is not clipped; a count of known endpoints is a fact about patients."""
    plan = plan_of()
    found = loop.train(COHORT, plan, BODY, request(COHORT, plan))
    assert not [name for name in found if name.startswith("loss.")]
    weights = {float(found[name][0]) for name in found if name.startswith("weight.")}
    assert weights == {24.0}


def test_noise_cannot_be_drawn_from_what_the_plan_tells():
    """Without a node's secret the work stops, and no seed takes its place."""
    plan = plan_of()
    with pytest.raises(UpdateError, match="secret"):
        loop.train(COHORT, plan, BODY, request(COHORT, plan))


def test_a_step_of_the_sum_is_for_plans_that_say_so(secret):
    """Gradients are asked for by plans with distributed noise, and by no other."""
    with pytest.raises(UpdateError):
        private.gradient_sum(COHORT, plan_of(), BODY, request(COHORT, plan_of()))


def test_a_distributed_step_is_the_clipped_sum_and_the_share_of_noise():
    """With next to no noise it is the sum itself, on its grid."""
    plan = plan_of(differential_privacy="distributed", noise_multiplier=1e-9)
    arrays = request(COHORT, plan)
    with drawn_from(Noise(bytes(32))):
        found = private.gradient_sum(COHORT, plan, BODY, arrays)
    network, samples = private._prepared(COHORT, plan, BODY, arrays)
    summed = private.clipped_sum(network, samples, private.edges_of(plan), norm_max=1.0)
    flat = np.concatenate([found[name].ravel() for name, _ in network.named_parameters()])
    np.testing.assert_allclose(flat, summed, atol=0.01)
    assert found["weight.shared"].tolist() == [24.0]


def test_an_attacker_who_knows_everybody_else_wins_no_more_than_epsilon_allows():
    """The strongest attack on one step: all others known, likelihood ratio at 1 % alarms."""
    plan = plan_of(differential_privacy="distributed", noise_multiplier=1.0, honest_sites_min=1)
    arrays = request(COHORT, plan)
    network, samples = private._prepared(COHORT, plan, BODY, arrays)
    edges = private.edges_of(plan)
    target = private.clipped_sum(network, samples.take(torch.tensor([5])), edges, norm_max=1.0)
    direction = target / np.linalg.norm(target)
    rest = torch.tensor([row for row in range(24) if row != 5])
    others = private.clipped_sum(network, samples.take(rest), edges, norm_max=1.0)
    scores = {}
    for member in (False, True):
        summed = others + target if member else others
        scores[member] = np.array(
            [
                direction
                @ (
                    share_of_noise(
                        summed,
                        norm_max=1.0,
                        multiplier=1.0,
                        honest=1,
                        source=Noise.of(bytes(32), f"{member}/{trial}"),
                    )
                    - others
                )
                for trial in range(1500)
            ]
        )
    threshold = np.quantile(scores[False], 0.99)
    found = float((scores[True] > threshold).mean())
    bound = best_attack(epsilon_of([Spending(sampling=1.0, noise=1.0, steps=1)], delta=1e-4), 1e-4)
    assert 0.03 < found <= bound + 0.03  # the attack works, and stays below its bound
    bare = share_of_noise(
        target, norm_max=1.0, multiplier=0.0, honest=1, source=Noise.of(bytes(32), "bare")
    )
    assert direction @ bare > 0.5  # without noise it always wins
