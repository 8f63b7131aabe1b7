"""Summaries over hospitals equal metafor's, and obey their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import DataError
from fedpet.survival.random_effects import effect_sums, random_effects, summary
from references import reference

ESTIMATES = st.lists(st.tuples(st.floats(-3, 3), st.floats(0.05, 2)), min_size=1, max_size=12).map(
    np.array
)
METHODS = st.sampled_from(["reml", "dersimonian-laird"])


@pytest.mark.parametrize(("method", "name"), [("reml", "REML"), ("dersimonian-laird", "DL")])
def test_every_number_equals_that_of_metafor(method, name):
    """Thirteen trials of the BCG vaccine, log risk ratios."""
    data, expected = reference("performance")["bcg"], reference("performance")[f"bcg_{name}"]
    found = random_effects(data["estimate"], np.sqrt(data["variance"]), method=method)
    for key, value in expected.items():
        np.testing.assert_allclose(getattr(found, key), value[0], rtol=1e-9, err_msg=key)
    fixed = reference("performance")["bcg_fixed"]
    np.testing.assert_allclose(
        [found.fixed, found.fixed_se], [fixed["estimate"][0], fixed["se"][0]], rtol=1e-12
    )


@given(data=ESTIMATES, method=METHODS, seed=st.integers(0, 99))
def test_the_order_of_hospitals_and_the_scale_do_not_matter(data, method, seed):
    """Shuffled hospitals give the same; doubled numbers give doubled ones."""
    y, se = data.T
    one = random_effects(y, se, method=method)
    order = np.random.default_rng(seed).permutation(len(y))
    two = random_effects(2 * y[order], 2 * se[order], method=method)
    np.testing.assert_allclose(two.estimate, 2 * one.estimate, atol=1e-6)
    np.testing.assert_allclose(two.tau2, 4 * one.tau2, atol=1e-6)
    np.testing.assert_allclose(two.q, one.q, atol=1e-8)


@given(data=ESTIMATES, method=METHODS)
def test_the_summary_lies_among_the_estimates_and_the_limits_around_it(data, method):
    """A weighted mean; never an interval that is narrower than the fixed one."""
    y, se = data.T
    found = random_effects(y, se, method=method)
    assert y.min() - 1e-9 <= found.estimate <= y.max() + 1e-9
    assert found.tau2 >= 0
    assert 0 <= found.i2 <= 1
    assert found.se >= found.fixed_se - 1e-12
    if found.prediction_low is not None:
        assert found.prediction_low <= found.low
        assert found.high <= found.prediction_high


@given(value=st.floats(-3, 3), errors=st.lists(st.floats(0.1, 2), min_size=1, max_size=9))
def test_hospitals_that_agree_have_no_variance_between_them(value, errors):
    """Equal estimates: tau is zero, Q is zero, the summary is the fixed one."""
    found = random_effects(np.full(len(errors), value), np.array(errors))
    assert found.tau2 == 0
    np.testing.assert_allclose([found.q, found.i2], 0, atol=1e-9)
    np.testing.assert_allclose([found.estimate, found.se], [found.fixed, found.fixed_se])


@pytest.mark.parametrize(
    ("estimates", "errors"),
    [([], []), ([1.0, np.nan], [1.0, 1.0]), ([1.0], [0.0]), ([1.0, 2.0], [1.0])],
)
def test_what_cannot_be_summarised_is_refused(estimates, errors):
    """Never a NaN carried on in silence."""
    with pytest.raises(DataError):
        random_effects(np.array(estimates), np.array(errors))


@pytest.mark.parametrize("method", ["dersimonian-laird", "reml"])
@pytest.mark.parametrize("name", ["bcg", "lung_sites"])
def test_hartung_and_knapp_equal_metafor(name, method):
    """Thirteen trials of BCG, and nine hospitals of the lung data: the t interval of `knha`."""
    data = reference("cox_curves")[name]
    found = random_effects(
        data["estimate"], np.sqrt(data["variance"]), method=method, hartung_knapp=True
    )
    estimate, se, low, high, tau2, q, i2, *_ = data[f"{'reml' if method == 'reml' else 'dl'}_knha"]
    np.testing.assert_allclose(
        [found.estimate, found.se, found.low, found.high], [estimate, se, low, high], atol=1e-8
    )
    np.testing.assert_allclose([found.tau2, found.q, found.i2 * 100], [tau2, q, i2], atol=1e-7)


def test_hospitals_that_add_sums_give_what_a_list_of_estimates_gives():
    """Nobody has to tell its own estimate; a hospital without one adds zeros."""
    data = reference("cox_curves")["bcg"]
    y, v = data["estimate"], data["variance"]
    walk = summary(method="reml", hartung_knapp=True)
    tau2, center = next(walk)
    while True:
        parts = [
            effect_sums(y[i : i + 1], v[i : i + 1], tau2=tau2, center=center) for i in range(14)
        ]
        try:
            tau2, center = walk.send({name: sum(one[name] for one in parts) for name in parts[0]})
        except StopIteration as stop:
            found = stop.value
            break
    listed = random_effects(y, np.sqrt(v), method="reml", hartung_knapp=True)
    assert found.sites == 13
    np.testing.assert_allclose(
        [found.estimate, found.se, found.tau2, found.q],
        [listed.estimate, listed.se, listed.tau2, listed.q],
        rtol=1e-9,
    )
