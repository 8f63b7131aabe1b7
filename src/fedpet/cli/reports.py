"""`fedpet report`: the page for people, the card for the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import NotFoundError, StoreError

SCHEMA = "fedpet-results/1"
FILE = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where the report and the model card are."""

    report: Path
    card: Path


@click.command("report", cls=FedpetCommand, short_help="Write a run's report and model card")
@click.argument("folder", metavar="RUN", type=FILE)
@click.option(
    "--language",
    type=click.Choice(["en", "fr"]),
    default="en",
    show_default=True,
    help="Of the page.",
)
@click.option("-o", "--output", type=FILE, help="The page; RUN/report.html unless told.")
@click.pass_obj
def report(terminal: Terminal, folder: Path, language: str, output: Path | None) -> Answer:
    """Write the report of a run: one HTML page that needs nothing else, and a model card.

    Reads RUN/results.json. Writes RUN/report.html (report.fr.html in French) and
    RUN/model-card.md. No number is computed here; all of them are in results.json.

      fedpet report fedpet-demo/run
      fedpet report fedpet-demo/run --language fr -o rapport.html

    Next: open the page in any browser; it works without a network.
    """
    del terminal
    results = read_results(folder)
    written = write_report(results, folder=folder, language=language, output=output)
    return Answer(
        data={"report": str(written.report), "model_card": str(written.card)},
        text=f"Report      {written.report}\nModel card  {written.card}",
    )


def read_results(folder: Path) -> Mapping[str, Any]:
    """Read the numbers of a run that ended.

    Raises:
        NotFoundError: If there is no run, or it has not ended.
        StoreError: If the file is not what fedpet wrote.
    """
    path = folder / "results.json"
    if not path.exists():
        if (folder / "plan.toml").exists():
            raise NotFoundError(
                "This run has not ended yet; it has no results.",
                do=f"Continue it: fedpet resume {folder}",
                code="FP-6005",
            )
        raise NotFoundError(
            "This folder holds no run.",
            do="Start one: fedpet run PLAN --sites FOLDER",
            code="FP-6004",
        )
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        schema = results["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "results.json was altered; it is not what fedpet wrote.",
            do=f"Write it anew from the journal: fedpet resume {folder}",
            code="FP-3005",
        ) from error
    if schema != SCHEMA:
        raise StoreError(
            f"results.json has format {schema!r}; this fedpet reads {SCHEMA!r}.",
            do="Use the fedpet version that wrote it.",
            code="FP-3006",
        )
    assert isinstance(results, dict)
    return results


def write_report(
    results: Mapping[str, Any], *, folder: Path, language: str = "en", output: Path | None = None
) -> Written:
    """Write the page and the model card of a run.

    Args:
        results: From `read_results`.
        folder: The run's folder.
        language: `en` or `fr`.
        output: Where the page goes instead of the run's folder.
    """
    from fedpet.report import card, page

    name = "report.html" if language == "en" else f"report.{language}.html"
    written = Written(report=output or folder / name, card=folder / "model-card.md")
    _replace(written.report, page.render(results, language=language))
    _replace(written.card, card.render(results))
    return written


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
