"""`fedpet biomarkers screen`: which biomarkers tell of the outcome, and how sure that is."""

from __future__ import annotations

from pathlib import Path

import click

from fedpet.cli.asking import FILE, asked, asks, in_words, told
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal


@click.command("screen", cls=FedpetCommand, short_help="Hazard ratios, forest plots, cutpoints")
@asks
@click.option("--biomarkers", multiple=True, metavar="COLUMNS", help="The plan's unless told.")
@click.option("--endpoint", multiple=True, metavar="NAME", help="All of the plan unless told.")
@click.option(
    "--adjust", multiple=True, metavar="COLUMNS", help="The plan's clinical columns unless told."
)
@click.option("--no-cutpoints", is_flag=True, help="Look for no cutpoints.")
@click.option("-o", "--out", type=FILE, default=Path("biomarkers.html"), show_default=True)
@click.pass_obj
def screen(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    biomarkers: tuple[str, ...],
    endpoint: tuple[str, ...],
    adjust: tuple[str, ...],
    no_cutpoints: bool,
    out: Path,
) -> Answer:
    """Screen biomarkers: hazard ratios alone and adjusted, agreement of hospitals, best cutpoints.

    All models are fitted to the subjects who have every biomarker and covariate. P-values are
    corrected over all tests (Holm, Benjamini-Hochberg). A cutpoint's p-value is that of the
    largest of all candidates, and its hazard ratio has the optimism of the choice taken off by
    the bootstrap.

    Reads PLAN, which must allow 'screen', 'cox' and 'describe', and each hospital's built cohort.
    Writes OUT, one page with a forest plot for each biomarker over hospitals that release
    'site-coefficients', what each hospital's node writes down, and the folder of --keep.

      fedpet biomarkers screen plan.toml --sites hospitals
      fedpet biomarkers screen plan.toml --sites hospitals --biomarkers tmtv_ml --adjust ecog

    Next: open OUT; then `fedpet stats cox PLAN --sites FOLDER` with what stood out.
    """
    from fedpet.cli.asking_words import columns_of, endpoint_of, listed
    from fedpet.cli.screening_words import draw_screening, screening_data
    from fedpet.federation.statistics.screen import ScreenOptions
    from fedpet.report.screening import render_screening

    out.parent.mkdir(parents=True, exist_ok=True)  # before anything is asked
    with asked(terminal, plan_file, sites, complete=complete, where=where, keep=keep) as one:
        found = one.federation.screen(
            biomarkers=columns_of(one.plan, listed(biomarkers)),
            endpoints=[endpoint_of(one.plan, name) for name in listed(endpoint)],
            subjects=one.subjects,
            options=ScreenOptions(
                adjust=columns_of(one.plan, listed(adjust)) if adjust else None,
                cutpoints=not no_cutpoints,
            ),
        )
        account = one.federation.disclosure
        title = one.plan.title
    data = screening_data(found)
    page = render_screening(data, title=title, disclosure=in_words(account))
    out.write_text(page, encoding="utf-8")
    return told(
        account, {**data, "page": str(out)}, lambda console: draw_screening(found, out, console)
    )
