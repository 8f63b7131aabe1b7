"""Table 1 of every site that releases it, and what does not fit together between them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedpet.federation.asking import Execution, by_site
from fedpet.federation.records import Record
from fedpet.federation.statistics.question import EVERYBODY, Subjects, inquire
from fedpet.parameters import Array
from fedpet.survival.alarms import Alarm, Facts, TimeFacts, column_alarms, time_alarms
from fedpet.survival.disclosure import CELL_MIN
from fedpet.survival.site_table import duplicates_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOne:
    """What each site told of itself.

    Args:
        columns: Names of the columns.
        subjects: By site, None if hidden.
        facts: By site, then column.
        times: By site, then endpoint.
        alarms: What somebody should look at.
        refusals: Why a site told nothing.
    """

    columns: tuple[str, ...]
    subjects: Mapping[str, int | None]
    facts: Mapping[str, Mapping[str, Facts]]
    times: Mapping[str, Mapping[str, TimeFacts]]
    alarms: tuple[Alarm, ...]
    refusals: Mapping[str, str]


def table_one(
    run: Execution, *, columns: Sequence[str] = (), subjects: Subjects = EVERYBODY
) -> Generator[Record, None, TableOne]:
    """Ask every site for its own table 1, the release `table-1`, and compare them.

    Args:
        run: The execution.
        columns: Names; all of the plan's inputs unless told.
        subjects: Whom it is about.
    """
    inputs = run.plan.inputs
    names = tuple(dict.fromkeys(columns)) or (*inputs.clinical, *inputs.biomarkers)
    closed = yield from inquire(
        run,
        "describe",
        kind="describe-site",
        label="Table 1 of each hospital",
        body={"columns": list(names), "select": subjects.choice()},
        release="table-1",
        sites_min=0,
    )
    apart = by_site(closed)
    facts = {site: _facts(names, arrays) for site, arrays in apart.items()}
    times = {
        site: {name: _time_facts(name, arrays) for name in run.plan.endpoints.survival}
        for site, arrays in apart.items()
    }
    alarms = [
        alarm
        for name in names
        for alarm in column_alarms(name, {site: facts[site][name] for site in facts})
    ]
    for name in run.plan.endpoints.survival:
        alarms += time_alarms(name, {site: times[site][name] for site in times})
    return TableOne(
        columns=names,
        subjects={site: _told(arrays["count.subjects"][0]) for site, arrays in apart.items()},
        facts=facts,
        times=times,
        alarms=tuple(alarms),
        refusals={site: state for site, state in closed.sites.items() if state != "ok"},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """How many subjects seem to be at two sites.

    Args:
        rows: Complete rows that were looked at.
        estimate: Rows that are there again, chance meetings taken off; None if few but not none.
        sites: Sites that took part.
    """

    rows: int
    estimate: int | None
    sites: tuple[str, ...]


def find_duplicates(
    run: Execution, *, salt: str, columns: Sequence[str] = (), subjects: Subjects = EVERYBODY
) -> Generator[Record, None, Duplicates]:
    """Look for subjects who are at two sites; only sites that allow `duplicates` answer.

    Args:
        run: The execution.
        salt: Agreed for this question; another one gives other marks.
        columns: What must be the same; all of the plan's inputs unless told.
        subjects: Whom it is about.
    """
    inputs = run.plan.inputs
    names = tuple(dict.fromkeys(columns)) or (*inputs.clinical, *inputs.biomarkers)
    closed = yield from inquire(
        run,
        "describe",
        kind="describe-duplicates",
        label="Subjects at two hospitals",
        body={"columns": list(names), "select": subjects.choice(), "salt": salt},
    )
    rows = float(closed.arrays["rows"].sum())
    found = round(duplicates_of(closed.arrays["marks"], rows))
    sites = tuple(sorted(site for site, state in closed.sites.items() if state == "ok"))
    told = found if found == 0 or found >= CELL_MIN else None
    return Duplicates(rows=round(rows), estimate=told, sites=sites)


def _facts(names: tuple[str, ...], arrays: Mapping[str, Array]) -> dict[str, Facts]:
    counts = {
        name: np.maximum(arrays[f"count.column.{name}"], 0.0)
        for name in ("known", "missing", "coded", "mode")
    }
    known = np.maximum(counts["known"], 1.0)
    return {
        name: Facts(
            known=float(counts["known"][index]),
            missing=float(counts["missing"][index]),
            mean=float(arrays["column.mean"][index]),
            sd=float(arrays["column.sd"][index]),
            coded=float(counts["coded"][index] / known[index]),
            mode=float(counts["mode"][index] / known[index]),
            constant=bool(arrays["column.constant"][index] > 0),
        )
        for index, name in enumerate(names)
    }


def _time_facts(endpoint: str, arrays: Mapping[str, Array]) -> TimeFacts:
    known = max(float(arrays[f"count.{endpoint}.known"].sum()), 0.0)
    share = max(known, 1.0)
    return TimeFacts(
        known=known,
        events=max(float(arrays[f"count.{endpoint}.events"].sum()), 0.0) / share,
        zero=max(float(arrays[f"count.{endpoint}.zero"].sum()), 0.0) / share,
        mean_days=float(arrays[f"{endpoint}.mean_days"].sum()),
    )


def _told(count: float) -> int | None:
    return None if count < 0 else round(float(count))
