"""Who belongs to a federation: invitations, sites and their keys, durable, one step at a time.

```
invited -> joined (keys shown) -> approved <-> suspended
   any  -> revoked
```
Rules:
1. Every change raises the epoch, so that whoever watches sees it. The roster has an epoch of its
   own, raised when a member or a key changes; an old roster never returns.
2. An invitation is used once; its secret is not here, only the key that proves it.
3. A key belongs to one site.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpet.errors import NotFoundError, RefusalError, StoreError
from fedpet.privacy.identity import PublicIdentity, Roster

SCHEMA = """
create table if not exists facts (name text primary key, value text not null) strict;
create table if not exists sites (
  name text primary key,
  state text not null check (state in ('invited', 'joined', 'approved', 'suspended', 'revoked')),
  identity blob unique,
  nkey text unique,
  note text not null,
  changed_at real not null
) strict;
create table if not exists invitations (
  id text primary key,
  site text not null references sites (name),
  nkey text not null unique,
  approved integer not null,
  expires_at real not null,
  used_at real
) strict;
"""
VERSION = "1"
MEMBERS = ("approved", "suspended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site of the federation.

    Args:
        name: Its name.
        state: `invited`, `joined`, `approved`, `suspended` or `revoked`.
        identity: Its key, once it joined.
        nkey: The key with which it signs in at the broker, once it joined.
        note: Why it is in this state, in the coordinator's words.
        changed_at: Seconds since 1970.
    """

    name: str
    state: str
    identity: PublicIdentity | None
    nkey: str | None
    note: str
    changed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation that was given out.

    Args:
        id: Its public name.
        site: Whom it invites.
        nkey: Key of whoever holds it.
        approved: Whether the site is approved as soon as it joins.
        expires_at: Seconds since 1970.
        used_at: When it was used, or None.
    """

    id: str
    site: str
    nkey: str
    approved: bool
    expires_at: float
    used_at: float | None


class Membership:
    """The members of one federation, in `<folder>/state.db`.

    Args:
        folder: The coordinator's folder.

    Raises:
        StoreError: If the file is no list of members of this version.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "state.db"
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._db.execute("pragma busy_timeout = 5000")
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.execute("pragma foreign_keys = on")
            self._db.executescript(SCHEMA)
            self._db.execute("insert or ignore into facts values ('version', ?)", (VERSION,))
            for name, value in (("epoch", "1"), ("roster_epoch", "1"), ("roster", "")):
                self._db.execute("insert or ignore into facts values (?, ?)", (name, value))
            found = self._db.execute("select value from facts where name = 'version'").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise _unusable(error) from error
        if found != VERSION:
            raise StoreError(
                f"The list of members has format {found}; this fedpet reads format {VERSION}.",
                do="Use the fedpet version that wrote it.",
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Membership:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def epoch(self) -> int:
        """Grows with every change."""
        return int(self._row("select value from facts where name = 'epoch'")[0])

    def sites(self) -> tuple[Site, ...]:
        """Return every site that was ever invited, by name."""
        rows = self._rows(
            "select name, state, identity, nkey, note, changed_at from sites order by name"
        )
        return tuple(_site(row) for row in rows)

    def site(self, name: str) -> Site:
        """Return one site.

        Raises:
            NotFoundError: If it was never invited.
        """
        found = [site for site in self.sites() if site.name == name]
        if not found:
            known = ", ".join(site.name for site in self.sites()) or "none"
            raise NotFoundError(
                f"There is no site '{name}' in this federation.",
                why=f"Known: {known}.",
                do=f"Invite it: fedpet site invite {name}",
                code="FP-6105",
            )
        return found[0]

    def roster(self) -> Roster | None:
        """Return the members with their keys; None while there is none."""
        members = {
            site.name: site.identity
            for site in self.sites()
            if site.state in MEMBERS and site.identity is not None
        }
        epoch = int(self._row("select value from facts where name = 'roster_epoch'")[0])
        return Roster(members, epoch) if members else None

    def invite(
        self, site: str, *, id_: str, nkey: str, expires_at: float, approved: bool, note: str
    ) -> Invitation:
        """Give out an invitation; a former one of the same site that was not used ends.

        Raises:
            RefusalError: If the site is a member; its keys are changed by `rotate`.
        """
        with self._change() as db:
            row = db.execute("select state from sites where name = ?", (site,)).fetchone()
            if row is None or row[0] in ("invited", "revoked"):
                db.execute(
                    "insert into sites values (?, 'invited', null, null, ?, ?) on conflict (name)"
                    " do update set state = 'invited', identity = null, nkey = null,"
                    " note = excluded.note, changed_at = excluded.changed_at",
                    (site, note, time.time()),
                )
            db.execute("delete from invitations where site = ? and used_at is null", (site,))
            db.execute(
                "insert into invitations values (?, ?, ?, ?, ?, null)",
                (id_, site, nkey, int(approved), expires_at),
            )
        return Invitation(
            id=id_, site=site, nkey=nkey, approved=approved, expires_at=expires_at, used_at=None
        )

    def invitations(self) -> tuple[Invitation, ...]:
        """Return the invitations that can still be used."""
        rows = self._rows(
            "select id, site, nkey, approved, expires_at, used_at from invitations"
            " where used_at is null and expires_at > ? order by id",
            time.time(),
        )
        return tuple(_invitation(row) for row in rows)

    def invitation(self, id_: str) -> Invitation:
        """Return an invitation that can still be used.

        Raises:
            RefusalError: Saying why it cannot.
        """
        rows = self._rows(
            "select id, site, nkey, approved, expires_at, used_at from invitations where id = ?",
            id_,
        )
        do = "Ask the coordinator for a new one: fedpet site invite NAME"
        if not rows:
            raise RefusalError("This invitation is not known here.", do=do, code="FP-5111")
        found = _invitation(rows[0])
        if found.used_at is not None:
            raise RefusalError("This invitation was used already.", do=do, code="FP-5112")
        if found.expires_at < time.time():
            raise RefusalError("This invitation has expired.", do=do, code="FP-5113")
        return found

    def join(self, id_: str, *, identity: PublicIdentity, nkey: str) -> Site:
        """Take a site's keys, and its invitation out of use.

        Raises:
            RefusalError: If the invitation cannot be used, or a key is another site's.
        """
        with self._change() as db:
            invitation = self.invitation(id_)
            taken = db.execute(
                "select name from sites where name != ? and (identity = ? or nkey = ?)",
                (invitation.site, identity.key, nkey),
            ).fetchone()
            if taken:
                raise RefusalError(
                    f"These keys belong to site '{taken[0]}' already.",
                    do="Every site makes keys of its own: fedpet node init in a new folder.",
                    code="FP-5114",
                )
            before = self.site(invitation.site).state
            state = "approved" if invitation.approved else "joined"
            db.execute(
                "update sites set state = ?, identity = ?, nkey = ?, note = ?, changed_at = ?"
                " where name = ?",
                (
                    "suspended" if before == "suspended" else state,
                    identity.key,
                    nkey,
                    "New keys." if before in MEMBERS else "",
                    time.time(),
                    invitation.site,
                ),
            )
            db.execute("update invitations set used_at = ? where id = ?", (time.time(), id_))
        return self.site(invitation.site)

    def change(self, name: str, state: str, *, since: tuple[str, ...], note: str = "") -> Site:
        """Move a site to another state.

        Args:
            name: The site.
            state: Its new state.
            since: States in which it may be now.
            note: Why.

        Raises:
            NotFoundError: If it was never invited.
            RefusalError: If it is in another state.
        """
        with self._change() as db:
            found = self.site(name)
            if found.state not in since:
                raise RefusalError(
                    f"Site '{name}' is {found.state}; it cannot become {state} from there.",
                    do="See where every site stands: fedpet site list",
                    code="FP-5115",
                )
            if state == "revoked":
                db.execute("delete from invitations where site = ? and used_at is null", (name,))
            db.execute(
                "update sites set state = ?, note = ?, changed_at = ? where name = ?",
                (state, note, time.time(), name),
            )
        return self.site(name)

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("begin immediate")
                try:
                    yield self._db
                    self._db.execute("update facts set value = value + 1 where name = 'epoch'")
                    self._number_roster()
                    self._db.execute("commit")
                except BaseException:
                    self._db.execute("rollback")
                    raise
            except sqlite3.Error as error:
                raise _unusable(error) from error

    def _number_roster(self) -> None:
        """Raise the roster's own epoch where its members or their keys are others than before."""
        members = [(site.name, site.identity) for site in self.sites() if site.state in MEMBERS]
        told = json.dumps([[name, found.key.hex()] for name, found in members if found])
        if told == self._row("select value from facts where name = 'roster'")[0]:
            return
        self._db.execute("update facts set value = ? where name = 'roster'", (told,))
        self._db.execute("update facts set value = value + 1 where name = 'roster_epoch'")

    def _rows(self, sql: str, *values: str | float) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise _unusable(error) from error

    def _row(self, sql: str) -> tuple[Any, ...]:
        return self._rows(sql)[0]


def _site(row: tuple[Any, ...]) -> Site:
    name, state, identity, nkey, note, changed_at = row
    public = None if identity is None else PublicIdentity(identity)
    return Site(
        name=name, state=state, identity=public, nkey=nkey, note=note, changed_at=changed_at
    )


def _invitation(row: tuple[Any, ...]) -> Invitation:
    return Invitation(
        id=row[0],
        site=row[1],
        nkey=row[2],
        approved=bool(row[3]),
        expires_at=row[4],
        used_at=row[5],
    )


def _unusable(error: sqlite3.Error) -> StoreError:
    return StoreError(
        "The list of members cannot be read or written.",
        why=f"SQLite says: {error}.",
        do=(
            "Look for a full or read-only disk, or another program that holds state.db.",
            "Restore it: fedpet coordinator restore BACKUP FOLDER",
        ),
    )
