"""What the commands that ask statistics share: their options, and the federation they open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedpet import planfile
from fedpet.cli.terminal import Answer, Terminal
from fedpet.federation.records import Record, SiteState, StepClosed

if TYPE_CHECKING:
    from rich.console import Console

    from fedpet.federation.session import Federation
    from fedpet.federation.statistics.account import Account
    from fedpet.federation.statistics.question import Subjects
    from fedpet.plan import Plan

FILE = click.Path(path_type=Path)
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every statistic is asked with: the open federation, its plan, and whom it is about."""

    federation: Federation
    plan: Plan
    subjects: Subjects


def asks(command: Command) -> Command:
    """Add the options of a statistic to a command."""
    options = (
        click.argument("plan_file", metavar="PLAN", type=FILE),
        click.option(
            "--sites", required=True, type=FILE, help="Folder with one subfolder per hospital."
        ),
        click.option(
            "--complete",
            multiple=True,
            metavar="COLUMNS",
            help="Only subjects who have these columns, in every statistic the same.",
        ),
        click.option(
            "--where",
            multiple=True,
            metavar="CONDITION",
            help="Only subjects for whom it holds: 'age_years>=65', 'age_years<80'.",
        ),
        click.option(
            "--keep", type=FILE, help="Folder that keeps answers, so that asking again is free."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def asked(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    *,
    complete: Sequence[str],
    where: Sequence[str],
    keep: Path | None,
) -> Iterator[Asked]:
    """Open the hospitals of a folder to ask statistics of them.

    Raises:
        PlanError: If the plan cannot be read, or has no such column.
        NotFoundError: If no hospital has a built cohort.
    """
    from fedpet.cli.asking_words import subjects_of
    from fedpet.local import federation

    plan = planfile.load(plan_file)
    subjects = subjects_of(plan, complete, where)
    told: set[str] = set()

    def watch(record: Record) -> None:
        if isinstance(record, SiteState) and record.state != "ok":
            reason = f"{record.site}: {' '.join(record.reasons)}"
            if reason not in told:
                told.add(reason)
                terminal.warn(reason)
        if isinstance(record, StepClosed) and terminal.verbosity > 0:
            terminal.say(f"{record.label}: {record.seconds:.2f} s")

    with federation(sites, plan=plan, folder=keep, watch=watch) as opened:
        yield Asked(federation=opened, plan=plan, subjects=subjects)


def told(
    account: Account, data: dict[str, object], draw: Callable[[Console], None] | None = None
) -> Answer:
    """Return a statistic's answer with its disclosure report.

    Args:
        account: What the statistic cost and withheld.
        data: JSON values of the result.
        draw: Draws the result for people.
    """

    def drawn(console: Console) -> None:
        if draw is not None:
            draw(console)
        console.print(f"\n{in_words(account)}", style="dim", soft_wrap=True)

    return Answer(data={**data, "disclosure": account.report()}, text=drawn)


def in_words(account: Account) -> str:
    """Return a disclosure report in two lines.

    Examples:
        >>> from fedpet.federation.statistics.account import Account
        >>> print(in_words(Account(questions=2, replayed=0, floats_up=9, floats_down=4,
        ...     seconds=0.25, sites=("a", "b", "c"), left_out={}, thresholds={})))
        3 hospitals, 2 questions, 9 numbers sent by each, 4 received, 0.25 s.
        Withheld: nothing.
    """
    withheld = []
    if account.hidden:
        withheld.append(f"{account.hidden} small counts")
    if account.merged:
        withheld.append(f"{account.merged} intervals of time, merged with others")
    withheld += [f"{site} left out" for site in sorted(account.left_out)]
    again = f" ({account.replayed} kept from before)" if account.replayed else ""
    return (
        f"{len(account.sites)} hospitals, {account.questions} questions{again}, "
        f"{account.floats_up:,} numbers sent by each, {account.floats_down:,} received, "
        f"{account.seconds:.2f} s.\n"
        f"Withheld: {', '.join(withheld) or 'nothing'}."
    )
