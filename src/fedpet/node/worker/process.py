"""A worker as the node sees it: started empty, watched while it works, killed without regret."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fedpet import planfile
from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.node.worker import wire
from fedpet.node.worker.confinement import GIB, Confinement, Level, level_of
from fedpet.node.worker.shipping import image_file, pack
from fedpet.node.worker.words import WORDS, FailedWorkError, failure
from fedpet.parameters import Array, Parameters, from_bytes, to_bytes
from fedpet.plan import Plan
from fedpet.training.work import threads

log = logging.getLogger(__name__)
START_S = 60.0
ANSWER_LIMIT_BYTES = 1 * GIB
BOOT = "import sys; sys.path[:] = {path!r}; from fedpet.node.worker.child import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a worker may use.

    Args:
        seconds: For one unit of work.
        memory_bytes: For its data.
        without: Defences left out, to show what happens without them.
    """

    seconds: float = 3600.0
    memory_bytes: int = 8 * GIB
    without: tuple[str, ...] = ()


class Worker:
    """One child process for one plan on one cohort, warm from request to request.

    Args:
        plan: The plan, approved before.
        cohort: The only cohort that it can read.
        limits: What it may use.

    Raises:
        UpdateError: If it does not start.
    """

    def __init__(self, plan: Plan, cohort: Cohort, limits: Limits) -> None:
        self._limits = limits
        self._threads = threads()
        self._cohort = cohort
        self._folder = Path(tempfile.mkdtemp(prefix="fedpet-worker-"))
        self._child: subprocess.Popen[bytes] | None = None
        try:
            self.held = self._start()
            header, arrays = pack(cohort)
            self._trade(
                {
                    "do": "open",
                    "plan": planfile.dumps(plan),
                    "cohort": header,
                    "threads": self._threads,
                },
                arrays,
            )
        except BaseException:
            self.close()
            raise

    @property
    def level(self) -> Level:
        """How well it is confined."""
        return level_of(self.held)

    @property
    def alive(self) -> bool:
        """Whether it can be handed more work."""
        return self._child is not None and self._child.poll() is None

    def work(self, kind: str, body: Mapping[str, Any], arrays: Parameters) -> dict[str, Array]:
        """Let it do one unit of `training.work.WORK`; its answer is not checked yet.

        Raises:
            UpdateError: If it fails, is late, or sends no usable answer; it is dead after that
                unless it said so itself.
        """
        return self._trade({"do": "work", "kind": kind, "body": dict(body)}, arrays)

    def load(self, arrays: Parameters, covariates: int) -> None:
        """Fill its network with weights, for `forward`."""
        self._trade({"do": "load", "covariates": covariates}, arrays)

    def forward(self, images: Array, covariates: Array) -> dict[str, Array]:
        """Put subjects through the network that was loaded."""
        return self._trade({"do": "forward"}, {"images": images, "covariates": covariates})

    def close(self) -> None:
        """End it and remove what it had."""
        child, self._child = self._child, None
        if child is not None:
            with suppress(ProcessLookupError):
                child.kill()
            child.wait()
            for line in (child.stdin, child.stdout):
                if line is not None:
                    with suppress(OSError):
                        line.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> tuple[str, ...]:
        images = image_file(self._cohort)
        wanted = _confinement(
            self._folder,
            self._limits,
            read=() if images is None else (str(images.resolve()),),
            cpus=self._threads,
        )
        self._child = _spawner().submit(_spawn, wanted.scratch, wanted.cpus).result()
        return _confine(self._in, self._out, wanted, self._look)

    def _trade(self, header: Mapping[str, Any], arrays: Parameters) -> dict[str, Array]:
        if self._child is None:
            raise failure("FP-7010")
        until = time.monotonic() + self._limits.seconds
        patience = wire.Patience(until=until, look=self._look)
        try:
            wire.send(self._in, header, to_bytes(arrays), patience)
            said, block = wire.receive(self._out, limit_bytes=ANSWER_LIMIT_BYTES, patience=patience)
            found = from_bytes(block) if said.get("ok") is True else None
        except wire.LateError as error:
            self.close()
            raise failure("FP-7011") from error
        except _GreedyError as error:
            self.close()
            raise failure("FP-7012") from error
        except (wire.WireError, UpdateError) as error:
            self.close()
            raise failure("FP-7010") from error
        if found is None:
            raise _failure(said)
        return found

    @property
    def _in(self) -> int:
        assert self._child is not None
        assert self._child.stdin is not None
        return self._child.stdin.fileno()

    @property
    def _out(self) -> int:
        assert self._child is not None
        assert self._child.stdout is not None
        return self._child.stdout.fileno()

    def _look(self) -> None:
        """Look after the child while it works: its memory is counted from outside as well."""
        child = self._child
        if child is None or child.poll() is not None:
            raise wire.WireError("The worker ended.")
        if "memory" in self._limits.without:
            return
        if _resident_bytes(child.pid) > self._limits.memory_bytes:
            raise _GreedyError


