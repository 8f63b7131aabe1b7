"""Scans and rows to samples: joined, checked, written under their fingerprint."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedpet import __version__
from fedpet.biomarkers.catalogue import Group, biomarkers_of
from fedpet.cohort import cache, quality
from fedpet.cohort.clinical import Table
from fedpet.cohort.derived import SCORES
from fedpet.cohort.dictionary import Dictionary
from fedpet.cohort.endpoints import Endpoints
from fedpet.cohort.findings import Finding, left_out, worst_first
from fedpet.cohort.inputs import Inputs
from fedpet.cohort.listing import Listing
from fedpet.cohort.manifest import (
    Column,
    Manifest,
    file_digest,
    read_manifest,
    write_manifest,
    write_private,
)
from fedpet.cohort.prepared import Prepared
from fedpet.cohort.samples import ARRAYS, MIPS, Outcome, arrays_bytes
from fedpet.errors import FedpetError

FINDINGS = "findings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that was read."""

    inputs: Inputs
    table: Table
    listing: Listing
    prepared: tuple[Prepared, ...]

    @property
    def records(self) -> dict[str, cache.Record]:
        """What is in the cache, by subject."""
        return {
            done.subject: done.outcome
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
    table, records = parts.table, parts.records
    scans = parts.listing.scans
    scanned = frozenset(scan.subject for scan in scans)
    failures = [d.outcome for d in parts.prepared if isinstance(d.outcome, quality.Failure)]
    named = frozenset(table.subjects) | left_out(table.findings)
    findings = [
        *table.findings,
        *endpoints.findings,
        *quality.about_rejected(parts.listing.rejected, scanned),
        *quality.about_failures(failures),
        *quality.about_records(records, masks_given=parts.inputs.settings.lesions == "given"),
        *quality.about_pairing(scans, table, named),
    ]
    candidates = frozenset(records) & frozenset(table.subjects) - left_out(findings)
    findings += quality.about_endpoints(table.subjects, endpoints, candidates)
    chosen = candidates - left_out(findings)
    rows = [row for row, subject in enumerate(table.subjects) if subject in chosen]
    if rows:
        columns = [column.name for column in _columns(parts)]
        findings += quality.about_columns(columns, _matrix(parts, rows))
    return Joined(rows=rows, findings=worst_first(findings))


def _columns(parts: Parts) -> tuple[Column, ...]:
    return columns_of(parts.inputs.dictionary, parts.inputs.settings.biomarkers)


def columns_of(dictionary: Dictionary, groups: Sequence[Group]) -> tuple[Column, ...]:
    """Return the columns of a cohort: clinical variables, scores, biomarkers of some groups."""
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
        for one in biomarkers_of(groups).values()
    ]
    return (*clinical, *derived, *measured)


def _matrix(parts: Parts, rows: Sequence[int]) -> NDArray[np.float64]:
    """Put clinical values and biomarkers side by side, float64 [rows, columns]."""
    table, records = parts.table, parts.records
    names = biomarkers_of(parts.inputs.settings.biomarkers)
    measured = np.array(
        [[records[table.subjects[row]].biomarkers[name] for name in names] for row in rows]
    )
    return np.concatenate([table.values[list(rows)], measured], axis=1)


def write(parts: Parts, endpoints: Endpoints, joined: Joined, out: Path) -> Manifest:
    """Write the arrays under their fingerprint, then the manifest, then drop what is old.

    What is there already is left as it is, the day of the build included.
    """
    table, rows = parts.table, joined.rows
    keys = {done.subject: done.key for done in parts.prepared}
    entries = {table.subjects[row]: keys[table.subjects[row]] for row in rows}
    outcomes = {
        name: Outcome(time_days=one.time_days[rows], event=one.event[rows])
        for name, one in endpoints.outcomes.items()
    }
    binary = {name: labels[rows] for name, labels in endpoints.binary.items()}
    arrays = arrays_bytes(_matrix(parts, rows), outcomes, binary)
    before = _before(out, entries, arrays)
    draft = out / "samples" / f".{os.getpid()}.part"
    if before is None:
        content = _write_draft(draft, out, list(entries.values()), arrays)
    else:
        content = {name: before.content[name] for name in (ARRAYS, MIPS)}
    manifest = _manifest(parts, joined, entries, (tuple(outcomes), tuple(binary)), content, out)
    if before is not None and replace(manifest, created=before.created) == before:
        return before
    place = out / manifest.samples
    if before is None or before.fingerprint != manifest.fingerprint:
        if before is not None:
            _write_draft(draft, out, list(entries.values()), arrays)
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
    write_manifest(manifest, out)
    for old in place.parent.iterdir():
        if old != place:
            shutil.rmtree(old, ignore_errors=True)
    return manifest


def _manifest(
    parts: Parts,
    joined: Joined,
    entries: Mapping[str, str],
    outcomes: tuple[tuple[str, ...], tuple[str, ...]],
    content: Mapping[str, str],
    out: Path,
) -> Manifest:
    """Say what was built: of which inputs, for whom, with which digests."""
    settings, table, records = parts.inputs.settings, parts.table, parts.records
    survival, binary = outcomes
    return Manifest(
        name=settings.name,
        site=settings.site,
        phantom=settings.phantom,
        spacing_mm=settings.spacing_mm,
        columns=_columns(parts),
        survival=survival,
        binary=binary,
        progression="confirmed" if "progression_confirmed" in table.dates else "first",
        subjects=tuple(entries),
        content={
            **content,
            **{f"volume/{subject}": records[subject].volume for subject in entries},
        },
        entries=entries,
        counts={
            "files": parts.listing.files,
            "scans": len(parts.listing.scans),
            "rejected": len(parts.listing.rejected),
            "rows": table.rows,
            "left_out": len(left_out(joined.findings)),
        },
        inputs=parts.inputs.digests([done.key for done in parts.prepared]),
        findings=file_digest(out / FINDINGS),
        software=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        criteria=parts.inputs.dictionary.criteria,
        suv=settings.suv,
    )


def _before(out: Path, entries: Mapping[str, str], arrays: bytes) -> Manifest | None:
    """Return what was built before if its arrays are whole, and those of this build."""
    try:
        manifest = read_manifest(out)
        whole = all(
            file_digest(out / manifest.samples / name) == manifest.content[name]
            for name in (ARRAYS, MIPS)
        )
    except (FedpetError, OSError, KeyError):
        return None
    same = list(manifest.subjects) == list(entries) and manifest.entries == entries
    digest = hashlib.sha256(arrays).hexdigest()
    return manifest if whole and same and digest == manifest.content[ARRAYS] else None


def _write_draft(draft: Path, out: Path, keys: Sequence[str], arrays: bytes) -> dict[str, str]:
    """Write the arrays of a cohort aside; return their digests."""
    shutil.rmtree(draft, ignore_errors=True)
    for folder in (draft.parent, draft):
        folder.mkdir(mode=0o700, exist_ok=True)
    write_private(draft / ARRAYS, arrays)
    _write_mips(draft / MIPS, out / cache.FOLDER, keys)
    return {name: file_digest(draft / name) for name in (ARRAYS, MIPS)}


def _write_mips(path: Path, folder: Path, keys: Sequence[str]) -> None:
    """Copy the projections of all subjects into one array that can be mapped into memory."""
    shape = cache.read_mips(folder, keys[0]).shape
    path.touch(mode=0o600)
    whole = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(len(keys), *shape))
    for row, key in enumerate(keys):
        whole[row] = cache.read_mips(folder, key)
    whole.flush()
