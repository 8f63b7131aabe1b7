"""Subjects of a phantom hospital before any image is painted: bodies, records, lesions, outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpet.synthetic.lesions import Burden, Lesions, burden, draw_lesions
from fedpet.synthetic.outcome import (
    Course,
    draw_course,
    linear_predictors,
)
from fedpet.synthetic.profiles import Hospital

Floats = NDArray[np.float64]
HEIGHT_CM = 170.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The subjects of one hospital, rows aligned.

    Args:
        height_cm: [n].
        weight_kg: [n].
        scale: Size of the body relative to the standard one along (x, y, z), [n, 3].
        lesions: All their lesions.
        burden: What the lesions amount to.
        covariates: Complete clinical values by canonical name, [n] each.
        predictors: Log hazard by (endpoint, source), [n] each.
        course: What happened to them.
    """

    height_cm: Floats
    weight_kg: Floats
    scale: Floats
    lesions: Lesions
    burden: Burden
    covariates: Mapping[str, Floats]
    predictors: Mapping[tuple[str, str], Floats]
    course: Course

    def __len__(self) -> int:
        return len(self.height_cm)


def draw_population(hospital: Hospital, *, subjects: int, rng: np.random.Generator) -> Population:
    """Draw the subjects of one hospital with their known truth.

    Args:
        hospital: Its case mix and baseline hazard.
        subjects: How many.
        rng: Source of randomness.
    """
    n = subjects
    latent = hospital.burden + rng.normal(size=n)
    male = (rng.random(n) < 0.66).astype(np.float64)
    height = np.clip(163.0 + 12.0 * male + 6.5 * rng.normal(size=n), 148, 194)
    bmi = np.clip(24.5 * np.exp(0.15 * rng.normal(size=n)) - 0.5 * latent, 16.5, 37)
    weight = bmi * (height / 100) ** 2
    along = height / HEIGHT_CM
    girth = np.clip((bmi / 24.5) ** 0.4, 0.88, 1.13) * along**0.5
    scale = np.stack([girth, girth, along], axis=1)
    lesions = draw_lesions(latent, scale, rng)
    amounts = burden(lesions, subjects=n)
    covariates = _draw_covariates(hospital, latent, male, amounts.brain, rng)
    predictors = linear_predictors(covariates, amounts)
    return Population(
        height_cm=height.round(0),
        weight_kg=weight.round(1),
        scale=scale,
        lesions=lesions,
        burden=amounts,
        covariates=covariates,
        predictors=predictors,
        course=draw_course(
            predictors["progression", "all"] + hospital.frailty,
            predictors["death", "all"] + hospital.frailty,
            rng,
        ),
    )


def _draw_covariates(
    hospital: Hospital,
    latent: Floats,
    male: Floats,
    brain: NDArray[np.bool_],
    rng: np.random.Generator,
) -> dict[str, Floats]:
    n = len(latent)
    status = hospital.ecog + 0.3 * latent + rng.normal(size=n)
    tumour, high = rng.random(n), hospital.pdl1_high
    pdl1 = np.where(
        tumour < high,
        50 + 50 * rng.beta(1.1, 0.9, n),
        np.where(tumour < high + 0.34, 1 + 48 * rng.beta(0.7, 1.6, n), 0.0),
    )
    return {
        "age_years": np.clip(hospital.age_years + 9.5 * rng.normal(size=n), 32, 89).round(0),
        "sex_male": male,
        "ecog": np.digitize(status, (-0.25, 1.05, 2.3)).astype(np.float64),
        "pdl1_tps_percent": pdl1.round(0),
        "nlr": np.clip(np.exp(1.4 + 0.12 * latent + 0.55 * rng.normal(size=n)), 0.6, 40).round(1),
        "ldh_uln_ratio": np.clip(
            np.exp(-0.05 + 0.12 * latent + 0.32 * rng.normal(size=n)), 0.35, 8
        ).round(2),
        "albumin_g_l": np.clip(38.5 - 0.9 * latent + 4.3 * rng.normal(size=n), 20, 52).round(0),
        "smoking_ever": (rng.random(n) < 0.86).astype(np.float64),
        "line": 1.0 + np.digitize(rng.random(n), (0.55, 0.88)),
        "brain_metastases": (brain | (rng.random(n) < 0.13)).astype(np.float64),
    }
