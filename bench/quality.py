"""Is federation as good as pooling, better than going alone, and are images worth it?

The phantom network, whose best reachable C-index is known, and Fed-TCGA-BRCA. Real nodes in this
process; every number comes out of the same walk as a run's.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from phantom_network import phantom_network

from fedpet import planfile
from fedpet.cli.plans import template
from fedpet.cohort.samples import Cohort
from fedpet.federation import experiment
from fedpet.federation.arms import initial_network, train_federated
from fedpet.federation.journal import Journal
from fedpet.federation.moments import moments_of
from fedpet.federation.preparation import enrol, everybody
from fedpet.federation.records import Finished
from fedpet.federation.results import Context
from fedpet.local.tables import cohort_of
from fedpet.local.wiring import wired
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import Endpoints, Evaluation, Inputs, Model, Plan, Sites, Training
from fedpet.survival.concordance import concordance_within, pair_sums
from fedpet.synthetic.ceiling import ceiling
from fedpet.training.evaluate import mean_risk, predict_survival

BRCA = Path(__file__).resolve().parents[2] / "shared/data/tcga_brca"
SMALL = 60  # hospitals with at most as many subjects are small
SITES = 10


def phantom_plan(*, rounds: int) -> Plan:
    """Return the demo's plan, judged on held-out subjects; Cox reads clinical data and TMTV."""
    plan = planfile.loads(template())
    return replace(
        plan,
        inputs=replace(
            plan.inputs, biomarkers=("tmtv_ml",), log=("nlr", "ldh_uln_ratio", "tmtv_ml")
        ),
        endpoints=replace(plan.endpoints, binary=()),
        training=replace(plan.training, rounds=rounds),
        evaluation=replace(plan.evaluation, scheme="held-out-subjects", folds=3),
    )


def phantoms(*, subjects: int, rounds: int, seed: int, cache: Path) -> None:
    """Run every arm on the phantom network and print what the issue asks for."""
    start = time.monotonic()
    cohorts = phantom_network(subjects=subjects, sites=SITES, seed=seed, cache=cache)
    painted = time.monotonic() - start
    plan = phantom_plan(rounds=rounds)
    with TemporaryDirectory(prefix="fedpet-quality-") as folder:
        home = Path(folder)
        homes = {site: home / site for site in cohorts}
        with (
            Journal(home / "run") as journal,
            wired(
                plan, cohorts, homes=homes, journal=journal, pooled_home=home / "pooled"
            ) as execution,
        ):
            records = experiment.run(execution, Context(started="", phantom=True))
            finished = next(one for one in records if isinstance(one, Finished))
    known = ceiling(sites=SITES, seed=seed)["pfs"]
    print(
        f"phantoms: {sum(len(c.subjects) for c in cohorts.values())} subjects, {SITES} hospitals,"
    )
    print(f"  painted in {painted:.0f} s, computed in {time.monotonic() - start - painted:.0f} s")
    told = finished.results["performance"]["pfs"]
    for arm, values in told.items():
        print(f"  {arm:20s} C within hospitals {shown(values['c_within'])}")
    print(f"  ceiling: {known}")
    for row in finished.results["differences"]["pfs"]:
        print(f"  {row['a']} minus {row['b']}: {shown(row)}")
    small = at_small(finished.results, cohorts)
    for arm, value in small.items():
        print(f"  hospitals of at most {SMALL} subjects: {arm:20s} {value:.4f}")


def at_small(results: Mapping[str, Any], cohorts: Mapping[str, Cohort]) -> dict[str, float]:
    """Return each arm's C-index at the small hospitals that released theirs, by subjects."""
    small = {site: len(one.subjects) for site, one in cohorts.items() if len(one.subjects) <= SMALL}
    found = {}
    for arm, rows in results["site_performance"]["pfs"].items():
        told = {row["site"]: row["c_within"] for row in rows if row["c_within"]}
        sites = [site for site in small if site in told]
        if sites:
            weighted = sum(small[site] * told[site]["value"] for site in sites)
            found[arm] = weighted / sum(small[site] for site in sites)
    return found


def shown(row: Mapping[str, float]) -> str:
    """Return an estimate of the results as text."""
    return f"{row['value']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"


def brca(*, seeds: int, rounds: int) -> None:
    """Train on the regions of Fed-TCGA-BRCA with batches of eight; C-index of the test subjects."""
    if not BRCA.exists():
        print("Fed-TCGA-BRCA: skipped, ../shared/data/tcga_brca is absent")
        return
    train, test = regions("train"), regions("test")
    found = []
    for seed in range(seeds):
        start = time.monotonic()
        found.append((*one_seed(train, test, seed=seed, rounds=rounds),))
        print(
            f"  seed {seed}: C {found[-1][0]:.4f}, within regions {found[-1][1]:.4f}, "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )
    values = np.array(found)
    print(
        f"Fed-TCGA-BRCA, batch 8, {seeds} seeds: test C {values[:, 0].mean():.4f} "
        f"+- {values[:, 0].std(ddof=1):.4f}; within regions {values[:, 1].mean():.4f} "
        f"+- {values[:, 1].std(ddof=1):.4f}"
    )


