"""Descriptions and tables 1, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedpet.federation.statistics.describe import Column, Description
from fedpet.federation.statistics.table_one import TableOne
from fedpet.survival.disclosure import Cell, printed

if TYPE_CHECKING:
    from rich.console import Console

LEVELS_SHOWN = 6


def describe_data(found: Description) -> dict[str, object]:
    """Return a description as JSON values."""
    return {
        "subjects": found.subjects,
        "columns": {
            one.name: {
                "known": printed(one.known),
                "missing": printed(one.missing),
                "mean": one.mean,
                "sd": one.sd,
                "quantiles": {f"{share:g}": value for share, value in one.quantiles.items()},
                "levels": {f"{level:g}": printed(cell) for level, cell in one.levels.items()},
            }
            for one in found.columns
        },
    }


def draw_description(found: Description, console: Console) -> None:
    """Draw a description as a table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Column")
    for head in ("Known", "Missing", "Mean", "SD", "Median [quartiles]"):
        table.add_column(head, justify="right")
    table.add_column("Categories")
    for one in found.columns:
        counts = [shown(one.known), shown(one.missing)]
        table.add_row(
            one.name, *counts, digits(one.mean), digits(one.sd), _quartiles(one), _levels(one)
        )
    console.print(f"{found.subjects} subjects of {len(found.sites)} hospitals\n", style="bold")
    console.print(table)


def table_one_data(found: TableOne) -> dict[str, object]:
    """Return tables 1 and alarms as JSON values."""
    return {
        "hospitals": {
            site: {
                "subjects": found.subjects[site],
                "columns": {
                    name: {
                        "known": round(facts.known),
                        "mean": facts.mean if facts.sd else None,
                        "sd": facts.sd or None,
                        "constant": facts.constant,
                    }
                    for name, facts in columns.items()
                },
                "endpoints": {
                    name: {"known": round(times.known), "events": round(times.events, 4)}
                    for name, times in found.times[site].items()
                },
            }
            for site, columns in found.facts.items()
        },
        "refusals": dict(found.refusals),
        "alarms": [
            {"hospital": one.site, "about": one.about, "kind": one.kind, "text": one.text}
            for one in found.alarms
        ],
    }


def draw_table_one(found: TableOne, console: Console) -> None:
    """Draw one column for each hospital, then the alarms."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Mean (SD)")
    for site in found.facts:
        table.add_column(site, justify="right")
    sizes = [found.subjects[site] for site in found.facts]
    table.add_row("subjects", *("hidden" if size is None else str(size) for size in sizes))
    for name in found.columns:
        cells = []
        for site in found.facts:
            facts = found.facts[site][name]
            value = f"{digits(facts.mean)} ({digits(facts.sd)})" if facts.sd else "-"
            cells.append("all the same" if facts.constant else value)
        table.add_row(name, *cells)
    console.print(table)
    console.print()
    if not found.alarms:
        console.print("No alarm: the hospitals fit together.")
    for one in found.alarms:
        console.print(f"! {one.site}, {one.about}: {one.text}", style="yellow", soft_wrap=True)


def shown(cell: Cell) -> str:
    """Return a count as people read it."""
    return str(printed(cell))


def digits(value: float | None) -> str:
    """Return a number with four digits.

    Examples:
        >>> digits(62.448), digits(0.00123456), digits(None)
        ('62.45', '0.001235', '-')
    """
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _quartiles(one: Column) -> str:
    values = [_without_dust(one.quantiles.get(share), one.sd) for share in (0.5, 0.25, 0.75)]
    if all(value is None for value in values):
        return ""
    return f"{digits(values[0])} [{digits(values[1])}, {digits(values[2])}]"


def _without_dust(value: float | None, sd: float | None) -> float | None:
    """Return 0 for a quantile that lies nearer to it than the finest cell is wide."""
    dust = value is not None and sd is not None and abs(value) < 1e-6 * sd
    return 0.0 if dust else value


def _levels(one: Column) -> str:
    told = [f"{level:g}: {shown(cell)}" for level, cell in one.levels.items()]
    more = [f"and {len(told) - LEVELS_SHOWN} more"] if len(told) > LEVELS_SHOWN else []
    return ", ".join(told[:LEVELS_SHOWN] + more)
