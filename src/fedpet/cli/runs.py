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


@click.command("run", cls=FedpetCommand, short_help="Run a plan over hospitals")
@click.argument("plan_file", metavar="PLAN", type=FILE)
@click.option("--sites", required=True, type=FILE, help="Folder with one subfolder per hospital.")
@click.option("--out", type=FILE, help="The run's folder; runs/NAME-FINGERPRINT unless told.")
@click.option("--workers", type=WORKERS, help="Hospitals that work at once; one per core.")
@click.pass_obj
def run(
    terminal: Terminal, plan_file: Path, sites: Path, out: Path | None, workers: int | None
) -> Answer:
    """Run a plan over the hospitals of a folder, all on this machine.

    Each hospital is a real node with its own folder, policy and audit; only sums pass between
    them. Whoever starts the run approves the plan in the name of every hospital.

    Reads PLAN and each hospital's built cohort. Writes the run's folder: plan.toml, journal.db,
    results.json, models, report.html and model-card.md. Every closed step is on disk at once, so
    that Ctrl-C or a power cut loses nothing. Ends with code 7 if hospitals took no part, and with
    code 3, before anything is written, if a cohort lacks what the plan reads.

      fedpet run plan.toml --sites hospitals

    Next: open report.html; after an interruption, `fedpet resume RUN`.
    """
    from fedpet.cli.hospitals import obstruction, preflight
    from fedpet.cli.running import concluded, execute, quoted
    from fedpet.local.folders import unbuilt_of

    plan = planfile.load(plan_file)
    found = preflight(plan, sites)
    if not found.may_run:
        raise obstruction(found.objections)
    if unbuilt := unbuilt_of(plan, sites):
        terminal.warn(f"Left out, for want of a built cohort: {', '.join(unbuilt)}.")
    folder = out or Path("runs") / folder_name(plan)

    from fedpet.cli.simulate import start

    start(plan, sites=sites, folder=folder)
    results = execute(folder, terminal, workers=workers)
    return concluded(
        folder,
        results,
        terminal,
        next_steps=[f"fedpet report {quoted(folder)} --language fr"],
    )


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