def regions(part: str) -> dict[str, Cohort]:
    """Return the regions of the training or the test part as cohorts."""
    with (BRCA / "train_test_split.csv").open(encoding="utf-8") as file:
        where = {row["pid"]: row["fold2"] for row in csv.DictReader(file) if row["fold"] == part}
    columns: dict[str, dict[str, list[float]]] = {}
    with (BRCA / "brca.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["pid"] in where:
                site = f"region-{where[row['pid']].rpartition('_')[2]}"
                table = columns.setdefault(site, {})
                for name, value in row.items():
                    if name != "pid":
                        known = {"T": "os_days", "E": "os_event"}.get(name, name)
                        table.setdefault(known, []).append(float(value))
    return {
        site: replace(cohort_of(table, site=site, name="brca"), phantom=True)
        for site, table in sorted(columns.items())
    }


def one_seed(
    train: Mapping[str, Cohort], test: Mapping[str, Cohort], *, seed: int, rounds: int
) -> tuple[float, float]:
    """Return the test C-index over all pairs, and over pairs of one region."""
    covariates = train["region-0"].columns
    plan = Plan(
        name="brca",
        title="Fed-TCGA-BRCA",
        cohort="brca",
        seed=seed,
        inputs=Inputs(clinical=covariates, biomarkers=()),
        evaluation=Evaluation(baselines=()),
        sites=Sites(subjects_min=1),
        endpoints=Endpoints(primary="os", survival=("os",), binary=(), horizons_months=(60.0,)),
        model=Model(
            width=4,
            image_features=1,
            hidden=16,
            intervals_months=tuple(float(m) for m in range(0, 121, 12)),
        ),
        training=Training(
            rounds=rounds, batch_size=8, learning_rate=2e-3, weight_decay=0.3, augment=False
        ),
    )
    with TemporaryDirectory(prefix="fedpet-quality-") as folder:
        home = Path(folder)
        homes = {site: home / site for site in train}
        for place in homes.values():
            place.mkdir()
            write_policy(Policy(endpoints=("os",), sites_min=3), place / "policy.toml")
        with (
            Journal(home / "run") as journal,
            wired(plan, train, homes=homes, journal=journal) as run,
        ):
            model = drained(fit(run))
    sites, times, events, risks = [], [], [], []
    for site, cohort in test.items():
        rows = np.arange(len(cohort.subjects))
        body, arrays = model.question("os")
        body["select"] = {"fold": None, "part": "all", "members": None}
        risks.append(mean_risk(predict_survival(cohort, plan, body, arrays, rows)))
        times.append(cohort.outcomes["os"].time_days)
        events.append(cohort.outcomes["os"].event)
        sites.append(np.full(len(rows), list(test).index(site)))
    risk, days, event, where = (np.concatenate(one) for one in (risks, times, events, sites))
    once = np.ones((1, len(risk)))
    whole = concordance_within(pair_sums(risk, days, event, np.zeros_like(where), once))
    inside = concordance_within(pair_sums(risk, days, event, where, once))
    return float(whole.replicates[0]), float(inside.replicates[0])


def fit(run):
    """Fit the network on every region, by sums."""
    enrolled = yield from enrol(run)
    fold, moments = yield from moments_of(run, everybody(enrolled))
    prep = moments.preprocessing(run.plan.inputs.clinical)
    initial = yield from initial_network(run, fold, prep)
    network, _ = yield from train_federated(run, fold, prep, initial)
    return network


def drained(walk):
    """Return what a walk returns."""
    while True:
        try:
            next(walk)
        except StopIteration as end:
            return end.value


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=1110)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--brca-rounds", type=int, default=15)
    parser.add_argument("--only", choices=["phantoms", "brca"])
    parser.add_argument("--cache", type=Path, help="Where painted phantoms are kept.")
    asked = parser.parse_args()
    if asked.only != "brca":
        with TemporaryDirectory(prefix="fedpet-phantoms-") as folder:
            phantoms(
                subjects=asked.subjects,
                rounds=asked.rounds,
                seed=asked.seed,
                cache=asked.cache or Path(folder),
            )
    if asked.only != "phantoms":
        brca(seeds=asked.seeds, rounds=asked.brca_rounds)


if __name__ == "__main__":
    main()
