"""What a plan would find at the hospitals of a folder."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedpet.errors import FedpetError, PlanError
from fedpet.local.folders import hospitals_of, unbuilt_of
from fedpet.plan import Plan

if TYPE_CHECKING:
    from fedpet.cohort.samples import Cohort


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a plan would not work somewhere.

    Args:
        site: The hospital; empty for all together.
        reason: In words.
        leaves_out: Whether a run goes on without the hospital, as long as enough others remain:
            its policy says no, it is too small, or it was never built. Everything else is a
            mistake that somebody would rather mend first.
    """

    site: str
    reason: str
    leaves_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What a plan would meet at the hospitals of a folder.

    Args:
        subjects: Subjects of each hospital that could take part, by site.
        objections: Why something would not work.
    """

    subjects: dict[str, int]
    objections: tuple[Objection, ...]

    @property
    def may_run(self) -> bool:
        """Whether nothing is wrong but that some hospitals would be left out."""
        return all(objection.leaves_out for objection in self.objections)


def preflight(plan: Plan, folder: Path) -> Preflight:
    """Ask every hospital of a folder whether it could answer a plan; nothing is computed.

    Raises:
        NotFoundError: If no hospital has a built cohort.
    """
    from fedpet.cohort.samples import open_cohort

    subjects: dict[str, int] = {}
    objections: list[Objection] = []
    hospitals = hospitals_of(plan, folder)
    for name in plan.sites.names:
        if name not in hospitals:
            reason = "is named in the plan, but has no built cohort here."
            objections.append(Objection(site=name, reason=reason))
    for name in unbuilt_of(plan, folder):
        if name not in plan.sites.names:
            reason = "has no built cohort yet, and would be left out."
            objections.append(Objection(site=name, reason=reason, leaves_out=True))
    for site, hospital in hospitals.items():
        try:
            cohort = open_cohort(hospital / "cohort")
            wrong = list(_mismatches(plan, cohort))
            no = list(_refusals(plan, cohort, hospital))
        except FedpetError as error:
            objections.append(Objection(site=site, reason=error.title))
            continue
        if not wrong and not no:
            subjects[site] = len(cohort.subjects)
        objections += [Objection(site=site, reason=reason) for reason in wrong]
        objections += [Objection(site=site, reason=reason, leaves_out=True) for reason in no]
    objections += [Objection(site="", reason=reason) for reason in _together(plan, subjects)]
    return Preflight(subjects=subjects, objections=tuple(objections))


def obstruction(objections: Sequence[Objection]) -> PlanError:
    """Return the error that lists what stands between a plan and its hospitals, each thing once."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for objection in objections:
        grouped[objection.reason].append(objection.site)
    told = [
        f"{', '.join(filter(None, names)) or 'all together'}: {reason}"
        for reason, names in grouped.items()
    ]
    return PlanError(
        f"{len(told)} {'thing stands' if len(told) == 1 else 'things stand'} "
        "between the plan and its hospitals.",
        why="\n".join(told),
        do=(
            "Change the plan, or build the cohorts with what it asks for.",
            "A hospital's own rules are in HOSPITAL/node/policy.toml.",
        ),
        code="FP-2010",
    )


def _mismatches(plan: Plan, cohort: Cohort) -> Iterator[str]:
    """Tell what a cohort lacks, or holds otherwise than the plan reads it."""
    if cohort.name != plan.cohort:
        yield f"has cohort '{cohort.name}', the plan asks for '{plan.cohort}'."
    columns = (*plan.inputs.clinical, *plan.inputs.biomarkers)
    yield from _missing("column", columns, cohort.columns)
    yield from _missing("survival endpoint", plan.endpoints.survival, cohort.outcomes)
    yield from _missing("yes-or-no endpoint", plan.endpoints.binary, cohort.binary)
    if cohort.spacing_mm != plan.inputs.spacing_mm:
        yield (
            f"prepared images at {cohort.spacing_mm:g} mm, "
            f"the plan reads them at {plan.inputs.spacing_mm:g} mm."
        )
    if cohort.suv != "bw":
        yield f"holds SUV by '{cohort.suv}'; plans read SUV by body weight ('bw')."


def _refusals(plan: Plan, cohort: Cohort, hospital: Path) -> Iterator[str]:
    """Tell why a hospital would not take part, though it could.

    Raises:
        StoreError: If its policy cannot be read.
    """
    from fedpet.cohort.findings import counted
    from fedpet.node.policy import first_policy, read_policy

    path = hospital / "node" / "policy.toml"
    policy = read_policy(path) if path.exists() else first_policy(phantom=cohort.phantom)
    yield from (f"objects: {reason}" for reason in policy.objections(plan))
    if len(cohort.subjects) < plan.sites.subjects_min:
        yield (
            f"has {counted(len(cohort.subjects), 'subject')}, "
            f"the plan asks for {plan.sites.subjects_min} at least."
        )


def _missing(kind: str, asked: Iterable[str], present: Iterable[str]) -> Iterator[str]:
    known = list(present)
    for name in asked:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            yield f"has no {kind} '{name}'.{hint}"


def _together(plan: Plan, subjects: dict[str, int]) -> Iterator[str]:
    from fedpet.federation.preparation import Enrolled, folds_of
    from fedpet.models.catalogue import NAMES

    if plan.model.name not in NAMES:
        yield f"There is no network named '{plan.model.name}'; known: {', '.join(NAMES)}."
    if len(subjects) < plan.sites.sites_min:
        yield f"{len(subjects)} hospitals could take part, the plan needs {plan.sites.sites_min}."
        return
    try:
        folds_of(plan, Enrolled(subjects=subjects, events={}, refusals={}))
    except PlanError as error:
        yield error.title
