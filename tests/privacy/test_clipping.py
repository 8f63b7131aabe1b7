"""A site's pull on the model is bounded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import UpdateError
from fedpet.privacy.clipping import clip_update


@given(
    change=st.lists(st.floats(-100, 100), min_size=2, max_size=6),
    weight=st.integers(1, 200),
    norm_max=st.floats(0.1, 50),
)
def test_a_clipped_change_is_never_longer_than_allowed_and_keeps_its_direction(
    change, weight, norm_max
):
    """Whatever a site sends, one round moves the model by a bounded step."""
    summand = {"w": weight * np.array(change), "weight.shared": np.array([float(weight)])}
    clipped, norm = clip_update(summand, norm_max=norm_max)
    after = clipped["w"] / weight
    assert np.linalg.norm(after) <= norm_max * (1 + 1e-9)
    np.testing.assert_allclose(norm, np.linalg.norm(change), rtol=1e-9, atol=1e-12)
    if norm > 0:
        np.testing.assert_allclose(after * max(norm / norm_max, 1.0), change, rtol=1e-6, atol=1e-9)


def test_weights_and_losses_are_not_scaled():
    """Clipping bounds the change, not how many subjects it stands for."""
    summand = {
        "w": np.array([200.0]),
        "weight.shared": np.array([2.0]),
        "loss.pfs": np.array([3.0]),
    }
    clipped, _ = clip_update(summand, norm_max=1.0)
    assert clipped["weight.shared"].tolist() == [2.0]
    assert clipped["loss.pfs"].tolist() == [3.0]
    assert clipped["w"].tolist() == [2.0]


def test_an_update_that_is_not_finite_is_refused():
    """NaN never leaves a hospital."""
    with pytest.raises(UpdateError, match="not finite"):
        clip_update({"w": np.array([np.nan]), "weight.shared": np.array([1.0])}, norm_max=1.0)
