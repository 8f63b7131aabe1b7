"""What people of the hospital do at their node: read, decide, set rules, take subjects out.

It works on the node's folder and needs neither the cohort nor a node that runs; whatever is
decided here holds at the next request.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedpet.errors import DataError, NotFoundError, StoreError
from fedpet.node import members
from fedpet.node.approvals import Approvals, require_person
from fedpet.node.audit import Audit
from fedpet.node.audit_fields import fitting
from fedpet.node.files import replace
from fedpet.node.policy import Policy, policy_from, read_policy, text_of, write_policy
from fedpet.node.store import Absent, Begun, Proposal, Store
from fedpet.plan import Plan
from fedpet.privacy.identity import Identity
from fedpet.tomldoor import did_you_mean

IDENTITY = Path("identity.pem")
FINGERPRINT_LEAST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value of a plan that is another one than in the version before.

    Args:
        key: Dotted, such as `training.rounds`.
        before: The earlier value, None where the key was not there.
        after: The present value.
    """

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What follows from taking subjects out.

    Args:
        subjects: Who was taken out now; pseudonyms.
        resting: Who rests beside them, so that no two sums tell them apart.
        used_by: Experiments that were answered over one of them or more.
    """

    subjects: tuple[str, ...]
    resting: tuple[str, ...]
    used_by: tuple[Begun, ...]


class Desk:
    """A node's folder, opened by a person.

    Args:
        folder: The node's folder, `HOSPITAL/node`.
        site: The hospital's name where no node has run yet.

    Raises:
        StoreError: If a file of the node is damaged, or open to others.
    """

    def __init__(self, folder: Path, *, site: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.site = site_of(folder) or site
        self.policy_path = folder / "policy.toml"
        if not self.policy_path.exists():
            write_policy(Policy(), self.policy_path)
        identity = Identity.load_or_create(folder / IDENTITY)
        self._store = Store(folder)
        self.audit = Audit(folder, site=self.site, identity=identity)
        self.approvals = Approvals(
            site=self.site, store=self._store, audit=self.audit, identity=identity
        )

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the node's files."""
        self.audit.close()
        self._store.close()

    def find(self, start: str) -> Proposal:
        """Return the plan whose fingerprint begins so.

        Raises:
            NotFoundError: If there is none, or more than one.
        """
        found = [one for one in self.approvals.proposals() if one.fingerprint.startswith(start)]
        if len(start) < FINGERPRINT_LEAST or len(found) != 1:
            raise NotFoundError(
                f"{len(found) if len(start) >= FINGERPRINT_LEAST else 'No'} plans that were "
                f"proposed here begin with '{start:.64}'.",
                do="List them: fedpet node request list HOSPITAL",
            )
        return found[0]

    def before(self, one: Proposal) -> Proposal | None:
        """Return the plan of the same name that was proposed here last before this one."""
        earlier: Proposal | None = None
        for other in self.approvals.proposals():
            if other.fingerprint == one.fingerprint:
                break
            if other.name == one.name:
                earlier = other
        return earlier

    def set_policy(self, key: str, value: str, *, person: str) -> tuple[str, str]:
        """Change one rule; comments and all other rules stay as they are.

        Args:
            key: Name of the rule.
            value: As TOML, such as `12`, `"Europe/Paris"` or `["os"]`; a bare word is a text.
            person: Who changes it.

        Returns:
            The rule's value before and after, as TOML.

        Raises:
            StoreError: If there is no such rule, or the value is not what it takes.
        """
        import tomlkit

        require_person(person)
        known = asdict(Policy())
        if key not in known:
            raise StoreError(
                f"There is no rule '{key:.40}'.{did_you_mean(key, list(known))}",
                do="See all rules: fedpet node policy show HOSPITAL",
            )
        policy = asdict(read_policy(self.policy_path))
        document = tomlkit.parse(text_of(self.policy_path))
        document[key] = _toml(value)
        changed = asdict(policy_from(tomlkit.dumps(document)))
        before, after = (json.dumps(values[key]) for values in (policy, changed))
        self.audit.append(
            what="policy",
            key=fitting("key", key),
            before=fitting("before", before),
            after=fitting("after", after),
            person=fitting("person", person),
        )
        replace(self.policy_path, tomlkit.dumps(document).encode(), durable=True)
        return before, after

    def absent(self) -> list[Absent]:
        """Return the subjects that no answer may be about."""
        return self._store.absent()

    def remove(
        self, subjects: Collection[str], *, cohort: str, known: Collection[str], person: str
    ) -> Removal:
        """Take subjects out of every later answer, at once and for good.

        Args:
            subjects: Pseudonyms.
            cohort: Name of the cohort.
            known: Who is in the built cohort now.
            person: Who takes them out.

        Raises:
            NotFoundError: If nobody of that name is in the cohort or was answered for.
        """
        require_person(person)
        editions = self._store.editions(cohort)
        ever = {name for edition in editions.values() for name in edition} | set(known)
        if strangers := sorted(set(subjects) - ever):
            raise NotFoundError(
                f"{len(strangers)} of {len(set(subjects))} are in no cohort that this node knows.",
                do="Look the pseudonym up: fedpet cohort subject HOSPITAL",
            )
        gone = {one.subject for one in self._store.absent() if one.why == "withdrawn"}
        leaving = gone | set(subjects)
        least = read_policy(self.policy_path).difference_min
        resting = members.companions(
            sorted(set(known) | (leaving & ever)), leaving, tuple(editions.values()), least=least
        )
        self.audit.append(
            what="subject-removed",
            subjects=len(set(subjects)),
            cohort=fitting("cohort", cohort),
            person=fitting("person", person),
        )
        told = dict.fromkeys(resting, "resting") | dict.fromkeys(sorted(subjects), "withdrawn")
        self._store.set_absent(told, person=person)
        used = {e for e, who in editions.items() if set(subjects) & set(who)}
        return Removal(
            subjects=tuple(sorted(set(subjects))),
            resting=resting,
            used_by=tuple(one for one in self._store.experiments() if one.edition in used),
        )


def site_of(folder: Path) -> str | None:
    """Return the name under which a node has kept its audit, or None if it has kept none."""
    try:
        values = json.loads((folder / "audit.head").read_bytes())
        return str(values["site"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("The audit's head, audit.head, was altered.", code="FP-3041") from error


def changes(before: Plan, after: Plan) -> tuple[Change, ...]:
    """List what changed from one version of a plan to the next, key by key.

    Examples:
        >>> from fedpet.plan import Inputs, Plan
        >>> from dataclasses import replace
        >>> plan = Plan(name="p", title="t", cohort="c", inputs=Inputs(clinical=("a",),
        ...             biomarkers=()))
        >>> changes(plan, replace(plan, seed=7))
        (Change(key='seed', before=2026, after=7),)
    """
    old, new = _flat(asdict(before)), _flat(asdict(after))
    return tuple(
        Change(key=key, before=old.get(key), after=new.get(key))
        for key in dict.fromkeys([*new, *old])
        if old.get(key) != new.get(key)
    )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _toml(value: str) -> object:
    """Read one value as TOML; a bare word is a text."""
    import tomllib

    if len(value) > 1000:  # no rule is that long
        raise DataError("The value is too long for a rule.")
    try:
        found: object = tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return value
    return found
