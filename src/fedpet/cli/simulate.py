"""A run in a folder: the experiment of a plan, with every hospital in this process."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedpet import plan as plans
from fedpet import planfile
from fedpet.cli.run_files import RunFiles, keep, replace
from fedpet.errors import NotFoundError, StoreError
from fedpet.federation import experiment
from fedpet.federation.journal import Journal
from fedpet.federation.records import Finished, Record
from fedpet.federation.results import Context
from fedpet.local.folders import hospitals_of
from fedpet.local.taking_part import open_cohorts, require_unchanged
from fedpet.local.wiring import wired
from fedpet.plan import Plan
from fedpet.privacy.identity import Identity


def start(
    plan: Plan, *, sites: Path, folder: Path, ceiling: Mapping[str, Any] | None = None
) -> RunFiles:
    """Lay out a new run's folder.

    Args:
        plan: The plan.
        sites: Folder with one subfolder per hospital, each with a built cohort.
        folder: The run's folder; must not hold another run.
        ceiling: Best reachable C-index by endpoint, known for phantoms only.

    Raises:
        StoreError: If the folder already holds a run of another plan.
    """
    files = RunFiles(folder=folder)
    if files.plan.exists() and plans.fingerprint(planfile.load(files.plan)) != plans.fingerprint(
        plan
    ):
        raise StoreError(
            "The folder already holds a run of another plan.",
            do="Choose another folder with --out, or resume that run with `fedpet resume`.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    files.plan.write_text(planfile.dumps(plan), encoding="utf-8")
    settings = {"sites": str(sites.resolve()), "ceiling": dict(ceiling or {})}
    replace(files.settings, json.dumps(settings, indent=1).encode())
    return files


def run_in_process(files: RunFiles, *, workers: int | None = None) -> Generator[Record, None, None]:
    """Run, or resume, the experiment of a run's folder with all hospitals in this process.

    Yields:
        The experiment's records; after `Finished`, results and models are on disk.

    Raises:
        NotFoundError: If the folder holds no run, or no hospital has a built cohort.
    """
    if not files.plan.exists() or not files.settings.exists():
        raise NotFoundError(
            "This folder holds no run.", do="Start one with `fedpet run PLAN --sites FOLDER`."
        )
    plan = planfile.load(files.plan)
    folder, ceiling = _settings(files)
    hospitals = hospitals_of(plan, folder)
    cohorts = open_cohorts(hospitals)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(files.folder))
        require_unchanged(cohorts, journal)
        execution = stack.enter_context(
            wired(
                plan,
                cohorts,
                homes={site: hospital / "node" for site, hospital in hospitals.items()},
                journal=journal,
                workers=workers,
                pooled_home=files.folder / "pooled",
            )
        )
        context = Context(
            started=journal.remember("started", datetime.now(UTC).isoformat(timespec="seconds")),
            phantom=all(cohort.phantom for cohort in cohorts.values()),
            ceiling=ceiling,
            findings=_findings(hospitals),
        )
        for record in experiment.run(execution, context):
            if isinstance(record, Finished):
                keep(files, record, Identity.load_or_create(files.key))
            yield record


def _settings(files: RunFiles) -> tuple[Path, Mapping[str, Mapping[str, float]]]:
    """Return the folder of the hospitals, and the known ceiling.

    Raises:
        StoreError: If the file is not what `start` wrote.
    """
    try:
        settings = json.loads(files.settings.read_text(encoding="utf-8"))
        return Path(settings["sites"]), {k: dict(v) for k, v in settings["ceiling"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            "run.json was altered; it is not what fedpet wrote.",
            do="Write it anew: fedpet run PLAN --sites FOLDER --out RUN; what is done is kept.",
        ) from error


def _findings(hospitals: Mapping[str, Path]) -> tuple[dict[str, Any], ...]:
    """Count the subjects of each hospital's quality findings, by kind.

    A finding's own words stay in the hospital: they hold small counts, and what all subjects of a
    hospital have in common. What is passed on is the general title of its code.
    """
    from fedpet.cli.helping import codes
    from fedpet.cohort.findings import KINDS

    pages = codes()
    counted = []
    for site, folder in hospitals.items():
        path = folder / "cohort" / "findings.json"
        if not path.exists():
            continue
        behind: dict[tuple[str, str], set[str]] = {}
        for finding in json.loads(path.read_text(encoding="utf-8")):
            kind = (finding["severity"], finding["code"])
            behind.setdefault(kind, set()).update(finding["subjects"])
        for (severity, code), subjects in behind.items():
            counted.append(
                {
                    "site": site,
                    "code": code,
                    "severity": severity,
                    "title": f"{pages[code].title}." if code in pages else "",
                    "subjects": len(subjects),
                    "fix": KINDS[code].fix if code in KINDS else f"See fedpet help {code}.",
                }
            )
    return tuple(counted)
