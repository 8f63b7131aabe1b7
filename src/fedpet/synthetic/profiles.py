"""The ten phantom hospitals: how each differs in patients, scanner, habits and gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fedpet.errors import DataError

SUBJECTS_MIN = 20


class Vendor(StrEnum):
    """Whose way of writing PET a scanner follows."""

    SIEMENS = "siemens"
    GE = "ge"
    PHILIPS = "philips"


class Masks(StrEnum):
    """How a hospital hands over its lesion masks."""

    RTSTRUCT = "rtstruct"
    SEG = "seg"
    NIFTI = "nifti"
    NONE = "none"


class Flaw(StrEnum):
    """What is wrong with one subject's data, so that there is something to find."""

    NO_WEIGHT = "no weight in the PET"
    NO_SCAN = "no scan"
    DATE_BEFORE_TREATMENT = "progression a year too early"
    WRONG_UNIT = "albumin in g/dL"


# By site and number of the subject.
FLAWS: dict[tuple[str, int], Flaw] = {
    ("marseille", 3): Flaw.NO_WEIGHT,
    ("nantes", 4): Flaw.NO_WEIGHT,
    ("nice", 9): Flaw.NO_SCAN,
    ("lille", 5): Flaw.DATE_BEFORE_TREATMENT,
    ("marseille", 7): Flaw.WRONG_UNIT,
}


def flaw(site: str, number: int, *, subjects: int) -> Flaw | None:
    """Return what is wrong with a subject; hospitals below 20 subjects have no flaw."""
    return FLAWS.get((site, number)) if subjects >= SUBJECTS_MIN else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """One PET-CT system and the protocol it runs.

    Args:
        vendor: Whose DICOM habits it follows.
        pet_mm: PET voxel (z, y, x).
        ct_mm: CT voxel (z, y, x).
        psf_mm: Full width at half maximum of the point spread, mm.
        noise: Relative standard deviation of the PET in the liver.
        calibration: True activity is multiplied by this.
        decay_correction: (0054,1102): `START` of the scan or `ADMIN`istration.
        dose_in_mbq: Writes (0018,1074) in MBq, though the standard asks for Bq.
        start_datetime: Writes (0018,1078); otherwise only the time of day (0018,1072).
        uncorrected: Sends the reconstruction without attenuation correction along.
        screenshot: Sends a secondary capture of the projection along.
        head_first_numbers: (0020,0013) counts from the head; otherwise from the feet.
        flat_folder: All files of a subject lie in one folder, without extension.
    """

    vendor: Vendor
    pet_mm: tuple[float, float, float]
    ct_mm: tuple[float, float, float]
    psf_mm: float
    noise: float
    calibration: float
    decay_correction: str = "START"
    dose_in_mbq: bool = False
    start_datetime: bool = True
    uncorrected: bool = False
    screenshot: bool = False
    head_first_numbers: bool = True
    flat_folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """One phantom hospital.

    Args:
        site: A city in lower case.
        weight: Its share of the subjects.
        scanner: Its PET-CT system.
        masks: How it hands over lesion masks.
        burden: Shift of the latent tumour burden, in its standard deviations.
        age_years: Mean age.
        ecog: Shift of the latent performance status.
        pdl1_high: Share of tumours with PD-L1 of 50 % or more.
        frailty: Log hazard that all its subjects share.
        missing: Share of values missing, by canonical variable.
        names: Its own column names, by canonical name; canonical names where absent.
        date_format: How its table writes dates.
        sex_codes: How its table writes (male, female).
    """

    site: str
    weight: int
    scanner: Scanner
    masks: Masks
    burden: float = 0.0
    age_years: float = 65.0
    ecog: float = 0.0
    pdl1_high: float = 0.33
    frailty: float = 0.0
    missing: Mapping[str, float] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    date_format: str = "%Y-%m-%d"
    sex_codes: tuple[str, str] = ("M", "F")


