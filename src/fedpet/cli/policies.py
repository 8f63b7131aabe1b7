"""`fedpet node policy show|set`: the hospital's own rules."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from fedpet.cli.desk import HOSPITAL, PERSON, desk_of
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal


@click.command("show", cls=FedpetCommand, short_help="Show the hospital's rules")
@HOSPITAL
@click.pass_obj
def show(terminal: Terminal, hospital: Path) -> Answer:
    """Show the hospital's rules, each with what it means; the strictest of plan and rules holds.

    Reads HOSPITAL/node/policy.toml. Writes it with its defaults if there is none.

      fedpet node policy show hospitals/lyon

    Next: `fedpet node policy set HOSPITAL KEY VALUE --person NAME`.
    """
    from fedpet.node.policy import policy_from, text_of

    del terminal
    with desk_of(hospital) as desk:
        text = text_of(desk.policy_path)
    return Answer(data={"policy": asdict(policy_from(text))}, text=text.rstrip())


@click.command("set", cls=FedpetCommand, short_help="Change one of the hospital's rules")
@HOSPITAL
@click.argument("key")
@click.argument("value")
@PERSON
@click.pass_obj
def set_(terminal: Terminal, hospital: Path, key: str, value: str, person: str) -> Answer:
    """Change one rule; it holds at the next request.

    Reads and writes HOSPITAL/node/policy.toml; comments and all other rules stay. The audit
    records who changed what. VALUE is written as in the file: a number, true, a text, or a list.

      fedpet node policy set hospitals/lyon subjects_min 20 --person "Anne Martin"
      fedpet node policy set hospitals/lyon compute_hours '["19:00-07:00"]' --person "Anne Martin"

    Next: `fedpet node request list HOSPITAL`: a plan may be refused now that was approved.
    """
    del terminal
    with desk_of(hospital) as desk:
        before, after = desk.set_policy(key, value, person=person)
    return Answer(
        data={"key": key, "before": before, "after": after},
        text=f"{key}: {before} -> {after}; it holds at the next request.",
    )
