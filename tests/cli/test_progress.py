"""What is seen while something runs: on a terminal, and in a log."""

from __future__ import annotations

import io
import os
import signal
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fedpet.cli.board import Board, board_of
from fedpet.cli.drawing import draw_board, draw_work, sparkline, time_left
from fedpet.cli.following import Lines, follow
from fedpet.cli.main import interruptible
from fedpet.cli.terminal import Terminal
from fedpet.cli.work import Share, Work
from fedpet.federation.records import (
    Finished,
    RoundClosed,
    SiteEnrolled,
    SiteState,
    StepClosed,
    StepStarted,
)
from toy import toy_plan

SITES = ("lyon", "nice")


def round_records(number: int, *, replayed: bool = False, loss: float = 2.0):
    """The records of one round in which one hospital answers and one fails."""
    label = f"Network, fold 1, round {number}"
    yield StepStarted(f"r{number}", label, SITES)
    if not replayed:
        yield SiteState("lyon", "ok", f"r{number}", 1.5)
        yield SiteState("nice", "failed", f"r{number}", 0.5, ("The disk is full.",))
    yield StepClosed(f"r{number}", label, 2.0, replayed)
    yield RoundClosed("Network, fold 1", 0, 2, number, 3, 1, loss / number, 2.0)


def board_after(records, *, seconds_each: float = 1.0) -> Board:
    """A board fed with records, one second apart."""
    board = board_of(toy_plan())
    for index, record in enumerate(records):
        board = board.taken(record, now_s=index * seconds_each)
    return board


def drawn(renderable, *, width: int = 100, height: int = 40) -> str:
    """What a screen of this size shows."""
    console = Console(
        file=io.StringIO(), width=width, height=height, highlight=False, force_terminal=False
    )
    console.print(renderable)
    text = console.file.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    return text


def test_the_screen_shows_a_row_per_hospital_rounds_and_loss():
    """Which hospital is stuck, at which step, is the question that peers leave open."""
    records = [
        SiteEnrolled("lyon", 30, {"pfs": 12, "os": 7}),
        SiteEnrolled("nice", 20, {"pfs": 9, "os": 4}),
        *round_records(1),
        *round_records(2),
        StepStarted("r3", "Network, fold 1, round 3", ("lyon",)),
    ]
    text = drawn(draw_board(board_after(records), now_s=12.0))
    lines = text.splitlines()
    assert "pfs events" in lines[0]
    assert lines[1].split()[:4] == ["lyon", "30", "12", "7"]
    assert "● working" in lines[1]
    assert "✗ failed" in lines[2]
    assert "The disk is full." in lines[2]
    assert "2 of 9  about" in text
    assert "█▁ 1.000  Network, fold 1" in text
    assert "Now     Network, fold 1, round 3" in text


def test_a_narrow_or_plain_screen_still_shows_every_hospital():
    """An old terminal of 60 columns without Unicode is a hospital's usual one."""
    records = [SiteEnrolled(site, 30, {"pfs": 12}) for site in SITES]
    board = board_after([*records, *round_records(1)])
    text = drawn(draw_board(board, now_s=9.0, unicode=False), width=60)
    assert text.isascii() or "━" in text
    assert "x failed" in text
    assert "lyon" in text


def test_more_hospitals_than_rows_are_told_as_a_number():
    """A federation of fifty must not scroll the screen away."""
    records = [SiteEnrolled(f"site-{index:02d}", 30, {"pfs": 12}) for index in range(50)]
    text = drawn(draw_board(board_after(records), now_s=0.0, height=24), height=24)
    assert "and 34 more" in text
    assert len(text.splitlines()) <= 24


def test_time_left_counts_fresh_work_only():
    """A resumed run replays hours in a second; that is no pace."""
    replayed = [record for number in (1, 2, 3) for record in round_records(number, replayed=True)]
    board = board_after(replayed)
    assert board.seconds_left(100.0) is None
    for number, now_s in ((1, 110.0), (2, 120.0)):
        for record in round_records(number):
            board = board.taken(record, now_s=now_s)
    left = board.seconds_left(120.0)
    assert board.rounds_done == 5
    assert left is not None
    assert 10 <= left <= 40


def test_lines_tell_rounds_trouble_and_replay_once():
    """In a log, a line per round; a hospital's trouble is told once, not in each round."""
    said: list[str] = []
    lines = Lines(said.append)
    board = board_of(toy_plan())
    records = [
        *round_records(1, replayed=True),
        *round_records(2),
        *round_records(3),
        StepStarted("e", "Evaluating", SITES),
        StepClosed("e", "Evaluating", 3.0, False),
        StepStarted("f", "Counting", SITES),
        StepClosed("f", "Counting", 0.01, False),
        Finished({}, {}),
    ]
    for index, record in enumerate(records):
        board = board.taken(record, now_s=float(index))
        lines.show(record, board, float(index))
    assert said[0] == "nice failed: The disk is full."
    assert said[1] == "Already done: 1 steps."
    assert said[2].startswith("Network, fold 1, round 2 of 3: loss 1.000, 1 hospitals, 2.0 s")
    assert said[3].startswith("Network, fold 1, round 3 of 3")
    assert said[4] == "Evaluating: 3.0 s"
    assert len(said) == 5


def test_quiet_says_nothing_and_returns_the_end(capsys):
    """`-q` in a script leaves standard error to errors."""
    end = Finished({"a": 1}, {})
    records = iter([*round_records(1), end])
    assert follow(records, plan=toy_plan(), terminal=Terminal(verbosity=-1)) is end
    told = capsys.readouterr()
    assert told.out == told.err == ""


def test_work_over_hospitals_shows_counts_and_time_left():
    """Building ten cohorts takes minutes; the rows say which one is at work."""
    work = Work(title="Building cohorts", things="scans")
    work = work.with_share("lyon", Share(done=10, total=20, state="working"), fresh=10)
    work = work.with_share("nice", Share(done=5, total=5, state="answered", note="5 subjects"))
    text = drawn(draw_work(work, elapsed_s=10.0))
    assert "10 of 20" in text
    assert "✓ done" in text
    assert "15 of 25  about 10 s left" in text
    unknown = work.with_share("lille", Share())
    assert unknown.seconds_left(10.0) is None


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=100))
def test_a_sparkline_is_never_longer_than_its_values(values):
    """Whatever a loss does, the line must fit the screen and not fail."""
    line = sparkline(values)
    assert len(line) <= min(40, len(values))


@given(st.one_of(st.none(), st.floats(0, 1e7)))
def test_time_left_is_short(seconds):
    """It stands at the end of a line."""
    assert len(time_left(seconds)) <= 20


def test_a_ctrl_c_that_a_library_swallows_still_ends_the_run():
    """While torch is being imported, a bare `except` may take it; the reader pressed it."""
    terminal = Terminal(verbosity=-1)

    def records():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        yield from round_records(1)
        yield Finished({}, {})

    with interruptible(terminal), pytest.raises(KeyboardInterrupt):
        follow(records(), plan=toy_plan(), terminal=terminal)
