"""Newton's steps over hospitals: every beta is one or two exchanges."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedpet.federation.records import Record
from fedpet.survival.cox import CoxSums
from fedpet.survival.newton import Choice, CoxFit, steps

Floats = NDArray[np.float64]
Evaluate: TypeAlias = Callable[[int, Floats], Generator[Record, None, CoxSums]]


class DropoutError(Exception):
    """A site dropped out in the middle of a fit, which has to begin again without it.

    Args:
        sites: Those that are left.
    """

    def __init__(self, sites: tuple[str, ...]) -> None:
        self.sites = sites


def climb(
    evaluate: Evaluate,
    *,
    covariates: Sequence[str],
    ridge: float | Floats,
    unidentified: Choice = "error",
) -> Generator[Record, None, CoxFit]:
    """Fit by asking for the sums at each beta that `newton.steps` wants.

    Args:
        evaluate: Asks for the sums, given the number of the evaluation from 1 and beta.
        covariates: As in `newton.steps`.
        ridge: As in `newton.steps`.
        unidentified: As in `newton.steps`.

    Raises:
        DropoutError: If `evaluate` does.
    """
    walk = steps(covariates=covariates, ridge=ridge, unidentified=unidentified)
    beta, number = next(walk), 1
    while True:
        sums = yield from evaluate(number, beta)
        try:
            beta = walk.send(sums)
        except StopIteration as stop:
            found: CoxFit = stop.value
            return found
        number += 1
