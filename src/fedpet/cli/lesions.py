"""`fedpet cohort lesions`: the lesions of every scan as DICOM SEG, for a viewer."""

from __future__ import annotations

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

    from fedpet.cohort.lesion_files import LesionsWritten

METHODS = ("given", "suv2.5", "suv4.0", "41%", "percist")


@click.command("lesions", cls=FedpetCommand, short_help="Write lesions as DICOM SEG for a viewer")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    help="In place of the method in cohort.toml.",
)
@click.pass_obj
def lesions(terminal: Terminal, folder: Path, out: Path, method: str | None) -> Answer:
    """Write the lesions of each scan as DICOM SEG, as they are measured, for any viewer.

    Reads the scans and masks of FOLDER and finds lesions as cohort.toml says. Writes one file per
    subject to --out, named by pseudonym; it refers to the slices of the PET and shows over them.
    The files carry the patient's name and number, as a PACS needs them: they stay in the hospital.
    Ends with code 3 if no scan has a lesion.

      fedpet cohort lesions hospitals/lyon --out lesions
      fedpet cohort lesions hospitals/lyon --out lesions --method percist

    Next: look at them, correct what is wrong, put the corrected files into FOLDER/images, set
    lesions = "given" in cohort.toml and build again.
    """
    from fedpet.cohort.lesion_files import write_lesions

    terminal.resume = f"fedpet cohort lesions {folder} --out {out}"
    told = list(write_lesions(folder, out, method=method))
    error = None
    if not any(one.file for one in told):
        error = DataError(
            "No scan has a lesion that could be written.",
            why="\n".join(sorted({one.problem for one in told if one.problem})),
            do="Try another --method, or look at the findings: fedpet cohort check FOLDER",
        )
    return Answer(
        data={"lesions": [asdict(one) for one in told]},
        text=lambda console: _draw(told, out, console),
        error=error,
    )


def _draw(told: Sequence[LesionsWritten], out: Path, console: Console) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, side in (("subject", "left"), ("method", "left"), ("lesions", "right")):
        table.add_column(name, justify="right" if side == "right" else "left")
    table.add_column("mL", justify="right")
    table.add_column("file")
    for one in told:
        numbers = (str(one.lesions), f"{one.volume_ml:.1f}") if one.file else ("", "")
        table.add_row(one.subject, one.method, *numbers, one.file or one.problem)
    console.print(table)
    written = sum(bool(one.file) for one in told)
    console.print(f"{written} of {len(told)} scans: written to {out}", soft_wrap=True)
