"""A grid of times that passes the check tells of nobody alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedpet.errors import RefusalError
from fedpet.survival.disclosure_grid import lone_cells, merge_cells, objections, weekly_edges

COUNTS = arrays(np.float64, st.tuples(st.just(2), st.integers(1, 60)), elements=st.integers(0, 4))


@given(COUNTS, st.integers(1, 9))
def test_merged_cells_are_safe_and_lose_nobody(counts, least):
    """Whatever the data, what may be told is told of enough subjects, and all are in it."""
    edges = np.arange(counts.shape[1], dtype=float) * 7
    try:
        grid = merge_cells(edges, counts, least=least)
    except RefusalError:
        total = counts.sum(axis=1)
        assert 0 < total.sum() < least or 0 < total[1] < least
        return
    for departures, deaths in zip(grid.counts.sum(axis=0), grid.counts[1], strict=True):
        assert departures == 0 or departures >= least
        assert deaths == 0 or deaths >= least
    assert not lone_cells(grid.counts, least=least).any()
    assert grid.counts.sum(axis=1).tolist() == counts.sum(axis=1).tolist()
    assert set(grid.edges_days) <= set(edges)
    assert grid.edges_days[0] == 0
    assert len(grid.edges_days) + grid.merged == counts.shape[1]


@given(COUNTS)
def test_a_grid_that_is_safe_and_full_stays_as_it_is(counts):
    """The check costs nothing where nothing has to be hidden."""
    full = counts + 5
    grid = merge_cells(np.arange(full.shape[1], dtype=float), full, least=5)
    assert grid.merged == grid.lone == 0


def test_narrow_or_disordered_grids_are_objected_to():
    """Exact days point to persons; a hospital sees it without counting anybody."""
    assert objections(weekly_edges(700)) == ()
    assert "narrowest" in objections(np.arange(30.0))[0]
    assert "increase" in objections(np.array([0.0, 14.0, 7.0]))[0]
    assert "at most 3" in objections(weekly_edges(70), cells_max=3)[0]


def test_too_few_subjects_are_refused():
    """Four subjects in all cannot be told of in any interval."""
    with pytest.raises(RefusalError):
        merge_cells(np.array([0.0, 7.0]), np.array([[2.0, 1.0], [1.0, 0.0]]), least=5)
