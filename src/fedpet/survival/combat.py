"""ComBat over hospitals, exact in two sums: take out what a scanner adds, keep what biology does.

A feature of hospital k is modelled as grand mean + covariates * beta + shift_k + scale_k * noise.
Beta, grand mean and variance come from sums over hospitals, centred within each, so that no sum
shows one hospital's mean. Shift and scale of a hospital, and their shrinkage towards what its other
features show (empirical Bayes), need its own subjects only: they are estimated where they are used,
and never leave.

With a reference, grand mean and variance are those of one hospital, which stays as it is and to
which the others are moved (reference batch, M-ComBat); that hospital releases them by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import DataError

Floats = NDArray[np.float64]
SUBJECTS_MIN = 20
CONVERGED = 1e-4  # largest relative change, as in the reference implementation
STEPS_MAX = 1000
FIXED = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Combat:
    """What the sums over hospitals say; the same at every site, and part of a model.

    Args:
        beta: Effects of the preserved covariates, [q, p].
        mean: Grand mean of each feature at covariates 0, [p].
        sd: Pooled standard deviation within hospitals, [p].
        covariate_mean: Mean of each covariate, [q]; stands in for a missing one.
    """

    beta: Floats
    mean: Floats
    sd: Floats
    covariate_mean: Floats

    def to_arrays(self) -> dict[str, Floats]:
        """Return the numbers as named float64 arrays."""
        return {
            "beta": self.beta,
            "mean": self.mean,
            "sd": self.sd,
            "covariate_mean": self.covariate_mean,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> Combat:
        """Read what `to_arrays` wrote.

        Raises:
            DataError: If an array is missing, or shapes do not agree.
        """
        names = ("beta", "mean", "sd", "covariate_mean")
        if any(name not in arrays for name in names):
            raise DataError("The harmonisation lacks an array; expected beta, mean, sd.")
        found = cls(**{name: np.asarray(arrays[name], np.float64) for name in names})
        q, p = found.beta.shape
        if found.mean.shape != (p,) or found.sd.shape != (p,) or found.covariate_mean.shape != (q,):
            raise DataError("The harmonisation's arrays do not fit each other.")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What one hospital adds to each feature, in pooled standard deviations; it stays there.

    Args:
        shift: [p].
        scale: Variance, [p].
    """

    shift: Floats
    scale: Floats


def combat_sums(
    features: Floats, covariates: Floats, *, beta: Floats | None = None
) -> dict[str, Floats]:
    """Sum a site's features and covariates, or the squares that covariates leave.

    Subjects with a missing feature or covariate do not count.

    Args:
        features: [n, p].
        covariates: What is preserved, [n, q].
        beta: [q, p]; None in the first sum.

    Returns:
        First: `subjects` [1], `features` [p], `covariates` [q], and, centred within the site,
        `cross` [q, p] and `square` [q, q]. Second: `subjects` [1] and `residual` [p].

    Raises:
        DataError: If fewer than 20 subjects are complete.

    Examples:
        >>> sums = combat_sums(np.ones((20, 1)), np.arange(20.0)[:, None])
        >>> sums["features"].tolist(), sums["square"].tolist()
        ([20.0], [[665.0]])
    """
    y, x = complete(features, covariates)
    subjects = np.array([float(len(y))])
    y_centred, x_centred = y - y.mean(axis=0), x - x.mean(axis=0)
    if beta is not None:
        return {
            "subjects": subjects,
            "residual": ((y_centred - x_centred @ beta) ** 2).sum(axis=0),
        }
    return {
        "subjects": subjects,
        "features": y.sum(axis=0),
        "covariates": x.sum(axis=0),
        "cross": x_centred.T @ y_centred,
        "square": x_centred.T @ x_centred,
    }


def complete(features: Floats, covariates: Floats) -> tuple[Floats, Floats]:
    """Return the subjects without a missing value.

    Raises:
        DataError: If there are fewer than 20.
    """
    known = ~np.isnan(features).any(axis=1) & ~np.isnan(covariates).any(axis=1)
    if known.sum() < SUBJECTS_MIN:
        raise DataError(
            f"ComBat needs {SUBJECTS_MIN} subjects with all features and covariates here.",
            do="Harmonise fewer features, complete the table, or leave this hospital out.",
        )
    return features[known], covariates[known]


def effects_of(first: Mapping[str, Floats], *, covariates: Sequence[str]) -> Floats:
    """Return the effects of the covariates, [q, p], from the first sums.

    Raises:
        DataError: If a covariate does not vary within any hospital, or repeats others: what it
            does cannot be told from what hospitals do.
    """
    square = first["square"]
    scale = np.sqrt(np.maximum(np.diag(square), 0.0))
    spread = np.maximum(np.abs(first["covariates"]), 1.0)
    for name, own, size in zip(covariates, scale, spread, strict=True):
        if own <= FIXED * size:
            raise DataError(
                f"Covariate '{name}' does not vary within any hospital; its effect cannot be "
                "told from that of the hospitals.",
                do="Do not preserve it.",
            )
    if len(scale) and np.linalg.eigvalsh(square / np.outer(scale, scale)).min() < 1e-10:
        raise DataError(
            "A preserved covariate repeats others within hospitals.",
            why=f"Preserved: {', '.join(covariates)}.",
            do="Preserve fewer covariates.",
        )
    return np.asarray(np.linalg.solve(square, first["cross"]), np.float64)


