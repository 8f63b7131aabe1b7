"""The node's durable state: one SQLite file, owner-only, write-ahead logged."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedpet.errors import StoreError
from fedpet.node.files import require_private

VERSION = 2
SCHEMA = """
create table if not exists plans (
  fingerprint text primary key,
  name text not null,
  text text not null,
  requester text not null,
  seen_at text not null
) strict;
create table if not exists decisions (
  fingerprint text not null,
  decision text not null check (decision in ('approved', 'refused', 'withdrawn')),
  person text not null,
  reason text not null,
  decided_at text not null,
  document text not null
) strict;
create table if not exists experiments (
  experiment text primary key,
  plan text not null,
  cohort text not null,
  edition text not null,
  begun_at text not null
) strict;
create table if not exists steps (
  experiment text not null,
  step text not null,
  question text not null,
  round text,
  primary key (experiment, step),
  unique (experiment, round)
) strict;
create table if not exists editions (
  cohort text not null,
  edition text not null,
  members text not null,
  primary key (cohort, edition)
) strict;
create table if not exists absent (
  subject text primary key,
  why text not null check (why in ('withdrawn', 'resting')),
  since text not null,
  person text not null
) strict;
create table if not exists promises (
  name text primary key,
  value text not null
) strict;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan as it was proposed, and the newest decision on it.

    Args:
        fingerprint: Of the plan.
        name: Of the plan.
        text: TOML, as it came.
        requester: Who asked.
        seen_at: When it came first.
        decision: `approved`, `refused`, `withdrawn`, or None while nobody has decided.
        person: Who decided; empty if nobody has.
        reason: In their words.
        decided_at: When; empty if nobody has.
        document: The signed decision, as JSON; empty if nobody has.
    """

    fingerprint: str
    name: str
    text: str
    requester: str
    seen_at: str
    decision: str | None = None
    person: str = ""
    reason: str = ""
    decided_at: str = ""
    document: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An experiment that this node has answered.

    Args:
        experiment: Its identifier.
        plan: Fingerprint of its plan.
        cohort: Name of the cohort.
        edition: Which members the cohort had, as a digest.
        begun_at: When it asked first.
    """

    experiment: str
    plan: str
    cohort: str
    edition: str
    begun_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A subject that no answer may be about.

    Args:
        subject: Pseudonym.
        why: `withdrawn`, or `resting` beside those who withdrew.
        since: When it was written down.
        person: Who wrote it down.
    """

    subject: str
    why: str
    since: str
    person: str


class Store:
    """Plans, decisions, experiments and absent subjects of one node, in `<folder>/state.db`.

    Args:
        folder: The node's folder.

    Raises:
        StoreError: If the file cannot be used, or is open to others.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "state.db"
        self._lock = threading.Lock()
        require_private(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            known = self._db.execute("select count(*) from sqlite_schema").fetchone()[0]
            version = self._db.execute("pragma user_version").fetchone()[0]
            if not known:
                self._db.executescript(SCHEMA)
                self._db.execute(f"pragma user_version = {VERSION}")
        except sqlite3.DatabaseError as error:
            raise StoreError(
                "The node's state cannot be read.",
                why=f"SQLite says: {error}.",
                do=(
                    "Look for a read-only folder, or another program that holds state.db.",
                    "Restore the node's folder from a backup if the file is damaged.",
                ),
            ) from error
        if known and version != VERSION:
            self._db.close()
            raise StoreError(
                f"The node's state has format {version}; this fedpet reads format {VERSION}.",
                do="Use the fedpet version that wrote it, or begin a new node folder.",
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Hold the file for one transaction: all of it is written, or nothing.

        Args:
            durable: Whether to wait until the disk holds it; a kill loses nothing either way.
        """
        with self._lock:
            try:
                self._db.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
                self._db.execute("begin immediate")
                try:
                    yield self._db
                    self._db.execute("commit")
                except BaseException:
                    self._db.execute("rollback")
                    raise
            except sqlite3.Error as error:
                raise StoreError(
                    "The node's state cannot be written.",
                    why=f"SQLite says: {error}.",
                    do="Look for a full or read-only disk, or another program that holds it.",
                ) from error

    def _rows(self, sql: str, *values: str) -> list[tuple[str, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise StoreError(
                    "The node's state cannot be read.",
                    why=f"SQLite says: {error}.",
                    do="Restore the node's folder from a backup if the file is damaged.",
                ) from error

    def promise(self, name: str, value: str, *, durable: bool = True) -> str:
        """Write a value once, and return the one that was written first.

        Args:
            name: Of the promise.
            value: What is promised.
            durable: Whether to wait until the disk holds it.
        """
        if known := self._rows("select value from promises where name = ?", name):
            return known[0][0]
        with self._writing(durable=durable) as db:
            db.execute("insert or ignore into promises values (?, ?)", (name, value))
            row = db.execute("select value from promises where name = ?", (name,)).fetchone()
        return str(row[0])

    def add_plan(self, *, fingerprint: str, name: str, text: str, requester: str) -> bool:
        """Keep a plan that was proposed; the first copy stays, with whoever asked last.

        Returns:
            Whether the plan, or that this requester asks for it, is new.
        """
        with self._writing() as db:
            row = db.execute(
                "select requester from plans where fingerprint = ?", (fingerprint,)
            ).fetchone()
            db.execute(
                "insert into plans values (?, ?, ?, ?, ?) on conflict (fingerprint)"
                " do update set requester = excluded.requester",
                (fingerprint, name, text, requester, now()),
            )
            return row is None or row[0] != requester

    def decide(
        self, fingerprint: str, decision: str, *, person: str, reason: str, at: str, document: str
    ) -> None:
        """Write a person's decision on a plan; the newest one holds."""
        with self._writing() as db:
            db.execute(
                "insert into decisions values (?, ?, ?, ?, ?, ?)",
                (fingerprint, decision, person, reason, at, document),
            )

    def proposals(self) -> list[Proposal]:
        """Return every plan that was proposed, oldest first, with the newest decision on it."""
        return [
            self._decided(Proposal(fingerprint=f, name=n, text=t, requester=r, seen_at=s))
            for f, n, t, r, s in self._rows(
                "select fingerprint, name, text, requester, seen_at from plans order by rowid"
            )
        ]

    def proposal(self, fingerprint: str) -> Proposal | None:
        """Return a plan that was proposed, or None."""
        rows = self._rows(
            "select fingerprint, name, text, requester, seen_at from plans where fingerprint = ?",
            fingerprint,
        )
        for f, n, t, r, s in rows:
            return self._decided(Proposal(fingerprint=f, name=n, text=t, requester=r, seen_at=s))
        return None

    def _decided(self, one: Proposal) -> Proposal:
        rows = self._rows(
            "select decision, person, reason, decided_at, document from decisions"
            " where fingerprint = ? order by rowid desc limit 1",
            one.fingerprint,
        )
        for decision, person, reason, at, document in rows:
            return Proposal(
                fingerprint=one.fingerprint,
                name=one.name,
                text=one.text,
                requester=one.requester,
                seen_at=one.seen_at,
                decision=decision,
                person=person,
                reason=reason,
                decided_at=at,
                document=document,
            )
        return one

    def experiment(self, experiment: str) -> Begun | None:
        """Return an experiment that was answered, or None."""
        found = self._begun("where experiment = ?", experiment)
        return found[0] if found else None

    def experiments(self, plan: str | None = None) -> list[Begun]:
        """Return the experiments that were answered, oldest first; those of a plan if told."""
        if plan is None:
            return self._begun("")
        return self._begun("where plan = ?", plan)

    def _begun(self, where: str, *values: str) -> list[Begun]:
        rows = self._rows(
            f"select experiment, plan, cohort, edition, begun_at from experiments {where}"  # noqa: S608  (a constant)
            " order by rowid",
            *values,
        )
        return [
            Begun(experiment=e, plan=p, cohort=c, edition=d, begun_at=at) for e, p, c, d, at in rows
        ]

    def step(self, experiment: str, step: str) -> str | None:
        """Return the question that was asked under a step, or None."""
        rows = self._rows(
            "select question from steps where experiment = ? and step = ?", experiment, step
        )
        return rows[0][0] if rows else None

    def step_of_round(self, experiment: str, round_: str) -> str | None:
        """Return the step under which a round was asked, or None."""
        rows = self._rows(
            "select step from steps where experiment = ? and round = ?", experiment, round_
        )
        return rows[0][0] if rows else None

    def rounds(self, experiment: str, prefix: str) -> int:
        """Return how many rounds of an experiment have a name that begins like this."""
        rows = self._rows(
            "select count(*) from steps where experiment = ? and round glob ?",
            experiment,
            f"{prefix}*",
        )
        return int(rows[0][0])

    def steps(self, experiment: str) -> int:
        """Return how many different steps an experiment has asked."""
        return int(self._rows("select count(*) from steps where experiment = ?", experiment)[0][0])

    def begin_step(
        self, begun: Begun, *, step: str, question: str, round_: str | None, members: list[str]
    ) -> None:
        """Write down that a step is answered, of which experiment, and over whom.

        Raises:
            StoreError: If the step or the round was asked before with another question.
        """
        # The audit's entry of the answer is waited for, and names step and question too.
        with self._writing(durable=False) as db:
            db.execute(
                "insert or ignore into editions values (?, ?, ?)",
                (begun.cohort, begun.edition, json.dumps(members)),
            )
            db.execute(
                "insert or ignore into experiments values (?, ?, ?, ?, ?)",
                (begun.experiment, begun.plan, begun.cohort, begun.edition, begun.begun_at),
            )
            db.execute(
                "insert or ignore into steps values (?, ?, ?, ?)",
                (begun.experiment, step, question, round_),
            )
            row = db.execute(
                "select question from steps where experiment = ? and step = ?",
                (begun.experiment, step),
            ).fetchone()
            if row is None or row[0] != question:
                raise StoreError("The same step was asked twice at once; neither was changed.")

    def editions(self, cohort: str) -> dict[str, tuple[str, ...]]:
        """Return every set of subjects of a cohort that answers were about, by digest."""
        rows = self._rows("select edition, members from editions where cohort = ?", cohort)
        return {edition: tuple(json.loads(members)) for edition, members in rows}

    def set_absent(self, subjects: dict[str, str], *, person: str) -> None:
        """Write down subjects that no answer may be about, each with `withdrawn` or `resting`.

        Whoever has withdrawn stays so.
        """
        with self._writing() as db:
            for subject, why in subjects.items():
                db.execute(
                    "insert into absent values (?, ?, ?, ?) on conflict (subject) do update set"
                    " why = excluded.why, since = excluded.since, person = excluded.person"
                    " where why = 'resting'",
                    (subject, why, now(), person),
                )

    def absent(self) -> list[Absent]:
        """Return who is absent, in the order in which it was written down."""
        rows = self._rows("select subject, why, since, person from absent order by rowid")
        return [Absent(subject=s, why=w, since=at, person=p) for s, w, at, p in rows]


def now() -> str:
    """Return the present moment, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
