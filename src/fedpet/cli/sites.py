"""`fedpet site`: who belongs to the federation. Nothing here needs a restart."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

if TYPE_CHECKING:
    from fedpet.engines.nats.home import Home

FOLDER = click.Path(path_type=Path)
COORDINATOR = click.option(
    "--coordinator",
    "folder",
    type=FOLDER,
    default=Path("coordinator"),
    show_default=True,
    help="The coordinator's folder.",
)
NOTE = click.option("--note", default="", help="Why; shown in the list, and to the site.")


@click.command("invite", cls=FedpetCommand, short_help="Write an invitation for a hospital")
@click.argument("name")
@COORDINATOR
@click.option("--out", type=FOLDER, help="The file; NAME.invite unless told.")
@click.option("--hours", type=click.FloatRange(0.01, 8760), default=72, show_default=True)
@click.option("--approved", is_flag=True, help="Whoever holds the file need not be approved.")
@click.pass_obj
def invite(
    terminal: Terminal, name: str, folder: Path, out: Path | None, hours: float, approved: bool
) -> Answer:
    """Write one file with which a hospital joins: address, fingerprint, one-time secret, expiry.

    Send it like a password. It works once; the hospital's keys are made at the hospital and never
    travel. Compare the fingerprint over the telephone. A site that joined is asked nothing until
    `fedpet site approve NAME`.

    Reads the coordinator's folder. Writes NAME.invite, and the invitation into the list.

      fedpet site invite nice --coordinator coordinator

    Next: send the file; at the hospital, `fedpet node join FILE HOSPITAL`.
    """
    del terminal
    from fedpet.engines.nats.home import Home
    from fedpet.engines.nats.subjects import require_name

    path = out or Path(f"{require_name(name)}.invite")
    with Home(folder) as home:
        found = [site for site in home.members.sites() if site.name == name]
        if found and found[0].state in ("joined", "approved", "suspended"):
            from fedpet.errors import RefusalError

            raise RefusalError(
                f"Site '{name}' has joined already.",
                do=f"To change its keys: fedpet site rotate {name}",
                code="FP-5118",
            )
        return _written(home, name, path, hours=hours, approved=approved)


@click.command("renew", cls=FedpetCommand, short_help="Replace an invitation that expired")
@click.argument("name")
@COORDINATOR
@click.option("--out", type=FOLDER, help="The file; NAME.invite unless told.")
@click.option("--hours", type=click.FloatRange(0.01, 8760), default=72, show_default=True)
@click.pass_obj
def renew(terminal: Terminal, name: str, folder: Path, out: Path | None, hours: float) -> Answer:
    """Write another invitation for a site whose first one expired or was lost; the first one ends.

    Reads the coordinator's folder. Writes NAME.invite, and the invitation into the list.

      fedpet site renew nice --coordinator coordinator

    Next: send the file; at the hospital, `fedpet node join FILE HOSPITAL`.
    """
    del terminal
    from fedpet.engines.nats.home import Home
    from fedpet.errors import RefusalError

    with Home(folder) as home:
        if home.members.site(name).state != "invited":
            raise RefusalError(
                f"Site '{name}' has joined already.",
                do=f"To change its keys: fedpet site rotate {name}",
                code="FP-5118",
            )
        return _written(home, name, out or Path(f"{name}.invite"), hours=hours, approved=False)


@click.command("rotate", cls=FedpetCommand, short_help="Let a site change its keys")
@click.argument("name")
@COORDINATOR
@click.option("--out", type=FOLDER, help="The file; NAME.invite unless told.")
@click.option("--hours", type=click.FloatRange(0.01, 8760), default=72, show_default=True)
@click.pass_obj
def rotate(terminal: Terminal, name: str, folder: Path, out: Path | None, hours: float) -> Answer:
    """Let a member join again with new keys; the old ones hold until then.

    Reads the coordinator's folder. Writes NAME.invite, and the invitation into the list.

      fedpet site rotate nice --coordinator coordinator

    Next: at the hospital, stop the node, `fedpet node join FILE HOSPITAL --new-keys`, start it.
    """
    del terminal
    from fedpet.engines.nats.home import Home
    from fedpet.errors import RefusalError

    with Home(folder) as home:
        state = home.members.site(name).state
        if state not in ("joined", "approved", "suspended"):
            raise RefusalError(
                f"Site '{name}' is {state}; it has no keys to change.",
                do=f"Invite it: fedpet site invite {name}",
                code="FP-5118",
            )
        approved = state == "approved"
        return _written(home, name, out or Path(f"{name}.invite"), hours=hours, approved=approved)


@click.command("list", cls=FedpetCommand, short_help="Who is a member, and who is there?")
@COORDINATOR
@click.pass_obj
def list_(terminal: Terminal, folder: Path) -> Answer:
    """List the sites: invited, joined, approved, suspended or revoked, and when each was last seen.

    Reads the coordinator's folder, and asks the coordinator if it runs. Writes nothing.

      fedpet site list --coordinator coordinator

    Next: `fedpet site approve NAME` for each that joined.
    """
    del terminal
    from fedpet.engines.nats.home import Home

    with Home(folder) as home:
        rows = rows_of(home, measured(home))
    return Answer(data={"sites": rows}, text=drawn(rows))


@click.command("approve", cls=FedpetCommand, short_help="Make a site that joined a member")
@click.argument("name")
@COORDINATOR
@NOTE
@click.pass_obj
def approve(terminal: Terminal, name: str, folder: Path, note: str) -> Answer:
    """Make a site that joined a member. Compare its key's fingerprint over the telephone first.

    Reads and writes the coordinator's list of members; it holds at once.

      fedpet site approve nice --coordinator coordinator

    Next: `fedpet run PLAN --coordinator FOLDER`.
    """
    del terminal
    return _changed(folder, name, "approved", since=("joined",), note=note)


@click.command("suspend", cls=FedpetCommand, short_help="Ask a site nothing for a while")
@click.argument("name")
@COORDINATOR
@NOTE
@click.pass_obj
def suspend(terminal: Terminal, name: str, folder: Path, note: str) -> Answer:
    """Ask a site nothing until it is resumed; a run goes on without it, as if it were away.

    Reads and writes the coordinator's list of members; it holds at once.

      fedpet site suspend nice --note "scanner upgrade" --coordinator coordinator

    Next: `fedpet site resume NAME`.
    """
    del terminal
    return _changed(folder, name, "suspended", since=("approved",), note=note)


@click.command("resume", cls=FedpetCommand, short_help="Ask a suspended site again")
@click.argument("name")
@COORDINATOR
@NOTE
@click.pass_obj
def resume(terminal: Terminal, name: str, folder: Path, note: str) -> Answer:
    """Ask a suspended site again, from the next step on.

    Reads and writes the coordinator's list of members; it holds at once.

      fedpet site resume nice --coordinator coordinator

    Next: `fedpet site list --coordinator FOLDER`.
    """
    del terminal
    return _changed(folder, name, "approved", since=("suspended",), note=note)


@click.command("revoke", cls=FedpetCommand, short_help="Take a site's keys out of use")
@click.argument("name")
@COORDINATOR
@NOTE
@click.pass_obj
def revoke(terminal: Terminal, name: str, folder: Path, note: str) -> Answer:
    """Take a site's keys out of use for good: its node is disconnected at once.

    Reads and writes the coordinator's list of members; it holds at once.

      fedpet site revoke nice --note "laptop stolen" --coordinator coordinator

    Next: `fedpet site invite NAME`, should it come back with new keys.
    """
    del terminal
    states = ("invited", "joined", "approved", "suspended")
    return _changed(folder, name, "revoked", since=states, note=note)


def measured(home: Home) -> Mapping[str, float]:
    """Ask the running coordinator for how long each site has been silent; empty if it is away."""
    from urllib.error import URLError
    from urllib.request import urlopen

    port = home.settings.metrics_port
    if not port:
        return {}
    found = {}
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            for line in answer.read(1 << 20).decode().splitlines():
                if line.startswith("fedpet_site_away_seconds{"):
                    found[line.split('"')[1]] = float(line.rpartition(" ")[2])
    except (URLError, OSError, ValueError):
        return {}
    return found


def rows_of(home: Home, away_s: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the list of sites as JSON values."""
    pending = {invitation.site: invitation for invitation in home.members.invitations()}
    return [
        {
            "site": site.name,
            "state": site.state,
            "away_s": away_s.get(site.name),
            "key": None if site.identity is None else site.identity.fingerprint[:16],
            "invitation_hours_left": (
                round((pending[site.name].expires_at - time.time()) / 3600, 1)
                if site.name in pending
                else None
            ),
            "note": site.note,
        }
        for site in home.members.sites()
    ]


