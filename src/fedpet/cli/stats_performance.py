"""`fedpet stats evaluate|leave-one-out|matrix`: how good a model is, here and elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedpet.cli.asking import asked, asks, told
from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal

if TYPE_CHECKING:
    from fedpet.federation.statistics.performance import Estimator
    from fedpet.plan import Plan

ENDPOINT = click.option(
    "--endpoint", metavar="NAME", help="A survival endpoint; the plan's primary one unless told."
)
COVARIATES = click.option(
    "--covariates",
    multiple=True,
    metavar="COLUMNS",
    help="What the Cox model reads; all inputs of the plan unless told.",
)


def _estimator(plan: Plan, covariates: tuple[str, ...]) -> Estimator:
    from fedpet.cli.asking_words import columns_of, listed
    from fedpet.federation.statistics.performance import Estimator

    return Estimator(columns=columns_of(plan, listed(covariates)))


@click.command("evaluate", cls=FedpetCommand, short_help="Judge a Cox model on everybody")
@asks
@ENDPOINT
@COVARIATES
@click.pass_obj
def evaluate(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    endpoint: str | None,
    covariates: tuple[str, ...],
) -> Answer:
    """Fit the plan's Cox model over all hospitals and judge it: C-index, AUC, Brier, calibration.

    It is judged on the subjects that it was fitted to, which flatters it; `leave-one-out` judges
    where it was not. Intervals are bootstrap replicates drawn at the hospitals.

    Reads PLAN, which must allow 'evaluate', and each hospital's built cohort. Writes nothing but
    what each hospital's node writes down, and the folder of --keep.

      fedpet stats evaluate plan.toml --sites hospitals --endpoint pfs

    Next: `fedpet stats leave-one-out PLAN --sites FOLDER`.
    """
    from fedpet.cli.asking_words import endpoint_of
    from fedpet.cli.stats_performance_words import draw_evaluation, evaluation_data

    with asked(terminal, plan_file, sites, complete=complete, where=where, keep=keep) as one:
        name = endpoint_of(one.plan, endpoint)
        model = one.federation.fit(_estimator(one.plan, covariates), endpoint=name)
        found = one.federation.evaluate(model, endpoint=name, subjects=one.subjects)
        account = one.federation.disclosure
    return told(account, evaluation_data(found), lambda console: draw_evaluation(found, console))


@click.command("leave-one-out", cls=FedpetCommand, short_help="Judge where it was not fitted")
@asks
@ENDPOINT
@COVARIATES
@click.pass_obj
def leave_one_out(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    endpoint: str | None,
    covariates: tuple[str, ...],
) -> Answer:
    """Fit the plan's Cox model without each hospital, and judge it there.

    The summary over hospitals has a prediction interval: what to expect at a new one. A hospital
    whose policy does not release its own results is named, and the rest goes on.

    Reads PLAN, which must allow 'leave-one-site-out', and each hospital's built cohort. Writes
    nothing but what each hospital's node writes down, and the folder of --keep. Takes no
    --complete and no --where: a model is fitted and judged on everybody of a hospital.

      fedpet stats leave-one-out plan.toml --sites hospitals --endpoint pfs

    Next: `fedpet stats matrix PLAN --sites FOLDER` compares models of one hospital each.
    """
    from fedpet.cli.asking_words import endpoint_of
    from fedpet.cli.stats_performance_words import draw_left_out, left_out_data

    _require_everybody(complete, where)
    with asked(terminal, plan_file, sites, complete=(), where=(), keep=keep) as one:
        name = endpoint_of(one.plan, endpoint)
        found = one.federation.leave_one_site_out(_estimator(one.plan, covariates), endpoint=name)
        account = one.federation.disclosure
    return told(account, left_out_data(found), lambda console: draw_left_out(found, console))


@click.command("matrix", cls=FedpetCommand, short_help="Each hospital's model at every hospital")
@asks
@ENDPOINT
@COVARIATES
@click.pass_obj
def matrix(
    terminal: Terminal,
    plan_file: Path,
    sites: Path,
    complete: tuple[str, ...],
    where: tuple[str, ...],
    keep: Path | None,
    endpoint: str | None,
    covariates: tuple[str, ...],
) -> Answer:
    """Fit the plan's Cox model at each hospital alone, and judge each at every hospital.

    A model of one hospital is the release 'local-model', a result of one 'site-results'; a
    hospital whose policy refuses either is named, and the rest goes on.

    Reads PLAN, which must allow 'cross-site-matrix', and each hospital's built cohort. Writes
    nothing but what each hospital's node writes down, and the folder of --keep. Takes no
    --complete and no --where.

      fedpet stats matrix plan.toml --sites hospitals --endpoint pfs

    Next: `fedpet run PLAN --sites FOLDER` compares them with models of all hospitals.
    """
    from fedpet.cli.asking_words import endpoint_of
    from fedpet.cli.stats_performance_words import draw_matrix, matrix_data

    _require_everybody(complete, where)
    with asked(terminal, plan_file, sites, complete=(), where=(), keep=keep) as one:
        name = endpoint_of(one.plan, endpoint)
        found = one.federation.cross_site_matrix(_estimator(one.plan, covariates), endpoint=name)
        account = one.federation.disclosure
    return told(account, matrix_data(found), lambda console: draw_matrix(found, console))


def _require_everybody(complete: tuple[str, ...], where: tuple[str, ...]) -> None:
    if complete or where:
        raise click.UsageError("This statistic is about everybody; leave out --complete, --where.")
