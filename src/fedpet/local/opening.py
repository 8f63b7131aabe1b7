"""Open a federation in this process, to ask statistics of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from fedpet import planfile
from fedpet.cohort.samples import Cohort, open_cohort
from fedpet.errors import DataError
from fedpet.federation.journal import Journal
from fedpet.federation.records import Record
from fedpet.federation.session import Federation
from fedpet.local.folders import hospitals_of
from fedpet.local.tables import Table, cohort_of, names_of, plan_of
from fedpet.local.taking_part import named, open_cohorts, require_unchanged
from fedpet.local.wiring import wired
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import Plan

COHORT = "local"
WORKERS_MAX = 16


def federation(
    hospitals: Path | str | Mapping[str, Path | str | Cohort | Table],
    *,
    plan: Plan | Path | str | None = None,
    policy: Policy | None = None,
    folder: Path | None = None,
    workers: int | None = None,
    watch: Callable[[Record], None] | None = None,
) -> Federation:
    """Open a federation whose sites all lie in this process.

    Args:
        hospitals: A folder of hospitals with built cohorts; or, by site, a hospital's folder, a
            cohort, or a table: columns in a mapping, or a data frame. `<endpoint>_days` and
            `<endpoint>_event` are an endpoint, every other column is a covariate.
        plan: The plan, or its file. For tables one that allows every statistic on all columns,
            unless told.
        policy: What sites without a folder allow; the default for the plan's endpoints unless
            told. A hospital's folder holds its own.
        folder: Where questions and answers are kept, to be answered again without the sites; a
            temporary folder unless told.
        workers: Sites that work at the same time; all of up to 16 unless told, because they wait
            for the disk more than for the processor.
        watch: Called with every record, to draw progress.

    Returns:
        The federation, to be closed, or used in a `with`.

    Raises:
        DataError: If a table cannot be used; it names the site and the column.
        NotFoundError: If a folder holds no built cohort.
        PlanError: If the plan cannot be read.

    Examples:
        >>> table = {"age": list(range(40, 65)), "os_days": [30.0] * 25, "os_event": [1] * 25}
        >>> with federation({"lyon": table, "nice": table, "brest": table}) as sites:
        ...     sites.describe(["age"])["age"].mean
        52.0
    """
    with ExitStack() as stack:
        home = folder or Path(stack.enter_context(TemporaryDirectory(prefix="fedpet-")))
        asked = planfile.load(Path(plan)) if isinstance(plan, str | Path) else plan
        cohorts, homes, asked = _opened(hospitals, asked, home)
        endpoints = (*asked.endpoints.survival, *asked.endpoints.binary)
        for place in homes.values():
            if place.is_relative_to(home):  # a hospital's own folder keeps its own policy
                place.mkdir(parents=True, exist_ok=True)
                write_policy(policy or Policy(endpoints=endpoints), place / "policy.toml")
        journal = stack.enter_context(Journal(home))
        require_unchanged(cohorts, journal)
        execution = stack.enter_context(
            wired(
                asked,
                cohorts,
                homes=homes,
                journal=journal,
                workers=workers or min(len(cohorts), WORKERS_MAX),
            )
        )
        return Federation(execution, watch=watch, close=stack.pop_all().close)


def _opened(
    hospitals: Path | str | Mapping[str, Path | str | Cohort | Table],
    plan: Plan | None,
    home: Path,
) -> tuple[dict[str, Cohort], dict[str, Path], Plan]:
    """Return cohorts and node folders by site, and the plan."""
    if isinstance(hospitals, str | Path):
        if plan is None:
            raise DataError(
                "A folder of hospitals needs a plan.",
                do="Write one with `fedpet plan new FILE`, and give it as `plan`.",
            )
        folders = hospitals_of(plan, Path(hospitals))
        homes = {site: place / "node" for site, place in folders.items()}
        return open_cohorts(folders), homes, plan
    if plan is None:
        tables = [one for one in hospitals.values() if not isinstance(one, str | Path | Cohort)]
        columns = dict.fromkeys(column for table in tables for column in names_of(table))
        plan = plan_of(list(columns), cohort=COHORT)
    cohorts: dict[str, Cohort] = {}
    homes = {}
    for site, one in hospitals.items():
        homes[site] = home / "sites" / site
        if isinstance(one, str | Path):
            homes[site] = Path(one) / "node"
            with named(site):
                cohorts[site] = open_cohort(Path(one) / "cohort")
        elif isinstance(one, Cohort):
            cohorts[site] = one
        else:
            cohorts[site] = cohort_of(one, site=site, name=plan.cohort)
    return cohorts, homes, plan
