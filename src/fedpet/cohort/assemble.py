"""Scans and rows to samples: joined, checked, written under their fingerprint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedpet import __version__
from fedpet.biomarkers.catalogue import BIOMARKERS
from fedpet.cohort import cache, quality
from fedpet.cohort.clinical import Table
from fedpet.cohort.derived import SCORES
from fedpet.cohort.dictionary import Dictionary
from fedpet.cohort.endpoints import Endpoints
from fedpet.cohort.findings import Finding, left_out, worst_first
from fedpet.cohort.inputs import Inputs
from fedpet.cohort.manifest import Column, Manifest, file_digest, write_manifest, write_private
from fedpet.cohort.prepare import Prepared
from fedpet.cohort.samples import ARRAYS, MIPS, Outcome, arrays_bytes
from fedpet.imaging.index import Index

FINDINGS = "findings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that was read."""

    inputs: Inputs
    table: Table
    index: Index
    prepared: tuple[Prepared, ...]

    @property
    def records(self) -> dict[str, cache.Record]:
        """What is in the cache, by subject."""
        return {
            done.task.subject: done.outcome
            for done in self.prepared
            if isinstance(done.outcome, cache.Record)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Rows of the table that enter the cohort, and what was found on the way."""

    rows: list[int]
    findings: tuple[Finding, ...]


def join(parts: Parts, endpoints: Endpoints) -> Joined:
    """Bring scans and rows together, check everything, leave out whom it must."""
    table, records, pseudonyms = parts.table, parts.records, parts.inputs.pseudonyms
    scans = [
        quality.Seen(
            subject=pseudonyms.of(scan.patient_id),
            loose=pseudonyms.loosely(scan.patient_id),
            day=quality.day_of(scan.date),
        )
        for scan in parts.index.scans
    ]
    scanned = frozenset(scan.subject for scan in scans)
    rejected = [
        (pseudonyms.of(one.patient_id) if one.patient_id else "", one)
        for one in parts.index.rejected
    ]
    failures = [d.outcome for d in parts.prepared if isinstance(d.outcome, quality.Failure)]
    named = frozenset(table.subjects) | left_out(table.findings)
    findings = [
        *table.findings,
        *endpoints.findings,
        *quality.about_rejected(rejected, scanned),
        *quality.about_failures(failures),
        *quality.about_records(records, masks_given=parts.inputs.settings.lesions == "given"),
        *quality.about_pairing(scans, table, named),
    ]
    candidates = frozenset(records) & frozenset(table.subjects) - left_out(findings)
    findings += quality.about_endpoints(table.subjects, endpoints, candidates)
    chosen = candidates - left_out(findings)
    rows = [row for row, subject in enumerate(table.subjects) if subject in chosen]
    if rows:
        columns = [column.name for column in columns_of(parts.inputs.dictionary)]
        findings += quality.about_columns(columns, _matrix(table, records, rows))
    return Joined(rows=rows, findings=worst_first(findings))


def columns_of(dictionary: Dictionary) -> tuple[Column, ...]:
    """Return the columns of a cohort: clinical variables, scores, biomarkers."""
    clinical = [
        Column(name=name, kind="clinical", unit=one.unit, label=one.description or name)
        for name, one in dictionary.variables.items()
    ]
    derived = [
        Column(name=name, kind="clinical", unit=SCORES[name].unit, label=SCORES[name].label)
        for name in dictionary.derived.names
    ]
    measured = [
        Column(name=one.name, kind="biomarker", unit=one.unit, label=one.label)
        for one in BIOMARKERS.values()
    ]
    return (*clinical, *derived, *measured)


def _matrix(
    table: Table, records: dict[str, cache.Record], rows: Sequence[int]
) -> NDArray[np.float64]:
    """Put clinical values and biomarkers side by side, float64 [rows, columns]."""
    measured = np.array(
        [[records[table.subjects[row]].biomarkers[name] for name in BIOMARKERS] for row in rows]
    )
    return np.concatenate([table.values[list(rows)], measured], axis=1)


def write(parts: Parts, endpoints: Endpoints, joined: Joined, out: Path) -> Manifest:
    """Write the arrays under their fingerprint, then the manifest, then drop what is old."""
    settings, table, rows = parts.inputs.settings, parts.table, joined.rows
    records = parts.records
    keys = {done.task.subject: done.task.key for done in parts.prepared}
    subjects = tuple(table.subjects[row] for row in rows)
    outcomes = {
        name: Outcome(time_days=one.time_days[rows], event=one.event[rows])
        for name, one in endpoints.outcomes.items()
    }
    binary = {name: labels[rows] for name, labels in endpoints.binary.items()}
    draft = out / "samples" / f".{os.getpid()}.part"
    shutil.rmtree(draft, ignore_errors=True)
    for folder in (draft.parent, draft):
        folder.mkdir(mode=0o700, exist_ok=True)
    write_private(draft / ARRAYS, arrays_bytes(_matrix(table, records, rows), outcomes, binary))
    _write_mips(draft / MIPS, out / cache.FOLDER, [keys[subject] for subject in subjects])
    manifest = Manifest(
        name=settings.name,
        site=settings.site,
        phantom=settings.phantom,
        spacing_mm=settings.spacing_mm,
        columns=columns_of(parts.inputs.dictionary),
        survival=tuple(outcomes),
        binary=tuple(binary),
        progression="confirmed" if "progression_confirmed" in table.dates else "first",
        subjects=subjects,
        content={
            **{name: file_digest(draft / name) for name in (ARRAYS, MIPS)},
            **{f"volume/{subject}": records[subject].volume for subject in subjects},
        },
        entries={subject: keys[subject] for subject in subjects},
        counts={
            "files": parts.index.files,
            "scans": len(parts.index.scans),
            "rejected": len(parts.index.rejected),
            "rows": table.rows,
            "left_out": len(left_out(joined.findings)),
        },
        inputs=parts.inputs.digests([done.task.key for done in parts.prepared]),
        findings=file_digest(out / FINDINGS),
        software=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    place = out / manifest.samples
    if not _intact(place, manifest):
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
    write_manifest(manifest, out)
    for old in place.parent.iterdir():
        if old != place:
            shutil.rmtree(old, ignore_errors=True)
    return manifest


def _intact(place: Path, manifest: Manifest) -> bool:
    """Tell whether the arrays are there already, as after a build that changed nothing."""
    try:
        return all(file_digest(place / n) == manifest.content[n] for n in (ARRAYS, MIPS))
    except OSError:
        return False


def _write_mips(path: Path, folder: Path, keys: Sequence[str]) -> None:
    """Copy the projections of all subjects into one array that can be mapped into memory."""
    shape = cache.read_mips(folder, keys[0]).shape
    path.touch(mode=0o600)
    whole = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(len(keys), *shape))
    for row, key in enumerate(keys):
        whole[row] = cache.read_mips(folder, key)
    whole.flush()
