"""The hospital's own rules. A plan cannot weaken them; the strictest of both holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from fedpet.errors import StoreError
from fedpet.node import window
from fedpet.node.files import replace, require_owner_writes
from fedpet.plan import STATISTICS, Plan
from fedpet.tomldoor import did_you_mean

VOTE_BY = ("loss", "c-index")
SIZE_LIMIT_BYTES = 1 << 16

LEVELS = ("limits", "partial", "full")
PRIVACY = ("none", "distributed", "local")  # from the least to the most that is hidden
COMMENTS = {
    "subjects_min": "Subjects that a sum from this hospital must hold at least.",
    "sites_min": "Sites that a plan must require for every sum.",
    "endpoints": "Endpoints that patients here consented to be studied for.",
    "releases": "Results about this hospital alone that may leave, by name: counts,\n"
    "# site-results (its own C-index), table-1 (its own means and counts, none below cell_min),\n"
    "# votes (one bit on a candidate for the global model), passport (its signed statement on the\n"
    "# models of a run that it took part in),\n"
    "# local-model (a model trained here only), duplicates (marks of its rows, summed with those\n"
    "# of other sites under a common salt, to look for subjects who are at two sites),\n"
    "# site-coefficients (its own Cox model), site-curves (its own counts of events over time),\n"
    "# pooling (its subjects may lie beside those of other sites on one machine: public data).",
    "secure_sum": "required: sums leave masked only, under plans that say so;\n"
    "# optional: also in clear, where the plan switches the secure sum off or asks few sites.",
    "same_sites": "Whether two runs of a plan add the very same summand over the same sites only;\n"
    "# the difference of two sums would tell of the site that is in one of them.",
    "roster": "compared: the secure sum is for the keys that a person here compared with the\n"
    "# other hospitals (`fedpet node members`); told: for those that the coordinator names, who\n"
    "# could name keys of its own and read what this hospital adds.",
    "vote_by": "What this hospital compares when it votes on a candidate for the global model:\n"
    "# loss, or c-index (its own, of the primary endpoint).",
    "vote_worse_max": "By how much it may be worse than the model accepted last: a share of\n"
    "# its loss, or a difference of the C-index.",
    "privacy_audit": "Whether a plan may attack its own models with this hospital's subjects, to\n"
    "# measure what they tell of who trained them; only counts leave.",
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
    "privacy_min": "How a network's training must hide each patient at least: none, distributed\n"
    "# (noise in every sum), or local (all the noise added here).",
    "epsilon_max": "Most that plans with noise may spend on one cohort, in all and for ever.",
    "delta_max": "Largest probability with which that bound may fail.",
    "custom_code": "Whether a plan may bring a network of its own, as code that a person here has\n"
    "# read; it runs in an isolated worker only.",
    "isolation_min": "How well that worker must be confined: full, partial (no file, no network),\n"
    "# or limits (memory and time only). `fedpet node isolation` tells what this machine gives.",
    "work_seconds_max": "Longest time that the worker may take for one request.",
    "work_memory_gb": "Most memory that the worker may hold, in GiB.",
    "plan_experiments_max": "Times that one approved plan may be run.",
    "experiment_steps_max": "Steps that one run may ask, each once.",
    "requesters": "Who may ask, by the name under which they are known; none means whoever has\n"
    "# been enrolled.",
    "compute_hours": 'When this machine computes for others, such as ["19:00-07:00"]; none means\n'
    "# at any hour.",
    "compute_days": "On which days: mon, tue, wed, thu, fri, sat, sun; none means on every day. A\n"
    "# night belongs to the day on which it begins.",
    "time_zone": "Of these hours, such as Europe/Paris; empty means that of the machine.",
}
SECURE_SUM = ("required", "optional")
ROSTER = ("compared", "told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this hospital allows; see `COMMENTS` for each rule in its own words."""

    subjects_min: int = 10
    sites_min: int = 3
    endpoints: tuple[str, ...] = ("pfs", "os", "response", "early_failure")
    releases: tuple[str, ...] = ("counts", "site-results", "table-1", "votes", "passport")
    secure_sum: str = "required"
    same_sites: bool = True
    roster: str = "compared"
    vote_by: str = "loss"
    vote_worse_max: float = 0.1
    privacy_audit: bool = False
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
    privacy_min: str = "none"
    epsilon_max: float = 10.0
    delta_max: float = 1e-3
    custom_code: bool = False
    isolation_min: str = "full"
    work_seconds_max: float = 3600.0
    work_memory_gb: float = 8.0
    plan_experiments_max: int = 200
    experiment_steps_max: int = 10_000
    requesters: tuple[str, ...] = ()
    compute_hours: tuple[str, ...] = ()
    compute_days: tuple[str, ...] = ()
    time_zone: str = ""

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
        if self.secure_sum == "required" and not plan.privacy.secure_sum:
            found.append("The plan switches the secure sum off; this hospital requires it.")
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
        privacy = plan.privacy
        if PRIVACY.index(privacy.differential_privacy) < PRIVACY.index(self.privacy_min):
            found.append(
                f"The plan's noise is '{privacy.differential_privacy}'; "
                f"this hospital requires '{self.privacy_min}' at least."
            )
        if privacy.differential_privacy != "none" and privacy.delta > self.delta_max:
            found.append(
                f"The bound epsilon may fail with probability {privacy.delta:g}; "
                f"this hospital allows {self.delta_max:g}."
            )
        if plan.model.code and not self.custom_code:
            found.append(
                f"The plan brings code of its own ({plan.model.code}); "
                "this hospital runs installed networks only."
            )
        if plan.audit.references and not self.privacy_audit:
            found.append(
                "The plan attacks its own models to measure privacy; "
                "this hospital allows no such audit (privacy_audit)."
            )
        if plan.intended_use != "research":
            found.append(f"The plan's use is '{plan.intended_use}'; only research is allowed.")
        return tuple(found)

    def refusals(self, *, requester: str, now: datetime) -> tuple[str, ...]:
        """List every reason against answering `requester` at this moment.

        Args:
            requester: Who asks, as the engine has authenticated them.
            now: The present moment, with a time zone.
        """
        found = []
        if self.requesters and requester not in self.requesters:
            found.append(f"'{requester:.80}' is not among those whom this hospital answers.")
        hours, days = self.compute_hours, self.compute_days
        found += window.objections(hours, days, self.time_zone, now=now)
        return tuple(found)


