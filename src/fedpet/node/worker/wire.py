"""What passes between node and worker: a JSON header and a block of bytes, each with its length."""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LENGTHS = 16
HEADER_LIMIT_BYTES = 64 << 20  # names of subjects and the plan travel in it
PIECE = 1 << 20


class WireError(Exception):
    """The other side closed the line, was late, or sent what is no frame."""


class LateError(WireError):
    """The other side was late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for the other side.

    Args:
        until: Value of `time.monotonic` at which waiting ends; None waits for ever.
        look: Called a few times a second while waiting; what it raises ends the wait.
    """

    until: float | None = None
    look: Callable[[], None] = lambda: None


def send(line: int, header: Mapping[str, Any], block: bytes, patience: Patience) -> None:
    """Write one frame.

    Raises:
        WireError: If the other side is gone or late.
    """
    text = json.dumps(header, allow_nan=False).encode()
    lengths = len(text).to_bytes(8, "little") + len(block).to_bytes(8, "little")
    for part in (lengths + text, block):
        view = memoryview(part)
        while view:
            _wait(line, select.POLLOUT, patience)
            try:
                view = view[os.write(line, view[:PIECE]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise WireError("The other side is gone.") from error


def receive(line: int, *, limit_bytes: int, patience: Patience) -> tuple[dict[str, Any], bytes]:
    """Read one frame.

    Args:
        line: Where to read.
        limit_bytes: Of the block; a longer one is not read.
        patience: How long to wait.

    Raises:
        WireError: If the frame is too long or none, or the other side is gone or late.
    """
    lengths = _read(line, LENGTHS, patience)
    header_size = int.from_bytes(lengths[:8], "little")
    block_size = int.from_bytes(lengths[8:], "little")
    if header_size > HEADER_LIMIT_BYTES or block_size > limit_bytes:
        raise WireError("The frame is longer than allowed.")
    text = _read(line, header_size, patience)
    block = _read(line, block_size, patience)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("The frame's header is no JSON.") from error
    if not isinstance(header, dict):
        raise WireError("The frame's header is no table.")
    return header, bytes(block)


def _read(line: int, size: int, patience: Patience) -> bytearray:
    found = bytearray()
    while len(found) < size:
        _wait(line, select.POLLIN, patience)
        try:
            piece = os.read(line, min(PIECE, size - len(found)))
        except BlockingIOError:
            continue
        except OSError as error:
            raise WireError("The other side is gone.") from error
        if not piece:
            raise WireError("The other side is gone.")
        found += piece
    return found


def _wait(line: int, what: int, patience: Patience) -> None:
    """Wait until a line can be read or written, looking after the other side meanwhile."""
    if patience.until is None:
        return  # a blocking line waits by itself
    poll = select.poll()
    poll.register(line, what)
    while True:
        left = patience.until - time.monotonic()
        if left <= 0:
            raise LateError("The other side is late.")
        if poll.poll(min(left, 0.1) * 1000):
            return
        patience.look()
