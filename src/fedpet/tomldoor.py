"""The door for TOML that people write: every mistake at once, with its line and likely meaning."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fedpet.errors import DataError, NotFoundError, PlanError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SIZE_LIMIT_BYTES = 1 << 20
SECTION = re.compile(r"^\s*\[{1,2}\s*([^\[\]]+?)\s*\]")
KEY = re.compile(r"""^\s*([\w."' -]+?)\s*=""")
SUBJECT = re.compile(r"^(Input|Tuple|String|Dictionary|List) (?=should )")
WORDS = {
    " after validation": "",
    "a valid array": "a list",
    "a valid string": "a text between quotes",
    "be an object": "be a section",
}
T = TypeVar("T")
_ADAPTERS: dict[type, Any] = {}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a file: the key it is about, dotted, and what is wrong."""

    key: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How one kind of file is refused.

    Args:
        error: Class of the error.
        code: Its number where the file has mistakes.
        do: What to do about them.
        code_toml: Its number where the file is no TOML at all; `code` unless told.
    """

    error: type[DataError] | type[PlanError]
    code: str
    do: str
    code_toml: str = ""

    def text_of(self, path: Path, *, absent: NotFoundError) -> str:
        """Return the text of a file.

        Args:
            path: The file.
            absent: What to raise where there is none.

        Raises:
            NotFoundError: If there is no such file.
            PlanError: Or DataError, if it cannot be read, is too large, or is no text.
        """
        code = self.code_toml or self.code
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise absent from None
        except PermissionError:
            do = "Ask for read permission."
            raise self.error(f"{path.name} may not be read.", do=do, code=code) from None
        if len(data) > SIZE_LIMIT_BYTES:
            title = f"{path.name} has {len(data)} bytes; at most 1 MiB is read."
            raise self.error(title, do="Look whether it is the right file.", code=code)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            do = "Save it as UTF-8."
            raise self.error(f"{path.name} is not UTF-8 text.", do=do, code=code) from None

    def values(self, text: str, kind: type[T], *, name: str) -> T:
        """Read TOML text into a dataclass that pydantic can check.

        A predicate of the dataclass is named after what it demands: `rise_from_least_to_greatest`
        is told as "it should rise from least to greatest".

        Args:
            text: What stands in the file.
            kind: The dataclass.
            name: What to call the file in messages.

        Raises:
            PlanError: Or DataError, listing every mistake with its line.
        """
        import tomllib

        from pydantic import ValidationError

        try:
            values = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            code = self.code_toml or self.code
            raise self.error(f"{name} is not TOML: {error}.", do=self.do, code=code) from None
        try:
            value: T = _adapter(kind).validate_json(json.dumps(values, default=str))
        except ValidationError as error:
            mistakes = [_mistake(kind, problem) for problem in error.errors(include_url=False)]
            raise self.refusal(name, text, mistakes) from None
        return value

    def refusal(self, name: str, text: str, mistakes: Iterable[Mistake]) -> DataError | PlanError:
        """Return the error that lists all mistakes of a file in the order of its lines.

        Args:
            name: What to call the file.
            text: What stands in it.
            mistakes: One or more.
        """
        lines = _lines(text)
        numbered = sorted((_line(lines, one.key), one.key, one.text) for one in mistakes)
        told = [f"{name}{f' line {line}' if line else ''}: {what}" for line, _, what in numbered]
        if len(told) == 1:
            return self.error(told[0], do=self.do, code=self.code)
        title = f"{len(told)} mistakes in {name}."
        return self.error(title, why="\n".join(told), do=self.do, code=self.code)


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    """Return what checks values of a class; making one takes longer than reading a file."""
    from pydantic import TypeAdapter

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    adapter: TypeAdapter[T] = _ADAPTERS[kind]
    return adapter


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return ` Did you mean "x"?` for the nearest known word, or nothing.

    Examples:
        >>> did_you_mean("spacing", ["name", "spacing_mm"])
        ' Did you mean "spacing_mm"?'
    """
    by_case = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), list(by_case), n=1)
    return f' Did you mean "{by_case[close[0]]}"?' if close else ""


def _line(lines: Mapping[str, int], key: str) -> int:
    """Return the line of a key, or of the nearest section above it; 0 if there is none."""
    while key:
        if key in lines:
            return lines[key]
        key = key.rpartition(".")[0]
    return 0


def _lines(text: str) -> dict[str, int]:
    known: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := SECTION.match(line):
            section = _bare(match[1])
            known.setdefault(section, number)
        elif match := KEY.match(line):
            known.setdefault(f"{section}.{_bare(match[1])}".lstrip("."), number)
    return known


def _bare(key: str) -> str:
    """Return a dotted key without the quotes and spaces that TOML allows in it."""
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def _mistake(kind: type, problem: Mapping[str, Any]) -> Mistake:
    path = [str(part) for part in problem["loc"] if isinstance(part, str) and part != "[key]"]
    key = ".".join(path)
    section, name = ".".join(path[:-1]), path[-1] if path else "the file"
    where = f" in [{section}]" if section else ""
    if problem["type"] == "unexpected_keyword_argument":
        hint = did_you_mean(name, _names(kind, path[:-1]))
        return Mistake(key, f'unknown key "{name}"{where}.{hint}')
    found = f'"{name}"{where} is {problem["input"]!r:.60}; it'
    if problem["type"] in ("missing", "missing_argument"):
        if isinstance(problem["loc"][-1], int):  # the next item of a list, not a key
            return Mistake(key, f"{found} has too few items.")
        return Mistake(key, f'"{name}" is missing{where}.')
    if problem["type"] == "predicate_failed":
        demanded = problem["msg"].split("'")[1].replace("_", " ")
        return Mistake(key, f"{found} should {demanded}.")
    message = SUBJECT.sub("", problem["msg"]).rstrip(".")
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    return Mistake(key, f"{found} {message}.")


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
