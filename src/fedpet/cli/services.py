"""Long-running processes, the coordinator's and a node's: started, watched and stopped by folder.

Whether one runs is told by a lock that the system lets go of however the process ends; what it does
stands in `status.json` beside the lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from fedpet.errors import EngineError, NotFoundError, StoreError

LOG_BYTES, LOG_FILES = 4 << 20, 4
READY_S = 30.0
STOP_S = 20.0


class Service:
    """The files by which a long-running process is known.

    Args:
        folder: Of the process; holds `lock`, `status.json` and `log/service.log`.
        what: What it is, in the reader's words, such as `node`.
    """

    def __init__(self, folder: Path, *, what: str) -> None:
        self.folder = folder
        self.what = what
        self.log_file = folder / "log" / "service.log"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the process of this folder.

        Raises:
            StoreError: If there is one already.
        """
        with (self.folder / "lock").open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreError(
                    f"The {self.what} of this folder is running already.",
                    do=f"Look at it: fedpet {self.what} status {self._name()}",
                    code="FP-3056",
                ) from error
            yield

    def running(self) -> bool:
        """Return whether a process holds the folder."""
        path = self.folder / "lock"
        if not path.exists():
            return False
        with path.open("a") as probe:
            try:
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def tell(self, **facts: object) -> None:
        """Write what the process does now."""
        known = {**facts, "pid": os.getpid(), "at": datetime.now(UTC).isoformat(timespec="seconds")}
        part = self.folder / f"status.json.{os.getpid()}"
        with contextlib.suppress(OSError):  # a full disk must not end a node that only tells
            part.write_text(json.dumps(known, indent=1), encoding="utf-8")
            part.replace(self.folder / "status.json")

    def told(self) -> Mapping[str, Any]:
        """Return what the process told last; empty if nothing, or if it does not run."""
        if not self.running():
            return {}
        try:
            found = json.loads((self.folder / "status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def start(self, command: Sequence[str], *, ready: Callable[[Mapping[str, Any]], bool]) -> None:
        """Start the process in the background and wait until it is ready.

        Args:
            command: What to type after `fedpet`.
            ready: Whether what it told means that it is.

        Raises:
            EngineError: If it ends at once; its last words are told.
        """
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.with_name("started.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  (this program itself)
                [sys.executable, "-m", "fedpet.cli.main", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            if process.poll() is not None:
                words = self.log_file.with_name("started.log").read_text(errors="replace")
                raise EngineError(
                    f"The {self.what} did not start.",
                    why="\n".join(words.strip().splitlines()[-6:]),
                    code="FP-4013",
                )
            if ready(self.told()):
                return
            time.sleep(0.05)
        raise EngineError(
            f"The {self.what} was started, but is not ready after {READY_S:.0f} s.",
            do=f"Look at it: fedpet {self.what} status {self._name()}",
            code="FP-4014",
        )

    def stop(self) -> None:
        """Ask the process to end, and wait until it has.

        Raises:
            NotFoundError: If there is none.
        """
        pid = self.told().get("pid")
        if not isinstance(pid, int):
            raise NotFoundError(
                f"No {self.what} runs in this folder.",
                do=f"Start it: fedpet {self.what} start {self._name()}",
                code="FP-6116",
            )
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        while self.running():
            if time.monotonic() > until:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                until = time.monotonic() + STOP_S
            time.sleep(0.05)

    def lines(self, count: int) -> list[str]:
        """Return the last lines of the process's log."""
        if not self.log_file.exists():
            return []
        with self.log_file.open("rb") as file:
            file.seek(max(0, self.log_file.stat().st_size - 400 * count))
            return file.read().decode(errors="replace").splitlines()[-count:]

    def _name(self) -> str:
        return "HOSPITAL" if self.what == "node" else "FOLDER"


def live(service: Service, work: Callable[[], Awaitable[None]]) -> None:
    """Run until SIGTERM or Ctrl-C, logging into the service's file.

    Raises:
        FedpetError: If the work ends by an error.
    """
    service.log_file.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        service.log_file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("fedpet")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    logging.getLogger("asyncio").addHandler(handler)
    logging.getLogger("asyncio").propagate = False

    async def until_told() -> None:
        task = asyncio.ensure_future(work())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    try:
        asyncio.run(until_told())
    except ExceptionGroup as group:
        raise _first(group) from group
    finally:
        root.removeHandler(handler)
        handler.close()


def _first(group: ExceptionGroup[Exception]) -> Exception:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found
