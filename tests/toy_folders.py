"""Toy hospitals on disk: what `fedpet cohort build` would have left, without any DICOM."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np

from fedpet.cohort.manifest import Column, Manifest, write_manifest
from fedpet.cohort.samples import ARRAYS, MIPS, Cohort, arrays_bytes
from toy import toy_hospitals


def write_toy_hospitals(folder: Path, *, sites: int = 6, subjects: int = 40) -> dict[str, Path]:
    """Write a built cohort for each toy hospital; return their folders by site."""
    return {
        site: write_toy_cohort(folder / site, cohort, site=site)
        for site, cohort in toy_hospitals(sites=sites, subjects=subjects).items()
    }


def write_toy_cohort(folder: Path, cohort: Cohort, *, site: str) -> Path:
    """Write one cohort as a build does; return the hospital's folder."""
    buffer = io.BytesIO()
    np.save(buffer, cohort.mips)
    arrays = arrays_bytes(cohort.table, cohort.outcomes, cohort.binary)
    files = {ARRAYS: arrays, MIPS: buffer.getvalue()}
    manifest = Manifest(
        name=cohort.name,
        site=site,
        phantom=cohort.phantom,
        spacing_mm=cohort.spacing_mm,
        columns=tuple(
            Column(name=name, kind="clinical", unit="", label=name) for name in cohort.columns
        ),
        survival=tuple(cohort.outcomes),
        binary=tuple(cohort.binary),
        progression="confirmed",
        subjects=cohort.subjects,
        content={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        entries={},
        counts={
            "files": 0,
            "scans": len(cohort.subjects),
            "rejected": 0,
            "rows": len(cohort.subjects),
            "left_out": 0,
        },
        inputs={},
        findings=hashlib.sha256(b"[]").hexdigest(),
        software="test",
        created="2026-01-01T00:00:00+00:00",
    )
    samples = folder / "cohort" / manifest.samples
    samples.mkdir(parents=True)
    for name, data in files.items():
        (samples / name).write_bytes(data)
    (folder / "cohort" / "findings.json").write_bytes(b"[]")
    write_manifest(manifest, folder / "cohort")
    return folder
