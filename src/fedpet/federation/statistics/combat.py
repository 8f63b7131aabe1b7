"""Fit ComBat over all sites, to see what it would take out before a plan uses it."""

from __future__ import annotations

from collections.abc import Generator

from fedpet.errors import PlanError
from fedpet.federation.asking import Execution
from fedpet.federation.harmonising import Harmonised, fit_harmonisation
from fedpet.federation.records import Record
from fedpet.federation.statistics.performance import everybody
from fedpet.federation.statistics.question import require_allowed, sites_of
from fedpet.plan import Statistic

COMBAT: Statistic = "combat"


def combat(run: Execution) -> Generator[Record, None, Harmonised]:
    """Fit the plan's harmonisation on all subjects of all sites, in two sums.

    What is harmonised, preserved and moved to comes from the plan (`inputs.harmonise`, `preserve`,
    `harmonise_to`), because hospitals approve it there. The result stays at the coordinator; each
    site estimates its own shifts and scales, which never leave.

    Raises:
        PlanError: If the plan does not allow it, or harmonises nothing.
        DataError: If hospitals differ in the outcome, or a feature or covariate cannot be used.
    """
    require_allowed(run, COMBAT)
    if not run.plan.inputs.harmonise:
        raise PlanError(
            "The plan harmonises no column.",
            do="Name image features in inputs.harmonise; hospitals approve the plan anew.",
        )
    return (yield from fit_harmonisation(run, everybody(run, COMBAT, sites_of(run))))
