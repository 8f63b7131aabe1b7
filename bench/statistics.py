"""How long does a statistic take, and how many numbers leave each hospital?

Ten hospitals of 1,000 simulated subjects, real nodes in this process; beside it lifelines on the
pooled table. The journal and the audits are written as in any run.
"""

from __future__ import annotations

import csv
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fedpet.federation.session import Federation
from fedpet.federation.statistics.cox import CoxOptions
from fedpet.federation.statistics.curves import Groups
from fedpet.federation.statistics.time_grid import DAYS
from fedpet.local import federation
from fedpet.node.policy import Policy

SITES, SUBJECTS = 10, 1000
BRCA = Path(__file__).resolve().parents[2] / "shared/data/tcga_brca"
RESEARCH = Policy(
    endpoints=("os",),
    statistics_subjects_min=1,
    stratum_events_min=0,
    covariates_per_subject_max=2.0,
    grid_days_min=0.0,
)
COLUMNS = ("age", "ecog", "nlr", "tmtv", "suvmax")


def hospital(seed: int, *, subjects: int = SUBJECTS) -> dict[str, np.ndarray]:
    """Return one simulated hospital."""
    rng = np.random.default_rng(seed)
    burden = rng.normal(size=subjects)
    table = {
        "age": rng.normal(65, 9, subjects).round(1),
        "ecog": rng.integers(0, 3, subjects).astype(float),
        "nlr": np.exp(rng.normal(1.2, 0.5, subjects)),
        "tmtv": np.exp(4 + burden),
        "suvmax": 8 + rng.normal(size=subjects),
    }
    hazard = np.exp(0.5 * burden + 0.3 * table["ecog"]) / 400
    death, end = rng.exponential(1 / hazard), rng.uniform(200, 1500, subjects)
    table["os_days"] = np.ceil(np.minimum(death, end))
    table["os_event"] = (death <= end).astype(float)
    return table


def statistics() -> dict[str, Callable[[Federation], object]]:
    """Return each statistic as one call."""
    groups = Groups(column="ecog", levels=(0.0, 1.0, 2.0))
    return {
        "describe": lambda sites: sites.describe(),
        "table 1": lambda sites: sites.table_one(),
        "Kaplan-Meier by group": lambda sites: sites.kaplan_meier("os", by=groups),
        "log-rank, by hospital": lambda sites: sites.log_rank("os", groups),
        "Cox, by hospital": lambda sites: sites.cox("os", COLUMNS),
        "Cox, one baseline": lambda sites: sites.cox(
            "os", COLUMNS, options=CoxOptions(strata="none")
        ),
        "fit and evaluate": lambda sites: sites.evaluate(sites.fit()),
    }


def peers(tables: list[dict[str, np.ndarray]]) -> dict[str, Callable[[], object]]:
    """Return what lifelines does on the pooled table."""
    import pandas as pd
    from lifelines import CoxPHFitter, KaplanMeierFitter
    from lifelines.statistics import multivariate_logrank_test

    pooled = pd.concat([pd.DataFrame(one).assign(site=n) for n, one in enumerate(tables)])
    time_days, event = pooled["os_days"], pooled["os_event"]

    def curves() -> None:
        for _, rows in pooled.groupby("ecog"):
            KaplanMeierFitter().fit(rows["os_days"], rows["os_event"])

    return {
        "describe": lambda: pooled.describe(),
        "Kaplan-Meier by group": curves,
        "log-rank, by hospital": lambda: multivariate_logrank_test(
            time_days, pooled["ecog"], event
        ),
        "Cox, by hospital": lambda: CoxPHFitter().fit(
            pooled, "os_days", "os_event", strata=["site"]
        ),
        "Cox, one baseline": lambda: CoxPHFitter().fit(
            pooled.drop(columns="site"), "os_days", "os_event"
        ),
    }


def regions() -> dict[str, dict[str, list[float]]]:
    """Return the training subjects of Fed-TCGA-BRCA by region."""
    rows = csv.DictReader((BRCA / "train_test_split.csv").open(encoding="utf-8"))
    region = {row["pid"]: row["fold2"] for row in rows if row["fold"] == "train"}
    found: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader((BRCA / "brca.csv").open(encoding="utf-8")):
        site = region.get(row.pop("pid"))
        if site is None:
            continue
        row["os_days"], row["os_event"] = row.pop("T"), row.pop("E")
        table = found.setdefault(site, {})
        for name, value in row.items():
            table.setdefault(name, []).append(float(value))
    return found


def brca() -> None:
    """Fit the 39 covariates of Fed-TCGA-BRCA over its six regions, ridge 10."""
    tables = regions()
    columns = [name for name in next(iter(tables.values())) if not name.startswith("os_")]
    print(f"\nFed-TCGA-BRCA, {len(tables)} regions, {len(columns)} covariates, exact days")
    for strata, name in (("site", "Cox, by hospital"), ("none", "Cox, one baseline")):
        options = CoxOptions(strata=strata, ridge=10.0, standardize=True, grid=DAYS)
        with federation(tables, policy=RESEARCH) as sites:
            taken = seconds(lambda sites=sites, how=options: sites.cox("os", columns, options=how))
            account = sites.disclosure
        print(f"{name:<26}{taken:>9.2f}{account.questions:>11}{account.floats_up:>14,}")


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    tables = [hospital(seed) for seed in range(SITES)]
    named = {f"site-{number}": table for number, table in enumerate(tables)}
    beside = peers(tables)
    print(f"{SITES} hospitals, {SITES * SUBJECTS:,} subjects\n")
    print(f"{'statistic':<26}{'seconds':>9}{'questions':>11}{'numbers sent':>14}{'lifelines':>11}")
    for name, ask in statistics().items():
        with TemporaryDirectory() as folder, federation(named, folder=Path(folder)) as sites:
            taken = seconds(lambda ask=ask, sites=sites: ask(sites))
            account = sites.disclosure
        peer = f"{seconds(beside[name]):.2f}" if name in beside else "-"
        print(f"{name:<26}{taken:>9.2f}{account.questions:>11}{account.floats_up:>14,}{peer:>11}")
    if BRCA.exists():
        brca()


if __name__ == "__main__":
    main()
