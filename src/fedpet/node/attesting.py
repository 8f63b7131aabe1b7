"""What this hospital signs of the models of a run that it took part in, for their passports."""

from __future__ import annotations

from fedpet.cohort.samples import Cohort
from fedpet.federation.messages import Request
from fedpet.federation.statements import Statement, require_models, signed
from fedpet.node.rounds import edition_of
from fedpet.parameters import Array
from fedpet.privacy.identity import Identity


def attested(
    request: Request, cohort: Cohort, *, identity: Identity, epsilon: float | None
) -> dict[str, Array]:
    """Return the signed statement on the models that a request names.

    Args:
        request: Names models by the SHA-256 of their files.
        cohort: The cohort that this hospital answers from.
        identity: The hospital's key.
        epsilon: What plans with noise have spent on the cohort; None without noise.

    Raises:
        RefusalError: If the request names no models.
    """
    statement = Statement(
        site=request.site,
        plan=request.plan,
        experiment=request.experiment,
        models=require_models(request.body.get("models")),
        cohort=cohort.fingerprint,
        subjects=edition_of(cohort.subjects),
        epsilon=epsilon,
        key=identity.public.key.hex(),
    )
    return signed(statement, identity)
