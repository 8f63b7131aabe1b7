"""`fedpet node request ...`: plans that ask to compute here; a person reads and decides."""

from __future__ import annotations

import json
import shutil
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.desk import HOSPITAL, PERSON, desk_of, table
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import RefusalError

if TYPE_CHECKING:
    from fedpet.cli.plan_words import Chapter
    from fedpet.federation.approval import Decision
    from fedpet.node.desk import Change, Desk
    from fedpet.node.store import Proposal

PLAN = click.argument("plan", metavar="PLAN")
FILE = click.Path(path_type=Path)


@click.command("add", cls=FedpetCommand, short_help="Take in a plan that came as a file")
@HOSPITAL
@click.argument("file", type=FILE)
@click.option("--from", "requester", default="this machine", metavar="NAME", help="Who asks.")
@click.pass_obj
def add(terminal: Terminal, hospital: Path, file: Path, requester: str) -> Answer:
    """Take in a plan that came as a file, to be read and decided.

    Reads FILE; writes it into HOSPITAL/node/state.db and into the audit. A node that is enrolled
    receives plans by itself. Nothing is computed for a plan that nobody approved.

      fedpet node request add hospitals/lyon plan.toml --from "study team"

    Next: `fedpet node request show HOSPITAL PLAN`.
    """
    from fedpet import planfile
    from fedpet.plan import fingerprint

    del terminal
    text = planfile.dumps(planfile.load(file))
    with desk_of(hospital) as desk:
        plan = desk.approvals.propose(text, requester=requester)
    start = fingerprint(plan)[:12]
    return Answer(
        data={"name": plan.name, "fingerprint": fingerprint(plan), "requester": requester},
        text=f"Plan '{plan.name}' waits to be read.\n"
        f"Next: fedpet node request show {hospital} {start}",
    )


@click.command("list", cls=FedpetCommand, short_help="List the plans that ask to compute here")
@HOSPITAL
@click.pass_obj
def list_(terminal: Terminal, hospital: Path) -> Answer:
    """List the plans that ask to compute here, and what was decided.

    Reads HOSPITAL/node; writes nothing.

      fedpet node request list hospitals/lyon

    Next: `fedpet node request show HOSPITAL PLAN`, with the first letters of its fingerprint.
    """
    del terminal
    with desk_of(hospital) as desk:
        found = desk.approvals.proposals()
    rows = [
        (
            one.fingerprint[:12],
            one.name,
            one.decision or "waits",
            one.person,
            one.decided_at[:16] or one.seen_at[:16],
            one.requester,
        )
        for one in found
    ]
    heads = ("Plan", "Name", "State", "By", "Since (UTC)", "From")
    return Answer(
        data={"plans": [_values(one) for one in found]},
        text=table(heads, rows) if rows else "No plan asks to compute here.",
    )


@click.command("show", cls=FedpetCommand, short_help="Read a plan in words before deciding")
@HOSPITAL
@PLAN
@click.pass_obj
def show(terminal: Terminal, hospital: Path, plan: str) -> Answer:
    """Read a plan in words: who asks, what it uses, computes and lets leave, and what changed.

    Reads HOSPITAL/node; writes nothing. PLAN is the beginning of its fingerprint. What changed
    since the last version that was seen here stands first, and what this hospital's policy
    objects to.

      fedpet node request show hospitals/lyon 9c41d2

    Next: `fedpet node request approve HOSPITAL PLAN --person NAME`, or refuse.
    """
    from fedpet.cli.code_words import code_lines
    from fedpet.cli.plan_words import plan_in_words
    from fedpet.cli.privacy_words import account_in_words
    from fedpet.node.policy import read_policy

    del terminal
    with desk_of(hospital) as desk:
        one = desk.find(plan)
        read = desk.approvals.proposed(one.fingerprint)
        assert read is not None
        changed = _changes(desk, one)
        objections = read_policy(desk.policy_path).objections(read)
    account, over = account_in_words(read, hospital)
    objections = (*objections, *over)
    chapters: tuple[Chapter, ...] = (
        ("Who asks", (f"{one.requester}, seen here first at {one.seen_at[:16]} UTC.",)),
        ("What was decided", (_decided(one),)),
        ("What changed since the last version seen here", _told(changed)),
        (
            "What this hospital's policy objects to",
            objections or ("Nothing: a person may approve it.",),
        ),
        *([("This hospital's account of epsilon", account)] if account else []),
        *plan_in_words(read),
    )
    code = code_lines(read.model)
    return Answer(
        data={
            **_values(one),
            "changes": None if changed is None else [asdict(change) for change in changed],
            "objections": list(objections),
            "words": [{"heading": heading, "text": list(told)} for heading, told in chapters],
        },
        text="\n".join([_laid_out(chapters), *(("", read.model.code, *code) if code else ())]),
    )


