"""What a coordinator could find out of single patients, from all that it sees.

The attacker keeps every answer that passes the engine and every sum of the journal. Sums over
those at risk, told at several times, differ by whoever left in between: where the difference
counts one subject, it is that subject's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
from lifelines.datasets import load_lung

from fedpet.errors import RefusalError, UpdateError
from fedpet.federation.session import Federation
from fedpet.federation.statistics.cox import CoxOptions
from fedpet.federation.statistics.curves import Groups
from fedpet.federation.statistics.time_grid import DAYS, WEEKS, TimeGrid
from fedpet.local import federation
from fedpet.local.tables import plan_of
from fedpet.node.policy import Policy
from fedpet.plan import Privacy

COVARIATES = ("age", "ecog", "male")
UNMASKED = {"privacy": Privacy(secure_sum=False)}
OPEN = Policy(
    secure_sum="optional",
    endpoints=("os",),
    sites_min=1,
    subjects_min=1,
    statistics_subjects_min=0,
    stratum_events_min=0,
    covariates_per_subject_max=1e6,
    grid_days_min=0.0,
    difference_min=0,
)


@pytest.fixture(scope="module")
def hospitals():
    """Return NCCTG lung by institution: 226 subjects with all covariates, 18 sites."""
    lung = load_lung().dropna(subset=["inst", "age", "sex", "ph.ecog"])
    return {
        f"site-{int(inst):02d}": {
            "age": part["age"].tolist(),
            "ecog": part["ph.ecog"].tolist(),
            "male": (part["sex"] == 1).astype(float).tolist(),
            "os_days": part["time"].astype(float).tolist(),
            "os_event": (part["status"] == part["status"].max()).astype(float).tolist(),
        }
        for inst, part in lung.groupby("inst")
    }


class Tap:
    """An engine that keeps what passes it."""

    def __init__(self, engine):
        self._engine = engine
        self.kept = []

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def exchange(self, requests):
        for reply in self._engine.exchange(requests):
            self.kept.append(reply.arrays)
            yield reply


class Book:
    """A journal that keeps the sums that are written into it."""

    def __init__(self, journal):
        self._journal = journal
        self.kept = []

    def __getattr__(self, name):
        return getattr(self._journal, name)

    def record(self, step, *, asked, closed):
        self.kept.append(closed.arrays)
        self._journal.record(step, asked=asked, closed=closed)


@dataclass(frozen=True)
class Seen:
    """All arrays that the coordinator could read: of single sites, and of their sums."""

    apart: list[Mapping[str, np.ndarray]]
    summed: list[Mapping[str, np.ndarray]]


def watched(hospitals, ask, *, policy, plan=None) -> Seen:
    """Ask statistics and keep what the coordinator sees."""
    with federation(hospitals, policy=policy, plan=plan) as plain:
        tap, book = Tap(plain.execution.engine), Book(plain.execution.journal)
        ask(Federation(replace(plain.execution, engine=tap, journal=book)))
    return Seen(apart=tap.kept, summed=book.kept)


def rows_found(arrays: Mapping[str, np.ndarray], *, width: int) -> Iterable[np.ndarray]:
    """Return covariate sums that count one subject, from all sums over several times."""
    for array in arrays.values():
        table = np.asarray(array)
        if table.ndim != 2 or table.shape[1] != width + 1 or table.dtype.kind != "f":
            continue
        left = np.vstack([table[:-1] - table[1:], table[-1:], table])
        alone = np.abs(left[:, 0] - 1) < 1e-6
        yield from left[alone, 1:]


def recovered(found: Iterable[np.ndarray], seen: Seen, hospitals) -> float:
    """Return the share of subjects whose covariates are among what was found.

    Covariates were centred and scaled over all sites that took part; the two numbers of each are
    among the sums that the coordinator has.
    """
    sums = {name: array for arrays in seen.summed for name, array in arrays.items()}
    mean = sums["sum"] / sums["count"]
    sd = np.sqrt(sums["sum_squares"] / sums["count"])
    true = np.array(
        [
            row
            for one in hospitals.values()
            for row in zip(*(one[c] for c in COVARIATES), strict=True)
        ]
    )
    known = np.zeros(len(true), bool)
    for row in found:
        known |= (np.abs(true - (row * sd + mean)) < 1e-5).all(axis=1)
    return float(known.mean())


def attacked(seen: Seen, hospitals) -> tuple[float, float]:
    """Return the shares recovered from answers of single sites, and from sums alone."""
    width = len(COVARIATES)
    apart = [row for arrays in seen.apart for row in rows_found(arrays, width=width)]
    summed = [row for arrays in seen.summed for row in rows_found(arrays, width=width)]
    return recovered(apart, seen, hospitals), recovered(summed, seen, hospitals)


def one_baseline(sites, *, grid):
    """Ask for a Cox model with one baseline hazard for all sites."""
    sites.cox("os", COVARIATES, options=CoxOptions(strata="none", grid=grid))


def everything(sites):
    """Ask all that a study team asks, of the same subjects."""
    groups = Groups(column="male", cuts=(1,))
    sites.describe()
    sites.table_one()
    sites.kaplan_meier("os")
    sites.log_rank("os", groups)
    sites.log_rank("os", groups, strata="none")
    sites.cox("os", COVARIATES)
    one_baseline(sites, grid=WEEKS)


def test_with_the_policy_switched_off_most_patients_are_recovered(hospitals, monkeypatch):
    """The attack works: exact days and open sums give nine patients in ten, sums alone a third."""
    monkeypatch.setattr("fedpet.node.masking.COMMON_BASELINE", frozenset())
    monkeypatch.setattr("fedpet.federation.statistics.cox.masks", lambda run, sites: True)
    plan = replace(plan_of(list(hospitals["site-01"]), cohort="local"), **UNMASKED)
    seen = watched(hospitals, partial(one_baseline, grid=DAYS), policy=OPEN, plan=plan)
    apart, summed = attacked(seen, hospitals)
    assert apart > 0.9
    assert summed > 0.3


def test_under_the_default_policy_nobody_is_recovered(hospitals):
    """From answers of single sites and from sums, of all statistics together."""
    seen = watched(hospitals, everything, policy=Policy(endpoints=("os",)))
    apart, summed = attacked(seen, hospitals)
    assert len(seen.summed) > 20
    assert summed == 0
    assert apart == 0


def test_one_baseline_needs_the_secure_sum(hospitals, monkeypatch):
    """However open its policy, no hospital's risk sets leave unmasked: here, and at its node."""
    plan = replace(plan_of(list(hospitals["site-01"]), cohort="local"), **UNMASKED)
    ask = partial(one_baseline, grid=DAYS)
    with pytest.raises(RefusalError, match="under the secure sum only"):
        watched(hospitals, ask, policy=OPEN, plan=plan)
    monkeypatch.setattr("fedpet.federation.statistics.cox.masks", lambda run, sites: True)
    with pytest.raises(UpdateError) as caught:
        watched(hospitals, ask, policy=OPEN, plan=plan)
    assert "under the secure sum only" in caught.value.why


def test_the_default_policy_refuses_exact_days(hospitals):
    """A study team that asks for them gets nothing at all."""
    days = partial(one_baseline, grid=TimeGrid(step_days=1.0))
    with pytest.raises(UpdateError) as caught:
        watched(hospitals, days, policy=Policy(endpoints=("os",)))
    assert "narrowest" in caught.value.why
