"""Unlike subjects are told apart, from sums alone."""

import numpy as np
from scipy import stats

from fedpet.survival.likeness import feature_sums, likeness_of


def learned(rng, sites=5, subjects=200, features=6):
    """Return features of all sites, where they lie, and the histogram of their distances."""
    mix = rng.normal(size=(features, features))
    tables = [rng.normal(size=(subjects, features)) @ mix for _ in range(sites)]
    parts = [feature_sums(table) for table in tables]
    known = likeness_of({name: sum(part[name] for part in parts) for name in parts[0]})
    histogram = sum(known.histogram(table) for table in tables)
    return np.concatenate(tables), known, histogram


def test_the_share_as_far_is_uniform_over_the_subjects_learned_from():
    """So that one in a hundred of them, and no more, would be called unlike the others."""
    table, known, histogram = learned(np.random.default_rng(3))
    share = known.share_as_far(table, histogram)
    assert stats.kstest(share, "uniform").statistic < 0.02
    assert 0.005 <= (share < 0.01).mean() <= 0.015


def test_a_subject_far_from_all_is_unlike_them():
    """Ten standard deviations away nobody is as far; at the mean everybody is."""
    table, known, histogram = learned(np.random.default_rng(4))
    far = table.mean(axis=0) + 10 * table.std(axis=0)
    assert known.share_as_far(far[None], histogram)[0] < 0.001
    assert known.share_as_far(table.mean(axis=0)[None], histogram)[0] > 0.99


def test_mean_and_covariance_from_sums_are_those_of_the_pooled_table():
    """The distance before shrinkage of correlations is the textbook one."""
    table, known, _ = learned(np.random.default_rng(5))
    covariance = np.cov(table.T, bias=True)
    shrunken = 0.9 * covariance + 0.1 * np.diag(np.diag(covariance))
    assert np.allclose(known.mean, table.mean(axis=0), atol=1e-12)
    assert np.allclose(known.inverse, np.linalg.inv(shrunken), rtol=1e-8)


def test_a_feature_that_never_varies_does_not_decide():
    """A dead unit of a network would otherwise make everybody infinitely far."""
    table = np.random.default_rng(6).normal(size=(300, 3))
    table[:, 2] = 0.0
    known = likeness_of(feature_sums(table))
    share = known.share_as_far(table, known.histogram(table))
    assert np.isfinite(share).all()
    assert stats.kstest(share, "uniform").statistic < 0.05
