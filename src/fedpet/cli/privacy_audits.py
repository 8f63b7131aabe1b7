"""`fedpet audit privacy`: attack a run's way of training, and say what the attacks reached."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import NotFoundError, UpdateError

if TYPE_CHECKING:
    from fedpet.federation.privacy_audit import Membership
    from fedpet.federation.records import Record
    from fedpet.plan import Plan

FILE = click.Path(path_type=Path)
SCHEMA = "fedpet-privacy-audit/1"


@click.command("privacy", cls=FedpetCommand, short_help="What do a plan's models tell of patients?")
@click.argument("folder", metavar="RUN", type=FILE)
@click.option(
    "--references",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Models that the attacker has besides.",
)
@click.option("--rounds", type=click.IntRange(1), help="Of each training; the plan's unless told.")
@click.option("--workers", type=click.IntRange(1, 1000), help="Hospitals that work at once.")
@click.pass_obj
def privacy(
    terminal: Terminal, folder: Path, references: int, rounds: int | None, workers: int | None
) -> Answer:
    """Attack a run's way of training: membership, gradients, statistics.

    Trains the plan's network on a random half of every hospital's subjects, and as often again as
    there are references; then every hospital counts how often an attacker tells members from
    others. Beside that, images and rows of made-up subjects are rebuilt from updates and sums, in
    clear and as fedpet sends them. An audit is a plan of its own, which a hospital with real
    patients allows with `privacy_audit` in its policy; phantom hospitals allow it.

    Reads RUN/plan.toml, and the hospitals' folder that RUN/run.json names. Writes
    RUN/privacy-audit: the page in English and French, all numbers as JSON, and a journal, so that
    an interrupted audit goes on where it was. Ends with code 7 if the attacks prove more than the
    noise of the plan promises.

      fedpet audit privacy fedpet-demo/run
      fedpet audit privacy runs/pfs-pet-9c41aa02 --references 2 --rounds 10

    Next: give privacy-audit.html to the data-protection officer.
    """
    from fedpet.cli.run_files import replace
    from fedpet.report.privacy_audit import render_privacy_audit
    from fedpet.survival.reconstruction import rebuild
    from fedpet.training.inversion import invert

    plan, sites = _run_of(folder)
    home = folder / "privacy-audit"
    asked = _asked(plan, references, rounds)
    found, phantom = _attacked(asked, sites, home, terminal, workers)
    terminal.say("Rebuilding made-up images and rows.")
    audit = {
        **_document(asked, found, phantom=phantom),
        "inversion": [asdict(one) for one in invert()],
        "statistics": [asdict(one) for one in rebuild()],
    }
    pages = {"en": home / "privacy-audit.html", "fr": home / "privacy-audit.fr.html"}
    text = json.dumps(audit, indent=1, sort_keys=True, allow_nan=False)
    replace(home / "privacy-audit.json", text.encode())
    for language, page in pages.items():
        replace(page, render_privacy_audit(audit, language=language).encode())
    bound = found.epsilon_bound
    error = None
    if bound is not None and found.epsilon_proved > bound:
        error = UpdateError(
            f"The attacks prove an epsilon of {found.epsilon_proved:.2f}; "
            f"the noise promises {bound:.2f}.",
            do="Do not use the models; tell the maintainers.",
            code="FP-7020",
        )
    return Answer(
        data={"audit": audit, "page": str(pages["en"]), "page_fr": str(pages["fr"])},
        text=_in_words(found, pages),
        error=error,
    )


def _run_of(folder: Path) -> tuple[Plan, Path]:
    """Return a run's plan and the folder of its hospitals.

    Raises:
        NotFoundError: If there is no run, or its hospitals are not on this machine.
    """
    from fedpet import planfile

    try:
        plan = planfile.load(folder / "plan.toml")
        sites = Path(json.loads((folder / "run.json").read_text(encoding="utf-8"))["sites"])
    except (OSError, ValueError, KeyError, TypeError, NotFoundError) as error:
        raise NotFoundError(
            "This folder holds no run over hospitals on this machine.",
            why="A privacy audit trains anew, and needs the hospitals' folders.",
            do="Run the plan over phantom hospitals, and audit that run.",
            code="FP-6031",
        ) from error
    return plan, sites


def _asked(plan: Plan, references: int, rounds: int | None) -> Plan:
    from dataclasses import replace

    from fedpet.federation.privacy_audit import audited

    asked = audited(plan, references=references)
    if rounds is None:
        return asked
    return replace(asked, training=replace(asked.training, rounds=rounds))


def _attacked(
    plan: Plan, sites: Path, home: Path, terminal: Terminal, workers: int | None
) -> tuple[Membership, bool]:
    """Wire the hospitals of a folder and attack; return what was found, and whether all is made up.

    Raises:
        UpdateError: If too few hospitals allow it.
    """
    from fedpet import plan as plans
    from fedpet.cli.running import alone
    from fedpet.federation.journal import Journal
    from fedpet.federation.privacy_audit import attack_membership
    from fedpet.local.folders import hospitals_of
    from fedpet.local.taking_part import open_cohorts, require_unchanged
    from fedpet.local.wiring import wired

    hospitals = hospitals_of(plan, sites)
    cohorts = open_cohorts(hospitals)
    here = home / plans.fingerprint(plan)[:12]
    here.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(alone(home))
        journal = stack.enter_context(Journal(here))
        require_unchanged(cohorts, journal)
        execution = stack.enter_context(
            wired(
                plan,
                cohorts,
                homes={site: place / "node" for site, place in hospitals.items()},
                journal=journal,
                workers=workers,
            )
        )
        try:
            found = _followed(attack_membership(execution), terminal)
        except UpdateError as error:
            raise UpdateError(
                error.title,
                why=error.why,
                do=(
                    "Mend what the hospitals say, and call the same command again: it goes on.",
                    "A hospital needs twice the subjects of its subjects_min, and privacy_audit.",
                ),
            ) from error
    return found, all(cohort.phantom for cohort in cohorts.values())


def _followed(walk: Generator[Record, None, Membership], terminal: Terminal) -> Membership:
    """Drain a walk, with a line for each round, and each hospital's trouble once."""
    from fedpet.federation.records import RoundClosed, SiteState

    told: set[str] = set()
    while True:
        try:
            record = next(walk)
        except StopIteration as stop:
            found: Membership = stop.value
            return found
        if terminal.interrupted:
            raise KeyboardInterrupt
        if isinstance(record, RoundClosed):
            terminal.say(f"{record.label}, round {record.round} of {record.rounds}")
        if isinstance(record, SiteState) and record.state != "ok":
            reason = f"{record.site}: {' '.join(record.reasons)}"
            if reason not in told:
                told.add(reason)
                terminal.warn(reason)


