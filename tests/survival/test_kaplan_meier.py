"""Survival curves equal R's, on a grid as fine as the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import DataError
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


@pytest.mark.parametrize("name", ["km", "km_late", "km_weekly"])
@pytest.mark.parametrize("limits", ["plain", "log", "log-log"])
def test_every_number_of_a_curve_equals_r_survival(name, limits):
    """Estimates, errors, three kinds of limits, median, quartiles, hazard and at-risk counts."""
    data, expected = lung(complete=False), reference("cox_curves")[name]
    time, entry = data.time, None
    if name == "km_late":
        entry = np.minimum(np.arange(1, len(time) + 1) % 7 * 20.0, time - 1)
    edges = fine(time) if name != "km_weekly" else np.arange(0.0, 1030.0, 7.0)
    counts = kaplan_meier.event_table(time, data.event, edges, entry=entry)
    curve = kaplan_meier.curve(counts, limits=limits)
    at = np.searchsorted(edges, expected["days"], side="right") - 1
    key = limits.replace("-", "_")
    found = {
        "survival": curve.survival[at],
        "se": curve.se[at],
        "hazard": curve.hazard[at],
        "hazard_se": curve.hazard_se[at],
        f"low_{key}": curve.low[at],
        f"high_{key}": curve.high[at],
    }
    for part, values in found.items():
        np.testing.assert_allclose(values, expected[part], atol=1e-12, err_msg=part)
    median = kaplan_meier.quantile(curve, edges)
    assert [median.days, median.low, median.high] == expected[f"median_{key}"].tolist()
    quartiles = [kaplan_meier.quantile(curve, edges, share).days for share in (0.25, 0.75)]
    assert quartiles == expected["quartiles"].tolist()
    for horizon, part in ((365.0, "rmst"), (700.0, "rmst_700")):
        mean = kaplan_meier.restricted_mean(counts, edges, horizon)
        np.testing.assert_allclose([mean.days, mean.se], expected[part], atol=1e-10)


def test_the_median_is_the_middle_of_a_curve_that_is_flat_at_one_half():
    """R's rule, and none where the curve never falls so far."""
    edges = np.arange(0.0, 6.0)
    curve = kaplan_meier.curve(np.array([[0.0] * 6, [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]]))
    assert kaplan_meier.quantile(curve, edges).days == 3.0
    nobody = kaplan_meier.curve(np.array([[4.0] + [0.0] * 5, [0.0] * 6]))
    assert kaplan_meier.quantile(nobody, edges).days is None


def test_a_horizon_behind_the_grid_is_refused():
    """A mean over time that nobody counted would be made up."""
    counts = np.array([[1.0, 1.0], [1.0, 0.0]])
    with pytest.raises(DataError, match="ends at 10 days"):
        kaplan_meier.restricted_mean(counts, np.array([0.0, 10.0]), 20.0)
    with pytest.raises(DataError, match="'logit' are unknown"):
        kaplan_meier.curve(counts, limits="logit")


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 59), st.booleans()), min_size=1))
def test_late_entry_counts_whoever_is_under_observation(rows):
    """The at-risk number of every day, against the definition: entry < day <= end."""
    time = np.array([float(t) for t, _, _ in rows])
    entry = np.array([float(min(e, t - 1)) for t, e, _ in rows])
    edges = np.arange(0.0, 61.0)
    table = kaplan_meier.event_table(time, np.array([e for *_, e in rows]), edges, entry=entry)
    days = edges[1:, None]
    expected = ((entry < days) & (time >= days)).sum(axis=1)
    np.testing.assert_array_equal(kaplan_meier.at_risk(table)[:-1], expected)