def fit_combat(
    first: Mapping[str, Floats],
    second: Mapping[str, Floats],
    *,
    beta: Floats,
    features: Sequence[str],
    reference: Mapping[str, Floats] | None = None,
) -> Combat:
    """Turn the two sums into what every site needs to harmonise its own features.

    Args:
        first: Sums of `combat_sums` without beta.
        second: Sums of `combat_sums` at `beta`.
        beta: From `effects_of`.
        features: Names of the p features.
        reference: Both sums of one hospital alone, to which the others are moved; or None.

    Raises:
        DataError: If a feature does not vary within hospitals.

    Source:
        Johnson, Li & Rabinovic 2007; Fortin et al. 2018; reference batch: Zhang et al. 2018;
        M-ComBat: Stein et al. 2015, Da-Ano et al. 2020.
    """
    base = first if reference is None else reference
    left = second if reference is None else reference
    subjects = base["subjects"].sum()
    mean = (base["features"] - base["covariates"] @ beta) / subjects
    variance = left["residual"] / subjects
    size = (np.abs(base["features"]) / subjects) ** 2
    for name, own, scale in zip(features, variance, size, strict=True):
        if own <= 1e-20 * (1 + scale):
            raise DataError(f"Feature '{name}' does not vary within hospitals.")
    total = first["subjects"].sum()
    return Combat(
        beta=beta,
        mean=np.asarray(mean, np.float64),
        sd=np.sqrt(variance),
        covariate_mean=np.asarray(first["covariates"] / total, np.float64),
    )


def adjustment(combat: Combat, features: Floats, covariates: Floats) -> Adjustment:
    """Estimate a site's own shifts and scales from its fitting subjects, shrunk by empirical Bayes.

    Args:
        combat: From the sums.
        features: [n, p]; subjects with a missing value do not count.
        covariates: [n, q].

    Raises:
        DataError: If fewer than 20 subjects are complete, or the steps do not settle.

    Source:
        Johnson, Li & Rabinovic 2007, parametric; iteration as in neuroCombat.
    """
    y, x = complete(features, covariates)
    standard = (y - combat.mean - x @ combat.beta) / combat.sd
    shift_hat, scale_hat = standard.mean(axis=0), standard.var(axis=0, ddof=1)
    if standard.shape[1] < 2:
        return Adjustment(shift=shift_hat, scale=scale_hat)
    scale_hat = np.where(scale_hat == 0, 1.0, scale_hat)
    return _shrunk(standard, shift_hat, scale_hat)


def harmonise(
    combat: Combat, own: Adjustment | None, features: Floats, covariates: Floats
) -> Floats:
    """Return a site's features, [n, p], as if measured on the common scanner.

    Args:
        combat: From the sums.
        own: The site's adjustment; None at the reference, whose features stay as they are.
        features: A missing one stays missing.
        covariates: A missing one counts as the mean over hospitals.
    """
    if own is None:
        return features.copy()
    known = np.where(np.isnan(covariates), combat.covariate_mean, covariates)
    centre = combat.mean + known @ combat.beta
    standard = (features - centre) / combat.sd
    moved: Floats = (standard - own.shift) / np.sqrt(own.scale) * combat.sd + centre
    return moved


def _shrunk(standard: Floats, shift_hat: Floats, scale_hat: Floats) -> Adjustment:
    """Iterate the posterior means of shift and scale, given what the site's features share."""
    n = len(standard)
    centre, spread = shift_hat.mean(), shift_hat.var(ddof=1)
    mean, variance = scale_hat.mean(), scale_hat.var(ddof=1)
    if not (spread > 0 and variance > 0):
        return Adjustment(shift=shift_hat, scale=scale_hat)
    shape = (2 * variance + mean**2) / variance
    rate = (mean * variance + mean**3) / variance
    shift, scale = shift_hat, scale_hat
    total, squares = standard.sum(axis=0), (standard**2).sum(axis=0)
    for _ in range(STEPS_MAX):
        new_shift = (spread * n * shift_hat + scale * centre) / (spread * n + scale)
        left = squares - 2 * new_shift * total + n * new_shift**2
        new_scale = (0.5 * left + rate) / (n / 2 + shape - 1)
        moved = np.abs(new_shift - shift) > CONVERGED * np.abs(shift)
        changed = moved | (np.abs(new_scale - scale) > CONVERGED * scale)
        shift, scale = new_shift, new_scale
        if not changed.any():
            return Adjustment(shift=shift, scale=scale)
    raise DataError("The shrinkage of ComBat does not settle.", do="Harmonise other features.")


def confounding_sums(expected: Floats, event: NDArray[np.bool_]) -> dict[str, Floats]:
    """Compare a site's events with those expected if hospitals did not matter.

    Args:
        expected: Cumulative hazard of each subject at its own time, from all hospitals, [n].
        event: Whether the event was seen, [n].

    Returns:
        `chi_square` [1], the site's part of a sum over sites, and `sites` [1].
    """
    total = float(expected.sum())
    part = (float(event.sum()) - total) ** 2 / total if total > 0 else 0.0
    return {"chi_square": np.array([part]), "sites": np.array([1.0 if total > 0 else 0.0])}


def confounding_p(summed: Mapping[str, Floats]) -> float:
    """Return the p-value of the outcome being the same at all hospitals.

    Source:
        The log-rank test in its observed-minus-expected form, conservative.

    Examples:
        >>> confounding_p({"chi_square": np.array([0.0]), "sites": np.array([4.0])})
        1.0
    """
    from scipy.special import chdtrc

    freedom = max(round(float(summed["sites"].sum())) - 1, 1)
    return float(chdtrc(freedom, float(summed["chi_square"].sum())))
