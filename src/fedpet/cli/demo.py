"""`fedpet demo`: phantom hospitals, from DICOM folders to a report, on one machine."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedpet import planfile
from fedpet.cli.demo_folder import DemoFolder, Wanted, open_demo
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import PlanError
from fedpet.plan import Plan

if TYPE_CHECKING:
    from fedpet.cli.summary import Stage

WRITING, BUILDING = "Writing phantom hospitals", "Building cohorts"
RUNNING, REST = "The experiment", "Starting up, and all else"
SUBJECTS_PER_SITE_MIN = 12


@click.command("demo", cls=FedpetCommand, short_help="Phantom hospitals, from DICOM to a report")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("fedpet-demo"))
@click.option("--subjects", type=click.IntRange(48, 100_000), help="Patients in all.  [320]")
@click.option("--sites", type=click.IntRange(4, 10), help="Hospitals.  [10]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="For all that is random.  [2026]")
@click.option("--rounds", type=click.IntRange(1, 10_000), help="Rounds of network training.")
@click.option("--workers", type=click.IntRange(1, 1000), help="Processes; one per core.")
@click.option("--networked", is_flag=True, help="A coordinator and a node process per hospital.")
@click.option("--open/--no-open", "show", default=None, help="Open the report in a browser.")
@click.pass_obj
def demo(
    terminal: Terminal,
    folder: Path,
    subjects: int | None,
    sites: int | None,
    seed: int | None,
    rounds: int | None,
    workers: int | None,
    networked: bool,
    show: bool | None,
) -> Answer:
    """See it work without any data: phantom hospitals, from DICOM folders to a report.

    Simulates hospitals with patients whose outcome has known causes, writes their PET-CT as DICOM
    and their tables as CSV, builds each hospital's cohort, runs a plan over them with sums only,
    and writes the report. Because the causes are known, so is the best result that any model could
    reach; it stands beside what the models reached.

    With --networked a coordinator and one node process per hospital run on this machine, joined by
    real invitations over TLS. One node comes late; one is killed, and returns.

    Reads nothing. Writes into FOLDER (fedpet-demo), which must be new, empty or a demo's. Called
    again with the same folder, it continues where it stopped and ends with the same numbers.

      fedpet demo
      fedpet demo small --subjects 120 --sites 5 --rounds 5

    Next: look at the report, then at fedpet-demo/plan.toml; change it and run it.
    """
    named = {"subjects": subjects, "sites": sites, "seed": seed, "rounds": rounds}
    asked = {name: value for name, value in named.items() if value is not None}
    _require_enough(asked)
    opened = open_demo(folder, asked=asked)

    from fedpet.cli.running import alone, concluded, execute, quoted

    terminal.crash_folder = folder
    terminal.resume = f"fedpet demo {quoted(folder)}"
    with alone(folder):
        plan = _plan(opened)
        _write(opened, plan, terminal, workers=workers)
        _build(opened, terminal, workers=workers)
        terminal.say(f"Running plan '{plan.name}': sums only between the hospitals.")
        with opened.stage(RUNNING), _running(opened, plan, terminal, networked=networked):
            results = execute(opened.run, terminal, workers=workers, resume=terminal.resume)
        hospital = sorted(path.parent for path in opened.hospitals.glob("[!.]*/cohort.toml"))[0]
        answer = concluded(
            opened.run,
            results,
            terminal,
            stages=_stages(opened, results),
            next_steps=[
                f"fedpet plan show {quoted(opened.plan)}",
                f"fedpet cohort show {quoted(hospital)}",
                f"edit {quoted(opened.plan)}, then "
                f"fedpet run {quoted(opened.plan)} --sites {quoted(opened.hospitals)}",
            ],
        )
    if show or (show is None and _has_screen(terminal)):
        webbrowser.open((opened.run / "report.html").resolve().as_uri())
    return answer


def _require_enough(asked: dict[str, int]) -> None:
    sites = asked.get("sites", Wanted().sites)
    least = sites * SUBJECTS_PER_SITE_MIN
    if asked.get("subjects", Wanted().subjects) < least:
        raise click.UsageError(
            f"{sites} hospitals need {least} subjects at least, {SUBJECTS_PER_SITE_MIN} each."
        )


def _plan(demo: DemoFolder) -> Plan:
    """Return the demo's plan, written once; what a run has begun with stays its plan."""
    from fedpet.cli.plans import template

    begun = demo.run / "plan.toml"
    if begun.exists():
        return planfile.load(begun)
    if not demo.plan.exists():
        temporary = demo.plan.with_suffix(".part")
        temporary.write_text(fitted(template(), demo.wanted), encoding="utf-8")
        temporary.replace(demo.plan)
    return planfile.load(demo.plan)


