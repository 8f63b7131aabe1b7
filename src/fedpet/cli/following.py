"""Follow an experiment: on a moving screen where there is one, otherwise line by line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fedpet.cli.board import Board, board_of, judged_in_words
from fedpet.cli.terminal import Terminal
from fedpet.errors import FedpetError
from fedpet.federation.records import (
    Finished,
    ModelJudged,
    Record,
    RoundClosed,
    SiteState,
    StepClosed,
    StepStarted,
)
from fedpet.plan import Plan

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

REFRESH_PER_SECOND = 8
WORTH_A_LINE_S = 0.5


class Lines:
    """Tell an experiment in lines: one per round, and per group of steps that took a while.

    Args:
        say: Prints a line.
        every_step: Whether steps are told one by one.
    """

    def __init__(self, say: Callable[[str], None], *, every_step: bool = False) -> None:
        self._say = say
        self._every_step = every_step
        self._label = ""
        self._steps = 0
        self._seconds = 0.0
        self._replayed = 0
        self._told: set[tuple[str, str]] = set()

    def show(self, record: Record, board: Board, now_s: float) -> None:
        """Tell a record, if it is worth a line."""
        match record:
            case StepStarted():
                if record.label != self._label or self._every_step:
                    self._flush()
                    self._label = record.label
            case StepClosed():
                if record.replayed:
                    self._replayed += 1
                    return
                self._tell_replayed()
                self._steps += 1
                self._seconds += record.seconds
            case RoundClosed():
                if self._steps:
                    self._say(_round(record, board, now_s))
                self._steps, self._seconds = 0, 0.0
            case ModelJudged():
                if not self._replayed:
                    self._say(judged_in_words(record))
            case SiteState():
                self._tell_trouble(record)
            case Finished():
                self._tell_replayed()
                self._flush()

    def _flush(self) -> None:
        if self._steps and (self._every_step or self._seconds >= WORTH_A_LINE_S):
            count = "" if self._steps == 1 else f"{self._steps} steps, "
            self._say(f"{self._label}: {count}{self._seconds:.1f} s")
        self._steps, self._seconds = 0, 0.0

    def _tell_replayed(self) -> None:
        if self._replayed:
            self._say(f"Already done: {self._replayed} steps.")
        self._replayed = 0

    def _tell_trouble(self, record: SiteState) -> None:
        reason = " ".join(record.reasons)
        if record.state != "ok" and (record.site, reason) not in self._told:
            self._told.add((record.site, reason))
            self._say(f"{record.site} {record.state}: {reason}")


def follow(records: Iterator[Record], *, plan: Plan, terminal: Terminal) -> Finished:
    """Draw an experiment while it runs, and return its end.

    Args:
        records: From the experiment.
        plan: What is run.
        terminal: Where to draw.

    Raises:
        KeyboardInterrupt: At the next record after Ctrl-C, wherever it fell.
    """
    board = board_of(plan)
    finished: Finished | None = None
    with ExitStack() as stack:
        if terminal.animated:
            screen = stack.enter_context(Screen(terminal.console(sys.stderr)))
            screen.board = board
            lines = None
        else:
            screen = None
            lines = Lines(terminal.say, every_step=terminal.verbosity > 0)
        for record in records:
            if terminal.interrupted:
                raise KeyboardInterrupt  # a library swallowed it
            now_s = time.monotonic()
            board = board.taken(record, now_s=now_s)
            if screen is not None:
                screen.board = board
            elif lines is not None:
                lines.show(record, board, now_s)
            if isinstance(record, Finished):
                finished = record
    if finished is None:
        raise FedpetError("The experiment ended without results.", code="FP-1003")
    return finished


class Screen:
    """A moving picture of a board; a thread draws whatever board stands here.

    Args:
        console: Where to draw.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self.board: Board | None = None
        self._console = console
        self._live = Live(
            console=console,
            get_renderable=self._draw,
            refresh_per_second=REFRESH_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _draw(self) -> RenderableType:
        from fedpet.cli.drawing import draw_board

        if self.board is None:
            return ""
        return draw_board(
            self.board,
            now_s=time.monotonic(),
            height=self._console.height,
            unicode=self._console.encoding.lower().startswith("utf"),
        )


def _round(record: RoundClosed, board: Board, now_s: float) -> str:
    from fedpet.cli.drawing import time_left

    left = time_left(board.seconds_left(now_s))
    loss = "loss not told" if record.loss is None else f"loss {record.loss:.3f}"
    told = (
        f"{record.label}, round {record.round} of {record.rounds}: {loss}, "
        f"{record.sites} hospitals, {record.seconds:.1f} s"
    )
    return f"{told}, {left}" if left else told
