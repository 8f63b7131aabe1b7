"""Is a subject like those that a model learned from? Distances in what the model sees, from sums.

The features of the training subjects have a mean and a covariance, both sums over sites. A
subject's squared Mahalanobis distance is compared with the histogram of theirs: the share that was
at least as far is uniform over the training subjects, and near 0 for somebody unlike them.

Source:
    Lee et al. 2018 (Mahalanobis distance on features, one class); Mahalanobis 1936.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHRINKAGE = 0.1
DISTANCE_BINS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Where the training subjects lie.

    Args:
        mean: [q].
        inverse: Inverse of the shrunken covariance, [q, q].
    """

    mean: Floats
    inverse: Floats

    def distance(self, features: Floats) -> Floats:
        """Return squared Mahalanobis distances, [n], of features [n, q]."""
        away = features - self.mean
        squared: Floats = ((away @ self.inverse) * away).sum(axis=1)
        return squared

    def histogram(self, features: Floats) -> Floats:
        """Count subjects by distance, [DISTANCE_BINS]."""
        place = (_unit(self.distance(features), len(self.mean)) * DISTANCE_BINS).astype(np.int64)
        counted = np.bincount(np.minimum(place, DISTANCE_BINS - 1), minlength=DISTANCE_BINS)
        return counted.astype(np.float64)

    def share_as_far(self, features: Floats, histogram: Floats) -> Floats:
        """Return which share of the counted subjects is at least as far, [n]; linear in a bin."""
        beyond = np.concatenate([[0.0], np.cumsum(histogram)]) / histogram.sum()
        place = _unit(self.distance(features), len(self.mean)) * DISTANCE_BINS
        share: Floats = 1 - np.interp(place, np.arange(DISTANCE_BINS + 1), beyond)
        return share


def feature_sums(features: Floats) -> dict[str, Floats]:
    """Sum a site's features [n, q], which are of the size of one, and their products."""
    return {
        "count": np.array([float(len(features))]),
        "sum": features.sum(axis=0),
        "product": features.T @ features,
    }


def likeness_of(summed: Mapping[str, Floats]) -> Likeness:
    """Turn summed `feature_sums` into mean and inverse covariance.

    The covariance is drawn a tenth towards its diagonal, and no variance is below a thousandth of
    the average one, so that features that never vary do not decide.

    Examples:
        >>> found = likeness_of(feature_sums(np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 4.0]])))
        >>> found.mean.tolist()
        [1.0, 2.0]
    """
    count = float(summed["count"].sum())
    mean = summed["sum"] / count
    covariance = summed["product"] / count - np.outer(mean, mean)
    variance = np.maximum(np.diag(covariance), 1e-3 * max(float(np.diag(covariance).mean()), 1e-9))
    shrunken = (1 - SHRINKAGE) * covariance
    np.fill_diagonal(shrunken, variance)
    inverse = np.linalg.inv(shrunken).astype(np.float64)
    return Likeness(mean=mean, inverse=inverse)


def _unit(squared: Floats, features: int) -> Floats:
    """Map distances from 0 to infinity to 0 to 1; the usual one, the number of features, to 1/2."""
    return squared / (squared + features)