def drawn(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay the list of sites out for people."""
    if not rows:
        return "No site was invited yet.\nNext  fedpet site invite NAME"
    lines = [f"{'SITE':<20}{'STATE':<11}{'SEEN':<12}{'KEY':<18}NOTE"]
    for row in rows:
        away = row["away_s"]
        seen = "-" if away is None else "now" if away < 10 else f"{away:.0f} s ago"
        note = row["note"]
        if row["invitation_hours_left"] is not None:
            note = f"{note} invitation holds {row['invitation_hours_left']:g} h".strip()
        lines.append(
            f"{row['site']:<20}{row['state']:<11}{seen:<12}{row['key'] or '-':<18}{note}".rstrip()
        )
    return "\n".join(lines)


def _changed(folder: Path, name: str, state: str, *, since: tuple[str, ...], note: str) -> Answer:
    from fedpet.engines.nats.home import Home

    with Home(folder) as home:
        site = home.members.change(name, state, since=since, note=note)
    key = "" if site.identity is None else f"; key {site.identity.fingerprint[:16]}"
    return Answer(data={"site": name, "state": site.state}, text=f"{name} is {site.state}{key}.")


def _written(home: Home, name: str, path: Path, *, hours: float, approved: bool) -> Answer:
    from fedpet.engines.nats.invitation import write_invitation

    invitation = home.invite(name, hours=hours, approved=approved)
    write_invitation(invitation, path)
    return Answer(
        data={
            "site": name,
            "file": str(path),
            "hours": hours,
            "authority_sha256": invitation.authority_sha256,
        },
        text=(
            f"Invitation    {path}\nIt works once, for {hours:g} hours. Send it like a password.\n"
            f"Authority     {invitation.authority_sha256}\n\nAt the hospital\n"
            f"  fedpet node init HOSPITAL\n  fedpet node join {path.name} HOSPITAL"
        ),
    )
