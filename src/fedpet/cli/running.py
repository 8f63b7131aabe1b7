"""Run or continue the experiment of a folder, follow it, and lay out its report."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fedpet import planfile
from fedpet.cli.following import follow
from fedpet.cli.reports import write_report
from fedpet.cli.summary import Stage, drawn, numbers, stages_of
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import FedpetError, NotFoundError, StoreError, UpdateError


def execute(
    folder: Path, terminal: Terminal, *, workers: int | None, resume: str = ""
) -> Mapping[str, Any]:
    """Run the experiment of a folder to its end, or continue it, and return its results.

    Args:
        folder: A run's folder, laid out by `simulate.start`.
        terminal: Where to tell progress.
        workers: Hospitals that work at the same time; as many as cores unless told.
        resume: The command that continues, should this be interrupted.

    Raises:
        NotFoundError: If the folder holds no run.
        StoreError: If another process works on this run.
    """
    from fedpet.cli.networked import is_networked, run_networked
    from fedpet.cli.run_files import RunFiles

    files = RunFiles(folder=folder)
    if not files.plan.exists():
        raise NotFoundError(
            "This folder holds no run.",
            do="Start one: fedpet run PLAN --sites FOLDER",
            code="FP-6004",
        )
    plan = planfile.load(files.plan)
    terminal.crash_folder = folder
    terminal.resume = resume or f"fedpet resume {quoted(folder)}"
    if is_networked(folder):
        run = run_networked(folder, say=terminal.say)
    else:
        from fedpet.cli.simulate import run_in_process

        run = run_in_process(files, workers=workers)
    with alone(folder), closing(run) as records:
        return follow(records, plan=plan, terminal=terminal).results


def concluded(
    folder: Path,
    results: Mapping[str, Any],
    terminal: Terminal,
    *,
    stages: Sequence[Stage] = (),
    next_steps: Sequence[str] = (),
) -> Answer:
    """Write a run's report and return the answer that ends the command.

    Args:
        folder: The run's folder.
        results: Its results.
        terminal: For warnings.
        stages: Where the time went; what the journal timed unless told.
        next_steps: Commands to try next.
    """
    written = write_report(results, folder=folder)
    timed = stages or stages_of(results)
    lines = [f"Report      {written.report}", f"Model card  {written.card}"]
    lines += [f"Numbers     {folder / 'results.json'}", f"Models      {folder / 'models'}"]
    if next_steps:
        lines += ["", "Next", *(f"  {step}" for step in next_steps)]
    missed = _missed(results)
    if missed:
        terminal.warn(missed)
    return Answer(
        data={
            "run": str(folder),
            "report": str(written.report),
            "model_card": str(written.card),
            "results": str(folder / "results.json"),
            **numbers(results, timed),
        },
        text=drawn(results, timed, lines),
        error=_partial(results),
    )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the system lets go of it however the process ends.

    Raises:
        StoreError: If another process holds it.
    """
    import fcntl

    with (folder / "lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"Another process is working in '{folder.name}'.",
                do="Wait for it to end, or stop it; what it has done is kept.",
                code="FP-3004",
            ) from error
        yield


def quoted(path: Path) -> str:
    """Return a path as it can be typed."""
    return shlex.quote(str(path))


def _partial(results: Mapping[str, Any]) -> FedpetError | None:
    absent = [(site["name"], site["reason"]) for site in results["sites"] if site["reason"]]
    if not absent:
        return None
    return UpdateError(
        f"The run ended, but {len(absent)} of {len(results['sites'])} hospitals took no part.",
        why="\n".join(f"{site}: {reason}" for site, reason in absent),
        do="Mend what they say and run the plan anew, or read the report as it is.",
        code="FP-7002",
    )


def _missed(results: Mapping[str, Any]) -> str:
    states = results["participation"]["state"]
    missed = {site: told.count("missed") for site, told in states.items() if "missed" in told}
    if not missed:
        return ""
    told = ", ".join(f"{site} {count}" for site, count in missed.items())
    return f"Rounds that hospitals missed: {told}."
