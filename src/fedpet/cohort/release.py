"""A folder of DICOM files to one without patients: subject by subject, resumable, parallel.

Read `deidentify` from top to bottom. A subject's files are written aside and put into place in
one step, so that an interrupted run leaves whole subjects only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

from fedpet.cohort.manifest import write_private
from fedpet.cohort.pool import open_pool
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.cohort.release_subject import SeriesDone, Task, release_subject
from fedpet.errors import DataError, StoreError
from fedpet.imaging import tags
from fedpet.imaging.archives import look_into
from fedpet.imaging.deidentify.profile import EDITION, Options
from fedpet.imaging.deidentify.refusals import WANTED, modality_of, objection
from fedpet.imaging.header import Header
from fedpet.imaging.places import INSIDE
from fedpet.imaging.reading import look_at
from fedpet.imaging.remarks import UNLISTED

RECORDS = ".deidentified"
REPORT = "report.json"
SCHEMA = "fedpet-deidentified/1"
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
ARCHIVE = b"PK\x03\x04"
WAITING_PER_WORKER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The folder was looked through.

    Args:
        subjects: With at least one DICOM file.
        patient_ids: Theirs, for the table of pseudonyms only.
        files: DICOM files.
        others: Files that are not DICOM; they are not copied.
    """

    subjects: int
    files: int
    others: int
    patient_ids: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDone:
    """One subject is in place.

    Args:
        pseudonym: Of the subject.
        number: How many are done.
        total: How many there are.
        files: Files written.
        cached: Whether the subject was in place already.
        seconds: Work on this one.
    """

    pseudonym: str
    number: int
    total: int
    files: int
    cached: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """All is done.

    Args:
        subjects: Subjects, with or without a released series.
        series: What happened to each series.
        unnamed: Files without a patient ID, and damaged ones; they are not released.
        others: Files that are not DICOM.
        seconds: Wall time.
    """

    subjects: int
    series: tuple[SeriesDone, ...]
    unnamed: Mapping[str, int] = field(default_factory=dict)
    others: int = 0
    seconds: float = 0.0


ReleaseRecord: TypeAlias = Listed | SubjectDone | Released


def deidentify(
    source: Path,
    target: Path,
    *,
    pseudonyms: Pseudonyms,
    options: Options | None = None,
    workers: int = 1,
) -> Iterator[ReleaseRecord]:
    """Write a folder's PET, CT and masks again without their patients.

    Args:
        source: Any tree of DICOM files; nothing in it is changed.
        target: New, or from an earlier call: subjects that are in place are not read again.
        pseudonyms: With the hospital's key.
        options: What is retained, cleaned and refused.
        workers: Processes.

    Yields:
        `Listed`, a `SubjectDone` for each subject, `Released`.

    Raises:
        DataError: If the folders lie in each other, or there is no DICOM file.
        StoreError: If the target holds other things, or may not be written.
    """
    start = perf_counter()
    options = options or Options()
    _open_target(source, target)
    shelf = _look_through(source, options)
    if not shelf.files:
        raise DataError(
            "No DICOM file is in the folder.",
            do="Give the folder into which the PACS exported; DICOM files need no ending.",
            code="FP-2110",
        )
    yield Listed(
        subjects=len(shelf.subjects),
        files=shelf.files,
        others=shelf.others,
        patient_ids=tuple(sorted(shelf.subjects)),
    )
    tasks = [
        _task(patient, found, target, pseudonyms, options)
        for patient, found in sorted(shelf.subjects.items())
    ]
    done: list[SeriesDone] = []
    for number, (task, series, cached, seconds) in enumerate(_all(tasks, workers), start=1):
        done += series
        yield SubjectDone(
            pseudonym=task.pseudonym,
            number=number,
            total=len(tasks),
            files=sum(one.files for one in series if not one.refused),
            cached=cached,
            seconds=seconds,
        )
    released = Released(
        subjects=len(tasks),
        series=tuple(sorted(done, key=lambda one: (one.subject, one.modality, one.series))),
        unnamed=dict(shelf.unnamed),
        others=shelf.others,
        seconds=perf_counter() - start,
    )
    write_private(target / REPORT, report(released, options))
    yield released


def report(released: Released, options: Options) -> bytes:
    """Return the report as JSON: counts and pseudonyms, no identifier."""
    told = {
        "schema": SCHEMA,
        "profile": f"DICOM PS3.15 Basic Application Confidentiality Profile, {EDITION}",
        "options": [f"{code} {meaning}" for code, meaning in options.codes],
        "subjects": released.subjects,
        "files_not_dicom": released.others,
        "files_refused_before_reading": dict(released.unnamed),
        "series": [asdict(one) for one in released.series],
    }
    return (json.dumps(told, indent=1, sort_keys=True) + "\n").encode()


