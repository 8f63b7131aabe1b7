"""A hospital's own rule on candidates for the global model: better, or not much worse, or no."""

from __future__ import annotations

from fedpet.federation.messages import Request
from fedpet.federation.votes import Vote, digests, signed
from fedpet.node.policy import Policy
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan
from fedpet.privacy.identity import Identity


def objections(request: Request, plan: Plan) -> tuple[str, ...]:
    """Object to scores and votes that the plan, as a person here read it, does not ask for."""
    if request.kind not in ("score", "vote"):
        return ()
    round_ = request.body.get("round")
    if not plan.acceptance.every:
        return ("The plan asks for no votes on its models.",)
    first = request.kind == "score" and round_ == 0
    if type(round_) is not int or not (first or plan.acceptance.due(round_, plan.training.rounds)):
        return ("The plan asks for no vote in this round.",)
    choice = request.body.get("select")
    if not isinstance(choice, dict) or choice.get("guard") != "in":
        return ("Models are judged on the subjects that are kept for it, and no others.",)
    return ()


def accepts(measured: Parameters, policy: Policy) -> bool:
    """Decide by the hospital's own rule.

    Args:
        measured: `loss` and `c_index`, each [candidate, accepted], from `training.accepting.vote`.
        policy: Says what is compared, and by how much a candidate may be worse.
    """
    candidate, accepted = measured[{"loss": "loss", "c-index": "c_index"}[policy.vote_by]]
    if policy.vote_by == "loss":
        return bool(candidate <= accepted + policy.vote_worse_max * abs(accepted))
    return bool(candidate >= accepted - policy.vote_worse_max)


def voted(
    measured: Parameters, request: Request, *, policy: Policy, identity: Identity
) -> dict[str, Array]:
    """Turn what was measured into the one bit that leaves, signed."""
    candidate, accepted = digests(request.arrays)
    vote = Vote(
        site=request.site,
        plan=request.plan,
        experiment=request.experiment,
        step=request.step,
        candidate=candidate,
        accepted=accepted,
        accepts=accepts(measured, policy),
        key=identity.public.key.hex(),
    )
    return signed(vote, identity)
