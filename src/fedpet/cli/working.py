"""Follow work that goes hospital by hospital, such as building cohorts, live or in lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fedpet.cli.terminal import Terminal
from fedpet.cli.work import Work

if TYPE_CHECKING:
    from rich.console import RenderableType

LINE_EVERY_S = 10.0


class Display:
    """Shows work; give it the work whenever it has changed.

    Args:
        terminal: Where to show it.
        started_s: Clock when the work began.
    """

    def __init__(self, terminal: Terminal, *, started_s: float) -> None:
        self._terminal = terminal
        self._started_s = started_s
        self._told_s = started_s
        self._finished: set[str] = set()
        self.work: Work | None = None

    def show(self, work: Work) -> None:
        """Show the work as it stands now."""
        self.work = work
        if self._terminal.animated:
            return
        for site, share in work.shares.items():
            if share.state in ("answered", "failed") and site not in self._finished:
                self._finished.add(site)
                self._say(f"{site}: {share.note}" if share.note else f"{site}: {share.state}")
        if time.monotonic() - self._told_s > LINE_EVERY_S:
            self._say(f"{work.title}: {work.done} of {work.total} {work.things}{self._left(work)}")

    def draw(self) -> RenderableType:
        """Return the picture of the work."""
        from fedpet.cli.drawing import draw_work

        if self.work is None:
            return ""
        return draw_work(self.work, elapsed_s=time.monotonic() - self._started_s)

    def _say(self, line: str) -> None:
        self._told_s = time.monotonic()
        self._terminal.say(line)

    def _left(self, work: Work) -> str:
        from fedpet.cli.drawing import time_left

        left = time_left(work.seconds_left(time.monotonic() - self._started_s))
        return f", {left}" if left else ""


@contextmanager
def display(terminal: Terminal) -> Iterator[Display]:
    """Show work while the block runs: a moving picture where the terminal can."""
    shown = Display(terminal, started_s=time.monotonic())
    if not terminal.animated:
        yield shown
        return
    from rich.live import Live

    live = Live(
        console=terminal.console(sys.stderr),
        get_renderable=shown.draw,
        refresh_per_second=8,
        transient=True,
    )
    with live:
        yield shown
