"""`fedpet node`: what a hospital's own people do to take part over the network."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

HOSPITAL = click.argument("hospital", type=click.Path(path_type=Path))


@click.command("init", cls=FedpetCommand, short_help="Make a hospital's keys")
@HOSPITAL
@click.pass_obj
def init(terminal: Terminal, hospital: Path) -> Answer:
    """Make a hospital's keys and settings. The keys stay here; only their public halves travel.

    Reads nothing. Writes HOSPITAL/node: identity.pem and broker.nk (readable by you only),
    node.toml and policy.toml. What is there already is kept.

      fedpet node init hospitals/nice

    Next: `fedpet node join FILE HOSPITAL` with the invitation that the coordinator sent.
    """
    del terminal
    from fedpet.engines.nats.site import SiteFiles
    from fedpet.node.policy import Policy, write_policy

    folder = hospital / "node"
    identity = SiteFiles(folder=folder).make()
    policy = folder / "policy.toml"
    if not policy.exists():
        write_policy(Policy(), policy)
    key = identity.public.fingerprint
    return Answer(
        data={"folder": str(folder), "key": key},
        text=f"Keys          {folder}\nFingerprint   {key[:16]}\n\n"
        f"Next\n  read and edit {policy}\n  fedpet node join FILE {hospital}",
    )


@click.command("join", cls=FedpetCommand, short_help="Join a federation with an invitation")
@click.argument("invitation", type=click.Path(path_type=Path))
@HOSPITAL
@click.option("--new-keys", is_flag=True, help="Make new keys first; see `fedpet site rotate`.")
@click.pass_obj
def join(terminal: Terminal, invitation: Path, hospital: Path, new_keys: bool) -> Answer:
    """Join a federation: show this hospital's public keys, and pin the coordinator's.

    The invitation names the coordinator's certificate and key; nobody else is believed. It works
    once. Read the fingerprint that is shown to the coordinator over the telephone.

    Reads INVITATION and HOSPITAL/node. Writes HOSPITAL/node/federation.toml.

      fedpet node join nice.invite hospitals/nice

    Next: `fedpet node check HOSPITAL`, then `fedpet node start HOSPITAL`.
    """
    del terminal
    from fedpet.cli.services import Service
    from fedpet.engines.nats.enrolment import join as enrol
    from fedpet.engines.nats.invitation import read_invitation
    from fedpet.engines.nats.relay import through
    from fedpet.engines.nats.site import SiteFiles

    files = SiteFiles(folder=hospital / "node")
    files.require()
    read = read_invitation(invitation)
    with Service(files.folder, what="node").alone(), files.keys(new=new_keys) as (identity, seed):

        async def show() -> str:
            async with through(files.proxy(), files.door(read)) as door:
                return await enrol(read, door=door, identity=identity, seed=seed)

        state = asyncio.run(show())
        files.pin(read)
    key = identity.public.fingerprint
    waits = "" if state == "approved" else "\nThe coordinator approves it: read it the fingerprint."
    return Answer(
        data={"site": read.site, "state": state, "key": key},
        text=f"Joined        {read.site}, {state}\nFingerprint   {key[:16]}{waits}\n\n"
        f"Next\n  fedpet node check {hospital}\n  fedpet node start {hospital} --background",
    )


@click.command("start", cls=FedpetCommand, short_help="Run a hospital's node")
@HOSPITAL
@click.option("--background", is_flag=True, help="Return when it is connected; it goes on.")
@click.pass_obj
def start(terminal: Terminal, hospital: Path, background: bool) -> Answer:
    """Run a hospital's node: it connects out, waits for questions, and answers through the gate.

    No port is opened. The process that has the network never opens the data; its child, which
    does, has no connection. A broken line or a restarted coordinator is waited for.

    Reads HOSPITAL/node and HOSPITAL/cohort. Writes HOSPITAL/node: state, audit, log, status.json.
    Runs until Ctrl-C or SIGTERM.

      fedpet node start hospitals/nice --background

    Next: `fedpet node status HOSPITAL`.
    """
    from fedpet.cli.node_process import serve
    from fedpet.cli.services import Service, live
    from fedpet.engines.nats.site import SiteFiles

    files = SiteFiles(folder=hospital / "node")
    files.require()
    pinned = files.pinned()
    service = Service(files.folder, what="node")
    if background:
        if service.running():
            with service.alone():
                pass  # raises: it runs already
        command = ["node", "start", str(hospital)]
        service.start(command, ready=lambda told: told.get("line") == "connected")
        return Answer(
            data={"site": pinned.site, "line": "connected"},
            text=f"The node of {pinned.site} runs and is connected.",
        )
    with service.alone():
        live(service, lambda: serve(hospital, service, say=terminal.say))
    return Answer(data={"site": pinned.site, "line": "stopped"}, text="Stopped.")


@click.command("stop", cls=FedpetCommand, short_help="Stop a hospital's node")
@HOSPITAL
@click.pass_obj
def stop(terminal: Terminal, hospital: Path) -> Answer:
    """Stop a hospital's node that runs in the background; what it was asked comes back later.

    Reads HOSPITAL/node/status.json. Writes nothing.

      fedpet node stop hospitals/nice

    Next: `fedpet node start HOSPITAL`.
    """
    del terminal
    from fedpet.cli.services import Service
    from fedpet.engines.nats.site import SiteFiles

    files = SiteFiles(folder=hospital / "node")
    files.require()
    Service(files.folder, what="node").stop()
    return Answer(data={"line": "stopped"}, text="Stopped.")


@click.command("status", cls=FedpetCommand, short_help="Is a hospital's node there?")
@HOSPITAL
@click.pass_obj
def status(terminal: Terminal, hospital: Path) -> Answer:
    """Tell whether a hospital's node runs, whether it is connected, and what it does.

    Reads HOSPITAL/node. Writes nothing.

      fedpet node status hospitals/nice

    Next: `fedpet node logs HOSPITAL`, or `fedpet node check HOSPITAL` if it is not connected.
    """
    del terminal
    from fedpet.cli.services import Service
    from fedpet.engines.nats.site import SiteFiles

    files = SiteFiles(folder=hospital / "node")
    files.require()
    pinned = files.pinned()
    told = Service(files.folder, what="node").told()
    facts = {
        "site": pinned.site,
        "coordinator": f"{pinned.host}:{pinned.port}",
        "line": told.get("line", "stopped"),
        "state": told.get("state", ""),
        "step": told.get("step", ""),
        "pid": told.get("pid"),
        "child": told.get("child"),
    }
    working = f"{facts['state']} {facts['step']}".strip() or "-"
    text = (
        f"Site          {pinned.site}\nCoordinator   {facts['coordinator']}\n"
        f"Line          {facts['line']}\nDoes          {working}"
    )
    return Answer(data=facts, text=text)


@click.command("logs", cls=FedpetCommand, short_help="Read a hospital's node's own log")
@HOSPITAL
@click.option("--lines", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.pass_obj
def logs(terminal: Terminal, hospital: Path, lines: int) -> Answer:
    """Read the last lines of the node's own log, and of its child's. They stay in the hospital.

    Reads HOSPITAL/node/log. Writes nothing.

      fedpet node logs hospitals/nice --lines 200

    Next: `fedpet node check HOSPITAL`.
    """
    del terminal
    from fedpet.cli.services import Service
    from fedpet.engines.nats.site import SiteFiles

    files = SiteFiles(folder=hospital / "node")
    files.require()
    service = Service(files.folder, what="node")
    found = service.lines(lines)
    service.log_file = service.log_file.with_name("child.log")
    child = service.lines(lines)
    text = "\n".join((*found, *(["", "The child's log", *child] if child else [])))
    return Answer(data={"node": found, "child": child}, text=text or "No log yet.")


@click.command("check", cls=FedpetCommand, short_help="Would a hospital's node work here?")
@HOSPITAL
@click.option(
    "--invitation", type=click.Path(path_type=Path), help="Before joining: try its address."
)
@click.pass_obj
def check(terminal: Terminal, hospital: Path, invitation: Path | None) -> Answer:
    """Try everything that a node needs: keys, disk, data, GPU, name, proxy, connection, TLS, clock.

    Reads HOSPITAL, and connects to the coordinator. Writes nothing. Ends with code 3 if something
    is missing; each line says what to do.

      fedpet node check hospitals/nice

    Next: `fedpet node start HOSPITAL`.
    """
    del terminal
    from fedpet.cli.checks import answer_of, node_checks

    return answer_of(node_checks(hospital, join=invitation))
