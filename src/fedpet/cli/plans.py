"""`fedpet plan new|check|show`: write a plan, find its mistakes, read it in words."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import click

from fedpet import planfile
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import StoreError
from fedpet.plan import Plan, fingerprint

FILE = click.Path(path_type=Path)


def template() -> str:
    """Return the commented plan that the demo runs and that new plans start from."""
    return files("fedpet.cli").joinpath("demo_plan.toml").read_text(encoding="utf-8")


@click.command("new", cls=FedpetCommand, short_help="Write a plan to start from")
@click.argument("file", type=FILE)
@click.option("--name", help="Name of the plan; the file's name unless told.")
@click.option("--cohort", help="Name of the cohort at every hospital.")
@click.pass_obj
def new(terminal: Terminal, file: Path, name: str | None, cohort: str | None) -> Answer:
    """Write a plan to start from, with every key explained.

    Reads nothing. Writes FILE, and never over another one.

      fedpet plan new pfs.toml --cohort nsclc-io

    Next: edit the file, then `fedpet plan check FILE`.
    """
    import tomlkit

    if file.exists():
        raise StoreError(
            f"'{file.name}' exists already; it was left as it is.",
            do="Choose another name, or delete the file first.",
            code="FP-3002",
        )
    document = tomlkit.parse(template())
    document["name"] = name or file.stem
    if cohort:
        document["cohort"] = cohort
    plan = planfile.loads(tomlkit.dumps(document), name=file.name)
    file.write_text(tomlkit.dumps(document), encoding="utf-8")
    del terminal
    return Answer(
        data={"file": str(file), "name": plan.name, "fingerprint": fingerprint(plan)},
        text=f"Wrote {file}.\nNext: edit it, then fedpet plan check {file}",
    )


@click.command("check", cls=FedpetCommand, short_help="Find every mistake in a plan")
@click.argument("file", type=FILE)
@click.option("--sites", type=FILE, help="Folder of hospitals to ask whether they could answer.")
@click.option("--dry-run", is_flag=True, help="Run the network on two made-up hospitals.")
@click.pass_obj
def check(terminal: Terminal, file: Path, sites: Path | None, dry_run: bool) -> Answer:
    """Find every mistake in a plan, all at once, each with its line.

    Reads FILE, and the Python file that `model.code` names. With --sites also reads each
    hospital's built cohort and policy, to say what is missing there and what a hospital objects
    to. With --dry-run also trains the network for a round on two made-up hospitals, its own code
    in the isolated worker. Writes nothing. Ends with code 3 if anything is wrong.

      fedpet plan check plan.toml
      fedpet plan check plan.toml --dry-run
      fedpet plan check plan.toml --sites hospitals

    Next: `fedpet plan show FILE` reads it in words.
    """
    del terminal
    plan = planfile.load(file)
    data: dict[str, object] = {
        "file": str(file),
        "name": plan.name,
        "fingerprint": fingerprint(plan),
    }
    good = f"{file.name} is a valid plan.\nFingerprint {fingerprint(plan)}"
    if dry_run:
        good += f"\n{_tried(plan, data)}"
    if sites is None:
        return Answer(data=data, text=f"{good}\nNext: fedpet plan show {file}")
    return _at_hospitals(plan, file=file, sites=sites, data=data, good=good)


def _tried(plan: Plan, data: dict[str, object]) -> str:
    """Try the network on made-up hospitals; add what came out to the data, and return it told."""
    from fedpet.local.dry_run import dry_run

    found = dry_run(plan)
    data["dry_run"] = asdict(found)
    shape = " x ".join(str(size) for size in found.image_shape)
    outputs = ", ".join(f"{name} {size}" for name, size in found.outputs.items())
    where = "" if found.level is None else f" in a worker confined at level '{found.level}'"
    return (
        f"Network  {found.parameters:,} parameters; images {shape}, "
        f"{found.covariates} covariates; logits: {outputs}.\n"
        f"Tried    one round at two made-up hospitals of {found.subjects} subjects{where}: "
        f"finite, {found.batch_s * 1000:.0f} ms a batch on this machine."
    )


def _at_hospitals(
    plan: Plan, *, file: Path, sites: Path, data: dict[str, object], good: str
) -> Answer:
    from fedpet.cli.hospitals import obstruction, preflight

    found = preflight(plan, sites)
    data["sites"] = found.subjects
    data["objections"] = [{"site": one.site, "reason": one.reason} for one in found.objections]
    total = sum(found.subjects.values())
    ready = f"{len(found.subjects)} hospitals with {total} subjects could answer it."
    if not found.objections:
        return Answer(data=data, text=f"{good}\n{ready}\nNext: fedpet run {file} --sites {sites}")
    return Answer(data=data, text=f"{good}\n{ready}", error=obstruction(found.objections))


@click.command("show", cls=FedpetCommand, short_help="Read a plan in words")
@click.argument("file", type=FILE)
@click.pass_obj
def show(terminal: Terminal, file: Path) -> Answer:
    """Read a plan in words: what for, on whom, what is computed, what leaves and how often.

    Reads FILE; writes nothing. This is what a hospital reads before it approves. Code that the
    plan brings is printed in full, with what it reaches for.

      fedpet plan show plan.toml

    Next: `fedpet run FILE --sites FOLDER`.
    """
    from fedpet.cli.code_words import code_lines
    from fedpet.cli.plan_words import plan_in_words

    plan = planfile.load(file)
    chapters = plan_in_words(plan)
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    lines: list[str] = []
    for heading, sentences in chapters:
        lines += ["", heading] if lines else [heading]
        for sentence in sentences:
            lines += textwrap.wrap(
                sentence,
                width=width,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    if code := code_lines(plan.model):
        lines += ["", plan.model.code, *code]
    del terminal
    return Answer(
        data={
            "fingerprint": fingerprint(plan),
            "plan": asdict(plan),
            "words": [{"heading": heading, "text": list(told)} for heading, told in chapters],
        },
        text="\n".join(lines),
    )
