"""One scan to one cache entry, and all scans of a hospital over processes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from fedpet.cohort.cache import Fact, Record, pack, read_entry, write_entry
from fedpet.cohort.measured import biomarkers_of_scan, by_weight, lesions_of
from fedpet.cohort.method import Rules
from fedpet.cohort.pool import open_pool
from fedpet.cohort.prepared import Prepared
from fedpet.cohort.quality import Failure
from fedpet.errors import DataError
from fedpet.imaging.body_size import Kind
from fedpet.imaging.facts import Corrections
from fedpet.imaging.grid import common_grid, mips
from fedpet.imaging.pairing import Scan
from fedpet.imaging.plausibility import judge
from fedpet.imaging.provenance import SuvProvenance, plain_facts
from fedpet.imaging.scan import read_scan
from fedpet.imaging.volume import Volume
from fedpet.imaging.window import Window, show

BODY_SUV_MIN = 0.1
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
        window: What the common grid shows.
        rules: How lesions are found and what is measured.
        kind: Which SUV.
        corrections: What the hospital says in place of the header.
    """

    scan: Scan
    subject: str
    key: str
    cache: Path
    window: Window
    rules: Rules
    kind: Kind = "bw"
    corrections: Corrections | None = None


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
            yield Prepared(
                subject=task.subject, key=task.key, outcome=record, seconds=seconds, cached=True
            )
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
    return Prepared(
        subject=task.subject,
        key=task.key,
        outcome=outcome,
        seconds=perf_counter() - start,
        cached=False,
    )


def _entry(task: Task) -> Record:
    fit = None
    if task.rules == Rules() and task.kind == "bw" and task.window.head == "keep":
        fit = partial(common_grid, ct=None, spacing_mm=task.window.spacing_mm)
    images = read_scan(task.scan, kind=task.kind, corrections=task.corrections, fit=fit)
    weighed = by_weight(images)
    origin = lesions_of(images, weighed, task.rules)
    lesions = origin.labels
    shown = show(
        images.suv,
        images.ct,
        lesions,
        task.window,
        to_body_weight=images.provenance.to_body_weight or 1.0,
    )
    plausible = judge(images.suv, shown.ct, images.provenance, search=shown.suv)
    volume, channels = pack(
        shown.suv.array,
        None if shown.ct is None else shown.ct.array,
        None if shown.lesions is None else shown.lesions.array,
    )
    record = Record(
        channels=channels,
        lesions=origin.name,
        biomarkers=biomarkers_of_scan(
            images,
            weighed,
            lesions,
            scan=task.scan,
            corrections=task.corrections,
            groups=task.rules.biomarkers,
        ),
        body_suv=_body_suv(weighed),
        provenance={
            **facts(images.provenance),
            **plausible.numbers(),
            "lesion_threshold_suv": origin.threshold_suv,
        },
        remarks=tuple(
            (remark.code, remark.text)
            for remark in (
                *images.remarks,
                *origin.remarks,
                *shown.remarks,
                *plausible.remarks,
            )
        ),
        volume="",
        files={},
    )
    return write_entry(task.cache, task.key, volume=volume, mips=mips(shown.suv), record=record)


def _body_suv(suv: Volume) -> float:
    body = suv.array[suv.array > BODY_SUV_MIN]
    return float(body.mean(dtype=np.float64)) if body.size else float("nan")


def facts(provenance: SuvProvenance) -> dict[str, Fact]:
    """Return the rules by which SUV was found as plain facts, candidates each on its own.

    Examples:
        >>> facts(SuvProvenance(units="GML", rule="already SUV"))["units"]
        'GML'
    """
    return plain_facts(provenance)
