"""What cannot be computed is named with its column or its hospital; never NaN, never a person."""

import numpy as np
import pytest
from lifelines import CoxPHFitter

from fedpet.errors import DataError, UpdateError
from fedpet.local import federation


def hospital(seed, *, subjects=40):
    """Return one hospital with two covariates that tell of the outcome."""
    rng = np.random.default_rng(seed)
    age, dose = rng.normal(65, 9, subjects), rng.integers(0, 3, subjects).astype(float)
    death = rng.exponential(300 / np.exp(0.03 * (age - 65) + 0.4 * dose))
    end = rng.uniform(100, 900, subjects)
    return {
        "age": age,
        "dose": dose,
        "os_days": np.minimum(death, end).round(),
        "os_event": (death <= end).astype(float),
    }


def hospitals(number=3, **columns):
    """Return some hospitals; `columns` gives more to each, from its number and table."""
    found = {f"site-{seed}": hospital(seed) for seed in range(number)}
    for name, values in columns.items():
        for seed, table in enumerate(found.values()):
            table[name] = values(seed, table)
    return found


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (lambda seed, table: np.ones(40), "does not vary"),
        (lambda seed, table: np.full(40, float(seed)), "does not vary within any hospital"),
        (lambda seed, table: 2 * table["age"] - 3, "carry the same information"),
    ],
)
def test_a_covariate_that_cannot_be_estimated_is_named(values, told):
    """Constant, constant within hospitals, or a copy of another: an error with its name."""
    with federation(hospitals(extra=values)) as sites, pytest.raises(DataError) as caught:
        sites.cox("os", ["age", "dose", "extra"])
    assert told in caught.value.title
    assert "extra" in caught.value.title


def test_a_hospital_without_any_event_adds_nothing_to_the_strata_and_breaks_nothing():
    """The fit is that of one table with all subjects, as lifelines says."""
    import pandas as pd

    tables = hospitals(4)
    tables["site-3"]["os_event"] = np.zeros(40)
    with federation(tables) as sites:
        model = sites.cox("os", ["age", "dose"])
    pooled = pd.concat([pd.DataFrame(table).assign(site=name) for name, table in tables.items()])
    fitter = CoxPHFitter()
    options = {"precision": 1e-14, "step_size": 1.0}
    fitter.fit(pooled, "os_days", "os_event", strata=["site"], fit_options=options)
    assert model.sites == ("site-0", "site-1", "site-2", "site-3")
    for name, value in model.params_.items():
        assert value == pytest.approx(fitter.params_[name], abs=1e-7)


@pytest.mark.parametrize("subjects", [0, 1, 4])
def test_a_hospital_with_hardly_anybody_is_left_out_by_name(subjects):
    """The others go on, and the account says who is missing and why."""
    tables = hospitals(3)
    tables["tiny"] = {name: values[:subjects] for name, values in hospital(9).items()}
    with federation(tables) as sites:
        found = sites.describe(["age"])
        assert found.subjects == 120
        assert set(sites.disclosure.left_out) == {"tiny"}
        assert sites.cox("os", ["age"]).sites == ("site-0", "site-1", "site-2")


def test_a_column_that_nobody_has_is_no_number():
    """Neither NaN nor zero: nothing is told of it."""
    with federation(hospitals(nlr=lambda seed, table: np.full(40, np.nan))) as sites:
        column = sites.describe()["nlr"]
        assert (column.mean, column.sd, column.known.count) == (None, None, 0)
        with pytest.raises((DataError, UpdateError)) as caught:
            sites.cox("os", ["nlr"])
    assert "nan" not in str(caught.value).lower()


def test_events_at_time_zero_are_events():
    """A death on the first day counts; a negative time never came this far."""
    tables = hospitals(3)
    tables["site-0"]["os_days"][:3] = 0.0
    with federation(tables) as sites:
        model = sites.cox("os", ["age"])
    assert np.isfinite(list(model.params_.values())).all()


def test_no_message_names_a_subject():
    """Identifiers stay at the hospital, whatever goes wrong."""
    tables = hospitals(2)
    with federation(tables) as sites, pytest.raises(UpdateError) as caught:
        sites.cox("os", ["age"])
    assert "site-0-" not in str(caught.value)
