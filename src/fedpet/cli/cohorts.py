"""`fedpet cohort build|show|check`: from a hospital's files to what models read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import DataError, FedpetError

if TYPE_CHECKING:
    from rich.console import Console

    from fedpet.cli.work import Share
    from fedpet.cohort.build import Built
    from fedpet.cohort.findings import Finding

FOLDER = click.Path(path_type=Path)
SEVERITIES = ("error", "warning", "info")


@click.command("build", cls=FedpetCommand, short_help="Turn DICOM and a table into a cohort")
@click.argument("folder", type=FOLDER)
@click.option("--workers", type=click.IntRange(1, 1000), help="Processes; one per core.")
@click.pass_obj
def build(terminal: Terminal, folder: Path, workers: int | None) -> Answer:
    """Turn a hospital's DICOM and clinical table into a checked cohort.

    Reads FOLDER/cohort.toml, the images, masks, table and dictionary that it names; see
    `fedpet help folder`. Writes FOLDER/cohort. Every problem is found in one go and listed, worst
    first, with what to do; a subject with a problem is left out, the others are used. What did not
    change since the last build is not read again. If FOLDER holds several hospitals, all are
    built. Ends with code 3 if nobody can be used.

      fedpet cohort build hospitals/lyon
      fedpet cohort build hospitals

    Next: `fedpet cohort show FOLDER`, then `fedpet plan check PLAN --sites HOSPITALS`.
    """
    from fedpet.cli.each_hospital import TO_BUILD, hospitals_in
    from fedpet.cohort.findings import read_findings

    hospitals = hospitals_in(folder, marks=TO_BUILD)
    terminal.resume = f"fedpet cohort build {folder}"
    terminal.crash_folder = folder
    built = build_shown(hospitals, terminal, workers=workers)
    found = {site: read_findings(hospitals[site] / "cohort" / "findings.json") for site in built}
    return Answer(
        data={
            "hospitals": {
                site: {**_told(done), "findings": [asdict(one) for one in found[site]]}
                for site, done in built.items()
            }
        },
        text=lambda console: _draw_built(built, found, console),
    )


@click.command("show", cls=FedpetCommand, short_help="Summarise a built cohort")
@click.argument("folder", type=FOLDER)
@click.pass_obj
def show(terminal: Terminal, folder: Path) -> Answer:
    """Summarise a built cohort: subjects, endpoints, columns, what is missing.

    Reads FOLDER/cohort; writes nothing. For people in the hospital: nothing of it leaves. If
    FOLDER holds several hospitals, each is summarised.

      fedpet cohort show hospitals/lyon
      fedpet cohort show hospitals

    Next: `fedpet plan check PLAN --sites HOSPITALS`.
    """
    from fedpet.cli.each_hospital import each_hospital

    del terminal
    return each_hospital(folder, _summarised, command="fedpet cohort show")


def _summarised(folder: Path) -> Answer:
    from fedpet.cli.cohort_words import draw_cohort, numbers_of
    from fedpet.cohort.summary import summary

    told = summary(folder)
    return Answer(
        data={"cohort": numbers_of(told)}, text=lambda console: draw_cohort(told, console)
    )


@click.command("check", cls=FedpetCommand, short_help="List findings, and what changed")
@click.argument("folder", type=FOLDER)
@click.option(
    "--html",
    "page",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Write a page about every subject, too; FOLDER/cohort/quality.html unless told.",
)
@click.option(
    "--language", type=click.Choice(["en", "fr"]), default="en", help="Of the page; en unless told."
)
@click.pass_obj
def check(terminal: Terminal, folder: Path, page: str | None, language: str) -> Answer:
    """List the findings of a built cohort, and say whether its inputs changed since the build.

    Reads FOLDER and FOLDER/cohort; every file that models read is compared with the digest that
    the build wrote down. Writes nothing but the page that --html asks for. That page shows each
    subject's scan, what was found in it and how its SUV came about; it is for the hospital alone,
    readable by you only. Ends with code 3 if a file of the cohort was altered, or if images,
    table, dictionary or settings are no longer those that it was built from. If FOLDER holds
    several hospitals, each is checked.

      fedpet cohort check hospitals/lyon
      fedpet cohort check hospitals/lyon --html
      fedpet cohort check hospitals/lyon --html qualite.html --language fr

    Next: mend what the findings say, then `fedpet cohort build FOLDER`.
    """
    from fedpet.cli.each_hospital import each_hospital, hospitals_in

    if page and len(hospitals_in(folder)) > 1:
        raise click.UsageError("Several hospitals have a page each: give --html without FILE.")

    def checked(hospital: Path) -> Answer:
        return _checked(hospital, terminal, page=page, language=language)

    return each_hospital(folder, checked, command="fedpet cohort check")


def _checked(folder: Path, terminal: Terminal, *, page: str | None, language: str) -> Answer:
    from fedpet.cli.cohort_words import draw_findings, numbers_of
    from fedpet.cohort.summary import check as compare

    told = compare(folder)
    written = None
    if page is not None:
        from fedpet.cohort.page import write_page

        written = write_page(folder, told, language=language, to=Path(page) if page else None)
        terminal.say(f"Page: {written} (stays at this hospital)")
    error = None
    if not told.fingerprint:
        error = DataError(
            "No subject can be used.",
            do="Correct what is listed and build again; scans that are done are not read again.",
            code="FP-2106",
        )
    elif told.changes:
        error = DataError(
            "The cohort is no longer what the folder holds.",
            why="\n".join(told.changes),
            do=f"Build it again: fedpet cohort build {folder}",
            code="FP-2190",
        )
    data = {"cohort": numbers_of(told), "page": None if written is None else str(written)}
    return Answer(
        data=data, text=lambda console: draw_findings(told.findings, console), error=error
    )


def build_shown(
    hospitals: Mapping[str, Path], terminal: Terminal, *, workers: int | None = None
) -> dict[str, Built]:
    """Build hospitals' cohorts and show how far it is.

    Args:
        hospitals: Folders by site.
        terminal: Where to show it.
        workers: Processes; as many as cores unless told.

    Raises:
        FedpetError: If a hospital's cohort cannot be built; the others are built first.
    """
    from fedpet.cli.building import build_all
    from fedpet.cli.work import Share, Work
    from fedpet.cli.working import display
    from fedpet.cohort.build import Built

    work = Work(title="Building cohorts", things="scans", shares=dict.fromkeys(hospitals, Share()))
    built: dict[str, Built] = {}
    failed: dict[str, FedpetError] = {}
    with display(terminal) as shown:
        for told in build_all(hospitals, workers=workers):
            share, fresh = _after(work.shares[told.site], told.record)
            work = work.with_share(told.site, share, fresh=fresh)
            shown.show(work)
            if isinstance(told.record, FedpetError):
                failed[told.site] = told.record
            elif isinstance(told.record, Built):
                built[told.site] = told.record
    if len(failed) == 1 and len(hospitals) == 1:
        raise next(iter(failed.values()))
    if failed:
        raise DataError(
            f"{len(failed)} of {len(hospitals)} hospitals have no usable cohort.",
            why="\n".join(f"{site}: {error.title}" for site, error in sorted(failed.items())),
            do=f"Build one alone to see all of it: fedpet cohort build {min(failed)}",
        )
    return {site: built[site] for site in hospitals}


def _after(share: Share, record: object) -> tuple[Share, int]:
    """Return a hospital's part of the work after a record, and the scans freshly read."""
    from dataclasses import replace

    from fedpet.cohort.build import Built, Found, ScanDone
    from fedpet.cohort.findings import counted

    match record:
        case Found():
            note = f"{record.rejected} series left aside" if record.rejected else ""
            return replace(share, total=record.scans, state="working", note=note), 0
        case ScanDone():
            return replace(share, done=record.number, total=record.total), int(not record.cached)
        case Built():
            note = f"{counted(record.subjects, 'subject')}, {record.seconds:.1f} s"
            return replace(share, done=share.total, state="answered", note=note), 0
        case FedpetError():
            return replace(share, state="failed", note=record.title), 0
        case _:
            return share, 0


def _told(built: Built) -> dict[str, object]:
    return {
        "subjects": built.subjects,
        "fingerprint": built.fingerprint,
        "seconds": built.seconds,
    }


def _draw_built(
    built: Mapping[str, Built], found: Mapping[str, Sequence[Finding]], console: Console
) -> None:
    from fedpet.cli.cohort_words import draw_findings
    from fedpet.cohort.findings import counted

    for number, (site, done) in enumerate(built.items()):
        if number:
            console.print()
        console.print(
            f"{site}: {counted(done.subjects, 'subject')} can be used, "
            f"fingerprint {done.fingerprint[:16]}, {done.seconds:.1f} s",
            style="bold",
            soft_wrap=True,
        )
        draw_findings(found[site], console)