def _document(plan: Plan, found: Membership, *, phantom: bool) -> dict[str, Any]:
    from fedpet import __version__
    from fedpet.plan import fingerprint

    return {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "fedpet": __version__,
        "phantom": phantom,
        "plan": {"name": plan.name, "title": plan.title, "fingerprint": fingerprint(plan)},
        "membership": {
            **asdict(found),
            "roc": {name: [list(point) for point in curve] for name, curve in found.roc.items()},
            "epsilon_proved": found.epsilon_proved,
        },
    }


def _in_words(found: Membership, pages: Mapping[str, Path]) -> str:
    lines = [f"{found.members} members, {found.others} others, {len(found.sites)} hospitals."]
    for name, each in found.found.items():
        for one in each:
            lines.append(
                f"  {name:<10} {one.false.value:6.1%} false alarms, "
                f"members found {one.true.value:6.1%} "
                f"[{one.true.low:.1%}, {one.true.high:.1%}]"
            )
    bound = "no noise, no bound" if found.epsilon_bound is None else f"{found.epsilon_bound:.2f}"
    lines.append(
        f"Epsilon     proved {found.epsilon_proved:.2f}, could be proved {found.epsilon_best:.2f}, "
        f"bound {bound}"
    )
    return "\n".join([*lines, f"Page        {pages['en']}", f"            {pages['fr']}"])
