"""What a run's end shows: how well each arm did, beside what is possible, and where time went."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

Results = Mapping[str, Any]
# Which of the known ceilings an arm can reach with the inputs that it reads.
CEILINGS = {"cox-clinical": "clinical", "tmtv": "tmtv"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the work, and how long it took."""

    name: str
    seconds: float


def draw_performance(results: Results, console: Console) -> None:
    """Draw each arm's C-index within hospitals, with interval and known ceiling."""
    primary = results["plan"]["primary"]
    ceiling = results.get("ceiling", {}).get(primary, {})
    console.print(
        f"C-index within hospitals, {primary}, on subjects not seen in training", style="bold"
    )
    table = _table()
    table.add_column("Arm", no_wrap=True)
    table.add_column("C-index", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    if ceiling:
        table.add_column("Best possible", justify="right", no_wrap=True)
    measured = results["performance"].get(primary, {})
    for arm in results["arms"]:
        found = measured.get(arm["id"])
        if found is None:
            continue
        estimate = found["c_within"]
        cells = [arm["label"], "not known", ""]
        if estimate is not None:
            cells[1:] = [f"{estimate['value']:.3f}", _interval(estimate)]
        if ceiling:
            best = ceiling.get(CEILINGS.get(arm["id"], "all"))
            cells.append("" if best is None else f"{best:.3f}")
        table.add_row(*cells)
    console.print(table)


def draw_times(stages: Sequence[Stage], console: Console) -> None:
    """Draw where the time went, and the most memory that was in use."""
    total = sum(stage.seconds for stage in stages) or 1.0
    console.print("Where the time went", style="bold")
    table = _table()
    table.add_column("Stage", no_wrap=True)
    table.add_column("Seconds", justify="right")
    table.add_column("Share", justify="right", no_wrap=True)
    for stage in stages:
        table.add_row(stage.name, f"{stage.seconds:.1f}", f"{stage.seconds / total:.0%}")
    table.add_row("Together", f"{total:.1f}", "")
    console.print(table)
    own, child = memory_gib()
    workers = f", at most {child:.2f} GiB in a worker process" if child > 0 else ""
    console.print(f"Memory: at most {own:.2f} GiB in this process{workers}.")


def memory_gib() -> tuple[float, float]:
    """Return the peak memory of this process and of its largest ended child, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = [
        resource.getrusage(who).ru_maxrss * unit / 2**30
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return peaks[0], peaks[1]


def stages_of(results: Results) -> list[Stage]:
    """Return the stages of the experiment itself, as its journal timed them."""
    return [Stage(one["name"], one["seconds"]) for one in results["experiment"]["timings"]]


def drawn(
    results: Results, stages: Sequence[Stage], closing: Sequence[str]
) -> Callable[[Console], None]:
    """Return what draws the end of a run: performance, checks, time, then some lines."""

    def draw(console: Console) -> None:
        draw_performance(results, console)
        for check in results["checks"]:
            verdict = "passed" if check["passed"] else "FAILED"
            console.print(f"{check['name']}: {check['value']:.1e} ({verdict})")
        console.print()
        draw_times(stages, console)
        console.print()
        for line in closing:
            console.print(line, soft_wrap=True)

    return draw


def numbers(results: Results, stages: Sequence[Stage]) -> dict[str, object]:
    """Return the same for programs."""
    primary = results["plan"]["primary"]
    measured = results["performance"].get(primary, {})
    own, child = memory_gib()
    return {
        "primary": primary,
        "arms": [
            {**arm, "c_within": measured[arm["id"]]["c_within"]}
            for arm in results["arms"]
            if arm["id"] in measured
        ],
        "ceiling": results.get("ceiling", {}).get(primary, {}),
        "sites": results["sites"],
        "timings": [{"name": stage.name, "seconds": stage.seconds} for stage in stages],
        "memory_gib": {"process": own, "worker": child},
    }


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def _interval(estimate: Mapping[str, float | None]) -> str:
    if estimate["low"] is None or estimate["high"] is None:
        return ""
    return f"{estimate['low']:.3f} to {estimate['high']:.3f}"