def probe() -> tuple[str, ...]:
    """Start a worker that does nothing; return the defences that held when it tried them all."""
    with tempfile.TemporaryDirectory(prefix="fedpet-worker-") as folder:
        wanted = _confinement(Path(folder), Limits(), read=(), cpus=1)
        child = _spawn(wanted.scratch, 1)
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            return _confine(child.stdin.fileno(), child.stdout.fileno(), wanted, lambda: None)
        finally:
            child.kill()
            child.communicate()


class _GreedyError(Exception):
    """The worker holds more memory than it may."""


def _failure(said: Mapping[str, Any]) -> FailedWorkError:
    code, detail = said.get("code"), said.get("detail")
    known = code if isinstance(code, str) and code in WORDS else "FP-7010"
    text = detail if isinstance(detail, str) else ""
    log.warning("own_network_failed code=%s detail=%r", known, text[:8000])
    return failure(known, text)


def _confinement(folder: Path, limits: Limits, *, read: tuple[str, ...], cpus: int) -> Confinement:
    scratch, outside = folder / "scratch", folder / "outside"
    scratch.mkdir(mode=0o700)
    outside.write_bytes(b"not for the worker")
    return Confinement(
        read=read,
        scratch=str(scratch),
        outside=str(outside),
        memory_bytes=limits.memory_bytes,
        cpus=cpus,
        without=limits.without,
    )


def _confine(
    line_in: int, line_out: int, wanted: Confinement, look: Callable[[], None]
) -> tuple[str, ...]:
    """Tell a new child how to confine itself; return what held when it tried."""
    patience = wire.Patience(until=time.monotonic() + START_S, look=look)
    try:
        wire.send(line_in, asdict(wanted), b"", patience)
        header, _ = wire.receive(line_out, limit_bytes=0, patience=patience)
        return tuple(str(name) for name in header["held"])
    except (wire.WireError, KeyError, TypeError) as error:
        raise UpdateError("The isolated worker did not start.", code="FP-7010") from error


@cache
def _spawner() -> ThreadPoolExecutor:
    """Return the thread that starts all workers: a worker dies with the thread that started it."""
    return ThreadPoolExecutor(1, thread_name_prefix="spawner")


def _spawn(scratch: str, cpus: int) -> subprocess.Popen[bytes]:
    path = [entry for entry in sys.path if entry and Path(entry).exists()]
    child = subprocess.Popen(  # noqa: S603  (our own interpreter, our own text)
        [sys.executable, "-I", "-B", "-c", BOOT.format(path=path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd="/",
        env={
            "LANG": "C.UTF-8",
            "HOME": scratch,
            "TMPDIR": scratch,
            "OMP_NUM_THREADS": str(cpus),
            "OPENBLAS_NUM_THREADS": str(cpus),
            "MKL_NUM_THREADS": str(cpus),
        },
        close_fds=True,
        start_new_session=True,
    )
    for line in (child.stdin, child.stdout):
        assert line is not None
        os.set_blocking(line.fileno(), False)
    return child


def _resident_bytes(pid: int) -> int:
    """Return the memory that a process holds, 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        # Pages of files, such as the cohort's images, can be dropped at any time.
        return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
