"""What a node remembers of its answers, and what it therefore does not answer any more."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from fedpet.cohort.samples import Cohort
from fedpet.federation.messages import Request
from fedpet.node import members, rounds, statistics
from fedpet.node.ledger import Ledger
from fedpet.node.policy import Policy
from fedpet.node.store import Begun, Store, now
from fedpet.parameters import digest
from fedpet.plan import Plan


class Memory:
    """Steps, rounds and experiments that were answered, and of whom.

    Args:
        store: What was asked, by experiment and step.
        ledger: Of whom statistics were told.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def present(self, whole: Cohort, policy: Policy) -> Cohort:
        """Return a cohort as it may be answered for: without whoever is absent."""
        return members.present(
            whole,
            self._store.absent(),
            editions=tuple(self._store.editions(whole.name).values()),
            least=policy.difference_min,
        )

    def objections(
        self, request: Request, plan: Plan, cohort: Cohort, policy: Policy, *, question: str
    ) -> tuple[str, ...]:
        """Object to what was asked before otherwise, and to what tells who came or went.

        Args:
            request: What is asked.
            plan: The approved plan.
            cohort: As it may be answered for.
            policy: The hospital's.
            question: Digest of the request, from `question_of`.

        Raises:
            UpdateError: If the request's selection is not understood.
        """
        return (
            *rounds.objections(
                request,
                plan,
                policy,
                question=question,
                edition=rounds.edition_of(cohort.subjects),
                store=self._store,
            ),
            *members.objections(
                cohort,
                plan,
                request.body["select"],
                editions=tuple(self._store.editions(plan.cohort).values()),
                least=policy.difference_min,
            ),
        )

    def to_the_statistic(
        self,
        request: Request,
        plan: Plan,
        cohort: Cohort,
        policy: Policy,
        *,
        question: str,
        whole: Cohort,
    ) -> tuple[str, ...]:
        """Object to a statistic beside the experiment that would tell of few; else note it.

        Args:
            request: What is asked.
            plan: The approved plan.
            cohort: As it may be answered for.
            policy: The hospital's.
            question: Digest of the request, from `question_of`.
            whole: The cohort as it was built.
        """
        if statistics.topic_of(request) is None:
            return ()
        told = statistics.told_by(cohort, plan, request)
        return statistics.objections(policy, plan, cohort, request, told) or tuple(
            self._ledger.note(
                [
                    replace(one, members=members.over_all(one.members, cohort, whole=whole))
                    for one in told
                ],
                cohort=whole.fingerprint,
                plan=request.plan,
                question=question,
                difference_min=policy.difference_min,
                queries_max=min(policy.queries_max, plan.statistics.queries_max),
            )
        )

    def begin(self, request: Request, cohort: Cohort, *, question: str) -> None:
        """Write down that a step is answered, before anything is computed.

        Raises:
            StoreError: If the same step was asked twice at once, with two questions.
        """
        begun = Begun(
            experiment=request.experiment,
            plan=request.plan,
            cohort=cohort.name,
            edition=rounds.edition_of(cohort.subjects),
            begun_at=now(),
        )
        self._store.begin_step(
            begun,
            step=request.step,
            question=question,
            round_=rounds.round_of(request),
            members=sorted(cohort.subjects),
        )


def question_of(request: Request) -> str:
    """Return the SHA-256 of what is asked: selection, endpoint, columns, and the arrays."""
    body = json.dumps(dict(request.body), sort_keys=True, default=str)
    return hashlib.sha256(f"{body}\n{digest(request.arrays)}".encode()).hexdigest()
