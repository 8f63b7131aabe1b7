"""Build the cohorts of several hospitals with one pool of processes, two hospitals at a time.

While the scans of one hospital are prepared, the folder of the next one is looked through.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fedpet.cli.aside import aside
from fedpet.cohort.build import BuildRecord, build
from fedpet.cohort.pool import open_pool
from fedpet.errors import FedpetError

AT_ONCE = 2


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
    if workers == 1:
        for site, folder in hospitals.items():
            yield from _records(site, folder, workers=1, executor=None)
        return
    shared = open_pool(workers) if len(hospitals) > 1 else nullcontext()
    with shared as pool:
        sources = [
            partial(_records, site, folder, workers=workers, executor=pool)
            for site, folder in hospitals.items()
        ]
        yield from aside(sources, at_once=AT_ONCE)


def _records(
    site: str, folder: Path, *, workers: int, executor: Executor | None
) -> Generator[Told, None, None]:
    try:
        for record in build(folder, workers=workers, executor=executor):
            yield Told(site, record)
    except FedpetError as error:
        yield Told(site, error)
