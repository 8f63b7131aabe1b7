"""Before any model: who takes part, and who is held out."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fedpet.errors import PlanError, UpdateError
from fedpet.federation.asking import Execution, Question, ask, by_site
from fedpet.federation.records import Record, SiteEnrolled
from fedpet.plan import Evaluation, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The sites that take part, with the counts that they released.

    Args:
        subjects: Subjects by site.
        events: Observed events by site and survival endpoint.
        refusals: Why a site that was asked does not take part.
    """

    subjects: Mapping[str, int]
    events: Mapping[str, Mapping[str, int]]
    refusals: Mapping[str, str]

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites, sorted."""
        return tuple(sorted(self.subjects))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fitting of every model, and the subjects that it is judged on.

    Args:
        index: Number of the fold from 0, or None for the fit on everybody.
        train_sites: Sites that fit.
        test_sites: Sites that judge.
        train_part: Which of the training sites' subjects fit: `all` or `train`.
        test_part: Which of the test sites' subjects judge: `all` or `test`.
        name: Start of the names of its steps, where it is no fold of the plan.
        title: The same in the reader's words.
        narrowed: What more narrows the selection of subjects that fit, such as the guard.
    """

    index: int | None
    train_sites: tuple[str, ...]
    test_sites: tuple[str, ...]
    train_part: str
    test_part: str
    name: str = ""
    title: str = ""
    narrowed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Start of the names of this fold's steps."""
        return self.name or ("all" if self.index is None else f"fold-{self.index}")

    @property
    def label(self) -> str:
        """The fold in the reader's words."""
        return self.title or ("all hospitals" if self.index is None else f"fold {self.index + 1}")

    def training(self, *, members: tuple[str, ...] | None = None) -> dict[str, Any]:
        """Return the selection of subjects that fit; `members` for a pooled site."""
        chosen = None if members is None else list(members)
        return {"fold": self.index, "part": self.train_part, "members": chosen, **self.narrowed}

    def testing(self) -> dict[str, Any]:
        """Return the selection of subjects that judge."""
        return {"fold": self.index, "part": self.test_part, "members": None}


def enrol(run: Execution) -> Generator[Record, None, Enrolled]:
    """Ask every site for its counts; a site that refuses, or is too small, does not take part."""
    asked = run.plan.sites.names or tuple(s for s in run.engine.sites if s != run.pooled)
    if unknown := [site for site in asked if site not in run.engine.sites]:
        raise PlanError(
            f"The plan names site '{unknown[0]}', which is not part of this federation.",
            why=f"Known sites: {', '.join(run.engine.sites)}.",
        )
    closed = yield from ask(
        run,
        Question(
            step="enrol",
            label="Counting subjects",
            kind="count",
            sites=asked,
            body={"select": {"fold": None, "part": "all", "members": None}},
            release="counts",
        ),
    )
    subjects: dict[str, int] = {}
    events: dict[str, dict[str, int]] = {}
    refusals = {site: state for site, state in closed.sites.items() if state != "ok"}
    for site, counts in by_site(closed).items():
        size = int(counts["subjects"].sum())
        if size < run.plan.sites.subjects_min:
            refusals[site] = (
                f"{size} subjects; the plan asks for {run.plan.sites.subjects_min} at least."
            )
            continue
        subjects[site] = size
        events[site] = {
            name: int(counts[f"events.{name}"].sum()) for name in run.plan.endpoints.survival
        }
        yield SiteEnrolled(site, size, events[site])
    if len(subjects) < run.plan.sites.sites_min:
        raise UpdateError(
            f"{len(subjects)} sites take part; the plan needs {run.plan.sites.sites_min}.",
            why="; ".join(f"{site}: {why}" for site, why in sorted(refusals.items())),
        )
    return Enrolled(subjects=subjects, events=events, refusals=refusals)


def folds_of(plan: Plan, enrolled: Enrolled) -> tuple[Fold, ...]:
    """Lay out the folds of a plan's evaluation.

    Raises:
        PlanError: If there are more folds than sites to hold out, or too few sites left to fit.
    """
    scheme: Evaluation = plan.evaluation
    sites = enrolled.sites
    if scheme.scheme == "held-out-subjects":
        return tuple(
            Fold(
                index=index,
                train_sites=sites,
                test_sites=sites,
                train_part="train",
                test_part="test",
            )
            for index in range(scheme.folds)
        )
    if scheme.folds > len(sites):
        raise PlanError(
            f"evaluation.folds is {scheme.folds}, but only {len(sites)} sites take part.",
            do=f"Set folds to {len(sites)} for leave-one-site-out, or fewer.",
        )
    held_out: list[list[str]] = [[] for _ in range(scheme.folds)]
    sizes = [0] * scheme.folds
    for site in sorted(sites, key=lambda name: (-enrolled.subjects[name], name)):
        lightest = min(range(scheme.folds), key=lambda index: (sizes[index], index))
        held_out[lightest].append(site)
        sizes[lightest] += enrolled.subjects[site]
    folds = tuple(
        Fold(
            index=index,
            train_sites=tuple(site for site in sites if site not in out),
            test_sites=tuple(sorted(out)),
            train_part="all",
            test_part="all",
        )
        for index, out in enumerate(held_out)
    )
    fewest = min(len(fold.train_sites) for fold in folds)
    if fewest < plan.sites.sites_min:
        raise PlanError(
            f"Holding out hospitals in {scheme.folds} folds leaves {fewest} sites to fit; "
            f"the plan needs {plan.sites.sites_min}.",
            do="Use more folds, or the scheme held-out-subjects.",
        )
    return folds


def everybody(enrolled: Enrolled) -> Fold:
    """Return the fold that fits on everybody and judges on nobody."""
    return Fold(
        index=None,
        train_sites=enrolled.sites,
        test_sites=(),
        train_part="all",
        test_part="all",
    )
