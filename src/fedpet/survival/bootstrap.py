"""Numbers with intervals: Poisson weights drawn at the site, and what the replicates say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REPLICATES_MIN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval, None where nothing could give one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A statistic on the data and on every bootstrap replicate.

    Args:
        replicates: [R + 1]; first the data themselves. NaN where it is not defined.
    """

    replicates: Floats

    def estimate(self) -> Estimate | None:
        """Return value and percentile interval, or None if the data do not define it."""
        value = float(self.replicates[0])
        if not np.isfinite(value):
            return None
        known = self.replicates[1:][np.isfinite(self.replicates[1:])]
        if len(known) < REPLICATES_MIN:
            return Estimate(value=value, low=None, high=None)
        low, high = np.quantile(known, [0.025, 0.975])
        return Estimate(value=value, low=float(low), high=float(high))

    def minus(self, other: Measured) -> Measured:
        """Return the paired difference; both must come from the same run."""
        return Measured(replicates=self.replicates - other.replicates)


def bootstrap_weights(keys: Sequence[str], *, replicates: int, seed: int) -> Floats:
    """Draw Poisson(1) weights at the site, the same for every model of a run.

    Args:
        keys: Something that names each subject at its site only; it does not leave.
        replicates: R.
        seed: The plan's seed.

    Returns:
        [R + 1, n], the first row ones.

    Source:
        Hanley & MacGibbon 2006 (Poisson bootstrap).
    """
    weights = np.ones((replicates + 1, len(keys)))
    for column, key in enumerate(keys):
        number = int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:16], "little")
        weights[1:, column] = np.random.Generator(np.random.PCG64(number)).poisson(1.0, replicates)
    return weights


def scatter(weights: Floats, bins: NDArray[np.int64], count: int) -> Floats:
    """Add the columns of `weights`, [rows, n], into their bins, [rows, count].

    Examples:
        >>> scatter(np.array([[1.0, 1.0, 2.0]]), np.array([0, 2, 2]), 3).tolist()
        [[1.0, 0.0, 3.0]]
    """
    summed = np.zeros((len(weights), count))
    if len(bins):
        order = np.argsort(bins, kind="stable")
        found, first = np.unique(bins[order], return_index=True)
        summed[:, found] = np.add.reduceat(weights[:, order], first, axis=1)
    return summed


def ratio(above: Floats, below: Floats, *, empty: float = np.nan) -> Floats:
    """Divide where the divisor is positive; `empty` elsewhere.

    Examples:
        >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0]), empty=0.0).tolist()
        [0.5, 0.0]
    """
    above, below = np.broadcast_arrays(above, below)
    divided: Floats = np.divide(above, below, out=np.full(above.shape, empty), where=below > 0)
    return divided
