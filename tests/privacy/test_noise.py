"""Noise: distributed as it says, the same for the same question, unknown to anybody else."""

import math

import numpy as np
import pytest
from scipy import stats

from fedpet.errors import UpdateError
from fedpet.privacy.noise import Noise, drawn_from, grid_step, noise, rounding_of, share_of_noise

SECRET = bytes(range(32))


def test_a_question_has_one_answer_and_another_has_another():
    """Asked again after a crash, nothing new is told; a guess at the secret tells nothing."""
    one = Noise.of(SECRET, "a").uniform(100)
    np.testing.assert_array_equal(one, Noise.of(SECRET, "a").uniform(100))
    for other in (Noise.of(SECRET, "b"), Noise.of(bytes(32), "a")):
        assert not (one == other.uniform(100)).any()


def test_gaussian_noise_is_gaussian():
    """Kolmogorov and Smirnov's test, on a fixed secret: it cannot flicker."""
    drawn = Noise.of(SECRET, "normal").gaussian(3.0, 200_000)
    assert stats.kstest(drawn / 3.0, "norm").pvalue > 0.01
    assert np.abs(drawn).max() < 3.0 * 9


@pytest.mark.parametrize("sd", [0.5, 1.5, 8.0])
def test_discrete_noise_has_the_probabilities_of_its_definition(sd):
    """Chi-square against exp(-k^2 / (2 sd^2)), computed here and not there."""
    drawn = Noise.of(SECRET, f"whole {sd}").discrete_gaussian(sd, 5_000)
    assert (drawn == np.rint(drawn)).all()
    reach = math.ceil(3 * sd)
    k = np.arange(-200, 201)
    chance = np.exp(-(k**2) / (2 * sd**2))
    chance /= chance.sum()
    inner = np.abs(k) <= reach
    seen = np.array([(drawn == value).sum() for value in k[inner]])
    rest = [5_000 - seen.sum()]
    expected = np.append(chance[inner], 1 - chance[inner].sum()) * 5_000
    keep = expected > 5
    observed = np.append(seen, rest)
    observed = np.append(observed[keep], observed[~keep].sum())
    wanted = np.append(expected[keep], expected[~keep].sum())
    full = wanted > 0
    assert stats.chisquare(observed[full], wanted[full]).pvalue > 0.01


def test_shares_of_all_sites_together_are_the_noise_of_the_sum():
    """Ten sites, ten assumed honest: the sum's noise is that of one trusted party."""
    summed = np.zeros(50_000)
    for site in range(10):
        summed += share_of_noise(
            np.zeros(50_000),
            norm_max=2.0,
            multiplier=1.5,
            honest=10,
            source=Noise.of(SECRET, f"site {site}"),
        )
    assert summed.std() == pytest.approx(3.0, rel=0.02)
    assert stats.kstest(summed / 3.0, "norm").pvalue > 0.01


def test_a_share_lies_on_a_grid_that_every_ring_holds():
    """What is masked later must not be rounded again: low bits would tell of what was summed."""
    values = np.random.default_rng(1).normal(size=1000)
    found = share_of_noise(
        values, norm_max=1.0, multiplier=0.5, honest=2, source=Noise.of(SECRET, "grid")
    )
    assert (found * 2.0**28 == np.rint(found * 2.0**28)).all()
    quiet = share_of_noise(
        values, norm_max=1.0, multiplier=0.0, honest=1, source=Noise.of(SECRET, "x")
    )
    assert np.linalg.norm(quiet - values) <= rounding_of(1000, norm_max=1.0)
    assert math.log2(grid_step(0.01)) == round(math.log2(grid_step(0.01)))


def test_without_a_secret_nothing_is_drawn():
    """Noise from a seed that the plan tells could be subtracted by anybody."""
    with pytest.raises(UpdateError, match="secret"):
        noise()
    with drawn_from(Noise(SECRET)):
        assert noise()
