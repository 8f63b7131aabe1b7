"""`fedpet node subject remove|list`: who has withdrawn is in no later answer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from fedpet.cli.desk import HOSPITAL, PERSON, desk_of, table
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import NotFoundError


@click.command("remove", cls=FedpetCommand, short_help="Take subjects out, at once and for good")
@HOSPITAL
@click.argument("subjects", nargs=-1, required=True, metavar="PSEUDONYM...")
@PERSON
@click.pass_obj
def remove(terminal: Terminal, hospital: Path, subjects: tuple[str, ...], person: str) -> Answer:
    """Take subjects who withdrew out of the cohort, its cache and every later answer.

    Reads and writes HOSPITAL/node and HOSPITAL/cohort. It holds at the next request, and a cohort
    that is built anew does not bring them back. A run in progress gets no further answer from this
    hospital. So that no two sums tell the difference, some subjects, drawn by chance, rest beside
    them. Original images and tables are not touched.

      fedpet node subject remove hospitals/lyon sub-7f3a2c --person "Anne Martin"

    Next: delete the subject's row and images in HOSPITAL, as your rules demand.
    """
    from fedpet.cohort.manifest import read_manifest
    from fedpet.cohort.withdrawal import forget

    cohort = hospital / "cohort"
    with desk_of(hospital) as desk:
        manifest = read_manifest(cohort)
        removal = desk.remove(
            subjects, cohort=manifest.name, known=manifest.subjects, person=person
        )
        names = {one.fingerprint: one.name for one in desk.approvals.proposals()}
    forgotten = forget(cohort, removal.subjects)
    used = [
        {"experiment": one.experiment, "plan": names.get(one.plan, ""), "begun_at": one.begun_at}
        for one in removal.used_by
    ]
    if len(manifest.subjects) - forgotten - len(removal.resting) == 0:
        terminal.warn("Nobody is left: this hospital answers nothing until others are added.")
    lines = [
        f"{len(removal.subjects)} out of every later answer; {forgotten} out of the built cohort "
        "and its cache.",
    ]
    if removal.resting:
        lines.append(
            f"{len(removal.resting)} others, drawn by chance, rest beside them: sums before and "
            "after differ by too many to tell anybody. They come back as others come and go."
        )
    if used:
        rows = [(one["experiment"], one["plan"], one["begun_at"][:16]) for one in used]
        lines += ["", "Experiments that had used them, and their models:"]
        lines += [table(("Experiment", "Plan", "Begun (UTC)"), rows), "", *REMEDIES]
    else:
        lines.append("No experiment had used them.")
    return Answer(
        data={
            "removed": list(removal.subjects),
            "forgotten": forgotten,
            "resting": len(removal.resting),
            "used_by": used,
            "remedies": list(REMEDIES) if used else [],
        },
        text="\n".join(lines),
    )


REMEDIES = (
    "What can be done: a sum that has left cannot be taken apart again.",
    "1. Train without: the study team runs the plan anew (`fedpet run PLAN --out NEW`); this "
    "hospital answers without them.",
    "2. Keep the model and write down why: its card names the experiment; weigh it with the "
    "data-protection officer.",
)


@click.command("list", cls=FedpetCommand, short_help="List who was taken out")
@HOSPITAL
@click.pass_obj
def list_(terminal: Terminal, hospital: Path) -> Answer:
    """List who was taken out, and whether a cohort built since then holds them again.

    Reads HOSPITAL/node and HOSPITAL/cohort; writes nothing. Who is listed is in no answer, also
    where the built cohort holds them.

      fedpet node subject list hospitals/lyon

    Next: `fedpet node subject remove HOSPITAL PSEUDONYM --person NAME` takes another one out.
    """
    from fedpet.cohort.manifest import read_manifest

    del terminal
    with desk_of(hospital) as desk:
        absent = desk.absent()
    try:
        built = set(read_manifest(hospital / "cohort").subjects)
    except NotFoundError:
        built = set()
    rows = [
        (one.subject, one.why, one.since[:16], one.person, "yes" if one.subject in built else "no")
        for one in absent
    ]
    heads = ("Subject", "Why", "Since (UTC)", "By", "In the built cohort")
    return Answer(
        data={"absent": [{**asdict(one), "built": one.subject in built} for one in absent]},
        text=table(heads, rows) if rows else "Nobody was taken out.",
    )
