"""The clinical table of a phantom hospital, its dictionary and its settings, in its own habits."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import tomlkit
from numpy.typing import NDArray

from fedpet.synthetic.population import Population
from fedpet.synthetic.profiles import FRENCH_NAMES, Flaw, Hospital, Masks, flaw

CUT_OFF = date(2023, 12, 31)
COHORT = "nsclc-io"
DATES = (
    "ici_start",
    "progression_date",
    "progression_confirmed_date",
    "death_date",
    "last_contact_date",
)
# Canonical name: type, unit, plausible range, decimals, required, description.
VARIABLES: dict[str, tuple[str, str, tuple[float, float] | None, int, bool, str]] = {
    "age_years": ("number", "years", (18, 110), 0, True, "Age at first infusion"),
    "sex_male": ("category", "", None, 0, True, "Sex"),
    "ecog": ("integer", "", (0, 4), 0, False, "ECOG performance status"),
    "pdl1_tps_percent": ("number", "%", (0, 100), 0, False, "PD-L1 tumour proportion score"),
    "nlr": ("number", "", (0.1, 100), 1, False, "Neutrophil-to-lymphocyte ratio"),
    "ldh_uln_ratio": ("number", "", (0.1, 30), 2, False, "LDH over its upper limit of normal"),
    "albumin_g_l": ("number", "g/L", (10, 60), 0, False, "Albumin"),
    "smoking_ever": ("category", "", None, 0, False, "Ever smoked"),
    "line": ("integer", "", (1, 9), 0, True, "Line of treatment"),
    "brain_metastases": ("category", "", None, 0, False, "Brain metastases known"),
}
_YES_NO = {"en": ("yes", "no"), "fr": ("oui", "non")}


def start_dates(people: Population) -> list[date]:
    """Return the day of the first infusion of each subject."""
    return [CUT_OFF - timedelta(days=int(days)) for days in people.course.cut_off]


def clinical_table(
    hospital: Hospital, people: Population, patient_ids: Sequence[str], rng: np.random.Generator
) -> str:
    """Return the hospital's table as CSV, with its own names, date format, codes and gaps.

    Args:
        hospital: Its habits.
        people: Complete values.
        patient_ids: In the order of `people`.
        rng: Source of what is missing.
    """
    known = _known(hospital, people, rng)
    starts = start_dates(people)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("patient_id", *DATES, "best_response", *VARIABLES)
    writer.writerow([column(hospital, name) for name in names])
    for row, patient_id in enumerate(patient_ids):
        wrong = flaw(hospital.site, row, subjects=len(people))
        days = _days(people, row)
        if wrong is Flaw.DATE_BEFORE_TREATMENT:
            days["progression_date"], days["progression_confirmed_date"] = -300.0, np.nan
        dates = [
            ""
            if np.isnan(days[name])
            else (starts[row] + timedelta(days=int(days[name]))).strftime(hospital.date_format)
            for name in DATES
        ]
        values = []
        for name in VARIABLES:
            value = float(people.covariates[name][row])
            if wrong is Flaw.WRONG_UNIT and name == "albumin_g_l":
                values.append(f"{value / 10:.1f}")
            else:
                values.append(_text(hospital, name, value) if known[name][row] else "")
        response = str(people.course.response[row])
        writer.writerow([patient_id, *dates, response, *values])
    return out.getvalue()


def _days(people: Population, row: int) -> dict[str, float]:
    course = people.course
    return {
        "ici_start": 0.0,
        "progression_date": float(course.progression[row]),
        "progression_confirmed_date": float(course.confirmed[row]),
        "death_date": float(course.death[row]),
        "last_contact_date": float(course.last_contact[row]),
    }


def _known(
    hospital: Hospital, people: Population, rng: np.random.Generator
) -> dict[str, NDArray[np.bool_]]:
    """Draw which values were recorded; PD-L1 is missing more often in later lines."""
    found = {}
    for name in VARIABLES:
        chance = np.full(len(people), hospital.missing.get(name, 0.0))
        if name == "pdl1_tps_percent":
            chance *= np.where(people.covariates["line"] > 1, 1.25, 0.8)
        found[name] = rng.random(len(people)) >= chance
    return found


def column(hospital: Hospital, name: str) -> str:
    """Return what this hospital calls a column."""
    return hospital.names.get(name, name)


def codes(hospital: Hospital, name: str) -> tuple[str, str] | None:
    """Return how this hospital writes 1 and 0 of a category; None for numbers."""
    if VARIABLES[name][0] != "category":
        return None
    if name == "sex_male":
        return hospital.sex_codes
    return _YES_NO["fr" if hospital.names is FRENCH_NAMES else "en"]


def _text(hospital: Hospital, name: str, value: float) -> str:
    words = codes(hospital, name)
    if words is not None:
        return words[0] if value > 0.5 else words[1]
    return f"{value:.{VARIABLES[name][3]}f}"


def dictionary(hospital: Hospital) -> str:
    """Return the data dictionary that explains the hospital's table, as TOML."""
    document = tomlkit.document()
    document["subject"] = {"column": column(hospital, "patient_id")}
    dates = {
        "origin": column(hospital, "ici_start"),
        "progression": column(hospital, "progression_date"),
        "progression_confirmed": column(hospital, "progression_confirmed_date"),
        "death": column(hospital, "death_date"),
        "last_contact": column(hospital, "last_contact_date"),
    }
    if hospital.date_format != "%Y-%m-%d":
        dates["format"] = hospital.date_format
    document["dates"] = dates
    document["response"] = {
        "column": column(hospital, "best_response"),
        "yes": ["CR", "PR"],
        "no": ["SD", "PD"],
        "missing": ["NE"],
    }
    variables = tomlkit.table(is_super_table=True)
    for name, (kind, unit, limits, _, required, description) in VARIABLES.items():
        entry = tomlkit.table()
        entry["column"], entry["type"] = column(hospital, name), kind
        if unit:
            entry["unit"] = unit
        if limits:
            entry["range"] = list(limits)
        words = codes(hospital, name)
        if words:
            entry["coding"] = tomlkit.inline_table()
            entry["coding"].update({words[0]: 1, words[1]: 0})
        if required:
            entry["required"] = True
        entry["description"] = description
        variables[name] = entry
    document["variables"] = variables
    return tomlkit.dumps(document)


def cohort_settings(hospital: Hospital, *, spacing_mm: float) -> str:
    """Return `cohort.toml`: how this hospital's folder becomes a cohort."""
    return tomlkit.dumps(
        {
            "name": COHORT,
            "site": hospital.site,
            "phantom": True,
            "spacing_mm": spacing_mm,
            "lesions": "suv4.0" if hospital.masks is Masks.NONE else "given",
        }
    )