def first_policy(*, phantom: bool) -> Policy:
    """Return the rules that a hospital begins with; made-up patients need fewer.

    Args:
        phantom: Whether all subjects are simulated.
    """
    if not phantom:
        return Policy()
    releases = (*Policy().releases, "local-model", "site-coefficients")
    return Policy(
        releases=releases,
        custom_code=True,
        same_sites=False,
        roster="told",
        privacy_audit=True,
    )


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
    replace(path, tomlkit.dumps(document).encode())


def read_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        StoreError: If a key is unknown, a value is not what is expected, or others can write the
            file.
    """
    require_owner_writes(path)
    return _once_read(text_of(path))


@lru_cache(maxsize=64)
def _once_read(text: str) -> Policy:
    """Read the same text once: a policy is read at every request, and seldom changes."""
    return policy_from(text)


def text_of(path: Path) -> str:
    """Return what stands in a policy's file.

    Raises:
        StoreError: If it is no text, or larger than a policy is.
    """
    data = path.read_bytes()
    if len(data) > SIZE_LIMIT_BYTES:
        raise StoreError(f"policy.toml has {len(data)} bytes; at most 64 KiB are read.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StoreError("policy.toml is not UTF-8 text.", do="Save it as UTF-8.") from error


def policy_from(text: str) -> Policy:
    """Read a policy from TOML text.

    Raises:
        StoreError: Listing every mistake.
    """
    import tomllib

    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise StoreError(f"policy.toml is not TOML: {error}.") from error
    defaults = asdict(Policy())
    problems = [
        f"unknown key '{name}'{did_you_mean(name, list(defaults))}"
        for name in values
        if name not in defaults
    ]
    for field in fields(Policy):
        values[field.name], wrong = _value(
            field.name, values.get(field.name, defaults[field.name]), defaults[field.name]
        )
        problems += wrong
    if not problems:
        problems += _beyond_types(values)
    if problems:
        raise StoreError(
            f"policy.toml: {'; '.join(problems)}.",
            do="Correct the file; its comments tell each rule.",
        )
    return Policy(**values)


def _value(name: str, value: object, default: object) -> tuple[object, list[str]]:
    """Return a value as a policy holds it, and what is wrong with its type."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = tuple(value)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    negative = isinstance(value, int | float) and not 0 <= value < math.inf
    if type(value) is type(default) and not negative:
        return value, []
    kind = type(default).__name__.replace("tuple", "list of texts")
    return value, [f"'{name}' is {value!r:.60}, expected a {kind}, not negative"]


def _beyond_types(values: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with values of the right type."""
    hours, days = values["compute_hours"], values["compute_days"]
    found = list(window.mistakes(hours, days, values["time_zone"]))
    choices = (
        ("isolation_min", LEVELS),
        ("privacy_min", PRIVACY),
        ("secure_sum", SECURE_SUM),
        ("roster", ROSTER),
        ("vote_by", VOTE_BY),
    )
    for name, allowed in choices:
        if values[name] not in allowed:
            found.append(f"'{name}' is {values[name]!r}, expected one of {', '.join(allowed)}")
    return found
