"""Everything that confines a worker: entered by the worker itself, then tried out.

Order matters: namespaces need a process with one thread, a mount needs the namespace, no
privilege may be left before files are shut, and system calls are shut last of all. Nothing here
imports more than the standard library, because a library may start threads.
"""

from __future__ import annotations

import errno
import os
import platform
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from fedpet.node.worker import landlock, namespaces, seccomp

Level: TypeAlias = Literal["full", "partial", "limits"]
DEFENCES = ("files", "network", "processes", "neighbours", "memory")
GIB = 1 << 30
SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache",
    "/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom", "/dev/random", "/dev/zero",
    "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/sys/devices/system/node",
)  # fmt: skip
GRAPHICS = ("/proc/driver/nvidia", "/sys/bus/pci", "/sys/devices/pci0000:00")
PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How a worker is confined; everything is on unless a test shows what happens without it.

    Args:
        read: Files and folders that may be read besides the system's and Python's own.
        scratch: Empty folder that becomes the only place for files.
        outside: A file that must not be readable; it is tried.
        memory_bytes: Memory for data.
        scratch_bytes: Size of the scratch, which lies in memory.
        cpus: Processors that may be used.
        without: Defences that are left out, of `DEFENCES`.
    """

    read: tuple[str, ...] = ()
    scratch: str
    outside: str
    memory_bytes: int = 8 * GIB
    scratch_bytes: int = 64 << 20
    cpus: int = 1
    without: tuple[str, ...] = ()


def enter(wanted: Confinement) -> tuple[str, ...]:
    """Confine this process for good, try to break out in every way, and return what held.

    Returns:
        The defences in force, of `DEFENCES`, each one tried.
    """
    on = set(DEFENCES) - set(wanted.without)
    disk = False
    if platform.system() == "Linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # first to go, not the node
        _use_cpus(wanted.cpus)
        apart = "network" in on and namespaces.leave()
        if apart and "files" in on:
            disk = namespaces.mount_scratch(Path(wanted.scratch), size_bytes=wanted.scratch_bytes)
        if "neighbours" in on:
            namespaces.drop_privileges()
        _die_with_parent()
    if "memory" in on:
        _limit(wanted)
    os.chdir(wanted.scratch if disk else "/")
    if "files" in on:
        write = [Path(wanted.scratch)] if disk else []
        landlock.restrict(read=_readable(wanted), write=write, devices=_devices())
    if "processes" in on:
        seccomp.restrict()
    return tuple(name for name in DEFENCES if name in on and TRIALS[name](wanted))


def level_of(held: tuple[str, ...]) -> Level:
    """Name what is in force: `full`, `partial` (no file and no network) or `limits`.

    Examples:
        >>> level_of(("files", "network")), level_of(("network",))
        ('partial', 'limits')
    """
    if set(held) == set(DEFENCES):
        return "full"
    return "partial" if {"files", "network"} <= set(held) else "limits"


def _use_cpus(count: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        mine = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, mine[-count:])


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _limit(wanted: Confinement) -> None:
    """Set limits that even the process itself can only lower."""
    _ceiling(resource.RLIMIT_CORE, 0)
    _ceiling(resource.RLIMIT_FSIZE, wanted.scratch_bytes)
    _ceiling(resource.RLIMIT_NOFILE, 256)
    _ceiling(resource.RLIMIT_DATA, wanted.memory_bytes)
    if not _devices(graphics_only=True):  # a graphics card reserves addresses without end
        _ceiling(resource.RLIMIT_AS, wanted.memory_bytes + 16 * GIB)
    if hasattr(resource, "RLIMIT_MSGQUEUE"):
        _ceiling(resource.RLIMIT_MSGQUEUE, 0)


def _ceiling(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (least, least))


def _readable(wanted: Confinement) -> list[Path]:
    paths = sysconfig.get_paths()
    own = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    base = [str(Path(sys.base_prefix) / "lib"), str(Path(__file__).parents[2])]
    graphics = GRAPHICS if _devices(graphics_only=True) else ()
    return [Path(path) for path in (*own, *base, *SYSTEM, *graphics, *wanted.read)]


def _devices(*, graphics_only: bool = False) -> list[Path]:
    found = sorted(Path("/dev").glob("nvidia*")) if Path("/dev").is_dir() else []
    return found if graphics_only else [Path("/dev/null"), *found]


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError as error:
        return error.errno in (errno.EPERM, errno.EACCES, errno.ENETUNREACH, errno.ENOSYS)
    return False


def _files_held(wanted: Confinement) -> bool:
    return _refused(lambda: os.open(wanted.outside, os.O_RDONLY))


def _network_held(wanted: Confinement) -> bool:
    """Send one packet to an address that nobody has: refused without a way out."""
    import socket

    del wanted

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.sendto(b"", ("192.0.2.1", 9))

    return _refused(send)


def _processes_held(wanted: Confinement) -> bool:
    del wanted

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return _refused(fork)


def _neighbours_held(wanted: Confinement) -> bool:
    del wanted
    return _refused(lambda: os.kill(os.getppid(), 0))


def _memory_held(wanted: Confinement) -> bool:
    return 0 <= resource.getrlimit(resource.RLIMIT_DATA)[1] <= wanted.memory_bytes


TRIALS: dict[str, Callable[[Confinement], bool]] = {
    "files": _files_held,
    "network": _network_held,
    "processes": _processes_held,
    "neighbours": _neighbours_held,
    "memory": _memory_held,
}
