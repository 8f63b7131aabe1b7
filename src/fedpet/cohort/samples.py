"""A cohort on disk and in memory: what a model reads, checked, cached and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from fedpet.cohort.manifest import read_manifest, verify
from fedpet.errors import DataError

ARRAYS = "samples.safetensors"
MIPS = "mips.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A time-to-event endpoint of every subject of a cohort.

    Args:
        time_days: float64 [subjects], days from time origin to event or censoring; NaN unknown.
        event: bool [subjects], True if the event was observed; False where time is NaN.
    """

    time_days: NDArray[np.float64]
    event: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Samples of one site, rows aligned across all arrays, in the order of `subjects`.

    Args:
        name: Cohort name, as in the plan.
        fingerprint: SHA-256 over the content of all its files.
        phantom: True if the subjects are simulated; only then may data be pooled freely.
        spacing_mm: Voxel size of the common grid that images were brought to.
        subjects: Pseudonyms; they never leave the node.
        strata: Site of each subject; all equal, except in a pooled cohort.
        columns: Names of the columns of `table`: clinical variables, then biomarkers.
        table: float64 [subjects, columns], canonical units, NaN for missing.
        outcomes: Survival endpoints by name (`pfs`, `os`).
        binary: Yes-or-no endpoints by name (`response`, `early_failure`): 1.0, 0.0 or NaN.
        mips: float16 memory map [subjects, views, height, width]: SUV maximum projections,
            views = (coronal, sagittal), head first, padded to one width.
        suv: What SUV is normalised by: `bw`, or another of `imaging.body_size.NAMES`.
    """

    name: str
    fingerprint: str
    phantom: bool
    spacing_mm: float
    subjects: tuple[str, ...]
    strata: tuple[str, ...]
    columns: tuple[str, ...]
    table: NDArray[np.float64]
    outcomes: Mapping[str, Outcome]
    binary: Mapping[str, NDArray[np.float64]]
    mips: NDArray[np.float16]
    suv: str = "bw"


def open_cohort(folder: Path) -> Cohort:
    """Open a built cohort; every file is checked against the digest that the build wrote down.

    Args:
        folder: The cohort's folder, `<hospital>/cohort`.

    Returns:
        The cohort, its images mapped into memory and not read.

    Raises:
        NotFoundError: If no cohort was built there.
        StoreError: If a file is missing or altered, or another version of fedpet wrote it.
    """
    manifest = read_manifest(folder)
    arrays_path = folder / manifest.samples / ARRAYS
    mips_path = folder / manifest.samples / MIPS
    verify(arrays_path, manifest.content[ARRAYS])
    verify(mips_path, manifest.content[MIPS])
    arrays = safetensors.numpy.load(arrays_path.read_bytes())
    return Cohort(
        name=manifest.name,
        fingerprint=manifest.fingerprint,
        phantom=manifest.phantom,
        spacing_mm=manifest.spacing_mm,
        subjects=manifest.subjects,
        strata=(manifest.site,) * len(manifest.subjects),
        columns=tuple(column.name for column in manifest.columns),
        table=arrays["table"],
        outcomes={
            name: Outcome(time_days=arrays[f"{name}.time_days"], event=arrays[f"{name}.event"])
            for name in manifest.survival
        },
        binary={name: arrays[name] for name in manifest.binary},
        mips=np.load(mips_path, mmap_mode="r", allow_pickle=False),
        suv=manifest.suv,
    )


def arrays_bytes(
    table: NDArray[np.float64],
    outcomes: Mapping[str, Outcome],
    binary: Mapping[str, NDArray[np.float64]],
) -> bytes:
    """Return what `open_cohort` reads besides the images, the same bytes for the same values."""
    arrays: dict[str, NDArray[np.generic]] = {"table": table, **binary}
    for name, outcome in outcomes.items():
        arrays[f"{name}.time_days"] = outcome.time_days
        arrays[f"{name}.event"] = outcome.event
    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    return bytes(safetensors.numpy.save(ordered))


def pool(cohorts: Mapping[str, Cohort], *, name: str, permitted: Collection[str] = ()) -> Cohort:
    """Lay the cohorts of several sites side by side, for the comparison with pooled training.

    Args:
        cohorts: By site; the site becomes each subject's stratum.
        name: Name of the pooled cohort.
        permitted: Sites whose real subjects may be pooled, by their own policy.

    Raises:
        DataError: If a cohort is neither simulated nor permitted, or cohorts differ in columns or
            image size.
    """
    kept = sorted(s for s, cohort in cohorts.items() if not (cohort.phantom or s in permitted))
    if kept:
        raise DataError(
            f"The cohort of '{kept[0]}' holds real subjects, and its policy does not let them "
            "be pooled.",
            do="Remove 'pooled' from evaluation.baselines.",
        )
    sites = sorted(cohorts)
    first = cohorts[sites[0]]
    for site in sites:
        other = cohorts[site]
        if other.columns != first.columns or other.spacing_mm != first.spacing_mm:
            raise DataError(f"The cohort of '{site}' has other columns or another voxel size.")
        if other.suv != first.suv:
            raise DataError(
                f"The cohort of '{site}' holds SUV by {other.suv}, that of '{sites[0]}' by "
                f"{first.suv}; they cannot be pooled.",
                do="Set the same `suv` in every cohort.toml and build again.",
            )
    fingerprints = "\n".join(f"{site} {cohorts[site].fingerprint}" for site in sites)
    return Cohort(
        name=name,
        fingerprint=hashlib.sha256(fingerprints.encode()).hexdigest(),
        phantom=all(cohort.phantom for cohort in cohorts.values()),
        spacing_mm=first.spacing_mm,
        subjects=tuple(s for site in sites for s in cohorts[site].subjects),
        strata=tuple(site for site in sites for _ in cohorts[site].subjects),
        columns=first.columns,
        table=np.concatenate([cohorts[site].table for site in sites]),
        outcomes={
            endpoint: Outcome(
                time_days=np.concatenate([cohorts[s].outcomes[endpoint].time_days for s in sites]),
                event=np.concatenate([cohorts[s].outcomes[endpoint].event for s in sites]),
            )
            for endpoint in first.outcomes
        },
        binary={
            endpoint: np.concatenate([cohorts[site].binary[endpoint] for site in sites])
            for endpoint in first.binary
        },
        mips=np.concatenate([cohorts[site].mips for site in sites]),
        suv=first.suv,
    )
