"""Toy hospitals in memory: outcomes with a known cause, images with a spot that grows with it."""

from __future__ import annotations

import numpy as np

from fedpet.cohort.samples import Cohort, Outcome
from fedpet.plan import Endpoints, Evaluation, Inputs, Model, Plan, Sites, Training

COLUMNS = ("age_years", "ecog", "nlr", "tmtv_ml", "suvmax")


def toy_cohort(name: str, *, subjects: int, seed: int, missing: float = 0.1) -> Cohort:
    """Return a simulated cohort of one hospital."""
    rng = np.random.default_rng(seed)
    burden = rng.normal(size=subjects)
    age, ecog = rng.normal(65, 9, subjects), rng.integers(0, 3, subjects).astype(float)
    nlr = np.exp(rng.normal(1.2, 0.5, subjects))
    table = np.stack([age, ecog, nlr, np.exp(4 + burden), 8 + rng.normal(size=subjects)], axis=1)
    table[rng.random(subjects) < missing, 2] = np.nan
    hazard = np.exp(0.8 * burden + 0.4 * ecog - 0.4) / 300
    progression, death = rng.exponential(1 / hazard), rng.exponential(2.5 / hazard)
    end = rng.uniform(200, 1200, subjects)
    pfs = np.minimum(progression, death)
    mips = np.zeros((subjects, 2, 32, 16), np.float16)
    for row, size in enumerate(np.clip((burden + 3) * 1.5, 1, 8).astype(int)):
        mips[row, :, 10 : 10 + size, 4 : 4 + size] = 8.0
    return Cohort(
        name="toy",
        fingerprint=f"{name}-{seed}",
        phantom=True,
        spacing_mm=4.0,
        subjects=tuple(f"{name}-{row}" for row in range(subjects)),
        strata=(name,) * subjects,
        columns=COLUMNS,
        table=table,
        outcomes={
            "pfs": Outcome(time_days=np.minimum(pfs, end), event=pfs <= end),
            "os": Outcome(time_days=np.minimum(death, end), event=death <= end),
        },
        binary={"response": np.where(rng.random(subjects) < 0.1, np.nan, burden < 0).astype(float)},
        mips=mips + rng.random(mips.shape).astype(np.float16),
    )


def toy_hospitals(*, sites: int = 6, subjects: int = 40, seed: int = 1) -> dict[str, Cohort]:
    """Return some hospitals of different size."""
    return {
        f"site-{index}": toy_cohort(
            f"site-{index}", subjects=subjects + 5 * index, seed=seed * 100 + index
        )
        for index in range(sites)
    }


def toy_plan(**changes: object) -> Plan:
    """Return a small plan for the toy hospitals."""
    values: dict[str, object] = {
        "name": "toy",
        "title": "A toy experiment",
        "cohort": "toy",
        "inputs": Inputs(
            clinical=("age_years", "ecog", "nlr"),
            biomarkers=("tmtv_ml", "suvmax"),
            log=("nlr", "tmtv_ml"),
        ),
        "endpoints": Endpoints(),
        "sites": Sites(sites_min=3),
        "model": Model(width=4, image_features=4, hidden=8),
        "training": Training(rounds=3, batch_size=16),
        "evaluation": Evaluation(folds=2, bootstrap=30),
    }
    return Plan(**{**values, **changes})
