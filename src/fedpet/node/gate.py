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
5. A statistic beside the experiment is answered only if the plan names it, if it cannot tell of
   few subjects, and if it does not differ by few from what was told before (`statistics`).
6. What leaves is written into the audit before it leaves; if it cannot be, it stays.
7. What goes wrong here is told to the coordinator without a detail of any subject.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.errors import FedpetError, RefusalError, StoreError, UpdateError
from fedpet.federation.messages import Reply, Request, Status, decode, encode
from fedpet.node import objections, statistics
from fedpet.node.approvals import Approvals
from fedpet.node.disclosure import released
from fedpet.node.ledger import Ledger
from fedpet.node.policy import Policy, read_policy, write_policy
from fedpet.node.store import AuditEntry, Store
from fedpet.node.worker.workshop import Workshop
from fedpet.parameters import Parameters, digest
from fedpet.plan import Plan

log = logging.getLogger(__name__)


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
        folder: Where the node keeps `policy.toml` and `state.db`.
        cohorts: Cohorts that this node answers for: a built folder each, or one already open.
    """

    def __init__(self, *, site: str, folder: Path, cohorts: Mapping[str, Path | Cohort]) -> None:
        self.site = site
        folder.mkdir(parents=True, exist_ok=True)
        self._policy_path = folder / "policy.toml"
        if not self._policy_path.exists():
            write_policy(Policy(), self._policy_path)
        self._store = Store(folder)
        self._ledger = Ledger(folder)
        self._approvals = Approvals(site=site, store=self._store)
        self._cohorts = dict(cohorts)
        self._workshop = Workshop()

    def close(self) -> None:
        """End the node's worker and close its files."""
        self._workshop.close()
        self._store.close()
        self._ledger.close()

    @property
    def policy(self) -> Policy:
        """The policy as it stands in the file now."""
        return read_policy(self._policy_path)

    def propose(self, text: str) -> tuple[Plan, tuple[str, ...]]:
        """Keep a plan for a person to read, and list what the policy objects to.

        Raises:
            PlanError: If the text is no valid plan.
        """
        plan = self._approvals.propose(text)
        return plan, self.policy.objections(plan)

    def decide(self, fingerprint: str, decision: str, *, person: str, reason: str = "") -> None:
        """Approve, refuse or withdraw a proposed plan.

        Args:
            fingerprint: Of the plan, exactly as proposed.
            decision: `approved`, `refused` or `withdrawn`.
            person: Who decides.
            reason: In their words.

        Raises:
            NotFoundError: If no such plan was proposed here.
            RefusalError: If the policy forbids what would be approved.
        """
        self._approvals.decide(
            fingerprint, decision, person=person, reason=reason, policy=self.policy
        )

    def decision(self, fingerprint: str) -> str | None:
        """Return the newest decision on a plan: `approved`, `refused`, `withdrawn` or None."""
        return self._approvals.decision(fingerprint)

    def audit(self) -> list[AuditEntry]:
        """Return the verified audit, oldest entry first."""
        return self._store.entries()

    def handle_bytes(self, data: bytes) -> bytes:
        """Answer an encoded request with an encoded reply.

        Raises:
            UpdateError: If the bytes are not a request.
        """
        request = decode(data)
        if not isinstance(request, Request):
            raise UpdateError("A node takes requests, not replies.")
        return encode(self.handle(request))

    def handle(self, request: Request) -> Reply:
        """Answer one request: with a summand, or with every reason why not."""
        started = time.perf_counter()
        status: Status
        arrays: Parameters = {}
        reasons: tuple[str, ...] = ()
        try:
            self._record_asked(request)
            found = self._admit(request)
            if isinstance(found, Admitted):
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
            self._store.audit(
                what="answered",
                step=request.step,
                status=status,
                values=sum(array.size for array in arrays.values()),
                digest=digest(arrays) if arrays else None,
            )
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
        )

    def _record_asked(self, request: Request) -> None:
        self._store.audit(
            durable=False,  # the answer's entry waits for both, before anything leaves
            what="asked",
            step=request.step,
            kind=request.kind,
            release=_text(request.body.get("release")),
            question=_digest(request),
            plan=request.plan,
            experiment=request.experiment,
        )

    def _admit(self, request: Request) -> Admitted | tuple[str, ...]:
        """Return what the work needs, or every reason to refuse the request."""
        policy = self.policy
        reasons: list[str] = []
        if request.site != self.site:
            reasons.append(f"This node is not site '{request.site}'.")
        reasons += self._approvals.objections(request.plan)
        reasons += objections.to_the_work(request, policy)
        plan = self._approvals.proposed(request.plan)
        if plan is None:
            return tuple(reasons)
        reasons += policy.objections(plan)
        cohort = self._cohort(plan.cohort)
        if cohort is None:
            return (*reasons, f"This hospital has no cohort named '{plan.cohort}'.")
        reasons += objections.to_the_cohort(cohort, plan)
        if not reasons:
            reasons += objections.to_small_sums(cohort, plan, request, policy)
        if not reasons and statistics.topic_of(request) is not None:
            told = statistics.told_by(cohort, plan, request)
            reasons += statistics.objections(policy, plan, cohort, request, told)
            if not reasons:
                reasons += self._ledger.note(
                    told,
                    cohort=cohort.fingerprint,
                    plan=request.plan,
                    question=_digest(request),
                    difference_min=policy.difference_min,
                    queries_max=min(policy.queries_max, plan.statistics.queries_max),
                )
        return tuple(reasons) or Admitted(plan=plan, cohort=cohort, policy=policy)

    def _answer(self, request: Request, admitted: Admitted) -> Parameters:
        arrays = self._workshop.compute(
            request.kind,
            admitted.cohort,
            admitted.plan,
            request.body,
            request.arrays,
            policy=admitted.policy,
        )
        return released(arrays, request=request, plan=admitted.plan, policy=admitted.policy)

    def _cohort(self, name: str) -> Cohort | None:
        found = self._cohorts.get(name)
        if isinstance(found, Path):
            found = open_cohort(found)
            self._cohorts[name] = found
        return found


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:80]


def _digest(request: Request) -> str:
    """Return the SHA-256 of what is asked: selection, endpoint, columns, and the arrays."""
    body = json.dumps(dict(request.body), sort_keys=True, default=str)
    return hashlib.sha256(f"{body}\n{digest(request.arrays)}".encode()).hexdigest()
