"""How fast is training? Our loop beside a bare PyTorch loop, cache beside DICOM, sites beside none.

All in one process on one thread, as a run computes; medians of pairs that alternate. Processor time
says what the code costs where other work shares the machine; wall time adds waiting for disks.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from fedpet.cohort.build import build
from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.federation.asking import Question, ask
from fedpet.federation.journal import Journal
from fedpet.local.dry_run import made_up
from fedpet.local.wiring import wired
from fedpet.plan import Evaluation, Inputs, Model, Plan, Training
from fedpet.synthetic.hospitals import write_hospitals
from fedpet.training import loop
from fedpet.training.batches import batches, samples_of
from fedpet.training.losses import losses_of
from fedpet.training.private import edges_of
from fedpet.training.statistics import design

SITES = 10
SELECT = {"fold": None, "part": "all", "members": None}
PREP = {
    "prep.log": np.zeros(2),
    "prep.mean": np.ones(2),
    "prep.sd": np.ones(2),
    "prep.indicator": np.zeros(2),
}
BODY = {"round": 1, "columns": ["age_years", "ecog"], "select": SELECT}


def plan_of(*, spacing_mm: float, epochs: int) -> Plan:
    """Return the plan that is trained."""
    return Plan(
        name="bench",
        title="How fast is training?",
        cohort="bench",
        inputs=Inputs(clinical=("age_years", "ecog"), biomarkers=(), spacing_mm=spacing_mm),
        model=Model(width=12),
        training=Training(rounds=20, local_epochs=epochs, augment=False),
        evaluation=Evaluation(baselines=(), folds=3),
    )


def initial_of(cohort: Cohort, plan: Plan) -> dict[str, np.ndarray]:
    """Return the first weights as a request brings them."""
    made = loop.initial(cohort, plan, BODY, PREP)
    del made["weight.shared"]
    return {**PREP, **{f"model.{name}": array for name, array in made.items()}}


def bare(cohort: Cohort, plan: Plan, arrays: dict[str, np.ndarray]) -> Callable[[], object]:
    """Return an epoch as anybody would write it: nothing but PyTorch once data are tensors."""
    rows = np.arange(len(cohort.subjects))
    matrix = design(cohort, plan, BODY, PREP)
    samples = samples_of(cohort, plan, rows, matrix)
    network = loop.network_of(plan, covariates=matrix.shape[1], image_shape=cohort.mips.shape[1:])
    edges, settings = edges_of(plan), plan.training

    def epoch() -> None:
        loop.load_model(network, arrays)  # the same work each time, as in a round
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, foreach=True)
        network.train()
        for _ in range(settings.local_epochs):
            order = torch.randperm(len(samples))
            for start in range(0, len(samples), settings.batch_size):
                batch = samples.take(order[start : start + settings.batch_size])
                losses = losses_of(network(batch.images, batch.covariates), batch, edges)
                loss = torch.stack([each.mean() for each in losses.values()]).sum()
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimiser.step()

    return epoch


def pairs(
    first: Callable[[], object], second: Callable[[], object], *, times: int
) -> tuple[float, float, float, float]:
    """Time two things in turns.

    Returns:
        Median wall time of each, and the median of second over first: wall, and processor.
    """
    first(), second()
    wall, processor = [], []
    for number in range(times):
        order = (first, second) if number % 2 else (second, first)
        took: dict[object, tuple[float, float]] = {}
        for what in order:
            started = time.perf_counter(), time.process_time()
            what()
            took[what] = time.perf_counter() - started[0], time.process_time() - started[1]
        wall.append((took[first][0], took[second][0]))
        processor.append((took[first][1], took[second][1]))
    one, two = np.median(wall, axis=0)
    ratios = [float(np.median([b / a for a, b in each])) for each in (wall, processor)]
    return float(one), float(two), *ratios


def show(what: str, value: str) -> None:
    """Print one line."""
    print(f"{what:<68} {value}", flush=True)


def against_bare(subjects: int, times: int) -> None:
    """Images per second of a round of ours, and of the bare loop."""
    plan = plan_of(spacing_mm=4.0, epochs=2)
    cohort = made_up(plan, site="nice", subjects=subjects, seed=1)
    arrays = initial_of(cohort, plan)
    plain_s, ours_s, wall, processor = pairs(
        bare(cohort, plan, arrays), lambda: loop.train(cohort, plan, BODY, arrays), times=times
    )
    images = 2 * subjects
    show("bare PyTorch loop, same network, subjects per second", f"{images / plain_s:.0f}")
    show("a round of ours, images read and update made, subjects per second",
         f"{images / ours_s:.0f}")  # fmt: skip
    show("throughput of ours over bare, processor time (goal: at least 0.95)",
         f"{1 / processor:.3f} (wall {1 / wall:.3f})")  # fmt: skip


def ten_sites(subjects: int, times: int) -> None:
    """One round of ten sites through nodes, engine and journal, and the same work alone."""
    plan = plan_of(spacing_mm=4.0, epochs=1)
    cohorts = {
        f"site-{n}": made_up(plan, site=f"site-{n}", subjects=subjects, seed=n)
        for n in range(SITES)
    }
    arrays = initial_of(cohorts["site-0"], plan)
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        home, number = Path(folder), iter(range(1, 21))
        homes = {site: home / site for site in cohorts}
        with (
            Journal(home) as journal,
            wired(plan, cohorts, homes=homes, journal=journal, workers=1) as run,
        ):

            def federated() -> None:
                this = next(number)
                question = Question(
                    step=f"all/network/round-{this:03d}", label="a round", kind="train",
                    sites=tuple(cohorts), body={**BODY, "round": this}, arrays=arrays,
                    total=float(SITES * subjects),
                )  # fmt: skip
                list(ask(run, question))

            def alone() -> None:
                for cohort in cohorts.values():
                    loop.train(cohort, plan, BODY, arrays)

            alone_s, round_s, wall, processor = pairs(alone, federated, times=min(times, 18))
    show("10 sites, one epoch each, one after the other", f"{alone_s:.2f} s")
    show("one round of 10 sites: nodes, audit, engine, secure sum, journal", f"{round_s:.2f} s")
    show("overhead, processor time (goal: at most 5 %)",
         f"{100 * (processor - 1):.1f} % (wall {100 * (wall - 1):.1f} %)")  # fmt: skip


def cache(subjects: int) -> None:
    """One epoch's images from the cache, and from DICOM."""
    with TemporaryDirectory() as folder:
        *_, site = write_hospitals(Path(folder), subjects=subjects, sites=1, spacing_mm=4.0)
        del site
        hospital = next(path.parent for path in Path(folder).glob("*/cohort.toml"))
        started = time.perf_counter()
        for _ in build(hospital, workers=1):
            pass
        decoded_s = time.perf_counter() - started
        cohort = open_cohort(hospital / "cohort")
        names = tuple(cohort.outcomes)
        plan = plan_of(spacing_mm=4.0, epochs=1)
        plan = replace(plan, endpoints=replace(plan.endpoints, survival=names, binary=()))
        rows = np.arange(len(cohort.subjects))
        started = time.perf_counter()
        samples = samples_of(cohort, plan, rows, np.zeros((len(rows), 1)))
        generator = torch.Generator().manual_seed(1)
        seen = sum(
            len(batch) for batch in batches(samples, size=16, augment=False, generator=generator)
        )
        cached_s = time.perf_counter() - started
    each, fast = decoded_s / seen, cached_s / seen
    show("a subject's images from DICOM (SUV, grid, projections)", f"{1000 * each:.0f} ms")
    show("a subject's images from the cohort cache, batched", f"{1000 * fast:.3f} ms")
    show("cache, times faster", f"{each / fast:.0f}")


def main() -> None:
    """Print every number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=128)
    parser.add_argument("--times", type=int, default=9)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    show("load of the machine at the start", f"{os.getloadavg()[0]:.1f}")
    against_bare(asked.subjects, asked.times)
    ten_sites(max(24, asked.subjects // 2), asked.times)
    cache(32)


if __name__ == "__main__":
    main()
