"""`fedpet node pacs echo|find|pull|listen`: fetch a hospital's images from its PACS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import NotFoundError, UpdateError

if TYPE_CHECKING:
    from fedpet.imaging.pacs.list import ListOptions
    from fedpet.imaging.pacs.records import Pulled
    from fedpet.imaging.pacs.settings import PacsSettings, Retrieve

FOLDER = click.Path(path_type=Path)
DAY = click.DateTime(formats=["%Y-%m-%d"])
F = TypeVar("F", bound=Callable[..., Any])
ROWS_SHOWN = 20


def _list_options(command: F) -> F:
    """Add the options that say which patients are meant."""
    options = (
        click.option("--list", "list_", type=FOLDER, required=True, help="The patient list."),
        click.option("--column", default="", help="Column of the list with the identifiers."),
        click.option("--accession", is_flag=True, help="Identifiers are accession numbers."),
        click.option("--from", "first", type=DAY, metavar="DAY", help="First day of studies."),
        click.option("--to", "last", type=DAY, metavar="DAY", help="Last day of studies."),
        click.option(
            "--days",
            type=click.IntRange(0, 36500),
            default=0,
            help="Days around the column 'date'.",
        ),
        click.option(
            "--modality",
            "modalities",
            type=click.Choice(["PT", "CT", "SEG", "RTSTRUCT"]),
            multiple=True,
            help="What to look for; all four unless told.",
        ),
        click.option(
            "--by",
            type=click.Choice(["get", "move", "web"]),
            help="C-GET, C-MOVE or DICOMweb; as pacs.toml says unless told.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("echo", cls=FedpetCommand, short_help="Is the PACS there, and does it know us?")
@click.argument("folder", type=FOLDER)
@click.pass_obj
def echo(terminal: Terminal, folder: Path) -> Answer:
    """Ask the PACS whether it is there and knows this node (C-ECHO).

    Reads FOLDER/node/pacs.toml; see `fedpet help pacs`. Writes nothing. If pacs.toml names a
    DICOMweb service, asks it too. What fails is told with what to ask the PACS administrator for.

      fedpet node pacs echo hospitals/lyon

    Next: `fedpet node pacs find FOLDER --list patients.csv`.
    """
    from fedpet.imaging.pacs.entity import echo as ask
    from fedpet.imaging.pacs.web import web_client, web_echo

    del terminal
    settings, node = _settings(folder)
    seconds = ask(settings, node)
    pacs = settings.pacs
    lines = [
        f"{pacs.ae_title} at {pacs.host}, port {pacs.port}, answered {settings.ae_title} in "
        f"{seconds * 1000:.0f} ms{' over TLS' if pacs.tls else ''}."
    ]
    if settings.web.url:
        with web_client(settings, node) as client:
            web_echo(client)
        lines.append(f"{settings.web.url} answered.")
    return Answer(
        data={"echo_s": seconds, "tls": pacs.tls, "web": bool(settings.web.url)},
        text="\n".join(lines),
    )


@click.command("find", cls=FedpetCommand, short_help="Which series of a patient list are there?")
@click.argument("folder", type=FOLDER)
@_list_options
@click.pass_obj
def find(
    terminal: Terminal,
    folder: Path,
    list_: Path,
    column: str,
    accession: bool,
    first: datetime | None,
    last: datetime | None,
    days: int,
    modalities: tuple[str, ...],
    by: Retrieve | None,
) -> Answer:
    """Ask which series of a patient list the PACS has (C-FIND or QIDO); fetches nothing.

    Reads FOLDER/node/pacs.toml and the list: a text file with one PatientID a line, or a table
    with a column patient_id or accession, and optionally from, to, or date (YYYY-MM-DD). Writes
    nothing. Answers name lines of the list, never patients.

      fedpet node pacs find hospitals/lyon --list patients.csv
      fedpet node pacs find hospitals/lyon --list clinical.csv --column patient_id --modality PT

    Next: `fedpet node pacs pull FOLDER --list patients.csv`.
    """
    from fedpet.cli.pacs_words import draw_found
    from fedpet.imaging.pacs.list import read_list
    from fedpet.imaging.pacs.pull import find as look_up

    settings, node = _settings(folder)
    wanted = read_list(list_, _options(column, accession, first, last, days))
    kinds = modalities or _all_modalities()
    rows = []
    told_s = time.monotonic()
    for asked, series in look_up(settings, node, wanted, by=by, modalities=kinds):
        objects = [one.objects for one in series]
        known = None if None in objects else sum(number or 0 for number in objects)
        rows.append({"row": asked.row, "series": asked.series, "objects": known})
        rows[-1]["error"] = asked.error
        if time.monotonic() - told_s > 2:
            told_s = time.monotonic()
            terminal.say(f"Asked for {asked.number} of {asked.total} lines")
    return Answer(data={"rows": rows}, text=lambda console: draw_found(rows, kinds, console))


@click.command("pull", cls=FedpetCommand, short_help="Fetch the series of a patient list")
@click.argument("folder", type=FOLDER)
@_list_options
@click.option("--to-folder", "into", type=FOLDER, help="Where files go; FOLDER/images.")
@click.pass_obj
def pull(
    terminal: Terminal,
    folder: Path,
    list_: Path,
    column: str,
    accession: bool,
    first: datetime | None,
    last: datetime | None,
    days: int,
    modalities: tuple[str, ...],
    by: Retrieve | None,
    into: Path | None,
) -> Answer:
    """Fetch the series of a patient list from the PACS into FOLDER/images.

    Reads FOLDER/node/pacs.toml and the list (see `fedpet node pacs find --help`). Writes
    FOLDER/images/STUDY/SERIES/INSTANCE.dcm, whole files only, and the journal
    FOLDER/node/pacs.db. May be stopped with Ctrl-C and called again: complete series are not
    fetched twice. A series that fails is tried again after the others. Ends with code 7 if
    something is missing, and says for which lines of the list.

      fedpet node pacs pull hospitals/lyon --list patients.csv
      fedpet node pacs pull hospitals/lyon --list patients.csv --by move --modality PT

    Next: `fedpet cohort build FOLDER`.
    """
    from fedpet.cli.pacs_words import draw_pulled, follow
    from fedpet.imaging.pacs.list import read_list
    from fedpet.imaging.pacs.pull import pull as fetch

    settings, node = _settings(folder)
    wanted = read_list(list_, _options(column, accession, first, last, days))
    terminal.resume = f"fedpet node pacs pull {folder} --list {list_}, with the same options"
    records = fetch(
        settings,
        node,
        wanted,
        into or folder / "images",
        by=by,
        modalities=modalities or _all_modalities(),
    )
    done = follow(records, terminal)
    return Answer(
        data={"pull": {**asdict(done), "failed": [*map(list, done.failed.items())]}},
        text=lambda console: draw_pulled(done, console),
        error=_incomplete(done, f"fedpet node pacs pull {folder} --list {list_}"),
    )


@click.command("listen", cls=FedpetCommand, short_help="Receive what the PACS sends")
@click.argument("folder", type=FOLDER)
@click.option("--to-folder", "into", type=FOLDER, help="Where files go; FOLDER/images.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long; else Ctrl-C.")
@click.pass_obj
def listen(terminal: Terminal, folder: Path, into: Path | None, seconds: float | None) -> Answer:
    """Receive what the PACS, or a console, sends to this node (C-STORE), until Ctrl-C.

    Reads FOLDER/node/pacs.toml: address and port under [listen], who may send, and limits.
    Writes FOLDER/images/STUDY/SERIES/INSTANCE.dcm, whole files only. Keeps PET, CT, SEG and
    RTSTRUCT as they were sent; refuses everything else, and unknown callers.

      fedpet node pacs listen hospitals/lyon

    Next: `fedpet cohort build FOLDER`.
    """
    from fedpet.cli.pacs_words import listened, rate
    from fedpet.imaging.pacs.inbox import Inbox
    from fedpet.imaging.pacs.receiver import receiver

    settings, node = _settings(folder)
    inbox = Inbox(into or folder / "images", settings.limits)
    started = told_s = time.monotonic()
    told = 0
    try:
        with receiver(settings, node, inbox) as port:
            callers = ", ".join(settings.callers) or "anybody"
            terminal.say(
                f"{settings.ae_title} listens on {settings.listen.host}, port {port}, for "
                f"{callers}. Ctrl-C ends it."
            )
            while seconds is None or time.monotonic() - started < seconds:
                time.sleep(0.2)
                now_s = time.monotonic()
                if inbox.files != told and now_s - told_s > 2:
                    terminal.say(f"{inbox.files} files, {rate(inbox.bytes, now_s - started)}")
                    told, told_s = inbox.files, now_s
    except KeyboardInterrupt:
        terminal.say("")
    finally:
        inbox.close()
    data = {"files": inbox.files, "bytes": inbox.bytes, "refused": dict(inbox.refused)}
    return Answer(data=data, text=listened(inbox.files, inbox.bytes, inbox.refused))


def _settings(folder: Path) -> tuple[PacsSettings, Path]:
    from fedpet.node.pacs_file import load_pacs

    if not folder.is_dir():
        raise NotFoundError(
            f"There is no hospital in '{folder.name}'.",
            do="See what a hospital's folder holds: fedpet help folder",
            code="FP-6007",
        )
    node = folder / "node"
    return load_pacs(node), node


def _options(
    column: str, accession: bool, first: datetime | None, last: datetime | None, days: int
) -> ListOptions:
    from fedpet.imaging.pacs.list import ListOptions

    return ListOptions(
        accession=accession, column=column, first=_day(first), last=_day(last), days=days
    )


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _all_modalities() -> tuple[str, ...]:
    from fedpet.imaging.pacs.settings import MODALITIES

    return MODALITIES


def _incomplete(done: Pulled, again: str) -> UpdateError | None:
    if not done.failed:
        return None
    lines = [f"Line {row}: {reason}" for row, reason in sorted(done.failed.items())]
    more = len(lines) - ROWS_SHOWN
    told = lines[:ROWS_SHOWN] + ([f"and {more} more lines"] if more > 0 else [])
    return UpdateError(
        f"{len(done.failed)} of {done.subjects} lines of the list are not complete.",
        why="\n".join(told),
        do=(f"Run it again, complete series are not fetched twice: {again}",),
        code="FP-3023",
    )
