"""`fedpet cohort scans`: every series of a hospital's folder, which is used, why others not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

if TYPE_CHECKING:
    from rich.console import Console

    from fedpet.cohort.scan_table import ScanRow

SHOWN = 40


@click.command("scans", cls=FedpetCommand, short_help="List every series, used or not, and why")
@click.argument("folder", type=click.Path(path_type=Path))
@click.pass_obj
def scans(terminal: Terminal, folder: Path) -> Answer:
    """List every series of a hospital's folder: which are used, and why the others are not.

    Reads the images by their headers, and writes FOLDER/scans.csv, one line a series, with
    pseudonyms and keyed digests only. To decide otherwise, write `chosen` or `excluded` into the
    column `override` of a line, or keep decisions in FOLDER/choices.csv (`series,choice`); the
    build follows both. `prefer` in cohort.toml ranks reconstructions for all subjects at once. Ends
    with code 3 if a decision cannot be followed; scans.csv then stays as it is.

      fedpet cohort scans hospitals/lyon

    Next: `fedpet cohort build FOLDER`.
    """
    from fedpet.cohort.scan_table import look

    del terminal
    found = look(folder)
    return Answer(
        data={"scans": [asdict(row) for row in found.rows], "files": found.files},
        text=lambda console: _draw(found.rows, console),
        error=found.problem,
    )


def _draw(rows: Sequence[ScanRow], console: Console) -> None:
    from rich.table import Table

    from fedpet.cohort.scan_table import BY_PERSON

    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("subject", "series", "kind", "day", "files", "role", "reason"):
        table.add_column(title, no_wrap=title != "reason")
    several = [row for row in rows if row.role == "rejected" or row.reason == BY_PERSON]
    for row in several[:SHOWN]:
        day = "" if row.day is None else f"{row.day:+d}"
        cells = (row.subject, row.series, row.modality, day, str(row.files), row.role, row.reason)
        table.add_row(*cells)
    counts = Counter(row.modality for row in rows if row.role == "chosen")
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing"
    console.print(f"Used: {told}.", style="bold")
    if several:
        console.print(table)
    if len(several) > SHOWN:
        console.print(f"... and {len(several) - SHOWN} more in scans.csv")
