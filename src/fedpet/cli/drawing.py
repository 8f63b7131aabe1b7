"""Draw what is going on: a row per hospital, bars, a sparkline. Values in, a picture out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedpet.cli.board import Board, Row
from fedpet.cli.work import Work

SPARKS = "▁▂▃▄▅▆▇█"
SPARKS_MAX = 40
SIGNS = {
    "waiting": ("·", "dim"),
    "working": ("●", "cyan"),
    "answered": ("✓", "green"),
    "resting": ("·", "dim"),
    "refused": ("✗", "red"),
    "failed": ("✗", "red"),
}
PLAIN_SIGNS = {"●": "*", "✓": "+", "✗": "x", "·": "."}


def draw_board(board: Board, *, now_s: float, height: int = 40, unicode: bool = True) -> Group:
    """Draw an experiment: a row per hospital, the rounds with time left, the loss.

    Args:
        board: What is known.
        now_s: The same clock that the board was fed with.
        height: Rows that the screen has; more hospitals than fit are told as a number.
        unicode: Whether the screen knows more than ASCII.
    """
    parts: list[RenderableType] = [_hospitals(board, rows_max=max(height - 8, 3), unicode=unicode)]
    parts.append(
        bar(
            "Rounds",
            board.rounds_done,
            board.rounds_total,
            note=time_left(board.seconds_left(now_s)),
        )
    )
    if board.losses:
        line = Text(f"{'Loss':<8}")
        line.append(sparkline(board.losses) if unicode else "", style="cyan")
        line.append(f" {board.losses[-1]:.3f}  {board.losses_of}")
        parts.append(line)
    if board.verdict:
        parts.append(Text(f"{'Votes':<8}{board.verdict}"))
    parts.append(Text(f"{'Now':<8}{board.label}"))
    parts.append(Text(f"{'':<8}Ctrl-C stops; what is done stays done.", style="dim"))
    return Group(*parts)


def bar(name: str, done: int, total: int, *, note: str = "") -> Table:
    """Draw a named bar with counts and a note."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=7)
    grid.add_column(width=30)
    grid.add_column(no_wrap=True)
    grid.add_row(
        name,
        ProgressBar(total=max(total, 1), completed=done, width=30),
        f"{done} of {total}{'  ' + note if note else ''}",
    )
    return grid


def sparkline(values: Sequence[float]) -> str:
    """Return values as small bars, the smallest lowest; the last ones where there are many.

    Examples:
        >>> sparkline([3.0, 2.0, 1.0])
        '█▅▁'
    """
    shown = [value for value in values[-SPARKS_MAX:] if math.isfinite(value)]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(SPARKS[round((value - low) / span * (len(SPARKS) - 1))] for value in shown)


def time_left(seconds: float | None) -> str:
    """Return a duration in words that do not pretend to be exact.

    Examples:
        >>> time_left(130.0)
        'about 2 min left'
    """
    if seconds is None:
        return ""
    if seconds < 60:
        return f"about {max(5, math.ceil(seconds / 5) * 5)} s left"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


def sign(state: str, *, unicode: bool) -> Text:
    """Return a state with its sign and colour; the word stays, for those who see no colour."""
    mark, style = SIGNS.get(state, ("·", ""))
    return Text(f"{mark if unicode else PLAIN_SIGNS[mark]} {state}", style=style)


def _hospitals(board: Board, *, rows_max: int, unicode: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("Hospital", no_wrap=True, max_width=28)
    table.add_column("Subjects", justify="right")
    endpoints = next((tuple(row.events) for row in board.rows.values() if row.events), ())
    for endpoint in endpoints:
        table.add_column(f"{endpoint} events", justify="right", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Seconds", justify="right")
    table.add_column("", overflow="ellipsis", no_wrap=True)
    shown = list(board.rows.items())[:rows_max]
    for site, row in shown:
        table.add_row(site, *_cells(row, endpoints, unicode=unicode))
    hidden = len(board.rows) - len(shown)
    if hidden:
        table.add_row(f"and {hidden} more")
    return table


def _cells(row: Row, endpoints: Sequence[str], *, unicode: bool) -> list[RenderableType]:
    return [
        "" if row.subjects is None else str(row.subjects),
        *(str(row.events.get(name, "")) for name in endpoints),
        sign(row.state, unicode=unicode),
        f"{row.seconds:.1f}" if row.seconds else "",
        Text(row.reason, style="red"),
    ]


def draw_work(work: Work, *, elapsed_s: float, unicode: bool = True) -> Group:
    """Draw work that goes hospital by hospital: a row each, a bar with time left."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("Hospital", no_wrap=True, max_width=28)
    table.add_column(work.things.capitalize(), justify="right", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for site, share in work.shares.items():
        count = f"{share.done} of {share.total}" if share.total else ""
        state = "done" if share.state == "answered" else share.state
        mark = sign(share.state, unicode=unicode)
        mark.plain = mark.plain.replace(share.state, state)
        table.add_row(site, count, mark, share.note)
    left = time_left(work.seconds_left(elapsed_s))
    return Group(Text(work.title, style="bold"), table, bar("", work.done, work.total, note=left))
