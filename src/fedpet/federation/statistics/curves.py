"""Survival curves over hospitals, and whether those of groups differ."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError, PlanError
from fedpet.federation.asking import Execution, answered, by_site
from fedpet.federation.records import Record
from fedpet.federation.statistics.question import EVERYBODY, Subjects, inquire
from fedpet.federation.statistics.time_grid import WEEKS, TimeGrid, count
from fedpet.survival import disclosure, kaplan_meier
from fedpet.survival.kaplan_meier import Curve, Limits, Quantile, RestrictedMean
from fedpet.survival.log_rank import LogRank, log_rank_sums, log_rank_test

Floats = NDArray[np.float64]
GROUP_MIN = disclosure.AT_RISK_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Subjects parted by one column; who has no value is in no group.

    Args:
        column: A column of the plan.
        cuts: Groups are below the first cut, from one to below the next, and from the last on.
        levels: Or one group for each of these values.

    Examples:
        >>> Groups(column="ecog", cuts=(1, 2)).labels()
        ('ecog < 1', '1 <= ecog < 2', 'ecog >= 2')
    """

    column: str
    cuts: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()

    def labels(self) -> tuple[str, ...]:
        """Return the groups in words.

        Raises:
            PlanError: If there are neither cuts nor levels, or both, or they do not increase.
        """
        values = self.cuts or self.levels
        if bool(self.cuts) == bool(self.levels) or any(
            later <= earlier for earlier, later in pairwise(values)
        ):
            raise PlanError(f"Groups of '{self.column}' need cuts or levels, which increase.")
        if self.levels:
            return tuple(f"{self.column} = {level:g}" for level in self.levels)
        between = [f"{low:g} <= {self.column} < {high:g}" for low, high in pairwise(self.cuts)]
        first, last = f"{self.column} < {self.cuts[0]:g}", f"{self.column} >= {self.cuts[-1]:g}"
        return (first, *between, last)

    def choice(self) -> dict[str, Any]:
        """Return the groups as a request carries them."""
        return {"column": self.column, "cuts": list(self.cuts), "levels": list(self.levels)}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCurve:
    """The survival curve of one group over all hospitals.

    Args:
        label: The group.
        days: Ends of the cells of time, from the start, [T].
        curve: Estimates at those days and, behind them, at no end.
        counts: Censorings, events and entries by cell, [2 or 3, T].
        subjects: In the group.
        events: Among them.
        median: Time by which half had the event, with its interval.
        at_risk: Under observation just after each day, as it may be shown, [T].
        reliable_until_days: Last day after which ten or more are under observation.
    """

    label: str
    days: Floats
    curve: Curve
    counts: Floats
    subjects: int
    events: int
    median: Quantile
    at_risk: tuple[disclosure.Cell, ...]
    reliable_until_days: float

    def survival_at(self, days: Sequence[float] | float) -> Floats:
        """Return the probability of no event by each of some days."""
        return self._at(self.curve.survival, days)

    def se_at(self, days: Sequence[float] | float) -> Floats:
        """Return the standard error (Greenwood) at each of some days."""
        return self._at(self.curve.se, days)

    def interval_at(self, days: Sequence[float] | float) -> tuple[Floats, Floats]:
        """Return lower and upper limits at each of some days."""
        return self._at(self.curve.low, days), self._at(self.curve.high, days)

    def cumulative_hazard_at(self, days: Sequence[float] | float) -> Floats:
        """Return the Nelson-Aalen estimate at each of some days."""
        return self._at(self.curve.hazard, days)

    def quantile(self, share: float) -> Quantile:
        """Return the time by which a share of the subjects had the event."""
        return kaplan_meier.quantile(self.curve, self.days, share)

    def rmst(self, horizon_days: float) -> RestrictedMean:
        """Return the mean time without the event up to a horizon.

        Raises:
            DataError: If the horizon lies behind the grid.
        """
        return kaplan_meier.restricted_mean(self.counts, self.days, horizon_days)

    def _at(self, values: Floats, days: Sequence[float] | float) -> Floats:
        asked = np.atleast_1d(np.asarray(days, np.float64))
        index = np.searchsorted(self.days, asked, side="right") - 1
        found: Floats = values[np.clip(index, 0, None)]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Survival curves of groups.

    Args:
        endpoint: What they are about.
        groups: A curve for each group that may be shown.
        groups_hidden: Groups of fewer than ten subjects, which have no curve.
        limits: Scale of the limits.
        sites: Hospitals behind them.
        floats_per_site: Numbers that each hospital sent.
    """

    endpoint: str
    groups: tuple[GroupCurve, ...]
    groups_hidden: tuple[str, ...]
    limits: Limits
    sites: tuple[str, ...]
    floats_per_site: int

    @property
    def hidden(self) -> int:
        """How many groups and at-risk numbers are not shown."""
        cells = sum(cell.count is None for group in self.groups for cell in group.at_risk)
        return len(self.groups_hidden) + cells

    def report_disclosure(self) -> tuple[str, ...]:
        """Say what left each hospital for these curves, in sentences."""
        left = [
            f"{self.floats_per_site:,} counts left each of {len(self.sites)} hospitals, "
            "by group and cell of time; only their sums over hospitals are kept.",
            f"At-risk numbers below {disclosure.AT_RISK_MIN} are not shown.",
        ]
        if self.groups_hidden:
            names = ", ".join(self.groups_hidden)
            left.append(f"No curve for fewer than {GROUP_MIN} subjects: {names}.")
        return tuple(left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A log-rank test over hospitals.

    Args:
        endpoint: What it is about.
        groups: The groups, as in `test.observed`.
        strata: `site` if hospitals were compared with themselves only, or `none`.
        test: Statistic, p-value, observed and expected events.
        sites: Hospitals behind it.
        floats_per_site: Numbers that each hospital sent.
    """

    endpoint: str
    groups: tuple[str, ...]
    strata: str
    test: LogRank
    sites: tuple[str, ...]
    floats_per_site: int


