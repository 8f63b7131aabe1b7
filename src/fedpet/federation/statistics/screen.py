"""Screen biomarkers: hazard ratios alone and adjusted, how hospitals agree, the best cutpoint.

All models are fitted to the same subjects: those who have every biomarker and every covariate
that is adjusted for. P-values are corrected over all biomarkers and endpoints together.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedpet.errors import DataError, PlanError
from fedpet.federation.asking import Execution
from fedpet.federation.records import Record
from fedpet.federation.statistics.cox import CoxOptions, cox
from fedpet.federation.statistics.cox_checks import Heterogeneity, heterogeneity
from fedpet.federation.statistics.cox_model import CoxModel
from fedpet.federation.statistics.describe import describe
from fedpet.federation.statistics.question import (
    EVERYBODY,
    Subjects,
    inquire,
    require_allowed,
)
from fedpet.survival.cutpoints import Cutpoint, best_cutpoint
from fedpet.survival.multiplicity import benjamini_hochberg, holm

CUT_SHARES = tuple(np.round(np.linspace(0.1, 0.9, 17), 3).tolist())
REPLICATES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A biomarker's effect in one model.

    Args:
        coef: Log hazard ratio per standard deviation.
        se: Its standard error.
        hazard_ratio: exp(coef).
        low: Lower 95 % limit of the hazard ratio.
        high: Upper limit.
        p: Two-sided.
        p_holm: Corrected so that any false finding is rare.
        p_fdr: Corrected so that false findings are a small share (Benjamini-Hochberg).
        sites: Hospitals behind it.
        events: Events behind it.
    """

    coef: float
    se: float
    hazard_ratio: float
    low: float
    high: float
    p: float
    p_holm: float
    p_fdr: float
    sites: tuple[str, ...]
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteEstimate:
    """What one hospital released of itself: log hazard ratio per standard deviation, and error."""

    site: str
    coef: float
    se: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """All that was found of one biomarker on one endpoint.

    Args:
        biomarker: Its name.
        endpoint: The endpoint.
        alone: Its effect by itself; None if it cannot be estimated.
        adjusted: Its effect beside the other covariates; None likewise, or if there are none.
        unit: Its standard deviation (of its logarithm, where the plan takes that), 0 if unknown.
        agreement: How far hospitals agree on its effect alone, per unit; None if too few could
            tell.
        by_site: What hospitals released of themselves.
        cutpoint: The cutpoint that parts best; None if it was not asked for, or nothing parts.
        notes: What a reader should know.
    """

    biomarker: str
    endpoint: str
    alone: Effect | None
    adjusted: Effect | None
    unit: float
    agreement: Heterogeneity | None
    by_site: tuple[SiteEstimate, ...]
    cutpoint: Cutpoint | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """The findings of a screen, biomarkers within endpoints, in the order asked for."""

    findings: tuple[Finding, ...]
    adjusted_for: tuple[str, ...]
    tests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenOptions:
    """How biomarkers are screened.

    Args:
        adjust: Covariates beside the biomarker; the plan's clinical ones unless told.
        cutpoints: Whether the best cutpoint is looked for.
        replicates: Bootstrap replicates that correct it.
        by_site: Whether hospitals are asked for their own estimates, for the forest plot.
    """

    adjust: tuple[str, ...] | None = None
    cutpoints: bool = True
    replicates: int = REPLICATES
    by_site: bool = True


def screen(
    run: Execution,
    *,
    biomarkers: Sequence[str] = (),
    endpoints: Sequence[str] = (),
    subjects: Subjects = EVERYBODY,
    options: ScreenOptions | None = None,
) -> Generator[Record, None, Screening]:
    """Screen biomarkers of the plan on its survival endpoints.

    Args:
        run: The execution; its plan must allow `screen`, `cox`, and for cutpoints `describe`.
        biomarkers: Names; the plan's biomarkers unless told.
        endpoints: Names; the plan's survival endpoints unless told.
        subjects: Whom it is about, beside having all that is read.
        options: How.

    Raises:
        PlanError: If there is nothing to screen, or the plan does not allow it.
        UpdateError: If fewer sites than needed answered; it lists why.
    """
    require_allowed(run, "screen")
    how = options or ScreenOptions()
    names = tuple(dict.fromkeys(biomarkers)) or run.plan.inputs.biomarkers
    if not names:
        raise PlanError(
            "There is no biomarker to screen.", do="Name columns, or add biomarkers to the plan."
        )
    wanted = run.plan.inputs.clinical if how.adjust is None else how.adjust
    adjust = tuple(name for name in wanted if name not in names)
    complete = tuple(sorted({*subjects.complete, *names, *adjust}))
    about = replace(subjects, complete=complete)
    cuts: dict[str, list[float]] = {}
    if how.cutpoints:
        told = yield from describe(run, columns=names, subjects=subjects, shares=CUT_SHARES)
        cuts = {
            one.name: sorted({q for q in one.quantiles.values() if q is not None})
            or sorted(one.levels)[1:]
            for one in told.columns
        }
    findings = []
    for endpoint in tuple(endpoints) or run.plan.endpoints.survival:
        for name in names:
            walk = _One(run=run, endpoint=endpoint, name=name, about=about, how=how)
            findings.append((yield from walk.found(adjust, cuts.get(name, []))))
    return _corrected(findings, adjust)


