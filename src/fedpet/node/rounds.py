"""How often a plan may ask: every step once, every round once, no more steps than allowed.

Rules:
1. A step that was answered is answered again only for the very same question, which gives the
   same answer: a repeated delivery costs nothing and tells nothing.
2. A round of a fit is trained once in an experiment, under one step; there are as many fits as
   the plan has folds, and one on everybody. A statistic that fits, where the plan and the
   hospital allow it, has fits of its own, such as `leave-one-site-out/without-nice`; each round
   of them is a question that `queries_max` counts.
3. An experiment asks at most `experiment_steps_max` steps, a plan is run at most
   `plan_experiments_max` times.
4. A hospital's own C-index is told of as many models as an experiment judges, and no more: whoever
   may rank its subjects at will, again and again, learns who they are.
5. An experiment is answered from the cohort that it began with, member for member.
"""

from __future__ import annotations

import hashlib

from fedpet.federation.messages import Request
from fedpet.node.policy import Policy
from fedpet.node.store import Store
from fedpet.plan import Plan

OWN, OWN_EACH_FOLD = "own-results/", 4  # models whose C-index is told apart, for each fold


def edition_of(subjects: tuple[str, ...]) -> str:
    """Return the digest of a set of subjects, whatever their order."""
    return hashlib.sha256("\n".join(sorted(subjects)).encode()).hexdigest()


def round_of(request: Request) -> str | None:
    """Name what a request takes of an experiment, or None if it takes nothing.

    A round of a fit that it trains or votes on, or a result of this hospital's own.
    """
    if request.kind == "concordance":
        return OWN + request.step
    if request.kind not in ("train", "vote"):
        return None
    choice = request.body.get("select")
    fold = choice.get("fold") if isinstance(choice, dict) else choice
    if isinstance(choice, dict) and choice.get("half") is not None:
        fold = f"half {choice['half']!r:.40}"
    release = request.body.get("release") or "sum"
    parts = request.step.split("/")
    if parts[0] == "statistics":
        release = f"{'/'.join(parts[1:3])}/{release}"
    return f"{release}/{fold!r:.40}/{request.body.get('round')!r:.40}"


def objections(
    request: Request, plan: Plan, policy: Policy, *, question: str, edition: str, store: Store
) -> tuple[str, ...]:
    """List what speaks against answering a request once more, or another one still.

    Args:
        request: What is asked.
        plan: The approved plan.
        policy: The hospital's.
        question: Digest of what is asked.
        edition: Which members the cohort has now.
        store: What was answered before.
    """
    found = [*_beyond_the_plan(request, plan)]
    before = store.step(request.experiment, request.step)
    if before is not None and before != question:
        found.append("This step was asked before, with another question.")
    round_ = round_of(request)
    if round_ is not None and store.step_of_round(request.experiment, round_) not in (
        None,
        request.step,
    ):
        found.append("This round was asked before, under another step.")
    found += _beyond_the_models(request, plan, store=store)
    begun = store.experiment(request.experiment)
    if begun is None:
        runs = len(store.experiments(request.plan))
        if runs >= policy.plan_experiments_max:
            found.append(f"The plan was run {runs} times; this hospital allows no more.")
        return tuple(found)
    if begun.plan != request.plan:
        found.append("The experiment belongs to another plan.")
    if begun.edition != edition:
        found.append(
            "Since this experiment began, subjects of this hospital have withdrawn or its cohort "
            "was built anew; it takes no further part in it, and would in a new one."
        )
    if before is None and store.steps(request.experiment) >= policy.experiment_steps_max:
        found.append(
            f"The experiment has asked {policy.experiment_steps_max} steps; "
            "this hospital answers no more."
        )
    return tuple(found)


def _beyond_the_models(request: Request, plan: Plan, *, store: Store) -> list[str]:
    """Object to more results of this hospital alone than there are models to judge."""
    if request.kind != "concordance" or store.step(request.experiment, request.step) is not None:
        return []
    most = OWN_EACH_FOLD * plan.evaluation.folds
    if store.rounds(request.experiment, OWN) < most:
        return []
    return [f"The C-index at this hospital alone was told of {most} models; of no more in one run."]


def _beyond_the_plan(request: Request, plan: Plan) -> list[str]:
    """Object to a fit that the plan does not have; `training.loop` knows its rounds."""
    if request.kind != "train":
        return []
    choice = request.body.get("select")
    fold = choice.get("fold") if isinstance(choice, dict) else None
    folds = plan.evaluation.folds
    if fold is not None and (type(fold) is not int or not 0 <= fold < folds):
        return [f"The plan has folds 0 to {folds - 1}, and no other."]
    return []