def curves(
    run: Execution,
    endpoint: str,
    *,
    by: Groups | None = None,
    subjects: Subjects = EVERYBODY,
    entry: str | None = None,
    grid: TimeGrid = WEEKS,
    limits: Limits = "log-log",
) -> Generator[Record, None, Curves]:
    """Estimate survival of each group over all hospitals: Kaplan-Meier and Nelson-Aalen.

    Args:
        run: The execution.
        endpoint: One of the plan's survival endpoints.
        by: Groups; everybody in one unless told.
        subjects: Whom it is about.
        entry: A column: days at which a subject comes under observation, or None.
        grid: Cells of time; on single days the estimate is exact for times in whole days.
        limits: `plain`, `log` or `log-log`.

    Raises:
        DataError: If no group is large enough to be shown.
    """
    body = _body(endpoint, by, subjects, entry)
    counted = yield from count(run, "kaplan-meier", body=body, grid=grid)
    labels = by.labels() if by else ("everybody",)
    shown, hidden = [], []
    for label, counts in zip(labels, counted.counts, strict=True):
        if counts[:2].sum() < GROUP_MIN:
            hidden.append(label)
        else:
            shown.append(_group_curve(label, counts, counted.edges_days, limits))
    if not shown:
        raise DataError(
            f"No group has {GROUP_MIN} subjects whose {endpoint} is known.",
            do="Use fewer groups, or ask over more hospitals.",
        )
    return Curves(
        endpoint=endpoint,
        groups=tuple(shown),
        groups_hidden=tuple(hidden),
        limits=limits,
        sites=answered(counted.closed),
        floats_per_site=counted.closed.arrays["counts"].size,
    )


