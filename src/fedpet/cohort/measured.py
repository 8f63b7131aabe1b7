"""Lesions of a scan by the cohort's method, and the biomarkers that the cohort asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedpet.biomarkers.catalogue import Group
from fedpet.biomarkers.panel import Scanned, measure_groups
from fedpet.cohort.method import Rules
from fedpet.errors import DataError
from fedpet.imaging.body_size import HEIGHT_M, WEIGHT_KG
from fedpet.imaging.facts import Corrections, corrected, repaired
from fedpet.imaging.lesions import METHODS, find_lesions
from fedpet.imaging.pairing import Scan
from fedpet.imaging.remarks import Remark
from fedpet.imaging.scan import Images, pet_facts
from fedpet.imaging.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The lesions of a scan and where they come from.

    Args:
        labels: On the PET's grid; None where they are not known.
        name: `given`, the method, or `missing`.
        remarks: What a person should know.
        threshold_suv: Smallest SUV of a lesion, where a method chose it.
    """

    labels: Volume | None
    name: str
    remarks: tuple[Remark, ...] = ()
    threshold_suv: float | None = None


def by_weight(images: Images) -> Volume:
    """Return SUV by body weight, in which fixed thresholds are defined."""
    ratio = images.provenance.to_body_weight
    if ratio is None or ratio == 1:
        return images.suv
    return Volume(array=images.suv.array * np.float32(ratio), grid=images.suv.grid)


def lesions_of(images: Images, weighed: Volume, rules: Rules) -> Origin:
    """Take the lesions that were given, or find them by the cohort's method.

    Args:
        images: As read.
        weighed: SUV by body weight, in which thresholds are defined.
        rules: Of the cohort.
    """
    if rules.lesions == "given":
        name = "missing" if images.lesions is None else "given"
        return Origin(labels=images.lesions, name=name)
    method = next(one for one in METHODS if one == rules.lesions)
    try:
        found = find_lesions(weighed, images.ct, method=method, volume_min_ml=rules.lesion_min_ml)
    except DataError as error:
        if error.code != "FP-2145":
            raise
        remark = Remark(code=error.code, text=f"{error.title} {error.why}".strip())
        return Origin(labels=None, name="missing", remarks=(remark,))
    text = "Organs were told by their height in the PET alone."
    return Origin(
        labels=found.labels,
        name=method,
        remarks=(Remark(code="FP-2143", text=text),) if images.ct is None else (),
        threshold_suv=found.threshold_suv,
    )


def biomarkers_of_scan(
    images: Images,
    weighed: Volume,
    lesions: Volume | None,
    *,
    scan: Scan,
    corrections: Corrections | None,
    groups: Sequence[Group],
) -> dict[str, float]:
    """Measure the groups of biomarkers that a cohort asks for.

    Args:
        images: As read.
        weighed: SUV by body weight; organs are told from each other by it.
        lesions: Labels on the PET's grid; None where they are not known.
        scan: Its header tells weight and height.
        corrections: What the hospital says in place of the header.
        groups: Of the catalogue.
    """
    weight_kg, height_m = _size(scan, corrections)
    return measure_groups(
        Scanned(
            suv=images.suv,
            by_weight=weighed,
            ct=images.ct,
            lesions=lesions,
            organs=images.organs,
            weight_kg=weight_kg,
            height_m=height_m,
        ),
        groups,
    )


def _size(scan: Scan, corrections: Corrections | None) -> tuple[float | None, float | None]:
    """Return weight and height, each None where it is missing or not plausible."""
    facts = pet_facts(scan.pet)
    if corrections is not None:
        facts, _ = corrected(facts, corrections)
    facts, _ = repaired(facts)
    return _plausible(facts.weight_kg, WEIGHT_KG), _plausible(facts.height_m, HEIGHT_M)


def _plausible(value: float | None, bounds: tuple[float, float]) -> float | None:
    return value if value is not None and bounds[0] <= value <= bounds[1] else None
