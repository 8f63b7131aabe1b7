"""Scaling from two passes of sums equals scaling of the pooled table; nothing is made up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedpet.errors import DataError
from fedpet.survival.describe import histogram_sums
from fedpet.survival.preprocessing import Preprocessing, fit_preprocessing, moment_sums
from fedpet.survival.quantiles import medians

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


def medians_of(tables: list[np.ndarray], *, least: int = 5) -> np.ndarray:
    """Return medians over several hospitals, each of which only counts."""
    known = sum((~np.isnan(table)).sum(axis=0) for table in tables).astype(float)
    summed = sum(np.nansum(table, axis=0) for table in tables)
    mean = summed / np.maximum(known, 1)
    squares = sum(np.nansum((table - mean) ** 2, axis=0) for table in tables)
    walk = medians(known, summed, squares, least=least)
    try:
        wanted, edges = next(walk)
        while True:
            cells = sum(histogram_sums(table[:, wanted], edges)["cells"] for table in tables)
            wanted, edges = walk.send(cells)
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize("hospitals", [1, 4])
def test_a_missing_value_becomes_the_median_of_all_hospitals(hospitals):
    """The median of the pooled table where values are shared; near it where each is one's own."""
    rng = np.random.default_rng(2)
    table = np.stack([rng.integers(40, 80, 401), rng.lognormal(4, 1.5, 401)], axis=1).astype(float)
    table[:30, 0], table[-9:, 1] = np.nan, np.nan
    found = medians_of(np.array_split(table, hospitals))
    expected = np.nanmedian(table, axis=0)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    ranked = np.sort(table[~np.isnan(table[:, 1]), 1])
    assert ranked[len(ranked) // 2 - 5] < found[1] < ranked[len(ranked) // 2 + 5]
    assert not np.isin(found[1], ranked)  # nobody's value
    prep = replace(fitted([table]), log=np.zeros(2, bool), fill=found)
    prep = Preprocessing.from_arrays(prep.to_arrays(), columns=prep.columns)
    np.testing.assert_allclose(prep.transform(table)[0, 0] * prep.sd[0] + prep.mean[0], found[0])


def test_few_values_have_no_median():
    """Of four subjects none is told; their mean stands in."""
    table = np.array([[1.0], [2.0], [3.0], [10.0], [np.nan]])
    np.testing.assert_allclose(medians_of([table]), [4.0])
