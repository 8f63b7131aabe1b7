"""`fedpet cohort changes`: how biomarkers changed between two scans of each subject."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

if TYPE_CHECKING:
    from rich.console import Console

    from fedpet.cohort.changes import Changes

PLACE = click.Path(path_type=Path)
SHOWN = 40


@click.command("changes", cls=FedpetCommand, short_help="Compare two scans of each subject")
@click.argument("baseline", type=PLACE)
@click.argument("followup", type=PLACE)
@click.option("-o", "--output", type=PLACE, help="Where; FOLLOWUP/changes.csv unless told.")
@click.pass_obj
def changes(terminal: Terminal, baseline: Path, followup: Path, output: Path | None) -> Answer:
    """Compare two scans of each subject: by how much did every biomarker change?

    Reads two folders of one hospital, both built, with the same pseudonym.key: one holds the
    first scans, the other the later ones. The earlier day is the baseline of a subject, whichever
    folder holds it. Writes one line a subject to FOLLOWUP/changes.csv, with pseudonyms only and
    readable by you only: days between the scans and (later - earlier) / |earlier| of every
    biomarker that both have, -0.3 for a fall by 30 %, empty where it is not known. Ends with code
    3 if the keys, `suv` or `lesions` differ, or if nobody has scans of two days.

      fedpet cohort changes hospitals/lyon hospitals/lyon-week8
      fedpet cohort changes hospitals/lyon hospitals/lyon-week8 -o week8.csv

    Next: read the file with any statistics program; `fedpet cohort show FOLLOWUP` has the values
    themselves.
    """
    from fedpet.cohort.changes import FILE, compare, write_changes

    told = compare(baseline, followup)
    to = output or followup / FILE
    write_changes(told, to)
    if told.swapped:
        terminal.warn(
            f"The earlier scan lies in the second folder for {len(told.swapped)} of "
            f"{len(told.rows)} subjects; it is their baseline."
        )
    return Answer(data=_data(told, to), text=lambda console: _draw(told, to, console))


def _data(told: Changes, to: Path) -> dict[str, object]:
    return {
        "file": str(to),
        "lesions": told.lesions,
        "suv": told.suv,
        "subjects": {
            "both": told.both,
            "compared": len(told.rows),
            "only_baseline": list(told.only_baseline),
            "only_followup": list(told.only_followup),
            "same_day": list(told.same_day),
            "undated": list(told.undated),
            "earlier_in_followup": list(told.swapped),
        },
        "medians": {
            name: {"known": one.known, "median": _finite(one.median)}
            for name, one in told.medians.items()
        },
        "changes": [
            {**asdict(row), "changes": {name: _finite(x) for name, x in row.changes.items()}}
            for row in told.rows
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _draw(told: Changes, to: Path, console: Console) -> None:
    from statistics import median

    from rich.table import Table

    from fedpet.cohort.findings import counted

    head = f"{counted(told.both, 'subject')} in both cohorts, {len(told.rows)} compared"
    console.print(head, style="bold")
    for count, where in (
        (len(told.only_baseline), "only in the first folder"),
        (len(told.only_followup), "only in the second folder"),
        (len(told.same_day), "with both scans of one day: not compared"),
        (len(told.undated), "with a scan without a date: not compared"),
    ):
        if count:
            console.print(f"{count} {where}")
    days = [row.days for row in told.rows]
    console.print(
        f"Days between: median {median(days):g}, {min(days)} to {max(days)}. "
        f"Lesions '{told.lesions}', SUV by '{told.suv}'.\n",
        soft_wrap=True,
    )
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("Biomarker", "Known", "Median change"):
        table.add_column(name, justify="left" if name == "Biomarker" else "right", no_wrap=True)
    medians = told.medians
    for name, one in list(medians.items())[:SHOWN]:
        change = f"{one.median:+.1%}" if one.known else ""
        table.add_row(name.removeprefix("delta_"), str(one.known), change)
    console.print(table)
    if len(medians) > SHOWN:
        console.print(f"... and {len(medians) - SHOWN} more in the file")
    console.print(f"\nWritten to {to} (stays at this hospital)", soft_wrap=True)
