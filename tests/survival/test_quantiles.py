"""Quantiles by refined histograms are right to their cell, and a cell is never one patient."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.survival.describe import histogram_sums, level_sums, mean_of, moment_sums, moments_of
from fedpet.survival.quantiles import ROUNDS_MAX, edges_of, first_target, refined

VALUES = st.lists(
    st.one_of(st.integers(-50, 50).map(float), st.floats(-1e6, 1e6)), min_size=5, max_size=200
)


def quantile(values, share, *, least=5, rounds=ROUNDS_MAX):
    """Ask for histograms until the target is done, as a coordinator does."""
    table = values[:, None]
    target = first_target(
        share, known=len(values), mean=values.mean(), sd=values.std(ddof=1), least=least
    )
    for _ in range(rounds):
        if target.done:
            break
        edges = edges_of([target])
        cells = histogram_sums(table, edges)["cells"][0]
        target = refined(target, edges[0], cells, least=least)
    return target


@settings(max_examples=60)
@given(VALUES, st.sampled_from([0.25, 0.5, 0.75]))
def test_the_quantile_lies_in_its_cell_and_the_cell_holds_enough_subjects(values, share):
    """What is told bounds the truth, and holds for at least five subjects."""
    values = np.array(values)
    target = quantile(values, share)
    if target.cell is None:
        return  # far outliers: nothing is told rather than something wrong
    low, high, told = target.cell
    assert told >= 5
    assert told == ((values >= low) & (values < high)).sum()
    truth = np.sort(values)[max(int(np.ceil(share * len(values))) - 1, 0)]
    assert low <= truth < high
    assert low <= target.value <= high


def test_a_median_that_many_share_is_exact():
    """Where many subjects have the same value, it may be told, and is."""
    ages = np.repeat(np.arange(50.0, 80.0), 7)
    target = quantile(ages, 0.5)
    assert abs(target.value - 64) < 1e-5


def test_the_median_of_few_distinct_values_is_no_patients_value():
    """Values a week apart: the cell widens until five subjects are in it."""
    values = np.arange(100.0) * 7
    target = quantile(values, 0.5)
    assert target.cell[2] >= 5
    assert target.cell[1] - target.cell[0] > 28


def test_a_skewed_column_is_looked_for_beyond_the_first_histogram():
    """A median far from the mean is found, without anybody's largest value."""
    values = np.concatenate([np.full(40, 1e9), np.arange(60.0)])
    assert quantile(values, 0.75).value is not None


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=30), min_size=1, max_size=5))
def test_moments_do_not_depend_on_how_subjects_are_parted(parts):
    """One hospital with all subjects, or five: the same mean and spread."""
    everybody = np.array([value for part in parts for value in part], float)
    if len(everybody) < 2:
        return
    tables = [np.array(part, float).reshape(-1, 1) for part in parts]

    def summed(**about):
        sums = [moment_sums(table, **about) for table in tables]
        return {name: sum(one[name] for one in sums) for name in sums[0]}

    center = mean_of(summed())
    scale = np.maximum(np.abs(center), 1.0)
    found = moments_of(summed(center=center, scale=scale), center=center, scale=scale)
    size = max(1.0, np.abs(everybody).max())
    assert abs(found.mean[0] - everybody.mean()) <= 1e-12 * size
    assert abs(found.sd[0] - everybody.std(ddof=1)) <= 1e-9 * size


def test_levels_count_what_is_no_category():
    """A value that no category covers is seen, so that a column is not called one wrongly."""
    sums = level_sums(np.array([[0.0], [1.0], [1.5], [np.nan]]), np.array([[0.0, 1.0]]))
    assert sums["levels"].tolist() == [[1.0, 1.0]]
    assert sums["other"].tolist() == [1.0]
