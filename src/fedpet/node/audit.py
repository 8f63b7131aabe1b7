"""The audit: append-only, hash-chained, signed; its head is kept apart and known to others.

Every entry's hash covers the hash before it, and the site signs the hash: an entry cannot be
changed, removed, moved or added without the site's key, and not with it either once another site
has remembered a later head. The newest entries cannot be deleted unseen: the signed head stands
in `audit.head`, in the replies that left, and in the memory of the other sites.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedpet.errors import RefusalError, StoreError
from fedpet.federation.heads import Head, head_from, signed_head
from fedpet.node.audit_fields import Value, fitting, require_allowed
from fedpet.node.files import replace, require_private
from fedpet.privacy.identity import Identity, PublicIdentity

SCHEMA = """
create table if not exists audit (
  number integer primary key,
  entry text not null,
  hash text not null,
  signature blob not null
) strict;
create table if not exists witnessed (
  site text primary key,
  number integer not null,
  head text not null
) strict;
create trigger if not exists audit_stays before update on audit
begin select raise(abort, 'the audit is append-only'); end;
create trigger if not exists audit_is_kept before delete on audit
begin select raise(abort, 'the audit is append-only'); end;
"""
FIRST_HASH = "0" * 64
CONTEXT = b"audit entry"
EVIDENCE = "Keep the node's folder as evidence and tell the data-protection officer."


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


class Audit:
    """The audit of one node, in `<folder>/audit.db`, with its head in `<folder>/audit.head`.

    Args:
        folder: The node's folder.
        site: The hospital's name.
        identity: What signs.

    Raises:
        StoreError: If the file cannot be used, or is open to others.
    """

    def __init__(self, folder: Path, *, site: str, identity: Identity) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "audit.db"
        self._head_path = folder / "audit.head"
        self._site = site
        self._identity = identity
        self._lock = threading.Lock()
        require_private(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                "The audit cannot be read.",
                why=f"SQLite says: {error}.",
                do=(
                    "Look for a read-only folder, or another program that holds audit.db.",
                    EVIDENCE,
                ),
            ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def append(self, *, durable: bool = True, **values: Value) -> Head:
        """Append an entry.

        Args:
            durable: Whether to wait until the disk holds it; one that need not be waited for
                becomes durable with the next one that is, and survives a kill either way.
            values: Fields of `audit_fields`, in their form.

        Returns:
            The new head, signed.

        Raises:
            StoreError: If a field or value is not allowed, or the file cannot be written.
        """
        stamped: dict[str, Value] = {"at": _now(), **values}
        require_allowed(stamped)
        entry = json.dumps(stamped, sort_keys=True, ensure_ascii=False)
        with self._lock:
            try:
                self._db.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
                number, chained = self._append(entry)
                head = signed_head(self._identity, site=self._site, number=number, hash_=chained)
                if durable or number == 1:
                    replace(self._head_path, json.dumps(head.values()).encode())
            except (sqlite3.Error, OSError) as error:
                raise StoreError(
                    "The node's state cannot be written.",
                    why=f"The system says: {error}.",
                    do="Look for a full or read-only disk, or another program that holds it.",
                ) from error
        return head

    def _append(self, entry: str) -> tuple[int, str]:
        self._db.execute("begin immediate")  # no other process may append in between
        try:
            row = self._db.execute(
                "select number, hash from audit order by number desc limit 1"
            ).fetchone()
            number, before = (row[0] + 1, row[1]) if row else (1, FIRST_HASH)
            chained = _chained(before, entry)
            signature = self._identity.sign(CONTEXT, chained.encode())
            self._db.execute(
                "insert into audit values (?, ?, ?, ?)", (number, entry, chained, signature)
            )
            self._db.execute("commit")
        except BaseException:
            self._db.execute("rollback")
            raise
        return number, chained

    def entries(self) -> list[AuditEntry]:
        """Return the whole audit, oldest first, once every hash and signature was checked.

        Raises:
            StoreError: Naming the first entry that was changed, removed or moved, or how many of
                the newest are gone.
        """
        with self._lock:
            rows = self._db.execute(
                "select number, entry, hash, signature from audit order by number"
            ).fetchall()
        found = _checked(rows, self._identity.public)
        self._require_newest(found)
        return found

    def remember(self, heads: Mapping[str, Any]) -> tuple[str, ...]:
        """Remember the heads of other sites, and look whether this site's own is still there.

        What is wrong with the audit of another site is written into this one, and is no reason
        to refuse an answer: it would let one site stop all others.

        Args:
            heads: By site, as a request carries them.

        Returns:
            What is wrong with this site's own audit, in words; nothing if all is well.
        """
        found: list[str] = []
        others: list[Head] = []
        odd: list[str] = []
        for site, values in heads.items():
            try:
                head = head_from(values)
            except (RefusalError, TypeError):
                head = None
            if head is None or head.site != site:
                odd.append(site)
            elif site == self._site:
                found += self._own(head)
            else:
                others.append(head)
        for site in [*odd, *self._witness(others)]:
            self.append(durable=False, what="warned", site=fitting("site", site))
        return tuple(found)

    def witnessed(self) -> dict[str, Head]:
        """Return the heads of other sites that this node remembers."""
        with self._lock:
            rows = self._db.execute("select site, head from witnessed order by site").fetchall()
        return {site: head_from(json.loads(head)) for site, head in rows}

    def head(self) -> Head | None:
        """Return the head as it stands in the chain, signed; None before the first entry."""
        with self._lock:
            row = self._db.execute(
                "select number, hash from audit order by number desc limit 1"
            ).fetchone()
        if row is None:
            return None
        return signed_head(self._identity, site=self._site, number=row[0], hash_=row[1])

    def require_head(self, head: Head) -> None:
        """Refuse to go on without an entry that this audit once had.

        Raises:
            StoreError: If the chain does not hold the head.
        """
        if found := self._own(head):
            raise StoreError(found[0], do=EVIDENCE, code="FP-3041")

    def _own(self, head: Head) -> list[str]:
        with self._lock:
            row = self._db.execute(
                "select hash from audit where number = ?", (head.number,)
            ).fetchone()
        if head.key == self._identity.public.key.hex() and (
            row is not None and hmac.compare_digest(row[0], head.hash)
        ):
            return []
        return [
            f"The audit of '{self._site}' no longer holds entry {head.number} as others saw it."
        ]

    def _witness(self, heads: Sequence[Head]) -> list[str]:
        """Remember other sites' heads; return the sites whose head does not follow the last one."""
        with self._lock:
            known = dict(self._db.execute("select site, head from witnessed").fetchall())
            texts = {head.site: json.dumps(head.values()) for head in heads}
            new = [head for head in heads if known.get(head.site) != texts[head.site]]
            if new:
                self._db.execute("pragma synchronous = normal")
                self._db.execute("begin immediate")
                self._db.executemany(
                    "insert or replace into witnessed values (?, ?, ?)",
                    [(head.site, head.number, texts[head.site]) for head in new],
                )
                self._db.execute("commit")
        odd = []
        for head in new:
            before = json.loads(known[head.site]) if head.site in known else None
            follows = before is None or (
                before["key"] == head.key and before["number"] < head.number
            )
            if not follows:
                odd.append(head.site)
        return odd

    def _require_newest(self, found: list[AuditEntry]) -> None:
        """Compare the chain with the head that is kept apart."""
        if not self._head_path.exists():
            if found:
                raise StoreError("The audit's head, audit.head, is gone.", do=EVIDENCE)
            return
        try:
            head = head_from(json.loads(self._head_path.read_bytes()))
        except (ValueError, TypeError, RefusalError):
            raise StoreError("The audit's head, audit.head, was altered.", do=EVIDENCE) from None
        if head.site != self._site or head.key != self._identity.public.key.hex():
            raise StoreError("The audit's head, audit.head, is another site's.", do=EVIDENCE)
        if head.number > len(found):
            raise StoreError(
                f"The audit lacks its newest entries: it had {head.number}, and ends at "
                f"entry {len(found)}.",
                do=EVIDENCE,
                code="FP-3041",
            )
        if found[head.number - 1].hash != head.hash:
            raise StoreError(
                f"The audit was written anew: entry {head.number} is not the one that was signed.",
                do=EVIDENCE,
                code="FP-3041",
            )


def _checked(rows: list[Any], public: PublicIdentity) -> list[AuditEntry]:
    found = []
    before = FIRST_HASH
    for expected, (number, entry, chained, signature) in enumerate(rows, start=1):
        right = number == expected and hmac.compare_digest(chained, _chained(before, entry))
        try:
            public.verify(signature, context=CONTEXT, message=chained.encode())
            values = json.loads(entry)
        except (RefusalError, ValueError):
            right, values = False, {}
        if not right:
            raise StoreError(
                f"The audit was altered at entry {expected}.", do=EVIDENCE, code="FP-3041"
            )
        found.append(AuditEntry(number=number, values=values, hash=chained))
        before = chained
    return found


def _chained(before: str, entry: str) -> str:
    return hashlib.sha256(f"{before}\n{entry}".encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
