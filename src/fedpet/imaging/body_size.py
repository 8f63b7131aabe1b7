"""What SUV is divided by: body weight, lean mass, ideal weight or surface, and their formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fedpet.errors import DataError

Kind: TypeAlias = Literal["bw", "lbm-janmahasatian", "lbm-james", "lbm-morgan", "bsa", "ibw"]

WEIGHT_KG: Final = (1.5, 400.0)
HEIGHT_M: Final = (0.3, 2.6)
NAMES: Final[dict[Kind, str]] = {
    "bw": "SUV by body weight",
    "lbm-janmahasatian": "SUL, lean body mass by Janmahasatian",
    "lbm-james": "SUL, lean body mass by James",
    "lbm-morgan": "SUL, lean body mass by Morgan",
    "bsa": "SUV by body surface",
    "ibw": "SUV by ideal body weight",
}
# (0054,1006) SUV Type; empty means body weight (PS3.3 C.8.9.1).
SUV_TYPES: Final[dict[str, Kind]] = {
    "": "bw",
    "BW": "bw",
    "LBM": "lbm-morgan",
    "LBMJAMES128": "lbm-james",
    "LBMJANMA": "lbm-janmahasatian",
    "IBW": "ibw",
}
# Body mass index (kg/m2) above which the quadratic lean masses fall while weight rises.
TURNING_BMI: Final = {
    ("lbm-james", "M"): 1.10 / (2 * 128) * 1e4,
    ("lbm-james", "F"): 1.07 / (2 * 148) * 1e4,
    ("lbm-morgan", "M"): 1.10 / (2 * 120) * 1e4,
    ("lbm-morgan", "F"): 1.07 / (2 * 148) * 1e4,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What SUV of one kind is normalised by, in one subject.

    Args:
        value: In `unit`.
        unit: `g`, or `cm2` for body surface.
        formula: With the numbers filled in.
    """

    value: float
    unit: str
    formula: str


def needed(value: float | None, name: str, *, low: float, high: float, unit: str) -> float:
    """Return a value that SUV depends on, or say that it is missing or implausible.

    Raises:
        DataError: If it is absent, not positive or outside `low`..`high`.
    """
    if value is None or value == 0:
        raise DataError(
            f"The {name} is missing.",
            why="SUV cannot be computed without it, and no value is ever assumed.",
            do="Export again with it kept, or give it in fixes.csv.",
            code="FP-2112",
        )
    if not low <= value <= high:
        raise DataError(
            f"The {name} is {value:g} {unit}, expected {low:g} to {high:g} {unit}.",
            do="Correct it in the PACS and export again, or give it in fixes.csv.",
            code="FP-2113",
        )
    return value


def body_size(kind: Kind, *, weight_kg: float | None, height_m: float | None, sex: str) -> Size:
    """Return what a kind of SUV is normalised by.

    Args:
        kind: Which SUV.
        weight_kg: (0010,1030); every kind needs it but `ibw`.
        height_m: (0010,1020); every kind needs it but `bw`.
        sex: (0010,0040): M or F; O takes the mean of both formulas. `bw` and `bsa` need none.

    Raises:
        DataError: If a value that the kind needs is missing or implausible.

    Source:
        Janmahasatian et al. 2005; James 1976 (128 for men); Morgan and Bray 1994 (120 for men);
        DuBois and DuBois 1916; ideal weight as in the IBSI-SUV manual; DICOM PS3.3 C.8.9.1.1.3.

    Examples:
        >>> round(body_size("lbm-janmahasatian", weight_kg=70, height_m=1.75, sex="M").value)
        55857
        >>> body_size("bsa", weight_kg=70, height_m=1.75, sex="").formula
        '10000 * 0.007184 * 70^0.425 * 175^0.725 cm2'
    """
    if kind == "bw":
        weight = _weight(weight_kg)
        return Size(value=weight * 1000.0, unit="g", formula=f"{weight:g} * 1000 g")
    height_cm = 100 * needed(
        height_m, "size (0010,1020)", low=HEIGHT_M[0], high=HEIGHT_M[1], unit="m"
    )
    if kind == "bsa":
        weight = _weight(weight_kg)
        area = 1e4 * 0.007184 * weight**0.425 * height_cm**0.725
        told = f"10000 * 0.007184 * {weight:g}^0.425 * {height_cm:g}^0.725 cm2"
        return Size(value=area, unit="cm2", formula=told)
    if sex not in ("M", "F", "O"):
        raise DataError(
            f"The sex (0010,0040) is {repr(sex)[:20] if sex else 'missing'}; expected M, F or O.",
            why="Lean and ideal body mass follow other formulas in men and women.",
            do='Give it in fixes.csv, or use SUV by body weight (suv = "bw").',
            code="FP-2112",
        )
    weight = 0.0 if kind == "ibw" else _weight(weight_kg)
    parts = [_MASSES[kind](weight, height_cm, one) for one in ("MF" if sex == "O" else sex)]
    mass = sum(value for value, _ in parts) / len(parts)
    if not mass > 0:
        raise DataError(
            f"Weight and size give a body mass of {mass:.1f} kg by this formula.",
            do="Check weight and size and their units.",
            code="FP-2113",
        )
    told = " + ".join(f"({text})" for _, text in parts)
    told = f"({told}) / 2" if len(parts) > 1 else told
    return Size(value=mass * 1000.0, unit="g", formula=f"{told} * 1000 g")


def beyond_formula(kind: Kind, *, weight_kg: float, height_m: float, sex: str) -> bool:
    """Tell whether a lean mass lies where its formula falls with weight.

    Examples:
        >>> beyond_formula("lbm-james", weight_kg=120, height_m=1.6, sex="F")
        True
        >>> beyond_formula("lbm-janmahasatian", weight_kg=120, height_m=1.6, sex="F")
        False
    """
    index = weight_kg / height_m / height_m  # the square of a mistyped size may overflow
    return any(index > TURNING_BMI.get((kind, one), 1e9) for one in ("MF" if sex == "O" else sex))


def _weight(value: float | None) -> float:
    return needed(value, "weight (0010,1030)", low=WEIGHT_KG[0], high=WEIGHT_KG[1], unit="kg")


def _quadratic(men: float) -> Callable[[float, float, str], tuple[float, str]]:
    def mass(weight_kg: float, height_cm: float, sex: str) -> tuple[float, str]:
        a, b = (1.10, men) if sex == "M" else (1.07, 148.0)
        value = a * weight_kg - b * (weight_kg / height_cm) ** 2
        return value, f"{a:g} * {weight_kg:g} - {b:g} * ({weight_kg:g} / {height_cm:g})^2"

    return mass


def _janmahasatian(weight_kg: float, height_cm: float, sex: str) -> tuple[float, str]:
    index = weight_kg / (height_cm / 100) ** 2
    a, b = (6680, 216) if sex == "M" else (8780, 244)
    return 9270 * weight_kg / (a + b * index), f"9270 * {weight_kg:g} / ({a} + {b} * {index:.5g})"


def _ideal(weight_kg: float, height_cm: float, sex: str) -> tuple[float, str]:
    del weight_kg
    a, b = (48.0, 1.06) if sex == "M" else (45.5, 0.91)
    return a + b * (height_cm - 152), f"{a:g} + {b:g} * ({height_cm:g} - 152)"


_MASSES: Final[dict[str, Callable[[float, float, str], tuple[float, str]]]] = {
    "lbm-morgan": _quadratic(120.0),
    "lbm-james": _quadratic(128.0),
    "lbm-janmahasatian": _janmahasatian,
    "ibw": _ideal,
}
