"""A masked sum is the plain sum: every statistic says the same with and without masks."""

from __future__ import annotations

from dataclasses import is_dataclass, replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedpet.federation.statistics.cox import CoxOptions
from fedpet.federation.statistics.curves import Groups
from fedpet.local import federation
from fedpet.local.tables import plan_of
from fedpet.node.policy import Policy
from fedpet.plan import Privacy

OPEN = Policy(
    secure_sum="optional",
    endpoints=("os",),
    subjects_min=0,
    statistics_subjects_min=0,
    stratum_events_min=0,
    covariates_per_subject_max=100.0,
    grid_days_min=0.0,
    difference_min=0,
    queries_max=100_000,
)
GROUPS = Groups(column="ecog", levels=(0.0, 1.0, 2.0))
STATISTICS = {
    "describe": lambda sites: sites.describe(),
    "kaplan_meier": lambda sites: sites.kaplan_meier("os", by=GROUPS),
    "log_rank": lambda sites: sites.log_rank("os", GROUPS),
    "cox": lambda sites: sites.cox("os", ["age", "ecog"], options=CoxOptions(robust="site")),
}


def numbers(value) -> list[float]:
    """Return every number in a result, in order."""
    if is_dataclass(value):
        value = [getattr(value, name) for name in value.__dataclass_fields__ if name != "closed"]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers(one)]
    if isinstance(value, np.ndarray):
        return value.astype(float).ravel().tolist()
    return [float(value)] if isinstance(value, int | float) else []


def table(seed: int, *, scale: float):
    """Return one hospital whose ages are of a magnitude."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 40))
    return {
        "age": rng.normal(65, 9, n) * scale,
        "ecog": rng.integers(0, 3, n).astype(float),
        "os_days": rng.integers(0, 900, n).astype(float),
        "os_event": (rng.random(n) < 0.6).astype(float),
    }


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10_000),
    sites=st.integers(3, 5),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    name=st.sampled_from(sorted(STATISTICS)),
)
def test_a_statistic_of_masked_sums_is_that_of_plain_sums(seed, sites, scale, name):
    """Whatever the hospitals, the statistic, and the magnitude of what is summed."""
    tables = {f"site-{k}": table(seed + k, scale=scale) for k in range(sites)}
    plan = plan_of(list(tables["site-0"]), cohort="local")
    found = []
    for privacy in (Privacy(), Privacy(secure_sum=False)):
        with federation(tables, plan=replace(plan, privacy=privacy), policy=OPEN) as asked:
            found.append(numbers(STATISTICS[name](asked)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-7, atol=1e-9)
