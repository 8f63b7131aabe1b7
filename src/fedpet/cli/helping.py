"""`fedpet help`: topics, and what each FP code means."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from importlib.resources import files

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import NotFoundError

SEVERITIES = {
    "error": "A finding of a cohort. The subject, or the series, is left out.",
    "warning": "A finding of a cohort. A value may be taken as unknown, or deserves a look.",
    "info": "A finding of a cohort. Good to know.",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of help.

    Args:
        title: One line.
        text: The page.
    """

    title: str
    text: str


def codes() -> dict[str, Page]:
    """Return what every FP code means, by code: errors, and the findings of a cohort."""
    from fedpet.cohort.findings import KINDS

    findings = {
        code: Page(kind.meaning.rstrip("."), f"{SEVERITIES[kind.severity]}\n\n{kind.fix}")
        for code, kind in KINDS.items()
    }
    return dict(sorted((_pages("codes.toml") | findings).items()))


def topics() -> dict[str, Page]:
    """Return the topics, by name."""
    return _pages("topics.toml")


@click.command("help", cls=FedpetCommand, short_help="Explain a topic or an error")
@click.argument("topic", required=False)
@click.pass_obj
def help_(terminal: Terminal, topic: str | None) -> Answer:
    """Explain a topic, or an error by its FP code.

    Without TOPIC, lists what there is. Reads and writes nothing.

      fedpet help FP-2004
      fedpet help folder

    Next: `fedpet COMMAND --help` explains a command.
    """
    del terminal
    if topic is None:
        return _listed()
    known = {name.lower(): page for name, page in topics().items()}
    known |= {code.lower(): page for code, page in codes().items()}
    page = known.get(topic.lower())
    if page is None:
        close = difflib.get_close_matches(topic.lower(), known, n=1)
        hint = f" Did you mean '{_shown(close[0])}'?" if close else ""
        raise NotFoundError(
            f"There is no help about '{topic}'.{hint}",
            do="See what there is: fedpet help",
            code="FP-6006",
        )
    return Answer(
        data={"topic": _shown(topic.lower()), "title": page.title, "text": page.text},
        text=f"{_shown(topic.lower())}  {page.title}\n\n{page.text.rstrip()}",
    )


def _listed() -> Answer:
    by_name, by_code = topics(), codes()
    lines = ["Topics"]
    lines += [f"  {name:<12}{page.title}" for name, page in by_name.items()]
    lines += ["", "Errors"]
    lines += [f"  {code:<12}{page.title}" for code, page in by_code.items()]
    return Answer(
        data={
            "topics": {name: page.title for name, page in by_name.items()},
            "codes": {code: page.title for code, page in by_code.items()},
        },
        text="\n".join(lines),
    )


def _pages(name: str) -> dict[str, Page]:
    text = files("fedpet.cli").joinpath(name).read_text(encoding="utf-8")
    return {key: Page(page["title"], page["text"]) for key, page in tomllib.loads(text).items()}


def _shown(name: str) -> str:
    return name.upper() if name.startswith("fp-") else name
