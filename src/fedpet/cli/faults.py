"""The program's edge: everything that can go wrong becomes an exit code and a text to act on.

0 done · 1 our fault · 2 usage · 3 a check failed · 4 out of reach · 5 not allowed · 6 not found ·
7 ended without some sites · 130 Ctrl-C · 141 the reader of our output left.
"""

from __future__ import annotations

import os
import platform
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from fedpet import __version__
from fedpet.cli.terminal import Terminal
from fedpet.errors import FedpetError, NotFoundError, StoreError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_NO_READER = 141
NODE_PACKAGES = frozenset(
    {"torch", "pydicom", "SimpleITK", "blosc2", "nibabel", "highdicom", "pynetdicom"}
    | {"dicomweb_client", "requests", "cryptography", "openpyxl"}
)


def tell(error: BaseException, terminal: Terminal, *, args: Sequence[str]) -> int:
    """Explain an error to the reader and return the exit code.

    Args:
        error: What ended the command.
        terminal: Where to explain it.
        args: What the reader typed; a path that is not among it is never shown.
    """
    if isinstance(error, FedpetError):
        return terminal.complain(error, exit_code=error.exit_code)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _interrupted(terminal)
    if isinstance(error, click.ClickException):
        return _misused(error, terminal)
    if isinstance(error, BrokenPipeError):
        return silence()
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in NODE_PACKAGES:
        told: FedpetError = NotFoundError(
            f"This command needs the hospital side of fedpet: '{error.name}' is not installed.",
            do="Install it: pip install 'fedpet[node]'",
            code="FP-6010",
        )
        return terminal.complain(told, exit_code=told.exit_code)
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        name = str(error.filename) if error.filename is not None else ""
        shown = f": '{name}'" if name and name in args else ""
        told = StoreError(
            f"A file cannot be read or written{shown}: {error.strerror or 'unknown reason'}.",
            do="Check free space and permissions, then run the same command again.",
            code="FP-3010",
        )
        return terminal.complain(told, exit_code=told.exit_code)
    return _crashed(error, terminal)


def silence() -> int:
    """Stop writing: whoever read our output left, as `head` does. Return the exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return EXIT_NO_READER


def _interrupted(terminal: Terminal) -> int:
    do = f"Continue with: {terminal.resume}" if terminal.resume else ()
    lost = "Nothing is lost." if terminal.resume else "Nothing was changed."
    told = FedpetError(f"Interrupted. {lost}", do=do, code="FP-1130")
    context = {"resume": terminal.resume} if terminal.resume else {}
    return terminal.complain(told, exit_code=EXIT_INTERRUPTED, context=context)


def _misused(error: click.ClickException, terminal: Terminal) -> int:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "fedpet"
    if not terminal.command:
        terminal.command = path.partition(" ")[2]
    usage = context.get_usage().removeprefix("Usage: ") if context else ""
    told = FedpetError(
        error.format_message(),
        why=f"It is used like this: {' '.join(usage.split())}" if usage else "",
        do=f"Read its help: {path} --help",
        code="FP-1002",
    )
    return terminal.complain(told, exit_code=EXIT_USAGE)


def _crashed(error: BaseException, terminal: Terminal) -> int:
    folder = terminal.crash_folder if terminal.crash_folder.is_dir() else Path()
    path = folder / f"crash-{datetime.now(UTC):%Y%m%d-%H%M%S}.txt"
    try:
        path.write_text(crash_report(error, command=terminal.command), encoding="utf-8")
        do = f"Send {path} to the maintainers; it holds no data and no names."
    except OSError:
        do = "Tell the maintainers the command that you used."
    told = FedpetError(
        "fedpet met a fault of its own and stopped.",
        why=f"{type(error).__name__} in {_frames(error)[-1]}" if _frames(error) else "",
        do=(do, f"Continue with: {terminal.resume}") if terminal.resume else do,
        code="FP-1001",
    )
    return terminal.complain(told, exit_code=told.exit_code, context={"crash_file": str(path)})


def crash_report(error: BaseException, *, command: str) -> str:
    """Return what the maintainers need: types and places, never a value or a message.

    A message or a local variable may hold what a patient's file said; a module and a line
    cannot.
    """
    lines = [
        f"fedpet {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}",
        f"command: {command or '(none)'}",
    ]
    chain: BaseException | None = error
    while chain is not None:
        lines += [f"{type(chain).__module__}.{type(chain).__qualname__}", *_frames(chain)]
        chain = chain.__cause__ or chain.__context__
        if chain is not None:
            lines.append("after")
    return "\n".join(lines) + "\n"


def _frames(error: BaseException) -> list[str]:
    return [
        f"  {frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