@dataclass(slots=True, kw_only=True)
class _One:
    """One biomarker on one endpoint."""

    run: Execution
    endpoint: str
    name: str
    about: Subjects
    how: ScreenOptions

    def found(self, adjust: tuple[str, ...], cuts: list[float]) -> Generator[Record, None, Finding]:
        """Fit it alone and adjusted, ask how hospitals agree, look for a cutpoint."""
        notes: list[str] = []
        alone = yield from self._model((self.name,), notes)
        beside = None
        if adjust:
            beside = yield from self._model((self.name, *adjust), notes)
        agreement = None if alone is None else (yield from self._agreement(alone, notes))
        cutpoint = (yield from self._cutpoint(cuts)) if cuts and alone is not None else None
        return Finding(
            biomarker=self.name,
            endpoint=self.endpoint,
            alone=None if alone is None else _effect(alone, self.name),
            adjusted=None if beside is None else _effect(beside, self.name),
            unit=0.0 if alone is None else float(alone.prep.sd[0]),
            agreement=agreement,
            by_site=() if alone is None or agreement is None else _by_site(alone, agreement),
            cutpoint=cutpoint,
            notes=tuple(dict.fromkeys(notes)),
        )

    def _model(
        self, covariates: tuple[str, ...], notes: list[str]
    ) -> Generator[Record, None, CoxModel | None]:
        options = CoxOptions(unidentified="drop", ties=self.run.plan.cox.ties)
        try:
            model = yield from cox(
                self.run, self.endpoint, covariates, subjects=self.about, options=options
            )
        except DataError as error:
            notes.append(error.title)
            return None
        notes.extend(model.notes)
        return model if self.name in model.covariates else None

    def _agreement(
        self, model: CoxModel, notes: list[str]
    ) -> Generator[Record, None, Heterogeneity | None]:
        try:
            return (
                yield from heterogeneity(self.run, model, self.name, by_hospital=self.how.by_site)
            )
        except DataError as error:
            notes.append(error.title)
            return None

    def _cutpoint(self, cuts: list[float]) -> Generator[Record, None, Cutpoint | None]:
        closed = yield from inquire(
            self.run,
            "screen",
            kind="screen-cutpoints",
            label=f"Cutpoint of {self.name}",
            body={
                "endpoint": self.endpoint,
                "columns": [self.name],
                "select": self.about.choice(),
                "replicates": self.how.replicates,
            },
            arrays={"cuts": np.array(cuts)},
        )
        summed = closed.arrays
        return best_cutpoint(
            summed["excess"],
            summed["variance"],
            cuts=np.array(cuts),
            above=summed["above"],
            subjects=float(summed["subjects"].sum()),
        )


def _effect(model: CoxModel, name: str) -> Effect:
    index = model.covariates.index(name)
    coef, se = float(model.fit.params[index]), float(np.sqrt(model.variance[index, index]))
    row = model.summary[index]
    return Effect(
        coef=coef,
        se=se,
        hazard_ratio=float(np.exp(coef)),
        low=float(np.exp(coef - 1.959963984540054 * se)),
        high=float(np.exp(coef + 1.959963984540054 * se)),
        p=row.p,
        p_holm=row.p,
        p_fdr=row.p,
        sites=model.sites,
        events=model.fit.events,
    )


def _by_site(model: CoxModel, agreement: Heterogeneity) -> tuple[SiteEstimate, ...]:
    unit = float(model.prep.sd[0])
    return tuple(
        SiteEstimate(site=one.site, coef=one.estimate * unit, se=one.se * unit)
        for one in agreement.sites
        if one.estimate is not None and one.se is not None
    )


def _corrected(findings: list[Finding], adjust: tuple[str, ...]) -> Screening:
    """Correct the p-values of each kind of model over all findings."""
    for kind in ("alone", "adjusted"):
        effects = [getattr(one, kind) for one in findings]
        p_values = [effect.p for effect in effects if effect is not None]
        if not p_values:
            continue
        pairs = iter(
            zip(holm(p_values).tolist(), benjamini_hochberg(p_values).tolist(), strict=True)
        )
        for number, effect in enumerate(effects):
            if effect is not None:
                rare, share = next(pairs)
                changed = replace(effect, p_holm=rare, p_fdr=share)
                findings[number] = replace(findings[number], **{kind: changed})
    return Screening(findings=tuple(findings), adjusted_for=adjust, tests=len(findings))
