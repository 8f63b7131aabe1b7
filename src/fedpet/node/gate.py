"""The only door of a hospital: every request passes here, and nothing else leaves.

The walk of a request: decode -> record that it came -> plan, approval and policy -> the work, by
name from one fixed table -> bound what it gives -> record that it was answered -> encode.

Rules:
1. Nothing is computed for a plan that a person here has not approved, or that the policy refuses;
   columns, endpoints, grids and rounds are the plan's, whatever a request says.
2. Only kinds in `fedpet.training.work.WORK` are computed; nothing in a request is executed.
3. An answer about this hospital alone is a named release that the policy must allow.
4. An answer sums as many subjects as the policy asks for, or none; so does what a fold leaves
   out of it, which could be found by subtraction.
5. What leaves is written into the audit before it leaves; if it cannot be, it stays.
6. What goes wrong here is told to the coordinator without a detail of any subject.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from fedpet import plan as plans
from fedpet import planfile
from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.errors import (
    FedpetError,
    NotFoundError,
    PlanError,
    RefusalError,
    StoreError,
    UpdateError,
)
from fedpet.federation.messages import Reply, Request, Status, decode, encode
from fedpet.node.policy import Policy, read_policy, write_policy
from fedpet.node.store import AuditEntry, Store
from fedpet.parameters import Parameters, digest, require_finite
from fedpet.plan import Plan
from fedpet.privacy.clipping import clip_update
from fedpet.training.selection import subjects_behind, subjects_left_out
from fedpet.training.work import WORK

log = logging.getLogger(__name__)
ANSWER_VALUES_MAX = 50_000_000
RELEASES = {"counts": "count", "site-results": "concordance", "local-model": "train"}


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
        self._cohorts = dict(cohorts)
        self._plans: dict[str, Plan] = {}

    def close(self) -> None:
        """Close the node's files."""
        self._store.close()

    @property
    def policy(self) -> Policy:
        """The policy as it stands in the file now."""
        return read_policy(self._policy_path)

    def propose(self, text: str) -> tuple[Plan, tuple[str, ...]]:
        """Keep a plan for a person to read, and list what the policy objects to.

        Raises:
            PlanError: If the text is no valid plan.
        """
        plan = planfile.loads(text, name="the proposed plan")
        fingerprint = plans.fingerprint(plan)
        self._store.add_plan(fingerprint=fingerprint, name=plan.name, text=text)
        self._store.audit(what="proposed", plan=fingerprint, name=plan.name)
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
        text = self._store.plan_text(fingerprint)
        if text is None:
            raise NotFoundError(f"No plan {fingerprint[:12]} was proposed to site '{self.site}'.")
        if decision == "approved":
            objections = self.policy.objections(planfile.loads(text, name="the proposed plan"))
            if objections:
                raise RefusalError(
                    f"Site '{self.site}' may not approve plan {fingerprint[:12]}.",
                    why=_numbered(objections),
                    do="Change the plan, or the hospital's policy.",
                )
        self._store.decide(fingerprint, decision, person=person, reason=reason)
        self._store.audit(what=decision, plan=fingerprint, person=person)

    def decision(self, fingerprint: str) -> str | None:
        """Return the newest decision on a plan: `approved`, `refused`, `withdrawn` or None."""
        return self._store.decision(fingerprint)

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
            status, arrays = "ok", self._answer(request)
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

    def _answer(self, request: Request) -> Parameters:
        if request.site != self.site:
            raise RefusalError(f"This node is not site '{request.site}'.")
        policy = self.policy
        plan = self._approved(request, policy)
        cohort = self._cohort(plan)
        release = request.body.get("release")
        _require_release(request, release, policy)
        _require_enough(cohort, plan, request, policy)
        arrays = WORK[request.kind](cohort, plan, request.body, request.arrays)
        if sum(array.size for array in arrays.values()) > ANSWER_VALUES_MAX:
            raise UpdateError(f"The answer holds more than {ANSWER_VALUES_MAX} values.")
        require_finite(arrays, where="The answer")
        if request.kind == "train" and release is None:
            norm_max = min(policy.update_norm_max, plan.privacy.update_norm_max)
            arrays, _ = clip_update(arrays, norm_max=norm_max)
        return arrays

    def _approved(self, request: Request, policy: Policy) -> Plan:
        decision = self._store.decision(request.plan)
        text = self._store.plan_text(request.plan)
        if text is None or decision != "approved":
            state = {"refused": "was refused", "withdrawn": "was withdrawn"}.get(
                decision or "", "is not approved"
            )
            unread = planfile.loads(text, name="the proposed plan") if text else None
            objections = policy.objections(unread) if unread else ()
            raise RefusalError(
                f"Plan {request.plan[:12]} {state} at this hospital.", why=_numbered(objections)
            )
        if request.plan not in self._plans:
            plan = planfile.loads(text, name="the approved plan")
            if plans.fingerprint(plan) != request.plan:
                raise PlanError("The plan's text was changed after it was proposed.")
            self._plans[request.plan] = plan
        plan = self._plans[request.plan]
        if objections := policy.objections(plan):
            raise RefusalError(
                "The hospital's policy forbids this plan.", why=_numbered(objections)
            )
        return plan

    def _cohort(self, plan: Plan) -> Cohort:
        found = self._cohorts.get(plan.cohort)
        if found is None:
            raise RefusalError(f"This hospital has no cohort named '{plan.cohort}'.")
        if isinstance(found, Path):
            found = open_cohort(found)
            self._cohorts[plan.cohort] = found
        if found.spacing_mm != plan.inputs.spacing_mm:
            raise RefusalError(
                f"Cohort '{plan.cohort}' stands on a grid of {found.spacing_mm:g} mm here; "
                f"the plan reads images at {plan.inputs.spacing_mm:g} mm."
            )
        if found.suv != "bw":
            raise RefusalError(
                f"Cohort '{plan.cohort}' holds SUV by '{found.suv}' here; "
                "plans read SUV by body weight ('bw')."
            )
        return found


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:80]


