"""Files by an allow-list that a process puts upon itself and can never take off: Landlock.

Source:
    Linux kernel, *Landlock: unprivileged access control*, userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
VERSION, PATH_BENEATH = 1, 1
WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
IOCTL_DEVICE = 1 << 15
FILE_RIGHTS = 1 | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
FILE_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # rights known to a version; 16 from version 5 on
TCP_BITS, SCOPE_BITS = 0b11, 0b11  # bind and connect; abstract sockets and signals
NO_NEW_PRIVILEGES = 38


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Return the kernel's Landlock version, 0 where there is none."""
    found = _libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)
    return max(0, int(found))


def restrict(*, read: Iterable[Path], write: Iterable[Path], devices: Iterable[Path]) -> bool:
    """Allow this thread, and all that it starts, the named places and nothing else.

    Must be called while the process has one thread. Where the kernel knows them, TCP, abstract
    sockets and signals to other processes are refused as well. No right to execute is given.

    Args:
        read: Files and folders that may be read.
        write: Folders in which anything may be made.
        devices: Device files that may be read, written and controlled.

    Returns:
        Whether it is in force; False where the kernel has no Landlock.
    """
    known = version()
    if not known:
        return False
    libc = _libc()
    files = (1 << FILE_BITS.get(known, 16)) - 1
    wanted = _Ruleset(files, TCP_BITS if known >= 4 else 0, SCOPE_BITS if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    for paths, rights in (
        (read, READ_FILE | READ_DIR),
        (write, files & ~1),
        (devices, READ_FILE | WRITE_FILE | IOCTL_DEVICE),
    ):
        for path in paths:
            _allow(libc, ruleset, path, rights & files)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = libc.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return bool(done == 0)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no leave
    try:
        if not path.is_dir():
            rights &= FILE_RIGHTS
        rule = _Beneath(rights, place)
        libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