def log_rank(
    run: Execution,
    endpoint: str,
    by: Groups | Literal["site"],
    *,
    strata: Literal["site", "none"] = "site",
    rho: float = 0.0,
    gamma: float = 0.0,
    subjects: Subjects = EVERYBODY,
    entry: str | None = None,
    grid: TimeGrid = WEEKS,
) -> Generator[Record, None, Comparison]:
    """Compare the survival of groups.

    With the site as stratum every hospital compares the groups on its own exact times and sends
    observed, expected and covariance only. Without, events are counted on the grid. Hospitals
    themselves are compared from their own tables, the release `site-curves`.

    Args:
        run: The execution.
        endpoint: One of the plan's survival endpoints.
        by: Groups, or `site` to compare hospitals.
        strata: `site` or `none`.
        rho: Fleming-Harrington weight of early differences, S(t-)^rho.
        gamma: Of late differences, (1 - S(t-))^gamma.
        subjects: Whom it is about.
        entry: A column: days at which a subject comes under observation, or None.
        grid: Cells of time, where events are counted on one.

    Raises:
        DataError: If rho or gamma is negative.
    """
    if rho < 0 or gamma < 0:
        raise DataError("The weights rho and gamma of a log-rank test are not negative.")
    if by == "site":
        tables, floats = yield from _tables_by_site(run, endpoint, subjects, entry, grid)
        each = np.stack([tables[site] for site in sorted(tables)])
        names = sites = tuple(sorted(tables))
        summed = log_rank_sums(each, rho=rho, gamma=gamma)
        strata = "none"
    else:
        body, names = _body(endpoint, by, subjects, entry), by.labels()
        if strata == "site":
            closed = yield from inquire(
                run,
                "log-rank",
                kind="log-rank",
                label="Comparing groups within hospitals",
                body={**body, "rho": rho, "gamma": gamma},
            )
            summed = dict(closed.arrays)
        else:
            counted = yield from count(run, "log-rank", body=body, grid=grid)
            closed = counted.closed
            summed = log_rank_sums(counted.counts, rho=rho, gamma=gamma)
        sites = answered(closed)
        floats = sum(array.size for array in closed.arrays.values())
    return Comparison(
        endpoint=endpoint,
        groups=names,
        strata=strata,
        test=log_rank_test(summed),
        sites=sites,
        floats_per_site=floats,
    )


def _tables_by_site(
    run: Execution, endpoint: str, subjects: Subjects, entry: str | None, grid: TimeGrid
) -> Generator[Record, None, tuple[dict[str, Floats], int]]:
    closed = yield from inquire(
        run,
        "log-rank",
        kind="curve",
        label="Comparing hospitals",
        body=_body(endpoint, None, subjects, entry),
        arrays={"edges_days": grid.edges()},
        release="site-curves",
    )
    tables = {site: np.asarray(one["counts"][0]) for site, one in by_site(closed).items()}
    return tables, max(table.size for table in tables.values())


def _body(
    endpoint: str, by: Groups | None, subjects: Subjects, entry: str | None
) -> dict[str, Any]:
    known = (*subjects.complete, *([by.column] if by else []), *([entry] if entry else []))
    chosen = replace(subjects, complete=tuple(sorted(set(known))))
    if by is not None:
        by.labels()  # refuses what is no grouping before anything is asked
    return {
        "endpoint": endpoint,
        "select": chosen.choice(),
        "entry": entry,
        "by": by.choice() if by else None,
    }


def _group_curve(label: str, counts: Floats, edges_days: Floats, limits: Limits) -> GroupCurve:
    found = kaplan_meier.curve(counts, limits=limits)
    enough = np.flatnonzero(found.at_risk[: len(edges_days)] >= disclosure.AT_RISK_MIN)
    return GroupCurve(
        label=label,
        days=edges_days,
        curve=found,
        counts=counts,
        subjects=round(float(counts[:2].sum())),
        events=round(float(counts[1].sum())),
        median=kaplan_meier.quantile(found, edges_days),
        at_risk=tuple(disclosure.at_risk(found.at_risk[: len(edges_days)].tolist())),
        reliable_until_days=float(edges_days[enough[-1]]) if len(enough) else 0.0,
    )
