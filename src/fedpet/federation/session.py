"""Ask statistics over all sites from Python, one call each.

    with fedpet.local.federation("hospitals", plan="plan.toml") as federation:
        print(federation.describe(["age_years"]))

Every method asks the sites, waits for a quorum and returns a frozen result. What was asked before
is answered from the journal; nothing here can see a patient.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import Literal, TypeVar

from fedpet.errors import NotFoundError
from fedpet.federation.arms import Fitted
from fedpet.federation.asking import Execution
from fedpet.federation.fitted_cox import FittedCox
from fedpet.federation.harmonising import Harmonised
from fedpet.federation.records import Record, StepClosed
from fedpet.federation.statistics.account import Account, account_of
from fedpet.federation.statistics.combat import combat
from fedpet.federation.statistics.cox import CoxOptions, cox
from fedpet.federation.statistics.cross_site import (
    CrossSiteMatrix,
    LeaveOneSiteOut,
    cross_site_matrix,
    leave_one_site_out,
)
from fedpet.federation.statistics.curves import Comparison, Curves, Groups, curves, log_rank
from fedpet.federation.statistics.describe import Description, describe
from fedpet.federation.statistics.performance import (
    COX,
    Estimator,
    Evaluation,
    evaluate,
    evaluate_binary,
    fit,
)
from fedpet.federation.statistics.question import EVERYBODY, Subjects
from fedpet.federation.statistics.screen import Screening, ScreenOptions, screen
from fedpet.federation.statistics.table_one import (
    Duplicates,
    TableOne,
    find_duplicates,
    table_one,
)
from fedpet.federation.statistics.time_grid import WEEKS, TimeGrid
from fedpet.survival.binary import BinaryPerformance
from fedpet.survival.censoring import When
from fedpet.survival.kaplan_meier import Limits

Result = TypeVar("Result")


class Federation:
    """Sites that answer statistics under one plan.

    Args:
        execution: Plan, engine and journal.
        watch: Called with every record, to draw progress.
        close: Called by `close`, to let go of what the execution holds open.
    """

    def __init__(
        self,
        execution: Execution,
        *,
        watch: Callable[[Record], None] | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.execution = execution
        self._watch = watch
        self._close = close
        self._account: Account | None = None

    def close(self) -> None:
        """Let go of what was opened."""
        if self._close is not None:
            self._close()

    def __enter__(self) -> Federation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, statistic: Generator[Record, None, Result]) -> Result:
        """Run a statistic to its end.

        Args:
            statistic: A generator of `fedpet.federation.statistics`.
        """
        started = time.perf_counter()
        steps: dict[str, StepClosed] = {}
        while True:
            try:
                record = next(statistic)
            except StopIteration as stop:
                result: Result = stop.value
                break
            if isinstance(record, StepClosed):
                steps.setdefault(record.step, record)
            if self._watch is not None:
                self._watch(record)
        self._account = account_of(
            [closed for step, closed in self.execution.journal.history() if step in steps],
            self.execution.plan,
            replayed=sum(record.replayed for record in steps.values()),
            floats_up=sum(record.values for record in steps.values()),
            seconds=time.perf_counter() - started,
            result=result,
        )
        return result

    @property
    def disclosure(self) -> Account:
        """What the newest statistic asked of whom, and what it does not tell.

        Raises:
            NotFoundError: If nothing was asked yet.
        """
        if self._account is None:
            raise NotFoundError("Nothing was asked yet.", do="Ask a statistic first.")
        return self._account

    def describe(
        self, columns: Sequence[str] = (), *, subjects: Subjects = EVERYBODY
    ) -> Description:
        """Count columns, their means, spreads, quantiles and categories; all inputs unless told."""
        return self.answer(describe(self.execution, columns=columns, subjects=subjects))

    def table_one(self, columns: Sequence[str] = (), *, subjects: Subjects = EVERYBODY) -> TableOne:
        """Ask every site for its own table 1, and compare them: units, codes, constants, times."""
        return self.answer(table_one(self.execution, columns=columns, subjects=subjects))

    def find_duplicates(
        self, *, salt: str, columns: Sequence[str] = (), subjects: Subjects = EVERYBODY
    ) -> Duplicates:
        """Look for subjects who are at two sites, among sites that allow it."""
        statistic = find_duplicates(self.execution, salt=salt, columns=columns, subjects=subjects)
        return self.answer(statistic)

    def fit(self, estimator: Estimator = COX, *, endpoint: str | None = None) -> Fitted:
        """Fit a Cox model or the plan's network over all sites, to be judged."""
        return self.answer(fit(self.execution, estimator, endpoint=endpoint))

    def evaluate(
        self,
        model: Fitted,
        *,
        endpoint: str | None = None,
        subjects: Subjects = EVERYBODY,
        when: When = "before",
        fitted_on: Subjects | None = None,
        tau_months: float | None = None,
    ) -> Evaluation:
        """Judge a model: concordance, AUC, Brier scores, calibration, decision curves."""
        return self.answer(
            evaluate(
                self.execution,
                model,
                endpoint=endpoint,
                subjects=subjects,
                when=when,
                fitted_on=fitted_on,
                tau_months=tau_months,
            )
        )

    def evaluate_binary(
        self, model: Fitted, *, endpoint: str, subjects: Subjects = EVERYBODY
    ) -> BinaryPerformance:
        """Judge a network on a yes-or-no endpoint: AUC with DeLong's interval, net benefit."""
        statistic = evaluate_binary(self.execution, model, endpoint=endpoint, subjects=subjects)
        return self.answer(statistic)

    def leave_one_site_out(
        self, estimator: Estimator = COX, *, endpoint: str | None = None
    ) -> LeaveOneSiteOut:
        """Fit without each site, judge there, summarise over sites with a prediction interval."""
        return self.answer(leave_one_site_out(self.execution, estimator, endpoint=endpoint))

    def cross_site_matrix(
        self, estimator: Estimator = COX, *, endpoint: str | None = None
    ) -> CrossSiteMatrix:
        """Fit at each site alone, judge each model at every site."""
        return self.answer(cross_site_matrix(self.execution, estimator, endpoint=endpoint))

    def combat(self) -> Harmonised:
        """Fit the plan's harmonisation over all sites, in two sums."""
        return self.answer(combat(self.execution))

    def kaplan_meier(
        self,
        endpoint: str,
        *,
        by: Groups | None = None,
        subjects: Subjects = EVERYBODY,
        entry: str | None = None,
        grid: TimeGrid = WEEKS,
        limits: Limits = "log-log",
    ) -> Curves:
        """Estimate survival of each group: Kaplan-Meier, Nelson-Aalen, medians, restricted means.

        Args:
            endpoint: One of the plan's survival endpoints.
            by: Groups; everybody in one unless told.
            subjects: Whom it is about.
            entry: A column: days at which a subject comes under observation.
            grid: Cells of time.
            limits: `plain`, `log` or `log-log`.
        """
        return self.answer(
            curves(
                self.execution,
                endpoint,
                by=by,
                subjects=subjects,
                entry=entry,
                grid=grid,
                limits=limits,
            )
        )

    def log_rank(
        self,
        endpoint: str,
        by: Groups | Literal["site"],
        *,
        strata: Literal["site", "none"] = "site",
        rho: float = 0.0,
        gamma: float = 0.0,
        subjects: Subjects = EVERYBODY,
        entry: str | None = None,
        grid: TimeGrid = WEEKS,
    ) -> Comparison:
        """Compare survival of groups, within hospitals unless told, or of hospitals.

        Args:
            endpoint: One of the plan's survival endpoints.
            by: Groups, or `site` to compare hospitals.
            strata: `site`, or `none` for groups over all hospitals together.
            rho: Fleming-Harrington weight of early differences.
            gamma: Of late differences.
            subjects: Whom it is about.
            entry: A column: days at which a subject comes under observation.
            grid: Cells of time, where events are counted on one.
        """
        return self.answer(
            log_rank(
                self.execution,
                endpoint,
                by,
                strata=strata,
                rho=rho,
                gamma=gamma,
                subjects=subjects,
                entry=entry,
                grid=grid,
            )
        )

    def cox(
        self,
        endpoint: str,
        covariates: Sequence[str],
        *,
        subjects: Subjects = EVERYBODY,
        options: CoxOptions | None = None,
    ) -> FittedCox:
        """Fit a Cox model, exactly; every hospital has its own baseline hazard unless told.

        Args:
            endpoint: One of the plan's survival endpoints.
            covariates: Columns of the plan; who lacks one is left out.
            subjects: Whom it is about.
            options: Strata, ties, ridge, late entry, robust errors.
        """
        model = self.answer(
            cox(self.execution, endpoint, covariates, subjects=subjects, options=options)
        )
        return FittedCox.of(model, self)

    def screen(
        self,
        *,
        biomarkers: Sequence[str] = (),
        endpoints: Sequence[str] = (),
        subjects: Subjects = EVERYBODY,
        options: ScreenOptions | None = None,
    ) -> Screening:
        """Screen biomarkers: alone, adjusted, agreement of hospitals, best cutpoints.

        Args:
            biomarkers: Columns; the plan's biomarkers unless told.
            endpoints: The plan's survival endpoints unless told.
            subjects: Whom it is about, beside having all that is read.
            options: What is adjusted for, and whether cutpoints are looked for.
        """
        return self.answer(
            screen(
                self.execution,
                biomarkers=biomarkers,
                endpoints=endpoints,
                subjects=subjects,
                options=options,
            )
        )
