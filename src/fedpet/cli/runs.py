"""`fedpet run` and `fedpet resume`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from fedpet import planfile
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.plan import Plan, fingerprint

FILE = click.Path(path_type=Path)
WORKERS = click.IntRange(min=1, max=1000)
SECONDS = click.FloatRange(min=0)


@click.command("run", cls=FedpetCommand, short_help="Run a plan over hospitals")
@click.argument("plan_file", metavar="PLAN", type=FILE)
@click.option("--sites", type=FILE, help="Folder with one subfolder per hospital, all here.")
@click.option("--coordinator", type=FILE, help="Coordinator's folder: hospitals over the network.")
@click.option("--out", type=FILE, help="The run's folder; runs/NAME-FINGERPRINT unless told.")
@click.option("--workers", type=WORKERS, help="With --sites: hospitals that work at once.")
@click.option(
    "--away", type=SECONDS, help="Over the network: how long a step waits for a silent site.  [60]"
)
@click.option("--deadline", type=SECONDS, help="How long a step waits in all.  [86400]")
@click.option("--wait", type=SECONDS, help="How long to wait for enough hospitals; for ever.")
@click.pass_obj
def run(
    terminal: Terminal,
    plan_file: Path,
    sites: Path | None,
    coordinator: Path | None,
    out: Path | None,
    workers: int | None,
    away: float | None,
    deadline: float | None,
    wait: float | None,
) -> Answer:
    """Run a plan over hospitals: of a folder, all on this machine, or over the network.

    With --sites each hospital is a real node with its own folder, policy and audit; only sums pass
    between them. Whoever starts the run approves the plan in the name of every hospital.

    With --coordinator the hospitals are the members of that federation. Each is sent the plan, and
    a person there approves it. A hospital that is away, late or refuses is left out of a step and
    told; when too few are left, the run waits for them and goes on.

    Reads PLAN and each hospital's built cohort. Writes the run's folder: plan.toml, journal.db,
    results.json, models, report.html and model-card.md. Every closed step is on disk at once, so
    that Ctrl-C or a power cut loses nothing. Ends with code 7 if hospitals took no part, and with
    code 3, before anything is written, if a cohort lacks what the plan reads.

      fedpet run plan.toml --sites hospitals
      fedpet run plan.toml --coordinator coordinator

    Next: open report.html; after an interruption, `fedpet resume RUN`.
    """
    from fedpet.cli.running import concluded, execute, quoted

    plan = planfile.load(plan_file)
    folder = out or Path("runs") / folder_name(plan)
    if sites is not None and coordinator is None:
        _start_here(plan, sites, folder, terminal)
    elif coordinator is not None and sites is None:
        from fedpet.cli.networked import Wishes, start_networked

        wishes = Wishes(away_s=away or 60.0, deadline_s=deadline or 86_400.0, wait_s=wait)
        start_networked(plan, coordinator=coordinator, folder=folder, wishes=wishes)
    else:
        raise click.UsageError("Give either --sites FOLDER or --coordinator FOLDER.")
    results = execute(folder, terminal, workers=workers)
    return concluded(
        folder,
        results,
        terminal,
        next_steps=[f"fedpet report {quoted(folder)} --language fr"],
    )


def _start_here(plan: Plan, sites: Path, folder: Path, terminal: Terminal) -> None:
    """Lay out a run over the hospitals of a folder, if all would go well."""
    from fedpet.cli.hospitals import obstruction, preflight
    from fedpet.cli.simulate import start
    from fedpet.local.folders import unbuilt_of

    found = preflight(plan, sites)
    if not found.may_run:
        raise obstruction(found.objections)
    if unbuilt := unbuilt_of(plan, sites):
        terminal.warn(f"Left out, for want of a built cohort: {', '.join(unbuilt)}.")
    start(plan, sites=sites, folder=folder)


@click.command("resume", cls=FedpetCommand, short_help="Continue an interrupted run")
@click.argument("folder", metavar="RUN", type=FILE)
@click.option("--workers", type=WORKERS, help="Hospitals that work at once; one per core.")
@click.pass_obj
def resume(terminal: Terminal, folder: Path, workers: int | None) -> Answer:
    """Continue a run that was interrupted, from its last closed step.

    Reads the run's folder and the hospitals that it names. Writes what `fedpet run` writes; the
    numbers are those of a run that was never interrupted.

      fedpet resume runs/pfs-pet-9c41aa02

    Next: open report.html in the run's folder.
    """
    from fedpet.cli.running import concluded, execute

    return concluded(folder, execute(folder, terminal, workers=workers), terminal)


def folder_name(plan: Plan) -> str:
    """Return the name of a run's folder: the plan's name, safe for a disk, and its fingerprint."""
    safe = re.sub(r"[^\w.-]+", "-", plan.name).strip(".-") or "plan"
    return f"{safe}-{fingerprint(plan)[:8]}"
