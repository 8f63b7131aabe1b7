"""The plan's file: strict TOML in, every mistake at once with its line; commented TOML out."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from fedpet.errors import NotFoundError, PlanError
from fedpet.plan import Plan, contradictions

SIZE_LIMIT_BYTES = 1 << 20
SECTION = re.compile(r"^\s*\[\s*([\w.-]+)\s*\]")
KEY = re.compile(r"^\s*([\w-]+)\s*=")
HEADER = """\
# A fedpet plan: what is computed, on whom, and what leaves.
# Check it with `fedpet plan check`; every key is explained in docs/plan.md.
"""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a plan's file."""

    key: str
    text: str
    line: int | None


def load(path: Path) -> Plan:
    """Read a plan from a file.

    Raises:
        NotFoundError: If there is no such file.
        PlanError: Listing every mistake in it.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(
            f"There is no plan at '{path.name}'.", do="Write one with `fedpet plan new FILE`."
        ) from error
    if len(data) > SIZE_LIMIT_BYTES:
        raise PlanError(f"{path.name} has {len(data)} bytes; a plan has at most 1 MiB.")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise PlanError(f"{path.name} is not UTF-8 text.", do="Save it as UTF-8.") from error
    return loads(text, name=path.name)


def loads(text: str, *, name: str = "plan.toml") -> Plan:
    """Read a plan from TOML text.

    Args:
        text: The plan.
        name: What to call it in messages.

    Raises:
        PlanError: Listing every mistake, each with its line, what was found and expected.
    """
    import tomllib

    from pydantic import TypeAdapter, ValidationError

    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PlanError(f"{name} is not TOML: {error}.", code="FP-2001") from error
    lines = _lines(text)
    try:
        plan = TypeAdapter(Plan).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        mistakes = [_mistake(problem, lines) for problem in error.errors(include_url=False)]
        raise _refusal(name, mistakes) from None
    if found := contradictions(plan):
        raise _refusal(name, [Mistake(key, f"{key}: {why}", lines.get(key)) for key, why in found])
    return plan


def dumps(plan: Plan) -> str:
    """Write a plan as TOML, every value written out, sections in reading order."""
    import tomlkit

    document = tomlkit.document()
    for line in HEADER.splitlines():
        document.add(tomlkit.comment(line.removeprefix("# ")))
    document.add(tomlkit.nl())
    values = asdict(plan)
    for key, value in values.items():
        if not isinstance(value, dict):
            document.add(key, value)
    for key, value in values.items():
        if isinstance(value, dict):
            table = tomlkit.table()
            for inner, item in value.items():
                table.add(inner, list(item) if isinstance(item, tuple) else item)
            document.add(tomlkit.nl())
            document.add(key, table)
    return tomlkit.dumps(document)


def keys() -> dict[str, type]:
    """Return every key that a plan may hold, dotted, with the section that explains it."""
    found: dict[str, type] = {}
    for field in fields(Plan):
        section = _section(field.name)
        if section is None:
            found[field.name] = Plan
        else:
            found |= {f"{field.name}.{inner.name}": section for inner in fields(section)}
    return found


def _section(name: str) -> type | None:
    from typing import get_type_hints

    hint = get_type_hints(Plan)[name]
    return hint if isinstance(hint, type) and is_dataclass(hint) else None


def _lines(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := SECTION.match(line):
            section = match[1]
            found.setdefault(section, number)
        elif match := KEY.match(line):
            found.setdefault(f"{section}.{match[1]}".lstrip("."), number)
    return found


def _mistake(problem: Mapping[str, Any], lines: Mapping[str, int]) -> Mistake:
    path = [str(part) for part in problem["loc"] if isinstance(part, str)]
    key = ".".join(path[:2])
    section, name = (path[0], path[1]) if len(path) > 1 else ("", path[0])
    where = f" in [{section}]" if section else ""
    kind = problem["type"]
    if kind == "unexpected_keyword_argument":
        siblings = [k.split(".")[-1] for k in keys() if k.rpartition(".")[0] == section]
        siblings += [] if section else sorted({k.split(".")[0] for k in keys()})
        close = difflib.get_close_matches(name, siblings, n=1)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        return Mistake(key, f'unknown key "{name}"{where}.{hint}', lines.get(key))
    if kind in ("missing", "missing_argument"):
        return Mistake(key, f'"{name}" is missing{where}.', lines.get(section))
    found = problem["input"]
    message = problem["msg"].removeprefix("Input ").removeprefix("Tuple ").rstrip(".")
    message = message.replace(" after validation", "")
    return Mistake(key, f'"{name}"{where} is {found!r:.60}; it {message}.', lines.get(key))


def _refusal(name: str, mistakes: Iterable[Mistake]) -> PlanError:
    ordered = sorted(mistakes, key=lambda mistake: (mistake.line or 0, mistake.key))
    told = [
        f"{name}{f' line {mistake.line}' if mistake.line else ''}: {mistake.text}"
        for mistake in ordered
    ]
    if len(told) == 1:
        return PlanError(told[0], code="FP-2004")
    return PlanError(f"{len(told)} mistakes in {name}.", why="\n".join(told), code="FP-2004")
