"""A way out through an HTTP proxy: a port on loopback, each connection of which is a CONNECT.

TLS is between the node and the coordinator; the proxy, and this relay, see bytes that they cannot
read.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from fedpet.engines.nats.connection import Door
from fedpet.errors import EngineError

HEAD_LIMIT_BYTES = 16 << 10
COPY_BYTES = 256 << 10
CONNECT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy that lets TLS out by the CONNECT method.

    Args:
        host: Its name.
        port: Its port.
        user: Login; empty for none.
        password: Password of the login.
    """

    host: str
    port: int
    user: str = ""
    password: str = ""


@asynccontextmanager
async def through(proxy: Proxy | None, door: Door) -> AsyncIterator[Door]:
    """Return the door itself, or one on loopback that leads to it through a proxy."""
    if proxy is None:
        yield door
        return

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection may be cancelled only when the relay ends: nobody is left to be told.
        with contextlib.suppress(OSError, EngineError, asyncio.CancelledError):
            far = await tunnel(proxy, door)
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far[1]))
                group.create_task(_copy(far[0], writer))
        writer.close()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield replace(door, host="127.0.0.1", port=port)
    finally:
        server.close()


async def tunnel(proxy: Proxy, door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to a door through a proxy.

    Raises:
        EngineError: If the proxy cannot be reached, or refuses; the text says what it wants.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            target = f"{door.host}:{door.port}"
            lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
            if proxy.user:
                login = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
                lines.append(f"Proxy-Authorization: Basic {login}")
            writer.write("\r\n".join((*lines, "", "")).encode())
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise EngineError(
            f"The proxy {proxy.host}:{proxy.port} does not answer.",
            do="Look at [proxy] in node.toml, and ask the network team for the right address.",
            code="FP-4011",
        ) from error
    status = head[:HEAD_LIMIT_BYTES].split(maxsplit=2)[1:2]
    if status == [b"200"]:
        return reader, writer
    writer.close()
    code = status[0].decode(errors="replace")[:3] if status else "nothing"
    wants = "it wants a login, or another one" if code == "407" else "it does not let this out"
    raise EngineError(
        f"Cannot reach {door.host}:{door.port}. The proxy {proxy.host}:{proxy.port} answered "
        f"{code}: {wants}.",
        do=(
            "Give user and password in [proxy] of node.toml."
            if code == "407"
            else "Ask the network team to allow CONNECT to that address and port."
        ),
        code="FP-4012",
    )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(COPY_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other direction notices too
    finally:
        writer.close()
