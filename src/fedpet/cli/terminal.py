"""What every command shares: how the reader wants answers, and where they go.

Data go to standard output, progress and complaints to standard error, so that a pipe carries
nothing but the answer. Nothing moves on the screen unless both are a terminal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fedpet.errors import FedpetError

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = "fedpet/1"
PIPE_WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found out.

    Args:
        data: JSON values: the answer for programs.
        text: The same for people: finished text, or what draws it on a console.
        error: What is wrong although there is an answer; its exit code becomes the command's.
    """

    data: Mapping[str, object]
    text: str | Callable[[Console], None] = ""
    error: FedpetError | None = None


@dataclass(slots=True)
class Terminal:
    """The reader's wishes, and what a command notes while it works.

    Args:
        format: `text` or `json`.
        verbosity: Below 0, no progress; above 0, every step.
        color: Whether colours are wanted.
        command: The command in use, such as `plan check`.
        crash_folder: Where a report of our own fault would be written.
        resume: The command that continues what Ctrl-C interrupts; empty if nothing was begun.
        warnings: What the reader should know although the command went well.
        interrupted: Whether Ctrl-C was pressed.
    """

    format: str = "text"
    verbosity: int = 0
    color: bool = True
    command: str = ""
    crash_folder: Path = field(default_factory=Path)
    resume: str = ""
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def json(self) -> bool:
        """Whether a program reads the answer."""
        return self.format == "json"

    @property
    def quiet(self) -> bool:
        """Whether progress is unwanted."""
        return self.verbosity < 0

    @property
    def animated(self) -> bool:
        """Whether the screen may move: both streams are a terminal that can."""
        able = os.environ.get("TERM", "") not in ("dumb", "")
        return able and not self.quiet and sys.stdout.isatty() and sys.stderr.isatty()

    def console(self, stream: IO[str] | None = None) -> Console:
        """Return a console that draws on a stream; standard output unless told."""
        from rich.console import Console

        stream = stream or sys.stdout
        tty = stream.isatty()
        return Console(
            file=stream,
            color_system="auto" if self.color and tty else None,
            highlight=False,
            markup=False,
            emoji=False,
            width=None if tty else int(os.environ.get("COLUMNS", PIPE_WIDTH)),
        )

    def say(self, line: str) -> None:
        """Tell progress on standard error, unless the reader wants none."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Note what the reader should know; shown at once, and kept for programs."""
        self.warnings.append(text)
        if not self.json:
            print(self.styled(f"Note     {text}", "33"), file=sys.stderr, flush=True)

    def styled(self, text: str, style: str) -> str:
        """Return text for standard error in an ANSI style, where colours are wanted."""
        if self.color and sys.stderr.isatty():
            return f"\x1b[{style}m{text}\x1b[0m"
        return text

    def answer(self, answer: Answer) -> int:
        """Print an answer and return the exit code."""
        error = answer.error
        if self.json:
            self._envelope(answer.data, error)
        else:
            if callable(answer.text):
                answer.text(self.console())
            elif answer.text:
                print(answer.text)
            if error is not None:
                self._block(error)
        sys.stdout.flush()
        return 0 if error is None else error.exit_code

    def complain(
        self, error: FedpetError, *, exit_code: int, context: Mapping[str, object] | None = None
    ) -> int:
        """Print an error and return the exit code."""
        if self.json:
            self._envelope({}, error, context)
            sys.stdout.flush()
        else:
            self._block(error)
        return exit_code

    def _envelope(
        self,
        data: Mapping[str, object],
        error: FedpetError | None,
        context: Mapping[str, object] | None = None,
    ) -> None:
        told = None
        if error is not None:
            told = {
                "code": error.code,
                "title": error.title,
                "why": error.why,
                "do": list(error.do),
                "context": dict(context or {}),
            }
        envelope = {
            "schema": SCHEMA,
            "ok": error is None,
            "command": self.command,
            "data": dict(data),
            "warnings": self.warnings,
            "error": told,
        }
        print(json.dumps(envelope, indent=2, allow_nan=False, ensure_ascii=False))

    def _block(self, error: FedpetError) -> None:
        print(block(error, heading=lambda text: self.styled(text, "1;31")), file=sys.stderr)


def block(error: FedpetError, *, heading: Callable[[str], str] = str) -> str:
    """Lay an error out for people: title, why, what to do, where to read more.

    Examples:
        >>> print(block(FedpetError("No weight.", do="Add it.", code="FP-2104")))
        FP-2104  No weight.
        Do       Add it.
        More     fedpet help FP-2104
    """
    width = shutil.get_terminal_size((100, 24)).columns
    parts = [(heading(error.code), error.title)]
    parts += [("Why", line) for line in error.why.splitlines() if line.strip()]
    parts += [("Do", line) for line in error.do]
    parts += [("More", f"fedpet help {error.code}")]
    lines = []
    told = ""
    for name, text in parts:
        shown = "" if name == told else name
        told = name
        lines += _wrapped(shown, text, width=max(width, 60))
    return "\n".join(lines)


def _wrapped(name: str, text: str, *, width: int) -> list[str]:
    """Wrap a line under its name; a command at its end stays whole, to be copied."""
    import textwrap

    margin = " " * 9
    told, colon, command = text.partition(": fedpet ")
    lines = textwrap.wrap(
        told + colon[:1],
        width=width - len(margin),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
    if colon:
        whole = f"{lines[-1]} fedpet {command}"
        fits = len(margin) + len(whole) <= width
        lines[-1:] = [whole] if fits else [lines[-1], f"fedpet {command}"]
    lead = name + " " * max(2, len(margin) - len(name))
    return [(lead if index == 0 else margin) + line for index, line in enumerate(lines)]
