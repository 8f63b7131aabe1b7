"""The plan's file: strict TOML in, every mistake at once with its line; commented TOML out."""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path

from fedpet.contradictions import contradictions
from fedpet.errors import NotFoundError, PlanError
from fedpet.plan import CODE, Plan
from fedpet.tomldoor import Door, Mistake

PLAN = Door(
    error=PlanError,
    code="FP-2004",
    code_toml="FP-2001",
    do="Correct the plan; `fedpet plan new FILE` writes one with every key explained.",
)
CODE_FILE = Door(
    error=PlanError,
    code="FP-2011",
    do="See docs/guides/your-own-network.md.",
)
HEADER = """\
# A fedpet plan: what is computed, on whom, and what leaves.
# Check it with `fedpet plan check`; every key is explained in docs/plan.md.
"""


def load(path: Path) -> Plan:
    """Read a plan from a file, and the researcher's own network from the file beside it.

    Raises:
        NotFoundError: If there is no such file.
        PlanError: Listing every mistake in it.
    """
    absent = NotFoundError(
        f"There is no plan at '{path.name}'.", do="Write one with `fedpet plan new FILE`."
    )
    return loads(PLAN.text_of(path, absent=absent), name=path.name, beside=path.parent)


def loads(text: str, *, name: str = "plan.toml", beside: Path | None = None) -> Plan:
    """Read a plan from TOML text.

    Args:
        text: The plan.
        name: What to call it in messages.
        beside: Folder in which the file of `model.code` is looked for, unless the plan already
            holds its text; None where there is no folder, as at a hospital.

    Raises:
        PlanError: Listing every mistake, each with its line, what was found and expected.
        NotFoundError: If there is no file of `model.code`.
    """
    plan = PLAN.values(text, Plan, name=name)
    if beside is not None and CODE.fullmatch(plan.model.code) and not plan.model.source:
        source = _source(beside / plan.model.code.partition(":")[0])
        plan = replace(plan, model=replace(plan.model, source=source))
    if found := contradictions(plan):
        raise PLAN.refusal(name, text, [Mistake(key, f"{key}: {why}") for key, why in found])
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
                if isinstance(item, str) and "\n" in item:
                    table.add(inner, tomlkit.string(item, multiline=True))
                else:
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


def _source(path: Path) -> str:
    """Return the text of a researcher's own network, with one kind of line end."""
    text = CODE_FILE.text_of(
        path,
        absent=NotFoundError(
            f"There is no file '{path.name}' beside the plan; model.code names it.",
            do="Put it into the plan's folder, or correct model.code.",
        ),
    )
    return "\n".join(text.splitlines()) + "\n"


def _section(name: str) -> type | None:
    from typing import get_type_hints

    hint = get_type_hints(Plan)[name]
    return hint if isinstance(hint, type) and is_dataclass(hint) else None
