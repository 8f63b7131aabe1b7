"""The hospitals of a folder: which there are, and which are built."""

from __future__ import annotations

from pathlib import Path

from fedpet.errors import NotFoundError, PlanError, StoreError
from fedpet.plan import Plan

POOLED = "pooled"


def hospitals_of(plan: Plan, folder: Path) -> dict[str, Path]:
    """Return the hospitals of a folder with a built cohort that a plan asks, by site.

    Raises:
        NotFoundError: If there is none.
        StoreError: If one may not be read; leaving it out unseen would change the results.
        PlanError: If one has a name that is taken.
    """
    found = {path.name: path for path in _subfolders(folder) if _holds(path, "cohort/cohort.json")}
    wanted = {name: found[name] for name in plan.sites.names if name in found} or found
    if not wanted:
        raise NotFoundError(
            "No hospital with a built cohort was found.",
            why="A hospital is a subfolder of --sites that holds cohort/cohort.json.",
            do="Build each one: fedpet cohort build HOSPITAL",
            code="FP-6003",
        )
    if POOLED in wanted:
        raise PlanError(
            f"A hospital's folder may not be named '{POOLED}'.",
            why="It is the name of the comparison with all data in one place.",
            do="Rename the folder.",
        )
    return dict(sorted(wanted.items()))


def unbuilt_of(plan: Plan, folder: Path) -> tuple[str, ...]:
    """Return the hospitals of a folder that a plan would ask, had their cohorts been built."""
    asked = [
        path
        for path in _subfolders(folder)
        if not plan.sites.names or path.name in plan.sites.names
    ]
    return tuple(
        path.name
        for path in asked
        if _holds(path, "cohort.toml") and not _holds(path, "cohort/cohort.json")
    )


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _holds(hospital: Path, name: str) -> bool:
    try:
        with (hospital / name).open("rb"):
            return True
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except PermissionError as error:
        raise StoreError(
            f"Hospital '{hospital.name}': {name} may not be read.",
            do="Ask for read permission, or move the folder elsewhere to go on without it.",
        ) from error
