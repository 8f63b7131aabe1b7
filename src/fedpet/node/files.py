"""The node's own files: readable by their owner only, and replaced whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from fedpet.errors import StoreError

OTHERS = 0o077
OTHERS_WRITE = 0o022


def require_private(path: Path) -> None:
    """Refuse a file that others than its owner can read or write; make it if it is not there.

    Raises:
        StoreError: With the line that mends it.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise StoreError(
            f"{path.name} of the node cannot be opened.",
            why=f"The system says: {error.strerror}.",
            do="Look for a read-only folder, or a file that belongs to somebody else.",
        ) from error
    if os.name == "posix" and mode & OTHERS:
        raise too_open(path, mode, wanted="600")


def require_owner_writes(path: Path) -> None:
    """Refuse a file that others than its owner can write.

    Raises:
        StoreError: With the line that mends it.
    """
    mode = path.stat().st_mode & 0o777
    if os.name == "posix" and mode & OTHERS_WRITE:
        raise too_open(path, mode, wanted="640")


def too_open(path: Path, mode: int, *, wanted: str) -> StoreError:
    """Return the refusal of a file with too wide a mode."""
    return StoreError(
        f"{path.name} of the node is open to others (mode {mode:o}).",
        why="Whoever can write it can change what this hospital answers.",
        do=f"Close it: chmod {wanted} {path}",
        code="FP-3040",
    )


def replace(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a private file whole or not at all.

    Args:
        path: The file.
        data: Its new content.
        durable: Whether to wait until the disk holds it.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    partial.replace(path)