FRENCH_NAMES = {
    "patient_id": "ipp",
    "ici_start": "date_premiere_cure",
    "progression_date": "date_progression",
    "progression_confirmed_date": "date_confirmation",
    "death_date": "date_deces",
    "last_contact_date": "date_dernieres_nouvelles",
    "best_response": "meilleure_reponse",
    "age_years": "age",
    "sex_male": "sexe",
    "ecog": "performance_status",
    "pdl1_tps_percent": "pdl1",
    "nlr": "rnl",
    "ldh_uln_ratio": "ldh_n",
    "albumin_g_l": "albumine",
    "smoking_ever": "tabac",
    "line": "ligne",
    "brain_metastases": "meta_cerebrales",
}
REGISTRY_NAMES = {
    "patient_id": "record_id",
    "ici_start": "c1d1",
    "progression_date": "pd_dt",
    "progression_confirmed_date": "pd_conf_dt",
    "death_date": "death_dt",
    "last_contact_date": "lfu_dt",
    "best_response": "bor",
    "pdl1_tps_percent": "tps",
    "albumin_g_l": "alb",
    "brain_metastases": "brain_mets",
}
_USUAL = {
    "pdl1_tps_percent": 0.25,
    "ldh_uln_ratio": 0.15,
    "albumin_g_l": 0.10,
    "nlr": 0.05,
    "smoking_ever": 0.03,
    "ecog": 0.02,
}

HOSPITALS: tuple[Hospital, ...] = (
    Hospital(
        site="lyon",
        weight=250,
        masks=Masks.RTSTRUCT,
        missing=_USUAL,
        scanner=Scanner(
            vendor=Vendor.SIEMENS,
            pet_mm=(8.0, 7.5, 7.5),
            ct_mm=(8.0, 7.0, 7.0),
            psf_mm=6.0,
            noise=0.10,
            calibration=1.0,
        ),
    ),
    Hospital(
        site="marseille",
        weight=210,
        masks=Masks.SEG,
        burden=0.15,
        ecog=0.15,
        frailty=0.10,
        missing={**_USUAL, "pdl1_tps_percent": 0.32},
        names=REGISTRY_NAMES,
        scanner=Scanner(
            vendor=Vendor.GE,
            pet_mm=(7.5, 7.3, 7.3),
            ct_mm=(7.5, 8.0, 8.0),
            psf_mm=7.0,
            noise=0.13,
            calibration=1.04,
            head_first_numbers=False,
        ),
    ),
    Hospital(
        site="nice",
        weight=160,
        masks=Masks.NIFTI,
        age_years=68.0,
        frailty=-0.15,
        missing={**_USUAL, "albumin_g_l": 0.30},
        names=FRENCH_NAMES,
        date_format="%d/%m/%Y",
        sex_codes=("H", "F"),
        scanner=Scanner(
            vendor=Vendor.PHILIPS,
            pet_mm=(8.0, 8.0, 8.0),
            ct_mm=(8.0, 7.5, 7.5),
            psf_mm=5.5,
            noise=0.12,
            calibration=0.97,
        ),
    ),
    Hospital(
        site="lille",
        weight=130,
        masks=Masks.RTSTRUCT,
        burden=0.25,
        age_years=63.0,
        frailty=0.20,
        missing={**_USUAL, "pdl1_tps_percent": 0.20},
        scanner=Scanner(
            vendor=Vendor.SIEMENS,
            pet_mm=(8.0, 8.0, 8.0),
            ct_mm=(7.0, 8.0, 8.0),
            psf_mm=8.5,
            noise=0.18,
            calibration=1.08,
            flat_folder=True,
        ),
    ),
    Hospital(
        site="toulouse",
        weight=100,
        masks=Masks.SEG,
        pdl1_high=0.42,
        frailty=-0.10,
        missing={**_USUAL, "ldh_uln_ratio": 0.25},
        names=REGISTRY_NAMES,
        scanner=Scanner(
            vendor=Vendor.GE,
            pet_mm=(8.0, 7.0, 7.0),
            ct_mm=(8.0, 8.0, 8.0),
            psf_mm=5.0,
            noise=0.09,
            calibration=0.99,
            start_datetime=False,
        ),
    ),
    Hospital(
        site="bordeaux",
        weight=80,
        masks=Masks.RTSTRUCT,
        burden=-0.15,
        missing={**_USUAL, "pdl1_tps_percent": 0.40},
        names=FRENCH_NAMES,
        date_format="%d/%m/%Y",
        sex_codes=("1", "2"),
        scanner=Scanner(
            vendor=Vendor.SIEMENS,
            pet_mm=(7.0, 8.0, 8.0),
            ct_mm=(8.0, 8.0, 8.0),
            psf_mm=7.5,
            noise=0.15,
            calibration=0.94,
            dose_in_mbq=True,
        ),
    ),
    Hospital(
        site="nantes",
        weight=60,
        masks=Masks.RTSTRUCT,
        ecog=-0.2,
        frailty=-0.05,
        missing={**_USUAL, "albumin_g_l": 0.30},
        scanner=Scanner(
            vendor=Vendor.PHILIPS,
            pet_mm=(8.0, 7.5, 7.5),
            ct_mm=(8.0, 8.0, 8.0),
            psf_mm=6.5,
            noise=0.14,
            calibration=1.02,
            screenshot=True,
            head_first_numbers=False,
        ),
    ),
    Hospital(
        site="strasbourg",
        weight=50,
        masks=Masks.NIFTI,
        burden=0.10,
        frailty=0.15,
        missing=_USUAL,
        scanner=Scanner(
            vendor=Vendor.GE,
            pet_mm=(8.0, 8.0, 8.0),
            ct_mm=(7.5, 7.5, 7.5),
            psf_mm=8.0,
            noise=0.20,
            calibration=1.06,
            decay_correction="ADMIN",
        ),
    ),
    Hospital(
        site="rennes",
        weight=40,
        masks=Masks.SEG,
        burden=-0.10,
        pdl1_high=0.28,
        frailty=-0.20,
        missing={**_USUAL, "albumin_g_l": 0.92},
        names=REGISTRY_NAMES,
        scanner=Scanner(
            vendor=Vendor.SIEMENS,
            pet_mm=(8.0, 8.0, 8.0),
            ct_mm=(8.0, 8.0, 8.0),
            psf_mm=6.0,
            noise=0.11,
            calibration=1.0,
            uncorrected=True,
            start_datetime=False,
        ),
    ),
    Hospital(
        site="dijon",
        weight=30,
        masks=Masks.NONE,
        age_years=67.0,
        frailty=0.10,
        missing={**_USUAL, "pdl1_tps_percent": 0.35},
        names=FRENCH_NAMES,
        date_format="%d/%m/%Y",
        sex_codes=("H", "F"),
        scanner=Scanner(
            vendor=Vendor.PHILIPS,
            pet_mm=(7.5, 8.0, 8.0),
            ct_mm=(8.0, 7.5, 7.5),
            psf_mm=7.0,
            noise=0.16,
            calibration=1.03,
            flat_folder=True,
        ),
    ),
)


