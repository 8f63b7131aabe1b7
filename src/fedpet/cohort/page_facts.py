"""What the quality page shows, found in a built cohort: every subject, row by row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from fedpet.cohort.build import OUT
from fedpet.cohort.cache import FOLDER, Record, open_volume, read_entry
from fedpet.cohort.findings import ORDER, Finding
from fedpet.cohort.manifest import read_manifest
from fedpet.cohort.pictures import thumbnail
from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.cohort.summary import CohortSummary

State: TypeAlias = Literal["ok", "look", "fix", "none"]
ROWS = ("pet", "ct", "suv", "lesions", "clinical", "endpoint")
# The row of the strip that a finding belongs to; the rest belongs to the PET.
ROW_OF = {
    **dict.fromkeys(("FP-2136", "FP-2144", "FP-2148", "FP-2149"), "ct"),
    **dict.fromkeys(("FP-2112", "FP-2113", "FP-2114", "FP-2158", "FP-2172"), "suv"),
    **dict.fromkeys((f"FP-{code}" for code in range(2120, 2136)), "suv"),
    **dict.fromkeys(("FP-2117", "FP-2118", "FP-2145", "FP-2146", "FP-2170"), "lesions"),
    **dict.fromkeys((f"FP-{code}" for code in range(2140, 2144)), "lesions"),
    **dict.fromkeys(("FP-2150", "FP-2152", "FP-2155", "FP-2160", "FP-2161"), "clinical"),
    **dict.fromkeys(("FP-2162", "FP-2166", "FP-2171", "FP-2175"), "clinical"),
    **dict.fromkeys(("FP-2156", "FP-2163", "FP-2164", "FP-2165", "FP-2169", "FP-2176"), "endpoint"),
}
NO_PET, NO_ROW = frozenset({"FP-2151"}), frozenset({"FP-2150", "FP-2152"})
WORST: dict[State, int] = {"fix": 0, "look": 1, "ok": 2, "none": 3}
STATE_OF: dict[str, State] = {"error": "fix", "warning": "look", "info": "ok"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row of one subject.

    Args:
        row: One of `ROWS`.
        state: `ok`; `look`: a warning; `fix`: an error; `none`: nothing is there or known.
        codes: Of the findings about it, worst first.
    """

    row: str
    state: State
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectFacts:
    """One subject, by pseudonym.

    Args:
        pseudonym: Known to this hospital only.
        used: Whether it is in the cohort.
        cells: One for each of `ROWS`.
        picture: PNG of the coronal projection; empty where there is none.
        numbers: TMTV, lesions, uptake minutes, body SUV; NaN where unknown.
        missing: Columns without a value, of how many.
    """

    pseudonym: str
    used: bool
    cells: tuple[Cell, ...]
    picture: bytes = b""
    numbers: Mapping[str, float]
    missing: tuple[int, int] = (0, 0)

    @property
    def state(self) -> State:
        """The worst of its rows; a row that is empty says nothing."""
        if not self.used:
            return "fix"
        return min((cell.state for cell in self.cells), key=lambda state: WORST[state])


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """One column of the table: what values it has.

    Args:
        name: Canonical name.
        kind: `clinical` or `biomarker`.
        label: For people.
        unit: Canonical unit.
        missing: Subjects without a value.
        five: Least, 25 %, 50 %, 75 % and greatest value; NaN where none is known.
    """

    name: str
    kind: str
    label: str
    unit: str
    missing: int
    five: tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the page shows.

    Args:
        summary: Of the cohort, findings worst first.
        subjects: Worst first, then by pseudonym.
        rules: How SUV was found (rule, decay, reference, injection), and in how many scans.
        spreads: Values over the scans by name (`liver_suv`, `uptake_min`, ...); a name without
            values is absent.
        ranges: Of every column.
    """

    summary: CohortSummary
    subjects: tuple[SubjectFacts, ...]
    rules: tuple[tuple[tuple[str, str, str, str], int], ...]
    spreads: Mapping[str, tuple[float, ...]]
    ranges: tuple[Range, ...]


def facts_of(folder: Path, summary: CohortSummary) -> Facts:
    """Collect what the page of a hospital's cohort shows.

    Args:
        folder: The hospital's folder.
        summary: Of its cohort, by `summary.check` or `summary.summary`.

    Raises:
        NotFoundError: If no cohort was built.
        StoreError: If a file of it is missing or altered.
    """
    about = _by_subject(summary.findings)
    if not summary.fingerprint:
        return Facts(summary=summary, subjects=_left_out(about), rules=(), spreads={}, ranges=())
    out = folder / OUT
    manifest, cohort = read_manifest(out), open_cohort(out)
    records = {s: read_entry(out / FOLDER, key) for s, key in manifest.entries.items()}
    used = [
        _used(out, cohort, row, records.get(subject), about.get(subject, ()))
        for row, subject in enumerate(cohort.subjects)
    ]
    others = _left_out({s: told for s, told in about.items() if s not in set(cohort.subjects)})
    known = [record for record in records.values() if record is not None]
    return Facts(
        summary=summary,
        subjects=tuple(
            sorted((*others, *used), key=lambda s: (s.used, WORST[s.state], s.pseudonym))
        ),
        rules=tuple(Counter(_rule(record) for record in known).most_common()),
        spreads=_spreads(known),
        ranges=_ranges(summary, cohort),
    )


def _left_out(about: Mapping[str, Sequence[Finding]]) -> tuple[SubjectFacts, ...]:
    """Return the subjects that are not in the cohort: nothing is known but their findings."""
    return tuple(
        SubjectFacts(pseudonym=s, used=False, cells=_cells(told, None), numbers={})
        for s, told in sorted(about.items())
    )


def _by_subject(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    about: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=lambda one: ORDER[one.severity]):
        for subject in finding.subjects:
            about.setdefault(subject, []).append(finding)
    return about


def row_of(finding: Finding) -> str:
    """Return the row of the strip that a finding belongs to."""
    if finding.code == "FP-2157":
        if " CT series" in finding.title:
            return "ct"
        return "pet" if " PT series" in finding.title else "lesions"
    if finding.code == "FP-2162" and "in the response" in finding.title:
        return "endpoint"
    return ROW_OF.get(finding.code, "pet")


def _cells(findings: Sequence[Finding], record: Record | None) -> tuple[Cell, ...]:
    """Return the six rows of a subject; without a record, those that nobody looked at are empty."""
    codes: dict[str, list[str]] = {row: [] for row in ROWS}
    states: dict[str, State] = dict.fromkeys(ROWS, "ok")
    for finding in findings:
        row, state = row_of(finding), STATE_OF[finding.severity]
        codes[row].append(finding.code)
        states[row] = min(states[row], state, key=lambda one: WORST[one])
    told = {finding.code for finding in findings}
    if record is None:
        if told & NO_PET or states["pet"] == "fix":
            states |= dict.fromkeys(("ct", "suv", "lesions"), "none")
        elif states["suv"] == "fix":
            states |= dict.fromkeys(("ct", "lesions"), "none")
        if told & NO_ROW:
            states["endpoint"] = "none"
    else:
        if "ct" not in record.channels and states["ct"] == "ok":
            states["ct"] = "none"
        if record.lesions == "missing" and states["lesions"] == "ok":
            states["lesions"] = "none"
    return tuple(Cell(row=row, state=states[row], codes=tuple(codes[row])) for row in ROWS)


def _used(
    out: Path, cohort: Cohort, row: int, record: Record | None, findings: Sequence[Finding]
) -> SubjectFacts:
    subject = cohort.subjects[row]
    lesions = None
    if record is not None and "lesions" in record.channels:
        lesions = open_volume(out, subject).lesions
    numbers: dict[str, float] = {}
    if record is not None:
        numbers = {
            "tmtv_ml": record.biomarkers.get("tmtv_ml", math.nan),
            "lesion_count": record.biomarkers.get("lesion_count", math.nan),
            "uptake_min": _fact(record, "uptake_s") / 60,
            "body_suv": record.body_suv,
        }
    values = cohort.table[row]
    return SubjectFacts(
        pseudonym=subject,
        used=True,
        cells=_cells(findings, record),
        picture=thumbnail(np.asarray(cohort.mips[row, 0]), lesions),
        numbers=numbers,
        missing=(int(np.isnan(values).sum()), len(values)),
    )


def _fact(record: Record, name: str) -> float:
    value = record.provenance.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


def _rule(record: Record) -> tuple[str, str, str, str]:
    told = [
        str(record.provenance.get(k) or "") for k in ("rule", "decay", "reference", "injection")
    ]
    return told[0], told[1], told[2], told[3]


def _spreads(records: Sequence[Record]) -> dict[str, tuple[float, ...]]:
    """Collect what is compared over the scans; liver and blood where they were measured."""
    found: dict[str, tuple[float, ...]] = {
        "liver_suv": tuple(_fact(r, "liver_suv") for r in records),
        "blood_suv": tuple(_fact(r, "blood_suv") for r in records),
        "body_suv": tuple(r.body_suv for r in records),
        "uptake_min": tuple(_fact(r, "uptake_s") / 60 for r in records),
        "dose_mbq_kg": tuple(_fact(r, "dose_bq") / _fact(r, "weight_kg") / 1e6 for r in records),
    }
    known = {name: tuple(v for v in values if math.isfinite(v)) for name, values in found.items()}
    return {name: values for name, values in known.items() if values}


def _ranges(summary: CohortSummary, cohort: Cohort) -> tuple[Range, ...]:
    ranges = []
    for column, values in zip(summary.columns, cohort.table.T, strict=True):
        known = values[~np.isnan(values)]
        low, high = (known.min(), known.max()) if known.size else (np.nan, np.nan)
        ranges.append(
            Range(
                name=column.name,
                kind=column.kind,
                label=column.label,
                unit=column.unit,
                missing=column.missing,
                five=(float(low), *column.quartiles, float(high)),
            )
        )
    return tuple(ranges)
