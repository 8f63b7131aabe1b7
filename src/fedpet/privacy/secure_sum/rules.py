"""What a site refuses before a secret of its own is at stake. Each rule stops a named attack.

A rule is a function of values; `site` calls each by this module's name, so that a test can take
one away and watch the attack succeed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fedpet.errors import RefusalError
from fedpet.privacy.identity import Roster
from fedpet.privacy.secure_sum.keys import authenticate, same

SITES_LEAST = 3


def require_cohort(
    cohort: Sequence[str], *, site: str, roster: Roster, sites_min: int, slots: int, slots_max: int
) -> None:
    """Refuse a cohort that is too small, holds strangers, or leaves this site out.

    Raises:
        RefusalError: Naming what is wrong.
    """
    least = max(SITES_LEAST, sites_min)
    if len(cohort) < least:
        raise RefusalError(
            f"A sum over {len(cohort)} sites could be traced back; {least} are needed here."
        )
    if list(cohort) != sorted(set(cohort)) or site not in cohort:
        raise RefusalError("The cohort of a secure sum is not a sorted list with this site in it.")
    for name in cohort:
        roster.of(name)
    if not 1 <= slots <= slots_max:
        raise RefusalError(f"A batch of the secure sum has 1 to {slots_max} slots.")


def require_included(
    included: Sequence[str], *, cohort: Sequence[str], site: str, least: int
) -> None:
    """Refuse to mask among too few sites, or among sites that prepared nothing together.

    Raises:
        RefusalError: Naming what is wrong.
    """
    if list(included) != sorted(set(included)) or not set(included) <= set(cohort):
        raise RefusalError("A sum is asked for over sites that did not prepare it together.")
    if site not in included or len(included) < least:
        raise RefusalError(f"A sum over {len(included)} sites; {least} are needed here.")


def require_survivors(survivors: Sequence[str], *, included: Collection[str], least: int) -> None:
    """Refuse to open a sum over too few sites, or over sites that were not masked with.

    Raises:
        RefusalError: Naming what is wrong.
    """
    if list(survivors) != sorted(set(survivors)) or not set(survivors) <= set(included):
        raise RefusalError("A sum would be opened over sites that were not part of it.")
    if len(survivors) < least:
        raise RefusalError(
            f"The sum would be opened over {len(survivors)} sites; {least} are needed here."
        )


def require_unused(used: bytes | None, tag: bytes) -> None:
    """Refuse to use one slot's secrets for two sums.

    Raises:
        RefusalError: If the slot served another tag before.
    """
    if used is not None and used != tag:
        raise RefusalError("This slot of the secure sum has served another sum already.")


def require_one_vector(before: str, now: str) -> None:
    """Refuse to mask two vectors under one tag.

    Raises:
        RefusalError: If another vector was masked for this attempt of this step.
    """
    if before != now:
        raise RefusalError(
            "Another vector was masked for this attempt of this step; a new attempt is needed."
        )


def require_one_view(before: str, now: str) -> None:
    """Refuse to confirm, or open, one step's sum over two different sets of sites.

    The difference of two such sums would be a single site's summand.

    Raises:
        RefusalError: If the step's sum was confirmed over other sites.
    """
    if before != now:
        raise RefusalError(f"The sum of this step was promised over other sites: {before}.")


def require_same_sites(before: str, now: str) -> None:
    """Refuse to open the very same summand in two runs of a plan over two sets of sites.

    The difference of the two sums would be the summands of those who are in one of them.

    Raises:
        RefusalError: If it was opened over other sites in another run.
    """
    if before != now:
        raise RefusalError(
            f"In another run of this plan the same was summed over other sites: {before}. Ask "
            "those, or propose the plan anew."
        )


def require_confirmed(
    confirmations: Mapping[str, bytes],
    *,
    keys: Mapping[str, bytes],
    statement: bytes,
    least: int,
) -> None:
    """Refuse to open a sum until enough sites confirmed to this one over whom it is.

    Args:
        confirmations: By site, its confirmation made for this site.
        keys: By site, the key that only it and this site know.
        statement: What must have been confirmed.
        least: Confirmations needed, this site's own included.

    Raises:
        RefusalError: If there are fewer.
    """
    good = sum(
        name in keys and same(authenticate(keys[name], statement), confirmation)
        for name, confirmation in confirmations.items()
    )
    if good + 1 < least:
        raise RefusalError(
            f"{good + 1} sites confirmed over whom the sum is opened; {least} are needed."
        )


def require_one_kind(kinds: Mapping[str, str], asked: Mapping[str, str]) -> None:
    """Refuse to give both kinds of share of one site: together they would bare its summand.

    Raises:
        RefusalError: If the other kind was given before.
    """
    for name, kind in asked.items():
        if kinds.get(name, kind) != kind:
            raise RefusalError(f"The other mask of '{name}' was opened before.")
