"""`fedpet node members`: whose keys sums are masked for, as the hospitals compared them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

if TYPE_CHECKING:
    from fedpet.privacy.identity import Roster

HOSPITAL = click.argument("hospital", type=click.Path(path_type=Path))
DIGITS = 16


@click.command("members", cls=FedpetCommand, short_help="Compare whose keys sums are masked for")
@HOSPITAL
@click.option("--accept", metavar="DIGEST", help="Pin the list with this digest.")
@click.pass_obj
def members(terminal: Terminal, hospital: Path, accept: str | None) -> Answer:
    """Show the list of members that the coordinator told, and pin it once it was compared.

    A sum is masked for the keys in this list. Whoever can put a key of their own into it can read
    what this hospital adds; so the hospitals compare the list's digest with each other, by
    telephone, and not through the coordinator. Until then they add nothing to its sums.

    Reads HOSPITAL/node. Writes HOSPITAL/node/roster.json, with --accept only.

      fedpet node members hospitals/nice
      fedpet node members hospitals/nice --accept 3f9a0c55d2e81b47

    Next: `fedpet node status HOSPITAL`.
    """
    del terminal
    from fedpet.engines.nats.site import SiteFiles
    from fedpet.errors import NotFoundError

    files = SiteFiles(folder=hospital / "node")
    files.require()
    if accept:
        files.pin_roster(accept)
    pinned = files.roster()
    told = files.roster(told=True) or pinned
    if told is None:
        raise NotFoundError(
            "The coordinator has told no list of members yet.",
            do=f"Let the node connect: fedpet node start {hospital} --background",
        )
    rows = [
        {"site": site, "key": told.of(site).fingerprint, "state": _state(site, told, pinned)}
        for site in told.names
    ]
    gone = sorted(set(pinned.names) - set(told.names)) if pinned else []
    rows += [{"site": site, "key": "", "state": "no longer a member"} for site in gone]
    same = pinned is not None and pinned.digest == told.digest
    lines = [f"{row['site']:<16} {row['key'][:DIGITS]:<{DIGITS}}  {row['state']}" for row in rows]
    verdict = (
        "This list is pinned here."
        if same
        else "This list is not pinned here. Compare its digest with the other hospitals', then\n"
        f"  fedpet node members {hospital} --accept {told.digest[:DIGITS]}"
    )
    return Answer(
        data={"digest": told.digest, "epoch": told.epoch, "pinned": same, "members": rows},
        text="\n".join(
            [*lines, "", f"Digest   {told.digest[:DIGITS]}, epoch {told.epoch}", verdict]
        ),
    )


def _state(site: str, told: Roster, pinned: Roster | None) -> str:
    if pinned is None or site not in pinned.sites:
        return "new"
    return "pinned" if pinned.of(site) == told.of(site) else "another key than the pinned one"
