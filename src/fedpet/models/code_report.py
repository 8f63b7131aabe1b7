"""What a plan's own code reaches for, read and not run: for the person who approves it.

A report is an aid for the eye and no defence: code can hide what it calls. The defence is the
isolated worker.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

USUAL = ("torch", "math", "collections", "typing", "__future__", "dataclasses", "functools",
         "itertools", "numpy", "monai")  # fmt: skip
FILES = ("open", "load", "save", "fromfile", "tofile", "memmap", "read_text", "write_text",
         "read_bytes", "write_bytes", "listdir", "unlink", "remove", "glob")  # fmt: skip
SYSTEM = ("eval", "exec", "compile", "__import__", "system", "popen", "Popen", "fork", "socket",
          "urlopen", "connect", "getattr", "setattr", "globals", "vars", "CDLL")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeReport:
    """What stands in a file of code.

    Args:
        lines: Lines of text.
        imports: Modules that it imports, sorted.
        unusual: Those beyond torch, numpy and plain mathematics.
        calls: Calls that touch files, the system or the language itself, with their lines.
        hidden: Names with two underscores that are read, such as `__class__`, with their lines.
        mistake: Why it is no Python, with the line; empty if it is.
    """

    lines: int
    imports: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    mistake: str = ""


def report_of(source: str) -> CodeReport:
    r"""Read a file of code without running it.

    Examples:
        >>> report_of("import os, torch\nopen('x')").calls
        ('open (line 2)',)
    """
    lines = len(source.splitlines())
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        why = getattr(error, "msg", "too deep")
        return CodeReport(lines=lines, mistake=f"line {line}: {why}" if line else str(why))
    imports: set[str] = set()
    calls: set[tuple[int, str]] = set()
    hidden: set[tuple[int, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports.add(node.module or ".")
        elif isinstance(node, ast.Call) and (name := _called(node.func)) in (*FILES, *SYSTEM):
            calls.add((node.lineno, name))
        elif isinstance(node, ast.Attribute) and _dunder(node.attr):
            hidden.add((node.lineno, node.attr))
    return CodeReport(
        lines=lines,
        imports=tuple(sorted(imports)),
        unusual=tuple(sorted(name for name in imports if name.split(".")[0] not in USUAL)),
        calls=tuple(f"{name} (line {line})" for line, name in sorted(calls)),
        hidden=tuple(f"{name} (line {line})" for line, name in sorted(hidden)),
    )


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def _dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name != "__init__"
