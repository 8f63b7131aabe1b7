"""What an experiment has already done, durable after every step. Resume is replay.

The experiment is a deterministic program whose only outside world is `Engine.exchange`. Each
exchange has a step name; once its sum is here, the step is closed and is never asked again. A
run that was interrupted is started again from the top and finds its closed steps.

Rules:
1. A step is closed once, with the digest of what was asked; asking something else under the same
   name is an error, not an overwrite.
2. What is closed survives a kill at any instant (SQLite, write-ahead log, synchronous FULL).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpet.errors import NotFoundError, StoreError, UpdateError
from fedpet.parameters import Parameters, from_bytes, to_bytes

SCHEMA = """
create table if not exists facts (name text primary key, value text not null) strict;
create table if not exists steps (
  step text primary key,
  asked text not null,
  answer blob not null,
  sites text not null,
  seconds real not null,
  bytes_out integer not null,
  bytes_in integer not null,
  kind text not null
) strict;
create table if not exists heads (site text primary key, head text not null) strict;
create table if not exists sums (
  step text primary key,
  attempts integer not null,
  sites text
) strict;
"""
VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A closed step.

    Args:
        arrays: The sum over sites, or `<site>/<name>` for a named release.
        sites: How each site that was asked answered: `ok`, or the reason why not.
        seconds: Wall time of the exchange.
        bytes_out: Bytes of arrays sent to sites.
        bytes_in: Bytes of arrays received from sites.
        kind: What was asked for.
    """

    arrays: Parameters
    sites: Mapping[str, str]
    seconds: float
    bytes_out: int = 0
    bytes_in: int = 0
    kind: str = ""


class Journal:
    """The durable memory of one experiment, in `<folder>/journal.db`.

    Args:
        folder: The run's folder.

    Raises:
        StoreError: If the file is no journal of this version.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "journal.db"
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.executescript(SCHEMA)
            self._db.execute("insert or ignore into facts values ('version', ?)", (VERSION,))
            version = self.fact("version")
        except sqlite3.DatabaseError as error:
            raise _unusable("journal.db is not a database, or another program holds it") from error
        if version != VERSION:
            raise StoreError(
                f"The run's journal has format {version}; this fedpet reads format {VERSION}.",
                do="Resume with the fedpet version that started the run.",
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, sql: str, *values: str | float | bytes) -> tuple[Any, ...] | None:
        """Run one statement and return its first row.

        Raises:
            StoreError: If the disk or the file fails.
        """
        try:
            row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise _unusable(f"SQLite says: {error}") from error
        return row

    def fact(self, name: str) -> str:
        """Return a fact of the run.

        Raises:
            NotFoundError: If the run does not hold it.
        """
        row = self._run("select value from facts where name = ?", name)
        if row is None:
            raise NotFoundError(f"The run's journal holds no '{name}'.")
        return str(row[0])

    def remember(self, name: str, value: str) -> str:
        """Write a fact once; return the value that was written first."""
        self._run("insert or ignore into facts values (?, ?)", name, value)
        return self.fact(name)

    def witness(self, heads: Mapping[str, Mapping[str, Any]]) -> None:
        """Remember the heads of the sites' audits, by site; the newest ones hold."""
        if heads:
            found = json.dumps(heads, sort_keys=True)
            self._run(
                "insert or replace into heads select key, value from json_each(?)"
                " where type = 'object'",
                found,
            )

    def heads(self) -> dict[str, Any]:
        """Return the heads of the sites' audits as they were seen last."""
        try:
            rows = self._db.execute("select site, head from heads order by site").fetchall()
        except sqlite3.Error as error:
            raise _unusable(f"SQLite says: {error}") from error
        return {site: json.loads(head) for site, head in rows}

    def recall(self, step: str, *, asked: str) -> Closed | None:
        """Return a closed step, or None if it is still open.

        Args:
            step: Name of the step.
            asked: Digest of what is asked for, from `digest_of`.

        Raises:
            StoreError: If the step was closed for another question, or is damaged.
        """
        row = self._run(
            "select asked, answer, sites, seconds, bytes_out, bytes_in, kind"
            " from steps where step = ?",
            step,
        )
        if row is None:
            return None
        if row[0] != asked:
            raise StoreError(
                f"Step '{step}' of this run was closed for another question.",
                why="The plan, the cohorts or the software changed since the run began.",
                do="Start a new run, or restore what was changed.",
            )
        try:
            arrays, sites = from_bytes(zlib.decompress(row[1])), json.loads(row[2])
        except (zlib.error, UpdateError, ValueError) as error:
            raise StoreError(
                f"Step '{step}' of this run is damaged in the journal.",
                do="Restore the run's folder from a backup, or start a new run.",
            ) from error
        return Closed(
            arrays=arrays,
            sites=sites,
            seconds=row[3],
            bytes_out=row[4],
            bytes_in=row[5],
            kind=row[6],
        )

    def record(self, step: str, *, asked: str, closed: Closed) -> None:
        """Close a step."""
        self._run(
            "insert into steps values (?, ?, ?, ?, ?, ?, ?, ?)",
            step,
            asked,
            zlib.compress(to_bytes(closed.arrays), 1),  # histograms are mostly zeros
            json.dumps(closed.sites, sort_keys=True),
            closed.seconds,
            closed.bytes_out,
            closed.bytes_in,
            closed.kind,
        )

    def next_attempt(self, step: str) -> int:
        """Count an attempt at a step's secure sum; return its number, from 0."""
        self._run("insert or ignore into sums values (?, 0, null)", step)
        self._run("update sums set attempts = attempts + 1 where step = ?", step)
        row = self._run("select attempts from sums where step = ?", step)
        assert row is not None
        return int(row[0]) - 1

    def promise(self, step: str, sites: tuple[str, ...]) -> tuple[str, ...]:
        """Write, once, over which sites a step's secure sum is opened; return the first ones."""
        self._run(
            "update sums set sites = ? where step = ? and sites is null", json.dumps(sites), step
        )
        return self.promised(step) or ()

    def promised(self, step: str) -> tuple[str, ...] | None:
        """Return over which sites a step's secure sum is opened, or None while that is open."""
        row = self._run("select sites from sums where step = ?", step)
        return None if row is None or row[0] is None else tuple(json.loads(row[0]))

    def history(self) -> list[tuple[str, Closed]]:
        """Return every closed step without its arrays, in the order of closing."""
        try:
            rows = self._db.execute(
                "select step, sites, seconds, bytes_out, bytes_in, kind from steps order by rowid"
            ).fetchall()
        except sqlite3.Error as error:
            raise _unusable(f"SQLite says: {error}") from error
        return [
            (
                row[0],
                Closed(
                    arrays={},
                    sites=json.loads(row[1]),
                    seconds=row[2],
                    bytes_out=row[3],
                    bytes_in=row[4],
                    kind=row[5],
                ),
            )
            for row in rows
        ]


def _unusable(why: str) -> StoreError:
    return StoreError(
        "The run's journal cannot be read or written.",
        why=f"{why}.",
        do=(
            "Look for a full or read-only disk, then resume.",
            "Restore the run's folder from a backup, or start a new run.",
        ),
    )


def digest_of(
    kind: str, sites: tuple[str, ...], body: Mapping[str, Any], arrays: Parameters
) -> str:
    """Return the SHA-256 of a question: what is computed, at which sites, from what."""
    header = json.dumps([kind, list(sites), body], sort_keys=True, allow_nan=False)
    return hashlib.sha256(header.encode() + b"\0" + to_bytes(arrays)).hexdigest()
