"""How a plan hides each patient, in words: what noise, against whom, and what epsilon means."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from fedpet.errors import NotFoundError, StoreError
from fedpet.plan import Plan
from fedpet.privacy.accountant import best_attack, epsilon_of, planned

EXAMPLES = (50, 100, 200)
REST = (
    "The noise covers the network's training only: counts, scaling, Cox models and evaluation are "
    "exact sums."
)


def privacy_in_words(plan: Plan, *, subjects: tuple[int, ...] = EXAMPLES) -> tuple[str, ...]:
    """Return what a plan's noise promises at hospitals of some sizes.

    Examples:
        >>> from fedpet.plan import Inputs, Plan
        >>> plan = Plan(name="p", title="t", cohort="c",
        ...             inputs=Inputs(clinical=("age_years",), biomarkers=()))
        >>> privacy_in_words(plan)[0]
        'No noise is added: nothing bounds formally what the network tells of one patient.'
    """
    privacy = plan.privacy
    if privacy.differential_privacy == "none":
        return (
            "No noise is added: nothing bounds formally what the network tells of one patient.",
            "What limits it: sums over hospitals, minimum numbers, and the length of updates.",
        )
    if privacy.differential_privacy == "local":
        told = (
            "Each hospital adds all the noise itself, at every step: it protects from everybody, "
            "also from the coordinator."
        )
    else:
        told = (
            "Every step is one sum over hospitals, and each adds a share of the noise: it protects "
            "from all who see the sum, as long as the shares stay hidden in the secure sum and "
            f"{privacy.honest_sites_min} hospitals are honest."
        )
    return (
        told,
        f"A patient's gradient is scaled down to length {privacy.clip_norm:g}; the noise of a step "
        f"is {privacy.noise_multiplier:g} times that.",
        *_promises(plan, subjects),
        REST,
    )


def account_in_words(plan: Plan, hospital: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a hospital's account of epsilon says of a plan, and what it objects to.

    Args:
        plan: A plan that was proposed there.
        hospital: The hospital's folder, with `node` and maybe a built `cohort`.
    """
    from fedpet.cohort.manifest import read_manifest
    from fedpet.node.budget import Budget
    from fedpet.node.policy import Policy, read_policy

    node, delta = hospital / "node", plan.privacy.delta
    if plan.privacy.differential_privacy == "none" or not (node / "epsilon.db").exists():
        return (), ()
    path = node / "policy.toml"
    policy = read_policy(path) if path.exists() else Policy()
    told: list[str] = []
    with closing(Budget(node)) as budget:
        spent = budget.epsilon(plan.cohort, delta=delta)
        told.append(
            f"Plans with noise have spent epsilon {spent:.2f} of {policy.epsilon_max:g} on cohort "
            f"'{plan.cohort}'."
        )
        try:
            subjects = len(read_manifest(hospital / "cohort").subjects)
        except NotFoundError:
            return tuple(told), ()
        objections = budget.objections(plan, policy, subjects=subjects)
    return (*told, *_promises(plan, (subjects,))), objections


def _promises(plan: Plan, subjects: tuple[int, ...]) -> tuple[str, ...]:
    delta = plan.privacy.delta
    try:
        epsilons = [epsilon_of(planned(plan, subjects=count), delta=delta) for count in subjects]
    except StoreError as error:
        return (f"Epsilon is not shown here: {error.title} {' '.join(error.do)}",)
    return tuple(
        f"At a hospital of {count} subjects: epsilon {epsilon:.1f} at delta {delta:g}. Of those "
        f"who took part, no attack finds more than {best_attack(epsilon, delta):.0%} at 1 % false "
        "alarms."
        for count, epsilon in zip(subjects, epsilons, strict=True)
    )