def _digest(request: Request) -> str:
    """Return the SHA-256 of what is asked: selection, endpoint, columns, and the arrays."""
    body = json.dumps(dict(request.body), sort_keys=True, default=str)
    return hashlib.sha256(f"{body}\n{digest(request.arrays)}".encode()).hexdigest()


def _require_release(request: Request, release: object, policy: Policy) -> None:
    """Refuse work that is not known, and what would tell of this hospital alone unless allowed."""
    if release is not None and release not in policy.releases:
        raise RefusalError(f"This hospital does not release '{release}'.")
    if request.kind not in WORK:
        raise RefusalError(f"'{request.kind}' is not among the work that this node knows.")
    if release is not None and RELEASES.get(str(release)) != request.kind:
        raise RefusalError(f"The release '{release}' does not cover '{request.kind}'.")
    if release is None and request.kind == RELEASES["site-results"]:
        raise RefusalError(f"'{request.kind}' is answered as the release 'site-results' only.")
    if release is None and request.kind == "train" and request.body.get("repeat", 1) != 1:
        raise RefusalError("Several rounds in a row are the release 'local-model'.")


def _require_enough(cohort: Cohort, plan: Plan, request: Request, policy: Policy) -> None:
    """Refuse an answer that sums few subjects, or that leaves few out, but not nobody."""
    least = policy.subjects_min
    if 0 < subjects_behind(cohort, plan, request.body) < least:
        raise RefusalError(
            f"The answer would sum fewer than the {least} subjects that this hospital requires."
        )
    if 0 < subjects_left_out(cohort, plan, request.body) < least:
        raise RefusalError(
            f"The answer would leave out fewer than {least} subjects; "
            "their sum could be found by subtraction."
        )


def _numbered(reasons: tuple[str, ...]) -> str:
    return " ".join(f"{number}. {reason}" for number, reason in enumerate(reasons, start=1))
