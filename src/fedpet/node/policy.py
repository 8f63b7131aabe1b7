"""The hospital's own rules. A plan cannot weaken them; the strictest of both holds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fedpet.errors import StoreError
from fedpet.plan import STATISTICS, Plan

LEVELS = ("limits", "partial", "full")
COMMENTS = {
    "subjects_min": "Subjects that a sum from this hospital must hold at least.",
    "sites_min": "Sites that a plan must require for every sum.",
    "endpoints": "Endpoints that patients here consented to be studied for.",
    "releases": "Results about this hospital alone that may leave, by name: counts,\n"
    "# site-results (its own C-index), table-1 (its own means and counts, none below cell_min),\n"
    "# local-model (a model trained here only), duplicates (marks of its rows, summed with those\n"
    "# of other sites under a common salt, to look for subjects who are at two sites),\n"
    "# pooling (its subjects may lie beside those of other sites on one machine: public data).",
    "update_norm_max": "Largest L2 norm of a model update.",
    "plan_rounds_max": "Largest number of training rounds in one plan.",
    "statistics": "Statistics that are answered beside an experiment, where the plan names them.",
    "statistics_subjects_min": "Subjects that a statistic must sum at least, or none.",
    "cell_min": "Smallest count about this hospital alone that is told.",
    "stratum_events_min": "Events that a Cox model needs here at least, or none.",
    "covariates_per_subject_max": "Largest number of covariates of a Cox model for each subject.",
    "grid_days_min": "Narrowest interval of time in which events are counted, in days.",
    "difference_min": "Fewest subjects by which two answers may differ; fewer could be found by\n"
    "# subtraction. 0 switches the check off.",
    "queries_max": "Questions that are answered about one cohort under one plan.",
    "custom_code": "Whether a plan may bring a network of its own, as code that a person here has\n"
    "# read; it runs in an isolated worker only.",
    "isolation_min": "How well that worker must be confined: full, partial (no file, no network),\n"
    "# or limits (memory and time only). `fedpet node isolation` tells what this machine gives.",
    "work_seconds_max": "Longest time that the worker may take for one request.",
    "work_memory_gb": "Most memory that the worker may hold, in GiB.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this hospital allows; see `COMMENTS` for each rule in its own words."""

    subjects_min: int = 10
    sites_min: int = 3
    endpoints: tuple[str, ...] = ("pfs", "os", "response", "early_failure")
    releases: tuple[str, ...] = ("counts", "site-results", "table-1")
    update_norm_max: float = 10.0
    plan_rounds_max: int = 500
    statistics: tuple[str, ...] = STATISTICS
    statistics_subjects_min: int = 20
    cell_min: int = 5
    stratum_events_min: int = 5
    covariates_per_subject_max: float = 0.33
    grid_days_min: float = 7.0
    difference_min: int = 5
    queries_max: int = 5000
    custom_code: bool = False
    isolation_min: str = "full"
    work_seconds_max: float = 3600.0
    work_memory_gb: float = 8.0

    def objections(self, plan: Plan) -> tuple[str, ...]:
        """List every reason to refuse `plan`; none means that a person may approve it."""
        found = []
        asked = (*plan.endpoints.survival, *plan.endpoints.binary)
        if unknown := [name for name in asked if name not in self.endpoints]:
            found.append(f"Patients here did not consent to the study of {', '.join(unknown)}.")
        if plan.sites.sites_min < self.sites_min:
            found.append(
                f"Sums may be formed from {plan.sites.sites_min} sites; "
                f"this hospital requires {self.sites_min}."
            )
        if plan.privacy.update_norm_max > self.update_norm_max:
            found.append(
                f"Updates may have norm {plan.privacy.update_norm_max:g}; "
                f"this hospital allows {self.update_norm_max:g}."
            )
        if plan.training.rounds > self.plan_rounds_max:
            found.append(
                f"The plan trains for {plan.training.rounds} rounds; "
                f"this hospital allows {self.plan_rounds_max}."
            )
        if plan.model.code and not self.custom_code:
            found.append(
                f"The plan brings code of its own ({plan.model.code}); "
                "this hospital runs installed networks only."
            )
        if plan.intended_use != "research":
            found.append(f"The plan's use is '{plan.intended_use}'; only research is allowed.")
        return tuple(found)


def write_policy(policy: Policy, path: Path) -> None:
    """Write a policy as commented TOML."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("This hospital's policy; the node enforces it on every request."))
    for name, value in asdict(policy).items():
        document.add(tomlkit.nl())
        for line in COMMENTS[name].split("\n# "):
            document.add(tomlkit.comment(line))
        document.add(name, list(value) if isinstance(value, tuple) else value)
    path.write_text(tomlkit.dumps(document), encoding="utf-8")


def read_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        StoreError: If a key is unknown or a value has another type than expected.
    """
    import tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"policy.toml is not TOML: {error}.") from error
    defaults = asdict(Policy())
    problems = [f"unknown key '{name}'" for name in values if name not in defaults]
    for field in fields(Policy):
        value = values.get(field.name, defaults[field.name])
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = tuple(value)
        if isinstance(defaults[field.name], float) and type(value) is int:
            value = float(value)
        if type(value) is not type(defaults[field.name]) or (
            isinstance(value, int | float) and not 0 <= value < math.inf
        ):
            kind = type(defaults[field.name]).__name__.replace("tuple", "list of texts")
            problems.append(f"'{field.name}' is {value!r}, expected a {kind}, not negative")
        values[field.name] = value
    if values["isolation_min"] not in LEVELS:
        problems.append(
            f"'isolation_min' is {values['isolation_min']!r}, expected one of {', '.join(LEVELS)}"
        )
    if problems:
        raise StoreError(
            f"policy.toml: {'; '.join(problems)}.",
            do="Correct the file; its comments tell each rule.",
        )
    return Policy(**values)
