"""All files of a folder or archive onto one shelf, with as many processes as it is worth."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path

from fedpet.errors import DataError
from fedpet.imaging.archives import look_into
from fedpet.imaging.dicomdir import folded, missing
from fedpet.imaging.mask_files import MaskFile, nifti_masks
from fedpet.imaging.remarks import UNLISTED, Rejected
from fedpet.imaging.series import Series
from fedpet.imaging.shelf import Shelf

# A process takes half a second to start, in which this one looks at some thousand files.
FILES_PER_PROCESS_MIN = 10_000
CHUNK_FILES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a folder holds before anything is chosen.

    Args:
        volumes: Complete PET and CT volumes.
        masks: Files that may show lesions.
        rejected: What cannot be used whoever chooses, with reasons.
        files: Number of files looked at, members of archives included.
    """

    volumes: tuple[Series, ...]
    masks: tuple[MaskFile, ...]
    rejected: tuple[Rejected, ...]
    files: int


def look_through(images: Path, *, masks: Path | None = None, workers: int = 1) -> Holding:
    """Look at every file of a folder, a zip archive or a DICOM file.

    Archives in the folder are read where they are; nothing is unpacked. A DICOMDIR is only
    compared with what is there.

    Args:
        images: Any tree of files; what is not DICOM is passed over.
        masks: Folder of NIfTI masks named `<PatientID>.nii.gz` or `.nii`, if there are any.
        workers: Processes at most; few files need but one.

    Raises:
        DataError: If there is nothing of the name, it cannot be listed, or has no DICOM file.
    """
    if not images.exists():
        raise DataError(
            "The folder of images does not exist.",
            do="Give the folder that holds the DICOM files, or set images in cohort.toml.",
            code="FP-2110",
        )
    shelf = Shelf()
    places = list(_walk(str(images), shelf))
    _take_in_all(shelf, places, workers)
    for archive in shelf.archives:
        places += _members(archive, shelf, workers)
    if shelf.is_empty():
        raise DataError(
            f"No DICOM file among the {len(places)} files of the folder.",
            do="Give the folder into which the PACS exported; DICOM files need no ending.",
            code="FP-2110",
        )
    lost = _missing(shelf, places)
    if masks is not None and masks.is_dir():
        shelf.masks += nifti_masks(masks)
    volumes, refused = _volumes(shelf)
    return Holding(
        volumes=tuple(volumes),
        masks=tuple(shelf.masks),
        rejected=(*shelf.rejected(), *refused, *lost),
        files=len(places),
    )


def _walk(root: str, shelf: Shelf) -> Iterator[str]:
    """Yield all files below a folder, in an order that is always the same.

    Raises:
        DataError: If the folder itself cannot be listed; folders below it are counted.
    """
    if not os.path.isdir(root):  # noqa: PTH112 - a place is text
        yield root
        return
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            if folder == root:
                raise DataError(
                    "The folder of images cannot be listed.", do="Check its rights.", code="FP-2110"
                ) from None
            shelf.reasons[UNLISTED] += 1
            continue
        below = []
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                elif entry.is_file():
                    yield entry.path
                elif entry.is_dir():
                    shelf.reasons["A link to a folder is not followed; move the folder here."] += 1
            except OSError:
                shelf.reasons["A file cannot be opened; check its rights."] += 1
        waiting += reversed(below)


def _take_in_all(shelf: Shelf, places: Sequence[str], workers: int) -> None:
    workers = min(workers, len(places) // FILES_PER_PROCESS_MIN)
    if workers < 2:
        shelf.take_in_all(places)
        return
    chunks = [places[at : at + CHUNK_FILES] for at in range(0, len(places), CHUNK_FILES)]
    try:
        # Fresh processes, not forked ones: the caller may run threads.
        spawn = get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_be_a_worker) as pool:
            for other in pool.map(_shelf_of, chunks):
                shelf.join(other)
    except BrokenProcessPool as error:
        raise DataError(
            "A process that looked through the images was ended from outside.",
            why="Most often the machine ran out of memory.",
            do="Build again with fewer workers.",
            code="FP-2109",
        ) from error


def _be_a_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _shelf_of(places: Sequence[str]) -> Shelf:
    shelf = Shelf()
    shelf.take_in_all(places)
    return shelf


def _members(archive: str, shelf: Shelf, workers: int) -> list[str]:
    """Look at the members of an archive, and return their places."""
    try:
        contents = look_into(archive)
    except DataError as error:
        shelf.reasons[str(error)] += 1
        return []
    for reason, count in contents.refused.items():
        shelf.reasons[reason] += count
    _take_in_all(shelf, contents.places, workers)
    return list(contents.places)


def _missing(shelf: Shelf, places: Sequence[str]) -> list[Rejected]:
    if not shelf.directories:
        return []
    known = {folded(place) for place in places}
    lost: list[Rejected] = []
    for directory in shelf.directories:
        try:
            lost += missing(directory, known)
        except DataError as error:
            reason = f"A DICOMDIR cannot be read. {error.title}"
            lost.append(Rejected(patient_id="", series="", modality="", reason=reason))
    return lost


def _volumes(shelf: Shelf) -> tuple[list[Series], list[Rejected]]:
    volumes, refused = [], []
    for intake in shelf.intakes.values():
        try:
            volumes.append(intake.build())
        except DataError as error:
            refused.append(intake.refused(str(error)))
    return volumes, refused
