"""The only door of a hospital: every request passes here, and nothing else leaves.

The walk of a request: decode -> record that it came -> plan, approval and policy (`approvals`,
`objections`) -> the work, by name from one fixed table -> bound what it gives (`disclosure`) ->
record that it was answered -> encode.

Rules:
1. Nothing is computed for a plan that a person here has not approved, or that the policy refuses;
   columns, endpoints, grids and rounds are the plan's, whatever a request says.
2. Only kinds in `fedpet.training.work.WORK` are computed; nothing in a request is executed. A
   network that the approved plan brings as code runs in an isolated worker (`node.worker`).
3. An answer about this hospital alone is a named release that the policy must allow.
4. An answer sums as many subjects as the policy asks for, or none; so does what a fold leaves
   out of it, which could be found by subtraction.
5. A step is answered once, a round is trained once, an experiment has the steps that the policy
   grants and keeps the cohort that it began with (`rounds`); who has withdrawn is in no answer,
   and in no difference of two (`members`).
6. A statistic beside the experiment is answered only if the plan names it, if it cannot tell of
   few subjects, and if it does not differ by few from what was told before (`statistics`).
7. What leaves is written into the audit before it leaves; if it cannot be, it stays.
8. What a strategy keeps at the hospital (`kept`) goes back into its own next round only.
9. What goes wrong here is told to the coordinator without a detail of any subject.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.errors import FedpetError, RefusalError, StoreError, UpdateError
from fedpet.federation.approval import Approval, Decision
from fedpet.federation.heads import Head
from fedpet.federation.messages import Reply, Request, Status, decode, encode
from fedpet.node import masking, objections, voting
from fedpet.node.approvals import Approvals
from fedpet.node.attesting import attested
from fedpet.node.audit import Audit, AuditEntry
from fedpet.node.audit_fields import fitting
from fedpet.node.budget import Budget, charge_of
from fedpet.node.desk import IDENTITY
from fedpet.node.disclosure import released
from fedpet.node.kept import Kept
from fedpet.node.ledger import Ledger
from fedpet.node.membership import Membership
from fedpet.node.memory import Memory, question_of
from fedpet.node.policy import Policy, read_policy, write_policy
from fedpet.node.store import Proposal, Store
from fedpet.node.worker.workshop import Workshop
from fedpet.parameters import Parameters, digest
from fedpet.plan import Plan
from fedpet.privacy.identity import Identity
from fedpet.privacy.noise import drawn_from

log = logging.getLogger(__name__)
HERE = "this machine"


def _clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request to which nobody objects, with all that the work needs."""

    plan: Plan
    cohort: Cohort
    policy: Policy


