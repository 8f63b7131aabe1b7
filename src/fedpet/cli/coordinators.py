"""`fedpet coordinator`: the part of a federation that runs experiments and never sees a patient."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

log = logging.getLogger(__name__)
FOLDER = click.Path(path_type=Path)
PORT = click.IntRange(1, 65535)
ANYWHERE = "0.0.0.0"  # noqa: S104  (hospitals are elsewhere)


@click.command("init", cls=FedpetCommand, short_help="Make a coordinator's folder")
@click.argument("folder", type=FOLDER)
@click.option("--host", required=True, help="Name or address by which hospitals reach it.")
@click.option("--port", type=PORT, default=4443, show_default=True, help="TCP port.")
@click.option("--listen", default=ANYWHERE, show_default=True, help="Address to listen on.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=9443,
    show_default=True,
    help="/healthz and /metrics on 127.0.0.1; 0 for none.",
)
@click.pass_obj
def init(
    terminal: Terminal, folder: Path, host: str, port: int, listen: str, metrics_port: int
) -> Answer:
    """Make a coordinator's folder: its keys, the federation's certificate authority, its settings.

    Reads nothing. Writes FOLDER, which must not be a coordinator's yet: coordinator.toml, keys,
    pki, state.db. Everything secret in it is readable by you only.

      fedpet coordinator init coordinator --host fedpet.example.org --port 443

    Next: `fedpet coordinator start FOLDER`, then `fedpet site invite NAME --coordinator FOLDER`.
    """
    del terminal
    from fedpet.engines.nats.home import Home

    with Home.create(
        folder, host=host, port=port, listen_host=listen, metrics_port=metrics_port
    ) as home:
        facts = {
            "folder": str(folder),
            "federation": home.settings.federation,
            "address": f"{host}:{port}",
            "authority_sha256": home.authority.fingerprint,
        }
    text = (
        f"Coordinator   {folder}\nAddress       {host}:{port}\n"
        f"Authority     {facts['authority_sha256']}\n\n"
        f"Next\n  fedpet coordinator start {folder} --background\n"
        f"  fedpet site invite NAME --coordinator {folder}"
    )
    return Answer(data=facts, text=text)


@click.command("start", cls=FedpetCommand, short_help="Run the coordinator")
@click.argument("folder", type=FOLDER)
@click.option("--background", is_flag=True, help="Return when it is ready; it goes on.")
@click.pass_obj
def start(terminal: Terminal, folder: Path, background: bool) -> Answer:
    """Run the coordinator: its message broker, the members' permissions, who is there.

    Experiments run in processes of their own (`fedpet run PLAN --coordinator FOLDER`); this one
    can be restarted under them, and they go on.

    Reads FOLDER/coordinator.toml and state.db. Writes FOLDER/broker, FOLDER/log and status.json.
    Runs until Ctrl-C or SIGTERM.

      fedpet coordinator start coordinator --background

    Next: `fedpet site invite NAME --coordinator FOLDER`.
    """
    from fedpet.cli.services import Service, live
    from fedpet.engines.nats.home import Home

    service = Service(folder, what="coordinator")
    with Home(folder) as home:
        address = f"{home.settings.host}:{home.settings.port}"
        if background:
            command = ["coordinator", "start", str(folder)]
            service.start(command, ready=lambda told: told.get("state") == "ready")
            return Answer(
                data={"folder": str(folder), "state": "ready", "address": address},
                text=f"The coordinator runs and is reached at {address}.",
            )
        with service.alone():
            from fedpet.engines.nats.coordinator import Coordinator

            def tell(line: str) -> None:
                log.info("%s", line)
                terminal.say(line)
                if line.startswith("ready"):
                    service.tell(state="ready", address=address)

            service.tell(state="starting", address=address)
            coordinator = Coordinator(home, tell=tell)
            live(service, coordinator.serve)
    return Answer(data={"folder": str(folder), "state": "stopped"}, text="Stopped.")


@click.command("stop", cls=FedpetCommand, short_help="Stop the coordinator")
@click.argument("folder", type=FOLDER)
@click.pass_obj
def stop(terminal: Terminal, folder: Path) -> Answer:
    """Stop the coordinator that runs in the background. Nodes wait for it; nothing is lost.

    Reads FOLDER/status.json. Writes nothing.

      fedpet coordinator stop coordinator

    Next: `fedpet coordinator start FOLDER`.
    """
    del terminal
    from fedpet.cli.services import Service
    from fedpet.engines.nats.home import Home

    with Home(folder):
        Service(folder, what="coordinator").stop()
    return Answer(data={"folder": str(folder), "state": "stopped"}, text="Stopped.")


@click.command("status", cls=FedpetCommand, short_help="Is the coordinator there, and who else?")
@click.argument("folder", type=FOLDER)
@click.pass_obj
def status(terminal: Terminal, folder: Path) -> Answer:
    """Tell whether the coordinator runs, and which sites are there.

    Reads FOLDER, and asks the running coordinator. Writes nothing.

      fedpet coordinator status coordinator

    Next: `fedpet site list --coordinator FOLDER`.
    """
    del terminal
    from fedpet.cli.services import Service
    from fedpet.cli.sites import drawn, measured, rows_of
    from fedpet.engines.nats.home import Home

    with Home(folder) as home:
        told = Service(folder, what="coordinator").told()
        rows = rows_of(home, measured(home) if told else {})
        state = str(told.get("state", "stopped"))
        facts = {
            "folder": str(folder),
            "state": state,
            "pid": told.get("pid"),
            "address": f"{home.settings.host}:{home.settings.port}",
            "certificate_days_left": round(home.authority.days_left(home.names())),
            "sites": rows,
        }
    head = f"Coordinator   {state}\nAddress       {facts['address']}\n"
    head += f"Certificate   {facts['certificate_days_left']} days left, renewed by itself\n\n"
    return Answer(data=facts, text=head + drawn(rows))


@click.command("check", cls=FedpetCommand, short_help="Would the coordinator run here?")
@click.argument("folder", type=FOLDER)
@click.pass_obj
def check(terminal: Terminal, folder: Path) -> Answer:
    """Look for everything that the coordinator needs: broker, ports, disk, keys, clock.

    Reads FOLDER. Writes nothing. Ends with code 3 if something is missing; each line says what to
    do.

      fedpet coordinator check coordinator

    Next: `fedpet coordinator start FOLDER`.
    """
    del terminal
    from fedpet.cli.checks import answer_of, coordinator_checks
    from fedpet.engines.nats.home import Home

    with Home(folder) as home:
        return answer_of(coordinator_checks(home, folder))


@click.command("backup", cls=FedpetCommand, short_help="Save a coordinator's keys and members")
@click.argument("folder", type=FOLDER)
@click.argument("file", type=FOLDER)
@click.pass_obj
def backup(terminal: Terminal, folder: Path, file: Path) -> Answer:
    """Save what cannot be made anew: keys, authority, members, settings and the runs' journals.

    The broker's streams are not in it: what they hold is asked for again. The coordinator may run
    meanwhile. Keep the file like a password: whoever has it can be the coordinator.

    Reads FOLDER. Writes FILE, a tar.gz that only you may read.

      fedpet coordinator backup coordinator coordinator-2026-11-24.tar.gz

    Next: `fedpet coordinator restore FILE FOLDER`, on the same or another machine.
    """
    del terminal
    from fedpet.cli.archive import save
    from fedpet.engines.nats.home import Home

    with Home(folder):
        saved = save(folder, file)
    return Answer(
        data={"file": str(file), "files": len(saved), "bytes": file.stat().st_size},
        text=f"Saved {len(saved)} files into {file}.",
    )


@click.command("restore", cls=FedpetCommand, short_help="Bring a saved coordinator back")
@click.argument("file", type=FOLDER)
@click.argument("folder", type=FOLDER)
@click.pass_obj
def restore(terminal: Terminal, file: Path, folder: Path) -> Answer:
    """Bring a saved coordinator back into a new folder; the sites know it again by its keys.

    Reads FILE, from `fedpet coordinator backup`. Writes FOLDER, which must be new or empty.

      fedpet coordinator restore coordinator-2026-11-24.tar.gz coordinator

    Next: `fedpet coordinator check FOLDER`, then `fedpet coordinator start FOLDER`.
    """
    del terminal
    from fedpet.cli.archive import bring_back
    from fedpet.engines.nats.home import Home

    restored = bring_back(file, folder)
    with Home(folder) as home:
        sites = len(home.sites())
    return Answer(
        data={"folder": str(folder), "files": restored, "sites": sites},
        text=f"Restored {restored} files into {folder}; {sites} sites are members.",
    )