def fitted(text: str, wanted: Wanted) -> str:
    """Return a plan's text with the rounds asked for, and folds that few hospitals allow."""
    import tomlkit

    plan = planfile.loads(text)
    document = tomlkit.parse(text)
    if wanted.rounds is not None:
        document["training"]["rounds"] = wanted.rounds
    document["evaluation"]["folds"] = _folds(plan, wanted)
    return tomlkit.dumps(document)


def _folds(plan: Plan, wanted: Wanted) -> int:
    """Return the plan's folds, or as many more as leave enough hospitals to fit."""
    from fedpet.federation.preparation import Enrolled, folds_of
    from fedpet.synthetic.profiles import share

    sizes = {f"{i:02d}": n for i, n in enumerate(share(wanted.subjects, sites=wanted.sites))}
    enrolled = Enrolled(subjects=sizes, events={}, refusals={})
    for folds in range(plan.evaluation.folds, wanted.sites):
        evaluation = replace(plan.evaluation, folds=folds)
        try:
            folds_of(replace(plan, evaluation=evaluation), enrolled)
        except PlanError:
            continue
        return folds
    return wanted.sites


def _write(demo: DemoFolder, plan: Plan, terminal: Terminal, *, workers: int | None) -> None:
    if WRITING in demo.closed:
        return
    from fedpet.cli.aside import aside
    from fedpet.cli.work import Share, Work
    from fedpet.cli.working import display
    from fedpet.synthetic.hospitals import SiteWritten, write_hospitals

    wanted = demo.wanted
    terminal.say(f"Simulating {wanted.sites} hospitals with {wanted.subjects} patients.")
    work = Work(title=WRITING, things="patients")
    written = 0

    def source() -> Generator[SiteWritten, None, None]:
        yield from write_hospitals(
            demo.hospitals,
            subjects=wanted.subjects,
            sites=wanted.sites,
            seed=wanted.seed,
            spacing_mm=plan.inputs.spacing_mm,
            workers=workers,
        )

    with demo.stage(WRITING), display(terminal) as shown:
        for site in aside([source], at_once=1):
            written += site.bytes
            note = f"{site.subjects} patients, {site.files} files, {site.bytes / 1e6:.0f} MB"
            share = Share(done=site.subjects, total=site.subjects, state="answered", note=note)
            work = work.with_share(site.site, share)
            shown.show(work)
    terminal.say(f"Wrote {written / 1e9:.2f} GB of DICOM into {demo.hospitals}.")


def _build(demo: DemoFolder, terminal: Terminal, *, workers: int | None) -> None:
    if BUILDING in demo.closed:
        return
    from fedpet.cli.cohorts import build_shown

    hospitals = {path.parent.name: path.parent for path in demo.hospitals.glob("[!.]*/cohort.toml")}
    with demo.stage(BUILDING):
        build_shown(dict(sorted(hospitals.items())), terminal, workers=workers)


def _start(demo: DemoFolder, plan: Plan) -> None:
    from fedpet.cli.simulate import start

    truth = json.loads((demo.hospitals / "truth.json").read_text(encoding="utf-8"))
    start(plan, sites=demo.hospitals, folder=demo.run, ceiling=_ceiling(truth))


def _ceiling(truth: Mapping[str, Any]) -> dict[str, Any]:
    return {
        endpoint: {**known, "tmtv": truth["tmtv_alone"][endpoint]}
        for endpoint, known in truth["ceiling"].items()
    }


@contextmanager
def _running(
    demo: DemoFolder, plan: Plan, terminal: Terminal, *, networked: bool
) -> Iterator[None]:
    """Lay out the run; with processes for everybody where they are wanted."""
    if not networked:
        _start(demo, plan)
        yield
        return
    from fedpet.cli.demo_network import network

    truth = json.loads((demo.hospitals / "truth.json").read_text(encoding="utf-8"))
    with network(demo.path, plan, ceiling=_ceiling(truth), say=terminal.say):
        yield


def _stages(demo: DemoFolder, results: Mapping[str, Any]) -> list[Stage]:
    """Return all stages; what the experiment's journal did not time stands last."""
    from fedpet.cli.summary import Stage, stages_of

    timed = stages_of(results)
    rest = demo.seconds[RUNNING] - sum(stage.seconds for stage in timed)
    before = [Stage(name, demo.seconds.get(name, 0.0)) for name in (WRITING, BUILDING)]
    return [*before, *timed, Stage(REST, max(rest, 0.0))]


def _has_screen(terminal: Terminal) -> bool:
    """Whether a browser can be shown to whoever typed the command."""
    local = "SSH_CONNECTION" not in os.environ
    display = sys.platform in ("darwin", "win32") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return terminal.animated and not terminal.json and local and display
