"""Performance of models, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedpet.federation.statistics.cross_site import CrossSiteMatrix, LeaveOneSiteOut
from fedpet.federation.statistics.performance import Evaluation
from fedpet.survival.bootstrap import Estimate, Measured
from fedpet.survival.scores import Performance
from fedpet.survival.site_performance import Summary

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, object]


def evaluation_data(found: Evaluation) -> Json:
    """Return an evaluation as JSON values."""
    return {
        "endpoint": found.endpoint,
        **_performance(found.performance, found.horizons_months),
        "calibration_slope": _estimate(found.slope),
    }


def draw_evaluation(found: Evaluation, console: Console) -> None:
    """Draw an evaluation: one line a measure."""
    told = found.performance
    console.print(
        f"{found.endpoint}: {told.subjects} subjects, {told.events} events, "
        f"{len(found.sites)} hospitals\n",
        style="bold",
    )
    _draw_performance(told, found.horizons_months, console)
    console.print(f"Calibration slope   {_words(found.slope)}")


def left_out_data(found: LeaveOneSiteOut) -> Json:
    """Return a leave-one-site-out comparison as JSON values."""
    return {
        "endpoint": found.endpoint,
        **_performance(found.performance, found.horizons_months),
        "c_index_over_hospitals": _summary(found.c_index),
        "slope_over_hospitals": _summary(found.slope),
        "hospitals": {
            site: {
                "subjects": one.subjects,
                "c_index": _estimate(one.c_index),
                "slope": _estimate(one.slope),
            }
            for site, one in found.sites.items()
        },
        "reasons": dict(found.reasons),
    }


def draw_left_out(found: LeaveOneSiteOut, console: Console) -> None:
    """Draw a leave-one-site-out comparison."""
    console.print(f"{found.endpoint}: each hospital judged by a model without it\n", style="bold")
    for site, one in found.sites.items():
        console.print(f"{site:<20}C-index {_words(one.c_index)}, slope {_words(one.slope)}")
    for site, reason in found.reasons.items():
        console.print(f"{site:<20}{reason}", soft_wrap=True)
    console.print()
    _draw_performance(found.performance, found.horizons_months, console)
    console.print(f"C-index, hospitals  {_over(found.c_index)}")
    console.print(f"Slope, hospitals    {_over(found.slope)}")


def matrix_data(found: CrossSiteMatrix) -> Json:
    """Return a matrix of C-indices as JSON values."""
    table = found.c_index().tolist()
    rows = zip(found.sites, table, strict=True)
    return {
        "endpoint": found.endpoint,
        "hospitals": list(found.sites),
        "c_index": {
            site: dict(zip(found.sites, (_finite(value) for value in row), strict=True))
            for site, row in rows
        },
        "elsewhere": {site: _summary(one) for site, one in found.travelled.items()},
        "reasons": dict(found.reasons),
    }


def draw_matrix(found: CrossSiteMatrix, console: Console) -> None:
    """Draw a matrix of C-indices: models down, judges across."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("C-index: model of")
    for site in found.sites:
        table.add_column(site, justify="right")
    table.add_column("elsewhere", justify="right")
    for site, row in zip(found.sites, found.c_index().tolist(), strict=True):
        cells = ["-" if math.isnan(value) else f"{value:.3f}" for value in row]
        table.add_row(site, *cells, _over(found.travelled.get(site)))
    console.print(f"{found.endpoint}: each hospital's own model at every hospital\n", style="bold")
    console.print(table)
    for site, reason in found.reasons.items():
        console.print(f"{site}: {reason}", soft_wrap=True)


def _performance(told: Performance, months: Sequence[float]) -> Json:
    return {
        "subjects": told.subjects,
        "events": told.events,
        "c_within": _measured(told.c_within),
        "c_global": _measured(told.c_global),
        "c_uno": _measured(told.c_uno),
        "ibs": _measured(told.ibs),
        "horizons": {
            f"{month:g}": {
                "auc": _measured(told.auc[index]),
                "brier": _measured(told.brier[index]),
                "observed_expected": _measured(told.observed_expected[index]),
            }
            for index, month in enumerate(months)
        },
    }


def _draw_performance(told: Performance, months: Sequence[float], console: Console) -> None:
    console.print(f"C-index, within     {_words(told.c_within.estimate())}")
    console.print(f"C-index, global     {_words(told.c_global.estimate())}")
    console.print(f"C-index, Uno        {_words(told.c_uno.estimate())}")
    for index, month in enumerate(months):
        console.print(
            f"At {month:>2g} months        AUC {_words(told.auc[index].estimate())}, "
            f"Brier {_words(told.brier[index].estimate())}, "
            f"O/E {_words(told.observed_expected[index].estimate())}"
        )


def _measured(one: Measured) -> Json | None:
    return _estimate(one.estimate())


def _estimate(one: Estimate | None) -> Json | None:
    return None if one is None else {"value": one.value, "low": one.low, "high": one.high}


def _summary(one: Summary | None) -> Json | None:
    if one is None:
        return None
    told = {"sites": one.sites, **(_estimate(one.value) or {})}
    return {**told, "prediction": None if one.prediction is None else list(one.prediction)}


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _words(one: Estimate | None) -> str:
    """Return an estimate as people read it.

    Examples:
        >>> _words(Estimate(value=0.6123, low=0.55, high=0.67)), _words(None)
        ('0.612 [0.550, 0.670]', '-')
    """
    if one is None:
        return "-"
    if one.low is None or one.high is None:
        return f"{one.value:.3f}"
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _over(one: Summary | None) -> str:
    if one is None:
        return "-"
    if one.prediction is None:
        return _words(one.value)
    low, high = one.prediction
    return f"{_words(one.value)}; at a new hospital {low:.3f} to {high:.3f}"
