"""A built cohort and its findings, for people in the hospital."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedpet.cohort.findings import Finding, worst_first
from fedpet.cohort.samples import Cohort

SUBJECTS_SHOWN = 6
MONTH_DAYS = 30.4375
MARKS = {"error": ("✗", "red"), "warning": ("!", "yellow"), "info": ("·", "dim")}


def numbers_of(cohort: Cohort) -> dict[str, object]:
    """Return a cohort's numbers as JSON values; None where nothing is known."""
    return {
        "name": cohort.name,
        "site": cohort.strata[0] if cohort.strata else "",
        "fingerprint": cohort.fingerprint,
        "phantom": cohort.phantom,
        "spacing_mm": cohort.spacing_mm,
        "subjects": len(cohort.subjects),
        "endpoints": {
            name: {
                "known": int(np.isfinite(outcome.time_days).sum()),
                "events": int(outcome.event.sum()),
                "median_time_months": _median(outcome.time_days / MONTH_DAYS),
            }
            for name, outcome in cohort.outcomes.items()
        },
        "yes_or_no": {
            name: {"known": int(np.isfinite(values).sum()), "yes": int(np.nansum(values))}
            for name, values in cohort.binary.items()
        },
        "columns": {
            name: {
                "missing": int(np.isnan(column).sum()),
                "median": _median(column),
                "quartiles": _quartiles(column),
            }
            for name, column in zip(cohort.columns, cohort.table.T, strict=True)
        },
    }


def draw_cohort(cohort: Cohort, console: Console) -> None:
    """Draw a cohort: what it is, its endpoints, its columns."""
    kind = "simulated subjects" if cohort.phantom else "subjects"
    console.print(
        f"Cohort '{cohort.name}': {len(cohort.subjects)} {kind}, "
        f"images at {cohort.spacing_mm:g} mm, fingerprint {cohort.fingerprint[:16]}",
        soft_wrap=True,
    )
    console.print()
    console.print(_endpoints(cohort))
    console.print()
    console.print(_columns(cohort))


def draw_findings(findings: Sequence[Finding], console: Console) -> None:
    """Draw findings, worst first, each with what to do."""
    if not findings:
        console.print("No findings.")
        return
    for finding in worst_first(findings):
        mark, style = MARKS[finding.severity]
        line = Text(f"{mark} ", style=style)
        line.append(f"{finding.code}  {finding.title}", style="default")
        console.print(line, soft_wrap=True)
        if who := concerned(finding):
            console.print(f"    {who}", style="dim", soft_wrap=True)
        console.print(f"    fix: {finding.fix}", soft_wrap=True)


def concerned(finding: Finding) -> str:
    """Return whom a finding is about: pseudonyms, or lines of the table; some of many.

    Examples:
        >>> concerned(Finding(code="FP-2153", severity="error", title="", lines=(3, 9), fix=""))
        'lines 3, 9'
    """
    for word, items in (("subjects", finding.subjects), ("lines", finding.lines)):
        if items:
            shown = ", ".join(str(item) for item in items[:SUBJECTS_SHOWN])
            more = len(items) - SUBJECTS_SHOWN
            return f"{word} {shown}" + (f" and {more} more" if more > 0 else "")
    return ""


def _endpoints(cohort: Cohort) -> Table:
    table = _table("Endpoint", "Known", "Events", "Median months")
    for name, outcome in cohort.outcomes.items():
        table.add_row(
            name,
            str(int(np.isfinite(outcome.time_days).sum())),
            str(int(outcome.event.sum())),
            _shown(_median(outcome.time_days / MONTH_DAYS)),
        )
    for name, values in cohort.binary.items():
        table.add_row(name, str(int(np.isfinite(values).sum())), str(int(np.nansum(values))), "")
    return table


def _columns(cohort: Cohort) -> Table:
    table = _table("Column", "Missing", "Median", "Quartiles")
    for name, column in zip(cohort.columns, cohort.table.T, strict=True):
        missing = int(np.isnan(column).sum())
        quartiles = _quartiles(column)
        table.add_row(
            name,
            f"{missing} ({missing / max(len(column), 1):.0%})" if missing else "",
            _shown(_median(column)),
            "" if quartiles is None else " to ".join(_shown(value) for value in quartiles),
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _median(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _quartiles(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> tuple[float, float] | None:
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    low, high = np.quantile(known, (0.25, 0.75))
    return float(low), float(high)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
