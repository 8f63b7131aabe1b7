"""`fedpet watch`: what every hospital does now, from the signs of life that it gives."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.table import Table

    from fedpet.engines.nats.beats import Presence
    from fedpet.engines.nats.home import Home

LOOK_S = 0.25
HERE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of one hospital now.

    Args:
        state: Its state as a member.
        does: `idle`, `receiving`, `working`, `sending` or `away`.
        step: What it works on.
        host: Name of its machine.
    """

    state: str
    does: str
    step: str = ""
    host: str = ""


Rows: TypeAlias = Mapping[str, Row]


@click.command("watch", cls=FedpetCommand, short_help="See what every hospital does now")
@click.argument("folder", metavar="COORDINATOR", type=click.Path(path_type=Path))
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End after so long; for ever.")
@click.pass_obj
def watch(terminal: Terminal, folder: Path, seconds: float | None) -> None:
    """See what every hospital does now: idle, receiving, working, sending, or away.

    On a terminal the rows move; elsewhere there is one line for every change, with --format json
    one JSON object. Ctrl-C leaves; whatever runs goes on.

    Reads the coordinator's folder, and listens to the signs of life at its broker. Writes nothing.

      fedpet watch coordinator
      fedpet watch coordinator --format json

    Next: `fedpet site list --coordinator COORDINATOR`.
    """
    from fedpet.engines.nats.home import Home

    terminal.resume = f"fedpet watch {folder}"
    with Home(folder) as home, _screen(terminal) as show:
        asyncio.run(_watch(home, show, seconds))


async def _watch(home: Home, show: Callable[[Rows], None], seconds: float | None) -> None:
    from fedpet.engines.nats.watching import listening

    until = None if seconds is None else time.monotonic() + seconds
    async with listening(home) as presence:
        while until is None or time.monotonic() < until:
            show(rows_of(home, presence))
            await asyncio.sleep(LOOK_S)


@contextmanager
def _screen(terminal: Terminal) -> Iterator[Callable[[Rows], None]]:
    """Show rows as a table that moves, or tell each change in a line."""
    if not terminal.animated or terminal.json:
        before: dict[str, Row] = {}

        def tell(rows: Rows) -> None:
            for site, row in rows.items():
                if before.get(site) != row:
                    before[site] = row
                    line = f"{site}: {row.state}, {row.does} {row.step}".rstrip()
                    print(json.dumps({"site": site, **asdict(row)}) if terminal.json else line)
            sys.stdout.flush()

        yield tell
        return
    from rich.live import Live

    with Live(console=terminal.console(), transient=True, refresh_per_second=8) as live:
        yield lambda rows: live.update(_table(rows))


def _table(rows: Rows) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("Hospital", "Member", "Does", "Step", "Machine"):
        table.add_column(name)
    for site, row in rows.items():
        table.add_row(site, row.state, row.does, row.step, row.host)
    return table


def rows_of(home: Home, presence: Presence) -> Rows:
    """Return what is known of every hospital now, by name."""
    rows = {}
    for site in home.members.sites():
        beat, away_s = presence.last(site.name), presence.away_s(site.name)
        if beat is None or away_s is None or away_s > HERE_S:
            rows[site.name] = Row(state=site.state, does="away")
        else:
            rows[site.name] = Row(state=site.state, does=beat.state, step=beat.step, host=beat.host)
    return rows
