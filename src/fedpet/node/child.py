"""The node's hold on its child: starts it, asks it, ends it, and starts it again when it died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from pathlib import Path

from fedpet.errors import StoreError
from fedpet.federation.messages import Reply, Request, header_of, message_of

log = logging.getLogger(__name__)
LINE_LIMIT_BYTES = 4 << 20
TRIES = 2
STARTS = 3
STOP_S = 3.0


class Child:
    """A warm child process that answers for one hospital.

    It is started before the first question, because the libraries that it needs take seconds; it
    can be killed without killing the node, and the question that it worked on is asked once again.

    Args:
        hospital: The hospital's folder.
        site: Its name in the federation.
        log_file: Where the child's own log goes.
    """

    def __init__(self, hospital: Path, site: str, *, log_file: Path) -> None:
        self._hospital = hospital
        self._site = site
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Number of the child's process while it lives."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def warm(self) -> None:
        """Start the child, so that the first question need not wait.

        Raises:
            StoreError: If the hospital's folder cannot be opened; the text is the child's.
        """
        async with self._one:
            await self._started()

    async def answer(self, header: bytes, arrays: Path | None, out: Path) -> bytes:
        """Answer a request; a failed reply if the child died twice over it."""
        asked = {
            "header": header.decode(),
            "arrays": None if arrays is None else str(arrays.resolve()),
            "out": str(out.resolve()),
        }
        line = json.dumps(asked).encode() + b"\n"
        async with self._one:
            for _ in range(TRIES):
                try:
                    told = await self._ask(line)
                except StoreError as error:
                    return _failed(header, error.title)
                if told is not None and b'"header"' in told:
                    return str(json.loads(told)["header"]).encode()
                log.warning("child_died site=%s", self._site)
        return _failed(
            header, "The work was ended at this hospital twice, perhaps for want of memory."
        )

    async def close(self) -> None:
        """End the child, whatever it does."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        await self._end(process)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Wait until a child that is ending has ended; a moment later, end it."""
        with contextlib.suppress(ProcessLookupError):
            try:
                await asyncio.wait_for(process.wait(), timeout=STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _ask(self, line: bytes) -> bytes | None:
        process = await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line)
            await process.stdin.drain()
            told = await process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError):
            told = b""
        except asyncio.CancelledError:
            await self.close()  # an answer that nobody reads would be taken for the next one
            raise
        if not told:
            await self._end(process)
        return told or None

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        line = b""
        for _ in range(STARTS):
            line = await self._start()
            if line:
                break
            assert self._process is not None
            await self._end(self._process)
            log.warning("child_died_at_start site=%s", self._site)
        ready = json.loads(line) if line else {"ready": False, "reason": ""}
        assert self._process is not None
        if not ready["ready"]:
            await self._process.wait()
            raise StoreError(
                str(ready["reason"]) or "The child that opens the hospital's data did not start.",
                do="Look at its log: fedpet node logs HOSPITAL",
                code="FP-3053",
            )
        return self._process

    async def _start(self) -> bytes:
        """Start the child and return the first line that it tells; nothing if it was ended."""
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as told:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "fedpet.node.service",
                str(self._hospital),
                self._site,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=told,
                limit=LINE_LIMIT_BYTES,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self.starts += 1
        assert self._process.stdout is not None
        return await self._process.stdout.readline()


def _failed(header: bytes, reason: str) -> bytes:
    request = message_of(header, {})
    assert isinstance(request, Request)
    return header_of(
        Reply(
            site=request.site,
            experiment=request.experiment,
            step=request.step,
            attempt=request.attempt,
            status="failed",
            reasons=(reason,),
        )
    )
