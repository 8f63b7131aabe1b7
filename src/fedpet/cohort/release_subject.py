"""One subject's files without the subject, written aside and put into place in one step."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from fedpet.cohort.manifest import write_private
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.errors import DataError, StoreError
from fedpet.imaging.deidentify.attributes import Deidentifier, meanings
from fedpet.imaging.deidentify.pixels import Faces, blank_faces, find_faces
from fedpet.imaging.deidentify.profile import Options
from fedpet.imaging.deidentify.refusals import modality_of
from fedpet.imaging.places import INSIDE, UNREACHABLE, open_place
from fedpet.imaging.reading import UNREADABLE

SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A subject to be released.

    Args:
        patient_id: (0010,0020).
        pseudonym: Of the subject.
        files: Series UID and path of each file.
        modalities: PT, CT, SEG, RTSTRUCT, RWV or other, by series UID.
        refused: Reasons by series UID; one bad file refuses its series.
        target: The new folder.
        record: Where to note what was done.
        stamp: Keyed digest of the files and options.
        pseudonyms: With the hospital's key.
        options: What is retained, cleaned and refused.
    """

    patient_id: str = field(repr=False)
    pseudonym: str
    files: tuple[tuple[str, str], ...] = field(repr=False)
    modalities: Mapping[str, str] = field(repr=False)
    refused: Mapping[str, str] = field(repr=False)
    target: Path = field(repr=False)
    record: Path = field(repr=False)
    stamp: str
    pseudonyms: Pseudonyms
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDone:
    """What happened to one series.

    Args:
        subject: Pseudonym.
        series: A name for it, made from its new UID.
        modality: PT, CT, SEG, RTSTRUCT, RWV or other.
        files: How many it has.
        refused: Why it was not released; empty if it was.
        attributes: How many were kept, removed, emptied, replaced, shifted, cleaned, renumbered;
            `malformed` and `private` ones were removed.
        face_pixels: Pixels of the face that were replaced.
    """

    subject: str
    series: str
    modality: str
    files: int
    refused: str = ""
    attributes: Mapping[str, int] = field(default_factory=dict)
    face_pixels: int = 0


def release_subject(task: Task) -> tuple[SeriesDone, ...]:
    """Write a subject's series that may be released, and note what was done.

    Raises:
        StoreError: If the new folder cannot be written.
    """
    part = task.target / f".part-{task.pseudonym}-{os.getpid()}"
    place = task.target / task.pseudonym
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        done = _write(task, part)
        (task.record / f"{task.pseudonym}.json").unlink(missing_ok=True)
        if place.exists():
            shutil.rmtree(place)
        if any(not one.refused for one in done):
            part.rename(place)
        else:
            shutil.rmtree(part)
        told = {"stamp": task.stamp, "series": [asdict(one) for one in done]}
        write_private(task.record / f"{task.pseudonym}.json", json.dumps(told).encode())
    except OSError as error:
        raise StoreError(
            f"The new folder cannot be written: {error.strerror}.",
            do="Make room, then call the same command again; what is done stays.",
            code="FP-3033",
        ) from None
    return done


def _write(task: Task, part: Path) -> tuple[SeriesDone, ...]:
    by_series: dict[str, list[str]] = {}
    for series, path in task.files:
        by_series.setdefault(series, []).append(path)
    refused = dict(task.refused)
    faces = Faces()
    if task.options.deface:
        good = [path for series, path in task.files if series not in refused]
        faces = find_faces(good)
        refused |= faces.refused
    done = []
    for series, paths in sorted(by_series.items()):
        name = f"{task.modalities[series]}-{task.pseudonyms.uid(series)[-SHORT:]}"
        told = SeriesDone(
            subject=task.pseudonym,
            series=name,
            modality=task.modalities[series],
            files=len(paths),
            refused=refused.get(series, ""),
        )
        if not told.refused:
            told = _write_series(task, part / name, paths, faces, told)
        done.append(told)
    return tuple(done)


def _write_series(
    task: Task, folder: Path, paths: list[str], faces: Faces, told: SeriesDone
) -> SeriesDone:
    """Write the files of a series; if one cannot be, none of them stays."""
    folder.mkdir(mode=0o700)
    engine = Deidentifier(task.pseudonyms, task.options)
    tally: Counter[str] = Counter()
    pixels = 0
    try:
        for path in paths:
            dataset = _read(path)
            frame = str(dataset.get("FrameOfReferenceUID", ""))
            image = modality_of(str(dataset.get("SOPClassUID", ""))) in ("PT", "CT")
            if image and faces.by_frame.get(frame):
                pixels += blank_faces(dataset, faces.by_frame[frame])
            tally += engine.apply(dataset, patient_id=task.patient_id)
            _save(dataset, folder, deface=task.options.deface and image)
    except DataError as error:
        shutil.rmtree(folder)
        return SeriesDone(**{**asdict(told), "refused": error.title})
    return SeriesDone(
        **{**asdict(told), "attributes": meanings(tally), "face_pixels": pixels},
    )


def _read(path: str) -> Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = open_place(path)
            with opened.file as file:
                inside = BytesIO(file.read()) if INSIDE in path else file
                return pydicom.dcmread(inside)
    except (*UNREADABLE, *UNREACHABLE):
        raise DataError("A file is damaged.", code="FP-2202") from None


def _save(dataset: Dataset, folder: Path, *, deface: bool) -> None:
    if deface:
        dataset.RecognizableVisualFeatures = "NO"
    uid = str(dataset.get("SOPInstanceUID", ""))
    path = folder / f"{uid[-2 * SHORT :] or 'instance'}.dcm"
    dataset.preamble = b"\0" * 128
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    except OSError:
        raise
    except UNREADABLE:
        raise DataError("A file cannot be written in its own coding.", code="FP-2202") from None
