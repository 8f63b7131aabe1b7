"""System calls that a worker never needs: no socket, no new process, no program, no neighbour.

A worker computes with threads and memory that it has. What opens a socket, starts a process,
runs a program or touches another process is answered with "not permitted".

Source:
    Linux kernel, *Seccomp BPF*, userspace-api/seccomp_filter.rst; call numbers from
    asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from dataclasses import dataclass
from typing import Literal

SET_SECCOMP, FILTER, NO_NEW_PRIVILEGES = 22, 2, 38
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCH_AT, ARGS_AT = 0, 4, 16
CLONE_THREAD, PDEATHSIG, F_SETOWN, F_SETOWN_EX = 0x00010000, 1, 8, 15
X32 = 0x40000000

# name: (x86_64, aarch64); a call that an architecture lacks has no number there.
NEVER: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "bind": (49, 200),
    "listen": (50, 201), "accept4": (288, 242),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "mount_setattr": (442, 442), "personality": (135, 92),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273),
}  # fmt: skip
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A call that depends on one argument.

    Args:
        numbers: On x86_64 and aarch64.
        argument: Which one, from 0.
        values: What it is compared with.
        refuse: `listed` values, `others`, or values `without` the bits of the first one.
    """

    numbers: tuple[int, int]
    argument: int
    values: tuple[int, ...]
    refuse: Literal["listed", "others", "without"]


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("yes", ctypes.c_uint8),
        ("no", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


Step = tuple[int, int, int, int]


def restrict() -> bool:
    """Refuse those calls to this process from now on; it cannot be undone.

    Must be called while the process has one thread.

    Returns:
        Whether it is in force; False on another system or architecture.
    """
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        return False
    steps = program(pid=os.getpid(), machine=platform.machine())
    body = (_Instruction * len(steps))(*[_Instruction(*step) for step in steps])
    whole = _Program(len(steps), body)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return bool(libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(whole), 0, 0) == 0)


def program(*, pid: int, machine: str) -> list[Step]:
    """Return the filter as instructions (code, jump if true, jump if false, value).

    Args:
        pid: Of this process, which may send signals to itself.
        machine: `x86_64` or `aarch64`.
    """
    column, arch = MACHINES[machine]
    steps: list[Step] = [(LOAD, 0, 0, ARCH_AT), (EQUAL, 1, 0, arch), (RETURN, 0, 0, KILL)]
    steps += [(LOAD, 0, 0, NUMBER_AT), (AT_LEAST, 0, 1, X32), _refusal(errno.EPERM)]
    # Not a refusal: the library then starts threads by `clone`, whose flags can be read.
    steps += [(EQUAL, 0, 1, 435), _refusal(errno.ENOSYS)]
    for numbers in NEVER.values():
        number = numbers[column]
        if number is not None:
            steps += [(EQUAL, 0, 1, number), _refusal(errno.EPERM)]
    for rule in rules(pid):
        steps += _block(rule, rule.numbers[column])
    return [*steps, (RETURN, 0, 0, ALLOW)]


def rules(pid: int) -> tuple[Rule, ...]:
    """Return the calls that are allowed upon oneself only."""
    return (
        Rule(numbers=(56, 220), argument=0, values=(CLONE_THREAD,), refuse="without"),
        Rule(numbers=(62, 129), argument=0, values=(pid,), refuse="others"),  # kill
        Rule(numbers=(234, 131), argument=0, values=(pid,), refuse="others"),  # tgkill
        Rule(numbers=(302, 261), argument=0, values=(0, pid), refuse="others"),  # prlimit64
        Rule(numbers=(203, 122), argument=0, values=(0,), refuse="others"),  # sched_setaffinity
        Rule(numbers=(157, 167), argument=0, values=(PDEATHSIG,), refuse="listed"),  # prctl
        Rule(numbers=(72, 25), argument=1, values=(F_SETOWN, F_SETOWN_EX), refuse="listed"),
    )


def _block(rule: Rule, number: int) -> list[Step]:
    """Compare one argument; jumps count instructions from the next one."""
    inner: list[Step] = [(LOAD, 0, 0, ARGS_AT + 8 * rule.argument)]
    if rule.refuse == "without":
        inner += [(ANY_BIT, 1, 0, rule.values[0]), _refusal(errno.EPERM)]
    elif rule.refuse == "others":
        count = len(rule.values)
        inner += [(EQUAL, count - i, 0, value) for i, value in enumerate(rule.values)]
        inner += [_refusal(errno.EPERM)]
    else:
        inner += [step for v in rule.values for step in ((EQUAL, 0, 1, v), _refusal(errno.EPERM))]
    inner += [(LOAD, 0, 0, NUMBER_AT)]
    return [(EQUAL, 0, len(inner), number), *inner]


def _refusal(number: int) -> Step:
    return (RETURN, 0, 0, ERRNO | number)
