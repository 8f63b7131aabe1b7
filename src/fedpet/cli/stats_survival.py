"""`fedpet stats km|log-rank|cox`: survival over hospitals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.asking import asked, asks, told
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.stats_performance import ENDPOINT
from fedpet.cli.terminal import Answer, Terminal

if TYPE_CHECKING:
    from fedpet.federation.statistics.curves import Groups
    from fedpet.plan import Plan

BY = click.option("--by", metavar="COLUMN", help="The column that parts subjects into groups.")
CUTS = click.option(
    "--cuts", metavar="NUMBERS", help="Where its groups begin, with commas: 1 or 65,75."
)
LEVELS = click.option("--levels", metavar="NUMBERS", help="Or its values, each one a group: 0,1,2.")


@click.command("km", cls=FedpetCommand, short_help="Survival curves, medians, restricted means")
@asks
@ENDPOINT
@BY
@CUTS
@LEVELS
@click.pass_obj
def km(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    endpoint: str | None,
    by: str | None,
    cuts: str | None,
    levels: str | None,
) -> Answer:
    """Estimate survival of everybody, or of groups: Kaplan-Meier on a grid of weeks.

    Numbers at risk below ten are not shown, and no curve of fewer than ten subjects.

    Reads PLAN, which must allow 'kaplan-meier', and each hospital's built cohort. Writes nothing
    but what each hospital's node writes down, and the folder of --keep.

      fedpet stats km plan.toml --sites hospitals --endpoint os
      fedpet stats km plan.toml --sites hospitals --by ecog --cuts 2

    Next: `fedpet stats log-rank PLAN --sites FOLDER --by COLUMN --cuts NUMBER`.
    """
    from fedpet.cli.asking_words import endpoint_of
    from fedpet.cli.stats_survival_words import curves_data, draw_curves

    with asked(terminal, plan_file, sites, complete=complete, where=where, keep=keep) as one:
        found = one.federation.kaplan_meier(
            endpoint_of(one.plan, endpoint),
            by=_groups(one.plan, by, cuts, levels),
            subjects=one.subjects,
        )
        account = one.federation.disclosure
        months = one.plan.endpoints.horizons_months
    return told(
        account, curves_data(found, months), lambda console: draw_curves(found, months, console)
    )


@click.command("log-rank", cls=FedpetCommand, short_help="Do the curves of groups differ?")
@asks
@ENDPOINT
@BY
@CUTS
@LEVELS
@click.option("--strata", type=click.Choice(["site", "none"]), default="site", show_default=True)
@click.option("--rho", type=float, default=0.0, help="Above 0 looks at early differences.")
@click.option("--gamma", type=float, default=0.0, help="Above 0 looks at late differences.")
@click.pass_obj
def log_rank(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    endpoint: str | None,
    by: str | None,
    cuts: str | None,
    levels: str | None,
    strata: str,
    rho: float,
    gamma: float,
) -> Answer:
    """Compare the survival of groups by the log-rank test, within hospitals unless told.

    Reads PLAN, which must allow 'log-rank', and each hospital's built cohort. Writes nothing but
    what each hospital's node writes down, and the folder of --keep.

      fedpet stats log-rank plan.toml --sites hospitals --by ecog --cuts 2

    Next: `fedpet stats cox PLAN --sites FOLDER --covariates COLUMNS`.
    """
    from fedpet.cli.asking_words import endpoint_of
    from fedpet.cli.stats_survival_words import comparison_data, draw_comparison

    with asked(terminal, plan_file, sites, complete=complete, where=where, keep=keep) as one:
        groups = _groups(one.plan, by, cuts, levels)
        if groups is None:
            raise click.UsageError("Name the groups: --by COLUMN with --cuts or --levels.")
        found = one.federation.log_rank(
            endpoint_of(one.plan, endpoint),
            groups,
            strata="site" if strata == "site" else "none",
            rho=rho,
            gamma=gamma,
            subjects=one.subjects,
        )
        account = one.federation.disclosure
    return told(account, comparison_data(found), lambda console: draw_comparison(found, console))


@click.command("cox", cls=FedpetCommand, short_help="Hazard ratios, exact")
@asks
@ENDPOINT
@click.option("--covariates", multiple=True, required=True, metavar="COLUMNS")
@click.option(
    "--strata",
    type=click.Choice(["site", "none"]),
    default="site",
    show_default=True,
    help="Each hospital its own baseline hazard, or one for all.",
)
@click.option("--ties", type=click.Choice(["efron", "breslow"]), default="efron", show_default=True)
@click.option("--ridge", type=click.FloatRange(min=0), default=0.0, help="As R's ridge(theta).")
@click.option("--robust", is_flag=True, help="Standard errors robust to clusters of a hospital.")
@click.option("--check", is_flag=True, help="Test that hazard ratios stay the same over time.")
@click.pass_obj
def cox(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    endpoint: str | None,
    covariates: tuple[str, ...],
    strata: str,
    ties: str,
    ridge: float,
    robust: bool,
    check: bool,
) -> Answer:
    """Fit a Cox model over all hospitals, exactly, to subjects who have all its covariates.

    Coefficients are those of one table with all subjects, with the hospital as stratum unless
    told. With --strata none, cells of time that tell of few are merged first.

    Reads PLAN, which must allow 'cox', and each hospital's built cohort. Writes nothing but what
    each hospital's node writes down, and the folder of --keep.

      fedpet stats cox plan.toml --sites hospitals --covariates age_years,ecog
      fedpet stats cox plan.toml --sites hospitals --covariates ecog --strata none --check

    Next: `fedpet biomarkers screen PLAN --sites FOLDER`.
    """
    from fedpet.cli.asking_words import columns_of, endpoint_of, listed
    from fedpet.cli.stats_survival_words import cox_data, draw_cox
    from fedpet.federation.statistics.cox import CoxOptions

    options = CoxOptions(
        strata="site" if strata == "site" else "none",
        ties=ties,
        ridge=ridge,
        robust="site" if robust else None,
    )
    with asked(terminal, plan_file, sites, complete=complete, where=where, keep=keep) as one:
        names = columns_of(one.plan, listed(covariates))
        fitted = one.federation.cox(
            endpoint_of(one.plan, endpoint), names, subjects=one.subjects, options=options
        )
        account = one.federation.disclosure
        tested = fitted.check_proportional_hazards() if check else None
    return told(
        account, cox_data(fitted, tested), lambda console: draw_cox(fitted, tested, console)
    )


def _groups(plan: Plan, by: str | None, cuts: str | None, levels: str | None) -> Groups | None:
    from fedpet.cli.asking_words import columns_of, numbers
    from fedpet.federation.statistics.curves import Groups

    if by is None:
        if cuts or levels:
            raise click.UsageError("--cuts and --levels need --by COLUMN.")
        return None
    column = columns_of(plan, [by])[0]
    return Groups(column=column, cuts=numbers("--cuts", cuts), levels=numbers("--levels", levels))
