"""Scores that are computed from clinical variables, each with its unit and source.

Inputs are variables of the dictionary under the names below, in the units that the names tell;
`scale` in the dictionary brings other units to them. A score whose input is missing is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from fedpet.cohort.settings import DOOR

Floats = NDArray[np.float64]
DNLR_HIGH = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Which scores a dictionary asks for.

    Args:
        lipi: Lung immune prognostic index.
        dnlr: Derived neutrophil-to-lymphocyte ratio.
        nlr: Neutrophil-to-lymphocyte ratio.
        ldh_uln_ratio: LDH over its upper limit of normal.
        bmi: Body mass index.
        ldh_uln_u_l: The laboratory's upper limit of normal of LDH in U/L, where one holds for all.
    """

    __pydantic_config__ = DOOR

    lipi: bool = False
    dnlr: bool = False
    nlr: bool = False
    ldh_uln_ratio: bool = False
    bmi: bool = False
    ldh_uln_u_l: Annotated[float, Gt(0)] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The scores that are asked for."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) is True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score as people know it.

    Args:
        label: In words.
        unit: Empty where there is none.
        inputs: Variables that it needs.
        range: Least and greatest plausible value.
        source: Where it was defined.
    """

    label: str
    unit: str = ""
    inputs: tuple[str, ...]
    range: tuple[float, float]
    source: str


SCORES: dict[str, Score] = {
    "dnlr": Score(
        label="Derived neutrophil-to-lymphocyte ratio, ANC / (WBC - ANC)",
        inputs=("anc_10e9_l", "wbc_10e9_l"),
        range=(0.05, 100.0),
        source="Proctor 2012, Br J Cancer 107:695",
    ),
    "nlr": Score(
        label="Neutrophil-to-lymphocyte ratio",
        inputs=("anc_10e9_l", "lymphocytes_10e9_l"),
        range=(0.05, 200.0),
        source="Walsh 2005, J Surg Oncol 91:181",
    ),
    "ldh_uln_ratio": Score(
        label="LDH over its upper limit of normal",
        inputs=("ldh_u_l", "ldh_uln_u_l"),
        range=(0.1, 50.0),
        source="ratio to the laboratory's own limit",
    ),
    "lipi": Score(
        label="Lung immune prognostic index: one point each for dNLR > 3 and LDH above normal",
        inputs=("anc_10e9_l", "wbc_10e9_l", "ldh_u_l", "ldh_uln_u_l"),
        range=(0.0, 2.0),
        source="Mezquita 2018, JAMA Oncol 4:351",
    ),
    "bmi": Score(
        label="Body mass index",
        unit="kg/m2",
        inputs=("weight_kg", "height_m"),
        range=(10.0, 80.0),
        source="weight / height squared",
    ),
}
# A score, or a variable of the table, that stands for its inputs.
STANDS_FOR = {
    "dnlr": ("anc_10e9_l", "wbc_10e9_l"),
    "ldh_uln_ratio": ("ldh_u_l", "ldh_uln_u_l"),
}


def missing_inputs(name: str, derived: Derived, variables: frozenset[str]) -> tuple[str, ...]:
    """Return the variables that a score needs and the dictionary does not have.

    Examples:
        >>> missing_inputs("bmi", Derived(bmi=True), frozenset({"weight_kg"}))
        ('height_m',)
        >>> missing_inputs("lipi", Derived(lipi=True), frozenset({"dnlr", "ldh_uln_ratio"}))
        ()
    """
    given = set(variables)
    if derived.ldh_uln_u_l is not None:
        given.add("ldh_uln_u_l")
    for one, inputs in STANDS_FOR.items():
        if one in variables and one != name:
            given |= set(inputs)
    return tuple(one for one in SCORES[name].inputs if one not in given)


def compute(
    derived: Derived, variables: Mapping[str, Floats], *, subjects: int
) -> tuple[dict[str, Floats], dict[str, NDArray[np.bool_]]]:
    """Compute the scores that a dictionary asks for.

    Args:
        derived: Which.
        variables: float64 [subjects] by canonical name, NaN for missing.
        subjects: Their number.

    Returns:
        float64 [subjects] by score, NaN where an input is missing or the value is not plausible;
        and bool [subjects] by score, where it is not plausible.

    Examples:
        >>> scores, odd = compute(
        ...     Derived(dnlr=True, lipi=True, ldh_uln_u_l=250.0),
        ...     {"anc_10e9_l": np.array([8.0, 2.0, 5.0]), "wbc_10e9_l": np.array([10.0, 6.0, 4.0]),
        ...      "ldh_u_l": np.array([300.0, 200.0, 200.0])},
        ...     subjects=3,
        ... )
        >>> scores["dnlr"].tolist(), scores["lipi"].tolist(), odd["dnlr"].tolist()
        ([4.0, 0.5, nan], [2.0, 0.0, nan], [False, False, True])
    """
    known = dict(variables)
    if derived.ldh_uln_u_l is not None and "ldh_uln_u_l" not in known:
        known["ldh_uln_u_l"] = np.full(subjects, derived.ldh_uln_u_l)
    found: dict[str, Floats] = {}
    odd: dict[str, NDArray[np.bool_]] = {}
    for name in derived.names:
        found[name], odd[name] = _plausible(name, known)
    return found, odd


def _plausible(name: str, known: Mapping[str, Floats]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return a score, NaN where it is not plausible, and where that is."""
    low, high = SCORES[name].range
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is out of range like the rest
        raw, wrong = _raw(name, known)
        wrong = wrong | (~np.isnan(raw) & ~((raw >= low) & (raw <= high)))
    return np.where(wrong, np.nan, raw), wrong


def _raw(name: str, known: Mapping[str, Floats]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return a score, and where its inputs contradict each other."""
    if name in known:
        return known[name], np.zeros(len(known[name]), bool)
    if name == "lipi":
        dnlr, odd = _plausible("dnlr", known)
        ldh, odd_ldh = _plausible("ldh_uln_ratio", known)
        points = (dnlr > DNLR_HIGH).astype(np.float64) + (ldh > 1.0)
        return np.where(np.isnan(dnlr) | np.isnan(ldh), np.nan, points), odd | odd_ldh
    first, second = (known[one] for one in SCORES[name].inputs)
    if name == "dnlr":
        return _ratio(first, second - first)
    if name == "bmi":
        return _ratio(first, second**2)
    return _ratio(first, second)


def _ratio(over: Floats, under: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Divide; a quotient that cannot be is NaN, and told apart from one that is not known."""
    absent = np.isnan(over) | np.isnan(under)
    wrong = ~absent & ~((np.nan_to_num(under) > 0) & (np.nan_to_num(over) >= 0))
    can = ~absent & ~wrong
    return np.divide(over, under, out=np.full(len(over), np.nan), where=can), wrong
