"""A TCP proxy that behaves as lines do: it cuts, stalls and slows what passes."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class BadLine:
    """A proxy on loopback before a port; runs in a thread of its own.

    Args:
        port: The port behind it.
    """

    def __init__(self, port: int) -> None:
        self.behind = port
        self.stalled = False
        self.cut_after_bytes = 0
        self.cuts = 0
        self.passed = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        async def serve() -> None:
            self._end = asyncio.Event()
            server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._end.wait()
            server.close()
            self._cut()
            await asyncio.sleep(0.05)

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve())

    def cut(self) -> None:
        """End every connection now."""
        self._loop.call_soon_threadsafe(self._cut)

    def end(self) -> None:
        """Stop the proxy."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _cut(self) -> None:
        self.cuts += 1
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connected(self, reader, writer) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.behind)
            self._writers |= {writer, far_writer}
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        self._writers.discard(writer)

    async def _copy(self, reader, writer) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                while self.stalled:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
                self.passed += len(data)
                if self.cut_after_bytes and self.passed > self.cut_after_bytes:
                    self.passed = 0
                    self._cut()
        writer.close()
