"""Body measures behind the kinds of SUV: lean mass, ideal weight, surface."""

from __future__ import annotations

from fedpet.errors import DataError


def needed(value: float | None, name: str, *, low: float, high: float, unit: str) -> float:
    """Return a value that SUV depends on, or say that it is missing or implausible.

    Raises:
        DataError: If it is absent, not positive or outside `low`..`high`.
    """
    if value is None or value == 0:
        raise DataError(
            f"The {name} is missing.",
            why="SUV cannot be computed without it, and no value is ever assumed.",
            do="Export again with it kept, or leave the subject out.",
            code="FP-2112",
        )
    if not low <= value <= high:
        raise DataError(
            f"The {name} is {value:g} {unit}, expected {low:g} to {high:g} {unit}.",
            do="Correct it in the PACS and export again.",
            code="FP-2113",
        )
    return value


def gml_to_body_weight(
    suv_type: str, *, weight_kg: float | None, height_m: float | None, sex: str
) -> tuple[float, str]:
    """Return the factor from a stored SUV in g/mL to body-weight SUV, and the rule in words.

    Args:
        suv_type: (0054,1006); empty means body weight (PS3.3 C.8.9.1).
        weight_kg: Weight; not needed for body-weight SUV.
        height_m: Height; not needed for body-weight SUV.
        sex: M, F or O; O takes the mean of both formulas.

    Raises:
        DataError: If the type is unknown, or a value it needs is missing.

    Source:
        DICOM PS3.3 C.8.9.1.1.3; formulas of the IBSI-SUV manual.

    Examples:
        >>> gml_to_body_weight("BW", weight_kg=None, height_m=None, sex="")[0]
        1.0
        >>> round(gml_to_body_weight("LBMJANMA", weight_kg=70, height_m=1.75, sex="M")[0], 4)
        1.2532
    """
    if suv_type in ("", "BW"):
        return 1.0, "already body-weight SUV"
    formula = _MASSES.get(suv_type)
    if formula is None:
        raise DataError(
            f"(0054,1006) SUV Type is '{suv_type}', expected BW, {', '.join(_MASSES)}.",
            code="FP-2114",
        )
    weight = needed(weight_kg, "weight (0010,1030)", low=1.5, high=400, unit="kg")
    height = needed(height_m, "size (0010,1020)", low=0.3, high=2.6, unit="m")
    if sex not in ("M", "F", "O"):
        raise DataError(
            "The sex (0010,0040) is missing; this kind of SUV needs it.",
            do="Export body-weight SUV or activity instead.",
            code="FP-2112",
        )
    masses = [formula(weight, height * 100, one) for one in ("MF" if sex == "O" else sex)]
    mass = sum(masses) / len(masses)
    if not mass > 0:
        raise DataError("Weight and size give a lean mass below zero.", code="FP-2113")
    return weight / mass, f"SUV by {suv_type} to body weight"


def area_to_body_weight(*, weight_kg: float | None, height_m: float | None) -> float:
    """Return the factor from SUV by body surface (cm2/mL) to body-weight SUV (DuBois surface)."""
    weight = needed(weight_kg, "weight (0010,1030)", low=1.5, high=400, unit="kg")
    height = needed(height_m, "size (0010,1020)", low=0.3, high=2.6, unit="m")
    area_cm2 = 1e4 * 0.007184 * weight**0.425 * (height * 100) ** 0.725
    return float(weight * 1000 / area_cm2)


def _morgan(weight_kg: float, height_cm: float, sex: str) -> float:
    a, b = (1.10, 120) if sex == "M" else (1.07, 148)
    return a * weight_kg - b * (weight_kg / height_cm) ** 2


def _james(weight_kg: float, height_cm: float, sex: str) -> float:
    a, b = (1.10, 128) if sex == "M" else (1.07, 148)
    return a * weight_kg - b * (weight_kg / height_cm) ** 2


def _janmahasatian(weight_kg: float, height_cm: float, sex: str) -> float:
    bmi = weight_kg / (height_cm / 100) ** 2
    a, b = (6680, 216) if sex == "M" else (8780, 244)
    return 9270 * weight_kg / (a + b * bmi)


def _ideal(weight_kg: float, height_cm: float, sex: str) -> float:
    del weight_kg
    a, b = (48.0, 1.06) if sex == "M" else (45.5, 0.91)
    return a + b * (height_cm - 152)


_MASSES = {
    "LBM": _morgan,
    "LBMJAMES128": _james,
    "LBMJANMA": _janmahasatian,
    "IBW": _ideal,
}
