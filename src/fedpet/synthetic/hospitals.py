"""Write phantom hospitals: one folder each, as their PACS and their registry would export it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from fedpet.errors import DataError
from fedpet.synthetic import tables
from fedpet.synthetic.ceiling import ceiling
from fedpet.synthetic.images import Written
from fedpet.synthetic.profiles import share
from fedpet.synthetic.subject import TABLE, Roll, people, write_subjects
from fedpet.synthetic.truth import truth_document, truth_table

GENERATOR = 1
CHUNK = 12
MARKER = "phantom.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteWritten:
    """One hospital is complete.

    Args:
        site: Its name.
        subjects: Rows of its table.
        scans: Subjects with a PET-CT.
        files: Image and mask files.
        bytes: Size of those files.
        seconds: Work spent on it, added over processes; 0 if it was complete before.
    """

    site: str
    subjects: int
    scans: int
    files: int
    bytes: int
    seconds: float


def write_hospitals(
    folder: Path,
    *,
    subjects: int = 320,
    sites: int = 10,
    seed: int = 2026,
    spacing_mm: float = 8.0,
    workers: int | None = None,
) -> Iterator[SiteWritten]:
    """Write phantom hospitals and, beside them, the truth that no hospital knows.

    Each hospital is written under another name and renamed when complete, so that a killed run
    can be repeated: complete hospitals are kept, the others are written again. The same
    arguments give the same bytes, whatever the number of processes.

    Args:
        folder: Where `<site>/`, `truth.json` and `truth.csv` go.
        subjects: Subjects in all.
        sites: Hospitals, at most 10.
        seed: Decides every number.
        spacing_mm: Voxel size of the grid that `cohort.toml` asks for.
        workers: Processes; as many as cores unless told.

    Yields:
        A record for each hospital as it is completed.

    Raises:
        DataError: If numbers are out of range, or a folder of a hospital's name holds anything
            but a phantom hospital of the same arguments.
    """
    rolls = [
        Roll(seed=seed, index=index, subjects=count)
        for index, count in enumerate(share(subjects, sites=sites))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    settings = {roll.hospital.site: _settings(roll, spacing_mm) for roll in rolls}
    missing = []
    for roll in rolls:
        done = _complete(folder / roll.hospital.site, settings[roll.hospital.site])
        if done is None:
            missing.append(roll)
        else:
            yield done
    whole = {"sites": sites, "subjects": subjects, "seed": seed, "generator": GENERATOR}
    if not missing and _has_truth(folder, whole):
        return
    for roll in missing:
        _begin(folder, roll, spacing_mm)
    for roll, written, seconds in _write_all(folder, missing, workers or os.cpu_count() or 1):
        yield _finish(folder, roll, written, seconds, settings[roll.hospital.site])
    _write_whole(folder / "truth.csv", truth_table(rolls))
    known = truth_document(rolls, ceilings=ceiling(sites=sites, seed=seed), settings=whole)
    _write_whole(folder / "truth.json", json.dumps(known, indent=1, sort_keys=True) + "\n")


def _settings(roll: Roll, spacing_mm: float) -> dict[str, object]:
    return {
        "site": roll.hospital.site,
        "seed": roll.seed,
        "subjects": roll.subjects,
        "spacing_mm": spacing_mm,
        "generator": GENERATOR,
    }


def _complete(home: Path, settings: dict[str, object]) -> SiteWritten | None:
    """Return the record of a hospital that is complete, or None if nothing is there."""
    if not home.exists():
        return None
    try:
        marker = json.loads((home / MARKER).read_text())
        known, counts = marker["settings"], marker["written"]
    except (OSError, ValueError, KeyError, TypeError):
        known, counts = None, None
    if known != settings:
        raise DataError(
            f"The folder '{home.name}' exists and is not the phantom hospital that was asked for.",
            why="It was made with other settings, or holds something else.",
            do="Choose another folder, or remove it yourself.",
        )
    return SiteWritten(site=home.name, seconds=0.0, **counts)


def _partial(folder: Path, roll: Roll) -> Path:
    return folder / f".{roll.hospital.site}.partial"


def _begin(folder: Path, roll: Roll, spacing_mm: float) -> None:
    home = _partial(folder, roll)
    if home.exists():
        shutil.rmtree(home)
    (home / "images").mkdir(parents=True)
    ids = [roll.patient_id(number) for number in range(roll.subjects)]
    table = tables.clinical_table(roll.hospital, people(roll), ids, roll.stream(TABLE))
    (home / "clinical.csv").write_text(table, encoding="utf-8")
    (home / "dictionary.toml").write_text(tables.dictionary(roll.hospital), encoding="utf-8")
    settings = tables.cohort_settings(roll.hospital, spacing_mm=spacing_mm)
    (home / "cohort.toml").write_text(settings, encoding="utf-8")
    key = hashlib.sha256(f"{roll.seed}/{roll.hospital.site}/pseudonym".encode()).hexdigest()
    secret = home / "pseudonym.key"
    secret.touch(mode=0o600)
    secret.write_text(key + "\n", encoding="ascii")


def _timed(roll: Roll, numbers: range, home: Path) -> tuple[Written, float]:
    start = time.perf_counter()
    written = write_subjects(roll, numbers, home)
    return written, time.perf_counter() - start


def _write_all(
    folder: Path, rolls: list[Roll], workers: int
) -> Iterator[tuple[Roll, Written, float]]:
    """Write the images of all hospitals, a few subjects at a time; yield a hospital when done."""
    chunks = [
        (roll, range(start, min(start + CHUNK, roll.subjects)), _partial(folder, roll))
        for roll in rolls
        for start in range(0, roll.subjects, CHUNK)
    ]
    left = {roll: sum(chunk[0] == roll for chunk in chunks) for roll in rolls}
    totals = {roll: (Written(scans=0, files=0, bytes=0), 0.0) for roll in rolls}
    for roll, (written, seconds) in _computed(chunks, min(workers, len(chunks))):
        before, spent = totals[roll]
        totals[roll] = (before + written, spent + seconds)
        left[roll] -= 1
        if not left[roll]:
            yield roll, *totals[roll]


_Chunk = tuple[Roll, range, Path]


def _computed(chunks: list[_Chunk], workers: int) -> Iterator[tuple[Roll, tuple[Written, float]]]:
    if workers <= 1:
        for chunk in chunks:
            yield chunk[0], _timed(*chunk)
        return
    # Fresh processes, not forked ones: the caller may run threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        waiting: dict[Future[tuple[Written, float]], Roll] = {
            pool.submit(_timed, *chunk): chunk[0] for chunk in chunks
        }
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _finish(
    folder: Path, roll: Roll, written: Written, seconds: float, settings: dict[str, object]
) -> SiteWritten:
    counts = {
        "subjects": roll.subjects,
        "scans": written.scans,
        "files": written.files,
        "bytes": written.bytes,
    }
    home = _partial(folder, roll)
    marker = {"settings": settings, "written": counts}
    (home / MARKER).write_text(json.dumps(marker, indent=1, sort_keys=True) + "\n")
    home.rename(folder / roll.hospital.site)
    return SiteWritten(site=roll.hospital.site, seconds=seconds, **counts)


def _has_truth(folder: Path, settings: dict[str, int]) -> bool:
    try:
        known = json.loads((folder / "truth.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(known, dict) and known.get("settings") == settings


def _write_whole(file: Path, text: str) -> None:
    """Write a file so that it is either absent or whole."""
    draft = file.with_name(f".{file.name}.partial")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
