"""What a person at this hospital decided about a plan, and which plan that was."""

from __future__ import annotations

from fedpet import plan as plans
from fedpet import planfile
from fedpet.errors import NotFoundError, PlanError, RefusalError
from fedpet.node.policy import Policy
from fedpet.node.store import Store
from fedpet.plan import Plan

NAME = "the proposed plan"


class Approvals:
    """Plans that were proposed to this hospital, and the decisions on them.

    Args:
        site: The hospital's name.
        store: Where plans and decisions are kept.
    """

    def __init__(self, *, site: str, store: Store) -> None:
        self._site = site
        self._store = store
        self._read: dict[str, Plan] = {}  # by text, so that a changed text is read again

    def propose(self, text: str) -> Plan:
        """Keep a plan for a person to read.

        Raises:
            PlanError: If the text is no valid plan.
        """
        plan = planfile.loads(text, name=NAME)
        fingerprint = plans.fingerprint(plan)
        self._store.add_plan(fingerprint=fingerprint, name=plan.name, text=text)
        self._store.audit(what="proposed", plan=fingerprint, name=plan.name)
        return plan

    def decide(
        self, fingerprint: str, decision: str, *, person: str, reason: str, policy: Policy
    ) -> None:
        """Approve, refuse or withdraw a proposed plan.

        Raises:
            NotFoundError: If no such plan was proposed here.
            RefusalError: If the policy forbids what would be approved.
        """
        plan = self.proposed(fingerprint)
        if plan is None:
            raise NotFoundError(f"No plan {fingerprint[:12]} was proposed to site '{self._site}'.")
        if decision == "approved" and (objections := policy.objections(plan)):
            raise RefusalError(
                f"Site '{self._site}' may not approve plan {fingerprint[:12]}.",
                why=numbered(objections),
                do="Change the plan, or the hospital's policy.",
            )
        self._store.decide(fingerprint, decision, person=person, reason=reason)
        self._store.audit(what=decision, plan=fingerprint, person=person)

    def decision(self, fingerprint: str) -> str | None:
        """Return the newest decision on a plan: `approved`, `refused`, `withdrawn` or None."""
        return self._store.decision(fingerprint)

    def proposed(self, fingerprint: str) -> Plan | None:
        """Return a plan exactly as it was proposed, decided or not.

        Raises:
            PlanError: If its text was changed in the store.
        """
        text = self._store.plan_text(fingerprint)
        if text is None:
            return None
        if text not in self._read:
            self._read[text] = planfile.loads(text, name=NAME)
        plan = self._read[text]
        if plans.fingerprint(plan) != fingerprint:
            raise PlanError("The plan's text was changed after it was proposed.")
        return plan

    def objections(self, fingerprint: str) -> tuple[str, ...]:
        """Say why nothing is computed for a plan: nobody approved it, or somebody took it back."""
        decision = self.decision(fingerprint)
        if decision == "approved":
            return ()
        state = {"refused": "was refused", "withdrawn": "was withdrawn"}.get(
            decision or "", "is not approved"
        )
        return (f"Plan {fingerprint[:12]} {state} at this hospital.",)


def numbered(reasons: tuple[str, ...]) -> str:
    """Write reasons as one line, each with its number."""
    return " ".join(f"{number}. {reason}" for number, reason in enumerate(reasons, start=1))