def _open_target(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise DataError("The folder of DICOM files does not exist.", code="FP-2110")
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise DataError(
            "The new folder and the folder of DICOM files lie in each other.",
            do="Give a new folder beside it.",
            code="FP-2203",
        )
    try:
        if target.exists() and any(target.iterdir()) and not (target / RECORDS).is_dir():
            raise StoreError(
                "The new folder holds other things.", do="Give an empty one.", code="FP-3033"
            )
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        (target / RECORDS).mkdir(mode=0o700, exist_ok=True)
        for left in target.glob(".part-*"):
            shutil.rmtree(left, ignore_errors=True)
    except OSError:
        raise StoreError("The new folder may not be written.", code="FP-3033") from None


@dataclass(frozen=True, slots=True)
class _File:
    """A DICOM file with what the decision needs, and why it may not be released."""

    place: str
    header: Header
    stamp: str
    reason: str


class _Shelf:
    """What lies in the folder, by subject; contents are sorted out by `release_subject`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.subjects: dict[str, list[_File]] = {}
        self.unnamed: Counter[str] = Counter()
        self.files = 0
        self.others = 0

    def take_in(self, place: str) -> None:
        try:
            seen = look_at(place, WANTED)
            if seen.header is None and seen.magic == ARCHIVE and INSIDE not in place:
                contents = look_into(place)
                self.unnamed.update(contents.refused)
                for inside in contents.places:
                    self.take_in(inside)
                return
        except DataError as error:
            self.files += 1
            self.unnamed[error.title] += 1
            return
        header = seen.header
        if header is None:
            self.others += 1
            return
        self.files += 1
        patient = header.text(tags.PATIENT_ID).strip()
        reason = objection(header, self.options)
        if header.text(tags.SOP_CLASS) == DIRECTORY_CLASS:
            self.unnamed["It lists other files (DICOMDIR)."] += 1
        elif not patient:
            self.unnamed[reason] += 1
        else:
            stamp = f"{seen.size} {seen.modified_ns}"
            self.subjects.setdefault(patient, []).append(_File(place, header, stamp, reason))


def _look_through(source: Path, options: Options) -> _Shelf:
    shelf = _Shelf(options)

    def unlisted(error: OSError) -> None:
        del error
        shelf.unnamed[UNLISTED] += 1

    for folder, folders, names in os.walk(source, onerror=unlisted):
        folders.sort()
        links = sum(os.path.islink(f"{folder}/{name}") for name in folders)  # noqa: PTH114
        if links:
            shelf.unnamed["A link to a folder is not followed; move the folder here."] += links
        for name in sorted(names):
            shelf.take_in(os.path.join(folder, name))  # noqa: PTH118 - for every file
    return shelf


def _task(
    patient: str, found: Sequence[_File], target: Path, pseudonyms: Pseudonyms, options: Options
) -> Task:
    refused: dict[str, str] = {}
    modalities: dict[str, str] = {}
    files, stamps = [], [repr(options), EDITION]
    for one in found:
        text = one.header.text
        series = text(tags.SERIES_UID)
        if one.reason:
            refused.setdefault(series, one.reason)
        files.append((series, one.place))
        modalities[series] = modality_of(text(tags.SOP_CLASS))
        stamps.append(f"{series} {text(tags.SOP_INSTANCE)} {one.stamp} {one.reason}")
    return Task(
        patient_id=patient,
        pseudonym=pseudonyms.of(patient),
        files=tuple(files),
        modalities=modalities,
        refused=refused,
        target=target,
        record=target / RECORDS,
        stamp=pseudonyms.digest("\n".join(sorted(stamps)).encode()),
        pseudonyms=pseudonyms,
        options=options,
    )


_Done: TypeAlias = tuple[Task, tuple[SeriesDone, ...], bool, float]


def _all(tasks: Sequence[Task], workers: int) -> Iterator[_Done]:
    """Release subjects: those in place at once, the others as they are done."""
    left = []
    for task in tasks:
        series = _in_place(task)
        if series is None:
            left.append(task)
        else:
            yield task, series, True, 0.0
    if workers == 1 or len(left) < 2:
        for task in left:
            yield _release(task)
        return
    with ExitStack() as stack:
        pool = stack.enter_context(open_pool(workers))
        coming = iter(left)
        waiting: set[Future[_Done]] = set()
        while True:
            for task in coming:
                waiting.add(pool.submit(_release, task))
                if len(waiting) >= WAITING_PER_WORKER * workers:
                    break
            if not waiting:
                return
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                yield future.result()


def _release(task: Task) -> _Done:
    start = perf_counter()
    series = release_subject(task)
    return task, series, False, perf_counter() - start


def _in_place(task: Task) -> tuple[SeriesDone, ...] | None:
    """Return what was done to a subject, if nothing has changed since."""
    try:
        told = json.loads((task.record / f"{task.pseudonym}.json").read_text("utf-8"))
        series = tuple(SeriesDone(**one) for one in told["series"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    written = any(not one.refused for one in series)
    if told["stamp"] != task.stamp or written != (task.target / task.pseudonym).is_dir():
        return None
    return series
