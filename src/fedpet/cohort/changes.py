"""Changes of biomarkers between two built cohorts of one hospital, subject by subject."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from fedpet.biomarkers.delta import Measured, relative_changes
from fedpet.cohort.build import OUT
from fedpet.cohort.findings import counted
from fedpet.cohort.inputs import Inputs, read_inputs
from fedpet.cohort.listing import listing_of, recall
from fedpet.cohort.manifest import Manifest, read_manifest, write_private
from fedpet.cohort.samples import open_cohort
from fedpet.cohort.settings import FILE as SETTINGS
from fedpet.errors import DataError, StoreError

FILE = "changes.csv"
CODE = "FP-2193"
HEAD = ("subject", "days", "earlier_in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change of one subject from the earlier scan to the later one.

    Args:
        subject: Pseudonym.
        days: From the earlier scan to the later one, at least 1.
        earlier_in: `baseline` or `followup`: the cohort that holds the earlier scan.
        changes: (later - earlier) / |earlier| by `delta_<name>`; NaN where one of them is not
            known, or the earlier one is 0 and the later one is not.
    """

    subject: str
    days: int
    earlier_in: str
    changes: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Middle:
    """A biomarker's change over all subjects.

    Args:
        known: Subjects of whom it is known.
        median: NaN if it is known of nobody.
    """

    known: int
    median: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What two cohorts of one hospital say about change.

    Args:
        rows: One per subject with scans of two days, by pseudonym.
        only_baseline: Subjects that the follow-up cohort lacks.
        only_followup: Subjects that the baseline cohort lacks.
        same_day: Subjects in both whose scans are of one day.
        undated: Subjects in both of whom a scan has no date.
        lesions: How lesions were found, the same in both.
        suv: What SUV is normalised by, the same in both.
    """

    rows: tuple[Change, ...]
    only_baseline: tuple[str, ...]
    only_followup: tuple[str, ...]
    same_day: tuple[str, ...]
    undated: tuple[str, ...]
    lesions: str
    suv: str

    @property
    def both(self) -> int:
        """Subjects in both cohorts."""
        return len(self.rows) + len(self.same_day) + len(self.undated)

    @property
    def swapped(self) -> tuple[str, ...]:
        """Subjects whose earlier scan is in the cohort that was named as the follow-up."""
        return tuple(row.subject for row in self.rows if row.earlier_in == "followup")

    @property
    def medians(self) -> dict[str, Middle]:
        """Median change of each biomarker over the subjects of whom it is known."""
        told = {}
        for name in self.rows[0].changes:
            values = [x for row in self.rows if not math.isnan(x := row.changes[name])]
            middle = float(np.median(values)) if values else math.nan
            told[name] = Middle(known=len(values), median=middle)
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the two cohorts, `baseline` or `followup` by its name."""

    name: str
    inputs: Inputs
    manifest: Manifest


def compare(baseline: Path, followup: Path) -> Changes:
    """Compare two built cohorts of one hospital.

    Which scan of a subject is the baseline is told by the days of the scans, not by the order of
    the folders. Biomarkers that only one of the cohorts has are passed over.

    Args:
        baseline: Folder of the hospital with the first scans, built.
        followup: Folder with the later scans, built with the same key and settings.

    Raises:
        NotFoundError: If a folder holds no cohort.
        DataError: If the cohorts have another key, SUV, lesion method or no subject in common, or
            a folder is not what its cohort was built from.
        StoreError: If a file of a cohort is missing or altered, or the key is.

    Source:
        `biomarkers.delta`: relative change as in PERCIST 1.0 (Wahl et al. 2009).
    """
    first, second = _side("baseline", baseline), _side("followup", followup)
    _require_comparable(first, second)
    days = _days(first), _days(second)
    values = _biomarkers(first), _biomarkers(second)
    rows, same_day, undated = [], [], []
    common = sorted(set(values[0]) & set(values[1]))
    for subject in common:
        one, other = days[0][subject], days[1][subject]
        if one is None or other is None:
            undated.append(subject)
        elif one == other:
            same_day.append(subject)
        else:
            rows.append(
                Change(
                    subject=subject,
                    days=abs((other - one).days),
                    earlier_in="baseline" if one < other else "followup",
                    changes=relative_changes(
                        Measured(day=one, values=values[0][subject]),
                        Measured(day=other, values=values[1][subject]),
                    ),
                )
            )
    if not rows:
        raise _nothing(len(common), len(same_day), len(undated))
    return Changes(
        rows=tuple(rows),
        only_baseline=tuple(sorted(set(values[0]) - set(values[1]))),
        only_followup=tuple(sorted(set(values[1]) - set(values[0]))),
        same_day=tuple(same_day),
        undated=tuple(undated),
        lesions=first.inputs.settings.lesions,
        suv=first.manifest.suv,
    )


