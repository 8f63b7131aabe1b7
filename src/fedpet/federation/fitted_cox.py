"""A Cox model that can ask its federation about its own assumptions."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, fields
from typing import Protocol, TypeVar

from fedpet.federation.asking import Execution
from fedpet.federation.records import Record
from fedpet.federation.statistics import cox_checks
from fedpet.federation.statistics.cox_checks import Heterogeneity
from fedpet.federation.statistics.cox_model import CoxModel
from fedpet.federation.statistics.time_grid import WEEKS, TimeGrid
from fedpet.survival.proportional_hazards import ProportionalHazards, Transform
from fedpet.survival.random_effects import Method

Result = TypeVar("Result")


class Asks(Protocol):
    """What a fitted model needs of a federation."""

    @property
    def execution(self) -> Execution:
        """Plan, engine and journal."""
        ...

    def answer(self, statistic: Generator[Record, None, Result]) -> Result:
        """Run a statistic to its end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCox(CoxModel):
    """A fitted Cox model, as `Federation.cox` returns it.

    Args:
        federation: Whom to ask more.
    """

    federation: Asks = field(repr=False, compare=False)

    @classmethod
    def of(cls, model: CoxModel, federation: Asks) -> FittedCox:
        """Return a model that knows its federation."""
        values = {one.name: getattr(model, one.name) for one in fields(CoxModel)}
        return cls(**values, federation=federation)

    def check_proportional_hazards(
        self, transform: Transform = "km", *, grid: TimeGrid = WEEKS
    ) -> ProportionalHazards:
        """Test whether hazard ratios stay the same over time (Grambsch and Therneau).

        Args:
            transform: `identity`, `log`, `km` or `rank`.
            grid: Cells of time for `km` and `rank`, with the site as stratum.
        """
        return self.federation.answer(
            cox_checks.proportional_hazards(
                self.federation.execution, self, transform=transform, grid=grid
            )
        )

    def heterogeneity(
        self,
        covariate: str,
        *,
        method: Method = "reml",
        hartung_knapp: bool = True,
        by_hospital: bool = False,
    ) -> Heterogeneity:
        """Summarise one coefficient over hospitals that each fit the model alone.

        Args:
            covariate: One of the model's.
            method: `reml` or `dersimonian-laird`.
            hartung_knapp: Whether the interval follows Hartung and Knapp.
            by_hospital: Whether hospitals are asked to release their own coefficients.
        """
        return self.federation.answer(
            cox_checks.heterogeneity(
                self.federation.execution,
                self,
                covariate,
                method=method,
                hartung_knapp=hartung_knapp,
                by_hospital=by_hospital,
            )
        )
