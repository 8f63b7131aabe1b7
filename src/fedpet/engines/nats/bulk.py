"""Chunks to the broker and from it: several at a time, verified by hash, from where it stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from nats.aio.client import Client

from fedpet.engines.nats import subjects
from fedpet.engines.nats.chunks import Bulk, Gathering, cut
from fedpet.engines.nats.connection import persistently
from fedpet.errors import EngineError, UpdateError

AT_ONCE = 8
IDLE_S = 60.0


async def publish(
    client: Client, data: bytes | memoryview, bulk: Bulk, *, author: str, experiment: str
) -> None:
    """Lay arrays down at the broker; a chunk that lies there already is replaced by itself.

    Raises:
        EngineError: If nothing moved for `IDLE_S`, or the broker has no room.
    """
    chunks = list(cut(data))

    async def put(index: int) -> None:
        subject = subjects.chunk(author, experiment, bulk.chunks[index])
        await stored(client, subject, bytes(chunks[index]))

    await _several(put, range(len(chunks)))


async def stored(client: Client, subject: str, data: bytes, *, idle_s: float = IDLE_S) -> None:
    """Publish one message and wait until the broker has it on its disk.

    Args:
        client: The connection.
        subject: Where to.
        data: What.
        idle_s: How long to try.

    Raises:
        EngineError: If the broker does not take it.
    """
    message = await persistently(client, subject, data, idle_s=idle_s)
    try:
        error = json.loads(message.data).get("error")
    except (ValueError, AttributeError):
        error = {"description": "no answer that can be read"}
    if error:
        raise EngineError(
            "The broker did not keep a message.",
            why=f"It says: {str(error.get('description'))[:200]}.",
            do="Look for a full disk at the coordinator, or a limit in coordinator.toml.",
            code="FP-4005",
        )


async def fetch(client: Client, bulk: Bulk, path: Path, *, author: str, experiment: str) -> Path:
    """Gather arrays into a file.

    Raises:
        EngineError: If nothing moved for `IDLE_S`, or the broker does not have a chunk any more.
        UpdateError: If a chunk is not what was announced.
    """
    gathering = Gathering(path, bulk)
    try:

        async def get(index: int) -> None:
            where = subjects.chunk(author, experiment, bulk.chunks[index])
            subject = f"$JS.API.DIRECT.GET.{subjects.CHUNKS}.{where}"
            message = await persistently(client, subject, b"", idle_s=IDLE_S)
            if (message.headers or {}).get("Status", "").strip():
                raise EngineError("Arrays are no longer at the broker.", code="FP-4006")
            gathering.put(index, message.data)

        await _several(get, gathering.missing)
    except (EngineError, UpdateError, asyncio.CancelledError, OSError):
        gathering.close()
        raise
    return gathering.finish()


async def _several(work: Callable[[int], Awaitable[None]], indices: Iterable[int]) -> None:
    waiting = list(indices)[::-1]

    async def one_after_another() -> None:
        while waiting:
            await work(waiting.pop())

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(waiting))):
                group.create_task(one_after_another())
    except ExceptionGroup as several:
        raise several.exceptions[0] from None  # the others are of the same kind
