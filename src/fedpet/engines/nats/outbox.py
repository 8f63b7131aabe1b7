"""Answers that a site has given, kept until they can no longer be asked for again.

Work is done once: a question that comes a second time, because the node or the broker was killed
before it was crossed off, is answered with the same bytes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

KEPT = 8
NAME = re.compile(r"[0-9a-f]{64}")


class Outbox:
    """Sealed answers in a folder, by the question's identifier; the newest `KEPT` remain.

    Args:
        folder: Of the node, for letters and arrays that leave.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.part"):
            left.unlink()

    def arrays(self, about: str) -> Path:
        """Return where the arrays of an answer belong."""
        return self._folder / f"{_checked(about)}.arrays"

    def letter(self, about: str) -> bytes | None:
        """Return the answer to a question, if it was given."""
        path = self._folder / f"{_checked(about)}.letter"
        return path.read_bytes() if path.exists() else None

    def keep(self, about: str, letter: bytes) -> None:
        """Write an answer down before it is sent, and forget the oldest."""
        path = self._folder / f"{_checked(about)}.letter"
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(letter)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        known = sorted(self._folder.glob("*.letter"), key=lambda found: found.stat().st_mtime_ns)
        for old in known[:-KEPT]:
            old.with_suffix(".arrays").unlink(missing_ok=True)
            old.unlink()


def _checked(about: str) -> str:
    if not NAME.fullmatch(about):
        raise ValueError("about")  # letters are checked before; this is our own mistake
    return about
