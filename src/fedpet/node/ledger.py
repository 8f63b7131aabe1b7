"""What a node has told, and of whom: no answer may differ from another by few subjects.

Two sums over the same subjects but for a few tell, by subtraction, the sum over those few. The
ledger keeps for every cohort whom answers were about, as one bit for each subject, and how many
different questions were answered. It never leaves the node.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedpet.errors import StoreError
from fedpet.node.statistics import Mask, Told

SCHEMA = """
create table if not exists told (
  cohort text not null,
  about text not null,
  members blob not null,
  primary key (cohort, about, members)
) strict;
create table if not exists questions (
  cohort text not null,
  plan text not null,
  question text not null,
  primary key (cohort, plan, question)
) strict;
"""


class Ledger:
    """The memory of one node's statistics, in `<folder>/ledger.db`.

    Args:
        folder: The node's folder.

    Raises:
        StoreError: If the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "ledger.db"
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise _unusable(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def note(
        self,
        told: Sequence[Told],
        *,
        cohort: str,
        plan: str,
        question: str,
        difference_min: int,
        queries_max: int,
    ) -> tuple[str, ...]:
        """Write down whom an answer is about, or object to it; all or nothing.

        Args:
            told: Whom it is about, by what is summed.
            cohort: Fingerprint of the cohort; another build is another cohort.
            plan: Fingerprint of the plan.
            question: Digest of what is asked; the same one again costs nothing.
            difference_min: Fewest subjects by which two answers may differ; 0 for no check.
            queries_max: Most different questions about the cohort under the plan.

        Returns:
            Objections: the answer differs by few from one that was given, or the budget is spent.
            With none, the answer may leave and counts as given.

        Raises:
            StoreError: If the file cannot be written.
        """
        with self._lock:
            try:
                self._db.execute("begin immediate")
                try:
                    found = self._spent_by(cohort, plan, question, queries_max)
                    for one in told:
                        found += self._beside(one, cohort, difference_min)
                    self._db.executemany(
                        "insert or ignore into told values (?, ?, ?)",
                        [(cohort, one.about, _packed(one.members)) for one in told],
                    )
                    self._db.execute("rollback" if found else "commit")
                except BaseException:
                    self._db.execute("rollback")
                    raise
            except sqlite3.Error as error:
                raise _unusable(error) from error
        return found

    def spent(self, *, cohort: str, plan: str) -> int:
        """Return how many different questions were answered."""
        with self._lock:
            row = self._db.execute(
                "select count(*) from questions where cohort = ? and plan = ?", (cohort, plan)
            ).fetchone()
        return int(row[0])

    def _spent_by(self, cohort: str, plan: str, question: str, queries_max: int) -> tuple[str, ...]:
        added = self._db.execute(
            "insert or ignore into questions values (?, ?, ?)", (cohort, plan, question)
        )
        if added.rowcount == 0:
            return ()
        row = self._db.execute(
            "select count(*) from questions where cohort = ? and plan = ?", (cohort, plan)
        ).fetchone()
        if row[0] <= queries_max:
            return ()
        return (f"The {queries_max} questions that may be asked here have been asked.",)

    def _beside(self, one: Told, cohort: str, difference_min: int) -> tuple[str, ...]:
        before = self._db.execute(
            "select members from told where cohort = ? and about = ?", (cohort, one.about)
        ).fetchall()
        if (_packed(one.members),) in before:
            return ()  # told before; what was near it was told with it, or refused
        now = np.frombuffer(_packed(one.members), np.uint8)
        for (members,) in before:
            differs = int(np.unpackbits(now ^ np.frombuffer(members, np.uint8)).sum())
            if 0 < differs < difference_min:
                return (
                    f"The answer ({one.about}) would differ by fewer than {difference_min} "
                    "subjects from one already given; theirs could be found by subtraction. Ask "
                    "about the same subjects as before.",
                )
        return ()


def _packed(members: Mask) -> bytes:
    return np.packbits(members).tobytes()


def _unusable(error: sqlite3.Error) -> StoreError:
    return StoreError(
        "The node's ledger cannot be read or written.",
        why=f"SQLite says: {error}.",
        do=(
            "Look for a full or read-only disk, or another program that holds ledger.db.",
            "Restore the node's folder from a backup if the file is damaged.",
        ),
    )
