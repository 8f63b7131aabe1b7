"""Curves, log-rank tests and Cox models, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedpet.cli.stats_words import digits
from fedpet.federation.fitted_cox import FittedCox
from fedpet.federation.statistics.curves import Comparison, Curves, GroupCurve
from fedpet.survival.kaplan_meier import Quantile
from fedpet.survival.preprocessing import MONTH_DAYS
from fedpet.survival.proportional_hazards import ProportionalHazards

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, object]


def curves_data(found: Curves, months: Sequence[float]) -> Json:
    """Return curves as JSON values: medians, and survival at the plan's horizons."""
    return {
        "endpoint": found.endpoint,
        "groups": {one.label: _curve(one, months) for one in found.groups},
        "hidden_groups": list(found.groups_hidden),
    }


def draw_curves(found: Curves, months: Sequence[float], console: Console) -> None:
    """Draw one line for each group."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Group")
    for head in ("Subjects", "Events", "Median, days [95 %]"):
        table.add_column(head, justify="right")
    for month in months:
        table.add_column(f"S({month:g} months)", justify="right")
    for one in found.groups:
        cells = [_survival(one, month) for month in months]
        table.add_row(
            one.label,
            str(one.subjects),
            str(one.events),
            _median(one.median),
            *map(_interval, cells),
        )
    console.print(f"{found.endpoint}: survival over {len(found.sites)} hospitals\n", style="bold")
    console.print(table)
    if found.groups_hidden:
        console.print(f"Too few subjects to be shown: {', '.join(found.groups_hidden)}.")


def comparison_data(found: Comparison) -> Json:
    """Return a log-rank test as JSON values."""
    test = found.test
    return {
        "endpoint": found.endpoint,
        "strata": found.strata,
        "statistic": test.statistic,
        "freedom": test.freedom,
        "p": test.p_value,
        "groups": {
            label: {"observed": observed, "expected": expected}
            for label, observed, expected in zip(
                found.groups, test.observed.tolist(), test.expected.tolist(), strict=True
            )
        },
    }


def draw_comparison(found: Comparison, console: Console) -> None:
    """Draw a log-rank test."""
    test = found.test
    within = "within hospitals" if found.strata == "site" else "over all hospitals together"
    console.print(f"{found.endpoint}: groups compared {within}\n", style="bold")
    for label, observed, expected in zip(
        found.groups, test.observed.tolist(), test.expected.tolist(), strict=True
    ):
        console.print(f"{label:<28}{observed:.4g} events, {expected:.4g} expected")
    if test.statistic is None or test.p_value is None:
        console.print("\nThe groups are never under observation together.")
        return
    console.print(
        f"\nLog-rank chi-square {test.statistic:.4f}, {test.freedom} degrees of freedom, "
        f"p = {small(test.p_value)}"
    )


def cox_data(fitted: FittedCox, tested: ProportionalHazards | None) -> Json:
    """Return a Cox model as JSON values."""
    data: Json = {
        "endpoint": fitted.endpoint,
        "strata": fitted.strata,
        "ties": fitted.ties,
        "subjects": fitted.fit.subjects,
        "events": fitted.fit.events,
        "log_likelihood": fitted.log_likelihood_,
        "covariates": {
            one.covariate: {
                "coef": one.coef,
                "se": one.se,
                "hazard_ratio": one.hazard_ratio,
                "low": one.low,
                "high": one.high,
                "z": one.z,
                "p": one.p,
                "coef_per_sd": one.coef_per_sd,
            }
            for one in fitted.summary
        },
        "notes": list(fitted.notes),
    }
    if tested is not None:
        data["proportional_hazards"] = {
            "covariates": dict(zip(tested.covariates, tested.p_value.tolist(), strict=True)),
            "global_chi_square": tested.global_chi_square,
            "global_p": tested.global_p_value,
        }
    return data


def draw_cox(fitted: FittedCox, tested: ProportionalHazards | None, console: Console) -> None:
    """Draw a Cox model: one line a covariate."""
    from rich.table import Table

    within = "its own baseline for each hospital" if fitted.strata == "site" else "one baseline"
    console.print(
        f"{fitted.endpoint}: {fitted.fit.subjects} subjects, {fitted.fit.events} events, {within}, "
        f"{fitted.ties} ties\n",
        style="bold",
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Covariate")
    for head in ("coef", "se", "Hazard ratio [95 %]", "p", *(["changes, p"] if tested else [])):
        table.add_column(head, justify="right")
    changes = {} if tested is None else dict(zip(tested.covariates, tested.p_value, strict=True))
    for one in fitted.summary:
        ratio = f"{one.hazard_ratio:.3f} [{one.low:.3f}, {one.high:.3f}]"
        more = [small(float(changes[one.covariate]))] if tested else []
        table.add_row(one.covariate, digits(one.coef), digits(one.se), ratio, small(one.p), *more)
    console.print(table)
    console.print(f"\nLog-likelihood {fitted.log_likelihood_:.6f}")
    if tested is not None:
        console.print(
            f"Hazard ratios that change with time: chi-square {tested.global_chi_square:.4f}, "
            f"p = {small(tested.global_p_value)}"
        )
    for note in fitted.notes:
        console.print(note, soft_wrap=True)


def small(p: float) -> str:
    """Return a p-value as people read it.

    Examples:
        >>> small(0.04567), small(1e-9), small(0.6)
        ('0.046', '<0.0001', '0.60')
    """
    if p < 1e-4:
        return "<0.0001"
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _curve(one: GroupCurve, months: Sequence[float]) -> Json:
    return {
        "subjects": one.subjects,
        "events": one.events,
        "median_days": {"value": one.median.days, "low": one.median.low, "high": one.median.high},
        "reliable_until_days": one.reliable_until_days,
        "survival": {f"{month:g}": _told(_survival(one, month)) for month in months},
    }


def _survival(one: GroupCurve, month: float) -> tuple[float, float, float] | None:
    """Return survival at a horizon with its interval, or None where too few are left."""
    days = month * MONTH_DAYS
    if days > one.reliable_until_days:
        return None
    low, high = one.interval_at(days)
    return float(one.survival_at(days)[0]), float(low[0]), float(high[0])


def _told(found: tuple[float, float, float] | None) -> Json | None:
    return None if found is None else dict(zip(("value", "low", "high"), found, strict=True))


def _interval(found: tuple[float, float, float] | None) -> str:
    return "too few" if found is None else "{:.3f} [{:.3f}, {:.3f}]".format(*found)


def _median(one: Quantile) -> str:
    if one.days is None:
        return "not reached"
    low, high = ("-" if limit is None else f"{limit:g}" for limit in (one.low, one.high))
    return f"{one.days:g} [{low}, {high}]"
