"""One scan to one cache entry, and all scans of a hospital over processes."""

from __future__ import annotations

import os
import signal
import struct
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from time import perf_counter

import numpy as np

from fedpet.biomarkers.catalogue import BIOMARKERS
from fedpet.biomarkers.metabolic import measure
from fedpet.cohort.cache import Fact, Record, pack, read_entry, write_entry
from fedpet.cohort.quality import Failure
from fedpet.errors import DataError
from fedpet.imaging.grid import common_grid, mips, to_common_grid
from fedpet.imaging.lesions import find_lesions
from fedpet.imaging.pairing import Scan
from fedpet.imaging.scan import Images, read_scan
from fedpet.imaging.suv import SuvProvenance
from fedpet.imaging.volume import Volume

BODY_SUV_MIN = 0.1
AIR_HU = -1024
WAITING_PER_WORKER = 3
# A process takes a while to start; a few scans are read sooner without one.
TRIALS = 2
START_S = 2.0
# What damaged files make the readers of pixels raise, besides our own errors.
DAMAGE = (OSError, ValueError, KeyError, IndexError, struct.error, NotImplementedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A scan to be prepared.

    Args:
        scan: As indexed.
        subject: Pseudonym.
        key: Of its cache entry.
        cache: Folder of the cache.
        spacing_mm: Of the common grid.
        search: Whether lesions are searched for (`threshold`); otherwise masks are given.
    """

    scan: Scan
    subject: str
    key: str
    cache: Path
    spacing_mm: float
    search: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A scan that is in the cache, or the reason why it is not.

    Args:
        task: What was asked.
        outcome: The record, or why there is none.
        seconds: Wall time; near 0 if the entry was there.
        cached: Whether the entry was there.
    """

    task: Task
    outcome: Record | Failure
    seconds: float
    cached: bool


def prepare_all(
    tasks: Sequence[Task], *, workers: int, executor: Executor | None = None
) -> Iterator[Prepared]:
    """Prepare scans: entries that are whole at once, then the others as they are done.

    Args:
        tasks: The scans.
        workers: Processes; 1 works in this one.
        executor: A pool from `open_pool` that several builds share.

    Raises:
        DataError: If a process was killed; what is done stays in the cache.
    """
    left = []
    for task in tasks:
        start = perf_counter()
        record = read_entry(task.cache, task.key)
        if record is None:
            left.append(task)
        else:
            seconds = perf_counter() - start
            yield Prepared(task=task, outcome=record, seconds=seconds, cached=True)
    if executor is not None:
        yield from _spread(left, executor, workers)
        return
    for task in left[:TRIALS]:
        trial = prepare(task)
        yield trial
    left = left[TRIALS:]
    if workers == 1 or not left or trial.seconds * len(left) < START_S * workers:
        yield from map(prepare, left)
    else:
        with open_pool(workers) as pool:
            yield from _spread(left, pool, workers)


@contextmanager
def open_pool(workers: int) -> Iterator[Executor]:
    """Start processes that prepare scans; they end with this one, however it ends."""
    # Fresh processes, not forked ones: the caller may run threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_be_a_worker)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _be_a_worker() -> None:
    """Leave Ctrl-C to the parent, which lets the scan at hand be finished; die with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.join,), daemon=True).start()


def _follow(join: object) -> None:
    assert callable(join)
    join()
    os._exit(1)


def _spread(tasks: Sequence[Task], pool: Executor, workers: int) -> Iterator[Prepared]:
    """Keep a few tasks waiting per process, so that nothing piles up."""
    coming = iter(tasks)
    waiting: set[Future[Prepared]] = set()
    try:
        while True:
            for task in coming:
                waiting.add(pool.submit(prepare, task))
                if len(waiting) >= WAITING_PER_WORKER * workers:
                    break
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "A process that read scans was ended from outside.",
            why="Most often the machine ran out of memory.",
            do="Build again with fewer workers; scans that are done are not read again.",
            code="FP-2109",
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def prepare(task: Task) -> Prepared:
    """Read one scan, measure it on its own grid, bring it to the common grid, cache it."""
    start = perf_counter()
    outcome: Record | Failure
    try:
        outcome = _entry(task)
    except DataError as error:
        title, fix = f"{error.title} {error.why}".strip(), " ".join(error.do)
        outcome = Failure(subject=task.subject, code=error.code, title=title, fix=fix)
    except DAMAGE as error:
        title = f"The files are damaged ({type(error).__name__})."
        outcome = Failure(subject=task.subject, code="FP-2158", title=title, fix="")
    return Prepared(task=task, outcome=outcome, seconds=perf_counter() - start, cached=False)


def _entry(task: Task) -> Record:
    images = read_scan(task.scan)
    lesions, origin = images.lesions, "given"
    if task.search:
        lesions, origin = find_lesions(images.suv, images.ct), "found"
    elif lesions is None:
        origin = "missing"
    grid = common_grid(images.suv, images.ct, spacing_mm=task.spacing_mm)
    suv = to_common_grid(images.suv, grid, fill=0.0, kind="pet")
    ct = lesions_there = None
    if images.ct is not None:
        ct = to_common_grid(images.ct, grid, fill=AIR_HU, kind="ct").array
    if lesions is not None:
        lesions_there = to_common_grid(lesions, grid, fill=0, kind="label").array
    volume, channels = pack(suv.array, ct, lesions_there)
    record = Record(
        channels=channels,
        lesions=origin,
        biomarkers=_measured(images, lesions),
        body_suv=_body_suv(images),
        provenance=facts(images.provenance),
        remarks=tuple((remark.code, remark.text) for remark in images.remarks),
        volume="",
        files={},
    )
    return write_entry(task.cache, task.key, volume=volume, mips=mips(suv), record=record)


def _measured(images: Images, lesions: Volume | None) -> dict[str, float]:
    if lesions is None:
        return dict.fromkeys(BIOMARKERS, float("nan"))
    return measure(images.suv, lesions)


def _body_suv(images: Images) -> float:
    body = images.suv.array[images.suv.array > BODY_SUV_MIN]
    return float(body.mean(dtype=np.float64)) if body.size else float("nan")


def facts(provenance: SuvProvenance) -> dict[str, Fact]:
    """Return the rules by which SUV was found as plain facts, candidates each on its own.

    Examples:
        >>> facts(SuvProvenance(units="GML", rule="already SUV"))["units"]
        'GML'
    """
    told = asdict(provenance)
    candidates = told.pop("candidates")
    return {**told, **{f"candidate_s/{name}": seconds for name, seconds in candidates}}