def write_changes(changes: Changes, path: Path) -> None:
    """Write one line a subject as CSV, readable by its owner only; empty where not known.

    Args:
        changes: Of two cohorts.
        path: The file; one that is there is replaced only if it holds changes.

    Raises:
        StoreError: If the file exists and holds something else.
        OSError: If it cannot be written.
    """
    start = ",".join(HEAD).encode()
    if path.exists():
        with path.open("rb") as file:
            if file.read(len(start)) != start:
                raise StoreError(
                    f"{path.name} exists already and does not hold changes.",
                    do="Name another file: -o changes.csv",
                    code="FP-3010",
                )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*HEAD, *changes.rows[0].changes])
    for row in changes.rows:
        cells = ["" if math.isnan(x) else repr(x) for x in row.changes.values()]
        writer.writerow([row.subject, row.days, row.earlier_in, *cells])
    write_private(path, text.getvalue().encode())


def _side(name: str, folder: Path) -> _Side:
    manifest = read_manifest(folder / OUT)
    return _Side(name=name, inputs=read_inputs(folder, make_key=False), manifest=manifest)


def _require_comparable(first: _Side, second: _Side) -> None:
    if first.inputs.pseudonyms != second.inputs.pseudonyms:
        raise DataError(
            "The two folders have different pseudonym keys, so that subjects cannot be matched.",
            do=(
                "Copy pseudonym.key of the baseline folder into the other one before its first "
                "build, and build it again.",
                "Folders of two hospitals are never compared: patients are known in one only.",
            ),
            code=CODE,
        )
    for side in (first, second):
        now = side.inputs.pseudonyms.digest((side.inputs.folder / SETTINGS).read_bytes())
        if side.manifest.inputs.get(SETTINGS) != (now,):
            raise _stale(side.name)
    one, other = first.inputs.settings, second.inputs.settings
    differing = []
    if first.manifest.suv != second.manifest.suv:
        differing.append(f'suv = "{first.manifest.suv}" and "{second.manifest.suv}"')
    if one.lesions != other.lesions:
        differing.append(f'lesions = "{one.lesions}" and "{other.lesions}"')
    elif one.lesions != "given" and one.lesion_min_ml != other.lesion_min_ml:
        differing.append(f"lesion_min_ml = {one.lesion_min_ml:g} and {other.lesion_min_ml:g}")
    if differing:
        raise DataError(
            "The two cohorts were measured in different ways; a change between them is not the "
            "tumour's.",
            why="\n".join(differing),
            do="Set the same in both cohort.toml and build again.",
            code=CODE,
        )


def _days(side: _Side) -> dict[str, date | None]:
    """Return the day of each subject's scan; the cohort itself holds no dates."""
    inputs, out = side.inputs, side.inputs.folder / OUT
    listing = recall(out, state=inputs.state(), pseudonyms=inputs.pseudonyms)
    if listing is None:
        index = inputs.index()
        keys = [inputs.key_of(scan) for scan in index.scans]
        listing = listing_of(index, keys, inputs.pseudonyms)
    found = {
        seen.subject: (key, seen.day) for seen, key in zip(listing.scans, listing.keys, strict=True)
    }
    for subject, key in side.manifest.entries.items():
        if subject not in found or found[subject][0] != key:
            raise _stale(side.name)
    return {subject: found[subject][1] for subject in side.manifest.subjects}


def _stale(name: str) -> DataError:
    return DataError(
        f"The {name} folder is no longer what its cohort was built from.",
        do="Build it again: fedpet cohort build FOLDER",
        code="FP-2190",
    )


def _biomarkers(side: _Side) -> dict[str, dict[str, float]]:
    """Return the biomarkers of each subject, by name."""
    cohort = open_cohort(side.inputs.folder / OUT)
    places = [
        (place, column.name)
        for place, column in enumerate(side.manifest.columns)
        if column.kind == "biomarker"
    ]
    return {
        subject: {name: float(row[place]) for place, name in places}
        for subject, row in zip(cohort.subjects, cohort.table, strict=True)
    }


def _nothing(common: int, same_day: int, undated: int) -> DataError:
    if not common:
        return DataError(
            "The two cohorts have no subject in common.",
            do="Check that patients have the same PatientID in both folders.",
            code=CODE,
        )
    reasons: Sequence[str] = [
        f"{counted(count, 'subject')} {text}"
        for count, text in ((same_day, "with both scans of one day"), (undated, "without a date"))
        if count
    ]
    return DataError(
        "No subject has scans of two days.",
        why="\n".join(reasons),
        do="Name the folder with the scans of another day.",
        code=CODE,
    )
