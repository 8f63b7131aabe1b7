"""`fedpet cohort deidentify|subject`: images without patients, and the way back for who may."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from rich.console import Console

    from fedpet.cohort.pseudonym_table import Lock
    from fedpet.cohort.pseudonyms import Pseudonyms
    from fedpet.cohort.release import Listed, Released
    from fedpet.imaging.deidentify.profile import Options

PATH = click.Path(path_type=Path)
SHARE = "images"


@click.command("deidentify", cls=FedpetCommand, short_help="Write images without their patients")
@click.argument("source", type=PATH, metavar="IN")
@click.argument("target", type=PATH, metavar="OUT")
@click.option("--key", type=PATH, help="The hospital's pseudonym.key; found beside IN if not told.")
@click.option("--deface", is_flag=True, help="Remove the face from PET and CT.")
@click.option("--remove-overlays", is_flag=True, help="Drop overlays instead of refusing images.")
@click.option("--table", type=PATH, help="Encrypted file of who is who; kept apart from OUT.")
@click.option("--table-key", type=PATH, help="Key file of the table, instead of a passphrase.")
@click.option("--workers", type=click.IntRange(1, 1000), help="Processes; one per core.")
@click.pass_obj
def deidentify(
    terminal: Terminal,
    source: Path,
    target: Path,
    key: Path | None,
    deface: bool,
    remove_overlays: bool,
    table: Path | None,
    table_key: Path | None,
    workers: int | None,
) -> Answer:
    """Write a folder's PET, CT and masks again, without their patients.

    Reads IN, any tree of DICOM files, which is not changed; OUT gets one folder per subject and
    report.json. DICOM PS3.15 basic profile with options: dates moved by one secret number of days
    per subject, sex, age, size, weight, device and the private values that SUV needs kept, UIDs
    replaced consistently, labels reduced to words of imaging. SUV stays the same. Series with
    burned-in text, overlays, screens and reports are refused and counted. Subjects in place are
    not read again. The pseudonyms are those of `fedpet cohort build` with the same key.

      fedpet cohort deidentify hospitals/lyon/images released --table lyon.table
      fedpet cohort deidentify export released --key pseudonym.key --deface

    Next: look at OUT/report.json; `fedpet cohort subject PSEUDONYM --table FILE` for the way back.
    """
    from fedpet.cohort.pseudonym_table import entry_of, is_inside, write_table
    from fedpet.imaging.deidentify.profile import Options

    if table_key is not None and table is None:
        raise click.UsageError("--table-key needs --table.")
    for path in (key, table, table_key):
        if path is not None and is_inside(path, target):
            raise DataError(
                "A secret would lie in the folder that is given away.",
                do="Keep keys and the table elsewhere.",
                code="FP-2203",
            )
    pseudonyms = _pseudonyms(source, key)
    lock = None if table is None else _lock(table_key, new=not table.exists())
    options = Options(deface=deface, remove_overlays=remove_overlays)
    terminal.crash_folder = Path()
    terminal.resume = "the same command"
    listed, released = _released(
        source, target, terminal, pseudonyms, options, workers or os.cpu_count() or 1
    )
    held = None
    if table is not None and lock is not None:
        held = write_table(table, [entry_of(one, pseudonyms) for one in listed.patient_ids], lock)
    told = _told(released)
    if held is not None:
        told["table_subjects"] = held
    return Answer(data=told, text=lambda console: _draw(released, held, console))


@click.command("subject", cls=FedpetCommand, short_help="Tell who is behind a pseudonym")
@click.argument("pseudonym")
@click.option("--table", type=PATH, required=True, help="The table that `deidentify` wrote.")
@click.option("--table-key", type=PATH, help="Key file of the table, instead of a passphrase.")
@click.pass_obj
def subject(terminal: Terminal, pseudonym: str, table: Path, table_key: Path | None) -> Answer:
    """Tell which patient is behind a pseudonym, from the encrypted table.

    For the data manager, on this machine: the answer is the hospital's patient number and by how
    many days the subject's dates were moved. Reads the table, writes nothing: the answer is
    printed and kept nowhere.

      fedpet cohort subject 0f3a5c7e9b1d --table lyon.table

    Next: look the number up in the hospital's own system; tell it to nobody outside.
    """
    from fedpet.cohort.pseudonym_table import find_subject

    del terminal
    if not table.exists():
        raise NotFoundError("There is no pseudonym table of that name.", code="FP-6021")
    found = find_subject(table, pseudonym, _lock(table_key, new=False))
    return Answer(
        data={
            "pseudonym": found.pseudonym,
            "patient_id": found.patient_id,
            "shift_days": found.shift_days,
        },
        text=f"{found.patient_id}\ndates moved by {found.shift_days} days",
    )


def _pseudonyms(source: Path, key: Path | None) -> Pseudonyms:
    """Read the key that was named, or the one in or beside the folder of images."""
    from fedpet.cohort.pseudonyms import FILE, Pseudonyms, read_key

    if key is not None:
        return Pseudonyms(read_key(key, make=True, private=True))
    for folder in (source, source.resolve().parent):
        if (folder / FILE).is_file():
            return Pseudonyms(read_key(folder / FILE, private=True))
    raise NotFoundError(
        f"There is no {FILE} in or beside the folder.",
        why="Pseudonyms, UIDs and dates are made with the hospital's own key.",
        do="Name it, or a new file to be made: fedpet cohort deidentify IN OUT --key FILE",
        code="FP-6022",
    )


def _lock(table_key: Path | None, *, new: bool) -> Lock:
    """Read the key file, or ask for the passphrase; neither is ever an argument."""
    from fedpet.cohort.pseudonym_table import Lock
    from fedpet.cohort.pseudonyms import read_key

    if table_key is not None:
        return Lock(read_key(table_key, make=new, private=True))
    asked = click.prompt(
        "Passphrase of the table", hide_input=True, confirmation_prompt=new, err=True
    )
    return Lock(str(asked))


def _released(
    source: Path,
    target: Path,
    terminal: Terminal,
    pseudonyms: Pseudonyms,
    options: Options,
    workers: int,
) -> tuple[Listed, Released]:
    """De-identify and show how far it is."""
    from fedpet.cli.work import Share, Work
    from fedpet.cli.working import display
    from fedpet.cohort.release import Listed, Released, SubjectDone, deidentify

    work = Work(title="Taking patients out", things="subjects", shares={SHARE: Share()})
    records = deidentify(source, target, pseudonyms=pseudonyms, options=options, workers=workers)
    listed, released = None, None
    with display(terminal) as shown:
        for record in records:
            match record:
                case Listed():
                    listed = record
                    share = Share(total=record.subjects, state="working")
                    work = work.with_share(SHARE, share)
                case SubjectDone():
                    share = Share(done=record.number, total=record.total, state="working")
                    work = work.with_share(SHARE, share, fresh=int(not record.cached))
                case Released():
                    released = record
            shown.show(work)
    assert listed is not None
    assert released is not None
    return listed, released


def _told(released: Released) -> dict[str, object]:
    kept = [one for one in released.series if not one.refused]
    reasons = Counter(one.refused for one in released.series if one.refused)
    return {
        "subjects": released.subjects,
        "series": len(kept),
        "files": sum(one.files for one in kept),
        "series_refused": dict(reasons.most_common()),
        "files_refused": dict(released.unnamed),
        "files_not_dicom": released.others,
        "face_pixels": sum(one.face_pixels for one in kept),
        "attributes": dict(_attributes(released)),
        "seconds": released.seconds,
    }


def _attributes(released: Released) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in released.series:
        total.update(one.attributes)
    return total


def _draw(released: Released, held: int | None, console: Console) -> None:
    from rich.table import Table

    told = _told(released)
    console.print(
        f"{told['subjects']} subjects, {told['series']} series, {told['files']} files written, "
        f"{released.seconds:.1f} s",
        style="bold",
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("attributes")
    table.add_column("count", justify="right")
    for name, count in _attributes(released).items():
        table.add_row(name, f"{count:,}")
    if told["face_pixels"]:
        table.add_row("pixels of faces replaced", f"{told['face_pixels']:,}")
    console.print(table)
    refused = Counter(one.refused for one in released.series if one.refused)
    for reason, count in refused.most_common():
        console.print(f"Refused  {count} series: {reason}")
    for reason, count in released.unnamed.items():
        console.print(f"Refused  {count} files: {reason}")
    if released.others:
        console.print(f"Passed   {released.others} files that are not DICOM")
    if held is not None:
        console.print(f"Table    {held} subjects, encrypted")
