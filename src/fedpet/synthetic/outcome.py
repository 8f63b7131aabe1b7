"""Outcomes of phantom subjects: hazards with known coefficients, and what a hospital sees of them.

Progression and death each follow a Weibull proportional-hazards law; a Gaussian copula ties the
two times of one subject. What is seen is coarser, as in life: progression is found at the next
visit and confirmed at a later one, some early growth is not confirmed and does not count, some
subjects are lost, and follow-up ends on one day for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fedpet.synthetic.lesions import Burden

Floats = NDArray[np.float64]
MONTH_DAYS = 365.25 / 12
CONFIRM_DAYS = 28.0
SHAPE = {"progression": 0.95, "death": 1.15}
MEDIAN_DAYS = {"progression": 285.0, "death": 640.0}
COPULA = 0.6
FOLLOW_UP_MONTHS = (6.0, 48.0)
PSEUDO = 0.08
LOST = 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of the log hazards: coefficient * (transform(variable) - centre).

    Args:
        variable: Canonical name, or a field of `Burden`.
        source: `clinical` or `image`.
        transform: `identity`, `log` or `log1p`.
        centre: Subtracted after the transform.
        progression: Coefficient in the log hazard of progression.
        death: Coefficient in the log hazard of death.
    """

    variable: str
    source: str
    transform: str
    centre: float
    progression: float
    death: float


def _clinical(name: str, transform: str, centre: float, both: tuple[float, float]) -> Term:
    return Term(
        variable=name,
        source="clinical",
        transform=transform,
        centre=centre,
        progression=both[0],
        death=both[1],
    )


def _image(name: str, transform: str, centre: float, both: tuple[float, float]) -> Term:
    return Term(
        variable=name,
        source="image",
        transform=transform,
        centre=centre,
        progression=both[0],
        death=both[1],
    )


