"""Build the cohorts of several hospitals with one pool of processes, two hospitals at a time.

While the scans of one hospital are prepared, the folder of the next one is looked through.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from fedpet.cohort.build import BuildRecord, build
from fedpet.cohort.prepare import open_pool
from fedpet.errors import FedpetError

AT_ONCE = 2
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Told:
    """What the build of one hospital tells: a record, or the error that ended it."""

    site: str
    record: BuildRecord | FedpetError


def build_all(hospitals: Mapping[str, Path], *, workers: int | None = None) -> Iterator[Told]:
    """Build hospitals' cohorts; one that fails stops no other.

    Args:
        hospitals: Folders by site.
        workers: Processes; as many as cores unless told.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(hospitals) == 1:
        for site, folder in hospitals.items():
            yield from _records(site, folder, workers=workers, executor=None)
        return
    with open_pool(workers) as pool:
        yield from _together(hospitals, workers=workers, pool=pool)


def _records(
    site: str, folder: Path, *, workers: int, executor: Executor | None
) -> Generator[Told, None, None]:
    try:
        for record in build(folder, workers=workers, executor=executor):
            yield Told(site, record)
    except FedpetError as error:
        yield Told(site, error)


def _together(hospitals: Mapping[str, Path], *, workers: int, pool: Executor) -> Iterator[Told]:
    queue: SimpleQueue[Told] = SimpleQueue()
    stop = threading.Event()

    def work(site: str, folder: Path) -> None:
        # A generator is closed in the thread that ran it; its lock on the folder asks for that.
        with closing(_records(site, folder, workers=workers, executor=pool)) as records:
            for told in records:
                if stop.is_set():
                    return
                queue.put(told)

    threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hospital")
    try:
        futures = [threads.submit(work, site, folder) for site, folder in hospitals.items()]
        yield from _told(queue, futures)
    finally:
        stop.set()
        threads.shutdown(cancel_futures=True)


def _told(queue: SimpleQueue[Told], futures: list[Future[None]]) -> Iterator[Told]:
    """Pass records on until every build has ended and the queue is empty."""
    while True:
        ended = all(future.done() for future in futures)
        try:
            yield queue.get(timeout=POLL_S)
        except Empty:
            if ended:
                break
    for future in futures:
        future.result()
