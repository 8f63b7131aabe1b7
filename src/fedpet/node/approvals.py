"""What a person at this hospital decided about a plan, and which plan that was."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict

from fedpet import plan as plans
from fedpet import planfile
from fedpet.errors import DataError, NotFoundError, PlanError, RefusalError
from fedpet.federation.approval import Approval, Decision, read_approval, signed
from fedpet.node.audit import Audit
from fedpet.node.audit_fields import PERSON, fitting
from fedpet.node.policy import Policy
from fedpet.node.store import Proposal, Store, now
from fedpet.plan import Plan
from fedpet.privacy.identity import Identity
from fedpet.tomldoor import SIZE_LIMIT_BYTES

NAME = "the proposed plan"
REASON_CHARACTERS = 400
# A reason is told to other sites: nothing in it may look like a number or a date of a person.
NUMBER = re.compile(r"\d{4,}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")


class Approvals:
    """Plans that were proposed to this hospital, and the decisions on them.

    Args:
        site: The hospital's name.
        store: Where plans and decisions are kept.
        audit: Where decisions are recorded.
        identity: What signs them.
    """

    def __init__(self, *, site: str, store: Store, audit: Audit, identity: Identity) -> None:
        self._site = site
        self._store = store
        self._audit = audit
        self._identity = identity
        # By text and fingerprint that were seen to fit, so that a changed text is read again.
        self._read: dict[tuple[str, str], Plan] = {}

    def propose(self, text: str, *, requester: str) -> Plan:
        """Keep a plan for a person to read.

        Raises:
            PlanError: If the text is no valid plan.
        """
        if len(text) > SIZE_LIMIT_BYTES:
            raise PlanError(f"The proposed plan has {len(text)} characters; that is no plan.")
        plan = planfile.loads(text, name=NAME)
        fingerprint = plans.fingerprint(plan)
        if self._store.add_plan(
            fingerprint=fingerprint, name=plan.name, text=text, requester=requester
        ):
            self._audit.append(
                what="proposed",
                plan=fingerprint,
                name=fitting("name", plan.name),
                requester=fitting("requester", requester),
            )
        return plan

    def decide(
        self, fingerprint: str, decision: Decision, *, person: str, reason: str, policy: Policy
    ) -> Approval:
        """Approve, refuse or withdraw a proposed plan.

        Returns:
            The decision, signed.

        Raises:
            NotFoundError: If no such plan was proposed here.
            RefusalError: If the policy forbids what would be approved.
            DataError: If the person has no name, or the reason holds what looks like a number or
                a date of a person.
        """
        plan, proposal = self.proposed(fingerprint), self._store.proposal(fingerprint)
        if plan is None or proposal is None:
            raise NotFoundError(
                f"No plan {fingerprint[:12]} was proposed to site '{self._site}'.",
                do="List what was proposed: fedpet node request list HOSPITAL",
            )
        _require_words(person, reason)
        if decision == "approved" and (objections := policy.objections(plan)):
            raise RefusalError(
                f"Site '{self._site}' may not approve plan {fingerprint[:12]}.",
                why=numbered(objections),
                do="Change the plan, or the hospital's policy.",
            )
        approval = signed(
            Approval(
                site=self._site,
                plan=fingerprint,
                name=plan.name,
                requester=proposal.requester,
                decision=decision,
                person=person,
                reason=reason,
                policy=_digest(policy),
                at=now(),
            ),
            self._identity,
        )
        # First the audit: a decision that holds but is not recorded would be the worse half.
        self._audit.append(what=decision, plan=fingerprint, person=fitting("person", person))
        self._store.decide(
            fingerprint,
            decision,
            person=person,
            reason=reason,
            at=approval.at,
            document=approval.to_json(),
        )
        return approval

    def proposals(self) -> list[Proposal]:
        """Return every plan that was proposed, oldest first, with the newest decision on it."""
        return self._store.proposals()

    def decision(self, fingerprint: str) -> str | None:
        """Return the newest decision on a plan: `approved`, `refused`, `withdrawn` or None."""
        found = self._store.proposal(fingerprint)
        return None if found is None else found.decision

    def proposed(self, fingerprint: str) -> Plan | None:
        """Return a plan exactly as it was proposed, decided or not.

        Raises:
            PlanError: If its text was changed in the store.
        """
        found = self._store.proposal(fingerprint)
        if found is None:
            return None
        key = found.text, fingerprint
        if key not in self._read:
            plan = planfile.loads(found.text, name=NAME)
            if plans.fingerprint(plan) != fingerprint:
                raise PlanError("The plan's text was changed after it was proposed.")
            self._read[key] = plan
        return self._read[key]

    def objections(self, fingerprint: str, *, requester: str) -> tuple[str, ...]:
        """Say why nothing is computed for a plan, if nothing is.

        Nobody approved it, somebody took it back, or it was approved for somebody else.
        """
        found = self._store.proposal(fingerprint)
        if found is None or found.decision != "approved":
            words = {"refused": "was refused", "withdrawn": "was withdrawn"}
            state = words.get((found and found.decision) or "", "is not approved")
            reason = f' ("{found.reason}")' if found and found.reason else ""
            return (f"Plan {fingerprint[:12]} {state} at this hospital{reason}.",)
        approved_for = read_approval(found.document).requester
        if approved_for != requester:
            return (
                f"Plan {fingerprint[:12]} was approved for '{approved_for:.80}', and not for "
                f"'{requester:.80}'.",
            )
        return ()


def require_person(person: str) -> None:
    """Refuse what is no name of a person or of their office.

    Raises:
        DataError: If it holds anything but letters, spaces, dots, hyphens and apostrophes.
    """
    if not PERSON.fullmatch(person) or person.startswith("sha256:"):
        raise DataError(
            "A decision needs the name of who decides: letters, spaces, dots and hyphens.",
            do='Say who: --person "Anne Martin"',
        )


def _require_words(person: str, reason: str) -> None:
    require_person(person)
    if len(reason) > REASON_CHARACTERS or not reason.isprintable() or NUMBER.search(reason):
        raise DataError(
            "The reason holds what may not leave: a date, a long number, or more than "
            f"{REASON_CHARACTERS} characters.",
            why="It is told to the study team; nothing in it may point to a person.",
            do="Say it without dates and numbers.",
        )


def _digest(policy: Policy) -> str:
    return hashlib.sha256(json.dumps(asdict(policy), sort_keys=True).encode()).hexdigest()


def numbered(reasons: tuple[str, ...]) -> str:
    """Write reasons as one line, each with its number."""
    return " ".join(f"{number}. {reason}" for number, reason in enumerate(reasons, start=1))
