"""A hospital's folder to a cohort. Read `build` from top to bottom: it is the whole walk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from fedpet.cohort import cache
from fedpet.cohort.assemble import FINDINGS, Parts, join, write
from fedpet.cohort.clinical import read_table
from fedpet.cohort.endpoints import endpoints_of
from fedpet.cohort.findings import Finding, left_out, to_json
from fedpet.cohort.inputs import cores, read_inputs
from fedpet.cohort.listing import recall, remember
from fedpet.cohort.manifest import keep_private
from fedpet.cohort.prepared import Prepared, known_already, lasting
from fedpet.cohort.quality import Failure
from fedpet.errors import DataError, StoreError

if TYPE_CHECKING:
    from fedpet.cohort.prepare import Task

OUT = "cohort"
LOCK = ".build.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The folder was indexed and the table read.

    Args:
        scans: PET scans, one a subject.
        rejected: Series and masks that are not used.
        rows: Rows of the table.
        seconds: Wall time so far.
    """

    scans: int
    rejected: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanDone:
    """One scan is in the cache, or cannot be used.

    Args:
        pseudonym: Of the subject.
        number: How many are done.
        total: How many there are.
        seconds: Work on this one.
        cached: Whether it was in the cache already.
        problem: Why it cannot be used; empty if it can.
    """

    pseudonym: str
    number: int
    total: int
    seconds: float
    cached: bool
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The cohort is on disk.

    Args:
        subjects: In the cohort.
        left_out: Subjects with a finding of severity `error`.
        findings: Worst first.
        seconds: Wall time of the build.
        fingerprint: Of the cohort.
    """

    subjects: int
    left_out: int
    findings: tuple[Finding, ...]
    seconds: float
    fingerprint: str


BuildRecord: TypeAlias = Found | ScanDone | Built


def build(
    folder: Path, *, workers: int | None = None, executor: Executor | None = None
) -> Iterator[BuildRecord]:
    """Build the cohort of a hospital's folder, in `<folder>/cohort`.

    A scan that was prepared before is not read again; an interrupted build goes on where it was.
    Subjects with a finding of severity `error` are left out and counted.

    Args:
        folder: With `cohort.toml`, the table, its dictionary and the images.
        workers: Processes that prepare scans; one per core unless told.
        executor: A pool from `pool.open_pool` that several builds share.

    Yields:
        `Found`, a `ScanDone` for each scan, `Built`.

    Raises:
        NotFoundError: If a file of the folder is absent.
        DataError: If a file cannot be used, or no subject can; `findings.json` tells why.
        StoreError: If another build runs in this folder, or the key cannot be read.
    """
    start = perf_counter()
    inputs = read_inputs(folder)
    out = folder / OUT
    with _locked(out):
        table = read_table(inputs.table, inputs.dictionary, inputs.pseudonyms)
        state = inputs.state(table)
        listing = recall(out, state=state, pseudonyms=inputs.pseudonyms)
        known: Iterable[Prepared] | None = None
        if listing is not None:
            known = known_already(listing, out / cache.FOLDER)
        tasks: list[Task] = []
        if listing is None or known is None:
            # What reads images takes a second to load; an unchanged folder needs none of it.
            from fedpet.cohort.looking import look
            from fedpet.cohort.prepare import prepare_all

            listing, tasks = look(inputs, out / cache.FOLDER)
            known = prepare_all(tasks, workers=workers or cores(), executor=executor)
        yield Found(
            scans=len(listing.scans),
            rejected=len(listing.rejected),
            rows=table.rows,
            seconds=perf_counter() - start,
        )
        prepared: list[Prepared] = []
        for done in known:
            prepared.append(done)
            yield _told(done, number=len(prepared), total=len(listing.scans))
        if tasks:
            listing = replace(listing, failures=lasting(prepared))
            remember(listing, out, state=state, pseudonyms=inputs.pseudonyms)
        endpoints = endpoints_of(table, today=date.today())
        parts = Parts(inputs=inputs, table=table, listing=listing, prepared=tuple(prepared))
        joined = join(parts, endpoints)
        keep_private(out / FINDINGS, to_json(joined.findings))
        if not joined.rows:
            raise _nobody(joined.findings)
        manifest = write(parts, endpoints, joined, out)
        cache.prune(out / cache.FOLDER, set(listing.keys))
        yield Built(
            subjects=len(joined.rows),
            left_out=len(left_out(joined.findings)),
            findings=joined.findings,
            seconds=perf_counter() - start,
            fingerprint=manifest.fingerprint,
        )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep a second build out of the folder; the lock is gone with the process, however it ends."""
    try:
        out.mkdir(mode=0o700, exist_ok=True)
        (out / cache.FOLDER).mkdir(mode=0o700, exist_ok=True)
        lock = sqlite3.connect(out / LOCK, isolation_level=None, timeout=0)
    except (OSError, sqlite3.Error):
        raise StoreError(
            "The hospital's folder may not be written.", do="Ask for write permission."
        ) from None
    try:
        try:
            lock.execute("begin exclusive")
        except sqlite3.Error:
            raise StoreError(
                "Another build runs in this folder.", do="Wait until it is done, or stop it."
            ) from None
        yield
    finally:
        lock.close()


def _told(done: Prepared, *, number: int, total: int) -> ScanDone:
    return ScanDone(
        pseudonym=done.subject,
        number=number,
        total=total,
        seconds=done.seconds,
        cached=done.cached,
        problem=done.outcome.title if isinstance(done.outcome, Failure) else "",
    )


def _nobody(findings: Sequence[Finding]) -> DataError:
    """Say that no subject can be used, and why: all reasons, worst first."""
    reasons = [f"{f.title} {f.fix}" for f in findings if f.severity == "error"]
    return DataError(
        "No subject can be used.",
        why="\n".join(reasons) or "There is no subject with both a PET scan and a row.",
        do="Correct what is listed and build again; scans that are done are not read again.",
        code="FP-2106",
    )
