"""What a built cohort holds, for people; and whether its inputs changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fedpet import __version__
from fedpet.cohort.assemble import FINDINGS
from fedpet.cohort.build import OUT
from fedpet.cohort.endpoints import LABELS
from fedpet.cohort.findings import Finding, counted, left_out, read_findings
from fedpet.cohort.fixes import FILE as FIXES
from fedpet.cohort.inputs import Inputs, read_inputs
from fedpet.cohort.listing import recall
from fedpet.cohort.manifest import FILE, Manifest, read_manifest, verify
from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.cohort.settings import load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSummary:
    """One endpoint of a cohort.

    Args:
        label: For people.
        known: Subjects of whom it is known.
        events: Events, or subjects with "yes".
        median_days: Median of time to event or censoring; NaN for a yes-or-no endpoint.
    """

    label: str
    known: int
    events: int
    median_days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSummary:
    """One column of a cohort's table.

    Args:
        name: Canonical name.
        kind: `clinical` or `biomarker`.
        unit: Canonical unit.
        label: For people.
        missing: Subjects without a value.
        quartiles: 25 %, 50 % and 75 %; NaN where no value is known.
    """

    name: str
    kind: str
    unit: str
    label: str
    missing: int
    quartiles: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSummary:
    """A cohort in numbers, for the hospital's own eyes.

    Args:
        site: The hospital.
        name: Of the cohort.
        fingerprint: Of the cohort.
        phantom: Whether the subjects are simulated.
        spacing_mm: Of the common grid.
        progression: `confirmed` or `first`: which progressions count.
        criteria: By which rules progression and response were called.
        subjects: In the cohort.
        counts: `files`, `scans`, `rejected` series, `rows`, `left_out` subjects.
        endpoints: By name.
        columns: Clinical variables, then biomarkers.
        findings: Worst first.
        created: When it was built, UTC.
        software: By which version.
        changes: What changed in the inputs since; empty unless asked for by `check`.
        suv: What SUV is normalised by.
    """

    site: str
    name: str
    fingerprint: str
    phantom: bool
    spacing_mm: float
    progression: str
    criteria: Mapping[str, str]
    subjects: int
    counts: Mapping[str, int]
    endpoints: Mapping[str, EndpointSummary]
    columns: tuple[ColumnSummary, ...]
    findings: tuple[Finding, ...]
    created: str
    software: str
    changes: tuple[str, ...] = ()
    suv: str = "bw"


def summary(folder: Path) -> CohortSummary:
    """Sum up the cohort that was built in a hospital's folder.

    Raises:
        NotFoundError: If none was built.
        StoreError: If a file of it is missing or altered.
    """
    return _summary(folder / OUT, changes=())


def check(folder: Path) -> CohortSummary:
    """Sum up a cohort, and compare its inputs with those that it was built from.

    After a build in which nobody could be used there is no cohort; its findings are summed up, and
    the fingerprint is empty.

    Images are indexed again by their headers; no pixel is read.

    Raises:
        NotFoundError: If none was built, or an input is gone.
        DataError: If an input has mistakes now.
        StoreError: If a file of the cohort is missing or altered.
    """
    if not (folder / OUT / FILE).exists() and (folder / OUT / FINDINGS).exists():
        return _nobody(folder)
    manifest = read_manifest(folder / OUT)
    return _summary(folder / OUT, changes=_changes(folder, manifest))


def _nobody(folder: Path) -> CohortSummary:
    """Sum up a build that found no subject to use."""
    settings = load_settings(folder)
    findings = read_findings(folder / OUT / FINDINGS)
    written = datetime.fromtimestamp((folder / OUT / FINDINGS).stat().st_mtime, UTC)
    return CohortSummary(
        site=settings.site,
        name=settings.name,
        fingerprint="",
        phantom=settings.phantom,
        spacing_mm=settings.spacing_mm,
        progression="confirmed",
        criteria={},
        subjects=0,
        counts={"left_out": len(left_out(findings))},
        endpoints={},
        columns=(),
        findings=findings,
        created=written.isoformat(timespec="seconds"),
        software=__version__,
    )


def _entries(inputs: Inputs, out: Path) -> Sequence[str]:
    """Name the cache entries of the scans that are in the folder now."""
    listing = recall(out, state=inputs.state(), pseudonyms=inputs.pseudonyms)
    if listing is not None:
        return listing.keys
    return [inputs.key_of(scan) for scan in inputs.index().scans]


def _changes(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    inputs = read_inputs(folder, make_key=False)
    now = inputs.digests(_entries(inputs, folder / OUT))
    changes = [
        f"{name} changed since the build."
        for name in ("cohort.toml", "dictionary", "table", FIXES)
        if now.get(name) != manifest.inputs.get(name)
    ]
    before, after = set(manifest.inputs.get("scans", ())), set(now["scans"])
    if new := after - before:
        changes.append(f"{counted(len(new), 'scan')} new or changed.")
    if gone := before - after:
        changes.append(f"{counted(len(gone), 'scan')} gone or changed.")
    return tuple(changes)


def _summary(out: Path, *, changes: tuple[str, ...]) -> CohortSummary:
    manifest, cohort = read_manifest(out), open_cohort(out)
    if (out / FINDINGS).exists():
        verify(out / FINDINGS, manifest.findings)
    return CohortSummary(
        site=manifest.site,
        name=manifest.name,
        fingerprint=manifest.fingerprint,
        phantom=manifest.phantom,
        spacing_mm=manifest.spacing_mm,
        progression=manifest.progression,
        criteria=manifest.criteria,
        subjects=len(manifest.subjects),
        counts=manifest.counts,
        endpoints=_endpoints(cohort),
        columns=_columns(manifest, cohort),
        findings=read_findings(out / FINDINGS),
        created=manifest.created,
        software=manifest.software,
        changes=changes,
        suv=manifest.suv,
    )


def _endpoints(cohort: Cohort) -> dict[str, EndpointSummary]:
    told = {}
    for name, outcome in cohort.outcomes.items():
        known = ~np.isnan(outcome.time_days)
        told[name] = EndpointSummary(
            label=LABELS[name],
            known=int(known.sum()),
            events=int(outcome.event[known].sum()),
            median_days=float(np.median(outcome.time_days[known])) if known.any() else np.nan,
        )
    for name, labels in cohort.binary.items():
        told[name] = EndpointSummary(
            label=LABELS[name],
            known=int((~np.isnan(labels)).sum()),
            events=int(np.nansum(labels)),
            median_days=float("nan"),
        )
    return told


def _columns(manifest: Manifest, cohort: Cohort) -> tuple[ColumnSummary, ...]:
    told = []
    for column, values in zip(manifest.columns, cohort.table.T, strict=True):
        known = values[~np.isnan(values)]
        low, middle, high = (
            np.quantile(known, (0.25, 0.5, 0.75)) if known.size else np.full(3, np.nan)
        )
        told.append(
            ColumnSummary(
                name=column.name,
                kind=column.kind,
                unit=column.unit,
                label=column.label,
                missing=len(values) - len(known),
                quartiles=(float(low), float(middle), float(high)),
            )
        )
    return tuple(told)
