"""What does not fit together between hospitals is found, where, and nothing else is said."""

import numpy as np
import pytest

from fedpet.errors import UpdateError
from fedpet.local import federation
from fedpet.node.policy import Policy

POLICY = Policy(endpoints=("os",), releases=("counts", "table-1", "duplicates"))


def hospital(seed, *, subjects=60):
    """Return a hospital whose columns are plausible."""
    rng = np.random.default_rng(seed)
    return {
        "albumin": rng.normal(40, 5, subjects),
        "ldh": np.exp(rng.normal(5.4, 0.4, subjects)),
        "male": (rng.random(subjects) < 0.8).astype(float),
        "os_days": rng.exponential(400, subjects).round() + 1,
        "os_event": (rng.random(subjects) < 0.8).astype(float),
    }


SPOILED = [
    ("albumin", lambda v: v / 10, "unit", "g/L against g/dL"),
    ("ldh", lambda v: v * 1000, "unit", "times those"),
    ("albumin", lambda v: np.full_like(v, 3.8), "constant", "same value"),
    ("albumin", lambda v: np.where(np.arange(len(v)) < 30, 40.0, v), "imputed", "50%"),
    ("male", lambda v: 1 - v, "inverted", "exchanged"),
    ("male", lambda v: v + 1, "coding", "other values than 0 and 1"),
    ("ldh", lambda v: np.full_like(v, np.nan), "absent", "none of the subjects"),
    ("ldh", lambda v: np.where(np.arange(len(v)) < 35, np.nan, v), "missing", "lack"),
    ("os_days", lambda v: v / 30.4375, "times", "days against months"),
    ("os_event", lambda v: 1 - v, "times", "exchanged"),
    ("os_days", lambda v: np.where(np.arange(len(v)) < 20, 0.0, v), "times", "are 0"),
]


@pytest.fixture(scope="module")
def alarms():
    """Return what is found where a dozen hospitals are spoiled in one way each, beside others."""
    hospitals = {f"site-{seed}": hospital(seed) for seed in range(len(SPOILED) + 9)}
    for number, (column, spoil, _, _) in enumerate(SPOILED):
        hospitals[f"site-{number}"][column] = spoil(np.array(hospitals[f"site-{number}"][column]))
    with federation(hospitals, policy=POLICY) as sites:
        return sites.table_one().alarms


def test_hospitals_that_fit_together_raise_no_alarm(alarms):
    """An alarm that always rings is not read."""
    spoiled = {f"site-{number}" for number in range(len(SPOILED))}
    assert {one.site for one in alarms} == spoiled


@pytest.mark.parametrize("number", range(len(SPOILED)))
def test_what_is_wrong_at_one_hospital_is_found_there(alarms, number):
    """The alarm names the hospital, the column and what to look for."""
    column, _, kind, told = SPOILED[number]
    found = [one for one in alarms if one.site == f"site-{number}"]
    assert [one.kind for one in found] == [kind]
    assert found[0].about == column.removesuffix("_days").removesuffix("_event")
    assert told in found[0].text


def test_a_table_of_one_hospital_hides_small_counts_and_lone_values():
    """Table 1 is about one hospital alone: what few have is not in it."""
    hospitals = {f"site-{seed}": hospital(seed) for seed in range(4)}
    rare = np.zeros(60)
    rare[:57] = np.nan
    hospitals["site-0"]["ldh"] = rare
    with federation(hospitals, policy=POLICY) as sites:
        facts = sites.table_one().facts["site-0"]["ldh"]
    assert (facts.known, facts.mean, facts.sd, facts.mode) == (0, 0, 0, 0)


def test_subjects_at_two_hospitals_are_counted_where_hospitals_opted_in():
    """Eight subjects of one hospital stand in another's table as well."""
    hospitals = {f"site-{seed}": hospital(seed) for seed in range(4)}
    for name, values in hospitals["site-0"].items():
        hospitals["site-1"][name] = np.concatenate([hospitals["site-1"][name], values[:8]])
    with federation(hospitals, policy=POLICY) as sites:
        found = sites.find_duplicates(salt="one", columns=["albumin", "ldh"])
        assert found.estimate == 8
        assert found.rows == 248
    with federation(hospitals) as sites, pytest.raises(UpdateError, match="0 of 4"):
        sites.find_duplicates(salt="one")
