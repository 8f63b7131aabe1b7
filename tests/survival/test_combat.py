"""ComBat in two sums equals neuroCombat on the pooled table, and obeys its laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.errors import DataError
from fedpet.survival.combat import (
    Combat,
    adjustment,
    combat_sums,
    confounding_p,
    confounding_sums,
    effects_of,
    fit_combat,
    harmonise,
)
from references import reference

NAMES = tuple(f"f{i}" for i in range(8))


def added(parts):
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def fitted(tables, covariates, *, reference_site=None):
    """Fit over sites, given as a list of (features, covariates)."""
    first = [combat_sums(y, x) for y, x in tables]
    beta = effects_of(added(first), covariates=covariates)
    second = [combat_sums(y, x, beta=beta) for y, x in tables]
    names = [f"f{i}" for i in range(tables[0][0].shape[1])]
    base = None if reference_site is None else {**first[reference_site], **second[reference_site]}
    return fit_combat(added(first), added(second), beta=beta, features=names, reference=base)


def sites_of(*, preserved):
    data = reference("combat")["data"]
    covariates = data["covariates"] if preserved else data["covariates"][:, :0]
    rows = [data["site"] == code for code in np.unique(data["site"])]
    return rows, [(data["features"][row], covariates[row]) for row in rows]


@pytest.mark.parametrize(
    ("name", "preserved", "base"),
    [("plain", False, None), ("preserved", True, None), ("reference", True, 2)],
)
def test_harmonised_features_equal_those_of_neurocombat(name, preserved, base):
    """Four sites, eight features; with covariates, and with a reference hospital: < 1e-6."""
    rows, tables = sites_of(preserved=preserved)
    combat = fitted(tables, ("age", "sex")[: 2 * preserved], reference_site=base)
    expected = reference("combat")["adjusted"][name]
    for site, (row, (y, x)) in enumerate(zip(rows, tables, strict=True)):
        own = None if site == base else adjustment(combat, y, x)
        np.testing.assert_allclose(harmonise(combat, own, y, x), expected[row], atol=1e-10)


def test_no_sum_shows_the_mean_of_one_hospital():
    """Shifting one hospital by any amount changes the summed features, and nothing else."""
    _, tables = sites_of(preserved=True)
    moved = [(y + 5 * (site == 1), x) for site, (y, x) in enumerate(tables)]
    one, two = (added([combat_sums(*table) for table in some]) for some in (tables, moved))
    for name in ("subjects", "covariates", "cross", "square"):
        np.testing.assert_allclose(one[name], two[name], atol=1e-8)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), sites=st.integers(2, 5))
def test_what_a_scanner_adds_is_taken_out_and_what_biology_does_stays(seed, sites):
    """Shift and scale any hospital's features: means and spreads agree, the effect of age stays."""
    rng = np.random.default_rng(seed)
    tables = []
    for _ in range(sites):
        age = rng.normal(size=(200, 1))
        noise = rng.normal(size=(200, 12)) * np.exp(rng.normal(0, 0.3, 12))
        tables.append((2 * age + rng.normal(0, 3, 12) + noise, age))
    combat = fitted(tables, ("age",))
    np.testing.assert_allclose(combat.beta, 2.0, atol=0.5)
    left = [harmonise(combat, adjustment(combat, y, x), y, x) - x @ combat.beta for y, x in tables]
    before = [y - x @ combat.beta for y, x in tables]
    gaps = [np.ptp([one.mean(axis=0) for one in some], axis=0).max() for some in (before, left)]
    assert gaps[1] < 0.1 * gaps[0] + 0.05
    spreads = [
        np.log([one.std(axis=0) for one in some]).std(axis=0).mean() for some in (before, left)
    ]
    assert spreads[1] < 0.5 * spreads[0] + 0.05


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_subjects_and_sites_does_not_matter(seed):
    """Shuffled rows, shuffled hospitals: the same fit."""
    rng = np.random.default_rng(seed)
    _, tables = sites_of(preserved=True)
    one = fitted(tables, ("age", "sex"))
    shuffled = []
    for index in rng.permutation(len(tables)):
        order = rng.permutation(len(tables[index][0]))
        shuffled.append((tables[index][0][order], tables[index][1][order]))
    two = fitted(shuffled, ("age", "sex"))
    for name, array in one.to_arrays().items():
        np.testing.assert_allclose(two.to_arrays()[name], array, rtol=1e-8, atol=1e-8)


def test_missing_values_do_not_fit_and_stay_missing():
    """A feature without a value keeps none; a missing covariate counts as its mean."""
    _, tables = sites_of(preserved=True)
    y, x = (array.copy() for array in tables[1])
    y[0, 3], x[1, 0] = np.nan, np.nan
    combat = fitted([tables[0], (y, x)], ("age", "sex"))
    assert combat_sums(y, x)["subjects"][0] == len(y) - 2
    found = harmonise(combat, adjustment(combat, y, x), y, x)
    assert np.isnan(found[0, 3])
    assert np.isfinite(np.delete(found.ravel(), 3)).all()


def test_it_travels_as_arrays_and_what_does_not_fit_is_refused():
    """A model carries its harmonisation; an altered one is not used."""
    combat = fitted(sites_of(preserved=True)[1], ("age", "sex"))
    arrays = combat.to_arrays()
    again = Combat.from_arrays(arrays)
    assert again.to_arrays().keys() == arrays.keys()
    with pytest.raises(DataError, match="do not fit"):
        Combat.from_arrays({**arrays, "mean": np.zeros(2)})
    with pytest.raises(DataError, match="lacks an array"):
        Combat.from_arrays({"beta": arrays["beta"]})


def test_what_cannot_be_told_apart_is_refused_by_name():
    """Few subjects, a covariate that is the hospital, one that repeats, a constant feature."""
    _, tables = sites_of(preserved=True)
    y, x = tables[0]
    with pytest.raises(DataError, match="20 subjects"):
        combat_sums(y[:19], x[:19])
    vendor = [(y, np.full((len(y), 1), float(site))) for site, (y, _) in enumerate(tables)]
    with pytest.raises(DataError, match="'vendor' does not vary within any hospital"):
        fitted(vendor, ("vendor",))
    twice = [(y, np.concatenate([x[:, :1], 2 * x[:, :1]], axis=1)) for y, x in tables]
    with pytest.raises(DataError, match="repeats others"):
        fitted(twice, ("age", "age in half years"))
    flat = [(np.concatenate([y, np.ones((len(y), 1))], axis=1), x) for y, x in tables]
    with pytest.raises(DataError, match="'f8' does not vary"):
        fitted(flat, ("age", "sex"))


def test_hospitals_that_differ_in_outcome_are_seen():
    """Same hazard everywhere: a large p; one hospital with thrice the events: a small one."""
    rng = np.random.default_rng(2)
    time = rng.exponential(100, (6, 80))
    event = rng.random((6, 80)) < 0.7
    hazard = event.sum() / time.sum()
    same = added([confounding_sums(hazard * t, e) for t, e in zip(time, event, strict=True)])
    assert confounding_p(same) > 0.01
    time[0] /= 3
    hazard = event.sum() / time.sum()
    other = added([confounding_sums(hazard * t, e) for t, e in zip(time, event, strict=True)])
    assert confounding_p(other) < 1e-6
