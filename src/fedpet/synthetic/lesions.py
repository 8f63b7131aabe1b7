"""Lesions of phantom subjects: from a latent burden to number, place, volume and uptake."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LESIONS_MAX = 40
VOLUME_MIN_ML = 1.0
VOLUME_MAX_ML = 350.0


class Organ(IntEnum):
    """Where a lesion sits."""

    LUNG = 0
    MEDIASTINUM = 1
    NODE = 2
    LIVER = 3
    BONE = 4
    ADRENAL = 5
    BRAIN = 6


@dataclass(frozen=True, slots=True)
class Region:
    """An ellipsoid of the standard body (1.70 m; LPS mm, vertex of the head at z = 0)."""

    organ: Organ
    weight: float
    centre: tuple[float, float, float]
    half_axes: tuple[float, float, float]


REGIONS: tuple[Region, ...] = (
    Region(Organ.LUNG, 0.15, (-78, 0, -420), (42, 58, 95)),
    Region(Organ.LUNG, 0.13, (80, 0, -415), (38, 56, 90)),
    Region(Organ.MEDIASTINUM, 0.14, (-8, -10, -385), (28, 32, 40)),
    Region(Organ.MEDIASTINUM, 0.06, (-38, 8, -425), (12, 14, 14)),
    Region(Organ.MEDIASTINUM, 0.06, (38, 8, -425), (12, 14, 14)),
    Region(Organ.NODE, 0.05, (-62, -5, -300), (28, 16, 12)),
    Region(Organ.NODE, 0.05, (62, -5, -300), (28, 16, 12)),
    Region(Organ.NODE, 0.04, (0, 25, -650), (22, 10, 60)),
    Region(Organ.LIVER, 0.10, (-75, -5, -560), (55, 55, 55)),
    Region(Organ.BONE, 0.06, (0, 66, -420), (8, 8, 110)),
    Region(Organ.BONE, 0.05, (0, 62, -640), (9, 9, 100)),
    Region(Organ.BONE, 0.02, (-85, 32, -748), (16, 12, 26)),
    Region(Organ.BONE, 0.02, (85, 32, -748), (16, 12, 26)),
    Region(Organ.BONE, 0.015, (-92, 2, -835), (10, 10, 20)),
    Region(Organ.BONE, 0.015, (92, 2, -835), (10, 10, 20)),
    Region(Organ.ADRENAL, 0.025, (-36, 35, -580), (6, 6, 8)),
    Region(Organ.ADRENAL, 0.025, (36, 35, -580), (6, 6, 8)),
    Region(Organ.BRAIN, 0.02, (0, -5, -85), (45, 60, 40)),
)
_ORGAN = np.array([region.organ for region in REGIONS], np.int8)
_WEIGHT = np.array([region.weight for region in REGIONS])
_CENTRE = np.array([region.centre for region in REGIONS])
_HALF_AXES = np.array([region.half_axes for region in REGIONS])
_PRIMARY = np.where(np.isin(_ORGAN, (Organ.LUNG, Organ.MEDIASTINUM)), _WEIGHT, 0.0)


# Log volume relative to a node: liver and bone metastases are larger, adrenal and brain smaller.
_SIZE = np.array([0.0, 0.0, 0.0, 0.8, 0.5, -0.5, -0.5])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesions:
    """All lesions of many subjects, in the order of the subjects; the first one is the primary.

    Args:
        subject: Row of the subject, [k].
        organ: `Organ`, [k].
        centre_mm: LPS (x, y, z) in the subject's body, vertex at z = 0, [k, 3].
        volume_ml: Volume of the ellipsoid, [k].
        suv: Uptake before the scanner blurs it, [k].
    """

    subject: NDArray[np.int64]
    organ: NDArray[np.int8]
    centre_mm: Floats
    volume_ml: Floats
    suv: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Burden:
    """What the lesions amount to, by subject, [n] each.

    Args:
        tmtv_ml: Sum of the volumes.
        spread_mm: Diagonal of the box around the centres.
        liver_ml: Volume in the liver.
        bone_ml: Volume in bone.
        lesions: Number.
        brain: Whether one lies in the brain.
    """

    tmtv_ml: Floats
    spread_mm: Floats
    liver_ml: Floats
    bone_ml: Floats
    lesions: NDArray[np.int64]
    brain: NDArray[np.bool_]


def draw_lesions(latent: Floats, scale: Floats, rng: np.random.Generator) -> Lesions:
    """Draw the lesions of n subjects.

    A subject's number and size of lesions grow with the latent burden b; a tropism for liver and
    one for bone, independent of b, decide where they sit, so that the pattern of sites tells
    something that the total volume does not.

    Args:
        latent: b, standard normal up to a hospital's shift, [n].
        scale: Size of the body relative to the standard one along (x, y, z), [n, 3].
        rng: Source of randomness.

    Source:
        Counts and volumes chosen so that the quantiles of total volume and number resemble
        cohorts of metastatic NSCLC (median total volume 75 to 100 ml).
    """
    n = len(latent)
    tropism = rng.normal(size=(n, 2))
    counts = 1 + np.minimum(rng.poisson(np.exp(1.25 + 0.6 * latent)), LESIONS_MAX - 1)
    weights = np.tile(_WEIGHT, (n, 1))
    weights[:, _ORGAN == Organ.LIVER] *= np.exp(1.8 * tropism[:, :1] - 0.7)
    weights[:, _ORGAN == Organ.BONE] *= np.exp(1.7 * tropism[:, 1:] - 0.7)
    subject = np.repeat(np.arange(n), counts)
    first = np.cumsum(counts) - counts
    chances = weights[subject]
    chances[first] = _PRIMARY
    ladder = np.cumsum(chances, axis=1)
    draw = rng.random(len(subject)) * ladder[:, -1]
    region = np.minimum((draw[:, None] >= ladder).sum(axis=1), len(REGIONS) - 1)

    direction = rng.normal(size=(len(subject), 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = rng.random((len(subject), 1)) ** (1 / 3)
    centre = _CENTRE[region] + direction * radius * _HALF_AXES[region]

    organ = _ORGAN[region]
    log_volume = np.log(6.0) + 0.45 * latent[subject] + 0.85 * rng.normal(size=len(subject))
    log_volume[first] += 1.6
    log_volume += _SIZE[organ]
    uptake = 0.25 * rng.normal(size=n)[subject] + 0.35 * rng.normal(size=len(subject))
    return Lesions(
        subject=subject,
        organ=organ,
        centre_mm=centre * scale[subject],
        volume_ml=np.clip(np.exp(log_volume), VOLUME_MIN_ML, VOLUME_MAX_ML),
        suv=np.clip(9.5 * np.exp(uptake), 4.5, 30.0),
    )


def burden(lesions: Lesions, *, subjects: int) -> Burden:
    """Add up the lesions of each subject; every subject must have one.

    Examples:
        >>> two = Lesions(subject=np.array([0, 0]), organ=np.array([0, 3], np.int8),
        ...     centre_mm=np.array([[0.0, 0, 0], [3.0, 4.0, 0]]), volume_ml=np.array([2.0, 5.0]),
        ...     suv=np.array([8.0, 9.0]))
        >>> both = burden(two, subjects=1)
        >>> both.tmtv_ml[0], both.liver_ml[0], both.spread_mm[0]
        (np.float64(7.0), np.float64(5.0), np.float64(5.0))
    """

    def total(values: Floats) -> Floats:
        sums: Floats = np.bincount(lesions.subject, values, subjects).astype(np.float64)
        return sums

    counts = np.bincount(lesions.subject, minlength=subjects)
    first = np.cumsum(counts) - counts
    high = np.maximum.reduceat(lesions.centre_mm, first, axis=0)
    low = np.minimum.reduceat(lesions.centre_mm, first, axis=0)
    return Burden(
        tmtv_ml=total(lesions.volume_ml),
        spread_mm=np.linalg.norm(high - low, axis=1),
        liver_ml=total(lesions.volume_ml * (lesions.organ == Organ.LIVER)),
        bone_ml=total(lesions.volume_ml * (lesions.organ == Organ.BONE)),
        lesions=counts,
        brain=total((lesions.organ == Organ.BRAIN).astype(np.float64)) > 0,
    )
