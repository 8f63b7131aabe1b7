"""Attributions leave nothing unexplained."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.models.catalogue import build, initialise
from fedpet.plan import Model
from fedpet.predict.explain import attribute
from fedpet.predict.subject import mean_survival
from fedpet.survival.likelihoods import survival_from_logits


def network(seed):
    """Return a small network with weights large enough to matter."""
    found = build(
        Model(width=4, image_features=4, hidden=8),
        image_shape=(2, 40, 24),
        covariates=5,
        survival=("pfs",),
        binary=(),
    )
    initialise(found, seed=seed, survival=("pfs",))
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            if name.startswith("heads.") and parameter.dim() > 1:
                parameter *= 10
    return found.eval()


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10_000))
def test_attributions_sum_to_the_difference_of_the_risks(seed):
    """Images and covariates together explain the whole difference."""
    model = network(seed)
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((2, 40, 24), generator=generator) * 12
    images[:, :10] = 0.0  # air: the slope of a root is infinite there
    images[:, 10:20] = 1.0  # background: the same at both ends of the path
    covariates = torch.randn(5, generator=generator)

    def score(seen, told):
        return 1 - survival_from_logits(model(seen, told)["pfs"]).mean(dim=1)

    found = attribute(score, images, covariates, steps=256)
    assert abs(found.unexplained) < 0.005
    assert abs(found.images[:, :20]).max() == 0.0


def test_attributions_of_a_linear_score_are_its_terms():
    """Where the truth is known: weight times value, for each input."""
    weights = torch.tensor([1.0, -2.0, 0.5])
    found = attribute(
        lambda seen, told: told @ weights + 0.1 * seen.sum(dim=(1, 2, 3)),
        torch.full((1, 2, 2), 5.5),
        torch.tensor([2.0, 1.0, -4.0]),
    )
    assert found.covariates.tolist() == pytest.approx([2.0, -2.0, -2.0], abs=1e-5)
    assert found.images.ravel().tolist() == pytest.approx([0.3] * 4, abs=1e-5)


def test_an_ensemble_of_one_model_many_times_is_the_model():
    """The mean of equal predictions is that prediction."""
    survival = torch.rand(7, 4, dtype=torch.float64).numpy()
    assert mean_survival([survival] * 5) == pytest.approx(survival, abs=1e-15)