@click.command("diff", cls=FedpetCommand, short_help="What changed since the last version")
@HOSPITAL
@PLAN
@click.pass_obj
def diff(terminal: Terminal, hospital: Path, plan: str) -> Answer:
    """List what changed since the last version of a plan that was seen here, key by key.

    Reads HOSPITAL/node; writes nothing. Versions are plans of the same name.

      fedpet node request diff hospitals/lyon 9c41d2

    Next: `fedpet node request approve HOSPITAL PLAN --person NAME`, or refuse.
    """
    del terminal
    with desk_of(hospital) as desk:
        changed = _changes(desk, desk.find(plan))
    return Answer(
        data={"changes": None if changed is None else [asdict(change) for change in changed]},
        text="\n".join(_told(changed)),
    )


@click.command("approve", cls=FedpetCommand, short_help="Approve a plan and sign it")
@HOSPITAL
@PLAN
@PERSON
@click.option("-o", "--out", type=FILE, help="Also write the signed approval to a file.")
@click.pass_obj
def approve(terminal: Terminal, hospital: Path, plan: str, person: str, out: Path | None) -> Answer:
    """Approve a plan, exactly this one, and sign the approval with the hospital's key.

    Reads HOSPITAL/node; writes the decision there and into the audit. A plan that the policy
    objects to is not approved (code 5); one changed number makes another plan.

      fedpet node request approve hospitals/lyon 9c41d2 --person "Anne Martin"

    Next: `fedpet node audit list HOSPITAL` shows what leaves.
    """
    del terminal
    return _decide(hospital, plan, "approved", person=person, reason="", out=out)


@click.command("refuse", cls=FedpetCommand, short_help="Refuse a plan, with a reason")
@HOSPITAL
@PLAN
@PERSON
@click.option("--reason", required=True, help="Why; it is told to who asks.")
@click.option("-o", "--out", type=FILE, help="Also write the signed refusal to a file.")
@click.pass_obj
def refuse(
    terminal: Terminal, hospital: Path, plan: str, person: str, reason: str, out: Path | None
) -> Answer:
    """Refuse a plan, with a reason that is told to who asks.

    Reads HOSPITAL/node; writes the decision there and into the audit. The reason leaves the
    hospital: it must not hold a date or a long number.

      fedpet node request refuse hospitals/lyon 9c41 --person "Anne Martin" --reason "crop?"

    Next: the study team sends another version; see `fedpet node request list HOSPITAL`.
    """
    del terminal
    return _decide(hospital, plan, "refused", person=person, reason=reason, out=out)


@click.command("withdraw", cls=FedpetCommand, short_help="Take an approval back")
@HOSPITAL
@PLAN
@PERSON
@click.option("--reason", default="", help="Why; it is told to who asks.")
@click.option("-o", "--out", type=FILE, help="Also write the signed withdrawal to a file.")
@click.pass_obj
def withdraw(
    terminal: Terminal, hospital: Path, plan: str, person: str, reason: str, out: Path | None
) -> Answer:
    """Take an approval back; it holds at the next request, also in a run in progress.

    Reads HOSPITAL/node; writes the decision there and into the audit. The run goes on without
    this hospital if enough others stay. What left before cannot be called back.

      fedpet node request withdraw hospitals/lyon 9c41d2 --person "Anne Martin"

    Next: `fedpet node audit export HOSPITAL -o audit.html` tells what had left.
    """
    del terminal
    return _decide(hospital, plan, "withdrawn", person=person, reason=reason, out=out)


