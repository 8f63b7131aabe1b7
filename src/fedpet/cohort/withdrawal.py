"""Take subjects out of a built cohort: their rows, their projections, their cached volumes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np

from fedpet.cohort.cache import FOLDER
from fedpet.cohort.manifest import read_manifest, write_manifest, write_private
from fedpet.cohort.samples import ARRAYS, MIPS, Outcome, arrays_bytes, open_cohort


def forget(folder: Path, subjects: Collection[str]) -> int:
    """Take subjects out of the cohort of a folder; what they were read from is not touched.

    Args:
        folder: The cohort's folder, `<hospital>/cohort`.
        subjects: Pseudonyms; those that are not in the cohort are passed over.

    Returns:
        How many subjects were in the cohort and no longer are.

    Raises:
        NotFoundError: If no cohort was built there.
        StoreError: If the cohort is damaged.
    """
    manifest, cohort = read_manifest(folder), open_cohort(folder)
    gone = set(subjects) & set(cohort.subjects)
    if not gone:
        return 0
    rows = np.array([i for i, name in enumerate(cohort.subjects) if name not in gone], np.intp)
    samples = arrays_bytes(
        cohort.table[rows],
        {
            name: Outcome(time_days=one.time_days[rows], event=one.event[rows])
            for name, one in cohort.outcomes.items()
        },
        {name: labels[rows] for name, labels in cohort.binary.items()},
    )
    pictures = BytesIO()
    np.save(pictures, np.asarray(cohort.mips[rows]))
    volumes = {f"volume/{name}" for name in gone}
    content = {name: told for name, told in manifest.content.items() if name not in volumes}
    content[ARRAYS] = hashlib.sha256(samples).hexdigest()
    content[MIPS] = hashlib.sha256(pictures.getvalue()).hexdigest()
    smaller = replace(
        manifest,
        subjects=tuple(cohort.subjects[i] for i in rows),
        content=content,
        entries={name: key for name, key in manifest.entries.items() if name not in gone},
    )
    place = folder / smaller.samples
    place.mkdir(parents=True, exist_ok=True)
    write_private(place / ARRAYS, samples)
    write_private(place / MIPS, pictures.getvalue())
    write_manifest(smaller, folder)  # from here on the subjects are out
    shutil.rmtree(folder / manifest.samples, ignore_errors=True)
    kept = set(smaller.entries.values())
    for name in gone:
        key = manifest.entries.get(name)
        if key and key not in kept and Path(key).name == key:
            shutil.rmtree(folder / FOLDER / key, ignore_errors=True)
    return len(gone)
