"""An empty network, a small disk in memory, and no privileges: what one process leaves behind.

Source:
    Linux manual pages user_namespaces(7), network_namespaces(7), capabilities(7), tmpfs(5).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

NEW_MOUNTS, NEW_USER, NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000
NEW_NAMES, NEW_MESSAGES = 0x04000000, 0x08000000
RECURSIVE, PRIVATE = 0x4000, 1 << 18
NO_SUID, NO_DEVICES, NO_EXECUTION = 2, 4, 8
DROP_BOUNDING, CAPABILITY_VERSION, CAPABILITIES = 24, 0x20080522, 64


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def leave() -> bool:
    """Enter namespaces of one's own: users, network without any interface, mounts, messages.

    Must be called while the process has one thread.

    Returns:
        Whether the system allowed it.
    """
    user, group = os.getuid(), os.getgid()
    flags = NEW_USER | NEW_NETWORK | NEW_MOUNTS | NEW_MESSAGES | NEW_NAMES
    if _libc().unshare(flags) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        return False
    return True


def mount_scratch(folder: Path, *, size_bytes: int) -> bool:
    """Lay a disk of a fixed size, held in memory, over an empty folder; needs `leave` before.

    Returns:
        Whether the system allowed it.
    """
    libc = _libc()
    if libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None) != 0:
        return False
    options = f"size={size_bytes},nr_inodes=1000,mode=0700".encode()
    flags = NO_SUID | NO_DEVICES | NO_EXECUTION
    return bool(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options) == 0)


def drop_privileges() -> None:
    """Give up every capability, also those that a new program could regain."""
    libc = _libc()
    for number in range(CAPABILITIES):
        libc.prctl(DROP_BOUNDING, number, 0, 0, 0)
    nothing = (ctypes.c_uint32 * 6)()
    libc.capset(ctypes.byref(_Header(CAPABILITY_VERSION, 0)), ctypes.byref(nothing))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
