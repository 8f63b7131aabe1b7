"""A plan's network on two made-up hospitals, in seconds: does it build, train and answer?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fedpet.cohort.samples import Cohort, Outcome
from fedpet.errors import PlanError, UpdateError
from fedpet.imaging.grid import mip_shape
from fedpet.node.policy import Policy
from fedpet.node.worker.words import FailedWorkError
from fedpet.node.worker.workshop import Workshop
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.survival.preprocessing import fit_preprocessing, moment_sums

SITES = ("made-up-a", "made-up-b")
ANY = Policy(custom_code=True, isolation_min="limits", work_seconds_max=120.0)
SELECT = {"part": "all", "fold": None, "members": None}
DO = "docs/guides/your-own-network.md has the contract and a network to start from."


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What one round on two made-up hospitals told.

    Args:
        parameters: Number of weights.
        subjects: At each made-up hospital.
        image_shape: Views, height and width of one subject's images.
        covariates: Columns of the design matrix.
        outputs: Logits by endpoint.
        batch_s: Seconds of training for one batch.
        level: How well the worker was confined; None where none was needed.
    """

    parameters: int
    subjects: int
    image_shape: tuple[int, ...]
    covariates: int
    outputs: Mapping[str, int]
    batch_s: float
    level: str | None


def dry_run(plan: Plan) -> DryRun:
    """Build a plan's network, train it for a round at two made-up hospitals, and judge it.

    Args:
        plan: The plan; its own network runs in the isolated worker.

    Raises:
        PlanError: FP-2012, with what the network itself said: nobody's data are behind it.
    """
    subjects = int(np.clip(2 * plan.training.batch_size, 24, 64))
    once = replace(plan, training=replace(plan.training, local_epochs=1))
    first: dict[str, Array] | None = None
    told: DryRun | None = None
    for seed, site in enumerate(SITES):
        cohort = made_up(once, site=site, subjects=subjects, seed=seed)
        with closing(Workshop()) as workshop:
            try:
                initial, told = _site(once, cohort, workshop)
            except UpdateError as error:
                raise _unfit(error) from error
        if first is None:
            first = initial
        elif not _same(first, initial):
            raise PlanError(
                "The network does not begin with the same weights at two hospitals.",
                do="Draw weights with torch in the constructor only, from no other source.",
                code="FP-2012",
            )
    assert told is not None
    return told


def made_up(plan: Plan, *, site: str, subjects: int, seed: int) -> Cohort:
    """Return a cohort of random numbers with everything that a plan reads."""
    rng = np.random.default_rng(seed)
    columns = (*plan.inputs.clinical, *plan.inputs.biomarkers)
    shape = mip_shape(plan.inputs.spacing_mm)
    event = rng.random(subjects) < 0.6
    return Cohort(
        name=plan.cohort,
        fingerprint=site,
        phantom=True,
        spacing_mm=plan.inputs.spacing_mm,
        subjects=tuple(f"{site}-{row}" for row in range(subjects)),
        strata=(site,) * subjects,
        columns=columns,
        table=np.exp(rng.normal(size=(subjects, len(columns)))),
        outcomes={
            name: Outcome(time_days=rng.uniform(10, 800, subjects), event=event)
            for name in plan.endpoints.survival
        },
        binary={name: (rng.random(subjects) < 0.5).astype(float) for name in plan.endpoints.binary},
        mips=rng.gamma(1.0, 1.5, (subjects, *shape)).astype(np.float16),
    )


def _site(plan: Plan, cohort: Cohort, workshop: Workshop) -> tuple[dict[str, Array], DryRun]:
    prep = _scaling(plan, cohort)
    body: dict[str, Any] = {"columns": list(plan.inputs.clinical), "select": SELECT}

    def compute(kind: str, extra: Mapping[str, Any], arrays: Parameters) -> Mapping[str, Array]:
        return workshop.compute(
            kind, cohort, plan, {**body, **extra}, {**prep, **arrays}, policy=ANY
        )

    initial = dict(compute("initialise", {}, {}))
    del initial["weight.shared"]
    model = {f"model.{name}": array for name, array in initial.items()}
    compute("train", {"round": 1}, model)  # the first one warms up
    started = time.perf_counter()
    compute("train", {"round": 1}, model)
    seconds = time.perf_counter() - started
    for endpoint in (*plan.endpoints.survival, *plan.endpoints.binary):
        compute("evaluate", {"model": "network", "endpoint": endpoint}, model)
    subjects = len(cohort.subjects)
    intervals = len(plan.model.intervals_months) - 1
    return initial, DryRun(
        parameters=sum(array.size for array in initial.values()),
        subjects=subjects,
        image_shape=cohort.mips.shape[1:],
        covariates=int(prep["prep.mean"].size + prep["prep.indicator"].sum()),
        outputs={
            **dict.fromkeys(plan.endpoints.survival, intervals),
            **dict.fromkeys(plan.endpoints.binary, 1),
        },
        batch_s=seconds / max(1, -(-subjects // plan.training.batch_size)),
        level=workshop.level,
    )


def _scaling(plan: Plan, cohort: Cohort) -> dict[str, Array]:
    columns = plan.inputs.clinical
    table = cohort.table[:, [cohort.columns.index(name) for name in columns]]
    log = np.array([name in plan.inputs.log for name in columns], bool)
    first = moment_sums(table, log=log)
    second = moment_sums(table, log=log, center=first["sum"] / first["count"])
    prep = fit_preprocessing(
        first,
        second,
        columns=columns,
        log=tuple(name for name in columns if name in plan.inputs.log),
        subjects=len(cohort.subjects),
    )
    return {f"prep.{name}": array for name, array in prep.to_arrays().items()}


def _same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(array, other[name]) for name, array in one.items()
    )


def _unfit(error: UpdateError) -> PlanError:
    """Return what to tell the author: here, unlike at a hospital, the network's own words."""
    detail = error.detail if isinstance(error, FailedWorkError) else ""
    last = [line for line in detail.splitlines() if line.strip()][-3:]
    return PlanError(
        "The network cannot be used as it is.",
        why="\n".join([error.title, *last]),
        do=DO,
        code="FP-2012",
    )
