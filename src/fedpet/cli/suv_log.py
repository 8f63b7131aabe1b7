"""`fedpet cohort suv`: which rule gave which factor, with the numbers filled in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fedpet.cohort.worked import Worked


@click.command("suv", cls=FedpetCommand, short_help="Explain how each scan became SUV")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("subject", required=False, default="")
@click.pass_obj
def suv(terminal: Terminal, folder: Path, subject: str) -> Answer:
    """Explain how each scan became SUV: the rule, the times it chose from, the formula.

    Without SUBJECT: one line a scan, from its header alone. With SUBJECT, a pseudonym or its
    beginning: the whole decision of one scan, with every time that the header offers, what was
    repaired or given in fixes.csv, the formula with its numbers, and what liver, blood pool, body
    and total activity say about it. Reads FOLDER and its images; writes nothing; nothing needs to
    be built. For people in the hospital: nothing of it leaves. Ends with code 3 if the one scan
    asked for cannot be converted. If FOLDER holds several hospitals, the scans of each are listed.

      fedpet cohort suv hospitals
      fedpet cohort suv hospitals/lyon
      fedpet cohort suv hospitals/lyon 3f2a61

    Next: correct a header in FOLDER/fixes.csv (`fedpet help FP-2191`), then
    `fedpet cohort build FOLDER`.
    """
    from fedpet.cli.each_hospital import each_hospital

    del terminal
    if subject:
        return _of_hospital(folder, subject)
    return each_hospital(folder, lambda one: _of_hospital(one, ""), command="fedpet cohort suv")


def _of_hospital(folder: Path, subject: str) -> Answer:
    from fedpet.cohort.worked import work_out

    told = tuple(work_out(folder, subject=subject))
    error = None
    if subject and told[0].refused:
        error = DataError(
            f"The scan of {told[0].subject} cannot be converted to SUV.",
            why=told[0].refused,
            do="Correct it at the source, or in fixes.csv beside cohort.toml.",
            code=told[0].code,
        )
    return Answer(
        data={"scans": [_finite(asdict(one)) for one in told]},
        text=lambda console: _draw(told, console, whole=bool(subject)),
        error=error,
    )


def _finite(value: object) -> object:
    """Return a value with every number that is none as None, which JSON can say."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _draw(told: Sequence[Worked], console: Console, *, whole: bool) -> None:
    if whole:
        for one in told:
            console.print(one.subject, style="bold")
            for line in one.lines:
                console.print(f"  {line}", soft_wrap=True, markup=False)
        return
    console.print(_table(told))
    refused = [one for one in told if one.refused]
    for one in refused:
        console.print(f"{one.subject}: {one.refused}", soft_wrap=True, markup=False)
    console.print(f"\n{len(told)} scans, {len(refused)} of them cannot be converted.")


def _table(told: Sequence[Worked]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("Subject", "Units", "Decay", "Reference time", "Uptake", "Factor", "Notes"):
        table.add_column(name, justify="right" if name in ("Uptake", "Factor") else "left")
    for one in told:
        how = one.provenance
        if how is None:
            table.add_row(one.subject, "", "", "", "", "refused", one.code)
            continue
        decay = how.decay.rpartition("(")[2].rstrip(")") if how.decay else ""
        uptake = "" if how.uptake_s is None else f"{how.uptake_s / 60:.1f} min"
        notes = " ".join(sorted({remark.code for remark in one.remarks}))
        factor = f"{how.factor_max:.6g}"
        table.add_row(one.subject, how.units, decay, how.reference, uptake, factor, notes)
    return table
