"""The chance of not being censored, G: the weight of what was seen for what was not.

An event at T counts 1/G for those who were censored before they could show one. Two conventions
are in use: G just before T (riskRegression, R's concordance), or G at T (scikit-survival). Both
are here, because published numbers differ by them in the fourth decimal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpet.survival import kaplan_meier
from fedpet.survival.bootstrap import ratio

Floats = NDArray[np.float64]
When = Literal["before", "at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Censoring:
    """G on the grid of an evaluation.

    Args:
        free: [R + 1 or 1, T + 1], G at each time edge, the first one 1, and behind the last.
        when: Whether an event is weighted with G just `before` its time, or `at` it.
    """

    free: Floats
    when: When

    def event_weights(self) -> Floats:
        """Return 1/G for an event in each time bin, [R + 1, T]; 0 where G is 0."""
        free = self.free[:, :-1] if self.when == "before" else self.free[:, 1:]
        return ratio(np.ones_like(free), free, empty=0.0)

    def at(self, edge: int) -> Floats:
        """Return 1/G at a time edge, [R + 1]; 0 where G is 0."""
        free = self.free[:, edge]
        return ratio(np.ones_like(free), free, empty=0.0)


def censoring(counts: Floats, *, when: When = "before") -> Censoring:
    """Estimate G from counts by time bin; among ties, events come before censorings.

    Args:
        counts: [R + 1 or 1, 2, T]: censored and with the event, of the subjects that are judged
            or of those that the model was fitted to.
        when: See `Censoring`.

    Source:
        Graf et al. 1999; the reversed Kaplan-Meier estimate.

    Examples:
        >>> censoring(np.array([[[1.0, 0.0], [0.0, 1.0]]])).free.tolist()
        [[1.0, 0.5, 0.5]]
    """
    remaining = kaplan_meier.at_risk(counts) - counts[:, 1]
    lost = ratio(counts[:, 0], remaining, empty=0.0)
    steps = np.cumprod(1 - lost, axis=1)
    return Censoring(free=np.concatenate([np.ones((len(counts), 1)), steps], axis=1), when=when)
