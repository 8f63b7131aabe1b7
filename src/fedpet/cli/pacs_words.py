"""A pull while it runs, and what it found, for people. Lines of the list, never patients."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fedpet.cli.terminal import Terminal
from fedpet.errors import FedpetError
from fedpet.imaging.pacs.records import (
    Asked,
    Begun,
    Came,
    Pulled,
    PullRecord,
    SeriesDone,
    SubjectDone,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

LINE_EVERY_S = 5.0
ROWS_SHOWN = 20
REFUSED = {
    "objects_max": "over the limit of objects",
    "object_too_large": "larger than the limit",
    "disk_full": "the disk is nearly full",
    "not_written": "could not be written",
    "not_understood": "damaged, or without UIDs",
    "not_matching": "not the object that was announced",
}


class Progress:
    """What a pull has told so far, in one line."""

    def __init__(self) -> None:
        self.asked: Asked | None = None
        self.begun: Begun | None = None
        self.came: Came | None = None
        self.subject: SubjectDone | None = None
        self.failures = 0

    def take(self, record: PullRecord) -> None:
        """Take a record in."""
        match record:
            case Asked():
                self.asked = record
            case Begun():
                self.begun = record
            case Came():
                self.came = record
            case SubjectDone():
                self.subject = record
            case SeriesDone():
                self.failures += bool(record.error)

    def seconds_left(self) -> float | None:
        """Return the seconds that should remain; None while that is unknown."""
        begun, came = self.begun, self.came
        if begun is None or came is None or came.seconds < 1:
            return None
        if not begun.unknown and begun.objects and came.objects:
            return came.seconds * max(begun.objects - came.objects, 0) / came.objects
        if self.subject is not None and self.subject.number:
            rest = self.subject.total - self.subject.number
            return came.seconds * rest / self.subject.number
        return None

    def text(self) -> str:
        """Return the line."""
        from fedpet.cli.drawing import time_left

        if self.begun is None:
            asked = self.asked
            return f"Asking the PACS: {asked.number} of {asked.total} lines" if asked else ""
        parts = []
        subject = self.subject
        parts.append(f"{subject.number if subject else 0} of {self.begun.subjects} subjects")
        if self.came is not None:
            files = f"{self.came.files}"
            if self.begun.objects and not self.begun.unknown:
                files += f" of {self.begun.objects}"
            parts.append(f"{files} files")
            parts.append(rate(self.came.bytes, self.came.seconds))
        if self.failures:
            parts.append(f"{self.failures} attempts failed")
        if left := time_left(self.seconds_left()):
            parts.append(left)
        return ", ".join(parts)


def follow(records: Iterable[PullRecord], terminal: Terminal) -> Pulled:
    """Show a pull while it runs, and return its end."""
    progress = Progress()
    live = _live(progress, terminal) if terminal.animated else None
    told_s = time.monotonic()
    done: Pulled | None = None
    if live is not None:
        live.start()
    try:
        for record in records:
            progress.take(record)
            if isinstance(record, Pulled):
                done = record
            if live is not None:
                continue
            told_s = _tell(record, progress, terminal, told_s)
    finally:
        if live is not None:
            live.stop()
    if done is None:
        raise FedpetError("The pull ended without a result.", code="FP-1000")
    return done


def _tell(record: PullRecord, progress: Progress, terminal: Terminal, told_s: float) -> float:
    if isinstance(record, Begun):
        terminal.say(
            f"The PACS has {record.series} series of {record.subjects} lines; "
            f"{record.complete} are here already."
        )
    elif isinstance(record, SeriesDone) and (record.error or terminal.verbosity > 0):
        what = record.error or f"{record.files} files"
        terminal.say(f"Line {record.row}, {record.modality}: {what}")
    elif isinstance(record, Came | Asked) and time.monotonic() - told_s > LINE_EVERY_S:
        terminal.say(progress.text())
        return time.monotonic()
    return told_s


def _live(progress: Progress, terminal: Terminal) -> Live:
    from rich.live import Live

    return Live(
        console=terminal.console(sys.stderr),
        get_renderable=lambda: _drawn(progress),
        refresh_per_second=4,
        transient=True,
    )


def _drawn(progress: Progress) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from fedpet.cli.drawing import bar

    line = Text(progress.text())
    begun, came = progress.begun, progress.came
    if begun is None or came is None or begun.unknown or not begun.objects:
        return line
    hint = Text("Ctrl-C stops; what is here stays here.", style="dim")
    return Group(bar("Files", min(came.objects, begun.objects), begun.objects), line, hint)


def rate(size_bytes: int, seconds: float) -> str:
    """Return a transfer rate.

    Examples:
        >>> rate(157_000_000, 2.0)
        '78.5 MB/s'
    """
    return f"{size_bytes / 1e6 / max(seconds, 1e-9):.1f} MB/s"


def draw_found(
    rows: Sequence[Mapping[str, object]], modalities: Sequence[str], console: Console
) -> None:
    """Print what the PACS has: a line of the table for each line of the list."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("Line", *modalities, "Objects"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        series = row["series"]
        assert isinstance(series, Mapping)
        note = str(row["error"]) or ("" if series else "nothing found")
        objects = "" if row["objects"] is None else str(row["objects"])
        counts = [str(series.get(name, "")) for name in modalities]
        table.add_row(str(row["row"]), *counts, objects, note)
    console.print(table)
    there = sum(bool(row["series"]) for row in rows)
    console.print(f"\nThe PACS has series of {there} of {len(rows)} lines.")


def draw_pulled(done: Pulled, console: Console) -> None:
    """Print how a pull ended."""
    console.print(
        f"{done.complete} of {done.subjects} lines of the list are complete: {done.series} series "
        f"fetched, {done.skipped} were here already; {done.files} files, "
        f"{done.bytes / 1e6:.1f} MB, {done.seconds:.1f} s, {rate(done.bytes, done.seconds)}.",
        soft_wrap=True,
    )
    if done.absent:
        console.print(f"Nothing found for lines {_rows(done.absent)}.", soft_wrap=True)
    for line in _refused(done.refused):
        console.print(line)


def listened(files: int, size_bytes: int, refused: Mapping[str, int]) -> str:
    """Return what a receiver got, in words."""
    lines = [f"{files} files received, {size_bytes / 1e6:.1f} MB."]
    return "\n".join([*lines, *_refused(refused)])


def _refused(refused: Mapping[str, int]) -> list[str]:
    return [f"{number} objects refused: {REFUSED[why]}." for why, number in refused.items()]


def _rows(rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:ROWS_SHOWN]))
    return f"{shown} and {len(rows) - ROWS_SHOWN} more" if len(rows) > ROWS_SHOWN else shown
