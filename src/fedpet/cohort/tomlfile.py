"""Strict TOML files of a hospital: every mistake at once, with its line and the likely meaning."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fedpet.errors import DataError, NotFoundError

SIZE_LIMIT_BYTES = 1 << 20
SECTION = re.compile(r"^\s*\[\s*([^\]]+?)\s*\]")
KEY = re.compile(r"""^\s*["']?([\w -]+?)["']?\s*=""")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a file: the key it is about, dotted, and what is wrong."""

    key: str
    text: str


def read(path: Path, kind: type[T], *, code: str, do: str) -> tuple[T, str]:
    """Read a TOML file into a dataclass that pydantic can check.

    Args:
        path: The file.
        kind: The dataclass.
        code: Number of the error if the file has mistakes.
        do: What to do where there is no file.

    Returns:
        The values, and the text of the file for `refuse`.

    Raises:
        NotFoundError: If there is no such file.
        DataError: Listing every mistake in it.
    """
    import tomllib

    from pydantic import TypeAdapter, ValidationError

    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotFoundError(f"The hospital's folder has no {path.name}.", do=do) from None
    except PermissionError:
        raise DataError(f"{path.name} may not be read.", do="Ask for read permission.") from None
    if len(data) > SIZE_LIMIT_BYTES:
        raise DataError(f"{path.name} has {len(data)} bytes; at most 1 MiB is read.", code=code)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            f"{path.name} is not UTF-8 text.", do="Save it as UTF-8.", code=code
        ) from None
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{path.name} is not TOML: {error}.", code=code) from None
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values, default=str)), text
    except ValidationError as error:
        mistakes = [_mistake(kind, problem) for problem in error.errors(include_url=False)]
        raise refusal(path.name, text, mistakes, code=code) from None


def refusal(name: str, text: str, mistakes: Iterable[Mistake], *, code: str) -> DataError:
    """Return the error that lists all mistakes of a file in the order of its lines."""
    lines = _lines(text)
    numbered = sorted(
        (_line(lines, mistake.key) or 0, mistake.key, mistake.text) for mistake in mistakes
    )
    told = [f"{name}{f' line {line}' if line else ''}: {what}" for line, _, what in numbered]
    if len(told) == 1:
        return DataError(told[0], code=code)
    return DataError(f"{len(told)} mistakes in {name}.", why="\n".join(told), code=code)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return ` Did you mean "x"?` for the nearest known word, or nothing.

    Examples:
        >>> did_you_mean("spacing", ["name", "spacing_mm"])
        ' Did you mean "spacing_mm"?'
    """
    by_case = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), list(by_case), n=1)
    return f' Did you mean "{by_case[close[0]]}"?' if close else ""


def _line(lines: Mapping[str, int], key: str) -> int | None:
    while key:
        if key in lines:
            return lines[key]
        key = key.rpartition(".")[0]
    return None


def _lines(text: str) -> dict[str, int]:
    known: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := SECTION.match(line):
            section = ".".join(part.strip().strip("\"'") for part in match[1].split("."))
            known.setdefault(section, number)
        elif match := KEY.match(line):
            known.setdefault(f"{section}.{match[1]}".lstrip("."), number)
    return known


def _mistake(kind: type, problem: Mapping[str, Any]) -> Mistake:
    path = [str(part) for part in problem["loc"] if isinstance(part, str) and part != "[key]"]
    key = ".".join(path)
    section, name = ".".join(path[:-1]), path[-1] if path else "the file"
    where = f" in [{section}]" if section else ""
    if problem["type"] == "unexpected_keyword_argument":
        hint = did_you_mean(name, _names(kind, path[:-1]))
        return Mistake(key, f'unknown key "{name}"{where}.{hint}')
    if problem["type"] in ("missing", "missing_argument"):
        return Mistake(key, f'"{name}" is missing{where}.')
    message = problem["msg"].removeprefix("Input ").rstrip(".")
    return Mistake(key, f'"{name}"{where} is {problem["input"]!r:.60}; it {message}.')


def _names(kind: type, path: Sequence[str]) -> list[str]:
    """List the keys allowed at a place, following sections and tables of sections."""
    hint: Any = kind
    for part in path:
        if is_dataclass(hint):
            hint = get_type_hints(hint).get(part)
        else:  # a table of sections, Mapping[str, Section]
            hint = next((inner for inner in get_args(hint) if is_dataclass(inner)), None)
        if get_origin(hint) in (Union, UnionType):
            hint = next((inner for inner in get_args(hint) if is_dataclass(inner)), None)
    return [field.name for field in fields(hint)] if is_dataclass(hint) else []
