"""`fedpet predict`: one subject, at its own hospital."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedpet.cli.lazy import FedpetCommand
from fedpet.cli.terminal import Answer, Terminal
from fedpet.errors import FedpetError, NotFoundError, RefusalError, StoreError

if TYPE_CHECKING:
    from fedpet.parameters import Parameters
    from fedpet.plan import Plan
    from fedpet.predict.subject import Models, Prediction

FILE = click.Path(path_type=Path)
NETWORK = "network-federated"


@click.command("predict", cls=FedpetCommand, short_help="Tell one subject's risk, in its hospital")
@click.argument("run", metavar="RUN", type=FILE)
@click.option("--site", required=True, type=FILE, help="The hospital's folder, with its cohort.")
@click.option("--subject", required=True, metavar="PSEUDONYM", help="Who, by its pseudonym.")
@click.option(
    "--language",
    type=click.Choice(["en", "fr"]),
    default="en",
    show_default=True,
    help="Of the page.",
)
@click.option("-o", "--output", type=FILE, help="The page; SITE/predictions/... unless told.")
@click.pass_obj
def predict(
    terminal: Terminal, run: Path, site: Path, subject: str, language: str, output: Path | None
) -> Answer:
    """Tell one subject's risk by the network of a run, in the hospital that has the subject.

    The page shows the event-free probability with what networks fitted without other subjects say,
    until when the subject is event-free with nine in ten certainty, whether it is like those that
    the network learned from, and where the network looked. Where the hospital took part in the
    run, the network of the fold that held the subject out is used. For research only.

    Reads RUN (plan.toml, results.json, models) and SITE/cohort. Writes
    SITE/predictions/PSEUDONYM.html, for its owner's eyes only; nothing leaves the hospital.

      fedpet predict fedpet-demo/run --site fedpet-demo/hospitals/nice --subject 3f2a91c04b7d

    Next: open the page in any browser; `fedpet cohort show HOSPITAL` summarises the cohort.
    """
    from fedpet import planfile
    from fedpet.cli.reports import read_results
    from fedpet.cohort.samples import open_cohort
    from fedpet.plan import fingerprint
    from fedpet.predict.page import Heading, render
    from fedpet.predict.subject import predict as predict_subject

    del terminal
    results = read_results(run)
    plan = planfile.load(run / "plan.toml")
    cohort = open_cohort(site / "cohort")
    _require_present(site, subject)
    models, name = _models(run, results, plan, site=cohort.strata[0], subject=subject)
    found = predict_subject(cohort, plan, models, subject=subject)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    heading = Heading(title=plan.title, fingerprint=fingerprint(plan), network=name, made=made)
    page = output or site / "predictions" / f"{subject}{'' if language == 'en' else '.fr'}.html"
    _write_private(page, render(found, heading, language=language))
    return Answer(data={"page": str(page), **_told(found)}, text=_lines(found, page))


def _require_present(site: Path, subject: str) -> None:
    """Refuse to tell anything of a subject that was taken out at this hospital."""
    if not (site / "node").is_dir():
        return
    from fedpet.cli.desk import desk_of

    with desk_of(site) as desk:
        absent = {one.subject for one in desk.absent()}
    if subject in absent:
        raise RefusalError(
            "This subject was taken out at this hospital; nothing is computed on it.",
            do=f"See who was: fedpet node subject list {site}",
        )


def _models(
    run: Path, results: Mapping[str, Any], plan: Plan, *, site: str, subject: str
) -> tuple[Models, str]:
    """Return what the run keeps, and the name of the network that did not see the subject."""
    from fedpet.predict.subject import Models

    final = _read(run, NETWORK)
    folds = range(int(results["plan"]["folds"]))
    kept = {number: f"{NETWORK}-fold-{number}" for number in folds}
    kept = {number: name for number, name in kept.items() if _path(run, name).exists()}
    took_part = {one["name"]: one.get("fold") for one in results["sites"] if not one["reason"]}
    held_out = _held_out(plan, took_part, site=site, subject=subject)
    name = kept.get(held_out, NETWORK) if held_out is not None else NETWORK
    companion = f"{NETWORK}-companion"
    return Models(
        network=_read(run, name),
        refits=[_read(run, other) for other in kept.values()],
        final=final,
        companion=_read(run, companion) if _path(run, companion).exists() else {},
        unseen=site not in took_part or name != NETWORK,
    ), name


def _held_out(
    plan: Plan, took_part: Mapping[str, int | None], *, site: str, subject: str
) -> int | None:
    """Return the fold whose network was fitted without the subject; None if there is none."""
    if site not in took_part:
        return None
    if plan.evaluation.scheme == "held-out-sites":
        return took_part[site]
    from fedpet.training.selection import fold_of

    return fold_of(subject, seed=plan.seed, folds=plan.evaluation.folds)


def _path(run: Path, name: str) -> Path:
    return run / "models" / f"{name}.safetensors"


def _read(run: Path, name: str) -> Parameters:
    from fedpet.parameters import from_bytes

    try:
        return from_bytes(_path(run, name).read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(
            "The run keeps no network.",
            do=f"Write its models anew from the journal: fedpet resume {run}",
            code="FP-6024",
        ) from error
    except FedpetError as error:
        raise StoreError(
            f"models/{name}.safetensors was altered; it is not what fedpet wrote.",
            do=f"Write it anew from the journal: fedpet resume {run}",
            code="FP-3005",
        ) from error


def _write_private(page: Path, text: str) -> None:
    """Write a page that only its owner can read; it is about one person."""
    page.parent.mkdir(parents=True, exist_ok=True)
    part = page.with_name(page.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(page)


def _told(found: Prediction) -> dict[str, Any]:
    return {
        "subject": found.subject,
        "endpoint": found.endpoint,
        "months": list(found.months),
        "event_free": [round(float(one), 6) for one in found.survival],
        "low": [round(float(one), 6) for one in found.low],
        "high": [round(float(one), 6) for one in found.high],
        "bound_months": found.bound_months,
        "share_as_far": found.share_as_far,
        "unlike": found.unlike,
        "unseen": found.unseen,
    }


def _lines(found: Prediction, page: Path) -> str:
    until = "nothing can be promised"
    if found.bound_months is not None:
        until = f"{found.bound_months:.1f} months"
    like = "not known"
    if found.share_as_far is not None:
        like = "no, distrust this" if found.unlike else "yes"
    seen = "fitted without this subject" if found.unseen else "may have seen this subject"
    return "\n".join(
        (
            f"Event-free at {found.months[-1]:g} months   {found.survival[-1]:.0%} "
            f"({found.low[-1]:.0%} to {found.high[-1]:.0%} over {found.refits} refitted networks)",
            f"Event-free until, 9 in 10   {until}",
            f"Like those learned from     {like}",
            f"The network                 {seen}",
            f"Page                        {page}",
        )
    )
