"""A built cohort and its findings, for people in the hospital."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedpet.cohort.findings import Finding, counted, worst_first
from fedpet.cohort.summary import CohortSummary

SUBJECTS_SHOWN = 6
MONTH_DAYS = 30.4375
MARKS = {"error": ("✗", "red"), "warning": ("!", "yellow"), "info": ("·", "dim")}
HEADS = {
    "error": "To be fixed (left out until then)",
    "warning": "To look at (used all the same)",
    "info": "Good to know",
}
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def numbers_of(summary: CohortSummary) -> Json:
    """Return a summary as JSON values; None where nothing is known."""
    return _json(asdict(summary))


def draw_cohort(summary: CohortSummary, console: Console) -> None:
    """Draw a cohort: what it is, its endpoints, its columns, how many findings."""
    kind = "simulated subject" if summary.phantom else "subject"
    counts = summary.counts
    console.print(
        f"{summary.site}: cohort '{summary.name}', {counted(summary.subjects, kind)}", style="bold"
    )
    console.print(
        f"From {counted(counts['scans'], 'scan')} and {counted(counts['rows'], 'row')}; "
        f"{counts['left_out']} left out. "
        f"Images at {summary.spacing_mm:g} mm, SUV by '{summary.suv}'. "
        f"Progression counts when {_rule(summary)}.",
        soft_wrap=True,
    )
    console.print(
        f"Built {summary.created} by fedpet {summary.software}, "
        f"fingerprint {summary.fingerprint[:16]}\n",
        soft_wrap=True,
    )
    console.print(_endpoints(summary))
    console.print()
    console.print(_columns(summary))
    if summary.findings:
        number = counted(len(summary.findings), "finding")
        console.print(f"\n{number}; see fedpet cohort check FOLDER")


def draw_findings(findings: Sequence[Finding], console: Console) -> None:
    """Draw findings by how bad they are, worst first, each with what to do."""
    if not findings:
        console.print("No findings.")
        return
    severity = ""
    for finding in worst_first(findings):
        if finding.severity != severity:
            console.print(("\n" if severity else "") + HEADS[finding.severity], style="bold")
            severity = finding.severity
        mark, style = MARKS[finding.severity]
        line = Text(f"{mark} ", style=style)
        line.append(f"{finding.code}  {finding.title}", style="default")
        console.print(line, soft_wrap=True)
        if who := concerned(finding):
            console.print(f"    {who}", style="dim", soft_wrap=True)
        for detail in finding.details:
            console.print(f"    e.g. {detail}", style="dim", soft_wrap=True)
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


def _rule(summary: CohortSummary) -> str:
    rule = "confirmed" if summary.progression == "confirmed" else "first seen, confirmed or not"
    told = "".join(f"; {name} by {criterion}" for name, criterion in summary.criteria.items())
    return rule + told


def _endpoints(summary: CohortSummary) -> Table:
    table = _table("Endpoint", "Known", "Events", "Median months")
    for name, one in summary.endpoints.items():
        months = one.median_days / MONTH_DAYS
        table.add_row(name, str(one.known), str(one.events), _shown(months))
    return table


def _columns(summary: CohortSummary) -> Table:
    table = _table("Column", "Missing", "Median", "Quartiles", "Unit")
    for one in summary.columns:
        low, middle, high = one.quartiles
        table.add_row(
            one.name,
            f"{one.missing} ({one.missing / max(summary.subjects, 1):.0%})" if one.missing else "",
            _shown(middle),
            "" if math.isnan(low) else f"{_shown(low)} to {_shown(high)}",
            one.unit,
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="left" if name == "Unit" else "right", no_wrap=True)
    return table


def _shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _json(value: object) -> Json:
    """Return a value with every number that is none as None."""
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    assert isinstance(value, str | int | float | None)
    return value
