"""What of a pull is done: one SQLite file beside pacs.toml, so that a pull can be continued.

It holds UIDs, counts and states; no identifier of a patient. The open file is also the lock:
a second pull of the same hospital cannot begin, and a killed one leaves none behind.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from fedpet.errors import StoreError
from fedpet.imaging.pacs.inbox import Held
from fedpet.imaging.pacs.query import SeriesFound

VERSION = 1
SCHEMA = """
create table if not exists series (
  series text primary key,
  study text not null,
  modality text not null,
  objects integer not null,
  bytes integer not null,
  state text not null check (state in ('done', 'failed')),
  reason text not null,
  attempts integer not null,
  at text not null
) strict;
"""


class PullJournal:
    """The journal of a hospital's pulls.

    Args:
        path: The file; made if absent, readable by its owner only.

    Raises:
        StoreError: If another pull holds it, or it is damaged (FP-3025).
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
            self._open()
        except sqlite3.OperationalError as error:
            locked = "locked" in str(error)
            raise StoreError(
                "Another pull of this hospital is running."
                if locked
                else f"The journal of the pull, {path.name}, cannot be opened.",
                do="Wait for it, or stop it with Ctrl-C."
                if locked
                else "Check free space and permissions of its folder.",
                code="FP-3025",
            ) from None
        except sqlite3.DatabaseError:
            raise StoreError(
                f"The journal of the pull, {path.name}, is damaged.",
                do="Remove it and run the same command again: series whose files are all here are "
                "fetched once more, nothing else is lost.",
                code="FP-3025",
            ) from None

    def _open(self) -> None:
        self._db.execute("pragma locking_mode = exclusive")
        self._db.execute("pragma journal_mode = delete")
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError("other version")
        self._db.execute("begin exclusive")
        self._db.execute(SCHEMA)
        self._db.execute(f"pragma user_version = {VERSION}")
        self._db.execute("commit")

    def __enter__(self) -> PullJournal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def done(self, series: str) -> Held | None:
        """Return what a series was when it was complete; None if it never was."""
        row = self._db.execute(
            "select objects, bytes from series where series = ? and state = 'done'", (series,)
        ).fetchone()
        return None if row is None else Held(int(row[0]), int(row[1]))

    def note(self, found: SeriesFound, held: Held, *, reason: str = "") -> None:
        """Write down how a series ended.

        Args:
            found: The series.
            held: What is here.
            reason: Why it failed; it is complete if empty.
        """
        self._db.execute(
            "insert into series values (?, ?, ?, ?, ?, ?, ?, 1, ?) "
            "on conflict (series) do update set objects = excluded.objects, "
            "bytes = excluded.bytes, state = excluded.state, reason = excluded.reason, "
            "attempts = attempts + 1, "
            "at = excluded.at",
            (
                found.series,
                found.study,
                found.modality,
                held.files,
                held.bytes,
                "failed" if reason else "done",
                reason,
                datetime.now(UTC).isoformat(timespec="seconds"),
            ),
        )

    def failed(self) -> int:
        """Return how many series failed and were not completed since."""
        row = self._db.execute("select count(*) from series where state = 'failed'").fetchone()
        return int(row[0])
