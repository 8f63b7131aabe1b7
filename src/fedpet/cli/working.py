"""Follow work that goes hospital by hospital, such as building cohorts, live or in lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fedpet.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

LINE_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One hospital's part of the work.

    Args:
        done: Things done.
        total: Things to do; 0 while unknown.
        state: `waiting`, `working`, `answered` (done) or `failed`.
        note: What else to tell.
    """

    done: int = 0
    total: int = 0
    state: str = "waiting"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Work over hospitals.

    Args:
        title: What is done.
        things: What is counted, such as `scans`.
        shares: By hospital.
        fresh: Things done since the start that were not done before; they tell the pace.
    """

    title: str
    things: str
    shares: Mapping[str, Share] = field(default_factory=dict)
    fresh: int = 0

    def with_share(self, site: str, share: Share, *, fresh: int = 0) -> Work:
        """Return the work with a hospital's part replaced."""
        shares = {**self.shares, site: share}
        return replace(self, shares=shares, fresh=self.fresh + fresh)

    @property
    def done(self) -> int:
        """Things done at all hospitals."""
        return sum(share.done for share in self.shares.values())

    @property
    def total(self) -> int:
        """Things to do at all hospitals, as far as known."""
        return sum(share.total for share in self.shares.values())

    def seconds_left(self, elapsed_s: float) -> float | None:
        """Return the seconds that should remain; None where that is unknown."""
        unknown = any(
            share.state == "waiting" and not share.total for share in self.shares.values()
        )
        if unknown or self.fresh < 5:
            return None
        return elapsed_s / self.fresh * (self.total - self.done)


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
