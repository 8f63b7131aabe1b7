"""Why a request gets nothing: pure functions of values, each returning all of its reasons."""

from __future__ import annotations

from fedpet.cohort.samples import Cohort
from fedpet.federation.messages import Request
from fedpet.node.policy import Policy
from fedpet.plan import Plan
from fedpet.training.selection import in_half, subjects_behind, subjects_left_out
from fedpet.training.work import WORK

RELEASES = {
    "counts": ("count",),
    "site-results": ("concordance", "site-performance", "combat-reference"),
    "votes": ("vote",),
    "passport": ("attest",),
    "table-1": ("describe-site",),
    "local-model": ("train", "fit-cox"),
    "site-coefficients": ("cox-effect",),
    "site-curves": ("curve",),
}
HALVED = ("initialise", "train", "gradient")
ALSO_SUMMED = ("count", "train", "cox-effect", "curve")  # answered without a release as well


def to_the_work(request: Request, policy: Policy) -> tuple[str, ...]:
    """Object to work that is not known, and to what would tell of this hospital alone."""
    release, kind = request.body.get("release"), request.kind
    found = []
    if kind not in WORK:
        found.append(f"'{kind:.80}' is not among the work that this node knows.")
    if release is None:
        for name, kinds in RELEASES.items():
            if kind in kinds and kind not in ALSO_SUMMED:
                found.append(f"'{kind}' is answered as the release '{name}' only.")
        if kind == "train" and request.body.get("repeat", 1) != 1:
            found.append("Several rounds in a row are the release 'local-model'.")
        return tuple(found)
    if release not in policy.releases:
        found.append(f"This hospital does not release '{release!s:.80}'.")
    if kind not in RELEASES.get(str(release), ()):
        found.append(f"The release '{release!s:.80}' does not cover '{kind:.80}'.")
    return tuple(found)


def to_the_release(request: Request, plan: Plan) -> tuple[str, ...]:
    """Object to a release that the plan, as a person here read it, does not ask for."""
    asked = {
        "site-results": plan.evaluation.site_results,
        "local-model": bool({"local", "pooled", "ensemble"} & set(plan.evaluation.baselines)),
    }
    release = str(request.body.get("release"))
    if asked.get(release, True):
        return ()
    return (f"The plan does not ask for the release '{release}'.",)


def to_the_audit(cohort: Cohort, plan: Plan, request: Request, policy: Policy) -> tuple[str, ...]:
    """Object to random halves outside a privacy audit, and to an attack on few subjects.

    Sums of anything else over many random halves could be solved for single subjects.
    """
    choice = request.body.get("select")
    halved = isinstance(choice, dict) and choice.get("half") is not None
    if halved and request.kind not in HALVED:
        return (f"'{request.kind:.80}' is not computed on halves of the privacy audit.",)
    if request.kind != "attack":
        return ()
    if not plan.audit.references:
        return ("The plan does not attack its models.",)
    members = int(in_half(cohort, plan, 0).sum())
    if min(members, len(cohort.subjects) - members) < policy.subjects_min:
        return ("One half of this hospital's subjects is fewer than it requires for a sum.",)
    return ()


def to_the_cohort(cohort: Cohort, plan: Plan) -> tuple[str, ...]:
    """Object to a cohort that is not what the plan reads."""
    found = []
    if cohort.spacing_mm != plan.inputs.spacing_mm:
        found.append(
            f"Cohort '{plan.cohort}' stands on a grid of {cohort.spacing_mm:g} mm here; "
            f"the plan reads images at {plan.inputs.spacing_mm:g} mm."
        )
    if cohort.suv != "bw":
        found.append(
            f"Cohort '{plan.cohort}' holds SUV by '{cohort.suv}' here; "
            "plans read SUV by body weight ('bw')."
        )
    return tuple(found)


def to_lone_sums(cohort: Cohort, plan: Plan, request: Request) -> tuple[str, ...]:
    """Object to a masked sum of which this hospital, or one other alone, would be the content.

    A sum is counted by the hospitals in it, so each of them must have something to add: zeros
    hide nobody. A selection by hospital belongs to a pooled cohort, which is in no masked sum.

    Args:
        cohort: As it may be answered for.
        plan: The approved plan.
        request: The question, without its mask.

    Raises:
        UpdateError: If the request's selection is not understood.
    """
    if request.body["select"].get("members") is not None:
        return ("A sum over hospitals is about all of them; it selects none by name.",)
    endpoint = request.body.get("endpoint")
    if endpoint is not None and endpoint not in (*plan.endpoints.survival, *plan.endpoints.binary):
        return (f"The plan does not name the endpoint '{endpoint}'.",)
    if subjects_behind(cohort, plan, request.body) == 0:
        return (
            "This hospital has no subject to add, so it stays out of the sum: the hospitals in a "
            "sum are those whom it is about.",
        )
    return ()


def to_small_sums(cohort: Cohort, plan: Plan, request: Request, policy: Policy) -> tuple[str, ...]:
    """Object to an answer that sums few subjects, or that leaves few out, but not nobody.

    A cohort below the plan's own minimum is told its size and nothing else.

    Raises:
        UpdateError: If the request's selection is not understood.
    """
    least = policy.subjects_min
    found = []
    if len(cohort.subjects) < plan.sites.subjects_min and request.body.get("release") != "counts":
        found.append(
            f"This hospital has fewer than the {plan.sites.subjects_min} subjects that the plan "
            "asks of a site."
        )
    if 0 < subjects_behind(cohort, plan, request.body) < least:
        found.append(
            f"The answer would sum fewer than the {least} subjects that this hospital requires."
        )
    if 0 < subjects_left_out(cohort, plan, request.body) < least:
        found.append(
            f"The answer would leave out fewer than {least} subjects; "
            "their sum could be found by subtraction."
        )
    return tuple(found)
