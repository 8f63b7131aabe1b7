"""`fedpet node audit list|verify|export`: what was asked, decided and answered; is it whole?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fedpet.cli.desk import HOSPITAL, desk_of, table
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

FILE = click.Path(path_type=Path)


@click.command("list", cls=FedpetCommand, short_help="List what was asked, decided and answered")
@HOSPITAL
@click.option("--last", type=click.IntRange(1), default=40, help="How many entries; 40.")
@click.pass_obj
def list_(terminal: Terminal, hospital: Path, last: int) -> Answer:
    """List the newest entries of the audit, once all of it was checked.

    Reads HOSPITAL/node/audit.db; writes nothing.

      fedpet node audit list hospitals/lyon --last 100

    Next: `fedpet node audit export HOSPITAL -o audit.html`.
    """
    del terminal
    with desk_of(hospital) as desk:
        entries = desk.audit.entries()
    shown = entries[-last:]
    rows = [
        (str(one.number), one.values["at"][:19], one.values["what"], _about(one.values))
        for one in shown
    ]
    return Answer(
        data={"entries": [{"number": one.number, **one.values} for one in shown]},
        text=table(("Entry", "When (UTC)", "What", "About"), rows) if rows else "No entry yet.",
    )


@click.command("verify", cls=FedpetCommand, short_help="Is the audit whole?")
@HOSPITAL
@click.option("--heads", type=FILE, help="Heads that another hospital remembers, from its export.")
@click.pass_obj
def verify(terminal: Terminal, hospital: Path, heads: Path | None) -> Answer:
    """Check every hash and signature of the audit, and that its newest entries are there.

    Reads HOSPITAL/node/audit.db and audit.head; writes nothing. With --heads also compares it with
    what another hospital remembers of it, which a person with all rights on this machine cannot
    have changed. Ends with code 3 if anything was altered, and names the entry.

      fedpet node audit verify hospitals/lyon
      fedpet node audit verify hospitals/lyon --heads from-nice.heads.json

    Next: `fedpet node audit export HOSPITAL -o audit.html`.
    """
    from fedpet.federation.heads import head_from

    del terminal
    with desk_of(hospital) as desk:
        entries = desk.audit.entries()
        compared = 0
        if heads is not None:
            for values in _heads_in(heads):
                head = head_from(values)
                if head.site == desk.site:
                    desk.audit.require_head(head)
                    compared += 1
        head_now, site = desk.audit.head(), desk.site
    told = f"The audit of {site} is whole: {len(entries)} entries, each chained and signed."
    if heads is not None:
        told += f"\nIt holds {compared} of its heads that {heads.name} remembers."
    if head_now is not None:
        told += f"\nHead {head_now.hash}"
    shown = head_now.values() if head_now else None
    return Answer(data={"entries": len(entries), "head": shown, "compared": compared}, text=told)


@click.command("export", cls=FedpetCommand, short_help="Write the audit as a page or JSON lines")
@HOSPITAL
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    help="The file; its ending says which: .html, .jsonl, or .heads.json.",
)
@click.pass_obj
def export(terminal: Terminal, hospital: Path, out: Path) -> Answer:
    """Write the audit for others, once all of it was checked.

    Reads HOSPITAL/node; writes the file that --out names. A page (.html) with the table of what
    left for the data-protection officer; JSON lines (.jsonl), one per entry, for a SIEM; or the
    heads (.heads.json) of this and other hospitals, by which another hospital's audit is checked.

      fedpet node audit export hospitals/lyon -o audit.html
      fedpet node audit export hospitals/lyon -o audit.jsonl
      fedpet node audit export hospitals/lyon -o lyon.heads.json

    Next: open the page in a browser; print it to PDF if you need one.
    """
    from fedpet.errors import DataError
    from fedpet.node.audit_page import audit_page

    del terminal
    with desk_of(hospital) as desk:
        entries = desk.audit.entries()
        head, witnessed = desk.audit.head(), desk.audit.witnessed()
        if out.name.endswith(".html"):
            names = {one.fingerprint: one.name for one in desk.approvals.proposals()}
            text = audit_page(entries, site=desk.site, head=head, witnessed=witnessed, names=names)
        elif out.name.endswith(".jsonl"):
            lines = [{"number": e.number, "hash": e.hash, **e.values} for e in entries]
            text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
        elif out.name.endswith(".heads.json"):
            every = [*witnessed.values(), *([head] if head else [])]
            text = json.dumps([one.values() for one in every], indent=1) + "\n"
        else:
            raise DataError(
                f"'{out.name}' does not say how to write the audit.",
                do="End it with .html, .jsonl or .heads.json.",
            )
    out.write_text(text, encoding="utf-8")
    return Answer(
        data={"file": str(out), "entries": len(entries)},
        text=f"Wrote {out}: {len(entries)} entries, every hash and signature checked.",
    )


def _about(told: Mapping[str, Any]) -> str:
    parts = [
        str(told[name])
        for name in ("status", "step", "kind", "release", "person", "key", "site")
        if told.get(name) is not None
    ]
    if told["what"] == "answered":
        parts.append(f"{told['values']} numbers, {told['bytes']} bytes")
    if told["what"] == "policy":
        parts.append(f"{told['before']} -> {told['after']}")
    if told["what"] in ("proposed", "approved", "refused", "withdrawn"):
        parts.append(f"plan {str(told['plan'])[:12]}")
    if told["what"] == "subject-removed":
        parts.append(f"{told['subjects']} subjects")
    return ", ".join(parts)


def _heads_in(path: Path) -> list[dict[str, Any]]:
    from fedpet.errors import DataError

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise DataError(
            f"'{path.name}' holds no heads of audits.",
            do="Ask the other hospital for it: fedpet node audit export HOSPITAL -o x.heads.json",
        )
    return values
