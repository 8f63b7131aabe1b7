"""The phantom network as arrays: the same subjects and scanners as the demo's, without DICOM."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from fedpet.biomarkers.metabolic import measure
from fedpet.cohort.samples import Cohort, Outcome
from fedpet.imaging.grid import common_grid, mips, to_common_grid
from fedpet.synthetic.outcome import endpoints
from fedpet.synthetic.population import Population
from fedpet.synthetic.profiles import HOSPITALS, share
from fedpet.synthetic.scanner import acquire
from fedpet.synthetic.subject import IMAGES, TABLE, Roll, body, people
from fedpet.synthetic.tables import VARIABLES

SPACING_MM = 8.0
BIOMARKERS = ("tmtv_ml", "suvmax", "dmax_mm", "lesion_count")
CHUNK = 20


def phantom_network(*, subjects: int, sites: int, seed: int, cache: Path) -> dict[str, Cohort]:
    """Return the cohorts of phantom hospitals; what was painted once is kept in `cache`."""
    rolls = [
        Roll(seed=seed, index=index, subjects=count)
        for index, count in enumerate(share(subjects, sites=sites))
    ]
    chunks = [
        (roll, range(start, min(start + CHUNK, roll.subjects)), cache)
        for roll in rolls
        for start in range(0, roll.subjects, CHUNK)
    ]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        painted = dict(zip([chunk[:2] for chunk in chunks], pool.map(_paint, chunks), strict=True))
    return {
        roll.hospital.site: _cohort(roll, [painted[key] for key in painted if key[0] == roll])
        for roll in rolls
    }


def _paint(chunk: tuple[Roll, range, Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return projections [n, 2, height, width] and biomarkers [n, b] of some subjects."""
    roll, numbers, cache = chunk
    kept = cache / f"{roll.seed}-{roll.hospital.site}-{roll.subjects}-{numbers.start}.npz"
    if kept.exists():
        with np.load(kept) as found:
            return found["mips"], found["biomarkers"]
    images, values = zip(*(_scan(roll, number) for number in numbers), strict=True)
    found_mips, biomarkers = np.stack(images), np.array(values)
    cache.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part.npz")
    np.savez(part, mips=found_mips, biomarkers=biomarkers)
    part.replace(kept)
    return found_mips, biomarkers


def _scan(roll: Roll, number: int) -> tuple[np.ndarray, list[float]]:
    scan = acquire(body(people(roll), number), roll.hospital.scanner, roll.stream(IMAGES, number))
    grid = common_grid(scan.suv, scan.ct, spacing_mm=SPACING_MM)
    measured = measure(scan.suv, scan.lesions)
    return mips(to_common_grid(scan.suv, grid, fill=0.0)), [measured[n] for n in BIOMARKERS]


def _cohort(roll: Roll, painted: list[tuple[np.ndarray, np.ndarray]]) -> Cohort:
    site, population = roll.hospital.site, people(roll)
    clinical = np.stack(list(_recorded(roll, population)), axis=1)
    seen = endpoints(population.course)
    told = f"{roll.seed}/{site}/{roll.subjects}"
    return Cohort(
        name="nsclc-io",
        fingerprint=hashlib.sha256(told.encode()).hexdigest(),
        phantom=True,
        spacing_mm=SPACING_MM,
        subjects=tuple(f"{site}-{row:04d}" for row in range(len(population))),
        strata=(site,) * len(population),
        columns=(*VARIABLES, *BIOMARKERS),
        table=np.concatenate([clinical, np.concatenate([one[1] for one in painted])], axis=1),
        outcomes={
            name: Outcome(time_days=np.maximum(time, 1.0), event=event.astype(bool))
            for name, (time, event) in seen.items()
        },
        binary={},
        mips=np.concatenate([one[0] for one in painted]),
    )


def _recorded(roll: Roll, population: Population) -> Iterator[np.ndarray]:
    """Yield the clinical columns with the gaps that the hospital's registry has."""
    rng = roll.stream(TABLE)
    for name in VARIABLES:
        missing = rng.random(len(population)) < roll.hospital.missing.get(name, 0.0)
        yield np.where(missing, np.nan, population.covariates[name])


SITES = tuple(hospital.site for hospital in HOSPITALS)
