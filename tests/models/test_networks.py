"""The network: no memory of batches, the same start everywhere, shapes as promised."""

import numpy as np
import pytest
import torch
from torch import nn

from fedpet.errors import PlanError
from fedpet.models.catalogue import build, initialise
from fedpet.plan import Model

HEADS = {"survival": ("pfs", "os"), "binary": ("response",)}


def network(*, seed: int = 1, covariates: int = 5, **settings) -> nn.Module:
    made = build(
        Model(**{"width": 4, **settings}),
        image_shape=(2, 32, 16),
        covariates=covariates,
        **HEADS,
    )
    initialise(made, seed=seed, survival=HEADS["survival"])
    return made


def inputs(subjects: int = 6, *, height: int = 120, width: int = 56):
    generator = torch.Generator().manual_seed(5)
    images = 8 * torch.rand((subjects, 2, height, width), generator=generator)
    return images, torch.randn((subjects, 5), generator=generator)


def test_there_is_group_normalisation_only_and_no_state_beside_parameters():
    """Batch statistics would leak between subjects and differ between hospitals."""
    made = network()
    kinds = {type(module) for module in made.modules() if "Norm" in type(module).__name__}
    assert kinds == {nn.GroupNorm}
    assert list(made.buffers()) == []


@pytest.mark.parametrize(("height", "width"), [(120, 56), (240, 112), (32, 16), (17, 9)])
def test_every_head_has_the_outputs_of_its_endpoint(height, width):
    """One logit per interval, one for yes or no, whatever the size of the image."""
    images, covariates = inputs(height=height, width=width)
    found = network()(images, covariates)
    assert {name: tuple(logits.shape) for name, logits in found.items()} == {
        "pfs": (6, 8),
        "os": (6, 8),
        "response": (6, 1),
    }


def test_a_subjects_output_does_not_depend_on_the_others():
    """Alone, in a batch, or in another order: the same numbers to rounding."""
    made, (images, covariates) = network().eval(), inputs()
    with torch.inference_mode():
        together = made(images, covariates)
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        shuffled = made(images[order], covariates[order])
        alone = made(images[2:3], covariates[2:3])
    for name, logits in together.items():
        torch.testing.assert_close(shuffled[name], logits[order])
        torch.testing.assert_close(alone[name], logits[2:3], rtol=1e-5, atol=1e-6)


def test_training_and_evaluation_mode_are_the_same():
    """Nothing is dropped at random, nothing is averaged over batches."""
    images, covariates = inputs()
    made = network()
    with torch.inference_mode():
        training, evaluating = made.train()(images, covariates), made.eval()(images, covariates)
    for name, logits in training.items():
        assert torch.equal(logits, evaluating[name])


def test_the_initial_weights_depend_on_the_seed_only():
    """Every hospital starts from the same bytes, whatever torch drew before."""
    torch.manual_seed(1)
    one = network(seed=3).state_dict()
    torch.manual_seed(2)
    torch.rand(100)
    two, other = network(seed=3).state_dict(), network(seed=4).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert all(torch.isfinite(value).all() for value in one.values())


def test_the_first_hazards_are_plausible():
    """About one event in seven per interval before any training: no round is lost on it."""
    images, covariates = inputs()
    with torch.inference_mode():
        hazard = torch.sigmoid(network()(images, covariates)["pfs"])
    assert 0.05 < float(hazard.mean()) < 0.3


def test_both_projections_and_the_covariates_reach_the_output():
    """No input is cut off from any head."""
    images, covariates = inputs()
    images.requires_grad_()
    covariates.requires_grad_()
    for logits in network()(images, covariates).values():
        by_image, by_covariate = torch.autograd.grad(
            logits.sum(), (images, covariates), retain_graph=True
        )
        assert (by_image.abs().sum(dim=(2, 3)) > 0).all()
        assert (by_covariate != 0).all()


def test_images_outside_the_expected_range_stay_finite():
    """Negative noise and a hot bladder are clamped, not passed on."""
    images, covariates = inputs()
    images[0], images[1] = -5.0, 500.0
    for logits in network()(images, covariates).values():
        assert torch.isfinite(logits).all()


def test_an_unknown_network_is_refused_with_the_known_ones():
    """A plan asks by name for what is installed."""
    with pytest.raises(PlanError, match="mip-fusion"):
        build(Model(name="resnet"), image_shape=(2, 32, 16), covariates=1, **HEADS)


def test_parameters_are_named_by_the_head_they_belong_to():
    """The names decide which counts an average is taken with."""
    names = {name for name, _ in network().named_parameters()}
    heads = {name.split(".")[1] for name in names if name.startswith("heads.")}
    assert heads == {"pfs", "os", "response"}
    assert np.mean([name.startswith("heads.") for name in names]) < 0.5