def share(subjects: int, *, sites: int) -> tuple[int, ...]:
    """Divide the subjects among the first hospitals, as unequally as real ones are.

    Args:
        subjects: All subjects.
        sites: Number of hospitals, 1 to 10.

    Returns:
        Subjects of each hospital, largest first; none below 20, or below an equal share where
        there are too few subjects for that.

    Raises:
        DataError: If there are more hospitals than known, or fewer subjects than hospitals.

    Examples:
        >>> share(1110, sites=10)
        (250, 210, 160, 130, 100, 80, 60, 50, 40, 30)
        >>> share(9, sites=3)
        (3, 3, 3)
    """
    if not 1 <= sites <= len(HOSPITALS):
        raise DataError(f"There are {len(HOSPITALS)} phantom hospitals; {sites} were asked for.")
    if subjects < sites:
        raise DataError(f"{subjects} subjects are too few for {sites} phantom hospitals.")
    least = min(SUBJECTS_MIN, subjects // sites)
    weights = [hospital.weight for hospital in HOSPITALS[:sites]]
    free = sites
    while free and weights[free - 1] * (subjects - least * (sites - free)) < least * sum(
        weights[:free]
    ):
        free -= 1
    left = subjects - least * (sites - free)
    exact = [weight * left / sum(weights[:free]) for weight in weights[:free]]
    counts = [int(value) for value in exact]
    order = sorted(range(free), key=lambda i: (counts[i] - exact[i], i))
    for i in order[: left - sum(counts)]:
        counts[i] += 1
    return (*counts, *([least] * (sites - free)))
