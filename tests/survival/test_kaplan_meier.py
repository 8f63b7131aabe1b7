"""Survival curves and the log-rank test equal R's, on a grid as fine as the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.survival import kaplan_meier
from references import lung, reference


def fine(time: np.ndarray) -> np.ndarray:
    """Return edges at 0 and at every time that occurs."""
    return np.unique(np.concatenate([[0.0], time]))


def test_curve_and_limits_equal_r_survival():
    """Kaplan-Meier, Greenwood's error and log-log limits at 180, 365 and 730 days."""
    data, expected = lung(complete=False), reference()["kaplan_meier"]
    edges = fine(data.time)
    curve = kaplan_meier.curve(kaplan_meier.event_table(data.time, data.event, edges))
    at = np.searchsorted(edges, expected["days"], side="right") - 1
    np.testing.assert_allclose(curve.survival[at], expected["survival"], atol=1e-12)
    np.testing.assert_allclose(curve.low[at], expected["low"], atol=1e-12)
    np.testing.assert_allclose(curve.high[at], expected["high"], atol=1e-12)
    still = (data.time > np.array([[180.0], [365.0], [730.0]])).sum(axis=1)
    np.testing.assert_array_equal(curve.at_risk[at], still)
    # log-log limits and Greenwood's standard error determine each other: check the latter too.
    width = np.log(np.log(curve.low[at]) / np.log(curve.survival[at])) / 1.959963984540054
    error = width * -np.log(curve.survival[at]) * curve.survival[at]
    np.testing.assert_allclose(error, expected["se"], atol=1e-12)


@pytest.mark.parametrize("by", ["sex", "inst"])
def test_log_rank_equals_r_survival(by):
    """`survdiff` by sex and by 18 institutions, to 12 digits."""
    data = lung(complete=False)
    group = data.x[:, 1].astype(int) if by == "sex" else data.inst
    edges = fine(data.time)
    tables = [
        kaplan_meier.event_table(data.time[group == code], data.event[group == code], edges)
        for code in np.unique(group)
    ]
    statistic, p = kaplan_meier.log_rank(np.stack(tables))
    np.testing.assert_allclose(statistic, reference()["log_rank"][by][0], atol=1e-11)
    assert 0 < p < 1


@pytest.mark.parametrize(("days", "bound"), [(1.0, 1e-12), (7.0, 2e-3), (15.21875, 5e-3)])
def test_a_coarse_grid_moves_the_curve_less_than_its_bound(days, bound):
    """Days are exact; weeks move the curve by 0.002 at most, half months by 0.005."""
    data = lung(complete=False)
    edges = np.arange(0.0, 1040.0, days)
    coarse = kaplan_meier.curve(kaplan_meier.event_table(data.time, data.event, edges))
    exact = kaplan_meier.curve(kaplan_meier.event_table(data.time, data.event, fine(data.time)))
    at = np.searchsorted(fine(data.time), edges, side="right") - 1
    assert np.abs(coarse.survival[: len(edges)] - exact.survival[at]).max() <= bound


@given(st.lists(st.tuples(st.floats(0, 900), st.booleans()), min_size=1, max_size=40))
def test_a_table_counts_everybody_once(rows):
    """Whatever the follow-up, also 0 days or behind the last edge, nobody is lost."""
    time = np.array([t for t, _ in rows])
    event = np.array([e for _, e in rows])
    counts = kaplan_meier.event_table(time, event, np.arange(0.0, 700.0, 30.0))
    assert counts.sum() == len(rows)
    assert counts[1].sum() == event.sum()
    curve = kaplan_meier.curve(counts)
    assert (np.diff(curve.survival) <= 0).all()
    assert (curve.low <= curve.survival).all()
    assert (curve.survival <= curve.high).all()


@given(st.lists(st.tuples(st.floats(0, 900), st.booleans()), min_size=2, max_size=40))
def test_tables_of_sites_add_up_to_the_table_of_all(rows):
    """Counts are sums: hospitals together, or one by one."""
    time = np.array([t for t, _ in rows])
    event = np.array([e for _, e in rows])
    edges = np.arange(0.0, 700.0, 30.0)
    parts = [kaplan_meier.event_table(time[i::2], event[i::2], edges) for i in (0, 1)]
    whole = kaplan_meier.event_table(time, event, edges)
    np.testing.assert_array_equal(parts[0] + parts[1], whole)


def test_groups_that_are_never_at_risk_together_give_no_statistic():
    """NaN is the honest answer, and it is not an error."""
    one = kaplan_meier.event_table(np.array([5.0]), np.array([True]), np.array([0.0, 10.0]))
    statistic, p = kaplan_meier.log_rank(np.stack([one, np.zeros_like(one)]))
    assert np.isnan(statistic)
    assert np.isnan(p)
