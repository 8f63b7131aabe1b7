"""Where a node lets work be done: its own code here, a researcher's in a worker."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from fedpet import plan as plans
from fedpet.cohort.samples import Cohort
from fedpet.errors import RefusalError
from fedpet.models.own import ElsewhereNetwork, provided_by
from fedpet.node.policy import LEVELS, Policy
from fedpet.node.worker.answers import require_initial, require_update, require_usable
from fedpet.node.worker.confinement import GIB, Level
from fedpet.node.worker.process import Limits, Worker
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.training.work import WORK


class Workshop:
    """One node's worker, at most one at a time, kept warm for the plan that it serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._serves: tuple[str, str, Limits] | None = None

    @property
    def level(self) -> Level | None:
        """How well the present worker is confined; None where there is none."""
        return None if self._worker is None else self._worker.level

    def close(self) -> None:
        """End the worker, if there is one."""
        with self._lock:
            self._dismiss()

    def compute(
        self,
        kind: str,
        cohort: Cohort,
        plan: Plan,
        body: Mapping[str, Any],
        arrays: Parameters,
        *,
        policy: Policy,
    ) -> Mapping[str, Array]:
        """Do one unit of `training.work.WORK`.

        Installed networks and statistics are computed here. With a network of the plan's own,
        training is done whole in the worker and checked; anything else is done here, with the
        network alone in the worker.

        Raises:
            RefusalError: If the hospital takes no such code, or cannot confine it well enough.
            UpdateError: If the worker fails, or its answer is not usable.
        """
        if not plan.model.code:
            return WORK[kind](cohort, plan, body, arrays)
        require_allowed(policy)
        with self._lock:
            worker = self._for(plan, cohort, policy)
            try:
                return _isolated(worker, kind, cohort, plan, body, arrays)
            except BaseException:
                self._dismiss()  # whatever it did, the next request begins with a new one
                raise

    def _for(self, plan: Plan, cohort: Cohort, policy: Policy) -> Worker:
        limits = Limits(
            seconds=policy.work_seconds_max, memory_bytes=int(policy.work_memory_gb * GIB)
        )
        wanted = (plans.fingerprint(plan), cohort.fingerprint, limits)
        if self._worker is None or self._serves != wanted or not self._worker.alive:
            self._dismiss()
            self._worker = Worker(plan, cohort, limits)
            self._serves = wanted
        require_level(self._worker.level, policy)
        return self._worker

    def _dismiss(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = self._serves = None


def require_allowed(policy: Policy) -> None:
    """Refuse a researcher's code where the hospital takes none.

    Raises:
        RefusalError: FP-5010.
    """
    if not policy.custom_code:
        raise RefusalError(
            "This hospital runs installed networks only, and no code of a plan.", code="FP-5010"
        )


def require_level(level: Level, policy: Policy) -> None:
    """Refuse a researcher's code where it would be confined less than the hospital asks for.

    Raises:
        RefusalError: FP-5010.
    """
    if LEVELS.index(level) < LEVELS.index(policy.isolation_min):
        raise RefusalError(
            f"Code of a plan would be confined here at level '{level}'; "
            f"this hospital requires '{policy.isolation_min}'.",
            code="FP-5010",
        )


def _isolated(
    worker: Worker,
    kind: str,
    cohort: Cohort,
    plan: Plan,
    body: Mapping[str, Any],
    arrays: Parameters,
) -> Mapping[str, Array]:
    if kind == "initialise":
        found = worker.work(kind, body, arrays)
        require_initial(found)
        return found
    if kind == "train":
        found = worker.work(kind, body, arrays)
        require_update(found, cohort=cohort, plan=plan, body=body, asked=arrays)
        return found

    def forward(images: Array, covariates: Array) -> Parameters:
        logits = worker.forward(images, covariates)
        require_usable(logits)
        return logits

    with provided_by(lambda _, shape: ElsewhereNetwork(worker.load, forward, shape)):
        return WORK[kind](cohort, plan, body, arrays)