class Node:
    """One hospital's side of the federation.

    Args:
        site: The hospital's name in the federation.
        folder: Where the node keeps `policy.toml`, `keys`, `state.db` and the audit.
        cohorts: Cohorts that this node answers for: a built folder each, or one already open.
        clock: What tells the time, with a time zone.

    Raises:
        StoreError: If a file of the node is damaged, or open to others.
    """

    def __init__(
        self,
        *,
        site: str,
        folder: Path,
        cohorts: Mapping[str, Path | Cohort],
        clock: Callable[[], datetime] = _clock,
    ) -> None:
        self.site = site
        folder.mkdir(parents=True, exist_ok=True)
        self._policy_path = folder / "policy.toml"
        if not self._policy_path.exists():
            write_policy(Policy(), self._policy_path)
        self.identity = Identity.load_or_create(folder / IDENTITY)
        self._store = Store(folder)
        self._ledger = Ledger(folder)
        self._memory = Memory(self._store, self._ledger)
        self._audit = Audit(folder, site=site, identity=self.identity)
        self._approvals = Approvals(
            site=site, store=self._store, audit=self._audit, identity=self.identity
        )
        self.membership = Membership(folder, site=site, identity=self.identity)
        self._masking = masking.Masking(self.membership, self._store, site=site)
        self._cohorts = dict(cohorts)
        self._workshop = Workshop()
        self._kept = Kept(folder)
        self._clock = clock
        self._budget = Budget(folder)

    def close(self) -> None:
        """End the node's worker and close its files."""
        self._workshop.close()
        self._audit.close()
        self._store.close()
        self._ledger.close()
        self._budget.close()

    @property
    def policy(self) -> Policy:
        """The policy as it stands in the file now."""
        return read_policy(self._policy_path)

    def propose(self, text: str, *, requester: str = HERE) -> tuple[Plan, tuple[str, ...]]:
        """Keep a plan for a person to read, and list what the policy objects to.

        Args:
            text: The plan, as TOML.
            requester: Who asks, as the engine has authenticated them.

        Raises:
            PlanError: If the text is no valid plan.
        """
        plan = self._approvals.propose(text, requester=requester)
        return plan, self.policy.objections(plan)

    def decide(
        self, fingerprint: str, decision: Decision, *, person: str, reason: str = ""
    ) -> Approval:
        """Approve, refuse or withdraw a proposed plan; it holds at the next request.

        Args:
            fingerprint: Of the plan, exactly as proposed.
            decision: `approved`, `refused` or `withdrawn`.
            person: Who decides.
            reason: In their words; it is told to who asks.

        Returns:
            The decision, signed with the hospital's key.

        Raises:
            NotFoundError: If no such plan was proposed here.
            RefusalError: If the policy forbids what would be approved.
            DataError: If the person has no name, or the reason may not leave.
        """
        if decision == "approved":
            self._require_budget(fingerprint)
        return self._approvals.decide(
            fingerprint, decision, person=person, reason=reason, policy=self.policy
        )

    def _require_budget(self, fingerprint: str) -> None:
        plan = self._approvals.proposed(fingerprint)
        cohort = None if plan is None else self._cohort(plan.cohort, self.policy)
        if plan is None or cohort is None:
            return  # told elsewhere
        if objections := self._budget.objections(plan, self.policy, subjects=len(cohort.subjects)):
            raise RefusalError(
                f"Site '{self.site}' may not approve plan {fingerprint[:12]}.",
                why=" ".join(objections),
                do="Ask for more noise, fewer rounds or fewer folds, or raise epsilon_max.",
            )

    def epsilon_spent(self, cohort: str, *, delta: float) -> float:
        """Return what plans with noise have spent on a cohort in all."""
        return self._budget.epsilon(cohort, delta=delta)

    def decision(self, fingerprint: str) -> str | None:
        """Return the newest decision on a plan: `approved`, `refused`, `withdrawn` or None."""
        return self._approvals.decision(fingerprint)

    def proposals(self) -> list[Proposal]:
        """Return every plan that was proposed, oldest first, with the newest decision on it."""
        return self._approvals.proposals()

    def audit(self) -> list[AuditEntry]:
        """Return the verified audit, oldest entry first."""
        return self._audit.entries()

    def handle_bytes(self, data: bytes, *, requester: str = HERE) -> bytes:
        """Answer an encoded request with an encoded reply.

        Args:
            data: The request.
            requester: Who asks, as the engine has authenticated them.

        Raises:
            UpdateError: If the bytes are not a request.
        """
        request = decode(data)
        if not isinstance(request, Request):
            raise UpdateError("A node takes requests, not replies.")
        return encode(self.handle(request, requester=requester))

    def handle(self, request: Request, *, requester: str = HERE) -> Reply:
        """Answer one request: with a summand, or with every reason why not."""
        started = time.perf_counter()
        status: Status
        arrays: Parameters = {}
        reasons: tuple[str, ...] = ()
        head: Head | None = None
        try:
            self._record_asked(request, requester)
            if request.kind in masking.RELAYED:
                status, arrays = "ok", self._relay(request, requester)
            elif isinstance(found := self._admit(request, requester), Admitted):
                status, arrays = "ok", self._answer(request, found)
            else:
                status, reasons = "refused", found
        except RefusalError as error:
            status, reasons = "refused", (error.title, *([error.why] if error.why else []))
        except FedpetError as error:
            status, reasons = "failed", (error.title,)
        except Exception:  # the one broad handler: all is logged here, no detail leaves
            log.exception("work_failed step=%s kind=%s", request.step, request.kind)
            status, reasons = "failed", ("The work failed; details are in the site's own log.",)
        try:
            written = self._record_answered(request, requester, status, arrays, reasons)
            head = written if _durable(request) else None
        except StoreError as error:
            status, arrays, reasons = "failed", {}, (error.title,)
        return Reply(
            site=request.site,
            experiment=request.experiment,
            step=request.step,
            attempt=request.attempt,
            status=status,
            arrays=arrays,
            reasons=reasons,
            seconds=time.perf_counter() - started,
            head=head.values() if head else {},
        )

    def _record_asked(self, request: Request, requester: str) -> None:
        self._audit.append(
            durable=False,  # the answer's entry waits for both, before anything leaves
            what="asked",
            requester=fitting("requester", requester),
            step=fitting("step", request.step),
            kind=fitting("kind", request.kind),
            of=fitting("of", request.body.get("of")),
            release=fitting("release", request.body.get("release")),
            question=question_of(request),
            plan=fitting("plan", request.plan),
            experiment=fitting("experiment", request.experiment),
            attempt=request.attempt if type(request.attempt) is int else None,
            heads=_heads_digest(request.heads),
            rules=hashlib.sha256(self._policy_path.read_bytes()).hexdigest(),
        )

    def _record_answered(
        self,
        request: Request,
        requester: str,
        status: Status,
        arrays: Parameters,
        reasons: tuple[str, ...],
    ) -> Head:
        return self._audit.append(
            durable=_durable(request),
            what="answered",
            requester=fitting("requester", requester),
            step=fitting("step", request.step),
            experiment=fitting("experiment", request.experiment),
            plan=fitting("plan", request.plan),
            kind=fitting("kind", request.kind),
            release=fitting("release", request.body.get("release")),
            status=status,
            values=sum(array.size for array in arrays.values()),
            bytes=sum(array.nbytes for array in arrays.values()),
            digest=digest(arrays) if arrays else None,
            reasons=len(reasons),
        )

    def _relay(self, request: Request, requester: str) -> Parameters:
        """Answer a phase of a secure sum that holds no question.

        Raises:
            RefusalError: If the plan is not approved, or a rule of the secure sum says no.
        """
        policy, plan = self.policy, self._approvals.proposed(request.plan)
        reasons = list(policy.refusals(requester=requester, now=self._clock()))
        reasons += list(self._approvals.objections(request.plan, requester=requester))
        if request.site != self.site:
            reasons.append(f"This node is not site '{request.site}'.")
        if plan is None or reasons or (reasons := list(policy.objections(plan))):
            raise RefusalError(reasons[0], why=" ".join(reasons[1:]))
        return self._masking.relay(request, plan=plan, policy=policy)

    def _admit(self, asked: Request, requester: str) -> Admitted | tuple[str, ...]:
        """Return what the work needs, or every reason to refuse the request."""
        policy = self.policy
        reasons = list(masking.objections_to_clear(asked, policy))
        request = masking.question_in(asked)
        if request.site != self.site:
            reasons.append(f"This node is not site '{request.site:.80}'.")
        reasons += self._audit.remember(request.heads)
        reasons += policy.refusals(requester=requester, now=self._clock())
        reasons += self._approvals.objections(request.plan, requester=requester)
        reasons += objections.to_the_work(request, policy)
        plan = self._approvals.proposed(request.plan)
        if plan is None:
            return tuple(reasons)
        reasons += policy.objections(plan)
        reasons += objections.to_the_release(request, plan)
        reasons += voting.objections(request, plan)
        cohort = self._cohort(plan.cohort, policy)
        if cohort is None:
            return (*reasons, f"This hospital has no cohort named '{plan.cohort:.80}'.")
        reasons += objections.to_the_cohort(cohort, plan)
        if not reasons:
            reasons += objections.to_the_audit(cohort, plan, request, policy)
            reasons += objections.to_small_sums(cohort, plan, request, policy)
        if not reasons and asked.kind == masking.MASK:
            reasons += objections.to_lone_sums(cohort, plan, request)
        question = "" if reasons else question_of(request)
        if not reasons:
            reasons += self._memory.objections(request, plan, cohort, policy, question=question)
        if not reasons:
            whole = self._built(plan.cohort) or cohort
            reasons += self._memory.to_the_statistic(
                request, plan, cohort, policy, question=question, whole=whole
            )
        if not reasons:
            reasons += self._charge(request, plan, cohort, policy)
        if not reasons:
            self._memory.begin(request, cohort, question=question)
        return tuple(reasons) or Admitted(plan=plan, cohort=cohort, policy=policy)

    def _charge(
        self, request: Request, plan: Plan, cohort: Cohort, policy: Policy
    ) -> tuple[str, ...]:
        """Charge the budget for an answer with noise, before anything is computed."""
        charge = charge_of(
            request.kind,
            request.body,
            question=_question(request),
            plan=plan,
            cohort=cohort,
            approved=request.plan,
        )
        if charge is None:
            return ()
        return self._budget.charge(charge, epsilon_max=policy.epsilon_max)

    def _answer(self, asked: Request, admitted: Admitted) -> Parameters:
        request, plan, policy = masking.question_in(asked), admitted.plan, admitted.policy
        with ExitStack() as stack:
            if plan.privacy.differential_privacy != "none":
                stack.enter_context(drawn_from(self._budget.noise(_question(request))))
            arrays = self._workshop.compute(
                request.kind,
                admitted.cohort,
                plan,
                request.body,
                self._kept.with_kept(request, spare=plan.training.patience),
                policy=policy,
            )
        arrays = released(
            self._kept.taken(request, arrays), request=request, plan=plan, policy=policy
        )
        if asked.kind == masking.MASK:
            return self._masking.mask(asked, arrays, plan=plan, policy=policy)
        return self._signed(request, arrays, admitted)

    def _signed(self, request: Request, arrays: Parameters, admitted: Admitted) -> Parameters:
        """Sign what this hospital says for itself: a vote, or a statement on models."""
        if request.kind == "vote":
            return voting.voted(arrays, request, policy=admitted.policy, identity=self.identity)
        if request.kind == "attest":
            privacy = admitted.plan.privacy
            noise = privacy.differential_privacy != "none"
            spent = self._budget.epsilon(admitted.cohort.name, delta=privacy.delta)
            return attested(
                request,
                admitted.cohort,
                identity=self.identity,
                epsilon=spent if noise else None,
            )
        return arrays

    def _built(self, name: str) -> Cohort | None:
        """Return a cohort as it was built."""
        found = self._cohorts.get(name)
        if isinstance(found, Path):
            found = open_cohort(found)
            self._cohorts[name] = found
        return found

    def _cohort(self, name: str, policy: Policy) -> Cohort | None:
        """Return a cohort as it may be answered for: without whoever is absent."""
        found = self._built(name)
        if found is None:
            return None
        return self._memory.present(found, policy)


def _durable(request: Request) -> bool:
    """Say whether the disk must hold an answer's entry before it leaves.

    Phases of a secure sum that hold no question tell keys, of a vector whose entry the disk holds,
    and over whom it is opened is promised there too. Others are told a head that cannot be lost.
    """
    return request.kind not in masking.RELAYED


def _heads_digest(heads: Mapping[str, object]) -> str | None:
    if not heads:
        return None
    return hashlib.sha256(json.dumps(heads, sort_keys=True, default=str).encode()).hexdigest()


def _question(request: Request) -> str:
    """Name a question with all that makes it one: asked again, it gets the same noise."""
    return "\n".join((request.plan, request.experiment, request.step, question_of(request)))
