"""Checks across a cohort: scans against rows, scans among themselves, columns, events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.cache import Record
from fedpet.cohort.clinical import Table
from fedpet.cohort.endpoints import LABELS, Endpoints
from fedpet.cohort.findings import Finding, counted, found, without_numbers
from fedpet.cohort.remedies import REMEDIES
from fedpet.imaging.remarks import TITLES, UNLISTED, Rejected

BODY_SUV = (0.3, 3.0)
DOSE_BQ_KG = (1e6, 12e6)
DAYS_BEFORE_MAX = 90
DAYS_AFTER_MAX = 7
SUBJECTS_MIN = 10
FIRST_YEAR = 1980
MISSING_SHARE = 0.5
# Remarks that only tell what was done; the others ask for a look.
GOOD_TO_KNOW = frozenset({"FP-2126", "FP-2137", "FP-2138", "FP-2141", "FP-2142", "FP-2143"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the index knows of a scan, without identifiers.

    Args:
        subject: Pseudonym.
        loose: The pseudonym that its number would have without leading zeros and case.
        day: Day of the scan; None where the header does not tell it.
    """

    subject: str
    loose: str
    day: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a scan could not be prepared, as its error told it.

    Args:
        subject: Pseudonym.
        code: Of the error.
        title: What was found and expected.
        fix: What to do.
    """

    subject: str
    code: str
    title: str
    fix: str


def day_of(text: str) -> date | None:
    """Return a DICOM date as a day; None if it is not one, or stands for an unknown one.

    Days such as 19000101 are what programs write where the day was removed.
    """
    try:
        day = datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
    return None if day.year < FIRST_YEAR else day


def about_rejected(
    rejected: Iterable[tuple[str, Rejected]], scanned: frozenset[str]
) -> list[Finding]:
    """Group the series that were not taken by reason, and count folders that nobody could see.

    Args:
        rejected: Pseudonym (empty where the file names nobody) and what was left aside.
        scanned: Subjects that have another PET.
    """
    groups: dict[tuple[str, str, bool], list[tuple[str, str]]] = defaultdict(list)
    unlisted = 0
    for subject, one in rejected:
        if one.reason == UNLISTED:
            unlisted += one.files
            continue
        lost = bool(subject) and subject not in scanned and one.modality == "PT"
        reason = without_numbers(one.reason)
        groups[one.modality, reason, lost].append((subject, one.reason))
    findings = [
        found(
            "FP-2157",
            f"{len(ones)} {modality or 'DICOM'} series not used: {reason}",
            subjects=[subject for subject, _ in ones if subject],
            severity="error" if lost else "info",
            fix="" if lost else "Nothing, if this is as you expect.",
            details=[said for _, said in ones if said != reason],
        )
        for (modality, reason, lost), ones in sorted(groups.items())
    ]
    if unlisted:
        title = f"{counted(unlisted, 'folder')} of images cannot be listed."
        findings.append(found("FP-2159", title))
    return findings


def about_failures(failures: Iterable[Failure]) -> list[Finding]:
    """Group the scans that could not be prepared by error."""
    groups: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for one in failures:
        groups[one.code, without_numbers(one.title)].append(one)
    return [
        found(
            code,
            f"{counted(len(ones), 'scan')} cannot be used: {title}",
            subjects=[one.subject for one in ones],
            severity="error",
            fix=ones[0].fix or "Export the scan again, or leave the subject out.",
            details=[one.title for one in ones if one.title != title],
        )
        for (code, title), ones in sorted(groups.items())
    ]


def about_records(records: Mapping[str, Record], *, masks_given: bool) -> list[Finding]:
    """Group remarks by code, and look for scans whose values are not plausible."""
    remarks: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for subject, record in records.items():
        for code, text in record.remarks:
            remarks[code].append((subject, text))
    findings = []
    for code, ones in sorted(remarks.items()):
        subjects = {subject for subject, _ in ones}
        findings.append(
            found(
                code,
                f"{TITLES.get(code, 'A remark')}: {counted(len(subjects), 'scan')}.",
                subjects=subjects,
                severity="info" if code in GOOD_TO_KNOW else "warning",
                fix=REMEDIES.get(code, ""),
                details=[text for _, text in ones],
            )
        )
    low, high = BODY_SUV
    if odd := [s for s, record in records.items() if not low <= record.body_suv <= high]:
        title = f"Mean SUV of the body outside {low:g} to {high:g}: {counted(len(odd), 'scan')}."
        findings.append(found("FP-2172", title, subjects=odd))
    if odd := [s for s, record in records.items() if _odd_dose(record)]:
        title = f"Injected dose outside 1 to 12 MBq/kg: {counted(len(odd), 'scan')}."
        findings.append(found("FP-2172", title, subjects=odd))
    bare = [s for s, record in records.items() if record.lesions == "missing"]
    if masks_given and bare:
        title = f"{counted(len(bare), 'scan')} of {len(records)} without a lesion mask."
        findings.append(found("FP-2170", title, subjects=bare))
    return findings


def _odd_dose(record: Record) -> bool:
    dose, weight = record.provenance.get("dose_bq"), record.provenance.get("weight_kg")
    if not (isinstance(dose, float | int) and isinstance(weight, float | int)):
        return False
    return not DOSE_BQ_KG[0] <= dose / weight <= DOSE_BQ_KG[1]


def about_pairing(scans: Sequence[Seen], table: Table, named: frozenset[str]) -> list[Finding]:
    """Compare scans and rows.

    Args:
        scans: Of the index.
        table: The clinical table.
        named: Subjects that the table names, unusable rows included.
    """
    findings = []
    scanned = {scan.subject for scan in scans}
    bare = [scan for scan in scans if scan.subject not in named]
    rows = [
        (subject, loose)
        for subject, loose in zip(table.subjects, table.loose, strict=True)
        if subject not in scanned
    ]
    nearly = {scan.loose for scan in bare} & {loose for _, loose in rows}
    hint = (
        f"{len(nearly)} would match if leading zeros and capitals did not count: "
        "did a spreadsheet shorten the numbers?"
        if nearly
        else ""
    )
    if bare:
        title = f"{counted(len(bare), 'PET scan')} without a row in the clinical table."
        subjects = [scan.subject for scan in bare]
        findings.append(found("FP-2150", title, subjects=subjects, fix=hint))
    if rows:
        title = f"{counted(len(rows), 'row')} of the clinical table without a PET scan."
        subjects = [subject for subject, _ in rows]
        findings.append(found("FP-2151", title, subjects=subjects, fix=hint))
    return findings + _about_timing(scans, table)


def _about_timing(scans: Sequence[Seen], table: Table) -> list[Finding]:
    origin = {
        subject: day
        for subject, day in zip(table.subjects, table.dates["origin"].days.tolist(), strict=True)
        if day is not None
    }
    gaps = {
        scan.subject: (origin[scan.subject] - scan.day).days
        for scan in scans
        if scan.day is not None and scan.subject in origin
    }
    findings = []
    if after := [subject for subject, days in gaps.items() if days < -DAYS_AFTER_MAX]:
        title = (
            f"{counted(len(after), 'PET scan')} more than {DAYS_AFTER_MAX} days after "
            "the first infusion."
        )
        findings.append(found("FP-2173", title, subjects=after))
    if before := [subject for subject, days in gaps.items() if days > DAYS_BEFORE_MAX]:
        title = (
            f"{counted(len(before), 'PET scan')} more than {DAYS_BEFORE_MAX} days before "
            "the first infusion."
        )
        fix = "Take a later scan, or keep it: the tumour may have grown since."
        findings.append(found("FP-2173", title, subjects=before, fix=fix))
    return findings


def about_endpoints(
    subjects: Sequence[str], endpoints: Endpoints, concerned: frozenset[str]
) -> list[Finding]:
    """Find subjects of whom no endpoint is known, and endpoints without events.

    Args:
        subjects: Rows of the endpoints.
        endpoints: Of every row.
        concerned: Subjects that could enter the cohort.
    """
    inside = np.array([subject in concerned for subject in subjects], dtype=bool)
    known = np.zeros(len(subjects), dtype=bool)
    for outcome in endpoints.outcomes.values():
        known |= ~np.isnan(outcome.time_days)
    for labels in endpoints.binary.values():
        known |= ~np.isnan(labels)
    findings = []
    if lost := [
        s for s, is_in, has in zip(subjects, inside, known, strict=True) if is_in and not has
    ]:
        title = f"No endpoint is known of {counted(len(lost), 'subject')}."
        findings.append(found("FP-2156", title, subjects=lost))
    kept = inside & known
    if not kept.any():
        return findings
    for name, outcome in endpoints.outcomes.items():
        if not outcome.event[kept].any():
            title = f"{LABELS[name]}: no event among {counted(int(kept.sum()), 'subject')}."
            findings.append(found("FP-2182", title))
    for name, labels in endpoints.binary.items():
        values = labels[kept & ~np.isnan(labels)]
        if len(np.unique(values)) < 2:
            what = "not known of anybody" if not len(values) else f"{values[0]:g} in everybody"
            title = f"{LABELS[name]} is {what} ({counted(int(kept.sum()), 'subject')})."
            fix = "Nothing can be learned from it here; check its column and codes."
            findings.append(found("FP-2182", title, fix=fix))
    return findings


def about_columns(columns: Sequence[str], table: NDArray[np.float64]) -> list[Finding]:
    """Find columns that are mostly missing or constant, and a cohort that is too small.

    Args:
        columns: Names.
        table: float64 [subjects, columns] of the finished cohort, NaN for missing.

    Examples:
        >>> [f.title for f in about_columns(("nlr",), np.array([[np.nan], [2.0], [np.nan]]))]
        ['nlr is missing in 2 of 3 subjects.', 'The cohort has 3 subjects.']
    """
    subjects = len(table)
    findings = []
    for name, values in zip(columns, table.T, strict=True):
        known = values[~np.isnan(values)]
        if subjects - len(known) > MISSING_SHARE * subjects:
            title = f"{name} is missing in {subjects - len(known)} of {subjects} subjects."
            findings.append(found("FP-2180", title))
        if len(known) >= SUBJECTS_MIN and (known == known[0]).all():
            title = f"{name} is {known[0]:g} in all of {len(known)} subjects."
            findings.append(found("FP-2181", title))
    if subjects < SUBJECTS_MIN:
        findings.append(found("FP-2183", f"The cohort has {counted(subjects, 'subject')}."))
    return findings
