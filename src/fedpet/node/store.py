"""The node's durable state: one SQLite file, owner-only, write-ahead logged."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedpet.errors import StoreError

SCHEMA = """
create table if not exists plans (
  fingerprint text primary key,
  name text not null,
  text text not null,
  seen_at text not null
) strict;
create table if not exists decisions (
  fingerprint text not null,
  decision text not null check (decision in ('approved', 'refused', 'withdrawn')),
  person text not null,
  reason text not null,
  decided_at text not null
) strict;
create table if not exists audit (
  number integer primary key,
  entry text not null,
  hash text not null
) strict;
"""
FIRST_HASH = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit: what was asked or decided, and how it was answered.

    Args:
        number: Position in the chain, from 1.
        values: The entry; names, counts and digests only.
        hash: SHA-256 over the previous hash and this entry.
    """

    number: int
    values: Mapping[str, Any]
    hash: str


class Store:
    """Plans seen, decisions taken and the audit of one node, in `<folder>/state.db`.

    The audit is a hash chain: every entry's hash covers the hash before it, so that an entry
    cannot be changed, removed or moved without breaking all that follow.

    Args:
        folder: The node's folder.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "state.db"
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                "The node's state cannot be read.",
                why=f"SQLite says: {error}.",
                do=(
                    "Look for a read-only folder, or another program that holds state.db.",
                    "Restore the node's folder from a backup if the file is damaged.",
                ),
            ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
                yield
            except sqlite3.Error as error:
                raise StoreError(
                    "The node's state cannot be written.",
                    why=f"SQLite says: {error}.",
                    do="Look for a full or read-only disk, or another program that holds it.",
                ) from error

    def add_plan(self, *, fingerprint: str, name: str, text: str) -> None:
        """Keep a plan that was proposed; the first copy stays."""
        with self._writing():
            self._db.execute(
                "insert or ignore into plans values (?, ?, ?, ?)", (fingerprint, name, text, _now())
            )

    def plan_text(self, fingerprint: str) -> str | None:
        """Return a proposed plan's text, or None."""
        with self._lock:
            row = self._db.execute(
                "select text from plans where fingerprint = ?", (fingerprint,)
            ).fetchone()
        return None if row is None else str(row[0])

    def decide(self, fingerprint: str, decision: str, *, person: str, reason: str) -> None:
        """Write a person's decision on a plan; the newest one holds."""
        with self._writing():
            self._db.execute(
                "insert into decisions values (?, ?, ?, ?, ?)",
                (fingerprint, decision, person, reason, _now()),
            )

    def decision(self, fingerprint: str) -> str | None:
        """Return the newest decision on a plan: `approved`, `refused`, `withdrawn` or None."""
        with self._lock:
            row = self._db.execute(
                "select decision from decisions where fingerprint = ? order by rowid desc limit 1",
                (fingerprint,),
            ).fetchone()
        return None if row is None else str(row[0])

    def audit(self, *, durable: bool = True, **values: str | int | float | None) -> None:
        """Append an entry to the audit.

        Args:
            durable: Whether to wait until the disk holds it; one that need not be waited for
                becomes durable with the next one that is, and survives a kill either way.
            values: Names, counts and digests only.
        """
        with self._writing(durable=durable):
            self._db.execute("begin immediate")  # no other process may append in between
            try:
                row = self._db.execute(
                    "select number, hash from audit order by number desc limit 1"
                ).fetchone()
                number, before = (row[0] + 1, row[1]) if row else (1, FIRST_HASH)
                entry = json.dumps({"at": _now(), **values}, sort_keys=True)
                self._db.execute(
                    "insert into audit values (?, ?, ?)", (number, entry, _chained(before, entry))
                )
                self._db.execute("commit")
            except BaseException:
                self._db.execute("rollback")
                raise

    def entries(self) -> list[AuditEntry]:
        """Return the whole audit, oldest first.

        Raises:
            StoreError: Naming the first entry that was changed, removed or moved.
        """
        with self._lock:
            rows = self._db.execute("select number, entry, hash from audit order by number")
            found = []
            before = FIRST_HASH
            for expected, (number, entry, chained) in enumerate(rows, start=1):
                if number != expected or chained != _chained(before, entry):
                    raise StoreError(
                        f"The audit was altered at entry {expected}.",
                        do="Keep the file as evidence and tell the data-protection officer.",
                    )
                found.append(AuditEntry(number=number, values=json.loads(entry), hash=chained))
                before = chained
        return found


def _chained(before: str, entry: str) -> str:
    return hashlib.sha256(f"{before}\n{entry}".encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
