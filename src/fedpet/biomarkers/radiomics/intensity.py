"""Features of intensities alone: local peaks, statistics, histogram, volume histogram."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedpet.biomarkers.radiomics.cooccurrence import entropy
from fedpet.biomarkers.radiomics.region import Region

PEAK_RADIUS_MM: Final = (3000.0 / (4.0 * math.pi)) ** (1 / 3)  # a sphere of 1 cm3


def local_peaks(region: Region) -> dict[str, float]:
    """Measure the local peak (around the highest voxel) and the global one (the highest of all).

    Source:
        IBSI reference manual 3.2: mean over voxels whose centres lie within 6.2 mm, of the whole
        image. `suvpeak` of the metabolic biomarkers weighs voxels by the part inside instead.
    """
    values, centres = region.values, np.argwhere(region.inside)
    reach = [int(PEAK_RADIUS_MM // step) for step in region.spacing_mm]
    sums, counts = np.zeros(len(centres)), np.zeros(len(centres))
    shape = np.array(values.shape)
    for offset in np.argwhere(np.ones([2 * far + 1 for far in reach], bool)) - reach:
        if np.linalg.norm(offset * np.array(region.spacing_mm)) > PEAK_RADIUS_MM:
            continue
        there = centres + offset
        whole = ((there >= 0) & (there < shape)).all(axis=1)
        sums[whole] += values[tuple(there[whole].T)]
        counts[whole] += 1
    means = sums / counts
    own = values[region.inside]
    return {
        "loc_peak_loc": float(means[own == own.max()].max()),
        "loc_peak_glob": float(means.max()),
    }


def _spread(x: NDArray[np.float64], prefix: str) -> dict[str, float]:
    """Return what statistics and histogram share. Variance is over all voxels (ddof 0)."""
    mean, variance = float(x.mean()), float(x.var())
    low, first, median, third, high = (float(q) for q in np.percentile(x, (10, 25, 50, 75, 90)))
    middle = x[(x >= low) & (x <= high)]
    skew = float(((x - mean) ** 3).mean()) / variance**1.5 if variance > 0 else 0.0
    kurtosis = float(((x - mean) ** 4).mean()) / variance**2 - 3 if variance > 0 else 0.0
    found = {
        "mean": mean,
        "var": variance,
        "skew": skew,
        "kurt": kurtosis,
        "median": median,
        "min": float(x.min()),
        "p10": low,
        "p90": high,
        "max": float(x.max()),
        "iqr": third - first,
        "range": float(x.max() - x.min()),
        "mad": float(np.abs(x - mean).mean()),
        "rmad": float(np.abs(middle - middle.mean()).mean()),
        "medad": float(np.abs(x - median).mean()),
        "cov": math.sqrt(variance) / mean if mean else math.nan,
        "qcod": (third - first) / (third + first) if third + first else math.nan,
    }
    return {f"{prefix}_{name}": value for name, value in found.items()}


def statistics(region: Region) -> dict[str, float]:
    """Measure the 18 intensity statistics, on undiscretised intensities.

    Source:
        IBSI reference manual 3.3; kurtosis is in excess of a normal distribution's.
    """
    x = region.values[region.inside]
    return {
        **_spread(x, "stat"),
        "stat_energy": float(x @ x),
        "stat_rms": math.sqrt(float(x @ x) / len(x)),
    }


def histogram(levels: NDArray[np.int64]) -> dict[str, float]:
    """Measure the 23 features of the histogram of levels.

    Args:
        levels: 1 and above in the region, 0 outside.

    Source:
        IBSI reference manual 3.4.
    """
    x = levels[levels > 0].astype(np.float64)
    counts = np.bincount(levels[levels > 0])[1:].astype(np.float64)
    p = counts / counts.sum()
    slope = np.gradient(counts) if len(counts) > 1 else np.zeros(1)
    mean = float(x.mean())
    modes = np.flatnonzero(counts == counts.max()) + 1
    return {
        **_spread(x, "ih"),
        "ih_mode": float(modes[np.argmin(np.abs(modes - mean))]),
        "ih_entropy": entropy(p),
        "ih_uniformity": float(p @ p),
        "ih_max_grad": float(slope.max()),
        "ih_max_grad_g": float(slope.argmax() + 1),
        "ih_min_grad": float(slope.min()),
        "ih_min_grad_g": float(slope.argmin() + 1),
    }


def volume_histogram(
    levels: NDArray[np.int64], *, width: float = 1.0, lowest: float = 0.5
) -> dict[str, float]:
    """Measure the 6 features of the intensity-volume histogram.

    Args:
        levels: 1 and above in the region, 0 outside.
        width: Of one level, in the image's unit.
        lowest: Where level 1 begins; intensities are told as centres of levels.

    Source:
        IBSI reference manual 3.5.

    Examples:
        >>> volume_histogram(np.array([[[1, 1, 2, 3]]]))["ivh_v10"]
        0.5
    """
    counts = np.bincount(levels[levels > 0])[1:].astype(np.float64)
    share = 1 - np.concatenate([[0.0], np.cumsum(counts)[:-1]]) / counts.sum()
    number = np.arange(1, len(counts) + 1)
    centre = lowest + (number - 0.5) * width
    fraction = (number - 1) / max(1, len(counts) - 1)
    found: dict[str, float] = {}
    for percent in (10, 90):
        above = share[fraction >= percent / 100 - 1e-12]
        found[f"ivh_v{percent}"] = float(above[0]) if len(above) else 0.0
    for percent in (10, 90):
        there = np.flatnonzero(share <= percent / 100 + 1e-12)
        found[f"ivh_i{percent}"] = float(centre[there[0]] if len(there) else centre[-1] + width)
    return {
        **found,
        "ivh_diff_v10_v90": found["ivh_v10"] - found["ivh_v90"],
        "ivh_diff_i10_i90": found["ivh_i10"] - found["ivh_i90"],
    }
