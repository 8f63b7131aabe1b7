"""One phantom subject: from a row of the population to files in the hospital's folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from datetime import time as clock
from functools import lru_cache
from pathlib import Path

import numpy as np

from fedpet.synthetic.exam import Exam
from fedpet.synthetic.images import Written, write_scan
from fedpet.synthetic.population import Population, draw_population
from fedpet.synthetic.profiles import HOSPITALS, Flaw, Hospital, flaw
from fedpet.synthetic.scanner import Body, Scan, acquire
from fedpet.synthetic.tables import start_dates

# Independent streams of randomness of one hospital.
PEOPLE, IMAGES, EXAMS, TABLE = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """One hospital's subjects of one federation; the same arguments give the same subjects.

    Args:
        seed: Of the federation.
        index: Position of the hospital in `HOSPITALS`.
        subjects: How many it has.
    """

    seed: int
    index: int
    subjects: int

    @property
    def hospital(self) -> Hospital:
        """The hospital."""
        return HOSPITALS[self.index]

    def stream(self, *key: int) -> np.random.Generator:
        """Return a stream of randomness of its own for each key."""
        return np.random.default_rng((self.seed, self.index, *key))

    def patient_id(self, number: int) -> str:
        """Return the local number of a subject, which tells nothing outside."""
        text = f"{self.seed}/{self.hospital.site}/{number}"
        digits = int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) % 10_000
        return f"{self.hospital.site[:3].upper()}{number:04d}{digits:04d}"


@lru_cache(maxsize=4)
def people(roll: Roll) -> Population:
    """Return the subjects of a hospital."""
    return draw_population(roll.hospital, subjects=roll.subjects, rng=roll.stream(PEOPLE))


def examine(roll: Roll, number: int) -> tuple[Exam, Scan]:
    """Simulate the examination of one subject.

    Args:
        roll: The hospital's subjects.
        number: Which of them, from 0.

    Returns:
        The facts of the headers, and the volumes before they are stored.
    """
    population = people(roll)
    rng = roll.stream(EXAMS, number)
    day = start_dates(population)[number] - timedelta(days=int(rng.integers(3, 36)))
    start = datetime.combine(day, clock(8, 30)) + timedelta(seconds=int(rng.integers(0, 32_400)))
    weight = float(population.weight_kg[number])
    age = int(population.covariates["age_years"][number])
    birth = datetime(day.year - age, 1, 1)
    exam = Exam(
        site=roll.hospital.site,
        key=f"fedpet-phantom/{roll.seed}/{roll.hospital.site}/{roll.subjects}/{number}",
        patient_id=roll.patient_id(number),
        male=bool(population.covariates["sex_male"][number]),
        birth_date=birth.strftime("%Y%m%d"),
        age_years=age,
        height_cm=float(population.height_cm[number]),
        weight_kg=weight,
        injection=start - timedelta(seconds=int(rng.normal(3720, 240))),
        start=start,
        dose_bq=round(weight * float(rng.normal(3.5, 0.25)), 1) * 1e6,
        scanner=roll.hospital.scanner,
    )
    if flaw(roll.hospital.site, number, subjects=roll.subjects) is Flaw.NO_WEIGHT:
        exam = replace(exam, weight_kg=None)
    scan = acquire(body(population, number), roll.hospital.scanner, roll.stream(IMAGES, number))
    return exam, scan


def body(population: Population, number: int) -> Body:
    """Return what the images of one subject depend on."""
    rows = population.lesions.subject == number
    x, y, z = (float(value) for value in population.scale[number])
    return Body(
        scale=(x, y, z),
        male=bool(population.covariates["sex_male"][number]),
        organ=population.lesions.organ[rows],
        centre_mm=population.lesions.centre_mm[rows],
        volume_ml=population.lesions.volume_ml[rows],
        suv=population.lesions.suv[rows],
    )


def write_subjects(roll: Roll, numbers: range, folder: Path) -> Written:
    """Write the scans of some subjects into their hospital's folder.

    Args:
        roll: The hospital's subjects.
        numbers: Which of them.
        folder: The hospital's folder; `images/` is made where absent.
    """
    files = size = scans = 0
    for number in numbers:
        if flaw(roll.hospital.site, number, subjects=roll.subjects) is Flaw.NO_SCAN:
            continue
        exam, scan = examine(roll, number)
        one = write_scan(
            exam, scan, hospital=folder, name=f"{number:04d}", masks=roll.hospital.masks
        )
        scans, files, size = scans + 1, files + one.files, size + one.bytes
    return Written(scans=scans, files=files, bytes=size)
