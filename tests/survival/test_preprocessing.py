"""Scaling from two passes of sums equals scaling of the pooled table; nothing is made up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedpet.errors import DataError
from fedpet.survival.preprocessing import Preprocessing, fit_preprocessing, moment_sums

LOG = np.array([True, False])
VALUES = st.one_of(st.floats(0, 1e4), st.just(np.nan))
TABLES = st.integers(1, 40).flatmap(lambda n: arrays(float, (n, 2), elements=VALUES))


def fitted(tables: list[np.ndarray]) -> Preprocessing:
    first = [moment_sums(table, log=LOG) for table in tables]
    count, summed = sum(f["count"] for f in first), sum(f["sum"] for f in first)
    center = np.divide(summed, count, out=np.zeros(2), where=count > 0)
    second = [moment_sums(table, log=LOG, center=center) for table in tables]
    return fit_preprocessing(
        {"count": count, "sum": summed},
        {name: sum(s[name] for s in second) for name in second[0]},
        columns=("nlr", "age"),
        log=("nlr",),
        subjects=sum(len(table) for table in tables),
    )


@given(tables=st.lists(TABLES, min_size=1, max_size=4))
def test_sites_together_scale_as_one_table(tables):
    """Mean and spread of all hospitals, from sums, equal those of the pooled table."""
    pooled = np.concatenate(tables)
    logged = pooled.copy()
    logged[:, 0] = np.log1p(logged[:, 0])
    try:
        prep = fitted(tables)
    except DataError:
        known = (~np.isnan(pooled)).sum(axis=0)
        spread = [
            np.nanmax(column, initial=0.0) - np.nanmin(column, initial=1e9) for column in logged.T
        ]
        assert known.min() < 2 or min(spread) <= 1e-6
        return
    np.testing.assert_allclose(prep.mean, np.nanmean(logged, axis=0), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(prep.sd, np.nanstd(logged, axis=0), rtol=1e-6, atol=1e-9)
    design = np.concatenate([prep.transform(table) for table in tables])
    assert np.isfinite(design).all()
    assert design.shape == (len(pooled), len(prep.names))
    np.testing.assert_allclose(design[:, :2].mean(axis=0), 0, atol=1e-6)


def test_a_missing_value_becomes_the_mean_and_its_indicator_tells():
    """Imputation adds no information; frequent missingness is a covariate of its own."""
    rng = np.random.default_rng(1)
    table = np.stack([rng.random(20), rng.random(20)], axis=1)
    table[:6, 0] = np.nan
    table[:3, 1] = np.nan  # too rare for an indicator
    prep = fitted([table])
    assert prep.names == ("nlr", "age", "nlr missing")
    design = prep.transform(table)
    assert (design[:6, 0] == 0).all()
    assert design[:, 2].tolist() == [1.0] * 6 + [0.0] * 14


def test_scaling_travels_as_arrays():
    """What a request carries is what was fitted."""
    prep = fitted([np.random.default_rng(2).random((30, 2))])
    back = Preprocessing.from_arrays(prep.to_arrays(), columns=prep.columns)
    table = np.random.default_rng(3).random((5, 2))
    np.testing.assert_array_equal(back.transform(table), prep.transform(table))


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ([[np.nan, 1.0], [np.nan, 2.0]], "'nlr' has no values"),
        ([[1.0, 7.0], [2.0, 7.0]], "'age' has the same value"),
        ([[-1.0, 1.0], [2.0, 2.0]], "negative"),
    ],
)
def test_a_column_that_cannot_be_scaled_is_named(table, found):
    """Empty, constant and negative columns end in an error, never in a division by zero."""
    with pytest.raises(DataError, match=found):
        fitted([np.array(table)])


def test_scaling_of_another_size_is_refused():
    """A request whose arrays do not fit its columns is no request."""
    prep = fitted([np.random.default_rng(2).random((30, 2))])
    with pytest.raises(DataError, match="does not fit 3 columns"):
        Preprocessing.from_arrays(prep.to_arrays(), columns=("a", "b", "c"))
