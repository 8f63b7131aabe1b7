"""Fetch the series of a patient list, continue where it stopped, and say what is missing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedpet.errors import EngineError, FedpetError, StoreError
from fedpet.imaging.pacs import words
from fedpet.imaging.pacs.inbox import Inbox
from fedpet.imaging.pacs.journal import PullJournal
from fedpet.imaging.pacs.lines import Fetcher, fetcher, finder
from fedpet.imaging.pacs.query import SeriesFound, Wanted
from fedpet.imaging.pacs.records import (
    Asked,
    Begun,
    Came,
    Pulled,
    PullRecord,
    SeriesDone,
    SubjectDone,
)
from fedpet.imaging.pacs.retrieve import Sent
from fedpet.imaging.pacs.settings import MODALITIES, PacsSettings, Retrieve

TELL_EVERY_S = 0.2
FAILURES_IN_A_ROW_MAX = 5
PAUSE_S = 1.0


@dataclass(slots=True)
class _Pull:
    """What a pull knows while it runs."""

    settings: PacsSettings
    folder: Path
    inbox: Inbox
    journal: PullJournal
    started_s: float
    found: dict[int, list[SeriesFound]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    fetched: int = 0
    accounted: int = 0
    in_a_row: int = 0
    last_told_s: float = 0.0


def find(
    settings: PacsSettings,
    folder: Path,
    wanted: Sequence[Wanted],
    *,
    by: Retrieve | None = None,
    modalities: tuple[str, ...] = MODALITIES,
) -> Iterator[tuple[Asked, tuple[SeriesFound, ...]]]:
    """Look every line of a list up and yield what the PACS has.

    Args:
        settings: Where the PACS is.
        folder: Of pacs.toml, from where its files are named.
        wanted: The list.
        by: `web` asks DICOMweb, anything else C-FIND; as pacs.toml says unless told.
        modalities: Of the series; all if empty.

    Raises:
        FedpetError: If the PACS cannot be asked at all, or five lines in a row fail.
    """
    with finder(
        settings, folder, by=by or settings.pacs.retrieve, modalities=modalities
    ) as look_up:
        in_a_row = 0
        for number, one in enumerate(wanted, start=1):
            series: tuple[SeriesFound, ...] = ()
            error = ""
            try:
                series = look_up(one)
                in_a_row = 0
            except EngineError as failure:
                in_a_row += 1
                if number == 1 or in_a_row >= FAILURES_IN_A_ROW_MAX:
                    raise
                error = failure.why or failure.title
            counts = Counter(found.modality for found in series)
            asked = Asked(
                row=one.row, number=number, total=len(wanted), series=dict(counts), error=error
            )
            yield asked, series


def pull(
    settings: PacsSettings,
    folder: Path,
    wanted: Sequence[Wanted],
    into: Path,
    *,
    by: Retrieve | None = None,
    modalities: tuple[str, ...] = MODALITIES,
) -> Iterator[PullRecord]:
    """Fetch the series of a patient list into a folder; what is complete is not fetched again.

    A series is complete when the journal says so and as many files, of the same size, are here.
    A series that fails is tried again after the others; what stays incomplete is told by line of
    the list. May be stopped and continued at any time.

    Args:
        settings: Where the PACS is.
        folder: Of pacs.toml; the journal `pacs.db` stands there too.
        wanted: The list.
        into: Where files go, as `STUDY/SERIES/INSTANCE.dcm`.
        by: The way; as pacs.toml says unless told.
        modalities: What to fetch.

    Raises:
        FedpetError: If nothing can be fetched: no connection, no right, no space, or another
            pull at work.
    """
    way = by or settings.pacs.retrieve
    with PullJournal(folder / "pacs.db") as journal:
        inbox = Inbox(into, settings.limits)
        state = _Pull(settings, folder, inbox, journal, time.monotonic())
        try:
            yield from _look_up(state, wanted, way, modalities)
            state.started_s = time.monotonic()
            with fetcher(settings, folder, inbox, by=way, modalities=modalities) as fetch:
                yield from _fetch_all(state, fetch)
            if hasattr(os, "sync"):
                os.sync()  # once at the end: after every file it would halve the speed
            yield _pulled(state, wanted)
        finally:
            inbox.close()


def _look_up(
    state: _Pull, wanted: Sequence[Wanted], way: Retrieve, modalities: tuple[str, ...]
) -> Iterator[PullRecord]:
    seen: set[str] = set()
    complete = objects = unknown = 0
    for asked, series in find(state.settings, state.folder, wanted, by=way, modalities=modalities):
        if asked.error:
            state.errors[asked.row] = asked.error
        for found in series:
            if found.series in seen:
                continue
            seen.add(found.series)
            state.found.setdefault(asked.row, []).append(found)
            if _complete(state, found):
                complete += 1
            elif found.objects is None:
                unknown += 1
            else:
                objects += found.objects
        yield asked
    yield Begun(
        subjects=len(state.found),
        series=len(seen),
        complete=complete,
        objects=objects,
        unknown=unknown,
    )


def _complete(state: _Pull, found: SeriesFound) -> bool:
    before = state.journal.done(found.series)
    if before is None:
        return False
    here = state.inbox.held(found.study, found.series)
    # A size that changed: a file that a power failure left empty, or that somebody altered.
    return here == before and (found.objects is None or here.files >= found.objects)


def _fetch_all(state: _Pull, fetch: Fetcher) -> Iterator[PullRecord]:
    again: list[SeriesFound] = []
    for number, (row, series) in enumerate(state.found.items(), start=1):
        failed = 0
        for found in series:
            if _complete(state, found):
                state.skipped += 1
                continue
            yield from _fetch(state, fetch, found, attempt=1)
            if found.series in state.bad:
                failed += 1
                again.append(found)
        yield SubjectDone(row=row, number=number, total=len(state.found), failed=failed)
    for attempt in range(2, state.settings.limits.retries + 2):
        if not again:
            return
        time.sleep(PAUSE_S)
        for found in again:
            yield from _fetch(state, fetch, found, attempt=attempt)
        again = [found for found in again if found.series in state.bad]


def _fetch(
    state: _Pull, fetch: Fetcher, found: SeriesFound, *, attempt: int
) -> Iterator[PullRecord]:
    """Fetch one series, note how it ended, and tell."""
    error: FedpetError | None = None
    sent = Sent(0, 0)
    accounted = state.accounted
    try:
        for sent in fetch(found):
            state.accounted = accounted + sent.completed + sent.failed
            yield from _came(state)
    except EngineError as failure:
        state.in_a_row += 1
        if state.in_a_row >= FAILURES_IN_A_ROW_MAX:
            raise
        error = failure
    held = state.inbox.held(found.study, found.series)
    here = held.files
    due = max(sent.completed + sent.failed, found.objects or 0)
    if {"disk_full", "objects_max"} & set(state.inbox.refused):
        raise _full(state)
    if error is None:
        state.in_a_row = 0
        if here < due or here == 0:
            error = words.came_incomplete(sent=due, came=here)
    if error is None:
        state.fetched += 1
        state.bad.pop(found.series, None)
    else:
        state.bad[found.series] = error.why if isinstance(error, EngineError) else error.title
    state.journal.note(found, held, reason=error.code if error else "")
    state.accounted = accounted + (found.objects or sent.completed)
    yield SeriesDone(
        row=found.row,
        modality=found.modality,
        files=here,
        attempt=attempt,
        error=state.bad.get(found.series, ""),
    )
    state.last_told_s = 0.0
    yield from _came(state)


def _came(state: _Pull) -> Iterator[Came]:
    now_s = time.monotonic()
    if now_s - state.last_told_s < TELL_EVERY_S:
        return
    state.last_told_s = now_s
    yield Came(
        files=state.inbox.files,
        bytes=state.inbox.bytes,
        objects=state.accounted,
        seconds=now_s - state.started_s,
    )


def _full(state: _Pull) -> StoreError:
    limits = state.settings.limits
    if "disk_full" in state.inbox.refused:
        return StoreError(
            f"The disk is full: less than {limits.free_gb:g} GB would stay free.",
            do="Make room, or lower [limits] free_gb in pacs.toml; then run the command again.",
            code="FP-3022",
        )
    return StoreError(
        f"{limits.objects} objects came in this run, the limit of pacs.toml.",
        do="Raise [limits] objects if that is meant; then run the same command again.",
        code="FP-3022",
    )


def _pulled(state: _Pull, wanted: Sequence[Wanted]) -> Pulled:
    failed = dict(state.errors)
    for row, series in state.found.items():
        reasons = [state.bad[found.series] for found in series if found.series in state.bad]
        if reasons:
            failed.setdefault(row, reasons[0])
    rows = {one.row for one in wanted}
    absent = sorted(rows - set(state.found) - set(state.errors))
    return Pulled(
        subjects=len(wanted),
        complete=len([row for row in state.found if row not in failed]),
        absent=tuple(absent),
        failed=failed,
        series=state.fetched,
        skipped=state.skipped,
        files=state.inbox.files,
        bytes=state.inbox.bytes,
        refused=dict(state.inbox.refused),
        seconds=time.monotonic() - state.started_s,
    )