TERMS: tuple[Term, ...] = (
    _clinical("age_years", "identity", 65.0, (0.0, 0.010)),
    _clinical("sex_male", "identity", 0.66, (0.0, 0.15)),
    _clinical("ecog", "identity", 0.8, (0.28, 0.35)),
    _clinical("pdl1_tps_percent", "identity", 31.0, (-0.0095, -0.0060)),
    _clinical("nlr", "log", 1.4, (0.32, 0.38)),
    _clinical("ldh_uln_ratio", "log", 0.0, (0.35, 0.45)),
    _clinical("albumin_g_l", "identity", 38.5, (-0.030, -0.045)),
    _clinical("smoking_ever", "identity", 0.86, (-0.35, -0.20)),
    _clinical("line", "identity", 1.6, (0.15, 0.20)),
    _clinical("brain_metastases", "identity", 0.15, (0.20, 0.30)),
    _image("tmtv_ml", "log", 4.2, (0.03, 0.08)),
    _image("spread_mm", "log1p", 5.2, (0.04, 0.04)),
    _image("liver_ml", "log1p", 0.9, (0.31, 0.28)),
    _image("bone_ml", "log1p", 1.1, (0.22, 0.18)),
)
_TRANSFORMS: dict[str, Callable[[Floats], Floats]] = {
    "identity": np.positive,
    "log": np.log,
    "log1p": np.log1p,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What happened to each subject, in days from the first infusion, [n] each; NaN for never.

    Args:
        progression_true: Latent time of progression, never seen by anyone.
        death_true: Latent time of death.
        progression: Visit at which progression was first seen, true or not.
        confirmed: Visit that confirmed it.
        death: Death within follow-up.
        last_contact: Last day known alive, or the day of death.
        cut_off: Day on which the study stopped looking.
        pseudo: Early growth that a later scan did not confirm took place.
        response: Best response: CR, PR, SD, PD or NE.
    """

    progression_true: Floats
    death_true: Floats
    progression: Floats
    confirmed: Floats
    death: Floats
    last_contact: Floats
    cut_off: Floats
    pseudo: NDArray[np.bool_]
    response: NDArray[np.str_]


def design(covariates: Mapping[str, Floats], amounts: Burden) -> Floats:
    """Return the columns of `TERMS`, transformed and centred, [n, terms]."""
    columns = []
    for term in TERMS:
        raw = (
            covariates[term.variable]
            if term.source == "clinical"
            else getattr(amounts, term.variable)
        )
        columns.append(_TRANSFORMS[term.transform](raw) - term.centre)
    return np.stack(columns, axis=1)


def linear_predictors(
    covariates: Mapping[str, Floats], amounts: Burden
) -> dict[tuple[str, str], Floats]:
    """Return the log hazards by (`progression` or `death`, `all`, `clinical` or `image`)."""
    x = design(covariates, amounts)
    found = {}
    for endpoint in ("progression", "death"):
        beta = np.array([getattr(term, endpoint) for term in TERMS])
        for source in ("clinical", "image", "all"):
            kept = np.array([source in ("all", term.source) for term in TERMS])
            found[endpoint, source] = x @ (beta * kept)
    return found


def draw_course(progression: Floats, death: Floats, rng: np.random.Generator) -> Course:
    """Draw what happens to n subjects.

    Args:
        progression: Log hazard of progression relative to the baseline, [n].
        death: Log hazard of death, [n].
        rng: Source of randomness.
    """
    n = len(progression)
    shared = rng.normal(size=(n, 1))
    normal = np.sqrt(COPULA) * shared + np.sqrt(1 - COPULA) * rng.normal(size=(n, 2))
    uniform = ndtr(normal)
    t_progression = _weibull_days("progression", progression, uniform[:, 0])
    t_death = np.maximum(_weibull_days("death", death, uniform[:, 1]).round(), 1.0)

    low, high = (months * MONTH_DAYS for months in FOLLOW_UP_MONTHS)
    cut_off = rng.uniform(low, high, n).round()
    end = cut_off - rng.exponential(20.0, n)
    lost = rng.random(n) < LOST
    end = np.where(lost, np.minimum(end, rng.uniform(30, high, n)), end)
    end = np.maximum(end, 21.0).round()
    last_contact = np.minimum(end, t_death)

    interval = rng.uniform(40, 63, n)
    found = (np.ceil(t_progression / interval) * interval + rng.uniform(-5, 5, n)).round()
    seen = found < last_contact
    confirmed = found + np.round(rng.uniform(CONFIRM_DAYS, 2 * CONFIRM_DAYS, n))
    is_confirmed = seen & (confirmed <= last_contact)

    pseudo_day = np.round(interval + rng.uniform(-5, 5, n))
    pseudo = (rng.random(n) < PSEUDO) & (found > pseudo_day + 60) & (pseudo_day < last_contact)
    shown = np.where(seen, found, np.where(pseudo, pseudo_day, np.nan))
    return Course(
        progression_true=t_progression,
        death_true=t_death,
        progression=shown,
        confirmed=np.where(is_confirmed, confirmed, np.nan),
        death=np.where(t_death <= end, t_death, np.nan),
        last_contact=last_contact,
        cut_off=cut_off,
        pseudo=pseudo,
        response=_responses(progression, found, interval, last_contact, rng),
    )


def _weibull_days(endpoint: str, log_hazard: Floats, uniform: Floats) -> Floats:
    """Invert S(t) = exp(-log(2) * (t / median)^k * exp(log hazard))."""
    exposure = -np.log(np.clip(uniform, 1e-12, 1.0)) / np.log(2) * np.exp(-log_hazard)
    days: Floats = MEDIAN_DAYS[endpoint] * exposure ** (1 / SHAPE[endpoint])
    return days


def _responses(
    log_hazard: Floats,
    found: Floats,
    interval: Floats,
    last_contact: Floats,
    rng: np.random.Generator,
) -> NDArray[np.str_]:
    """Progression at the first visit is PD; the others respond the more, the lower the hazard."""
    score = -0.9 * log_hazard + rng.logistic(size=len(log_hazard))
    grade = np.where(score > 2.6, "CR", np.where(score > 0.1, "PR", "SD"))
    grade = np.where(found <= interval + 6, "PD", grade)
    return np.where(last_contact < interval - 6, "NE", grade)


def endpoints(course: Course) -> dict[str, tuple[Floats, NDArray[np.bool_]]]:
    """Return (time in days, event) of `pfs` and `os` as a cohort derives them.

    Progression counts, on the day it was first seen, if a scan at least 28 days later confirmed
    it; otherwise the subject runs on to death or last contact.
    """
    alive = np.where(np.isnan(course.death), course.last_contact, course.death)
    counted = ~np.isnan(course.confirmed)
    return {
        "pfs": (
            np.where(counted, course.progression, alive),
            counted | ~np.isnan(course.death),
        ),
        "os": (alive, ~np.isnan(course.death)),
    }
