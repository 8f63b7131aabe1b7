"""What a node has told of each patient through noise, for ever: charged before it is told.

Every noisy answer is written down before it leaves, under the question that it answers. The same
question, asked again, gets the same answer and costs nothing; any other question costs, whatever
the plan, the experiment or the restart. Nothing here can be lowered.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedpet.cohort.samples import Cohort
from fedpet.errors import StoreError
from fedpet.node.policy import Policy
from fedpet.plan import Plan
from fedpet.privacy.accountant import (
    Spending,
    epsilon_of,
    planned,
    sampling_of,
    steps_in_round,
)
from fedpet.privacy.noise import Noise
from fedpet.training.selection import select

NOISY = ("train", "gradient")
SCHEMA = """
create table if not exists spent (
  question text primary key,
  cohort text not null,
  plan text not null,
  sampling real not null,
  noise real not null,
  steps integer not null,
  charged_at text not null
) strict;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one answer costs.

    Args:
        question: Digest of the whole question, with plan, experiment and step.
        cohort: Name of the cohort; a rebuilt cohort holds the same patients.
        plan: Fingerprint of the plan.
        spending: The steps.
        delta: Of the plan.
    """

    question: str
    cohort: str
    plan: str
    spending: Spending
    delta: float


class Budget:
    """The node's account of epsilon in `<folder>/epsilon.db`, and the secret of its noise.

    Args:
        folder: The node's folder.

    Raises:
        StoreError: If a file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._key = folder / "noise.key"
        path = folder / "epsilon.db"
        with _told():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def charge(self, charge: Charge, *, epsilon_max: float) -> tuple[str, ...]:
        """Write down what an answer will cost, durably, or say why it may not be given.

        Args:
            charge: The answer's cost; a question that was charged before costs nothing.
            epsilon_max: What the hospital allows in all.
        """
        one = charge.spending
        with self._lock, _told():
            self._db.execute("begin immediate")
            try:
                known = self._db.execute(
                    "select 1 from spent where question = ?", (charge.question,)
                ).fetchone()
                if known is None:
                    spent = [*self._spent(charge.cohort), one]
                    reached = _beyond(spent, delta=charge.delta, epsilon_max=epsilon_max)
                    if reached is not None:
                        return (_over(reached, epsilon_max),)
                    self._db.execute(
                        "insert into spent values (?, ?, ?, ?, ?, ?, ?)",
                        (
                            charge.question,
                            charge.cohort,
                            charge.plan,
                            one.sampling,
                            one.noise,
                            one.steps,
                            datetime.now(UTC).isoformat(timespec="seconds"),
                        ),
                    )
                return ()
            finally:
                self._db.execute("commit")

    def epsilon(self, cohort: str, *, delta: float) -> float:
        """Return what was spent on a cohort in all."""
        with self._lock, _told():
            spent = self._spent(cohort)
        return epsilon_of(spent, delta=delta)

    def objections(self, plan: Plan, policy: Policy, *, subjects: int) -> tuple[str, ...]:
        """Object to a plan that would spend more than is left, before anybody approves it."""
        if plan.privacy.differential_privacy == "none":
            return ()
        with self._lock, _told():
            spent = self._spent(plan.cohort)
        whole = [*spent, *planned(plan, subjects=subjects)]
        reached = _beyond(whole, delta=plan.privacy.delta, epsilon_max=policy.epsilon_max)
        return () if reached is None else (_over(reached, policy.epsilon_max),)

    def noise(self, question: str) -> Noise:
        """Return the randomness that belongs to a question."""
        return Noise.of(self._secret(), question)

    def _spent(self, cohort: str) -> list[Spending]:
        rows = self._db.execute(
            "select sampling, noise, sum(steps) from spent where cohort = ? "
            "group by sampling, noise",
            (cohort,),
        )
        return [Spending(sampling=q, noise=sd, steps=int(steps)) for q, sd, steps in rows]

    def _secret(self) -> bytes:
        with self._lock:
            try:
                return self._key.read_bytes()
            except FileNotFoundError:
                fresh = secrets.token_bytes(32)
                draft = self._key.with_suffix(".part")
                handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(handle, "wb") as file:
                    file.write(fresh)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._key)
                return fresh


def charge_of(
    kind: str, body: Mapping[str, Any], *, question: str, plan: Plan, cohort: Cohort, approved: str
) -> Charge | None:
    """Return what an answer costs; None where the plan adds no noise to it.

    Args:
        kind: Of the request.
        body: Of the request.
        question: Digest of the whole question.
        plan: The plan.
        cohort: The cohort.
        approved: Fingerprint of the plan.
    """
    if plan.privacy.differential_privacy == "none" or kind not in NOISY:
        return None
    subjects = len(select(cohort, plan, body["select"]))
    steps = 1
    if kind == "train":
        repeat = max(1, int(body.get("repeat", 1)))
        steps = repeat * steps_in_round(plan, subjects=subjects, alone=True)
    spending = Spending(
        sampling=sampling_of(plan, subjects=subjects),
        noise=plan.privacy.noise_multiplier,
        steps=steps,
    )
    return Charge(
        question=question,
        cohort=plan.cohort,
        plan=approved,
        spending=spending,
        delta=plan.privacy.delta,
    )


def _beyond(spent: list[Spending], *, delta: float, epsilon_max: float) -> float | None:
    """Return what epsilon would be if it is more than allowed, and None if it is not.

    Steps are counted in generous portions first: most answers then cost no computation at all,
    because the portion was computed before. Only what does not fit that way is counted exactly.
    """
    for bits in (0, 3):
        generous = []
        for one in spent:
            portion = 1 << max(0, one.steps.bit_length() - bits)
            steps = -(-one.steps // portion) * portion
            generous.append(Spending(sampling=one.sampling, noise=one.noise, steps=steps))
        if epsilon_of(generous, delta=delta) <= epsilon_max:
            return None
    reached = epsilon_of(spent, delta=delta)
    return reached if reached > epsilon_max else None


def _over(reached: float, epsilon_max: float) -> str:
    return f"Epsilon would reach {reached:.2f}; this hospital allows {epsilon_max:g} in all."


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            "The node's account of epsilon cannot be used; nothing with noise is answered.",
            why=f"SQLite says: {error}.",
            do="Look for a full or read-only disk, or another program that holds epsilon.db.",
        ) from error
