"""The logistic-hazard loss is the likelihood that the literature writes down."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedpet.survival.likelihoods import logistic_hazard_loss, survival_from_logits

EDGES = np.array([0.0, 10.0, 20.0, 40.0])
SUBJECTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 5.0, 5.1, 10.0, 10.1, 15.0, 16.0, 20.0, 31.0, 40.0, 99.0]),
        st.booleans(),
        st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=12,
)


def direct(time: float, event: bool, logits: list[float]) -> float:
    """Write the likelihood of one subject as a product over intervals."""
    hazard = 1 / (1 + np.exp(-np.array(logits)))
    likelihood = 1.0
    for k, (start, end) in enumerate(pairwise(EDGES)):
        inside = start < time <= end or (k == 0 and time == 0)
        if time > end:
            likelihood *= 1 - hazard[k]
        elif inside and event:
            likelihood *= hazard[k]
        elif inside and time > (start + end) / 2:
            likelihood *= 1 - hazard[k]
    return -np.log(likelihood)


def loss_of(subjects: list, *, dtype=torch.float64) -> torch.Tensor:
    time, event, logits = zip(*subjects, strict=True)
    return logistic_hazard_loss(
        torch.tensor(logits, dtype=dtype, requires_grad=True),
        torch.tensor(time, dtype=dtype),
        torch.tensor(event),
        torch.tensor(EDGES, dtype=dtype),
    )


@given(SUBJECTS)
def test_the_loss_equals_the_product_over_intervals(subjects):
    """An independent computation, subject by subject, also on the edges of intervals."""
    expected = [direct(*subject) for subject in subjects]
    np.testing.assert_allclose(loss_of(subjects).detach(), expected, atol=1e-10)


@given(SUBJECTS)
def test_each_subjects_term_stands_alone(subjects):
    """Any batch is valid: the loss of a batch is the losses of its subjects."""
    together = loss_of(subjects).detach()
    alone = torch.cat([loss_of([subject]).detach() for subject in subjects])
    torch.testing.assert_close(together, alone)


def test_gradients_equal_finite_differences():
    """`torch.autograd.gradcheck` in float64."""
    logits = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    time = torch.tensor([0.0, 5.0, 12.0, 18.0, 40.0, 50.0], dtype=torch.float64)
    event = torch.tensor([True, False, True, False, True, False])
    edges = torch.tensor(EDGES)
    assert torch.autograd.gradcheck(
        lambda x: logistic_hazard_loss(x, time, event, edges), logits.requires_grad_()
    )


def test_extreme_logits_stay_finite():
    """A confident network must not end in infinity."""
    loss = loss_of([(15.0, True, [500.0, -500.0, 0.0]), (99.0, False, [500.0] * 3)])
    assert torch.isfinite(loss).all()


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=10))
def test_survival_is_the_product_of_one_minus_hazard(logits):
    """Decreasing, within [0, 1], and equal to the product."""
    found = survival_from_logits(torch.tensor([logits], dtype=torch.float64))[0].numpy()
    expected = np.cumprod(1 - 1 / (1 + np.exp(-np.array(logits))))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (np.diff(found) <= 0).all()


def test_minimising_the_loss_recovers_the_life_table():
    """Without censoring, the best common hazards are deaths over survivors."""
    rng = np.random.default_rng(0)
    time = rng.exponential(20, 400).clip(0.01, 39.9)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=100, tolerance_grad=1e-12)
    arguments = (torch.tensor(time), torch.ones(400, dtype=torch.bool), torch.tensor(EDGES))

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = logistic_hazard_loss(logits.expand(400, 3), *arguments).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    died = np.histogram(time, EDGES)[0]
    alive = 400 - np.concatenate([[0], np.cumsum(died)[:-1]])
    found = torch.sigmoid(logits).detach().numpy()
    np.testing.assert_allclose(found[:2], (died / alive)[:2], atol=1e-5)