@click.command("verify", cls=FedpetCommand, short_help="Check a hospital's signed decision")
@click.argument("file", type=FILE)
@click.option("--key", metavar="HEX", help="The hospital's public key, as the roster names it.")
@click.pass_obj
def verify(terminal: Terminal, file: Path, key: str | None) -> Answer:
    """Check a hospital's signed decision, anywhere and without the hospital.

    Reads FILE; writes nothing. Without --key it only tells that the file was not altered after it
    was signed by the key that stands in it; compare that key with the roster.

      fedpet node request verify lyon-approval.json

    Next: compare the fingerprint with that of your plan: `fedpet plan show PLAN`.
    """
    from fedpet.errors import DataError, NotFoundError, StoreError
    from fedpet.federation.approval import read_approval
    from fedpet.privacy.identity import PublicIdentity

    del terminal
    try:
        approval = read_approval(file.read_text(encoding="utf-8"))
    except OSError:
        raise NotFoundError(f"There is no file '{file.name}' that can be read.") from None
    except UnicodeDecodeError:
        raise DataError(f"'{file.name}' is no decision of a hospital.") from None
    try:
        public = None if key is None else PublicIdentity(bytes.fromhex(key))
    except (ValueError, StoreError):
        raise DataError("--key is no public key: 64 hexadecimal characters.") from None
    approval.verify(public)
    told = f"{approval.site} {approval.decision} plan {approval.plan[:12]} ('{approval.name}')"
    return Answer(
        data=asdict(approval),
        text=f"{told}, {approval.person}, {approval.at[:16]} UTC.\nSigned with key {approval.key}.",
    )


def _decide(
    hospital: Path, plan: str, decision: Decision, *, person: str, reason: str, out: Path | None
) -> Answer:
    from fedpet.node.policy import read_policy

    with desk_of(hospital) as desk:
        one = desk.find(plan)
        if decision == "approved":
            _require_budget(desk, one, hospital)
        approval = desk.approvals.decide(
            one.fingerprint,
            decision,
            person=person,
            reason=reason,
            policy=read_policy(desk.policy_path),
        )
    if out is not None:
        out.write_text(approval.to_json(), encoding="utf-8")
    return Answer(
        data=json.loads(approval.to_json()),
        text=f"Plan '{one.name}' ({one.fingerprint[:12]}) is {decision}; it holds at the next "
        f"request.\n{f'Wrote {out}.' if out else f'Signed with key {approval.key}.'}",
    )


def _require_budget(desk: Desk, one: Proposal, hospital: Path) -> None:
    """Refuse to approve a plan that would spend more epsilon than is left here."""
    from fedpet.cli.privacy_words import account_in_words

    read = desk.approvals.proposed(one.fingerprint)
    over = () if read is None else account_in_words(read, hospital)[1]
    if over:
        raise RefusalError(
            f"This hospital may not approve plan {one.fingerprint[:12]}.",
            why=" ".join(over),
            do="Ask for more noise, fewer rounds or fewer folds, or raise epsilon_max.",
        )


def _changes(desk: Desk, one: Proposal) -> tuple[Change, ...] | None:
    from fedpet.node.desk import changes

    earlier = desk.before(one)
    if earlier is None:
        return None
    before = desk.approvals.proposed(earlier.fingerprint)
    after = desk.approvals.proposed(one.fingerprint)
    assert before is not None
    assert after is not None
    return changes(before, after)


def _told(changed: tuple[Change, ...] | None) -> tuple[str, ...]:
    if changed is None:
        return ("No plan of this name was seen here before.",)
    return tuple(f"{one.key}: {_short(one.before)} -> {_short(one.after)}" for one in changed) or (
        "Nothing.",
    )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _decided(one: Proposal) -> str:
    if one.decision is None:
        return "Nothing yet; until a person approves it, nothing is computed."
    reason = f' "{one.reason}"' if one.reason else ""
    return f"{one.decision} by {one.person}, {one.decided_at[:16]} UTC.{reason}"


def _values(one: Proposal) -> dict[str, object]:
    values = asdict(one)
    del values["text"], values["document"]
    return values


def _laid_out(chapters: tuple[Chapter, ...]) -> str:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    lines: list[str] = []
    for heading, sentences in chapters:
        lines += ["", heading] if lines else [heading]
        for sentence in sentences:
            lines += textwrap.wrap(
                sentence,
                width=width,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(lines)
