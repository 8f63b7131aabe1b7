"""Attack the plan's own network: can anybody tell from a model who trained it?

```
halves 0..R: train the network on a random half of every site  ->  each site attacks model 0
             with the others as references, and counts        ->  sums of counts, with limits
```
Members and others come from the same hospitals, so that nothing but membership tells them apart.
What is measured is the plan's way of training, on half of the subjects: fewer than the experiment
has, which leaks more rather than less.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fedpet.federation.arms import Fitted, initial_network, train_federated
from fedpet.federation.asking import Execution, Question, answered, ask
from fedpet.federation.moments import moments_of
from fedpet.federation.preparation import enrol, everybody
from fedpet.federation.records import Record
from fedpet.parameters import Array
from fedpet.plan import Acceptance, Plan, PrivacyAudit
from fedpet.privacy.accountant import Spending, epsilon_of, sampling_of, steps_in_round
from fedpet.privacy.membership import Found, best_epsilon, found_at

ATTACKS = ("loss", "reference")
FALSE_ALARMS = (0.01, 0.1, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What the attacks on membership reached.

    Args:
        sites: Who took part.
        members: Subjects who trained the attacked model.
        others: Subjects who did not.
        references: Models that the attacker had besides.
        found: By attack, at each threshold.
        roc: By attack: shares of false alarms and of members found, over all thresholds.
        epsilon_best: What a perfect attack could prove with so many subjects.
        epsilon_bound: The accountant's upper bound for one such training; None without noise.
        delta: Of that bound; 0 without noise.
    """

    sites: tuple[str, ...]
    members: int
    others: int
    references: int
    found: Mapping[str, tuple[Found, ...]]
    roc: Mapping[str, tuple[tuple[float, float], ...]]
    epsilon_best: float
    epsilon_bound: float | None
    delta: float

    @property
    def epsilon_proved(self) -> float:
        """The largest lower bound that any of the attacks proves."""
        return max(one.epsilon for each in self.found.values() for one in each)


def audited(plan: Plan, *, references: int) -> Plan:
    """Return the plan that attacks a plan's network: another plan, which hospitals approve anew.

    Args:
        plan: The plan of the experiment.
        references: Models that the attacker has besides the attacked one.
    """
    return replace(
        plan,
        name=f"{plan.name[:46]}-privacy-audit",
        title=f"Privacy audit: {plan.title}"[:300],
        acceptance=Acceptance(),
        audit=PrivacyAudit(references=references),
    )


def attack_membership(run: Execution) -> Generator[Record, None, Membership]:
    """Train on halves, attack, and count.

    Args:
        run: An execution of a plan from `audited`.

    Raises:
        UpdateError: If too few sites answered a step; nothing is lost.
    """
    plan = run.plan
    enrolled = yield from enrol(run)
    fold = replace(everybody(enrolled), name="audit", title="privacy audit")
    fold, moments = yield from moments_of(run, fold)
    prep = moments.preprocessing(plan.inputs.clinical)
    models: dict[str, Array] = {}
    for number in range(plan.audit.references + 1):
        half = replace(
            fold,
            name=f"audit-{number}",
            title=f"privacy audit, half {number + 1} of {plan.audit.references + 1}",
            narrowed={"half": [number, "in"]},
        )
        initial = yield from initial_network(run, half, prep)
        fitted, _ = yield from train_federated(run, half, prep, initial, subjects=moments.subjects)
        models |= _weights(fitted, f"m{number}.")
    scaling = {f"prep.{name}": array for name, array in prep.to_arrays().items()}
    closed = yield from ask(
        run,
        Question(
            step="audit/attack",
            label="Attacking membership",
            kind="attack",
            sites=fold.train_sites,
            body={"columns": list(prep.columns), "select": fold.training()},
            arrays={**scaling, **models},
        ),
    )
    counts = {name: np.rint(array) for name, array in closed.arrays.items()}
    subjects = [enrolled.subjects[site] // 2 for site in answered(closed)]
    return membership_of(plan, counts, sites=answered(closed), subjects=subjects)


def membership_of(
    plan: Plan, counts: Mapping[str, Array], *, sites: tuple[str, ...], subjects: list[int]
) -> Membership:
    """Turn summed counts by score into what the attacks reached.

    Args:
        plan: The audited plan.
        counts: From `training.membership.attack`, summed over sites.
        sites: Who took part.
        subjects: Of each site, in one half; for the accountant.
    """
    members, others = (round(float(counts[f"loss.{who}"].sum())) for who in ("members", "others"))
    noise = plan.privacy.differential_privacy != "none"
    delta = plan.privacy.delta if noise else 0.0
    found, roc = {}, {}
    for name in ATTACKS:
        true = np.cumsum(counts[f"{name}.members"][::-1])
        false = np.cumsum(counts[f"{name}.others"][::-1])
        found[name] = tuple(
            found_at(
                share,
                true=round(float(true[_place(share, len(true))])),
                members=members,
                false=round(float(false[_place(share, len(true))])),
                others=others,
                delta=delta,
                looks=len(ATTACKS) * len(FALSE_ALARMS),
            )
            for share in FALSE_ALARMS
        )
        roc[name] = (
            (0.0, 0.0),
            *(
                (float(f) / max(1, others), float(t) / max(1, members))
                for f, t in zip(false, true, strict=True)
            ),
        )
    return Membership(
        sites=sites,
        members=members,
        others=others,
        references=plan.audit.references,
        found=found,
        roc=roc,
        epsilon_best=best_epsilon(members, others, delta=delta),
        epsilon_bound=_bound(plan, subjects) if noise else None,
        delta=delta,
    )


def _bound(plan: Plan, subjects: list[int]) -> float:
    """Return the accountant's epsilon for one training, where it promises least."""
    bounds = []
    for count in sorted(set(subjects)):
        spent = Spending(
            sampling=sampling_of(plan, subjects=count),
            noise=plan.privacy.noise_multiplier,
            steps=plan.training.rounds * steps_in_round(plan, subjects=count),
        )
        bounds.append(epsilon_of([spent], delta=plan.privacy.delta))
    return max(bounds, default=0.0)


def _place(share: float, bins: int) -> int:
    """Return up to which bin from the top scores speak for membership."""
    return max(0, round(share * bins) - 1)


def _weights(fitted: Fitted, prefix: str) -> dict[str, Array]:
    return {
        prefix + name.removeprefix("model."): array
        for name, array in fitted.arrays.items()
        if name.startswith("model.")
    }
